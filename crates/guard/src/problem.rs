//! What the user is told when the door does not let them through, or what lies behind it fails.

use custody_ledger::LedgerError;
use custody_policy::Decision;
use custody_store::StoreError;
use custody_types::{Action, Code, Problem, ReadError, Reference, Resource, code};

/// How long a person's reason for a decision may be, in bytes.
const MOST_REASON: usize = 2000;

/// Returns whether a person's reason for a decision says something, and is not too long.
pub(crate) fn is_reason(reason: &str) -> bool {
    !reason.trim().is_empty() && reason.len() <= MOST_REASON
}

/// Tells why the policy refused.
pub(crate) fn refused(
    action: Action,
    resource: &Resource,
    actor: &str,
    decision: &Decision,
) -> Problem {
    let mut problem = Problem::new(
        code::DOOR_001,
        format!("`{actor}` may not {} {resource}", action.phrase()),
    )
    .subject(&resource.name);
    for reason in &decision.reasons {
        problem = problem.because(reason);
    }
    for error in &decision.errors {
        problem = problem.because(format!("a policy could not be evaluated: {error}"));
    }
    if problem.because.is_empty() {
        problem = problem.because(if decision.policies.is_empty() {
            "no policy permits it".to_owned()
        } else {
            format!(
                "forbidden by the policy `{}`",
                decision.policies.join("`, `")
            )
        });
    }
    let unsaid = action == Action::Connect && decision.policies.is_empty();
    let hint = decision.hint.clone().unwrap_or_else(|| if unsaid {
        "have it read less sensitive inputs, or ask who may change the policies to permit `connect` to this very endpoint: `docs/how-to/pipeline-file.md`".to_owned()
    } else {
        "see the policies with `custody policy show`; the refusal stands in the ledger: `custody ledger log --outcome denied`".to_owned()
    });
    problem.hint(hint)
}

/// Tells that something is not there, or that the actor may not know whether it is.
pub(crate) fn not_found(reference: &Reference) -> Problem {
    Problem::new(
        code::DOOR_002,
        format!("there is no version `{reference}`, or you may not see it"),
    )
    .subject(reference)
    .hint("see what there is with `custody ls`")
}

/// Tells that a run is not there, or that the actor may not know whether it is.
pub(crate) fn no_run(id: &str) -> Problem {
    let shown: String = id.chars().take(40).collect();
    Problem::new(
        code::RUN_041,
        format!("there is no run `{shown}`, or you may not see it"),
    )
    .hint("see which runs there are with `custody runs`")
}

/// Tells that the ledger does not work: nothing is done then.
pub(crate) fn ledger(error: &LedgerError) -> Problem {
    let broken = |code: Code, hint: &str| Problem::new(code, error.to_string()).hint(hint);
    match error {
        LedgerError::NoSpace => {
            return Problem::no_room("the ledger's entry, so nothing was done");
        }
        LedgerError::Busy { .. } => {
            return Problem::new(code::LEDGER_002, error.to_string())
                .hint("wait until it ends, then repeat the command");
        }
        LedgerError::Damaged { .. } => {
            return broken(
                code::LEDGER_003,
                "put the named file back from a copy; `custody doctor` says where it lies",
            );
        }
        LedgerError::RolledBack { .. } => {
            return broken(
                code::LEDGER_004,
                "put the newest copy of the folder `ledger` back; nothing is taken until then",
            );
        }
        _ => {}
    }
    Problem::new(
        code::LEDGER_001,
        "the ledger cannot take the entry, so nothing was done",
    )
    .because_of(error)
    .hint("see `custody doctor`; what was acknowledged before is safe")
}

/// Tells that the store failed.
pub(crate) fn store(error: &StoreError) -> Problem {
    let (code, hint) = match error {
        StoreError::NotFound { .. } => (code::STORE_001, "see what there is with `custody ls`"),
        StoreError::Conflict { .. } => (code::STORE_002, "look with `custody ls`, then try again"),
        StoreError::Damaged { .. } => (
            code::STORE_003,
            "see the extent with `custody verify --all`; restore the named file from a copy",
        ),
        StoreError::NoSpace { what } => return Problem::no_room(format!("`{what}`")),
        StoreError::KeyMissing { .. } => (
            code::STORE_005,
            "name the key file that belongs to this workspace with `--key-file`",
        ),
        _ => (
            code::STORE_006,
            "see that the disk works and has room, then repeat the command",
        ),
    };
    let problem = Problem::new(code, error.to_string()).hint(hint);
    std::error::Error::source(error).map_or(problem.clone(), |source| problem.because_of(source))
}

/// Tells that a pack that is needed is damaged.
pub(crate) fn lacking(error: &StoreError) -> Problem {
    store(error).hint("what the ledger names is in that file alone: put it back from a copy, then run `custody index rebuild`; what else there is can be used")
}

/// Tells that the bytes of a version could not be read: they are damaged, or the storage does not give them now.
pub(crate) fn read(error: &ReadError) -> Problem {
    match error {
        ReadError::Storage { source, .. } => Problem::new(code::STORE_006, error.to_string())
            .because_of(source.as_ref())
            .hint("see that the disk works, then repeat the command"),
        _ => Problem::new(code::STORE_003, error.to_string())
            .hint("see the extent with `custody verify --all`; restore the named file from a copy"),
    }
}

/// Tells that there is no such project, or none that may be named to who asks.
pub(crate) fn no_project(project: &str) -> Problem {
    Problem::new(code::STORE_017, format!("there is no project `{project}`"))
        .hint("see which there are with `custody ls`")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use custody_store::BlobError;
    use custody_types::ProblemKind;

    use super::*;

    fn broken() -> io::Error {
        io::Error::other("the cable is out")
    }

    #[test]
    fn what_the_disk_said_is_told_to_the_end() {
        let blob = || {
            StoreError::Blob(BlobError::Failed {
                name: "a.pack".to_owned(),
                source: broken(),
            })
        };
        let storage = ReadError::Storage {
            path: "a".to_owned(),
            source: Arc::new(blob()),
        };
        let log = LedgerError::Storage {
            file: "wal".to_owned(),
            source: Arc::new(broken()),
        };
        for problem in [store(&blob()), read(&storage), ledger(&log)] {
            assert_eq!(problem.kind(), ProblemKind::Unavailable, "{problem}");
            let last = problem.because.last().map(String::as_str);
            assert_eq!(last, Some("the cable is out"), "{problem}");
        }
    }

    #[test]
    fn damage_is_no_storage_that_does_not_answer() {
        let damaged = ReadError::Damaged {
            path: "a".to_owned(),
            because: "a byte flipped".to_owned(),
        };
        assert_eq!(read(&damaged).kind(), ProblemKind::Integrity);
    }
}
