//! What is wrong with a contract itself, whatever the data: found before anything is read.

use crate::contract::{Check, ColumnBounds, CountBounds, Literal};

/// What is wrong with a check, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The keys and positions that lead to it inside the check.
    pub path: Vec<String>,
    /// Why, in words.
    pub because: String,
}

/// The words for types that a schema check may use; `decimal(10,2)` and `list of …` besides.
const TYPES: [&str; 12] = [
    "integer",
    "double",
    "text",
    "boolean",
    "date",
    "time",
    "timestamp",
    "timestamp with time zone",
    "interval",
    "binary",
    "struct",
    "map",
];

const NOTHING: &str = "it bounds nothing: give `min` or `max`";

fn fault(path: &[&str], because: impl Into<String>) -> Fault {
    Fault {
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        because: because.into(),
    }
}

impl Check {
    /// Finds what makes the check meaningless whatever the data is: bounds that bound nothing or exclude everything,
    /// empty lists, a pattern that does not compile.
    ///
    /// # Errors
    /// A [`Fault`] with its place inside the check.
    pub fn examine(&self) -> Result<(), Fault> {
        match self {
            Self::RowCount(bounds) => of_counts(bounds),
            Self::Schema(check) => {
                if check.columns.is_empty() {
                    return Err(fault(&["schema"], "it names no column"));
                }
                check
                    .columns
                    .iter()
                    .try_for_each(|(column, word)| of_type(column, word))
            }
            Self::NotNull(check) => of_columns("not_null", check.columns()),
            Self::Unique(columns) => of_columns("unique", columns),
            Self::Range(check) => of_literals(check.min.as_ref(), check.max.as_ref()),
            Self::Allowed(check) => of_values(&check.values),
            Self::Matches(check) => of_pattern(&check.pattern),
            Self::NullFraction(check) if !(0.0..1.0).contains(&check.max) => Err(fault(
                &["null_fraction", "max"],
                "a fraction is at least 0; from 1 on it bounds nothing",
            )),
            Self::MeanBetween(bounds) => of_numbers(self.kind(), bounds, f64::NEG_INFINITY),
            Self::StddevBetween(bounds)
            | Self::DistinctCount(bounds)
            | Self::TextLength(bounds) => of_numbers(self.kind(), bounds, 0.0),
            Self::Sql(check) if check.condition.trim().is_empty() => {
                Err(fault(&["sql", "condition"], "it is empty"))
            }
            Self::Sql(check) if check.name.trim().is_empty() => {
                Err(fault(&["sql", "name"], "it is empty"))
            }
            Self::NullFraction(_) | Self::Sql(_) => Ok(()),
        }
    }

    /// Returns the columns that the check names.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::NotNull(check) => check.columns().iter().map(String::as_str).collect(),
            Self::Unique(columns) => columns.iter().map(String::as_str).collect(),
            Self::Range(check) => vec![&check.column],
            Self::MeanBetween(check)
            | Self::StddevBetween(check)
            | Self::DistinctCount(check)
            | Self::TextLength(check) => vec![&check.column],
            Self::Allowed(check) => vec![&check.column],
            Self::Matches(check) => vec![&check.column],
            Self::NullFraction(check) => vec![&check.column],
            Self::RowCount(_) | Self::Schema(_) | Self::Sql(_) => Vec::new(),
        }
    }

    /// Returns where the check names its column with this position among [`Self::columns`].
    pub fn column_path(&self, position: usize) -> Vec<String> {
        let path: Vec<&str> = match self {
            Self::NotNull(crate::contract::NotNullCheck::Detailed(_)) => {
                vec!["not_null", "columns"]
            }
            Self::NotNull(_) | Self::Unique(_) => vec![self.kind()],
            _ => vec![self.kind(), "column"],
        };
        let mut path: Vec<String> = path.into_iter().map(ToOwned::to_owned).collect();
        if matches!(self, Self::NotNull(_) | Self::Unique(_)) {
            path.push(position.to_string());
        }
        path
    }
}

fn of_counts(bounds: &CountBounds) -> Result<(), Fault> {
    match (bounds.min, bounds.max) {
        (None | Some(0), None) => Err(fault(&["row_count"], NOTHING)),
        (Some(min), Some(max)) if min > max => Err(fault(&["row_count"], crossed(min, max))),
        _ => Ok(()),
    }
}

fn crossed(min: impl std::fmt::Display, max: impl std::fmt::Display) -> String {
    format!("nothing is at least {min} and at most {max}")
}

/// Checks bounds of a figure that is never below `least`.
fn of_numbers(kind: &str, bounds: &ColumnBounds, least: f64) -> Result<(), Fault> {
    for (key, bound) in [("min", bounds.min), ("max", bounds.max)] {
        if bound.is_some_and(f64::is_nan) {
            return Err(fault(&[kind, key], "NaN is no bound"));
        }
    }
    let min = bounds.min.filter(|min| *min > least);
    let max = bounds.max.filter(|max| *max < f64::INFINITY);
    match (min, max) {
        (None, None) => Err(fault(&[kind], NOTHING)),
        (_, Some(max)) if max < least => Err(fault(
            &[kind, "max"],
            format!("nothing is at most {max}: it is never below {least}"),
        )),
        (Some(min), Some(max)) if min > max => Err(fault(&[kind], crossed(min, max))),
        _ => Ok(()),
    }
}

fn of_literals(min: Option<&Literal>, max: Option<&Literal>) -> Result<(), Fault> {
    for (key, bound) in [("min", min), ("max", max)] {
        match bound {
            Some(Literal::Number(number)) if !number.is_finite() => {
                return Err(fault(&["range", key], "it bounds nothing: give a number"));
            }
            Some(Literal::Boolean(_)) => {
                return Err(fault(
                    &["range", key],
                    "`true` and `false` have no order: use `allowed`",
                ));
            }
            _ => {}
        }
    }
    match (min, max) {
        (None, None) => Err(fault(&["range"], NOTHING)),
        (Some(min), Some(max)) => match (min.decimal(), max.decimal()) {
            (Some(low), Some(high)) if low > high => Err(fault(&["range"], crossed(min, max))),
            (Some(_), None) | (None, Some(_)) => Err(fault(
                &["range"],
                "one bound is a number and the other is none",
            )),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn of_values(values: &[Literal]) -> Result<(), Fault> {
    if values.is_empty() {
        return Err(fault(&["allowed", "values"], "no value is allowed"));
    }
    for (at, value) in values.iter().enumerate() {
        if matches!(value, Literal::Number(number) if number.is_nan()) {
            return Err(fault(
                &["allowed", "values", &at.to_string()],
                "NaN is never allowed; where it stands for a missing value, make it null",
            ));
        }
    }
    Ok(())
}

fn of_columns(kind: &str, columns: &[String]) -> Result<(), Fault> {
    if columns.is_empty() {
        return Err(fault(&[kind], "it names no column"));
    }
    for (at, column) in columns.iter().enumerate() {
        if columns.iter().take(at).any(|before| before == column) {
            return Err(fault(
                &[kind, &at.to_string()],
                format!("it names `{column}` twice"),
            ));
        }
    }
    Ok(())
}

fn of_pattern(pattern: &str) -> Result<(), Fault> {
    let path = ["matches", "pattern"];
    if pattern.is_empty() {
        return Err(fault(&path, "an empty pattern matches everything"));
    }
    regex::Regex::new(pattern).map(drop).map_err(|error| {
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        fault(&path, format!("the pattern does not compile: {why}"))
    })
}

fn of_type(column: &str, word: &str) -> Result<(), Fault> {
    let item = word.trim_start_matches("list of ");
    let decimal = || {
        let (precision, scale) = item
            .strip_prefix("decimal(")?
            .strip_suffix(')')?
            .split_once(',')?;
        let (precision, scale) = (precision.parse::<u8>().ok()?, scale.parse::<i8>().ok()?);
        Some((1..=76).contains(&precision) && scale.unsigned_abs() <= precision)
    };
    if TYPES.contains(&item) || decimal() == Some(true) {
        return Ok(());
    }
    let near = custody_types::nearest(item, TYPES).map_or_else(
        || {
            format!(
                "there are `{}`, `decimal(10,2)` and `list of …`",
                TYPES.join("`, `")
            )
        },
        |near| format!("did you mean `{near}`?"),
    );
    Err(fault(
        &["schema", "columns", column],
        format!("`{word}` is no type; {near}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table of cases")]
    fn a_contract_that_says_nothing_is_told_where() {
        for (json, path, because) in [
            (r#"{"row_count": {}}"#, "row_count", "bounds nothing"),
            (
                r#"{"row_count": {"min": 0}}"#,
                "row_count",
                "bounds nothing",
            ),
            (
                r#"{"row_count": {"min": 2, "max": 1}}"#,
                "row_count",
                "nothing is at least 2",
            ),
            (r#"{"not_null": []}"#, "not_null", "no column"),
            (
                r#"{"not_null": {"columns": ["x", "x"]}}"#,
                "not_null 1",
                "twice",
            ),
            (r#"{"unique": []}"#, "unique", "no column"),
            (r#"{"unique": ["x", "y", "x"]}"#, "unique 2", "twice"),
            (r#"{"range": {"column": "x"}}"#, "range", "bounds nothing"),
            (
                r#"{"range": {"column": "x", "min": 3, "max": 1}}"#,
                "range",
                "nothing is at least 3",
            ),
            (
                r#"{"range": {"column": "x", "min": "2024-01-01", "max": 1}}"#,
                "range",
                "the other is none",
            ),
            (
                r#"{"range": {"column": "x", "min": true}}"#,
                "range min",
                "no order",
            ),
            (
                r#"{"allowed": {"column": "x", "values": []}}"#,
                "allowed values",
                "no value",
            ),
            (
                r#"{"matches": {"column": "x", "pattern": "(a"}}"#,
                "matches pattern",
                "unclosed group",
            ),
            (
                r#"{"matches": {"column": "x", "pattern": ""}}"#,
                "matches pattern",
                "everything",
            ),
            (
                r#"{"null_fraction": {"column": "x", "max": 5}}"#,
                "null_fraction max",
                "bounds nothing",
            ),
            (
                r#"{"null_fraction": {"column": "x", "max": 1}}"#,
                "null_fraction max",
                "bounds nothing",
            ),
            (
                r#"{"null_fraction": {"column": "x", "max": -0.1}}"#,
                "null_fraction max",
                "at least 0",
            ),
            (
                r#"{"mean_between": {"column": "x"}}"#,
                "mean_between",
                "bounds nothing",
            ),
            (
                r#"{"stddev_between": {"column": "x", "min": -1}}"#,
                "stddev_between",
                "bounds nothing",
            ),
            (
                r#"{"stddev_between": {"column": "x", "max": -1}}"#,
                "stddev_between max",
                "never below 0",
            ),
            (
                r#"{"text_length": {"column": "x", "min": 0}}"#,
                "text_length",
                "bounds nothing",
            ),
            (
                r#"{"text_length": {"column": "x", "max": -1}}"#,
                "text_length max",
                "never below 0",
            ),
            (r#"{"schema": {"columns": {}}}"#, "schema", "no column"),
            (
                r#"{"schema": {"columns": {"x": "interger"}}}"#,
                "schema columns x",
                "`integer`",
            ),
            (
                r#"{"schema": {"columns": {"x": "decimal(0,2)"}}}"#,
                "schema columns x",
                "no type",
            ),
            (
                r#"{"sql": {"name": "n", "condition": " "}}"#,
                "sql condition",
                "empty",
            ),
        ] {
            let check: Check = serde_json::from_str(json).unwrap();
            let fault = check.examine().expect_err(json);
            assert_eq!(fault.path.join(" "), path, "{json}");
            assert!(fault.because.contains(because), "{json}: {}", fault.because);
        }
    }

    #[test]
    fn a_contract_that_says_something_is_left_alone() {
        for json in [
            r#"{"row_count": {"max": 0}}"#,
            r#"{"not_null": ["x"]}"#,
            r#"{"not_null": {"columns": ["x"], "nan": "value"}}"#,
            r#"{"range": {"column": "x", "min": "2024-01-01", "max": "2024-12-31"}}"#,
            r#"{"range": {"column": "x", "max": 9007199254740993}}"#,
            r#"{"allowed": {"column": "x", "values": [1, "a", true]}}"#,
            r#"{"null_fraction": {"column": "x", "max": 0}}"#,
            r#"{"text_length": {"column": "x", "max": 0}}"#,
            r#"{"schema": {"columns": {"x": "decimal(10,2)", "y": "list of integer", "z": "timestamp with time zone"}}}"#,
        ] {
            let check: Check = serde_json::from_str(json).unwrap();
            assert_eq!(check.examine(), Ok(()), "{json}");
        }
    }
}
