//! The policies and accounts in force.

use std::collections::{BTreeMap, BTreeSet};

use custody_identity::{Change, Directory, Party};
use custody_types::{Digest, Timestamp, VersionName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One file of the workspace's policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// The file's name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The policies in force.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PolicyReply {
    /// The identity of the set, as each decision in the ledger names it.
    pub digest: Digest,
    /// The workspace's own files, beside the built-in policy.
    pub sources: Vec<PolicySource>,
    /// The purposes that may be stated, each with what it is for.
    #[serde(default)]
    pub purposes: BTreeMap<String, String>,
    /// The roles that policies speak of.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The aliases that move only onto versions that passed their gate, by project; `*`: any other.
    #[serde(default)]
    pub gated_aliases: BTreeMap<String, BTreeSet<String>>,
    /// The change that was asked for, where it waits for a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<VersionName>,
}

/// Changes of the policies and accounts that wait for a second person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProposalsReply {
    /// The changes, the newest first.
    pub proposals: Vec<ProposalView>,
}

/// A change that waits for a second person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProposalView {
    /// The version that holds it.
    pub name: VersionName,
    /// Who proposes it: a name where the reader may know it, else the pseudonym.
    pub proposer: String,
    /// When.
    pub proposed_on: Timestamp,
    /// Until when it can be approved.
    pub until: Timestamp,
    /// What it changes, a line each: `+` what is added, `-` what is taken away.
    pub differences: Vec<String>,
}

/// Puts a proposed change in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveChangeRequest {
    /// The change.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
}

/// Who there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityReply {
    /// The identity of the directory, as each decision in the ledger names it.
    pub digest: Digest,
    /// The accounts and groups, with their roles and purposes.
    #[serde(flatten)]
    pub directory: Directory,
    /// Where roles end: when it was asked, by the clock that says which have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Timestamp>,
    /// The change that was asked for, where it waits for a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<VersionName>,
}

/// What is to be changed of it: all, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityRequest {
    /// The changes, in their order.
    pub changes: Vec<Change>,
}

/// Asks to put the built-in policies alone in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassRequest {
    /// The workspace's id, repeated by who asks.
    pub workspace: String,
    /// Why.
    pub reason: String,
}

/// The policies were taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakGlassReply {
    /// The digest of the policies in force.
    pub policies: Digest,
    /// The digest of the accounts in force.
    pub accounts: Digest,
    /// Who owns the workspace now, beside those who did.
    pub owner: Party,
    /// The signed statement about it.
    pub statement: Digest,
}
