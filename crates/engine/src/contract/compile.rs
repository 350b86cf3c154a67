//! Contracts as rules on the columns of one table.

use custody_stats::Fault;
use custody_stats::contract::{Check, ColumnBounds, CountBounds, Nan, SchemaCheck, SqlCheck};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use regex::Regex;

use super::condition::{Condition, Outcome};
use super::values::{Found, Values};
use super::{Failing, Look, Tally};
use crate::error::{EngineError, no_column};
use crate::identity::Identity;
use crate::moments::Moments;
use crate::parts::Unit;
use crate::schema::word;

/// A check as it is computed.
#[derive(Debug)]
pub(super) enum Rule {
    /// Decided by the columns alone: whether it holds, and what was seen.
    Known(bool, String),
    RowCount(CountBounds),
    NotNull {
        columns: Vec<usize>,
        nan: Nan,
    },
    Missing {
        column: usize,
        nan: Nan,
        max: f64,
    },
    Values(usize, Values),
    Matches(usize, Regex),
    Length(usize, f64, f64),
    Mean(usize, ColumnBounds),
    Stddev(usize, ColumnBounds),
    Distinct(Identity, ColumnBounds),
    Unique(Identity),
    Condition(Box<Condition>),
}

/// Compiles a check for a table with these columns.
pub(super) fn compile(
    check: &Check,
    schema: &SchemaRef,
    condition: &dyn Fn(&SqlCheck) -> Result<Condition, Fault>,
) -> Result<Rule, Fault> {
    check.examine()?;
    let mut places = Vec::new();
    for (position, column) in check.columns().into_iter().enumerate() {
        let place = schema.index_of(column).map_err(|_| Fault {
            path: check.column_path(position),
            because: no_column(
                column,
                schema.fields().iter().map(|field| field.name().as_str()),
            ),
        })?;
        places.push(place);
    }
    let first = places.first().copied().unwrap_or_default();
    let kind = schema
        .fields()
        .get(first)
        .map_or(&DataType::Null, |field| field.data_type());
    let fault = |path: &[&str], because: String| Fault {
        path: std::iter::once(check.kind())
            .chain(path.iter().copied())
            .map(ToOwned::to_owned)
            .collect(),
        because,
    };
    let numeric = || {
        if kind.is_numeric() || kind.is_null() {
            Ok(())
        } else {
            let what = match check {
                Check::MeanBetween(_) => "a mean",
                _ => "a standard deviation",
            };
            let because = format!("{what} has no meaning for a column of {}", word(kind));
            Err(fault(&["column"], because))
        }
    };
    Ok(match check {
        Check::RowCount(bounds) => Rule::RowCount(bounds.clone()),
        Check::Schema(check) => compare(check, schema),
        Check::NotNull(check) => Rule::NotNull {
            columns: places,
            nan: check.nan(),
        },
        Check::Unique(columns) => {
            comparable(schema, &places, columns)
                .map_err(|(at, because)| fault(&[&at.to_string()], because))?;
            Rule::Unique(Identity::new(places))
        }
        Check::Range(check) => {
            let values = Values::range(kind, check.min.as_ref(), check.max.as_ref());
            Rule::Values(
                first,
                values.map_err(|(key, because)| match key {
                    "" => fault(&[], because),
                    key => fault(&[key], because),
                })?,
            )
        }
        Check::Allowed(check) => {
            let values = Values::allowed(kind, &check.values);
            let values = values.map_err(|(at, because)| match at {
                Some(at) => fault(&["values", &at.to_string()], because),
                None => fault(&["column"], because),
            })?;
            Rule::Values(first, values)
        }
        Check::Matches(check) => {
            written(kind, "a pattern").map_err(|because| fault(&["column"], because))?;
            let pattern = Regex::new(&check.pattern)
                .map_err(|_| fault(&["pattern"], "the pattern does not compile".to_owned()))?;
            Rule::Matches(first, pattern)
        }
        Check::TextLength(check) => {
            written(kind, "a length").map_err(|because| fault(&["column"], because))?;
            Rule::Length(
                first,
                check.min.unwrap_or(0.0),
                check.max.unwrap_or(f64::INFINITY),
            )
        }
        Check::NullFraction(check) => Rule::Missing {
            column: first,
            nan: check.nan,
            max: check.max,
        },
        Check::MeanBetween(bounds) => {
            numeric()?;
            Rule::Mean(first, bounds.clone())
        }
        Check::StddevBetween(bounds) => {
            numeric()?;
            Rule::Stddev(first, bounds.clone())
        }
        Check::DistinctCount(bounds) => {
            comparable(schema, &places, std::slice::from_ref(&bounds.column))
                .map_err(|(_, because)| fault(&["column"], because))?;
            Rule::Distinct(Identity::new(places), bounds.clone())
        }
        Check::Sql(check) => Rule::Condition(Box::new(condition(check)?)),
    })
}

/// Compares the columns that there are with those that a contract expects.
fn compare(check: &SchemaCheck, schema: &SchemaRef) -> Rule {
    let mut wrong = Vec::new();
    for (name, expected) in &check.columns {
        match schema.field_with_name(name) {
            Err(_) => wrong.push(format!("`{name}` is missing")),
            Ok(field) => {
                let found = word(field.data_type());
                let zoned = found == "timestamp with time zone" && expected == "timestamp";
                if found != *expected && !zoned {
                    wrong.push(format!("`{name}` is {found}, not {expected}"));
                }
            }
        }
    }
    if check.closed {
        wrong.extend(
            schema
                .fields()
                .iter()
                .filter(|field| !check.columns.contains_key(field.name()))
                .map(|field| format!("`{}` is not expected", field.name())),
        );
    }
    let observed = if wrong.is_empty() {
        format!("{} columns", schema.fields().len())
    } else {
        wrong.join(", ")
    };
    Rule::Known(wrong.is_empty(), observed)
}

/// Checks that values of these columns can be told apart.
fn comparable(
    schema: &SchemaRef,
    places: &[usize],
    names: &[String],
) -> Result<(), (usize, String)> {
    for (at, (place, name)) in places.iter().zip(names).enumerate() {
        let Some(field) = schema.fields().get(*place) else {
            continue;
        };
        if field.data_type().is_nested() {
            let kind = word(field.data_type());
            return Err((
                at,
                format!("`{name}` is {kind}: whether two are equal has no clear meaning"),
            ));
        }
    }
    Ok(())
}

/// Checks that values of a type have one way in which they are written as text.
fn written(kind: &DataType, what: &str) -> Result<(), String> {
    let one_way = kind.is_integer()
        || matches!(
            kind,
            DataType::Utf8 | DataType::Boolean | DataType::Date32 | DataType::Null
        );
    if one_way {
        Ok(())
    } else {
        Err(format!(
            "{what} has no meaning for a column of {}",
            word(kind)
        ))
    }
}

impl Rule {
    /// Returns what it reads.
    pub(super) fn columns(&self) -> Vec<usize> {
        match self {
            Self::Known(..) | Self::RowCount(_) => Vec::new(),
            Self::NotNull { columns, .. } => columns.clone(),
            Self::Missing { column, .. }
            | Self::Values(column, _)
            | Self::Matches(column, _)
            | Self::Length(column, ..)
            | Self::Mean(column, _)
            | Self::Stddev(column, _) => vec![*column],
            Self::Distinct(identity, _) | Self::Unique(identity) => identity.columns().to_vec(),
            Self::Condition(condition) => condition.columns.clone(),
        }
    }

    /// Returns the same for batches that have the columns at other places.
    pub(super) fn placed(self, place: &dyn Fn(usize) -> Option<usize>) -> Self {
        let at = |column: usize| place(column).unwrap_or(usize::MAX);
        match self {
            Self::Known(..) | Self::RowCount(_) => self,
            Self::NotNull { columns, nan } => Self::NotNull {
                columns: columns.into_iter().map(at).collect(),
                nan,
            },
            Self::Missing { column, nan, max } => Self::Missing {
                column: at(column),
                nan,
                max,
            },
            Self::Values(column, values) => Self::Values(at(column), values),
            Self::Matches(column, pattern) => Self::Matches(at(column), pattern),
            Self::Length(column, min, max) => Self::Length(at(column), min, max),
            Self::Mean(column, bounds) => Self::Mean(at(column), bounds),
            Self::Stddev(column, bounds) => Self::Stddev(at(column), bounds),
            Self::Distinct(identity, bounds) => Self::Distinct(identity.placed(&at), bounds),
            Self::Unique(identity) => Self::Unique(identity.placed(&at)),
            Self::Condition(condition) => Self::Condition(Box::new(condition.placed(place))),
        }
    }

    /// Returns what tells rows apart, where the rule is about that.
    pub(super) const fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Distinct(identity, _) | Self::Unique(identity) => Some(identity),
            _ => None,
        }
    }

    /// What is wrong with a row whose value could not be read.
    pub(super) const fn unlike(&self) -> &'static str {
        match self {
            Self::Values(_, values) => values.unlike(),
            _ => "it could not be computed",
        }
    }

    /// Returns what is found in no rows.
    pub(super) fn nothing(&self) -> Tally {
        match self {
            Self::Missing { .. } => Tally::Missing(0),
            Self::Mean(..) | Self::Stddev(..) => Tally::Moments(Moments::default()),
            Self::Distinct(..) | Self::Unique(_) => Tally::Identities(Vec::new()),
            _ => Tally::Rows(Failing::default()),
        }
    }

    /// Looks at a batch; `before`: the rows of the unit before it.
    pub(super) fn look(
        &self,
        batch: &RecordBatch,
        unit: Unit,
        before: u64,
        tally: &mut Tally,
        look: &Look,
    ) -> Result<(), EngineError> {
        let column = |place: usize| {
            let column = batch.columns().get(place);
            column.ok_or(EngineError::Failed("a column of a table is not there"))
        };
        let odd = EngineError::Failed("a column has another type than its table");
        match (self, tally) {
            (Self::NotNull { columns, nan }, Tally::Rows(failing)) => {
                let columns: Vec<_> = columns
                    .iter()
                    .map(|place| column(*place))
                    .collect::<Result<_, _>>()?;
                let any = columns.iter().any(|column| some_missing(column, *nan));
                failing.without.resize(columns.len(), 0);
                for at in (0..batch.num_rows()).filter(|_| any) {
                    let mut breaks = false;
                    for (column, rows) in columns.iter().zip(&mut failing.without) {
                        let missing = missing(column, *nan, at);
                        *rows += u64::from(missing);
                        breaks |= missing;
                    }
                    if breaks {
                        failing.note(unit, before + at as u64);
                    }
                }
            }
            (
                Self::Missing {
                    column: place, nan, ..
                },
                Tally::Missing(count),
            ) => {
                let column = column(*place)?;
                if some_missing(column, *nan) {
                    let rows = 0..batch.num_rows();
                    *count += rows.filter(|at| missing(column, *nan, *at)).count() as u64;
                }
            }
            (Self::Values(place, values), Tally::Rows(failing)) => {
                let told = values.look(column(*place)?, |at, found| {
                    failing.note(unit, before + at as u64);
                    failing.unlike += u64::from(found == Found::Unlike);
                });
                told.ok_or(odd)?;
            }
            (Self::Matches(place, pattern), Tally::Rows(failing)) => {
                let texts = texts(column(*place)?)?;
                for (at, text) in strings(&texts)?.iter().enumerate() {
                    if text.is_some_and(|text| !pattern.is_match(text)) {
                        failing.note(unit, before + at as u64);
                    }
                }
            }
            (Self::Length(place, min, max), Tally::Rows(failing)) => {
                let texts = texts(column(*place)?)?;
                for (at, text) in strings(&texts)?.iter().enumerate() {
                    let fits = |text: &str| {
                        let length = super::exact(text.chars().count() as u64);
                        *min <= length && length <= *max
                    };
                    if text.is_some_and(|text| !fits(text)) {
                        failing.note(unit, before + at as u64);
                    }
                }
            }
            (Self::Mean(place, _) | Self::Stddev(place, _), Tally::Moments(moments)) => {
                moments.look(column(*place)?)?;
            }
            (Self::Distinct(identity, _) | Self::Unique(identity), Tally::Identities(values)) => {
                let all = identity.of_rows(batch, &look.secret)?;
                values.extend(
                    all.into_iter()
                        .flatten()
                        .filter(|one| look.pass.takes(*one)),
                );
            }
            (Self::Condition(condition), Tally::Rows(failing)) if !failing.cut => {
                let known = failing.unlike;
                let whole = condition.look(batch, known, |at, outcome| {
                    failing.note(unit, before + at as u64);
                    failing.unlike += u64::from(outcome == Outcome::Uncomputed);
                })?;
                failing.cut = !whole;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a column may have a missing value at all.
fn some_missing(column: &ArrayRef, nan: Nan) -> bool {
    column.logical_null_count() > 0
        || *column.data_type() == DataType::Null
        || (nan == Nan::Missing && column.data_type().is_floating())
}

fn missing(column: &ArrayRef, nan: Nan, at: usize) -> bool {
    let is_nan = || match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().value(at).is_nan(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(at).is_nan(),
        _ => false,
    };
    *column.data_type() == DataType::Null || column.is_null(at) || (nan == Nan::Missing && is_nan())
}

fn texts(column: &ArrayRef) -> Result<ArrayRef, EngineError> {
    cast(column, &DataType::Utf8)
        .map_err(|_| EngineError::Failed("a value could not be written as text"))
}

fn strings(texts: &ArrayRef) -> Result<&StringArray, EngineError> {
    texts
        .as_any()
        .downcast_ref()
        .ok_or(EngineError::Failed("a value could not be written as text"))
}
