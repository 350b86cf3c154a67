//! The user's error.

use std::fmt;
use std::io;

use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::code::{self, Code, ProblemKind};

use crate::visible;

/// What a user is told when something does not work: one type at every edge.
///
/// Wording: lower case, no full stop, in the user's words, values in backticks; `what` failed,
/// `because` of what, and in `hint` the way out, with a command to type where there is one. Never a
/// type name of the program, a secret, or governed data that the caller may not see.
///
/// Its documents say the kind too, and whether to try again; both follow from the code.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Problem {
    /// The stable, documented code, from the registry.
    pub code: Code,
    /// What failed, on what.
    pub what: String,
    /// Why, from the outermost cause to the innermost.
    #[serde(default)]
    pub because: Vec<String>,
    /// The way out.
    pub hint: Option<String>,
    /// The thing that it is about: a reference, a path, a check.
    pub subject: Option<String>,
}

/// Whether the same call may work later without a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Something must be changed first.
    No,
    /// The cause may pass by itself.
    Later,
}

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: yes, done.
    Done,
    /// 1: the answer is no: a contract broken, a gate closed, a difference found.
    No,
    /// 2: bad usage or settings.
    Usage,
    /// 3: denied by policy.
    Denied,
    /// 4: integrity is broken.
    Integrity,
    /// 5: not found, or in conflict with what is there.
    NotFound,
    /// 6: waits for an approval.
    Approval,
    /// 70: a fault of the program.
    Fault,
    /// 75: try again later.
    Later,
    /// 124: a step ran out of its time.
    TimedOut,
    /// 125: the sandbox could not be set up; nothing of the step ran.
    Isolation,
    /// 130: interrupted.
    Interrupted,
}

impl ExitCode {
    /// Returns the number that the process ends with.
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Integrity => 4,
            Self::NotFound => 5,
            Self::Approval => 6,
            Self::Fault => 70,
            Self::Later => 75,
            Self::TimedOut => 124,
            Self::Isolation => 125,
            Self::Interrupted => 130,
        }
    }
}

impl Problem {
    /// Starts a problem from its code and what failed.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            because: Vec::new(),
            hint: None,
            subject: None,
        }
    }

    /// Returns what kind of problem it is.
    pub const fn kind(&self) -> ProblemKind {
        self.code.kind()
    }

    /// Returns the exit code of a command that ends with it.
    pub const fn exit(&self) -> ExitCode {
        self.kind().exit()
    }

    /// Tells that a disk is full: one code and one way out wherever that is met. `what`: what found no room.
    pub fn no_room(what: impl fmt::Display) -> Self {
        Self::new(
            code::STORE_004,
            format!("there is no room left on the disk for {what}"),
        )
        .hint("make room and repeat the command: nothing that was acknowledged is lost, and `custody doctor` shows how much room there is; keep all below `.custody`: of Custody's own files only installed environments may go, by `custody cache clean`, and the next run then installs them again from the package registry")
    }

    /// Adds a cause below those already there.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.because.push(cause.to_string());
        self
    }

    /// Adds the causes of `error`: its own text and those of its sources.
    #[must_use]
    pub fn because_of(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.because.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Sets the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the thing that it is about.
    #[must_use]
    pub fn subject(mut self, subject: impl fmt::Display) -> Self {
        self.subject = Some(subject.to_string());
        self
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Problem", 7)?;
        fields.serialize_field("code", &self.code)?;
        fields.serialize_field("kind", &self.kind())?;
        fields.serialize_field("what", &self.what)?;
        if self.because.is_empty() {
            fields.skip_field("because")?;
        } else {
            fields.serialize_field("because", &self.because)?;
        }
        for (name, value) in [("hint", &self.hint), ("subject", &self.subject)] {
            match value {
                Some(value) => fields.serialize_field(name, value)?,
                None => fields.skip_field(name)?,
            }
        }
        fields.serialize_field("retry", &self.kind().retry())?;
        fields.end()
    }
}

impl fmt::Display for Problem {
    /// Writes the lines that a terminal shows, without a final line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {} [{}]", visible(&self.what), self.code)?;
        for cause in &self.because {
            let cause = visible(cause).replace('\n', "\n           ");
            write!(f, "\n  because: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", visible(hint).replace('\n', "\n        "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Returns what an error says and what its causes say, one after the other: for where one line must tell all.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        told.push_str(": ");
        told.push_str(&error.to_string());
        next = error.source();
    }
    told
}

/// Returns whether an error, or a cause of it, says that a disk is full or a quota used up.
pub fn is_no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let Some(io) = error.downcast_ref::<io::Error>() else {
            next = error.source();
            continue;
        };
        if matches!(
            io.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        ) {
            return true;
        }
        next = io
            .get_ref()
            .map(|inner| inner as &(dyn std::error::Error + 'static));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_its_cause_and_the_way_out() {
        let problem = Problem::new(code::RUN_004, "dataset `loans@7` breaks its contract")
            .because("column `income` has 312 nulls in 10,000 rows; at most 0 are allowed")
            .hint("see the rows with `custody show loans@7`");
        assert_eq!(
            problem.to_string(),
            "error: dataset `loans@7` breaks its contract [CUS-RUN-004]\n  because: column `income` has 312 nulls in 10,000 rows; at most 0 are allowed\n  hint: see the rows with `custody show loans@7`"
        );
        assert_eq!(problem.exit().number(), 1);
    }

    #[test]
    fn a_problem_comes_back_from_its_document() {
        for problem in [
            Problem::no_room("it"),
            Problem::new(code::DOOR_001, "`a` may not read `b`")
                .because("no policy permits it")
                .subject("b"),
        ] {
            let document = serde_json::to_value(&problem).unwrap();
            assert_eq!(document["kind"], problem.kind().as_str());
            assert_eq!(
                serde_json::from_value::<Problem>(document).unwrap(),
                problem
            );
        }
    }

    #[test]
    fn a_line_tells_an_error_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the storage failed")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("the cable is out"));
        assert_eq!(causes(&error), "the storage failed: the cable is out");
        assert_eq!(causes(&io::Error::other("alone")), "alone");
    }

    #[test]
    fn a_full_disk_is_known_behind_any_wrapping() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        for (number, full) in [(28, true), (122, true), (27, true), (5, false), (13, false)] {
            let plain = || io::Error::from_raw_os_error(number);
            assert_eq!(is_no_room(&plain()), full, "{number}");
            assert_eq!(is_no_room(&io::Error::other(plain())), full, "{number}");
            assert_eq!(
                is_no_room(&Outer(io::Error::other(Outer(plain())))),
                full,
                "{number}"
            );
        }
    }
}
