//! Adapters of the ports of `crypto`, `store` and `ledger`: local files and SQLite.
#![forbid(unsafe_code)]

pub mod blobs;
pub mod catalog;
pub mod environment;
pub mod key_file;
pub mod ledger_files;
pub mod machine;
pub mod user_files;
