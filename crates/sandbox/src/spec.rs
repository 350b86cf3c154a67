//! What is run, within which limits, and how it ended.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use custody_types::{ByteSize, FilePath, ReadError, VersionFiles};
use serde::{Deserialize, Serialize};

use crate::event::{Observe, Observed};
use crate::interrupt::Interrupt;
use crate::network::Network;

/// How much a step may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The address space of each process, and what all of them take together, shared memory and memory files too.
    pub memory: ByteSize,
    /// The number of processes and threads.
    pub processes: u32,
    /// The number of processors that it may use at once.
    pub threads: u32,
    /// The time from start to end, in milliseconds.
    pub time_ms: u64,
    /// What may be written to each output and to `/tmp`, and to one file of `/dev/shm`, which may take as much
    /// as `memory` in all.
    pub output: ByteSize,
    /// The number of files and folders in each output, in `/tmp` and in `/dev/shm`.
    pub files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_mebibytes(8 << 10),
            processes: 256,
            threads: 1,
            time_ms: 3_600_000,
            output: ByteSize::from_mebibytes(2 << 10),
            files: 100_000,
        }
    }
}

/// A command and what it may see.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The command and its arguments. Looked up in `/env/bin` and `/usr/bin`.
    pub argv: Vec<String>,
    /// The environment variables; there are no others.
    pub env: BTreeMap<String, String>,
    /// A folder of the host that is at `/env`, read-only.
    pub environment: Option<PathBuf>,
    /// What is at `/code`, the working folder, read-only.
    pub code: Option<Arc<dyn VersionFiles>>,
    /// What is at `/in/<name>`, read-only.
    pub inputs: BTreeMap<String, Arc<dyn VersionFiles>>,
    /// The folders under `/out` that may be written.
    pub outputs: Vec<String>,
    /// What it may connect to; `None`: nothing, its own loopback apart.
    pub network: Option<Network>,
    /// The limits.
    pub limits: Limits,
    /// What is written down of what the step asks for.
    pub observe: Observe,
    /// What ends it early.
    pub interrupt: Interrupt,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// It ran out of its time and was killed.
    TimedOut,
    /// Its processes took more memory together than they may, and were killed.
    OutOfMemory,
}

/// Which limit an output is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// [`Limits::output`]: the sizes of its files add up to more, holes in them included.
    Size,
    /// [`Limits::files`].
    Files,
}

impl std::fmt::Display for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Size => "is larger than the limit; holes in files count",
            Self::Files => "has more files and folders than the limit",
        })
    }
}

/// A file that a step wrote, while it is taken.
pub struct OutputFile<'a> {
    /// The output.
    pub output: &'a str,
    /// The path inside the output.
    pub path: FilePath,
    /// Whether it may be executed.
    pub executable: bool,
    /// The size.
    pub size: ByteSize,
    /// The content. What is not read of it is skipped.
    pub content: &'a mut dyn Read,
}

impl std::fmt::Debug for OutputFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputFile")
            .field("output", &self.output)
            .field("path", &self.path)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Takes what a step wrote, a file at a time: all of one output, then all of the next. It gets nothing unless the step
/// ended with code 0 and all of its outputs can be taken.
pub type TakeOutput<'a> = dyn FnMut(OutputFile<'_>) -> io::Result<()> + 'a;

/// Something that was enforced, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// What.
    pub what: String,
    /// By which means of the kernel.
    pub by: String,
}

/// What came of a step.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// What it printed: all of it up to 1 MiB, otherwise the beginning and the end.
    pub log: Vec<u8>,
    /// What was enforced.
    pub enforced: Vec<Enforced>,
    /// What the step asked for, as far as [`Spec::observe`] said.
    pub observed: Observed,
}

/// Why a step did not run, or its outputs cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel does not give what is needed; nothing of the step ran.
    #[error("the step cannot be confined: {missing}")]
    Unavailable {
        /// What is missing, and what the kernel said.
        missing: String,
    },
    /// There is no such command in the sandbox; nothing of the step ran.
    #[error("{because}")]
    NoCommand {
        /// What was looked for, and where.
        because: String,
    },
    /// An output holds something that is no plain file, or a name that cannot be kept.
    #[error("the output `{output}` cannot be taken: `{path}` {because}")]
    BadOutput {
        /// The output.
        output: String,
        /// The path inside it.
        path: String,
        /// Why.
        because: String,
    },
    /// An output is larger than it may be, or has more files; nothing of it was read.
    #[error("the output `{output}` {over}")]
    OverLimit {
        /// The output.
        output: String,
        /// Which limit it is beyond.
        over: Over,
    },
    /// An output was not taken.
    #[error("`{path}` of the output `{output}` was not taken")]
    NotTaken {
        /// The output.
        output: String,
        /// The path inside it.
        path: String,
        /// What was said.
        #[source]
        source: io::Error,
    },
    /// An input could not be read.
    #[error("an input cannot be read")]
    Input(#[from] ReadError),
    /// Somebody ended it early ([`Interrupt::raise`]); no process of it is left.
    #[error("it was interrupted")]
    Interrupted,
    /// The launcher broke off.
    #[error("the launcher of the step broke off: {0}")]
    Broken(String),
}
