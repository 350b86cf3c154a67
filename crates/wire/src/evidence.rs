//! Provenance and its verification.

use custody_types::{Digest, EvidenceKind, VersionName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where to look from a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceQuery {
    /// The version from which to look.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
    /// Towards what was made from it, instead of what it was made from.
    #[serde(default)]
    pub down: bool,
}

/// The graph of what was made from what.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TraceReply {
    /// The version from which the search began.
    pub root: VersionName,
    /// Whether it goes towards what was made from it.
    pub down: bool,
    /// The versions, the root first.
    pub nodes: Vec<Node>,
    /// Which was made from which.
    pub edges: Vec<Edge>,
    /// What of other projects some were made from, behind doors that are closed to who asks.
    #[serde(default)]
    pub closed: Vec<ClosedInput>,
    /// Whether there is more: a trace stops at ten thousand versions.
    #[serde(default)]
    pub more: bool,
}

/// An input of a project that who asks may not look at, or that was shredded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClosedInput {
    /// Its identity.
    pub digest: Digest,
    /// The version that was made from it.
    pub to: VersionName,
    /// As what it went in.
    pub role: String,
    /// The ledger entry by which its project was shredded, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shredded: Option<u64>,
}

/// One version in the graph and how it was made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// The version.
    pub version: VersionName,
    /// What it is.
    pub kind: String,
    /// Its identity.
    pub digest: Digest,
    /// The step that made it: its name.
    pub step: String,
    /// The kind of step: `source`, `sql`, `run`.
    pub action: String,
    /// The run that made it.
    pub run: String,
    /// Who made it.
    pub actor: String,
    /// When the step ended.
    pub finished: String,
    /// What the step was told: the declaration as it stands in the attestation.
    pub parameters: serde_json::Value,
    /// The commit that the project's folder stood at, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How the step was confined, one line each.
    pub isolation: Vec<String>,
    /// The attestation.
    pub statement: Option<Digest>,
    /// The ledger entry that made the version valid.
    pub entry: u64,
}

/// `to` was made from `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// What went in.
    pub from: VersionName,
    /// What came out.
    pub to: VersionName,
    /// As what it went in: the input's name, `code` or `environment`.
    pub role: String,
}

/// What to verify.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The version; `None`: everything.
    #[serde(default)]
    #[schemars(with = "Option<custody_types::Reference>")]
    pub reference: Option<String>,
    /// The kinds of evidence that must be there, beside those that the policy requires. Of everything: for
    /// every model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<EvidenceKind>,
}

/// What to make again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReproduceRequest {
    /// The version.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
}

/// A kind of evidence that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbsentEvidence {
    /// Of which version; `None`: there is no version of which it could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionName>,
    /// Which kind.
    pub kind: EvidenceKind,
    /// Why it does not count, or that there is none.
    pub because: String,
    /// Whether it was required, by the request or by the policy.
    pub required: bool,
}

/// How a named check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// It holds.
    Ok,
    /// It does not hold.
    Broken,
    /// Some of it is of a project that who asks may not look at; what else there is holds.
    Closed,
    /// Something waits in quarantine for a person; nothing else is wrong.
    Waiting,
    /// It does not apply to this version, and says why.
    NotApplicable,
}

/// A named check and its evidence.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NamedCheck {
    /// The name: `bytes`, `model-signature`, `provenance`.
    pub name: String,
    /// How it ended.
    pub result: CheckResult,
    /// What was looked at and found, a line each.
    pub evidence: Vec<String>,
    /// What is broken, a line each, with the name of the thing.
    pub broken: Vec<String>,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReply {
    /// What was verified: a version, or `everything`.
    pub subject: String,
    /// Whether all checks hold and nothing that is required is missing.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<NamedCheck>,
    /// The kinds of evidence that do not exist: of one version all that could, of everything what is required.
    #[serde(default)]
    pub absent: Vec<AbsentEvidence>,
}

/// One step that was run again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReproducedStep {
    /// The step.
    pub step: String,
    /// What it had made.
    pub version: VersionName,
    /// The identity on record.
    pub recorded: Digest,
    /// The identity of what it made now.
    pub reproduced: Digest,
    /// Whether they are equal.
    pub equal: bool,
}

/// What a reproduction found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReproduceReply {
    /// The version that was reproduced.
    pub version: VersionName,
    /// Whether every step gave the same bytes.
    pub equal: bool,
    /// The steps, in the order in which they ran.
    pub steps: Vec<ReproducedStep>,
    /// The sources, which were taken from the store and not collected again.
    pub sources: Vec<VersionName>,
    /// What steps with a network made, which was taken from the store: what they were answered is not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networked: Vec<VersionName>,
}
