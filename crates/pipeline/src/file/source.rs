//! The step `source`.

use custody_tabular::{Columns, Csv, Declared, Format};
use custody_types::{Classification, Problem, Purpose, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Collects files; tables among them become Parquet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The file, a folder with files, or a pattern like `data/*.csv`; from the pipeline file, or absolute.
    pub file: String,
    /// The artifact that it becomes a version of.
    pub output: String,
    /// The format: `parquet`, `csv`, `tsv`, `jsonl`, `arrow`, or `files` to keep files as they are. Without it:
    /// by content and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How text with delimiters is read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub csv: Csv,
    /// The types of columns by name; those that are not named are found in all rows. A row that does not fit is
    /// an error.
    #[serde(default, skip_serializing_if = "Columns::is_empty")]
    pub columns: Columns,
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

fn is_default(csv: &Csv) -> bool {
    *csv == Csv::default()
}

impl Source {
    /// Returns what is declared about its files.
    pub(crate) fn declared(&self) -> Declared {
        Declared {
            format: self.format,
            csv: self.csv.clone(),
            columns: self.columns.clone(),
        }
    }
}

impl Origin {
    /// Reads an origin that stands in a file of its own.
    ///
    /// # Errors
    /// A [`Problem`] with the line.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        serde_saphyr::from_str(text).map_err(|error| {
            Problem::new(
                code::PIPE_011,
                "the origin does not hold up",
            )
            .because(super::yaml_error(&error, text))
            .hint("it has `publisher`, `url`, `licence`, `legal_basis` and `classification`, as in `custody.yaml`")
        })
    }
}
