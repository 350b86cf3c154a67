//! The step `register`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Registers a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The model.
    pub model: String,
    /// The gate that it must have passed.
    pub gate: String,
    /// The artifact that it becomes a version of.
    pub output: String,
    /// Whether it runs only when it is named.
    #[serde(default)]
    pub manual: bool,
}
