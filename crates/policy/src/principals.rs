//! Who there is: roles and purposes.

use std::collections::BTreeMap;

use custody_types::Purpose;
use serde::{Deserialize, Serialize};

/// One person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The roles: `data_scientist`, `auditor`, `reader`, `security_officer`, `owner`, or the project's own.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The purposes for which personal data may be read.
    #[serde(default)]
    pub purposes: Vec<Purpose>,
}

/// The file `principals.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principals {
    /// By account name.
    #[serde(default)]
    pub users: BTreeMap<String, Principal>,
}
