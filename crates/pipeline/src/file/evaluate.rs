//! The step `evaluate`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Measures a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The model: an artifact with `model.onnx` and `features.json`.
    pub model: String,
    /// The dataset.
    pub data: String,
    /// The column with the truth, 0 or 1.
    pub label: String,
    /// The sensitive attributes: columns.
    #[serde(default)]
    pub groups: Vec<String>,
    /// From which score on a row is predicted positive.
    #[serde(default = "half")]
    pub threshold: f64,
    /// The environment among `environments` [default: `environment`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

const fn half() -> f64 {
    0.5
}
