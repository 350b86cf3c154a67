//! SQL and contracts over versions, on DataFusion.
//!
//! An [`Engine`] is denied everything but the tables that a call gives it: no files, no network, no
//! definition or change of data, no settings, no functions whose answer changes from one run to the
//! next. Tables are read in place through [`custody_types::VersionFiles`]; nothing is spilled to a disk: a
//! query that needs more memory than the engine has ends with an error.
//!
//! INVARIANT: equal tables and equal SQL give equal bytes; there is one partition, and writer settings
//! are fixed. Rows keep the order of the table unless the SQL orders them. Errors carry no values.
#![forbid(unsafe_code)]

mod bucket;
mod contract;
mod error;
mod query;
mod table;

pub use error::EngineError;
pub use query::{Column, Engine, Written};
pub use table::Table;
