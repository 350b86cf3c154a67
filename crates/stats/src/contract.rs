//! Contracts: what a dataset must be like, and how it was found to be.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::literal::{Decimal, Literal};

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// The number of rows lies between two bounds.
    RowCount(CountBounds),
    /// The columns have these types.
    Schema(SchemaCheck),
    /// Every row has a value in these columns; NaN is none, unless the check says so.
    NotNull(NotNullCheck),
    /// No two rows agree in all of these columns. As in SQL, a row with a null in one of them agrees with none; 0.0 and
    /// -0.0 agree, and so do two NaN.
    Unique(Vec<String>),
    /// Every value lies between two bounds, both included; NaN lies nowhere; nulls are not looked at. The texts of a
    /// column of texts are read as numbers: what is none breaks the check.
    Range(RangeCheck),
    /// Every value is one of a list; NaN is none; nulls are not looked at.
    Allowed(AllowedCheck),
    /// Every text matches a regular expression; nulls are not looked at.
    Matches(MatchesCheck),
    /// At most this fraction of the values is null or NaN.
    NullFraction(NullFractionCheck),
    /// The mean lies between two bounds; that of a column with NaN is none.
    MeanBetween(ColumnBounds),
    /// The sample standard deviation lies between two bounds.
    StddevBetween(ColumnBounds),
    /// The number of different values lies between two bounds.
    DistinctCount(ColumnBounds),
    /// The length of every text, in characters, lies between two bounds.
    TextLength(ColumnBounds),
    /// A condition in SQL holds for every row; where it is null, it does not hold.
    Sql(SqlCheck),
}

/// Bounds of a number of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountBounds {
    /// At least.
    #[serde(default)]
    pub min: Option<u64>,
    /// At most.
    #[serde(default)]
    pub max: Option<u64>,
}

/// Columns and their types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaCheck {
    /// The types by column: `integer`, `double`, `decimal(10,2)`, `text`, `boolean`, `date`, `time`, `timestamp` (with or
    /// without a zone), `timestamp with time zone`, `binary`, `list of integer`, `struct`, `map`.
    pub columns: BTreeMap<String, String>,
    /// Whether there may be no other columns.
    #[serde(default)]
    pub closed: bool,
}

/// Bounds of something about a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnBounds {
    /// The column.
    pub column: String,
    /// At least.
    #[serde(default)]
    pub min: Option<f64>,
    /// At most.
    #[serde(default)]
    pub max: Option<f64>,
}

/// Bounds of the values of a column: numbers, dates (`2024-12-31`) or timestamps (`2024-12-31T23:59:59Z`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeCheck {
    /// The column.
    pub column: String,
    /// At least.
    #[serde(default)]
    pub min: Option<Literal>,
    /// At most.
    #[serde(default)]
    pub max: Option<Literal>,
}

/// The values that a column may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedCheck {
    /// The column.
    pub column: String,
    /// The values: numbers, texts, `true` and `false`, dates.
    pub values: Vec<Literal>,
}

/// The columns that must have a value in every row: a list, or a list with what NaN is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a list of columns is expected: `[id, income]`, or `{columns: [income], nan: value}`"
)]
pub enum NotNullCheck {
    /// The columns; NaN is missing.
    Columns(Vec<String>),
    /// The columns, and what NaN is.
    Detailed(NotNullColumns),
}

/// The columns that must have a value in every row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotNullColumns {
    /// The columns.
    pub columns: Vec<String>,
    /// What NaN is.
    #[serde(default)]
    pub nan: Nan,
}

impl NotNullCheck {
    /// Returns the columns.
    pub fn columns(&self) -> &[String] {
        match self {
            Self::Columns(columns) => columns,
            Self::Detailed(detailed) => &detailed.columns,
        }
    }

    /// Returns what NaN is.
    pub const fn nan(&self) -> Nan {
        match self {
            Self::Columns(_) => Nan::Missing,
            Self::Detailed(detailed) => detailed.nan,
        }
    }
}

/// What NaN is where missing values are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nan {
    /// It is a missing value, as null is.
    #[default]
    Missing,
    /// It is a value.
    Value,
}

/// A regular expression for a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchesCheck {
    /// The column.
    pub column: String,
    /// The expression, in the syntax of the Rust crate `regex`.
    pub pattern: String,
}

/// The most nulls in a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NullFractionCheck {
    /// The column.
    pub column: String,
    /// The greatest fraction: at least 0, less than 1.
    pub max: f64,
    /// What NaN is.
    #[serde(default, skip_serializing_if = "is_missing")]
    pub nan: Nan,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_missing(nan: &Nan) -> bool {
    *nan == Nan::Missing
}

/// A condition in SQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlCheck {
    /// What it says, in words.
    pub name: String,
    /// The condition.
    pub condition: String,
}

fn bounds(min: Option<impl ToString>, max: Option<impl ToString>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("between {} and {}", min.to_string(), max.to_string()),
        (Some(min), None) => format!("at least {}", min.to_string()),
        (None, Some(max)) => format!("at most {}", max.to_string()),
        (None, None) => "anything".to_owned(),
    }
}

impl Check {
    /// Returns the kind as it is written.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::RowCount(_) => "row_count",
            Self::Schema(_) => "schema",
            Self::NotNull(_) => "not_null",
            Self::Unique(_) => "unique",
            Self::Range(_) => "range",
            Self::Allowed(_) => "allowed",
            Self::Matches(_) => "matches",
            Self::NullFraction(_) => "null_fraction",
            Self::MeanBetween(_) => "mean_between",
            Self::StddevBetween(_) => "stddev_between",
            Self::DistinctCount(_) => "distinct_count",
            Self::TextLength(_) => "text_length",
            Self::Sql(_) => "sql",
        }
    }

    /// Says what is checked, in words.
    pub fn label(&self) -> String {
        match self {
            Self::RowCount(_) => "number of rows".to_owned(),
            Self::Schema(_) => "columns and types".to_owned(),
            Self::NotNull(check) => format!("no nulls in {}", check.columns().join(", ")),
            Self::Unique(columns) => format!("{} unique", columns.join(", ")),
            Self::Range(check) => format!("values of {}", check.column),
            Self::Allowed(check) => format!("allowed values of {}", check.column),
            Self::Matches(check) => format!("form of {}", check.column),
            Self::NullFraction(check) => format!("fraction of nulls in {}", check.column),
            Self::MeanBetween(check) => format!("mean of {}", check.column),
            Self::StddevBetween(check) => format!("standard deviation of {}", check.column),
            Self::DistinctCount(check) => format!("different values of {}", check.column),
            Self::TextLength(check) => format!("length of {}", check.column),
            Self::Sql(check) => check.name.clone(),
        }
    }

    /// Says what is expected, in words.
    pub fn expected(&self) -> String {
        match self {
            Self::RowCount(check) => bounds(check.min, check.max),
            Self::Schema(check) => format!(
                "{} columns{}",
                check.columns.len(),
                if check.closed { " and no others" } else { "" }
            ),
            Self::NotNull(_) => "no nulls".to_owned(),
            Self::Unique(_) => "no row twice".to_owned(),
            Self::Range(check) => bounds(check.min.as_ref(), check.max.as_ref()),
            Self::MeanBetween(check)
            | Self::StddevBetween(check)
            | Self::DistinctCount(check)
            | Self::TextLength(check) => bounds(check.min, check.max),
            Self::Allowed(check) => format!("one of {} values", check.values.len()),
            Self::Matches(check) => format!("matches `{}`", check.pattern),
            Self::NullFraction(check) => bounds(None::<f64>, Some(check.max)),
            Self::Sql(check) => format!("`{}`", check.condition),
        }
    }
}

/// How one check ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// What was checked, in words.
    pub check: String,
    /// The kind of check.
    pub kind: String,
    /// Whether it holds.
    pub passed: bool,
    /// What was expected.
    pub expected: String,
    /// What was found: counts and aggregates, no values of rows.
    pub observed: String,
    /// How many rows break it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_rows: Option<u64>,
    /// Which share of the rows that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The first rows that break it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<FailingRow>,
}

/// Where a row stands that breaks a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingRow {
    /// The file of the version.
    pub file: String,
    /// The row of the file, from 1.
    pub row: u64,
    /// The value of the contract's key column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A file of the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRows {
    /// Its path.
    pub file: String,
    /// Its rows.
    pub rows: u64,
}

/// How a dataset was found to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContractReport {
    /// Whether all checks hold.
    pub ok: bool,
    /// How many rows there are.
    pub rows: u64,
    /// The files that were read, all of them.
    #[serde(default)]
    pub files: Vec<FileRows>,
    /// The checks, in the order of the contract.
    pub checks: Vec<CheckOutcome>,
}
