//! How a program failed, and what to do.

use custody_sandbox::{Exit, SandboxError};
use custody_types::{ByteSize, ExitCode, Problem};

use super::{fault, unreadable};

pub(super) fn sandbox(name: &str, error: SandboxError) -> Problem {
    match error {
        SandboxError::Unavailable { missing } => Problem::new(
            "CUS-RUN-007",
            ExitCode::Isolation,
            format!("the step `{name}` cannot be confined, so it did not run"),
        )
        .because(missing)
        .hint("see what this machine offers with `custody doctor`"),
        SandboxError::BadOutput { .. } => Problem::new(
            "CUS-RUN-008",
            ExitCode::No,
            format!("the step `{name}` wrote something that cannot be kept"),
        )
        .because(error)
        .hint("write plain files only"),
        SandboxError::NoCommand { because } => Problem::new(
            "CUS-RUN-033",
            ExitCode::Usage,
            format!("the step `{name}` cannot start"),
        )
        .because(because)
        .hint("correct `command` of the step, or bring the program with its environment"),
        SandboxError::Input(read) => unreadable(&read),
        SandboxError::Broken(because) => fault(&because),
    }
}

/// Tells how a program ended; `log` is what it printed, where the person may see it.
pub(super) fn failed(name: &str, exit: Exit, log: Option<&[u8]>, time_ms: u64) -> Problem {
    const LINES: usize = 15;
    let withheld = log.is_none();
    let log = String::from_utf8_lossy(log.unwrap_or_default());
    let tail: Vec<_> = log.lines().rev().take(LINES).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    let (what, code, hint) = match exit {
        Exit::TimedOut => {
            let limit = ByteSize::from_bytes(time_ms / 1000).bytes();
            (
                format!("the step `{name}` ran out of its {limit} s"),
                ExitCode::TimedOut,
                "raise `limits.time_s` of the step, or make it faster",
            )
        }
        Exit::Signal(signal) => (
            format!("the step `{name}` was killed by signal {signal}"),
            ExitCode::No,
            "it may lack memory: raise `limits.memory_mib` of the step",
        ),
        Exit::Code(code) if log.contains("MemoryError") => (
            format!("the step `{name}` ended with code {code}: out of memory"),
            ExitCode::No,
            "raise `limits.memory_mib` of the step",
        ),
        Exit::Code(code) => (
            format!("the step `{name}` ended with code {code}"),
            ExitCode::No,
            "correct the program and run again; what was made before is reused",
        ),
    };
    let problem = Problem::new("CUS-RUN-009", code, what).hint(hint);
    if withheld {
        problem.because("what it printed is withheld: it may repeat data whose `readLog` the policy does not grant")
    } else if tail.is_empty() {
        problem
    } else {
        problem.because(format!("the end of what it printed:\n{}", tail.join("\n")))
    }
}
