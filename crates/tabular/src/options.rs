//! What may be declared about a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::Columns;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Parquet; it is kept byte for byte.
    Parquet,
    /// Text with a delimiter between fields.
    Csv,
    /// Text with a tab between fields.
    Tsv,
    /// A JSON object on each line.
    Jsonl,
    /// Arrow IPC, as a file or a stream.
    Arrow,
    /// No table: files that are kept as they are.
    Files,
}

impl Format {
    /// Returns the word that declares it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
            Self::Arrow => "arrow",
            Self::Files => "files",
        }
    }
}

/// What a line without anything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlankLines {
    /// Nothing.
    Skip,
    /// A row whose only column is null.
    Row,
}

/// How text with delimiters is read. What is not declared has the default that is given here, or is found
/// in the content and told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csv {
    /// The character between fields; without it: found in the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The character around fields, `"` by default; the empty text: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The character that takes the meaning from the next one inside quotes; by default none, and a quote
    /// is doubled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<String>,
    /// Whether the first row holds the names of the columns; without it: found in the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The names of the columns, instead of a header.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The encoding by its name (`windows-1252`, `utf-16le`, `shift_jis`); `utf-8` by default, or what a
    /// byte order mark says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The character with which a line begins that is a comment; by default there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// How null is written; by default only by nothing at all. The quoted empty field is the empty text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nulls: Option<Vec<String>>,
    /// Whether a quoted field may be null too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub quoted_nulls: bool,
    /// Whether blanks around fields are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trim: bool,
    /// What a blank line in the middle is; by default an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blank_lines: Option<BlankLines>,
    /// The decimal mark, `.` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<String>,
    /// The mark between groups of three digits; by default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thousands: Option<String>,
    /// Patterns of dates in the letters of `strptime`, beside ISO 8601.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dates: Vec<String>,
    /// Patterns of timestamps in the letters of `strptime`, beside ISO 8601.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timestamps: Vec<String>,
    /// How true is written; `true`, `True` and `TRUE` by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub true_values: Vec<String>,
    /// How false is written; `false`, `False` and `FALSE` by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub false_values: Vec<String>,
    /// How not-a-number is written; by default in no way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nan: Vec<String>,
    /// How infinity is written, after a sign or none; by default in no way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub infinity: Vec<String>,
}

/// Everything that may be declared about the files of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// The format.
    pub format: Option<Format>,
    /// How text with delimiters is read.
    pub csv: Csv,
    /// The types of columns; those that are not named are found in the content.
    pub columns: Columns,
}
