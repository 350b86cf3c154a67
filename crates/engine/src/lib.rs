//! SQL, contracts, profiles and differences over versions, on DataFusion.
//!
//! An [`Engine`] is denied everything but the tables that a call gives it: no files, no network, no
//! definition or change of data, no settings, no functions whose answer changes from one run to the
//! next. Tables are read in place through [`custody_types::VersionFiles`]. What does not fit into a
//! query's memory is spilled to unnamed files, sealed with a key of that query ([`Spill`]).
//!
//! INVARIANT: equal tables, equal SQL and equal memory give equal bytes; there is one partition, and writer settings
//! are fixed. Rows keep the order of the table unless the SQL orders them. Errors carry no values.
#![forbid(unsafe_code)]

mod aggregate;
mod apart;
mod beside;
mod bucket;
mod columns;
mod contract;
mod diff;
mod error;
mod exact;
mod extremes;
mod gather;
mod identity;
mod moments;
mod parts;
mod profile;
mod query;
mod ratio;
mod schema;
mod spill;
mod sum;
mod table;
mod value;
mod windows;

pub use columns::{Values, file_columns, file_values};
pub use contract::{ContractError, NAMED};
pub use error::EngineError;
pub use query::{Engine, Written};
pub use schema::{Column, Layout};
pub use spill::Spill;
pub use table::Table;
pub use value::Head;
