//! What becomes of what a server tells of its work: figures for who asks, lines of a log, spans for a collector of traces.
//!
//! Enter at [`Telemetry`]. It stands behind an [`Observer`](custody_observe::Observer), whose words name nobody and nothing ([`custody_observe`]). None of
//! the three makes a request wait: figures are counted in memory; lines and spans go into a queue with a limit, to a thread that
//! writes or sends them, and what finds the queue full is left out and counted.
#![forbid(unsafe_code)]

mod catalogue;
mod collector;
mod log;
mod metrics;
mod otlp;
mod panics;
mod process;
mod telemetry;
mod traces;

pub use catalogue::{METRICS, Metric, MetricKind, reference};
pub use collector::{Collector, HttpCollector, Untaken};
pub use log::{Format, Level};
pub use panics::tell_panics;
pub use telemetry::{Settings, Telemetry, TraceSettings};
