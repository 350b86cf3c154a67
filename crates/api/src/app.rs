//! What the handlers work with.

use std::sync::Arc;

use custody_guard::Door;
use custody_pipeline::run::Runner;
use custody_types::Actor;

/// The parts behind the edge, put together by the composition root.
#[derive(Debug, Clone)]
pub struct App {
    /// The one door.
    pub door: Door,
    /// What runs pipelines, traces, verifies and reproduces.
    pub runner: Arc<Runner>,
    /// Who calls: in one process, the user of the operating system.
    pub caller: Actor,
}
