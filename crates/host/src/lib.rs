//! A workspace on this machine, put together: keys, store, ledger, door, sandbox and what runs pipelines.
//!
//! The command line works through it, and so does whatever else answers for a workspace. It reads no settings and knows
//! no grammar: folders, keys and what ends runs come in. Enter at [`Unlocked`].
#![forbid(unsafe_code)]

mod certificates;
mod composition;
mod keys;
mod machine;
mod problems;
mod scanner;
mod texts;
mod watched;

pub use composition::{
    LAUNCHER, Places, Project, Unlocked, key_problem, ledger_problem, workspace_problem,
};
pub use machine::{LocalEnvironments, LocalFolder, environment_problem, found_file};
pub use problems::user_files_problem;
pub use scanner::{STEP, scan_entries};
pub use texts::Texts;
