//! The step `sql`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes datasets by SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// The datasets by the names that the SQL calls them.
    pub inputs: BTreeMap<String, String>,
    /// The SQL by the artifact that it makes a version of.
    pub outputs: BTreeMap<String, String>,
}
