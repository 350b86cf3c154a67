//! The step `source`.

use custody_types::{Classification, Purpose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Collects a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The file, relative to the pipeline file.
    pub file: String,
    /// The artifact that it becomes a version of.
    pub output: String,
    /// Where it came from.
    pub origin: Origin,
    /// The purposes that it may serve; empty: any.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub purposes: Vec<Purpose>,
}

/// Where data came from, as declared; who collected it and when is added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Who published it.
    pub publisher: String,
    /// Where it was found.
    pub url: String,
    /// The licence under which it may be used.
    pub licence: String,
    /// The legal basis of its processing.
    pub legal_basis: String,
    /// How sensitive it is: `public`, `internal`, `confidential`, `personal` or `special`.
    #[schemars(with = "String")]
    pub classification: Classification,
    /// What it is, in a sentence.
    #[serde(default)]
    pub description: Option<String>,
}
