//! Runs of a pipeline.

use custody_types::{Digest, VersionName};
use serde::{Deserialize, Serialize};

use crate::EntryRef;

/// What to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The steps to reach; empty: all that are not marked as manual.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Only say what would run, and why.
    #[serde(default)]
    pub dry_run: bool,
    /// Other values of parameters, each as `STEP.PARAMETER=VALUE` with a value in YAML.
    #[serde(default)]
    pub set: Vec<String>,
    /// How many steps may run at once; `None`: as many as there are processors.
    #[serde(default)]
    pub jobs: Option<u32>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// It ran and made what it declares.
    Made,
    /// What it had made before was used again.
    Reused,
    /// It ran and the answer is no: a contract broken, a gate closed.
    Refused,
    /// It could not be carried out.
    Failed,
    /// It did not run since a step before it did not succeed, or the run was interrupted.
    Blocked,
    /// It was ended from outside while it ran.
    Interrupted,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The step's name.
    pub step: String,
    /// The kind of step: `source`, `sql`, `run`.
    pub action: String,
    /// Whether it will run.
    pub runs: bool,
    /// Why it runs, or what it reuses.
    pub why: String,
    /// Why it runs, one reason a line: what differs from the last time.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// How a step ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepOutcome {
    /// The step's name.
    pub step: String,
    /// The kind of step: `source`, `sql`, `run`.
    pub action: String,
    /// What became of it.
    pub state: StepState,
    /// The versions that it made or reused.
    pub versions: Vec<VersionName>,
    /// What it decided or measured, in plain words, a line each.
    pub notes: Vec<String>,
    /// The attestation.
    pub statement: Option<Digest>,
    /// The ledger entry of its end.
    pub entry: Option<EntryRef>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it did not succeed, if it did not.
    #[serde(default)]
    pub problem: Option<Box<custody_types::Problem>>,
}

impl StepOutcome {
    /// Returns whether the step made what it declares, or had made it before.
    pub fn went_well(&self) -> bool {
        matches!(self.state, StepState::Made | StepState::Reused)
    }
}

/// What happens during a run; one JSON object a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// The plan is made.
    Planned {
        /// The run's id; empty for a dry run.
        run: String,
        /// The steps in the order in which they come.
        steps: Vec<PlannedStep>,
        /// What a person should know, a line each: which versions references mean, what was left out.
        #[serde(default)]
        notes: Vec<String>,
    },
    /// A step begins.
    StepStarted {
        /// The step's name.
        step: String,
    },
    /// A step's program wrote to its output.
    StepLog {
        /// The step's name.
        step: String,
        /// Whole lines, each with its end; or a carriage return and the state of a line that has not ended
        /// yet, such as a progress bar, which the next text of the step replaces.
        text: String,
    },
    /// A step ended.
    StepFinished(Box<StepOutcome>),
    /// The run ended; the last line.
    Finished(Box<RunReply>),
    /// The run ended with an error; the last line.
    Problem(Box<custody_types::Problem>),
}

/// How a run ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunReply {
    /// The run's id; empty for a dry run.
    pub run: String,
    /// Whether every step was made or reused.
    pub ok: bool,
    /// Only planned, not run.
    pub dry_run: bool,
    /// The plan.
    pub plan: Vec<PlannedStep>,
    /// What a person should know, a line each: which versions references mean, what was left out.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How each step ended, in the order of the plan.
    pub steps: Vec<StepOutcome>,
    /// The first and the last ledger entry of the run.
    pub entries: Option<(u64, u64)>,
    /// Why the run is not ok, if so: what decides its exit code. Each step has its own problem.
    pub problem: Option<Box<custody_types::Problem>>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}
