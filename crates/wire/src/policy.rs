//! The policies in force.

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
}
