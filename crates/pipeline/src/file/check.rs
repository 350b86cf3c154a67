//! The step `check`.

use custody_stats::contract::Check;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Checks a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The dataset.
    pub input: String,
    /// The column whose values name rows in the report.
    #[serde(default)]
    pub key: Option<String>,
    /// What must hold.
    pub checks: Vec<Check>,
}
