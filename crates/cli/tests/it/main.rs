//! The whole through the binary, each test in a world of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and write files"
)]

mod accounts;
mod actions;
mod approvals;
mod assurance;
mod damage;
mod data;
mod e2e;
mod golden;
mod hostile;
mod keys;
mod listed_runs;
mod pages;
mod policies;
mod privacy;
mod projects;
mod runs;
mod sealed;
mod seen;
mod server;
mod sharing;
mod world;
