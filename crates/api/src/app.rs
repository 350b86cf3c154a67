//! What the handlers work with.

use std::sync::Arc;

use custody_guard::{Credentials, Door};
use custody_pipeline::run::Runner;

/// The parts behind the edge, put together by the composition root.
#[derive(Debug, Clone)]
pub struct App {
    /// The one door.
    pub door: Door,
    /// What runs pipelines, traces, verifies and reproduces.
    pub runner: Arc<Runner>,
    /// What who calls shows to be let in: in one process, the account of the operating system.
    pub caller: Credentials,
}
