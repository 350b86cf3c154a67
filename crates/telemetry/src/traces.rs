//! Spans on their way to a collector.
//!
//! A span goes into a queue of [`SPANS`]; a thread takes up to [`AT_ONCE`] every two seconds and sends them. What the collector does
//! not take now is sent again, [`TRIES`] times, while the queue fills; then it is left out. What is left out is counted.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

use custody_observe::{Event, Finished, Traced};
use custody_types::Clock;

use crate::collector::{Collector, Untaken};
use crate::otlp::{self, Server};

/// How many spans wait to be sent.
const SPANS: usize = 4096;
/// How many are sent at once.
const AT_ONCE: usize = 512;
/// How often what there is is sent, in microseconds.
const EVERY_US: u64 = 2_000_000;
/// How often the same spans are sent at most, and how long it takes until the next time, doubled each time.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of the process waits until what there is was sent.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who hears what became of spans.
pub(crate) trait Account: Send + Sync {
    /// So many were taken.
    fn taken(&self, spans: u64);

    /// So many were left out, why.
    fn lost(&self, why: &'static str, spans: u64);

    /// Something happened.
    fn happened(&self, event: &Event);
}

/// The queue. Whoever puts a span into it waits for nothing.
pub(crate) struct Traces {
    share: f64,
    queue: Mutex<Option<Queue>>,
    account: Arc<dyn Account>,
    ended: Mutex<Receiver<()>>,
}

/// Dropping it ends the thread.
struct Queue {
    spans: SyncSender<(Finished, Traced)>,
    /// Dropped, it ends the pauses between tries.
    _stop: SyncSender<()>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

impl Traces {
    /// Sends the share `share` of all traces to `collector` from now on.
    ///
    /// # Errors
    /// When the machine gives no thread for it.
    pub(crate) fn start(
        share: f64,
        collector: Box<dyn Collector>,
        server: Server,
        account: Arc<dyn Account>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let (queue, spans) = sync_channel(SPANS);
        let (stop, stopped) = sync_channel(0);
        let (ending, ended) = sync_channel(1);
        let told = account.clone();
        thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || {
                let mut sending = Sending {
                    spans,
                    stopped,
                    clock,
                    collector,
                    server,
                    account: told,
                    is_over: false,
                    fails: false,
                };
                sending.all();
                // Nobody may wait for it.
                let _ = ending.try_send(());
            })?;
        Ok(Self {
            share,
            queue: Mutex::new(Some(Queue {
                spans: queue,
                _stop: stop,
            })),
            account,
            ended: Mutex::new(ended),
        })
    }

    /// Whether a trace is told for which `drawn` was drawn.
    pub(crate) fn takes(&self, drawn: u64) -> bool {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share of all traces is no exact figure"
        )]
        let place = drawn as f64 / u64::MAX as f64;
        self.share >= 1.0 || place < self.share
    }

    /// Takes a span.
    pub(crate) fn take(&self, finished: &Finished) {
        let Some(traced) = finished.traced else {
            return;
        };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = queue
            .as_ref()
            .is_some_and(|queue| queue.spans.try_send((*finished, traced)).is_ok());
        if !sent {
            self.account.lost("queue", 1);
        }
    }

    /// Takes no more, and waits a little until what was taken is sent.
    pub(crate) fn stop(&self) {
        drop(
            self.queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(PATIENCE) {
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}

/// The thread's own.
struct Sending {
    spans: Receiver<(Finished, Traced)>,
    stopped: Receiver<()>,
    clock: Arc<dyn Clock>,
    collector: Box<dyn Collector>,
    server: Server,
    account: Arc<dyn Account>,
    /// Whether no more will come.
    is_over: bool,
    /// Whether the last were not taken.
    fails: bool,
}

impl Sending {
    fn all(&mut self) {
        while !self.is_over {
            let batch = self.gather();
            if !batch.is_empty() {
                self.send(&batch);
            }
        }
    }

    /// Waits for a span, and gathers what comes after it for a while, until there is as much as is sent at once.
    fn gather(&mut self) -> Vec<(Finished, Traced)> {
        let mut batch = Vec::new();
        let Ok(first) = self.spans.recv() else {
            self.is_over = true;
            return batch;
        };
        batch.push(first);
        let until = self.clock.monotonic_us().saturating_add(EVERY_US);
        while batch.len() < AT_ONCE {
            let left = until.saturating_sub(self.clock.monotonic_us());
            match self.spans.recv_timeout(Duration::from_micros(left)) {
                Ok(span) => batch.push(span),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    self.is_over = true;
                    break;
                }
            }
        }
        batch
    }

    fn send(&mut self, batch: &[(Finished, Traced)]) {
        let spans = batch.len() as u64;
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            let message = otlp::encode(&self.server, batch);
            match self.collector.send(message) {
                Ok(answer) => {
                    let rejected = otlp::rejected(&answer).min(spans);
                    self.account.taken(spans - rejected);
                    self.account.lost("rejected", rejected);
                    if std::mem::replace(&mut self.fails, false) {
                        self.account.happened(&Event::TracesTaken);
                    }
                    return;
                }
                Err(why) => {
                    if !std::mem::replace(&mut self.fails, true) {
                        let why = why.word();
                        self.account.happened(&Event::TracesLost { why });
                    }
                    let again = matches!(why, Untaken::Later(_)) && attempt < TRIES;
                    let is_stopped =
                        || self.stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
                    if !again || is_stopped() {
                        break;
                    }
                    pause *= 2;
                }
            }
        }
        self.account.lost("collector", spans);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Barrier;

    use custody_observe::{Done, SpanId, TraceId, Work};
    use custody_types::Timestamp;

    use super::*;

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn monotonic_ms(&self) -> u64 {
            0
        }
    }

    #[derive(Debug, Default)]
    struct Book(Mutex<(BTreeMap<&'static str, u64>, Vec<Event>)>);

    impl Account for Book {
        fn taken(&self, spans: u64) {
            *self.0.lock().unwrap().0.entry("taken").or_default() += spans;
        }
        fn lost(&self, why: &'static str, spans: u64) {
            *self.0.lock().unwrap().0.entry(why).or_default() += spans;
        }
        fn happened(&self, event: &Event) {
            self.0.lock().unwrap().1.push(event.clone());
        }
    }

    /// A collector that says what it was told to, one after the other, after both sides met.
    #[derive(Debug)]
    struct Says(
        Vec<Result<Vec<u8>, Untaken>>,
        Option<Arc<Barrier>>,
        Mutex<usize>,
    );

    impl Collector for Says {
        fn send(&self, _: Vec<u8>) -> Result<Vec<u8>, Untaken> {
            if let Some(meet) = &self.1 {
                meet.wait();
                meet.wait();
            }
            let mut at = self.2.lock().unwrap();
            let said = self.0[(*at).min(self.0.len() - 1)].clone();
            *at += 1;
            said
        }
    }

    fn span() -> Finished {
        Finished {
            done: Done {
                work: Work::Entry,
                ok: true,
            },
            began: Timestamp::UNIX_EPOCH,
            took: Duration::ZERO,
            traced: Some(Traced {
                trace: TraceId([1; 16]),
                span: SpanId([2; 8]),
                parent: None,
                link: None,
                request: None,
            }),
        }
    }

    fn started(
        says: Vec<Result<Vec<u8>, Untaken>>,
        meet: Option<Arc<Barrier>>,
    ) -> (Traces, Arc<Book>) {
        let book: Arc<Book> = Arc::default();
        let server = Server {
            version: "1",
            instance: "a".to_owned(),
        };
        let collector = Box::new(Says(says, meet, Mutex::default()));
        let traces = Traces::start(1.0, collector, server, book.clone(), Arc::new(Still));
        (traces.unwrap(), book)
    }

    #[test]
    fn who_takes_no_span_makes_nobody_wait_and_what_is_left_out_is_counted() {
        let meet = Arc::new(Barrier::new(2));
        let (traces, book) = started(vec![Ok(Vec::new())], Some(meet.clone()));
        (0..AT_ONCE).for_each(|_| traces.take(&span()));
        // The first are on their way; from here on nothing leaves the queue.
        meet.wait();
        (0..SPANS + 7).for_each(|_| traces.take(&span()));
        assert_eq!(book.0.lock().unwrap().0["queue"], 7);
        meet.wait();
        thread::spawn(move || {
            for _ in 0..SPANS / AT_ONCE {
                meet.wait();
                meet.wait();
            }
        });
        traces.stop();
        let book = book.0.lock().unwrap();
        assert_eq!(book.0["taken"], (AT_ONCE + SPANS) as u64);
    }

    #[test]
    fn what_is_not_taken_is_counted_and_told_once() {
        let never = || Err(Untaken::Never("refused"));
        // Of the fourth the collector rejects three: field 1 is a message whose field 1 is 3.
        let partly = Ok(vec![0x0a, 0x02, 0x08, 0x03]);
        let (traces, book) = started(vec![never(), never(), Ok(Vec::new()), partly], None);
        (0..4 * AT_ONCE).for_each(|_| traces.take(&span()));
        traces.stop();
        let book = book.0.lock().unwrap();
        assert_eq!(book.0["collector"], 2 * AT_ONCE as u64);
        assert_eq!(book.0["rejected"], 3);
        assert_eq!(book.0["taken"], 2 * AT_ONCE as u64 - 3);
        let told = [Event::TracesLost { why: "refused" }, Event::TracesTaken];
        assert_eq!(book.1, told);
    }

    #[test]
    fn a_share_of_traces_is_taken() {
        let (traces, _) = started(vec![Ok(Vec::new())], None);
        let all = |share: f64| {
            let traces = Traces {
                share,
                queue: Mutex::default(),
                account: traces.account.clone(),
                ended: Mutex::new(sync_channel(1).1),
            };
            let drawn = (0..100).map(|hundredth| u64::MAX / 100 * hundredth);
            drawn.filter(|drawn| traces.takes(*drawn)).count()
        };
        assert_eq!((all(0.0), all(0.25), all(1.0)), (0, 25, 100));
    }
}
