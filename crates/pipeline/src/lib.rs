//! Pipelines: what a project declares, how it is run, and how anyone finds out later what was done.
//!
//! - [`file`](mod@file): the pipeline file;
//! - [`draft`](mod@draft): a first project, proposed from a table;
//! - [`run`]: the [`run::Runner`], which plans and runs, and reads the evidence: trace, verify, reproduce.
//!
//! INVARIANT: a step gets its declared inputs through grants of its own and nothing else, and its
//! statement is written from what it was given, not from what it says.
#![forbid(unsafe_code)]

mod bom;
pub mod collect;
mod compare;
mod data;
pub mod draft;
mod egress;
mod evidence;
mod figures;
pub mod file;
mod graph;
mod keep;
mod locked;
mod memory;
mod outputs;
mod pieces;
mod ports;
mod preflight;
mod produce;
mod reproduce;
pub mod run;
pub mod snapshot;
mod status;
mod step;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use ports::{
    Code, CodeFile, Commit, Described, Environments, Folder, FoundFile, Installed,
    LockedEnvironment, Standing,
};
