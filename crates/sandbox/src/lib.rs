//! Runs a command that sees its declared inputs and nothing else.
//!
//! [`run`] starts the program again as a *launcher*: a process of its own with one thread and no keys in
//! its memory. The launcher makes namespaces, builds a root folder in memory, takes the inputs over a
//! socket, confines itself (Landlock, seccomp, no privileges, limits), runs the step as a child in a
//! process namespace, and sends the outputs back. Inputs and outputs are never on a disk.
//!
//! INVARIANT: what cannot be enforced stops the run before the step's first instruction
//! ([`SandboxError::Unavailable`]).
//!
//! A step has no network but a loopback of its own. What it may connect to ([`Spec::network`]) are listeners there, which the
//! launcher opens before the step starts and hands to a [`Carrier`] outside: what is accepted is the carrier's, and there is no
//! other way out.
//!
//! A step can be *observed* ([`Spec::observe`]): what it asks the kernel for is written down, call by call.
//! Observing reports and never decides. [`trial`] reads such a list of the load of a model.
//!
//! This crate alone has unsafe code: system calls, all of them in `sys`.

mod event;
mod interrupt;
mod launcher;
mod network;
mod observer;
mod outputs;
mod probe;
mod processors;
mod seccomp;
mod spec;
mod supervisor;
mod sys;
pub mod trial;
mod usage;
mod watch;
mod wire;

pub use event::{Act, Answer, Event, MOST_EVENTS, Observe, Observed, Subject};
pub use interrupt::Interrupt;
pub use launcher::{BuiltIn, launcher_main};
pub use network::{Carrier, Network};
pub use probe::{Probe, probe};
pub use spec::{
    Enforced, Exit, Finished, Limits, OutputFile, Over, SandboxError, Spec, TakeOutput,
};
pub use supervisor::run;

use std::path::{Path, PathBuf};

/// The argument with which the program becomes the launcher of a step.
pub const LAUNCHER_WORD: &str = "__step";

/// Returns the folder of the host, seen by every step, in which `path` lies; `None` where steps do not
/// see it.
pub fn seen_by_steps(path: &Path) -> Option<PathBuf> {
    launcher::SYSTEM
        .iter()
        .map(|folder| Path::new("/").join(folder))
        .find(|folder| path.starts_with(folder))
}
