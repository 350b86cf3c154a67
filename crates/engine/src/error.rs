//! What can go wrong in a query.

use datafusion::error::DataFusionError;

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
    /// The result cannot be written.
    #[error("the result cannot be written: {0}")]
    Write(String),
}

/// Keeps the text of an error from before any row was read; it can only repeat the SQL.
pub(crate) fn planning(error: &DataFusionError) -> EngineError {
    match error.find_root() {
        DataFusionError::Plan(text)
            if text.contains("not supported") || text.contains("not allowed") =>
        {
            EngineError::NotAllowed(text.clone())
        }
        DataFusionError::SQL(parser, _) => EngineError::Plan(parser.to_string()),
        DataFusionError::Plan(text) => EngineError::Plan(text.clone()),
        other @ DataFusionError::SchemaError(..) => EngineError::Plan(other.to_string()),
        DataFusionError::NotImplemented(text) => EngineError::NotAllowed(text.clone()),
        _ => EngineError::Plan("an expression in it has no answer".to_owned()),
    }
}

/// Replaces the text of an error from the time of running: it may repeat values.
pub(crate) fn running(error: &DataFusionError, memory: &str) -> EngineError {
    if custody_types::is_no_room(error) {
        return EngineError::NoRoom;
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => EngineError::Memory(memory.to_owned()),
        DataFusionError::ArrowError(..) => {
            EngineError::Failed("a value could not be converted or computed")
        }
        DataFusionError::ParquetError(_) => {
            EngineError::Failed("a Parquet file could not be decoded")
        }
        DataFusionError::ObjectStore(_) => {
            EngineError::Failed("a table's bytes could not be read; see `custody verify`")
        }
        _ => EngineError::Failed("an expression could not be computed for some row"),
    }
}
