//! The sink behind an observer: counts, writes, sends.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use custody_observe::{Event, Finished, Gauges, Observer, RequestId, Sink};
use custody_types::{Clock, Entropy};

use crate::collector::Collector;
use crate::log::{Format, Level, Log};
use crate::metrics::Metrics;
use crate::otlp::Server;
use crate::traces::{Account, Traces};

/// What is told, and to whom.
pub struct Settings {
    /// The version of the program.
    pub version: &'static str,
    /// How much is written.
    pub level: Level,
    /// How lines look.
    pub format: Format,
    /// Where lines go.
    pub log: Box<dyn Write + Send>,
    /// Who takes traces, if anybody.
    pub traces: Option<TraceSettings>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("level", &self.level)
            .field("format", &self.format)
            .field("traces", &self.traces)
            .finish_non_exhaustive()
    }
}

/// Who takes traces.
#[derive(Debug)]
pub struct TraceSettings {
    /// Where they are sent.
    pub collector: Box<dyn Collector>,
    /// Which share of all traces is sent, from 0 to 1.
    pub share: f64,
}

/// Figures, a log and traces of a server. Dropping it ends the log and the traces, and waits some seconds until both are out.
#[derive(Debug)]
pub struct Telemetry {
    told: Arc<Told>,
    observer: Observer,
}

#[derive(Debug)]
struct Told {
    metrics: Arc<Metrics>,
    log: Arc<Log>,
    traces: OnceLock<Traces>,
}

impl Telemetry {
    /// Begins to count, to write and to send.
    ///
    /// # Errors
    /// When the machine gives no threads.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let Settings {
            version,
            level,
            format,
            log,
            traces,
            clock,
            entropy,
        } = settings;
        let told = Arc::new(Told {
            metrics: Arc::new(Metrics::new(version, clock.now())),
            log: Arc::new(Log::start(level, format, clock.clone(), log)?),
            traces: OnceLock::new(),
        });
        if let Some(TraceSettings { collector, share }) = traces {
            let instance = RequestId::draw(clock.as_ref(), entropy.as_ref()).to_string();
            let server = Server { version, instance };
            let account = Arc::new(Books {
                metrics: told.metrics.clone(),
                log: told.log.clone(),
            });
            let traces = Traces::start(share, collector, server, account, clock.clone())?;
            // It is set here alone.
            let _ = told.traces.set(traces);
        }
        let observer = Observer::new(told.clone(), clock, entropy);
        Ok(Self { told, observer })
    }

    /// Returns what tells it.
    pub const fn observer(&self) -> &Observer {
        &self.observer
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // What becomes of the traces is told in the log.
        if let Some(traces) = self.told.traces.get() {
            traces.stop();
        }
        self.told.log.stop();
    }
}

impl Sink for Told {
    fn done(&self, finished: &Finished) {
        self.metrics.done(finished);
        self.metrics.lines_lost.inc_by(self.log.done(finished));
        if let Some(traces) = self.traces.get() {
            traces.take(finished);
        }
    }

    fn happened(&self, event: &Event) {
        self.metrics.happened(event);
        self.metrics.lines_lost.inc_by(self.log.happened(event));
    }

    fn traces(&self, drawn: u64) -> bool {
        self.traces.get().is_some_and(|traces| traces.takes(drawn))
    }

    fn metrics(&self, gauges: &Gauges) -> String {
        self.metrics.write(gauges)
    }
}

/// What became of spans, counted and told.
struct Books {
    metrics: Arc<Metrics>,
    log: Arc<Log>,
}

impl Account for Books {
    fn taken(&self, spans: u64) {
        self.metrics.spans_sent.inc_by(spans);
    }

    fn lost(&self, why: &'static str, spans: u64) {
        self.metrics.lose_spans(why, spans);
    }

    fn happened(&self, event: &Event) {
        self.metrics.lines_lost.inc_by(self.log.happened(event));
    }
}
