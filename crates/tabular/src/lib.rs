//! Tables as other programs write them, read exactly, and written as Parquet.
//!
//! Invariants: a format is what the content says and what was declared, and nothing is guessed where two
//! readings are possible; a value is kept exactly or its column is text; types are settled over *all* rows;
//! undecodable bytes, rows of another width and values that do not fit a declared type are errors with line
//! and column, never replaced, padded or dropped. The same file gives the same bytes on any machine with any
//! number of cores. Errors hold no data but in the field that is marked as data.
//!
//! Memory: four blocks of text for each core (a block is [`BLOCK`], or one row where that is longer, up to
//! [`MAX_ROW`]), their columns, and the encoded pages of one row group ([`GROUP_ROWS`] rows or
//! [`GROUP_TEXT`] of text, whichever comes first).
//!
//! Enter at [`recognise`], then [`survey`] each file of a table, [`unify`] them, and [`write_parquet`].
#![forbid(unsafe_code)]

mod arrow;
mod block;
mod build;
mod csv;
mod dialect;
mod error;
mod evidence;
mod ipc;
mod json;
mod moment;
mod number;
mod options;
mod output;
mod recognise;
mod rows;
mod survey;
mod types;
mod value;

pub use block::{BLOCK, MAX_ROW};
pub use error::{Place, Refusal, TabularError};
pub use options::{BlankLines, Csv, Declared, Format};
pub use output::{GROUP_ROWS, GROUP_TEXT};
pub use recognise::{Original, Packing, Recognised, Table, parquet_name, recognise};
pub use survey::{Survey, Written, survey, unify, write_parquet};
pub use types::{Column, ColumnType, Columns};
