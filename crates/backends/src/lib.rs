//! The world behind the ports: local files, SQLite, the machine.
#![forbid(unsafe_code)]

pub mod anchor;
pub mod beneath;
pub mod blobs;
pub mod catalog;
pub mod code_files;
mod disk;
pub mod environment;
pub mod git;
pub mod key_file;
pub mod ledger_files;
pub mod machine;
pub mod meeting;
mod partial;
pub mod scanned_files;
pub mod scratch;
pub mod user_files;
pub mod workspace;
