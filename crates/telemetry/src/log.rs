//! Lines of the log: one for each thing that happened, as JSON or for people.
//!
//! A line goes into a queue of [`LINES`]; a thread writes them. Where the queue is full (nobody reads the pipe, the disk is slow)
//! lines are left out, counted, and told of once there is room.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use custody_observe::{Done, Event, Finished, Route, RunEnd, RunId, Work};
use custody_types::{Clock, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::metrics::kind_word;

/// How many lines wait to be written.
const LINES: usize = 4096;
/// How long the end of the process waits for lines that are not written.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is asked by programs every few seconds, and would be most of the log.
const ROUTINE: [&str; 3] = ["/health", "/ready", "/metrics"];

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What somebody must look into.
    Error,
    /// What may need somebody.
    Warn,
    /// What is done.
    Info,
    /// How it is done.
    Debug,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object each.
    Json,
    /// For people.
    Text,
}

/// What a line says of something: a word of the program, a figure, or an id that it drew.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Word(&'static str),
    Id(String),
    Figure(u64),
    Milliseconds(f64),
    Fact(bool),
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    level: Level,
    event: &'static str,
    says: Vec<(&'static str, Value)>,
}

impl Line {
    const fn new(level: Level, event: &'static str) -> Self {
        Self {
            level,
            event,
            says: Vec::new(),
        }
    }

    fn word(mut self, name: &'static str, word: &'static str) -> Self {
        self.says.push((name, Value::Word(word)));
        self
    }

    fn id(mut self, name: &'static str, id: impl ToString) -> Self {
        self.says.push((name, Value::Id(id.to_string())));
        self
    }

    fn figure(mut self, name: &'static str, figure: impl Into<u64>) -> Self {
        self.says.push((name, Value::Figure(figure.into())));
        self
    }

    fn fact(mut self, name: &'static str, fact: bool) -> Self {
        self.says.push((name, Value::Fact(fact)));
        self
    }

    fn took(mut self, took: Duration) -> Self {
        let milliseconds = took.as_secs_f64() * 1000.0;
        let says = Value::Milliseconds(milliseconds);
        self.says.push(("duration_ms", says));
        self
    }

    fn run(self, run: Option<RunId>, end: Option<RunEnd>) -> Self {
        let line = match run {
            Some(run) => self.id("run", run),
            None => self,
        };
        match end {
            Some(end) => line.word("end", end.word()),
            None => line,
        }
    }

    fn bytes(&self, time: Timestamp, format: Format) -> Vec<u8> {
        let mut bytes = match format {
            Format::Json => serde_json::to_vec(&Timed { time, line: self }).unwrap_or_default(),
            Format::Text => self.text(time).into_bytes(),
        };
        bytes.push(b'\n');
        bytes
    }

    fn text(&self, time: Timestamp) -> String {
        let mut text = format!("{time} {:<5} {}", self.level.word(), self.event);
        for (name, value) in &self.says {
            // A `String` takes everything.
            let _ = match value {
                Value::Word(word) if word.contains(' ') => write!(text, " {name}=\"{word}\""),
                Value::Word(word) => write!(text, " {name}={word}"),
                Value::Id(id) if id.contains(' ') => write!(text, " {name}=\"{id}\""),
                Value::Id(id) => write!(text, " {name}={id}"),
                Value::Figure(figure) => write!(text, " {name}={figure}"),
                Value::Milliseconds(figure) => write!(text, " {name}={figure:.3}"),
                Value::Fact(fact) => write!(text, " {name}={fact}"),
            };
        }
        text
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Word(word) => serializer.serialize_str(word),
            Self::Id(id) => serializer.serialize_str(id),
            Self::Figure(figure) => serializer.serialize_u64(*figure),
            Self::Milliseconds(figure) => serializer.serialize_f64((figure * 1e3).round() / 1e3),
            Self::Fact(fact) => serializer.serialize_bool(*fact),
        }
    }
}

struct Timed<'a> {
    time: Timestamp,
    line: &'a Line,
}

impl Serialize for Timed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &self.time.to_string())?;
        map.serialize_entry("level", self.line.level.word())?;
        map.serialize_entry("event", self.line.event)?;
        for (name, value) in &self.line.says {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn operation(route: Route) -> String {
    format!("{} {}", route.method, route.path)
        .trim_start()
        .to_owned()
}

/// Returns what is said of work that has ended.
fn line_of(finished: &Finished) -> Line {
    let Done { work, ok } = finished.done;
    let or_error = |level| if ok { level } else { Level::Error };
    let line = match work {
        Work::Request {
            id,
            route,
            status,
            problem,
            received,
            sent,
            whole,
        } => {
            let level = match status {
                Some(status) if status >= 500 => Level::Error,
                None => Level::Warn,
                Some(200) if ROUTINE.contains(&route.path) => Level::Debug,
                Some(_) => Level::Info,
            };
            let mut line = Line::new(level, "request")
                .id("request", id)
                .id("operation", operation(route));
            if let Some(status) = status {
                line = line.figure("status", status);
            }
            if let Some(kind) = problem {
                line = line.word("problem", kind_word(kind));
            }
            line = line
                .took(finished.took)
                .figure("received_bytes", received)
                .figure("sent_bytes", sent);
            if !whole {
                line = line.fact("whole", false);
            }
            return traced(line, finished);
        }
        Work::Run { run, end } => {
            let level = match end {
                RunEnd::Failed => Level::Warn,
                _ => Level::Info,
            };
            Line::new(level, "run.ended").run(run, Some(end))
        }
        Work::Step { run, end } => Line::new(Level::Debug, "step.ended").run(run, Some(end)),
        Work::Decision { action, permit } => Line::new(Level::Debug, "decision")
            .word("action", action.name())
            .word("effect", if permit { "permit" } else { "forbid" }),
        Work::Entry => Line::new(or_error(Level::Debug), "ledger.entry").fact("ok", ok),
        Work::Append { entries } => Line::new(or_error(Level::Debug), "ledger.append")
            .figure("entries", entries)
            .fact("ok", ok),
        Work::StoreRead { bytes } => Line::new(or_error(Level::Debug), "store.read")
            .figure("bytes", bytes)
            .fact("ok", ok),
        Work::StoreWrite { bytes } => Line::new(or_error(Level::Debug), "store.write")
            .figure("bytes", bytes)
            .fact("ok", ok),
    };
    let line = match finished.traced.and_then(|traced| traced.request) {
        Some(request) => line.id("request", request),
        None => line,
    };
    traced(line.took(finished.took), finished)
}

fn traced(line: Line, finished: &Finished) -> Line {
    let Some(traced) = finished.traced else {
        return line;
    };
    let mut hex = String::new();
    for byte in traced.trace.0 {
        let _ = write!(hex, "{byte:02x}");
    }
    line.id("trace", hex)
}

/// Returns what is said of what happened, if anything: connections are counted, and each request has its line.
fn line_of_event(event: &Event) -> Option<Line> {
    let info = |event| Line::new(Level::Info, event);
    Some(match event {
        Event::Started => info("server.started"),
        Event::Sealed => info("server.sealed"),
        Event::Listening { port } => info("server.listening").figure("port", *port),
        Event::Stopping => info("server.stopping"),
        Event::Stopped => info("server.stopped"),
        Event::Refused(why) => {
            Line::new(Level::Warn, "connection.refused").word("reason", why.word())
        }
        Event::Certificate { ok: true } => info("certificate.renewed"),
        Event::Certificate { ok: false } => Line::new(Level::Error, "certificate.unusable"),
        Event::RunBegan { run } => info("run.began").run(*run, None),
        Event::Panicked { at } => Line::new(Level::Error, "fault").id("at", at.as_str()),
        Event::LinesLost { lines } => {
            Line::new(Level::Warn, "log.lines_lost").figure("lines", *lines)
        }
        Event::TracesLost { why } => Line::new(Level::Warn, "traces.not_taken").word("reason", why),
        Event::TracesTaken => info("traces.taken"),
        Event::Connected | Event::Disconnected | Event::Asked | Event::RunLeft => return None,
    })
}

/// The log. Whoever tells it something waits for nothing.
#[derive(Debug)]
pub(crate) struct Log {
    level: Level,
    format: Format,
    clock: Arc<dyn Clock>,
    queue: Mutex<Option<SyncSender<Vec<u8>>>>,
    /// How many lines were left out since it was told last.
    lost: AtomicU64,
    ended: Mutex<Receiver<()>>,
}

impl Log {
    /// Writes to `out` from now on.
    ///
    /// # Errors
    /// When the machine gives no thread for it.
    pub(crate) fn start(
        level: Level,
        format: Format,
        clock: Arc<dyn Clock>,
        out: Box<dyn Write + Send>,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(LINES);
        let (ending, ended) = sync_channel(1);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                write_all(&lines, out);
                // Nobody may wait for it.
                let _ = ending.try_send(());
            })?;
        Ok(Self {
            level,
            format,
            clock,
            queue: Mutex::new(Some(queue)),
            lost: AtomicU64::new(0),
            ended: Mutex::new(ended),
        })
    }

    /// Takes work that has ended. Returns how many lines are left out by that.
    pub(crate) fn done(&self, finished: &Finished) -> u64 {
        self.take(&line_of(finished))
    }

    /// Takes what happened. Returns how many lines are left out by that.
    pub(crate) fn happened(&self, event: &Event) -> u64 {
        line_of_event(event).map_or(0, |line| self.take(&line))
    }

    fn take(&self, line: &Line) -> u64 {
        if line.level > self.level {
            return 0;
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else {
            return 0;
        };
        let now = self.clock.now();
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0
            && let Some(told) = line_of_event(&Event::LinesLost { lines: lost })
            && queue.try_send(told.bytes(now, self.format)).is_err()
        {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        match queue.try_send(line.bytes(now, self.format)) {
            Ok(()) => 0,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                1
            }
        }
    }

    /// Takes no more, and waits a little until what was taken is written.
    pub(crate) fn stop(&self) {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(queue);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(PATIENCE) {
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}

fn write_all(lines: &Receiver<Vec<u8>>, mut out: Box<dyn Write + Send>) {
    while let Ok(line) = lines.recv() {
        // Where it cannot be written there is nobody to tell; the next may be.
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use custody_observe::{Refusal, RequestId, SpanId, TraceId, Traced};
    use custody_types::{Entropy, ProblemKind};

    use super::*;

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            "2027-01-02T03:04:05.678Z".parse().unwrap()
        }
        fn monotonic_ms(&self) -> u64 {
            0
        }
    }

    impl Entropy for Still {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    fn request(path: &'static str, status: Option<u16>) -> Finished {
        let id = RequestId::draw(&Still, &Still);
        Finished {
            done: Done {
                work: Work::Request {
                    id,
                    route: Route::new("GET", path),
                    status,
                    problem: Some(ProblemKind::Denied).filter(|_| status == Some(403)),
                    received: 2,
                    sent: 10,
                    whole: status.is_some(),
                },
                ok: status.is_some_and(|status| status < 500),
            },
            began: Still.now(),
            took: Duration::from_micros(1_234_567),
            traced: Some(Traced {
                trace: TraceId([0xab; 16]),
                span: SpanId([1; 8]),
                parent: None,
                link: None,
                request: Some(id),
            }),
        }
    }

    #[test]
    fn a_line_is_one_object_or_one_for_people() {
        let line = line_of(&request("/v1/runs/{id}", Some(403)));
        let json = line.bytes(Still.now(), Format::Json);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"time\":\"2027-01-02T03:04:05.678000Z\",\"level\":\"info\",\"event\":\"request\",\
             \"request\":\"0194252a-5d0e-7707-8707-070707070707\",\"operation\":\"GET /v1/runs/{id}\",\"status\":403,\
             \"problem\":\"denied\",\"duration_ms\":1234.567,\"received_bytes\":2,\"sent_bytes\":10,\
             \"trace\":\"abababababababababababababababab\"}\n"
                .replace("0194252a-5d0e-7707-8707-070707070707", &RequestId::draw(&Still, &Still).to_string())
        );
        let text = line.text(Still.now());
        assert!(
            text.starts_with("2027-01-02T03:04:05.678000Z info  request request="),
            "{text}"
        );
        assert!(
            text.contains(
                " operation=\"GET /v1/runs/{id}\" status=403 problem=denied duration_ms=1234.567 "
            ),
            "{text}"
        );
    }

    #[test]
    fn each_line_has_the_level_of_who_must_look() {
        let level = |path, status| line_of(&request(path, status)).level;
        assert_eq!(level("/v1/versions", Some(200)), Level::Info);
        assert_eq!(level("/v1/versions", Some(503)), Level::Error);
        assert_eq!(level("/v1/versions", None), Level::Warn);
        assert_eq!(level("/metrics", Some(200)), Level::Debug);
        assert_eq!(level("/metrics", Some(403)), Level::Info);
        let event = |event| line_of_event(&event).map(|line| line.level);
        assert_eq!(event(Event::Connected), None);
        assert_eq!(event(Event::Refused(Refusal::Tls)), Some(Level::Warn));
        assert_eq!(event(Event::Certificate { ok: false }), Some(Level::Error));
    }

    /// Somebody who takes no line until both sides meet, and who keeps them then.
    struct Slow {
        meet: Arc<Barrier>,
        kept: Arc<Mutex<Vec<u8>>>,
        begun: bool,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.begun {
                self.begun = true;
                self.meet.wait();
                self.meet.wait();
            }
            self.kept.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_takes_no_line_makes_nobody_wait_and_learns_how_many_were_left_out() {
        let (meet, kept) = (Arc::new(Barrier::new(2)), Arc::default());
        let slow = Slow {
            meet: meet.clone(),
            kept: Arc::clone(&kept),
            begun: false,
        };
        let log = Log::start(Level::Info, Format::Json, Arc::new(Still), Box::new(slow)).unwrap();
        assert_eq!(log.happened(&Event::Started), 0);
        // From here on one line is being written, and none comes out of the queue.
        meet.wait();
        let lost: u64 = (0..LINES + 10)
            .map(|_| log.happened(&Event::Stopping))
            .sum();
        assert_eq!(lost, 10);
        meet.wait();
        // Until there is room it is left out too.
        let mut more = 0;
        while log.happened(&Event::Stopped) > 0 {
            more += 1;
            thread::yield_now();
        }
        log.stop();
        let text = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let told = lines.iter().filter_map(|line| line["lines"].as_u64());
        assert_eq!(told.sum::<u64>(), 10 + more);
        assert!(lines.len() > LINES);
    }
}
