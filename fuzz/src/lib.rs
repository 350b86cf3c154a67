//! What is fuzzed, and what must hold for it: the scanner, foreign tables, and the readers of our own formats.
//!
//! There is nothing here but under `cfg(fuzzing)`, which `scripts/fuzz.sh` sets; the tests that replay the kept corpus
//! take `properties` and `tables` by their paths.
#![cfg(fuzzing)]
#![allow(missing_docs, reason = "the modules say what they are")]

mod formats;
mod properties;
mod tables;

/// The reader of `custody.yaml`, without the crate that it is part of: with it comes the engine.
#[allow(dead_code, unused_imports, reason = "only what reads is used")]
#[path = "../../crates/pipeline/src"]
mod pipeline {
    pub(crate) mod file;
    pub(crate) mod graph;
    pub(crate) mod step;
}

use pipeline::{file, graph};
use properties::Checked;

/// One target.
#[derive(Debug)]
pub enum Target {
    Scanner(&'static properties::Target),
    Table(&'static str),
    Format(formats::Property),
}

impl Target {
    /// Finds the target of a name.
    pub fn named(name: &str) -> Option<Self> {
        if let Some((known, _)) = tables::TARGETS.iter().find(|(known, _)| *known == name) {
            return Some(Self::Table(known));
        }
        if let Some((_, property)) = formats::TARGETS.iter().find(|(known, _)| *known == name) {
            return Some(Self::Format(*property));
        }
        properties::target(name).map(Self::Scanner)
    }

    /// Tells whether an input reached the parser.
    ///
    /// # Errors
    /// What does not hold for it.
    pub fn check(&self, input: &[u8]) -> Result<bool, String> {
        match self {
            Self::Scanner(target) => {
                properties::check(target, input).map(|checked| checked == Checked::Reached)
            }
            Self::Table(target) => tables::check(target, input),
            Self::Format(property) => property(input),
        }
    }
}
