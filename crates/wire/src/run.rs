//! Runs of a pipeline.

use std::collections::BTreeMap;

use custody_types::{Digest, FilePath, ProjectName, Timestamp, VersionName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EntryRef;

/// What to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
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
    /// What the project's folder held; `None`: what it holds now, where the folder is on the machine that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// Answer as soon as the run has started, with a [`RunStarted`]; how it goes on is told by its events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
}

/// What a project's folder held when a run was asked for, kept as versions: all that the pipeline file names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The version of `custody.yaml`, the lock files and the code, by their paths below the folder.
    pub folder: VersionName,
    /// The files of that version that a path under `code` in the pipeline file stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub code: BTreeMap<String, Vec<FilePath>>,
    /// The versions of the sources' files, by what the pipeline file calls them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, VersionName>,
    /// Where the folder stood in its history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
}

/// Where a project's folder stands in its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// The identity of the commit.
    pub id: String,
    /// The branch, if one is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether files differ from the commit; `None`: it could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
}

/// A run has started, and goes on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// The run's id.
    pub run: String,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// The run has its entry in the ledger, and can be cancelled.
    Started(RunStarted),
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Only those of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// At most this many, the newest; 20 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Older ones than those of the page that gave this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// How far a run or a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It goes on.
    Running,
    /// It did what it should.
    Done,
    /// The answer is no: a contract broken, a gate closed, a refusal of the policy.
    Refused,
    /// It could not be carried out.
    Failed,
    /// Somebody ended it.
    Interrupted,
    /// Its process ended before it could say.
    Unknown,
}

impl RunState {
    /// Returns the word that stands for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Unknown => "unknown",
        }
    }
}

/// A run, as the ledger tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// Its id: a UUID version 7.
    pub id: String,
    /// The project.
    pub project: ProjectName,
    /// How far it is.
    pub state: RunState,
    /// Who started it: a name that the policy knows, else the pseudonym.
    pub actor: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The entries of its start and of its end.
    pub entries: (u64, Option<u64>),
    /// The code of the problem that ended it.
    pub error: Option<String>,
}

/// A page of runs, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunListReply {
    /// The runs.
    pub runs: Vec<RunView>,
    /// The cursor of the page of older ones, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A run with what happened in it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunShowReply {
    /// The run.
    pub run: RunView,
    /// What happened, in the order of the ledger.
    pub moments: Vec<RunMoment>,
}

/// What to tell of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunMomentQuery {
    /// Only what happened after this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Something that happened in a run, by the entry that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunMoment {
    /// The entry: a reader who was cut off goes on after it.
    pub at: u64,
    /// When it was entered.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: RunMark,
}

/// What the ledger says of the course of a run. What steps print is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunMark {
    /// The run started.
    Started,
    /// A step began.
    StepStarted {
        /// The step's name.
        step: String,
    },
    /// A step ended.
    StepEnded {
        /// The step's name.
        step: String,
        /// How.
        state: RunState,
        /// Whether what it had made before was used again.
        reused: bool,
        /// The versions that it came to and that the reader may see.
        versions: Vec<VersionName>,
        /// The code of the problem, if there was one.
        error: Option<String>,
    },
    /// The run ended; the last.
    Ended {
        /// How.
        state: RunState,
        /// The code of the problem, if there was one.
        error: Option<String>,
    },
}

/// A run is being cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelReply {
    /// The run's id. It ends when its steps have.
    pub run: String,
    /// The entry that says so.
    pub entry: EntryRef,
}
