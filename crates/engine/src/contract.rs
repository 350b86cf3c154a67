//! Checking a contract: one scan for all aggregates, another only for the keys of rows that fail.

use custody_stats::contract::{
    Check, CheckOutcome, ColumnBounds, ContractReport, Literal, SchemaCheck,
};
use datafusion::arrow::array::{Array, ArrayRef, Float64Array, Int64Array, UInt64Array};
use datafusion::prelude::SessionContext;

use crate::error::EngineError;
use crate::query::{Engine, quoted, texts_of};
use crate::schema::Column;
use crate::table::Table;

/// How many keys of failing rows are told.
const KEYS: usize = 10;

/// How a check is read off the scan.
enum Measure {
    /// A condition that is true for the rows that break it; no row may.
    Rows(String),
    /// An aggregate that must lie between two bounds.
    Between(String, Option<f64>, Option<f64>),
    /// Known without a scan: whether it holds, and what was seen.
    Known(bool, String),
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bounds of row counts are far below 2^53"
)]
fn as_bound(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

fn outside(value: &str, bounds: &ColumnBounds) -> String {
    let low = bounds.min.map(|min| format!("{value} < {min:?}"));
    let high = bounds.max.map(|max| format!("{value} > {max:?}"));
    let parts: Vec<_> = [low, high].into_iter().flatten().collect();
    if parts.is_empty() {
        "false".to_owned()
    } else {
        parts.join(" OR ")
    }
}

fn allowed(column: &str, values: &[Literal]) -> String {
    let values: Vec<_> = values
        .iter()
        .map(|value| match value {
            Literal::Number(number) => format!("{number:?}"),
            Literal::Text(value) => text(value),
        })
        .collect();
    format!("{} NOT IN ({})", quoted(column), values.join(", "))
}

fn schema(check: &SchemaCheck, columns: &[Column]) -> Measure {
    let mut wrong = Vec::new();
    for (name, expected) in &check.columns {
        match columns.iter().find(|column| column.name == *name) {
            None => wrong.push(format!("`{name}` is missing")),
            Some(column) if column.data_type != *expected => {
                wrong.push(format!("`{name}` is {}, not {expected}", column.data_type));
            }
            Some(_) => {}
        }
    }
    if check.closed {
        wrong.extend(
            columns
                .iter()
                .filter(|column| !check.columns.contains_key(&column.name))
                .map(|column| format!("`{}` is not expected", column.name)),
        );
    }
    let observed = if wrong.is_empty() {
        format!("{} columns", columns.len())
    } else {
        wrong.join(", ")
    };
    Measure::Known(wrong.is_empty(), observed)
}

/// Returns the columns that a check names.
fn named(check: &Check) -> Vec<&str> {
    match check {
        Check::NotNull(columns) | Check::Unique(columns) => {
            columns.iter().map(String::as_str).collect()
        }
        Check::Range(check)
        | Check::MeanBetween(check)
        | Check::StddevBetween(check)
        | Check::DistinctCount(check)
        | Check::TextLength(check) => {
            vec![&check.column]
        }
        Check::Allowed(check) => vec![&check.column],
        Check::Matches(check) => vec![&check.column],
        Check::NullFraction(check) => vec![&check.column],
        Check::RowCount(_) | Check::Schema(_) | Check::Sql(_) => Vec::new(),
    }
}

fn measure(check: &Check, columns: &[Column]) -> Measure {
    let missing: Vec<_> = named(check)
        .into_iter()
        .filter(|name| !columns.iter().any(|column| column.name == *name))
        .collect();
    if !missing.is_empty() {
        return Measure::Known(
            false,
            format!("there is no column `{}`", missing.join("`, `")),
        );
    }
    let aggregate = |function: &str, bounds: &ColumnBounds| {
        Measure::Between(
            format!("{function}({})", quoted(&bounds.column)),
            bounds.min,
            bounds.max,
        )
    };
    match check {
        Check::RowCount(bounds) => Measure::Between(
            "count(*)".to_owned(),
            as_bound(bounds.min),
            as_bound(bounds.max),
        ),
        Check::Schema(check) => schema(check, columns),
        Check::NotNull(names) => Measure::Rows(
            names
                .iter()
                .map(|name| format!("{} IS NULL", quoted(name)))
                .collect::<Vec<_>>()
                .join(" OR "),
        ),
        Check::Unique(names) => {
            let key = match names.as_slice() {
                [name] => quoted(name),
                names => {
                    let parts: Vec<_> = names
                        .iter()
                        .map(|name| format!("coalesce(CAST({} AS VARCHAR), '')", quoted(name)))
                        .collect();
                    format!("concat_ws('\u{1f}', {})", parts.join(", "))
                }
            };
            Measure::Between(
                format!("count(*) - count(DISTINCT {key})"),
                Some(0.0),
                Some(0.0),
            )
        }
        Check::Range(bounds) => Measure::Rows(outside(&quoted(&bounds.column), bounds)),
        Check::Allowed(check) => Measure::Rows(allowed(&check.column, &check.values)),
        Check::Matches(check) => Measure::Rows(format!(
            "NOT regexp_like(CAST({} AS VARCHAR), {})",
            quoted(&check.column),
            text(&check.pattern)
        )),
        Check::NullFraction(check) => {
            let nulls = format!(
                "sum(CASE WHEN {} IS NULL THEN 1.0 ELSE 0.0 END) / count(*)",
                quoted(&check.column)
            );
            Measure::Between(nulls, None, Some(check.max))
        }
        Check::MeanBetween(bounds) => aggregate("avg", bounds),
        Check::StddevBetween(bounds) => aggregate("stddev", bounds),
        Check::DistinctCount(bounds) => Measure::Between(
            format!("count(DISTINCT {})", quoted(&bounds.column)),
            bounds.min,
            bounds.max,
        ),
        Check::TextLength(bounds) => Measure::Rows(outside(
            &format!(
                "character_length(CAST({} AS VARCHAR))",
                quoted(&bounds.column)
            ),
            bounds,
        )),
        Check::Sql(check) => Measure::Rows(format!("({}) IS NOT TRUE", check.condition)),
    }
}

fn expression(measure: &Measure) -> Option<String> {
    match measure {
        Measure::Rows(condition) => Some(format!("sum(CASE WHEN {condition} THEN 1 ELSE 0 END)")),
        Measure::Between(aggregate, ..) => Some(aggregate.clone()),
        Measure::Known(..) => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn number(array: &ArrayRef) -> Option<f64> {
    if array.is_null(0) {
        return None;
    }
    let any = array.as_any();
    let integer = any
        .downcast_ref::<Int64Array>()
        .map(|values| values.value(0) as f64);
    let unsigned = any
        .downcast_ref::<UInt64Array>()
        .map(|values| values.value(0) as f64);
    integer.or(unsigned).or_else(|| {
        any.downcast_ref::<Float64Array>()
            .map(|values| values.value(0))
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that came out of the engine as one"
)]
fn count(value: Option<f64>) -> u64 {
    value.unwrap_or(0.0) as u64
}

impl Engine {
    /// Checks a table against a contract. `key`: the column whose values name rows in the report.
    ///
    /// A check that cannot be computed, since a column is missing or has another type, does not hold;
    /// it is no error.
    ///
    /// # Errors
    /// [`EngineError`] when the table cannot be read.
    pub fn check(
        &self,
        table: &Table,
        checks: &[Check],
        key: Option<&str>,
    ) -> Result<ContractReport, EngineError> {
        let columns = self.columns(table)?;
        let key = key.filter(|key| columns.iter().any(|column| column.name == **key));
        self.block(async {
            let context = self.context(std::slice::from_ref(table)).await?;
            let from = quoted(&table.name);
            let mut measures: Vec<_> = checks
                .iter()
                .map(|check| measure(check, &columns))
                .collect();
            for measure in &mut measures {
                if let Some(expression) = expression(measure)
                    && let Err(error) = self
                        .plan(&context, &format!("SELECT {expression} FROM {from}"))
                        .await
                {
                    *measure = Measure::Known(false, error.to_string());
                }
            }
            let mut wanted = vec!["count(*)".to_owned()];
            wanted.extend(measures.iter().filter_map(expression));
            let aliased: Vec<_> = wanted
                .iter()
                .enumerate()
                .map(|(at, one)| format!("{one} AS m{at}"))
                .collect();
            let batches = self
                .collect(
                    &context,
                    &format!("SELECT {} FROM {from}", aliased.join(", ")),
                )
                .await?;
            let batch = batches
                .first()
                .filter(|batch| batch.num_rows() == 1)
                .ok_or(EngineError::Failed("the scan gave no answer"))?;
            let mut values = batch.columns().iter();
            let rows = count(values.next().and_then(number));
            let mut report = ContractReport {
                ok: true,
                rows,
                scans: 1,
                checks: Vec::new(),
            };
            for (check, measure) in checks.iter().zip(&measures) {
                let value = if expression(measure).is_some() {
                    values.next().and_then(number)
                } else {
                    None
                };
                let mut outcome = judge(check, measure, value, rows);
                if let (Measure::Rows(condition), Some(key), false) = (measure, key, outcome.passed)
                {
                    outcome.keys = self.keys(&context, &from, key, condition).await?;
                    report.scans += 1;
                }
                report.ok &= outcome.passed;
                report.checks.push(outcome);
            }
            Ok(report)
        })
    }

    async fn keys(
        &self,
        context: &SessionContext,
        from: &str,
        key: &str,
        condition: &str,
    ) -> Result<Vec<String>, EngineError> {
        let sql = format!(
            "SELECT {} FROM {from} WHERE {condition} LIMIT {KEYS}",
            quoted(key)
        );
        let mut keys = Vec::new();
        for batch in self.collect(context, &sql).await? {
            texts_of(batch.column(0), &mut keys)?;
        }
        Ok(keys
            .into_iter()
            .map(|key| key.unwrap_or_else(|| "null".to_owned()))
            .collect())
    }
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn judge(check: &Check, measure: &Measure, value: Option<f64>, rows: u64) -> CheckOutcome {
    let mut outcome = CheckOutcome {
        check: check.label(),
        kind: check.kind().to_owned(),
        passed: false,
        expected: check.expected(),
        observed: String::new(),
        failing_rows: None,
        share: None,
        keys: Vec::new(),
    };
    match measure {
        Measure::Known(passed, observed) => {
            outcome.passed = *passed;
            outcome.observed.clone_from(observed);
        }
        Measure::Rows(_) => {
            let failing = count(value);
            outcome.passed = failing == 0;
            outcome.observed = format!("{failing} of {rows} rows break it");
            outcome.failing_rows = Some(failing);
            outcome.share = (rows > 0).then(|| failing as f64 / rows as f64);
        }
        Measure::Between(_, min, max) => match value {
            Some(value) => {
                outcome.passed =
                    min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max);
                outcome.observed = value.to_string();
            }
            None => "there are no values".clone_into(&mut outcome.observed),
        },
    }
    outcome
}
