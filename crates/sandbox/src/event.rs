//! What an observed step asked the kernel for.

use serde::{Deserialize, Serialize};

/// How many events are kept.
pub const MOST_EVENTS: usize = 10_000;

/// What of a step is written down beside confining it.
///
/// The list is for reading: a thread may change a path after it was read here and before the kernel reads
/// it, so that what a step *may* do is never decided by it. That is the sandbox's part. Needs Linux 5.5;
/// before, an observed step does not start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Observe {
    /// Nothing, at no cost.
    #[default]
    Nothing,
    /// Every call that reaches out of the process.
    Everything,
    /// The same from the first opening of this path on, which is the first event. The path need not exist.
    From(String),
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Opens a file or folder to read it.
    Read,
    /// Opens a file to write it (also when it is read too), makes it where it is not there, or empties it.
    Write,
    /// Makes, removes, renames or links a name, or changes whose it is and who may use it.
    Change,
    /// Becomes another program.
    Execute,
    /// Starts a process; threads are not written down.
    Fork,
    /// Makes a socket.
    Socket,
    /// Connects a socket, gives it an address, or sends through it.
    Reach,
    /// Sends a signal.
    Signal,
    /// Makes a file that has no name.
    Memory,
    /// Is none that a step may make.
    Forbidden,
}

/// What a call is about. The texts come from the step, without control characters and cut to 1,024
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// About nothing that has a name.
    Nothing,
    /// This path: absolute, with `.` and `..` taken out, links not followed.
    Path(String),
    /// This address or kind of sockets.
    Address(String),
    /// The process itself.
    Itself,
    /// The process or group of this number.
    Process(i32),
    /// What it is about could not be read from the memory of the process.
    Unreadable,
}

/// What the sandbox answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The call went on to the kernel, which may have refused it: no such file, no network.
    Passed,
    /// The call is none that a step may make.
    Refused,
}

/// A call that reaches out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The name of the system call, or its number.
    pub call: String,
    /// What it does.
    pub act: Act,
    /// About what.
    pub subject: Subject,
    /// What was answered.
    pub answer: Answer,
}

/// What was seen of a step, in the order of the calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The first [`MOST_EVENTS`] events.
    pub events: Vec<Event>,
    /// How many there were after them.
    pub more: u64,
}
