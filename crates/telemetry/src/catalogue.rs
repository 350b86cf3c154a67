//! The table of everything that is counted: `docs/reference/metrics.md` is made of it, and what is served is registered by it.

use std::fmt::Write as _;

/// What kind of figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It rises, from 0 at the start of the process.
    Counter,
    /// It rises and falls.
    Gauge,
    /// How many observations there were of each size.
    Histogram,
    /// A constant 1, whose labels say something.
    Info,
}

impl MetricKind {
    /// Returns the word for it, as `OpenMetrics` has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// Something that is counted.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, with its unit.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it is, without the full stop.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(crate) const $constant: Metric = Metric {
            name: $name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// Everything that is counted.
        pub const METRICS: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    BUILD Info "custody_build_info" ["version"] "The version of the program";
    REQUESTS Counter "custody_http_requests_total" ["operation", "status"] "Requests whose answer has ended, by the method and the template of the path, `none` where there is no such operation, and by status, `none` where nobody waited for an answer";
    REQUEST_DURATION Histogram "custody_http_request_duration_seconds" ["operation"] "How long requests took, from the head to the end of the answer";
    REQUESTS_OPEN Gauge "custody_http_requests_in_flight" [] "Requests that go on";
    RECEIVED Counter "custody_http_received_bytes_total" [] "Bytes of bodies of requests that were read";
    SENT Counter "custody_http_sent_bytes_total" [] "Bytes of bodies of answers that were taken";
    PROBLEMS Counter "custody_problems_total" ["kind"] "Requests that were answered with a problem, by its kind as in the documents: `denied` by policy, `unauthenticated`, `too_many`, `integrity`, `full`, `fault`";
    CONNECTIONS Counter "custody_connections_total" [] "Connections that were taken";
    CONNECTIONS_OPEN Gauge "custody_connections_open" [] "Connections that are open";
    CONNECTIONS_REFUSED Counter "custody_connections_refused_total" ["reason"] "Connections that came to nothing: no TLS (`tls`), not in time (`time`), what came was no request (`head`), none could be taken (`accept`)";
    CERTIFICATES Counter "custody_certificate_renewals_total" ["outcome"] "How often another certificate was to be shown: `ok`, or `failed`, where the last is shown still";
    DECISIONS Counter "custody_decisions_total" ["action", "effect"] "Decisions of the door on what was asked of it, by action and effect: `permit`, `forbid`";
    ENTRY_DURATION Histogram "custody_entry_duration_seconds" [] "How long somebody waited until entries of theirs were durable in the ledger";
    ENTRIES Gauge "custody_ledger_entries" [] "Entries that the ledger has";
    APPENDS Counter "custody_ledger_appends_total" ["outcome"] "Appends to the ledger, each of entries of several at once: `ok`, or `failed`";
    APPENDED Counter "custody_ledger_appended_entries_total" [] "Entries that were appended by this process";
    APPEND_DURATION Histogram "custody_ledger_append_duration_seconds" [] "How long it took to append entries durably";
    STORE_READ Counter "custody_store_read_bytes_total" [] "Bytes of packs that were read";
    STORE_WRITTEN Counter "custody_store_written_bytes_total" [] "Bytes of packs that were written";
    STORE_DURATION Histogram "custody_store_operation_duration_seconds" ["operation"] "How long a `read` or a `write` of a pack took";
    STORE_FAILED Counter "custody_store_failures_total" ["operation"] "Reads and writes of packs that failed";
    RUNS_OPEN Gauge "custody_runs_in_progress" [] "Runs that go on";
    RUNS Counter "custody_runs_ended_total" ["end"] "Runs that ended, by how: `ok`, `refused` where a check or gate said no, `failed`, `interrupted`";
    RUN_DURATION Histogram "custody_run_duration_seconds" [] "How long runs took";
    STEPS Counter "custody_steps_ended_total" ["end"] "Steps of runs that ended, by how; besides: `reused`, and `blocked`, which were not begun";
    STEP_DURATION Histogram "custody_step_duration_seconds" [] "How long steps took that were begun";
    SESSIONS Gauge "custody_sessions_open" [] "Sessions of people who signed in that count";
    TOKENS Gauge "custody_tokens_in_force" [] "Tokens that count";
    HASHING Gauge "custody_password_hashes_in_progress" [] "Passwords that are hashed, at most two";
    HASHES_WAITING Gauge "custody_password_hashes_waiting" [] "Passwords that wait for that, at most 32; who comes then is refused";
    PANICS Counter "custody_panics_total" [] "Faults of the program that were caught";
    LINES_LOST Counter "custody_log_lines_lost_total" [] "Lines of the log that were left out, since nobody took them";
    SPANS_SENT Counter "custody_spans_sent_total" [] "Spans that the collector of traces took";
    SPANS_LOST Counter "custody_spans_lost_total" ["reason"] "Spans that were left out: the `queue` was full, the `collector` did not take them, or it `rejected` them";
    START_TIME Gauge "process_start_time_seconds" [] "When the server started, in seconds since 1970";
    CPU Counter "process_cpu_seconds_total" [] "Processor time that the process used, of the system too";
    RESIDENT Gauge "process_resident_memory_bytes" [] "Memory that the process has";
    FDS Gauge "process_open_fds" [] "Files and connections that the process has open";
    MAX_FDS Gauge "process_max_fds" [] "How many it may have open";
    THREADS Gauge "process_threads" [] "Threads of the process";
}

const HEADING: &str = "# What a server counts

Generated; not to be edited. `GET /metrics` answers with it in the format of [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) 1.0, to whoever may `readMetrics`.
How to have it collected, and what to be told of, is in [watch a server](../how-to/watch-a-server.md). Counters begin at 0 with the process. No label names a
person, a project, an artifact or an address, and each has few values.

| name | kind | labels | |
|---|---|---|---|
";

/// Writes the table for people.
pub fn reference() -> String {
    let mut text = HEADING.to_owned();
    for metric in METRICS {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        // A `String` takes everything.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind.word(),
            labels.join(", "),
            metric.help
        );
    }
    text
}
