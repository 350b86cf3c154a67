//! Counting.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use custody_observe::{Event, Finished, Gauges, Refusal, Route, RunEnd, Work};
use custody_types::{ProblemKind, Timestamp};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric as Registered, Registry};

use crate::catalogue::{self as table, Metric, MetricKind};
use crate::process::Process;

/// Bounds for what somebody waits for, in seconds.
const WAITS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0,
];
/// Bounds for runs and steps, in seconds.
const WORK: [f64; 12] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0,
];

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

fn waits() -> Histogram {
    Histogram::new(WAITS)
}

/// Everything that is counted. Cheap to count: an atomic, behind a lock for reading where there are labels.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Counters<2>,
    request_duration: Histograms,
    requests_open: Gauge,
    received: Counter,
    sent: Counter,
    problems: Counters<1>,
    connections: Counter,
    connections_open: Gauge,
    connections_refused: Counters<1>,
    certificates: Counters<1>,
    decisions: Counters<2>,
    entry_duration: Histogram,
    entries: Gauge,
    appends: Counters<1>,
    appended: Counter,
    append_duration: Histogram,
    store_read: Counter,
    store_written: Counter,
    store_duration: Histograms,
    store_failed: Counters<1>,
    runs_open: Gauge,
    runs: Counters<1>,
    run_duration: Histogram,
    steps: Counters<1>,
    step_duration: Histogram,
    sessions: Gauge,
    tokens: Gauge,
    hashing: Gauge,
    hashes_waiting: Gauge,
    panics: Counter,
    pub(crate) lines_lost: Counter,
    pub(crate) spans_sent: Counter,
    spans_lost: Counters<1>,
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    fds: Gauge,
    max_fds: Gauge,
    threads: Gauge,
}

fn label<const N: usize>(metric: Metric, values: [Cow<'static, str>; N]) -> Labels<N> {
    let mut names = metric.labels.iter();
    values.map(|value| (names.next().copied().unwrap_or_default(), value))
}

fn word(word: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(word)
}

fn outcome(ok: bool) -> Cow<'static, str> {
    word(if ok { "ok" } else { "failed" })
}

fn operation(route: Route) -> Cow<'static, str> {
    if route == Route::NONE {
        return word(route.path);
    }
    Cow::Owned(format!("{} {}", route.method, route.path))
}

/// The kind of a problem, by its word in documents.
pub(crate) fn kind_word(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Invalid => "invalid",
        ProblemKind::Malformed => "malformed",
        ProblemKind::Method => "method",
        ProblemKind::MediaType => "media_type",
        ProblemKind::TooLarge => "too_large",
        ProblemKind::TooMany => "too_many",
        ProblemKind::Unauthenticated => "unauthenticated",
        ProblemKind::Denied => "denied",
        ProblemKind::NotFound => "not_found",
        ProblemKind::Conflict => "conflict",
        ProblemKind::Refused => "refused",
        ProblemKind::Failed => "failed",
        ProblemKind::Held => "held",
        ProblemKind::Integrity => "integrity",
        ProblemKind::Unavailable => "unavailable",
        ProblemKind::Full => "full",
        ProblemKind::TimedOut => "timed_out",
        ProblemKind::Isolation => "isolation",
        ProblemKind::Interrupted => "interrupted",
        ProblemKind::Fault => "fault",
    }
}

fn whole(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

/// Puts metrics where they are written from, under what the table says of them.
struct Register(Registry);

impl Register {
    fn add<M: Registered + Clone>(&mut self, metric: Metric, figure: M) -> M {
        let name = match metric.kind {
            MetricKind::Counter => metric.name.strip_suffix("_total"),
            MetricKind::Info => metric.name.strip_suffix("_info"),
            MetricKind::Gauge | MetricKind::Histogram => None,
        };
        let name = name.unwrap_or(metric.name);
        self.0.register(name, metric.help, figure.clone());
        figure
    }

    fn counter(&mut self, metric: Metric) -> Counter {
        self.add(metric, Counter::default())
    }

    fn gauge(&mut self, metric: Metric) -> Gauge {
        self.add(metric, Gauge::default())
    }

    fn counters<const N: usize>(&mut self, metric: Metric) -> Counters<N> {
        self.add(metric, Family::default())
    }
}

impl Metrics {
    /// Begins to count. `started`: when the server did.
    pub(crate) fn new(version: &'static str, started: Timestamp) -> Self {
        let mut all = Register(Registry::default());
        let begun: Gauge<f64, AtomicU64> = Gauge::default();
        #[expect(
            clippy::cast_precision_loss,
            reason = "microseconds since 1970 have 53 bits until the year 2255"
        )]
        begun.set(started.unix_micros() as f64 / 1e6);
        let version = label(table::BUILD, [word(version)]);
        all.0
            .register("custody_build", table::BUILD.help, Info::new(version));
        let made = Self {
            requests: all.counters(table::REQUESTS),
            request_duration: all.add(
                table::REQUEST_DURATION,
                Family::new_with_constructor(waits as fn() -> Histogram),
            ),
            requests_open: all.gauge(table::REQUESTS_OPEN),
            received: all.counter(table::RECEIVED),
            sent: all.counter(table::SENT),
            problems: all.counters(table::PROBLEMS),
            connections: all.counter(table::CONNECTIONS),
            connections_open: all.gauge(table::CONNECTIONS_OPEN),
            connections_refused: all.counters(table::CONNECTIONS_REFUSED),
            certificates: all.counters(table::CERTIFICATES),
            decisions: all.counters(table::DECISIONS),
            entry_duration: all.add(table::ENTRY_DURATION, waits()),
            entries: all.gauge(table::ENTRIES),
            appends: all.counters(table::APPENDS),
            appended: all.counter(table::APPENDED),
            append_duration: all.add(table::APPEND_DURATION, waits()),
            store_read: all.counter(table::STORE_READ),
            store_written: all.counter(table::STORE_WRITTEN),
            store_duration: all.add(
                table::STORE_DURATION,
                Family::new_with_constructor(waits as fn() -> Histogram),
            ),
            store_failed: all.counters(table::STORE_FAILED),
            runs_open: all.gauge(table::RUNS_OPEN),
            runs: all.counters(table::RUNS),
            run_duration: all.add(table::RUN_DURATION, Histogram::new(WORK)),
            steps: all.counters(table::STEPS),
            step_duration: all.add(table::STEP_DURATION, Histogram::new(WORK)),
            sessions: all.gauge(table::SESSIONS),
            tokens: all.gauge(table::TOKENS),
            hashing: all.gauge(table::HASHING),
            hashes_waiting: all.gauge(table::HASHES_WAITING),
            panics: all.counter(table::PANICS),
            lines_lost: all.counter(table::LINES_LOST),
            spans_sent: all.counter(table::SPANS_SENT),
            spans_lost: all.counters(table::SPANS_LOST),
            cpu: all.add(table::CPU, Counter::default()),
            resident: all.gauge(table::RESIDENT),
            fds: all.gauge(table::FDS),
            max_fds: all.gauge(table::MAX_FDS),
            threads: all.gauge(table::THREADS),
            registry: Mutex::default(),
        };
        all.add(table::START_TIME, begun);
        made.begin_at_zero();
        *made.registry.lock().unwrap_or_else(PoisonError::into_inner) = all.0;
        made
    }

    /// Has the figures that somebody is woken by there from the start: one that appears with 1 did not rise.
    fn begin_at_zero(&self) {
        for ok in [true, false] {
            drop(
                self.appends
                    .get_or_create(&label(table::APPENDS, [outcome(ok)])),
            );
            let renewals = label(table::CERTIFICATES, [outcome(ok)]);
            drop(self.certificates.get_or_create(&renewals));
        }
        for kind in ProblemKind::ALL {
            let labels = label(table::PROBLEMS, [word(kind_word(kind))]);
            drop(self.problems.get_or_create(&labels));
        }
        for why in Refusal::ALL {
            let labels = label(table::CONNECTIONS_REFUSED, [word(why.word())]);
            drop(self.connections_refused.get_or_create(&labels));
        }
        for end in RunEnd::ALL {
            drop(
                self.steps
                    .get_or_create(&label(table::STEPS, [word(end.word())])),
            );
            if !matches!(end, RunEnd::Reused | RunEnd::Blocked) {
                drop(
                    self.runs
                        .get_or_create(&label(table::RUNS, [word(end.word())])),
                );
            }
        }
        for work in ["read", "write"] {
            let labels = label(table::STORE_FAILED, [word(work)]);
            drop(self.store_failed.get_or_create(&labels));
        }
        for why in ["queue", "collector", "rejected"] {
            self.lose_spans(why, 0);
        }
    }

    /// Counts spans that were left out.
    pub(crate) fn lose_spans(&self, why: &'static str, spans: u64) {
        let labels = label(table::SPANS_LOST, [word(why)]);
        self.spans_lost.get_or_create(&labels).inc_by(spans);
    }

    /// Counts work that has ended.
    pub(crate) fn done(&self, finished: &Finished) {
        let (ok, took) = (finished.done.ok, finished.took.as_secs_f64());
        match finished.done.work {
            Work::Request {
                route,
                status,
                problem,
                received,
                sent,
                ..
            } => {
                self.requests_open.dec();
                self.received.inc_by(received);
                self.sent.inc_by(sent);
                let status = status.map_or(word("none"), |status| status.to_string().into());
                let labels = label(table::REQUESTS, [operation(route), status]);
                self.requests.get_or_create(&labels).inc();
                let labels = label(table::REQUEST_DURATION, [operation(route)]);
                self.request_duration.get_or_create(&labels).observe(took);
                if let Some(kind) = problem {
                    let labels = label(table::PROBLEMS, [word(kind_word(kind))]);
                    self.problems.get_or_create(&labels).inc();
                }
            }
            Work::Decision { action, permit } => {
                let effect = word(if permit { "permit" } else { "forbid" });
                let labels = label(table::DECISIONS, [word(action.name()), effect]);
                self.decisions.get_or_create(&labels).inc();
            }
            Work::Entry => self.entry_duration.observe(took),
            Work::Append { entries } => {
                let labels = label(table::APPENDS, [outcome(ok)]);
                self.appends.get_or_create(&labels).inc();
                self.append_duration.observe(took);
                if ok {
                    self.appended.inc_by(entries);
                }
            }
            Work::StoreRead { bytes } => {
                self.store_read.inc_by(bytes);
                self.stored("read", ok, took);
            }
            Work::StoreWrite { bytes } => {
                self.store_written.inc_by(if ok { bytes } else { 0 });
                self.stored("write", ok, took);
            }
            Work::Run { end, .. } => {
                let labels = label(table::RUNS, [word(end.word())]);
                self.runs.get_or_create(&labels).inc();
                self.run_duration.observe(took);
            }
            Work::Step { end, .. } => {
                let labels = label(table::STEPS, [word(end.word())]);
                self.steps.get_or_create(&labels).inc();
                if end != RunEnd::Blocked {
                    self.step_duration.observe(took);
                }
            }
        }
    }

    fn stored(&self, work: &'static str, ok: bool, took: f64) {
        let labels = label(table::STORE_DURATION, [word(work)]);
        self.store_duration.get_or_create(&labels).observe(took);
        if !ok {
            let labels = label(table::STORE_FAILED, [word(work)]);
            self.store_failed.get_or_create(&labels).inc();
        }
    }

    /// Counts what happened.
    pub(crate) fn happened(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.connections.inc();
                self.connections_open.inc();
            }
            Event::Disconnected => {
                self.connections_open.dec();
            }
            Event::Refused(why) => {
                let labels = label(table::CONNECTIONS_REFUSED, [word(why.word())]);
                self.connections_refused.get_or_create(&labels).inc();
            }
            Event::Asked => {
                self.requests_open.inc();
            }
            Event::Certificate { ok } => {
                let labels = label(table::CERTIFICATES, [outcome(*ok)]);
                self.certificates.get_or_create(&labels).inc();
            }
            Event::RunBegan { .. } => {
                self.runs_open.inc();
            }
            Event::RunLeft => {
                self.runs_open.dec();
            }
            Event::Panicked { .. } => {
                self.panics.inc();
            }
            Event::Started
            | Event::Sealed
            | Event::Listening { .. }
            | Event::Stopping
            | Event::Stopped
            | Event::LinesLost { .. }
            | Event::TracesLost { .. }
            | Event::TracesTaken => {}
        }
    }

    /// Writes everything, in the format of `OpenMetrics`.
    pub(crate) fn write(&self, gauges: &Gauges) -> String {
        // One at a time: what is looked up is that of the text.
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let process = Process::now();
        self.entries.set(whole(gauges.entries));
        self.sessions.set(whole(gauges.sessions));
        self.tokens.set(whole(gauges.tokens));
        self.hashing.set(whole(gauges.hashing));
        self.hashes_waiting.set(whole(gauges.hashes_waiting));
        self.cpu
            .inc_by((process.cpu_seconds - self.cpu.get()).max(0.0));
        self.resident.set(whole(process.resident_bytes));
        self.fds.set(whole(process.open_fds));
        self.max_fds.set(whole(process.max_fds));
        self.threads.set(whole(process.threads));
        let mut text = String::new();
        // A `String` takes everything.
        let _ = encode(&mut text, &registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use custody_observe::{Done, RequestId};
    use custody_types::{Action, Clock, Entropy};

    use super::*;
    use crate::catalogue::METRICS;

    #[derive(Debug)]
    struct Zero;

    impl Clock for Zero {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn monotonic_ms(&self) -> u64 {
            0
        }
    }

    impl Entropy for Zero {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }

    #[test]
    fn what_is_written_is_what_the_table_says() {
        let started = "2027-01-01T00:00:00.5Z".parse().unwrap();
        let metrics = Metrics::new("1.2.3", started);
        // What has labels is written once there is one.
        for work in [
            Work::Request {
                id: RequestId::draw(&Zero, &Zero),
                route: Route::new("GET", "/v1/runs/{id}"),
                status: None,
                problem: None,
                received: 1,
                sent: 2,
                whole: false,
            },
            Work::Decision {
                action: Action::List,
                permit: true,
            },
            Work::StoreRead { bytes: 3 },
        ] {
            metrics.done(&Finished {
                done: Done { work, ok: true },
                began: started,
                took: Duration::from_millis(3),
                traced: None,
            });
        }
        let text = metrics.write(&Gauges {
            entries: 7,
            ..Gauges::default()
        });
        let written: BTreeSet<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .map(|line| {
                let (name, kind) = line.split_once(' ').unwrap();
                let end = match kind {
                    "counter" => "_total",
                    "info" => "_info",
                    _ => "",
                };
                (format!("{name}{end}"), kind.to_owned())
            })
            .collect();
        let said: BTreeSet<_> = METRICS
            .iter()
            .map(|metric| (metric.name.to_owned(), metric.kind.word().to_owned()))
            .collect();
        assert_eq!(written, said);
        assert_eq!(METRICS.len(), said.len());
        assert!(text.ends_with("# EOF\n"));
        for line in [
            "custody_build_info{version=\"1.2.3\"} 1",
            "custody_ledger_entries 7",
            "custody_http_requests_total{operation=\"GET /v1/runs/{id}\",status=\"none\"} 1",
            "custody_decisions_total{action=\"list\",effect=\"permit\"} 1",
            "custody_store_read_bytes_total 3",
            "process_start_time_seconds 1798761600.5",
            "custody_problems_total{kind=\"denied\"} 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
    }

    #[test]
    fn kinds_of_problems_have_the_words_of_documents() {
        for kind in ProblemKind::ALL {
            let word = serde_json::to_value(kind).unwrap();
            assert_eq!(word, kind_word(kind));
        }
    }
}
