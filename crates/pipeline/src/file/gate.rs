//! The step `gate`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The model that it is about.
    pub model: String,
    /// The evaluate step whose figures count.
    pub evaluation: String,
    /// The bounds by figure: `roc_auc`, `fairness.SEX.equalized_odds_difference`.
    pub require: BTreeMap<String, Bounds>,
    /// Whether it runs only when it is named.
    #[serde(default)]
    pub manual: bool,
}

/// Bounds of a figure, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// At least.
    #[serde(default)]
    pub min: Option<f64>,
    /// At most.
    #[serde(default)]
    pub max: Option<f64>,
}
