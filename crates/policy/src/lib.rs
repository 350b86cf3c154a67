//! Policy: who may do what to which data for what purpose, decided by Cedar.
//!
//! A [`PolicySet`] is the built-in policy, the workspace's own `*.cedar` files, and `settings.json`: which purposes
//! there are, which aliases are gated, which evidence is required. It is validated as a whole before it can decide
//! anything. Who there is, with which roles and purposes, is a [`Directory`](custody_identity::Directory) of its own.
//!
//! INVARIANT: [`PolicySet::decide`] permits only when a policy permits, none forbids, and none could not
//! be evaluated. A step may do no more than its scope says, and no more than the person for whom it acts.
#![forbid(unsafe_code)]

mod cases;
mod change;
mod check;
mod decide;
mod difference;
mod explain;
mod grid;
mod providers;
mod set;
mod settings;

pub use cases::{BUILTIN_TESTS, FailedTest, TESTS, TestReport};
pub use change::Seen;
pub use check::{Checked, Finding, Severity, principals_finding};
pub use decide::{
    DEVICE_SCOPE, Decision, Request, ResourceFacts, STEP_SCOPE, StepScope, TOKEN_SCOPE,
};
pub use difference::{Difference, Flipped};
pub use explain::{Determining, Explanation, Fact, HeldRole};
pub use grid::{Case, GridRow, NO_ROLE, grid_text};
pub use providers::{Groups, NoProviderName, Provider, ProviderName, Providers, TwoFactors};
pub use set::{BUILTIN, PolicyError, PolicySet, Source, schema_text};
pub use settings::{BUILTIN_ROLES, ProjectSettings, Settings};
