//! The policies in force.

use std::collections::{BTreeMap, BTreeSet};

use custody_types::Digest;
use serde::{Deserialize, Serialize};

/// One file of the project's policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySource {
    /// The file's name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The policies in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyReply {
    /// The identity of the set, as each decision in the ledger names it.
    pub digest: Digest,
    /// The files of the project, beside the built-in policy.
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
}
