//! What the user is told when the door does not let them through, or what lies behind it fails.

use custody_ledger::LedgerError;
use custody_policy::Decision;
use custody_store::StoreError;
use custody_types::{Action, ExitCode, Problem, Reference, Resource};

/// Tells why the policy refused.
pub(crate) fn refused(
    action: Action,
    resource: &Resource,
    actor: &str,
    decision: &Decision,
) -> Problem {
    let mut problem = Problem::new(
        "CUS-DOOR-001",
        ExitCode::Denied,
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
        problem = problem.because("no policy permits it");
    }
    let hint = decision.hint.clone().unwrap_or_else(|| {
        "see the policies with `custody policy show`; the refusal stands in the ledger: `custody ledger log --outcome denied`".to_owned()
    });
    problem.hint(hint)
}

/// Tells that something is not there, or that the actor may not know whether it is.
pub(crate) fn not_found(reference: &Reference) -> Problem {
    Problem::new(
        "CUS-DOOR-002",
        ExitCode::NotFound,
        format!("there is no version `{reference}`, or you may not see it"),
    )
    .subject(reference)
    .hint("see what there is with `custody ls`")
}

/// Tells that the ledger does not work: nothing is done then.
pub(crate) fn ledger(error: &LedgerError) -> Problem {
    let broken = |code: &str, hint: &str| {
        Problem::new(code, ExitCode::Integrity, error.to_string()).hint(hint)
    };
    match error {
        LedgerError::NoSpace => {
            return Problem::no_room("the ledger's entry, so nothing was done");
        }
        LedgerError::Busy { .. } => {
            return Problem::new("CUS-LEDGER-002", ExitCode::Later, error.to_string())
                .hint("wait until it ends, then repeat the command");
        }
        LedgerError::Damaged { .. } => {
            return broken(
                "CUS-LEDGER-003",
                "put the named file back from a copy; `custody doctor` says where it lies",
            );
        }
        LedgerError::RolledBack { .. } => {
            return broken(
                "CUS-LEDGER-004",
                "put the newest copy of the folder `ledger` back; nothing is taken until then",
            );
        }
        _ => {}
    }
    Problem::new(
        "CUS-LEDGER-001",
        ExitCode::Later,
        "the ledger cannot take the entry, so nothing was done",
    )
    .because_of(error)
    .hint("see `custody doctor`; what was acknowledged before is safe")
}

/// Tells that the store failed.
pub(crate) fn store(error: &StoreError) -> Problem {
    let (code, exit, hint) = match error {
        StoreError::NotFound { .. } => (
            "CUS-STORE-001",
            ExitCode::NotFound,
            "see what there is with `custody ls`",
        ),
        StoreError::Conflict { .. } => (
            "CUS-STORE-002",
            ExitCode::NotFound,
            "look with `custody ls`, then try again",
        ),
        StoreError::Damaged { .. } => (
            "CUS-STORE-003",
            ExitCode::Integrity,
            "see the extent with `custody verify --all`; restore the named file from a copy",
        ),
        StoreError::NoSpace { what } => return Problem::no_room(format!("`{what}`")),
        StoreError::KeyMissing { .. } => (
            "CUS-STORE-005",
            ExitCode::Usage,
            "name the key file that belongs to this workspace with `--key-file`",
        ),
        _ => (
            "CUS-STORE-006",
            ExitCode::Later,
            "see that the disk works and has room, then repeat the command",
        ),
    };
    let problem = Problem::new(code, exit, error.to_string()).hint(hint);
    std::error::Error::source(error).map_or(problem.clone(), |source| problem.because_of(source))
}

/// Tells that a pack that is needed is damaged.
pub(crate) fn lacking(error: &StoreError) -> Problem {
    store(error).hint("what the ledger names is in that file alone: put it back from a copy, then run `custody index rebuild`; what else there is can be used")
}

/// Tells that the bytes of a version could not be read.
pub(crate) fn read(error: &custody_types::ReadError) -> Problem {
    Problem::new("CUS-STORE-003", ExitCode::Integrity, error.to_string())
        .hint("see the extent with `custody verify --all`; restore the named file from a copy")
}
