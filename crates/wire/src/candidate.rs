//! Questions about policies: of a set that is not in force yet, and of what was or would be decided.

use std::collections::BTreeMap;

use custody_identity::{Party, RoleBinding};
use custody_types::{Action, Alias, Classification, Digest, Kind, Purpose, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::PolicySource;

/// A set of policies that is not in force: `*.cedar`, `settings.json`, `tests.json`, and `principals.json` where the accounts are
/// part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidateRequest {
    /// Its files.
    pub sources: Vec<PolicySource>,
}

/// What is wrong with a set of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidateReply {
    /// Whether it could be put in force.
    pub valid: bool,
    /// Whether it was checked against the accounts of a workspace: names, and who could change it again.
    pub with_accounts: bool,
    /// What is wrong with it, by file and place.
    pub findings: Vec<FindingView>,
    /// The digest that the set would have, where it stands up by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Something that is wrong with a set of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingView {
    /// `error`: it cannot be put in force; `warning`: it can, and does something else than is likely meant.
    pub severity: String,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// How the tests of policies came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyTestReply {
    /// Whether all hold.
    pub ok: bool,
    /// How many decisions were checked.
    pub checked: usize,
    /// Those that came out otherwise than they must.
    pub failed: Vec<FailedTestView>,
}

/// A test that came out otherwise than it must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedTestView {
    /// The test.
    pub name: String,
    /// The action that was asked.
    pub action: Action,
    /// What came of it.
    pub because: String,
}

/// What a set of policies would change against the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyDiffReply {
    /// The digest of the set in force.
    pub before: Digest,
    /// The digest that the other set would have.
    pub after: Digest,
    /// The policies that differ.
    pub policies: Vec<PolicyChange>,
    /// What differs in `settings.json`, a line each: `+` what is added, `-` what is taken away.
    pub settings: Vec<String>,
    /// How many cells of roles, actions and cases were compared.
    pub compared: usize,
    /// What would be decided otherwise.
    pub effects: Vec<EffectView>,
}

/// A policy that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyChange {
    /// Its id.
    pub id: String,
    /// `added`, `removed` or `changed`.
    pub change: String,
    /// What differs in its text, a line each: `+` what is added, `-` what is taken away.
    pub lines: Vec<String>,
}

/// What a role may that it might not, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EffectView {
    /// The role.
    pub role: String,
    /// The action.
    pub action: Action,
    /// The type of what it is asked on.
    pub on: String,
    /// The cases in which it comes out otherwise.
    pub cases: Vec<String>,
    /// Whether it would be permitted.
    pub permit: bool,
}

/// Asks why something was decided, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ExplainRequest {
    /// Why the decision of an entry of the ledger was made.
    Entry(u64),
    /// What would be decided now.
    Question(ExplainQuestion),
}

/// What might be asked of the policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuestion {
    /// Who; none: who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Party>,
    /// What is to be done.
    pub action: Action,
    /// To what: a version (`project/name@3`), an artifact, or a project; none: the workspace, or the one thing of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Of a version that is to be made: its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Of a version that is to be made: how sensitive it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// For what purpose; none: for that which is stated with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The alias that is to be moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
}

/// Why something was decided, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainReply {
    /// Who: a name where there is one, else the pseudonym.
    pub actor: String,
    /// What was, or would be, done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// For what purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// What the ledger says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordedDecision>,
    /// Why it was decided so, by the policies and accounts of the time, where they can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<ExplanationView>,
    /// What would be decided now, of the same facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<ExplanationView>,
    /// What cannot be known, or is not told, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
    /// Whether it would be decided otherwise now.
    pub differs: bool,
}

/// What an entry says of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedDecision {
    /// The entry.
    pub entry: u64,
    /// When.
    pub time: Timestamp,
    /// Whether it was permitted.
    pub permit: bool,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// The digest of the policies that were in force.
    pub set: Digest,
    /// The digest of the accounts that were in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Digest>,
}

/// A decision, and what led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplanationView {
    /// Whether it is permitted.
    pub permit: bool,
    /// Why.
    pub reasons: Vec<String>,
    /// The way out of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The policies that could not be evaluated; any means no.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The policies that decided.
    pub policies: Vec<DeterminingView>,
    /// The roles that who asked has.
    pub roles: Vec<HeldRoleView>,
}

/// A policy that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeterminingView {
    /// Its id.
    pub id: String,
    /// `permit`, `forbid`, or `limit`: of the program itself.
    pub effect: String,
    /// What it says for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The way out that it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The facts that it looked at.
    pub facts: BTreeMap<String, String>,
}

/// A role that somebody has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldRoleView {
    /// The role.
    pub role: RoleBinding,
    /// The group that gives it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The identity provider by whose groups they have it in this session, if it is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Whether it counts for what is asked: it has not ended, and is not for another project.
    pub counts: bool,
}

/// Asks how the decisions that the ledger has would have come out under other policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The files of the other policies; with a `principals.json` among them, its accounts count, else those of the time.
    pub sources: Vec<PolicySource>,
    /// How far back, in seconds, by the clock of who answers; none: to the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// How many changed decisions a page lists at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Where an earlier answer said that it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// How decisions would have come out under other policies: of a page of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayReply {
    /// The digest that the other set would have.
    pub candidate: Digest,
    /// `then`: the accounts of the time count; `candidate`: those of the other set.
    pub accounts: String,
    /// How many entries were looked at.
    pub entries: u64,
    /// How many of them are decisions.
    pub decisions: u64,
    /// How many decisions would have come out alike.
    pub same: u64,
    /// Of how many it cannot be known, by the reason.
    pub unknown: BTreeMap<String, u64>,
    /// How many would have come out otherwise.
    pub otherwise: u64,
    /// The first of those.
    pub changed: Vec<ChangedDecision>,
    /// Where it goes on; none: that is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A decision that would have come out otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedDecision {
    /// The entry.
    pub entry: u64,
    /// When it was decided.
    pub time: Timestamp,
    /// Who asked: a name where there is one, else the pseudonym.
    pub actor: String,
    /// What was to be done.
    pub action: Action,
    /// To what.
    pub resource: String,
    /// Whether it was permitted.
    pub before: bool,
    /// Whether it would be.
    pub after: bool,
    /// The policies that would decide.
    pub policies: Vec<String>,
    /// What they say for themselves.
    pub because: Vec<String>,
}
