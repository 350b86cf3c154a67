//! The HTTP edge: it translates between requests and the door, nothing else.
//!
//! [`OPERATIONS`] is the closed table of everything that can be asked; the router is built from it, and
//! the coverage test walks it. Each operation names the actions that it asks the door for. Handlers
//! block, so each call runs on a thread for blocking work; bodies are streams of pieces.
#![forbid(unsafe_code)]

mod app;
mod asked;
mod budgets;
mod call;
mod handlers;
mod observed;
mod openapi;
mod operations;
mod told;

pub use app::{App, Entrance, Peer};
pub use budgets::{Budget, Budgets};
pub use call::problem as problem_response;
pub use custody_guard::{Credentials, Door, ProviderAccess, test_policies, validate_policies};
pub use custody_pipeline::run::Runner;
pub use openapi::openapi;
pub use operations::{CALLBACK, ENTRANCES, EntranceOperation, OPERATIONS, Operation, router};
