//! Scans model files: bytes in, findings out.
//!
//! A model file can be a program. This crate says what loading one would do, without doing it: formats
//! are recognised by content, read as their loaders read them, and every byte must belong to something
//! that is understood. What is allowed is listed ([`custody_findings::rules`]); what is not listed is never clean.
//!
//! Invariants: nothing of a scanned file is executed or written; memory does not grow with the input
//! and time grows linearly with it ([`mod@scan`] names the limits); a parser that cannot go on makes the file
//! unscannable, never clean.
//!
//! Deliberately absent: opening files and folders (the caller does, hands a [`Source`], and says in
//! [`Files`] what lies beside it), signatures, and block lists as the means of passing anything.
//!
//! Enter at [`scan()`].
#![forbid(unsafe_code)]

mod cursor;
mod files;
mod formats;
mod names;
pub mod pickle;
mod sarif;
pub mod scan;
mod sniff;
mod source;

pub use files::{FileKind, Files};
pub use sarif::sarif;
pub use scan::{scan, scan_among};
pub use source::Source;
