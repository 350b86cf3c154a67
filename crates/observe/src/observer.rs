//! Who is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use custody_types::{Clock, Entropy, Timestamp};

use crate::event::{Done, Event, RunEnd, Work};
use crate::id::{Remote, RequestId, RunId, SpanId, TraceId};
use crate::place::{Entered, Place};

/// What becomes of what is said. It is called in the midst of the work: it waits for nothing, neither a disk nor a network.
pub trait Sink: Send + Sync + fmt::Debug {
    /// Hears that work has ended.
    fn done(&self, finished: &Finished);

    /// Hears that something happened.
    fn happened(&self, event: &Event);

    /// Whether a trace that begins is told, by eight bytes that were drawn for it.
    fn traces(&self, drawn: u64) -> bool;

    /// Writes the figures in the format of `OpenMetrics` 1.0, with those that `gauges` has now.
    fn metrics(&self, gauges: &Gauges) -> String;
}

/// Figures that are looked up when somebody asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// How many entries the ledger has.
    pub entries: u64,
    /// How many sessions of people are open.
    pub sessions: u64,
    /// How many tokens count.
    pub tokens: u64,
    /// How many passwords are hashed.
    pub hashing: u64,
    /// How many passwords wait for that.
    pub hashes_waiting: u64,
}

/// Work that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// What it was.
    pub done: Done,
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Where it stands in a trace, if it is traced.
    pub traced: Option<Traced>,
}

/// Where work stands in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    /// The trace.
    pub trace: TraceId,
    /// Its span.
    pub span: SpanId,
    /// The span that it belongs to.
    pub parent: Option<SpanId>,
    /// A span elsewhere that has to do with it, and who says so.
    pub link: Option<Remote>,
    /// The request that it belongs to.
    pub request: Option<RequestId>,
}

/// Tells a [`Sink`], or nobody. Cheap to clone.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Parts>>);

struct Parts {
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sink = self.0.as_ref().map(|parts| &parts.sink);
        f.debug_tuple("Observer").field(&sink).finish()
    }
}

impl Observer {
    /// Tells `sink`.
    pub fn new(sink: Arc<dyn Sink>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self(Some(Arc::new(Parts {
            sink,
            clock,
            entropy,
        })))
    }

    /// Draws the id of a request; none where nobody is told.
    pub fn draw_request(&self) -> Option<RequestId> {
        let parts = self.0.as_ref()?;
        let (clock, entropy) = (parts.clock.as_ref(), parts.entropy.as_ref());
        Some(RequestId::draw(clock, entropy))
    }

    /// Tells that something happened.
    pub fn note(&self, event: &Event) {
        if let Some(parts) = &self.0 {
            parts.sink.happened(event);
        }
    }

    /// Writes the figures; `None` where nobody counts.
    pub fn metrics(&self, gauges: &Gauges) -> Option<String> {
        self.0.as_ref().map(|parts| parts.sink.metrics(gauges))
    }

    /// Does something that belongs to what this thread is at, and tells it as `tell` says.
    pub fn watch<T>(&self, work: impl FnOnce() -> T, tell: impl FnOnce(&T) -> Done) -> T {
        let Some(span) = self.begin() else {
            return work();
        };
        let here = span.place.clone().map(Place::enter);
        let result = work();
        drop(here);
        span.end(tell(&result));
        result
    }

    /// Begins work that belongs to what this thread is at.
    fn begin(&self) -> Option<Span> {
        let parts = self.0.as_ref()?;
        let parent = Place::now();
        let place = parent
            .as_ref()
            .and_then(|parent| parent.below(SpanId::draw(parts.entropy.as_ref())));
        Some(Span::begin(
            parts,
            place,
            parent.map(|parent| parent.span),
            None,
        ))
    }

    /// Begins a request, which is a trace of its own; none where nobody is told. `remote`: the span in whose work the request
    /// says that it was made.
    pub fn begin_request(&self, id: RequestId, remote: Option<Remote>) -> Option<Span> {
        self.begin_trace(Some(id), remote)
    }

    fn begin_trace(&self, request: Option<RequestId>, link: Option<Remote>) -> Option<Span> {
        let parts = self.0.as_ref()?;
        let entropy = parts.entropy.as_ref();
        let trace = TraceId::draw(entropy);
        let [_, _, _, _, _, _, _, _, drawn @ ..] = trace.0;
        let is_traced = parts.sink.traces(u64::from_be_bytes(drawn));
        let place = is_traced.then(|| Place::root(trace, SpanId::draw(entropy), request));
        Some(Span::begin(parts, place, None, link))
    }

    /// Tells that a run began, which is a trace of its own, linked to what this thread is at. What this thread does until the
    /// end of the run belongs to it.
    pub fn run(&self, run: Option<RunId>) -> Going {
        self.note(&Event::RunBegan { run });
        let link = Place::now().map(|place| Remote {
            trace: place.trace,
            span: place.span,
        });
        let span = self.begin_trace(None, link);
        let place = span.as_ref().and_then(Span::place).cloned();
        Going {
            observer: self.clone(),
            run,
            end: RunEnd::Failed,
            span,
            here: Some(Entered::new(place)),
        }
    }
}

/// A run that goes on. One that is dropped before it was said how it ended, failed.
#[derive(Debug)]
pub struct Going {
    observer: Observer,
    run: Option<RunId>,
    end: RunEnd,
    span: Option<Span>,
    here: Option<Entered>,
}

impl Going {
    /// Tells how it ended.
    pub fn ended(mut self, end: RunEnd) {
        self.end = end;
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        drop(self.here.take());
        if let Some(span) = self.span.take() {
            span.end(Done::run(self.run, self.end));
        }
        self.observer.note(&Event::RunLeft);
    }
}

/// Work that goes on. What is dropped without its end is not told.
pub struct Span {
    parts: Arc<Parts>,
    place: Option<Place>,
    parent: Option<SpanId>,
    link: Option<Remote>,
    began: Timestamp,
    began_us: u64,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Span {
    fn begin(
        parts: &Arc<Parts>,
        place: Option<Place>,
        parent: Option<SpanId>,
        link: Option<Remote>,
    ) -> Self {
        Self {
            parts: parts.clone(),
            place,
            parent,
            link,
            began: parts.clock.now(),
            began_us: parts.clock.monotonic_us(),
        }
    }

    /// Returns the place of what belongs to it, if it is traced.
    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Tells what it was.
    pub fn end(self, done: Done) {
        let took = self
            .parts
            .clock
            .monotonic_us()
            .saturating_sub(self.began_us);
        self.parts.sink.done(&Finished {
            done,
            began: self.began,
            took: Duration::from_micros(took),
            traced: self.place.map(|place| Traced {
                trace: place.trace,
                span: place.span,
                parent: self.parent,
                link: self.link,
                request: place.request,
            }),
        });
    }
}

impl Done {
    /// The door decided.
    pub const fn decision(action: custody_types::Action, permit: bool) -> Self {
        Self {
            work: Work::Decision { action, permit },
            ok: true,
        }
    }

    /// A run was carried out.
    pub const fn run(run: Option<RunId>, end: RunEnd) -> Self {
        Self {
            work: Work::Run { run, end },
            ok: !matches!(end, RunEnd::Failed),
        }
    }

    /// A step was carried out.
    pub const fn step(run: Option<RunId>, end: RunEnd) -> Self {
        Self {
            work: Work::Step { run, end },
            ok: !matches!(end, RunEnd::Failed),
        }
    }
}
