//! Where a project stands, and what tells two models or runs apart.

use std::collections::BTreeMap;

use custody_types::{ProjectName, VersionName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Snapshot;

/// Which steps to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// The steps, with what they need; empty: all.
    #[serde(default)]
    pub targets: Vec<String>,
    /// What the project's folder held; `None`: what it holds now, where the folder is on the machine that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
}

/// Where the steps of a project stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReply {
    /// The project.
    pub project: String,
    /// What a person should know, a line each: which versions references mean, what was left out.
    pub notes: Vec<String>,
    /// The steps in the order in which they run.
    pub steps: Vec<StepStatus>,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepStatus {
    /// The step's name.
    pub step: String,
    /// The kind of step: `source`, `sql`, `run`.
    pub action: String,
    /// Whether it runs only when it is named.
    pub manual: bool,
    /// Whether it would run.
    pub runs: bool,
    /// Why it would run, a reason a line: what differs from the last time.
    pub reasons: Vec<String>,
    /// What it would reuse.
    pub reuses: Vec<VersionName>,
    /// What it made the last time.
    pub last: Option<VersionName>,
    /// When that was.
    pub last_made: Option<String>,
    /// In which run.
    pub last_run: Option<String>,
}

/// Whose figures are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsRequest {
    /// Versions or runs; empty: the newest of each model and report of the project.
    #[serde(default)]
    pub references: Vec<String>,
    /// The project, where no references are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// At most this many artifacts of the project; 100 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Those after the page that gave this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The figures that were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsReply {
    /// In the order in which they were asked for.
    pub subjects: Vec<Figures>,
    /// The cursor of the next page of the project's artifacts, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What an evaluation measured, as its report has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationReply {
    /// The report.
    pub version: VersionName,
    /// Its document, which `docs/reference/evaluation.md` describes.
    pub evaluation: serde_json::Value,
}

/// The figures of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// The version.
    pub version: VersionName,
    /// What it is.
    pub kind: String,
    /// The run that made it.
    pub run: Option<String>,
    /// The figures by step and name, `train.loss`, `evaluation.roc_auc`; without a value where it cannot be measured.
    pub figures: BTreeMap<String, Option<f64>>,
    /// What the policy does not show, a line each.
    #[serde(default)]
    pub withheld: Vec<String>,
}

/// What to compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareRequest {
    /// A version or a run.
    pub a: String,
    /// Another.
    pub b: String,
}

/// What tells two versions or runs apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompareReply {
    /// The first.
    pub a: String,
    /// The second.
    pub b: String,
    /// Parameters, figures, data, code, environment.
    pub sections: Vec<Section>,
    /// What the policy does not show, a line each.
    #[serde(default)]
    pub withheld: Vec<String>,
}

/// One respect in which two are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// The respect: `parameters`, `figures`, `data`, `code`, `environment`.
    pub name: String,
    /// Its rows by name.
    pub rows: Vec<Compared>,
}

/// One thing of two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// The name.
    pub name: String,
    /// As the first has it.
    pub a: Option<serde_json::Value>,
    /// As the second has it.
    pub b: Option<serde_json::Value>,
    /// Whether they are equal.
    pub equal: bool,
}
