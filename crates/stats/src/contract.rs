//! Contracts: what a dataset must be like, and how it was found to be.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// The number of rows lies between two bounds.
    RowCount(CountBounds),
    /// The columns have these types.
    Schema(SchemaCheck),
    /// None of these columns has a null.
    NotNull(Vec<String>),
    /// No two rows agree in all of these columns.
    Unique(Vec<String>),
    /// Every value lies between two bounds, both included; nulls are not looked at.
    Range(ColumnBounds),
    /// Every value is one of a list; nulls are not looked at.
    Allowed(AllowedCheck),
    /// Every text matches a regular expression; nulls are not looked at.
    Matches(MatchesCheck),
    /// At most this fraction of the values is null.
    NullFraction(NullFractionCheck),
    /// The mean lies between two bounds.
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
    pub min: Option<u64>,
    /// At most.
    pub max: Option<u64>,
}

/// Columns and their types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaCheck {
    /// The types by column: `integer`, `double`, `text`, `boolean`, `date`, `timestamp`.
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
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// The values that a column may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedCheck {
    /// The column.
    pub column: String,
    /// The values: numbers or texts.
    pub values: Vec<Literal>,
}

/// A number or a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Literal {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
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
    /// The greatest fraction, from 0 to 1.
    pub max: f64,
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
            Self::NotNull(columns) => format!("no nulls in {}", columns.join(", ")),
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
            Self::Range(check)
            | Self::MeanBetween(check)
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
    /// The keys of the first rows that break it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// How a dataset was found to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContractReport {
    /// Whether all checks hold.
    pub ok: bool,
    /// How many rows there are.
    pub rows: u64,
    /// How often the data was read.
    pub scans: u32,
    /// The checks, in the order of the contract.
    pub checks: Vec<CheckOutcome>,
}
