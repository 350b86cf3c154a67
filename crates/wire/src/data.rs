//! Looking at data: columns, first rows, profiles, and what differs between two versions.
//!
//! A value of a table is a JSON value: whole numbers and doubles are numbers, booleans booleans, a missing one null;
//! everything else is text, as are decimals (their digits stay exact) and the infinite (`inf`, `-inf`, `NaN`).

use custody_types::VersionName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which table is meant, in a query string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataQuery {
    /// The reference as typed: `employment/raw@1`.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
    /// How many rows are wanted, where rows are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnView {
    /// The name.
    pub name: String,
    /// The type in the words of contracts.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// The columns of a table.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SchemaReply {
    /// The version.
    pub version: VersionName,
    /// How many rows its files have.
    pub rows: u64,
    /// How many files make the table.
    pub files: u64,
    /// The columns in their order.
    pub columns: Vec<ColumnView>,
}

/// The first rows of a table.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HeadReply {
    /// The version.
    pub version: VersionName,
    /// How many rows the table has.
    pub rows: u64,
    /// The columns in their order.
    pub columns: Vec<ColumnView>,
    /// The first rows, each with a value for each column.
    pub head: Vec<Vec<Value>>,
}

/// The profile of a version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProfileReply {
    /// The version.
    pub version: VersionName,
    /// What was found.
    pub profile: TableProfile,
}

/// What a table looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TableProfile {
    /// How many rows it has.
    pub rows: u64,
    /// How many of them agree in every column with a row before them; null agrees with null.
    pub repeated_rows: u64,
    /// Their share; none without rows.
    pub repeated_share: Option<f64>,
    /// The columns in their order.
    pub columns: Vec<ColumnProfile>,
}

/// What a column looks like. What has no meaning for its type is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnProfile {
    /// The name.
    pub name: String,
    /// The type in the words of contracts.
    #[serde(rename = "type")]
    pub data_type: String,
    /// How many rows there are.
    pub rows: u64,
    /// In how many it is null.
    pub nulls: u64,
    /// Their share; none without rows.
    pub null_share: Option<f64>,
    /// In how many it is NaN.
    pub nan: u64,
    /// In how many it is infinite.
    pub infinite: u64,
    /// How many different values there are; null and NaN are none.
    pub distinct: u64,
    /// The least value; of texts by their bytes.
    pub min: Option<Value>,
    /// The greatest value.
    pub max: Option<Value>,
    /// The mean of the values that are neither null nor NaN.
    pub mean: Option<f64>,
    /// Their sample standard deviation, with `n - 1`.
    pub stddev: Option<f64>,
    /// Quantiles of them (Hyndman and Fan's type 7); of dates and times rounded down to their unit. Left
    /// out where it is between the infinite ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<Quantile>,
    /// The values that stand most often, at most 20; of those that stand equally often the least.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<TopValue>,
    /// Ten bins of equal width from the least to the greatest finite value; one where these are equal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<HistogramBin>,
    /// How long texts are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<TextLengths>,
    /// Why it looks like personal data: a hint, not a finding. That there is none says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks_personal: Option<String>,
}

/// A quantile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantile {
    /// The share of the values up to it, in percent.
    pub percent: u8,
    /// The value.
    pub value: Value,
}

/// A value that stands often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopValue {
    /// The value.
    pub value: Value,
    /// In how many rows it stands.
    pub count: u64,
}

/// A bin of a histogram: from one end up to the other, which only the last bin includes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistogramBin {
    /// Its lower end.
    pub from: Value,
    /// Its upper end.
    pub to: Value,
    /// How many values are in it.
    pub count: u64,
}

/// How long texts are, in characters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TextLengths {
    /// The shortest.
    pub min: u64,
    /// Their mean.
    pub mean: f64,
    /// The longest.
    pub max: u64,
    /// How many are empty.
    pub empty: u64,
}

/// Which versions are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffRequest {
    /// The version before, as typed.
    #[schemars(with = "custody_types::Reference")]
    pub before: String,
    /// The version after, as typed.
    #[schemars(with = "custody_types::Reference")]
    pub after: String,
    /// The columns by which rows are the same.
    pub key: Vec<String>,
}

/// What differs between two versions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DiffReply {
    /// The version before.
    pub before: VersionName,
    /// The version after.
    pub after: VersionName,
    /// What differs.
    pub diff: TableDiff,
}

/// What differs between two tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TableDiff {
    /// The columns by which rows are the same.
    pub key: Vec<String>,
    /// How many rows there were.
    pub rows_before: u64,
    /// How many rows there are.
    pub rows_after: u64,
    /// The columns that were not there.
    pub columns_added: Vec<ColumnView>,
    /// The columns that are there no more.
    pub columns_removed: Vec<ColumnView>,
    /// The columns with another type.
    pub columns_retyped: Vec<Retyped>,
    /// Rows whose key was not there.
    pub added: u64,
    /// Rows whose key is there no more.
    pub removed: u64,
    /// Rows that differ in a column that both versions have.
    pub changed: u64,
    /// Rows that differ in none of them.
    pub unchanged: u64,
    /// The columns that both versions have.
    pub columns: Vec<ColumnDiff>,
}

/// A column with another type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retyped {
    /// The name.
    pub name: String,
    /// The type before.
    pub before: String,
    /// The type after.
    pub after: String,
}

/// How a column differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnDiff {
    /// The name.
    pub name: String,
    /// In how many rows that both versions have its value differs; none where the types cannot be compared.
    pub changed: Option<u64>,
    /// The share of rows in which it was null.
    pub null_share_before: Option<f64>,
    /// The share of rows in which it is null.
    pub null_share_after: Option<f64>,
    /// How far its values moved; none where there is nothing to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// How far the values of a column moved, over all rows of both versions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "measure", rename_all = "snake_case")]
pub enum Drift {
    /// Of numbers, dates and times: the greatest distance of the two distribution functions (Kolmogorov and Smirnov);
    /// null and NaN are left out.
    Ks {
        /// 0: none; 1: no value in common.
        distance: f64,
    },
    /// Of texts and booleans: the 100 values that stood most often, all others that stood before, new ones, and null.
    Psi {
        /// The population stability index; shares below 0.0001 count as 0.0001.
        index: f64,
        /// The greatest difference of a share.
        greatest: f64,
    },
}
