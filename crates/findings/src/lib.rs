//! What a scan of a model says: findings and their verdict ([`report`]), and the rules that decide them ([`rules`]).
//!
//! No file is read here. Who rests a decision on a verdict needs this crate alone; the parsers of models are in
//! `custody-scan`, which runs where they can harm nothing.
#![forbid(unsafe_code)]

pub mod report;
pub mod rules;

pub use report::{Finding, Part, Place, Report, Severity, Summary, Verdict};
pub use rules::Rules;
