//! What can go wrong in a query, in words that are ours and without a value of the data.

use custody_types::nearest;
use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::query::CHANGING;

/// Why a query gives no answer. No variant carries values of data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The SQL cannot be understood, or names what is not there.
    #[error("the SQL cannot be planned: {0}")]
    Plan(String),
    /// The SQL asks for what is not allowed.
    #[error("the SQL is not allowed: {0}")]
    NotAllowed(String),
    /// The query ran and failed.
    #[error("the query failed while it ran: {0}")]
    Failed(&'static str),
    /// The query needs more memory than there is for it.
    #[error("the query needs more memory than its limit of {0}")]
    Memory(String),
    /// What the query puts aside finds no room on the disk.
    #[error("there is no room left on the disk for what the query puts aside")]
    NoRoom,
    /// A table's files cannot be read.
    #[error("the table `{name}` cannot be read: {because}")]
    Table {
        /// The table.
        name: String,
        /// Why.
        because: String,
    },
    /// Rows cannot be told apart or brought together.
    #[error("rows cannot be compared: {0}")]
    Key(String),
    /// The result cannot be written.
    #[error("the result cannot be written: {0}")]
    Write(String),
}

/// What an expression that cannot be planned is told to be.
const NO_ANSWER: &str = "an expression in it has no answer";

/// Tells an error from before any row was read; it can only repeat the SQL.
pub(crate) fn planning(error: &DataFusionError) -> EngineError {
    match error.find_root() {
        DataFusionError::Plan(text)
            if text.contains("not supported") || text.contains("not allowed") =>
        {
            EngineError::NotAllowed(reworded(text).unwrap_or_else(|| plain(text)))
        }
        DataFusionError::SQL(parser, _) => {
            EngineError::Plan(plain(&parser.to_string().replace("sql parser error: ", "")))
        }
        DataFusionError::Plan(text) => {
            EngineError::Plan(reworded(text).unwrap_or_else(|| plain(text)))
        }
        DataFusionError::SchemaError(error, _) => EngineError::Plan(of_schema(error)),
        DataFusionError::NotImplemented(text) => {
            EngineError::NotAllowed(reworded(text).unwrap_or_else(|| plain(text)))
        }
        DataFusionError::External(error) => error
            .downcast_ref::<EngineError>()
            .cloned()
            .unwrap_or_else(|| EngineError::Plan(NO_ANSWER.to_owned())),
        _ => EngineError::Plan(NO_ANSWER.to_owned()),
    }
}

fn of_schema(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => no_column(
            field.name(),
            valid_fields.iter().map(datafusion::common::Column::name),
        ),
        SchemaError::AmbiguousReference { field } => format!(
            "the column `{}` stands in several tables: write the table before it",
            field.name()
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("the column `{name}` stands twice: give one another name with AS")
        }
    }
}

/// Says that a column is not there, and which may have been meant.
pub(crate) fn no_column<'a>(name: &str, columns: impl Iterator<Item = &'a str> + Clone) -> String {
    const MOST: usize = 20;
    match nearest(name, columns.clone()) {
        Some(near) => format!("there is no column `{name}`; did you mean `{near}`?"),
        None => {
            let shown: Vec<_> = columns
                .clone()
                .take(MOST)
                .map(|name| format!("`{name}`"))
                .collect();
            let more = columns.skip(MOST).count();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!(
                "there is no column `{name}`; there are {}{more}",
                shown.join(", ")
            )
        }
    }
}

/// Says in other words what the planner says of a whole query.
fn reworded(text: &str) -> Option<String> {
    if text.contains("require unique expression names") {
        return Some("two of its columns have one name: give one another name with AS".to_owned());
    }
    if let Some((_, name)) = text.split_once("Invalid function '")
        && let Some((name, _)) = name.split_once('\'')
    {
        let near = text
            .split_once("mean '")
            .and_then(|(_, near)| near.split_once('\''));
        let near = near.and_then(|(near, _)| nearest(name, std::iter::once(near)));
        let why = match near {
            _ if CHANGING.contains(&name) => {
                ": its answer would be another at another time or place".to_owned()
            }
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        return Some(format!("there is no function `{name}`{why}"));
    }
    let more = text.contains("single SQL statement");
    let other = ["DDL not", "DML not", "Statement not"]
        .iter()
        .any(|word| text.contains(word));
    (more || other).then(|| "it must be one query, which begins with SELECT or WITH".to_owned())
}

/// Puts the planner's text into our words.
fn plain(text: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("Error during planning: ", ""),
        ("datafusion.public.", ""),
        ("Utf8View", "text"),
        ("LargeUtf8", "text"),
        ("Utf8", "text"),
        ("Int64", "integer"),
        ("Int32", "integer"),
        ("Int16", "integer"),
        ("Int8", "integer"),
        ("UInteger", "integer"),
        ("Uinteger", "integer"),
        ("Float64", "double"),
        ("Float32", "double"),
        ("Boolean", "boolean"),
        ("Date32", "date"),
        ("Decimal128", "decimal"),
        ("Timestamp(ns)", "timestamp"),
        ("Timestamp(µs)", "timestamp"),
    ];
    let first = text.lines().next().unwrap_or_default();
    let mut plain = first.to_owned();
    for (theirs, ours) in WORDS {
        plain = plain.replace(theirs, ours);
    }
    let foreign = [
        "DataFusion",
        "datafusion",
        "Arrow",
        "arrow",
        "bug",
        "Internal",
    ];
    if foreign.iter().any(|word| plain.contains(word)) {
        NO_ANSWER.to_owned()
    } else {
        plain
    }
}

/// Tells an error from the time of running, whose own text may repeat values.
pub(crate) fn running(error: &DataFusionError, memory: &str) -> EngineError {
    if custody_types::is_no_room(error) {
        return EngineError::NoRoom;
    }
    match error.find_root() {
        DataFusionError::External(error) => match error.downcast_ref::<EngineError>() {
            Some(own) => own.clone(),
            None => EngineError::Failed("an expression could not be computed for some row"),
        },
        DataFusionError::ResourcesExhausted(_) => EngineError::Memory(memory.to_owned()),
        DataFusionError::ArrowError(error, _) => EngineError::Failed(of_arrow(error)),
        _ => EngineError::Failed("an expression could not be computed for some row"),
    }
}

pub(crate) const fn of_arrow(error: &ArrowError) -> &'static str {
    match error {
        ArrowError::DivideByZero => "a number was divided by zero",
        ArrowError::ArithmeticOverflow(_) => "a result does not fit into its type",
        ArrowError::CastError(_) | ArrowError::ParseError(_) => "a value could not be converted",
        _ => "a value could not be converted or computed",
    }
}
