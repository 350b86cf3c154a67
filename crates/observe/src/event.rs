//! What is said: work that was done, and what happened.

use std::panic::Location;

use custody_types::{Action, ProblemKind};

use crate::id::{RequestId, RunId};

/// What a request asks for, as the program names it: the method, and the path with `{…}` in place of what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
}

impl Route {
    /// What there is not: nobody learns from a figure which paths were tried.
    pub const NONE: Self = Self::new("", "none");

    /// Makes one of what a table of the program says.
    pub const fn new(method: &'static str, path: &'static str) -> Self {
        Self { method, path }
    }
}

/// How a run, or a step of one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunEnd {
    /// It did what it was to do.
    Ok,
    /// A step used again what it had made before.
    Reused,
    /// A check was made, and the answer is no.
    Refused,
    /// It could not be carried out.
    Failed,
    /// It was not begun, since what it needs did not end well.
    Blocked,
    /// Somebody ended it.
    Interrupted,
}

impl RunEnd {
    /// Every way to end.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Reused,
        Self::Refused,
        Self::Failed,
        Self::Blocked,
        Self::Interrupted,
    ];

    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Reused => "reused",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Work that was done, by what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A request was answered, to the end of the answer.
    Request {
        /// Its id.
        id: RequestId,
        /// What it asks for.
        route: Route,
        /// The status of the answer; none where who asked had gone before, or a fault ended it.
        status: Option<u16>,
        /// What kind of problem the answer tells, if it does.
        problem: Option<ProblemKind>,
        /// How many bytes the body of the request had, as far as it was read.
        received: u64,
        /// How many bytes the body of the answer had, as far as it was taken.
        sent: u64,
        /// Whether the answer was taken whole.
        whole: bool,
    },
    /// The door decided.
    Decision {
        /// On what.
        action: Action,
        /// Whether it permits.
        permit: bool,
    },
    /// The door waited for entries to be durable.
    Entry,
    /// Entries were appended to the ledger, with one write.
    Append {
        /// How many.
        entries: u64,
    },
    /// Bytes of packs were read.
    StoreRead {
        /// How many.
        bytes: u64,
    },
    /// A pack was written.
    StoreWrite {
        /// How many bytes.
        bytes: u64,
    },
    /// A run was carried out.
    Run {
        /// Its id.
        run: Option<RunId>,
        /// How it ended.
        end: RunEnd,
    },
    /// A step of a run was carried out.
    Step {
        /// The run.
        run: Option<RunId>,
        /// How it ended.
        end: RunEnd,
    },
}

/// Work that was done, and whether it went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// What it was.
    pub work: Work,
    /// Whether it was done. A refusal is done; what the machine did not do is not.
    pub ok: bool,
}

/// Why a connection ended before anything was asked by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No TLS came of it.
    Tls,
    /// TLS took too long.
    Time,
    /// The head of a request can be read in two ways, or it took too long or is too large.
    Head,
    /// No connection could be taken: too many files are open, most often.
    Accept,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Tls, Self::Time, Self::Head, Self::Accept];

    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Time => "time",
            Self::Head => "head",
            Self::Accept => "accept",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server begins.
    Started,
    /// It waits for the passphrase of its key file.
    Sealed,
    /// It takes connections.
    Listening {
        /// At this port.
        port: u16,
    },
    /// It takes no more connections, and lets end what goes on.
    Stopping,
    /// It has ended.
    Stopped,
    /// Somebody connected.
    Connected,
    /// A connection ended.
    Disconnected,
    /// A connection was refused.
    Refused(Refusal),
    /// A request came in; its end is [`Work::Request`].
    Asked,
    /// Another certificate is shown.
    Certificate {
        /// Whether it can be used; otherwise the last is shown still.
        ok: bool,
    },
    /// A run began; its end is [`Work::Run`].
    RunBegan {
        /// The run.
        run: Option<RunId>,
    },
    /// A run that began has ended in whatever way.
    RunLeft,
    /// The program met a fault.
    Panicked {
        /// Where.
        at: SourceLine,
    },
    /// Lines of the log were left out, since nobody took them.
    LinesLost {
        /// How many.
        lines: u64,
    },
    /// Who takes traces does not, since now.
    TracesLost {
        /// Why, in a word of the program's own.
        why: &'static str,
    },
    /// Who takes traces does again.
    TracesTaken,
}

/// A line of the program's source, as it was compiled in. What a panic says besides may hold anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine(String);

impl SourceLine {
    /// Takes the place of a panic.
    pub fn of(place: &Location<'_>) -> Self {
        Self(format!("{}:{}", place.file(), place.line()))
    }

    /// Returns it: `crates/a/src/b.rs:7`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
