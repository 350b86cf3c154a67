//! How a program failed, and what to do.
//!
//! What a program prints may repeat data. Where it is withheld, the causes are found in it all the same, but
//! only their kind is told: no word of it.

use std::path::{Component, Path};

use custody_sandbox::{Exit, Limits, Over, SandboxError};
use custody_types::{Problem, causes, code, without_styles};

use super::{fault, unreadable};

/// How many lines of the end are shown.
const SHOWN: usize = 15;
/// How many lines of the end are searched for a cause.
const SEARCHED: usize = 60;
/// How much of a line is shown, in characters.
const WIDTH: usize = 500;
/// What Python prints between an error and the one that it led to.
const CHAINS: [&str; 2] = [
    "the direct cause of the following exception",
    "During handling of the above exception",
];
/// Kill, by the kernel when memory lacks; a fault of a bus, by shared memory that is full; abort; a fault of
/// addresses; a file beyond its limit.
const SIGNALS: [(i32, Option<Cause<'static>>, &str); 5] = [
    (9, Some(Cause::Memory), "killed"),
    (7, Some(Cause::SharedMemory), "killed by a bus error"),
    (6, None, "aborted"),
    (11, None, "ended by a crash of native code"),
    (25, Some(Cause::Output), "killed"),
];

pub(super) fn sandbox(name: &str, error: SandboxError) -> Problem {
    match error {
        SandboxError::Unavailable { missing } => Problem::new(
            code::RUN_007,
            format!("the step `{name}` cannot be confined, so it did not run"),
        )
        .because(missing)
        .hint("see what this machine offers with `custody doctor`"),
        SandboxError::BadOutput { .. } => Problem::new(
            code::RUN_008,
            format!("the step `{name}` wrote something that cannot be kept"),
        )
        .because(error)
        .hint("write plain files only"),
        SandboxError::OverLimit { ref output, over } => {
            let (limit, other) = match over {
                Over::Size => ("output_mib", "write less"),
                Over::Files => (
                    "output_files",
                    "write fewer: an archive, or a table in one file",
                ),
            };
            Problem::new(
                code::RUN_038,
                format!("the step `{name}` wrote more than its limit to its output `{output}`"),
            )
            .because(&error)
            .hint(format!("raise `limits.{limit}` of the step, or {other}"))
        }
        SandboxError::NoCommand { because } => {
            Problem::new(code::RUN_033, format!("the step `{name}` cannot start"))
                .because(because)
                .hint("correct `command` of the step, or bring the program with its environment")
        }
        SandboxError::Interrupted => {
            Problem::new(code::RUN_037, format!("the step `{name}` was interrupted"))
                .because("every process of it was ended; nothing that it wrote is kept")
                .hint("run again: what other steps made before is reused")
        }
        SandboxError::Input(read) => unreadable(&read),
        SandboxError::NotTaken { .. } => fault(&causes(&error)),
        SandboxError::Broken(because) => fault(&because),
    }
}

/// A program that ended otherwise than well.
pub(super) struct Failure<'a> {
    pub(super) name: &'a str,
    pub(super) exit: Exit,
    pub(super) log: &'a [u8],
    /// Whether the person may see what it printed.
    pub(super) shown: bool,
    pub(super) limits: Limits,
    /// Whether it may connect to something.
    pub(super) has_network: bool,
    /// The project's folder, where it is on this machine.
    pub(super) project: Option<&'a Path>,
}

/// What made a program fail. Its texts are words of what was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause<'a> {
    Network,
    Memory,
    SharedMemory,
    Processes,
    Output,
    /// Writes where a step may not.
    ReadOnly,
    /// The name of a module.
    Package(&'a str),
    /// The name of a shared library.
    Library(&'a str),
    /// The path of a file that is not there.
    File(&'a str),
}

/// What is printed by whom for which cause: libraries of C, Python, NumPy, PyTorch, curl, R.
const SIGNS: [(Cause<'static>, &[&str]); 6] = [
    (
        Cause::Network,
        &[
            "Name or service not known",
            "name resolution",
            "Network is unreachable",
            "Connection refused",
            "No address associated with hostname",
            "Could not resolve host",
            "nodename nor servname",
            "couldn't connect to 'http",
            "Failed to establish a new connection",
        ],
    ),
    (
        Cause::SharedMemory,
        &["insufficient shared memory", "Bus error"],
    ),
    (
        Cause::Memory,
        &[
            "MemoryError",
            "std::bad_alloc",
            "annot allocate memory",
            "can't allocate memory",
            "Unable to allocate",
            "ut of memory",
            "not enough memory",
            "excessive memory usage",
            "cannot allocate vector",
            "failed to map segment from shared object",
        ],
    ),
    (
        Cause::Processes,
        &[
            "can't start new thread",
            "Resource temporarily unavailable",
            "pthread_create failed",
        ],
    ),
    (
        Cause::Output,
        &["No space left on device", "File too large"],
    ),
    (
        Cause::ReadOnly,
        &["Read-only file system", "PermissionError: [Errno 13]"],
    ),
];

impl<'a> Cause<'a> {
    /// Finds the cause that the end of a log names: the last line that names one, of the last error or of those
    /// that led to it.
    fn find(log: &'a str) -> Option<Self> {
        let mut other = false;
        for line in log.lines().rev().take(SEARCHED) {
            if CHAINS.iter().any(|chain| line.contains(chain)) {
                other = false;
            } else if !other {
                let cause = Self::of(line);
                if cause.is_some() {
                    return cause;
                }
                // What was printed before was of something that did not end the program.
                other = is_error(line);
            }
        }
        None
    }

    /// Says what a line tells of.
    fn of(line: &'a str) -> Option<Self> {
        let line = last_state(line);
        if line.contains("/dev/shm") && line.contains("No space left on device") {
            return Some(Self::SharedMemory);
        }
        let sign = SIGNS
            .iter()
            .find(|(_, signs)| signs.iter().any(|sign| line.contains(sign)));
        if let Some((cause, _)) = sign {
            return Some(*cause);
        }
        if let Some((_, module)) = line.split_once("No module named ") {
            return Some(Self::Package(quoted(module).unwrap_or(module.trim())));
        }
        if let Some((_, package)) = line.split_once("there is no package called ") {
            return Some(Self::Package(quoted(package)?));
        }
        if line.contains("cannot open shared object file: No such file") {
            let library = line
                .split([' ', ':'])
                .find(|word| word.contains(".so") && !word.contains('/'))?;
            return Some(Self::Library(library));
        }
        let (_, path) = line.split_once("No such file or directory")?;
        Some(Self::File(quoted(path)?))
    }

    fn what(self) -> &'static str {
        match self {
            Self::Network => "no network",
            Self::Memory => "out of memory",
            Self::SharedMemory => "out of shared memory",
            Self::Processes => "too many processes or threads",
            Self::Output => "more written than the limit",
            Self::ReadOnly => "written where a step may not write",
            Self::Package(_) => "a package is missing",
            Self::Library(_) => "a shared library is missing",
            Self::File(_) => "a file is not there",
        }
    }

    /// Tells the way out. Words of the log are repeated only where they are `shown`.
    fn hint(self, failure: &Failure<'_>) -> String {
        let Failure {
            limits,
            project,
            shown,
            has_network,
            ..
        } = failure;
        match self {
            Self::Network if *has_network => "a step reaches the endpoints alone that it declares under `network`, by their exact names and ports".to_owned(),
            Self::Network => "steps have no network but what they declare: declare the data as a source, or `custody put` it, and name it in `inputs`; or name the `host:port` under `network`".to_owned(),
            Self::Memory => format!("raise `limits.memory_mib` of the step (now {}), or have it read less at once", mebibytes(limits.memory)),
            Self::SharedMemory => format!("`/dev/shm` takes as much as `limits.memory_mib` of the step (now {}): raise it, or use fewer workers", mebibytes(limits.memory)),
            Self::Processes => format!("raise `limits.processes` of the step (now {}), or start fewer; `limits.threads` is {}; every thread takes of `limits.memory_mib` too", limits.processes, limits.threads),
            Self::Output => format!("each output and `/tmp` may take `limits.output_mib` of the step (now {}) in `limits.output_files` files and folders (now {}): raise them, or write less", mebibytes(limits.output), limits.files),
            Self::ReadOnly => "a step may write to its outputs (`custody.output(\"NAME\")`, `/out/NAME`), to `/tmp` and to `/dev/shm`; its code and inputs are read-only".to_owned(),
            Self::Package(name) if *shown => package(name, *project),
            Self::Package(_) => "add the package to the lock file of the environment, or the module to `code`".to_owned(),
            Self::Library(name) if *shown => format!("bring `{name}` with a package of the environment, or install it on this machine"),
            Self::Library(_) => "bring the library with a package of the environment, or install it on this machine".to_owned(),
            Self::File(path) if *shown => file(path, *project),
            Self::File(_) => "a step sees only what it declares: list files of the project in `code`, data in `inputs`".to_owned(),
        }
    }
}

fn mebibytes(size: custody_types::ByteSize) -> u64 {
    size.bytes() >> 20
}

/// Says whether a line is the last one of a traceback.
fn is_error(line: &str) -> bool {
    let class = line.split_once(": ").map_or(line, |(class, _)| class);
    let named = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_');
    (class.ends_with("Error") || class.ends_with("Exception")) && class.chars().all(named)
}

/// Returns the last text in quotes.
fn quoted(text: &str) -> Option<&str> {
    let end = text.rfind(['\'', '"', '’', '`'])?;
    let before = text.get(..end)?;
    let start = before.rfind(['\'', '"', '‘', '`'])?;
    let inside = before.get(start..)?;
    let mut letters = inside.chars();
    letters.next()?;
    Some(letters.as_str()).filter(|text| !text.is_empty())
}

/// Returns what is left of a line that was drawn again and again.
fn last_state(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    line.rsplit('\r').next().unwrap_or(line)
}

fn package(name: &str, project: Option<&Path>) -> String {
    let top = name.split('.').next().unwrap_or(name);
    let own = [format!("{top}.py"), top.to_owned()]
        .into_iter()
        .find(|path| in_project(path, project).is_some());
    match own {
        Some(path) => format!(
            "`{path}` is in the project, but the step does not declare it: list it in `code`"
        ),
        None => format!(
            "add the package that has `{top}` to the lock file of the environment: its line in the requirements, then lock again"
        ),
    }
}

fn file(path: &str, project: Option<&Path>) -> String {
    let below = |folder: &str| {
        path.strip_prefix(folder)
            .map(|rest| rest.split('/').next().unwrap_or(rest))
            .filter(|name| !name.is_empty())
    };
    if let Some(name) = below("/in/") {
        return format!(
            "name the artifact in `inputs` of the step as `{name}`, and see which files it has with `custody show`"
        );
    }
    if let Some(name) = below("/out/") {
        return format!(
            "declare the output `{name}` in `outputs` of the step, and make folders below it before writing into them"
        );
    }
    match in_project(path, project) {
        Some(inside) => format!(
            "`{inside}` is in the project, but the step does not declare it: list it in `code`, or collect it with a source and name it in `inputs`"
        ),
        None if path.starts_with('/') => format!(
            "a step sees no files of the machine: collect `{path}` with a source, or `custody put` it, and name it in `inputs`"
        ),
        None => format!(
            "there is no `{path}` in `/code`, where the step begins: data is at `custody.input(\"NAME\")`, `/in/NAME`"
        ),
    }
}

/// Returns the path from the project's folder on of what is there. Looks nowhere else.
fn in_project(path: &str, project: Option<&Path>) -> Option<String> {
    let project = project?;
    let path = Path::new(path);
    let inside = if path.is_absolute() {
        path.strip_prefix(project)
            .or_else(|_| path.strip_prefix("/code"))
            .ok()?
    } else {
        path
    };
    let plain = inside
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?
        .join("/");
    let there = !plain.is_empty() && project.join(&plain).symlink_metadata().is_ok();
    there.then_some(plain)
}

/// Tells how a program ended, why as far as can be seen, and the way out.
pub(super) fn failed(failure: &Failure<'_>) -> Problem {
    let name = failure.name;
    let log = String::from_utf8_lossy(failure.log);
    let found = Cause::find(&log);
    let (how, cause) = match failure.exit {
        Exit::TimedOut => {
            let limit = failure.limits.time_ms / 1000;
            let problem = Problem::new(
                code::RUN_024,
                format!("the step `{name}` ran out of its {limit} s"),
            );
            let hint = "raise `limits.time_s` of the step, or make it faster";
            return with_log(problem.hint(hint), failure.shown, &log);
        }
        Exit::OutOfMemory => {
            let limit = mebibytes(failure.limits.memory);
            let problem = Problem::new(
                code::RUN_009,
                format!(
                    "the processes of the step `{name}` took more than its {limit} MiB of memory together, and were killed"
                ),
            );
            let hint = format!(
                "raise `limits.memory_mib` of the step (now {limit}), start fewer processes, or read less at once; `/dev/shm` and memory files count"
            );
            return with_log(problem.hint(hint), failure.shown, &log);
        }
        // A shell tells so of a signal to its child.
        Exit::Code(code @ 129..=192) => {
            let (_, cause) = by_signal(code - 128);
            (format!("ended with code {code}"), found.or(cause))
        }
        Exit::Code(code) => (format!("ended with code {code}"), found),
        Exit::Signal(signal) => {
            let (how, cause) = by_signal(signal);
            (format!("was {how} by signal {signal}"), found.or(cause))
        }
    };
    let (what, hint) = match cause {
        Some(cause) => (format!("{how}: {}", cause.what()), cause.hint(failure)),
        None => (
            how,
            "correct the program and run again; what was made before is reused".to_owned(),
        ),
    };
    let problem = Problem::new(code::RUN_009, format!("the step `{name}` {what}"));
    with_log(problem.hint(hint), failure.shown, &log)
}

fn by_signal(signal: i32) -> (&'static str, Option<Cause<'static>>) {
    SIGNALS
        .iter()
        .find(|(number, ..)| *number == signal)
        .map_or(("killed", None), |(_, cause, how)| (how, *cause))
}

/// Adds the end of what was printed, where it may be seen.
fn with_log(problem: Problem, shown: bool, log: &str) -> Problem {
    if !shown {
        return problem.because("what it printed is withheld: it may repeat data whose `readLog` the policy does not grant");
    }
    let tail: Vec<_> = log.lines().rev().take(SHOWN).map(last_state).collect();
    if tail.is_empty() {
        return problem;
    }
    let tail = tail.into_iter().rev();
    let tail: Vec<_> = tail.map(|line| cut(&without_styles(line))).collect();
    problem.because(format!("the end of what it printed:\n{}", tail.join("\n")))
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => {
            let left_out = line.get(end..).map_or(0, |rest| rest.chars().count());
            format!(
                "{} [{left_out} characters more]",
                line.get(..end).unwrap_or_default()
            )
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(exit: Exit, log: &str, shown: bool, project: Option<&Path>) -> Problem {
        failed(&Failure {
            name: "train",
            exit,
            log: log.as_bytes(),
            shown,
            limits: Limits::default(),
            has_network: false,
            project,
        })
    }

    /// What is printed or how it ends, what the problem says, and what its hint names.
    const TABLE: &[(Exit, &str, &str, &str)] = &[
        (
            Exit::Code(1),
            "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
            "ended with code 1: no network",
            "declare the data as a source",
        ),
        (
            Exit::Code(1),
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: / (Caused by NameResolutionError(\"Failed to resolve 'x' ([Errno -2] Name or service not known)\"))",
            "no network",
            "no network",
        ),
        (
            Exit::Code(1),
            "psycopg2.OperationalError: connection to server at \"localhost\" (127.0.0.1), port 5432 failed: Connection refused",
            "no network",
            "source",
        ),
        (
            Exit::Code(1),
            "OSError: [Errno 101] Network is unreachable",
            "no network",
            "source",
        ),
        (
            Exit::Code(6),
            "curl: (6) Could not resolve host: example.org",
            "no network",
            "source",
        ),
        (
            Exit::Code(1),
            "Traceback\nMemoryError",
            "out of memory",
            "limits.memory_mib` of the step (now 8192)",
        ),
        (
            Exit::Code(1),
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.4 GiB for an array with shape (1,)",
            "out of memory",
            "limits.memory_mib",
        ),
        (
            Exit::Signal(6),
            "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
            "aborted by signal 6: out of memory",
            "limits.memory_mib",
        ),
        (
            Exit::Code(1),
            "OSError: [Errno 12] Cannot allocate memory",
            "out of memory",
            "limits.memory_mib",
        ),
        (
            Exit::Code(1),
            "RuntimeError: [enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
            "out of memory",
            "limits.memory_mib",
        ),
        (
            Exit::Signal(9),
            "epoch 3",
            "killed by signal 9: out of memory",
            "limits.memory_mib",
        ),
        (
            Exit::Code(137),
            "Killed",
            "ended with code 137: out of memory",
            "limits.memory_mib",
        ),
        (
            Exit::Signal(7),
            "",
            "bus error by signal 7: out of shared memory",
            "/dev/shm",
        ),
        (
            Exit::Code(1),
            "RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory.",
            "out of shared memory",
            "/dev/shm",
        ),
        (
            Exit::Code(1),
            "OSError: [Errno 28] No space left on device: '/dev/shm/joblib_memmapping_folder_3/x'",
            "out of shared memory",
            "limits.memory_mib",
        ),
        (
            Exit::Code(1),
            "OSError: [Errno 28] No space left on device",
            "more written than the limit",
            "limits.output_mib` of the step (now 2048)",
        ),
        (
            Exit::Code(1),
            "OSError: [Errno 27] File too large: '/out/model/model.bin'",
            "more written than the limit",
            "limits.output_mib",
        ),
        (
            Exit::Signal(25),
            "",
            "more written than the limit",
            "limits.output_mib",
        ),
        (
            Exit::Code(1),
            "RuntimeError: can't start new thread",
            "too many processes or threads",
            "limits.processes` of the step (now 256)",
        ),
        (
            Exit::Code(1),
            "BlockingIOError: [Errno 11] Resource temporarily unavailable",
            "too many processes or threads",
            "limits.processes",
        ),
        (
            Exit::Code(1),
            "OSError: [Errno 30] Read-only file system: 'model.pkl'",
            "written where a step may not",
            "custody.output",
        ),
        (
            Exit::Code(1),
            "PermissionError: [Errno 13] Permission denied: '/code/model.pkl'",
            "written where a step may not",
            "custody.output",
        ),
        (
            Exit::Code(1),
            "ModuleNotFoundError: No module named 'lightgbm'",
            "a package is missing",
            "has `lightgbm` to the lock file",
        ),
        (
            Exit::Code(1),
            "ModuleNotFoundError: No module named 'sklearn.foo'; 'sklearn' is not a package",
            "a package is missing",
            "lock file",
        ),
        (
            Exit::Code(1),
            "/usr/bin/python3: No module named torch",
            "a package is missing",
            "has `torch` to the lock file",
        ),
        (
            Exit::Code(1),
            "ModuleNotFoundError: No module named 'helper'",
            "a package is missing",
            "`helper.py` is in the project, but the step does not declare it: list it in `code`",
        ),
        (
            Exit::Code(1),
            "Error in library(caret) : there is no package called ‘caret’",
            "a package is missing",
            "has `caret`",
        ),
        (
            Exit::Code(1),
            "OSError: libgomp.so.1: cannot open shared object file: No such file or directory",
            "a shared library is missing",
            "`libgomp.so.1`",
        ),
        (
            Exit::Code(1),
            "FileNotFoundError: [Errno 2] No such file or directory: 'data/loans.csv'",
            "a file is not there",
            "`data/loans.csv` is in the project, but the step does not declare it",
        ),
        (
            Exit::Code(1),
            "FileNotFoundError: [Errno 2] No such file or directory: './data/../../x'",
            "a file is not there",
            "there is no",
        ),
        (
            Exit::Code(1),
            "FileNotFoundError: [Errno 2] No such file or directory: '/home/me/loans.csv'",
            "a file is not there",
            "collect `/home/me/loans.csv` with a source",
        ),
        (
            Exit::Code(1),
            "FileNotFoundError: [Errno 2] No such file or directory: '/in/loans/data.csv'",
            "a file is not there",
            "in `inputs` of the step as `loans`",
        ),
        (
            Exit::Code(1),
            "FileNotFoundError: [Errno 2] No such file or directory: '/out/model/a/b'",
            "a file is not there",
            "output `model`",
        ),
        (
            Exit::Code(1),
            "ValueError: could not convert string to float: 'x'",
            "ended with code 1",
            "correct the program",
        ),
        (
            Exit::Signal(11),
            "",
            "crash of native code by signal 11",
            "correct the program",
        ),
        (
            Exit::Code(1),
            "MemoryError\nretrying with less\nValueError: x",
            "ended with code 1",
            "correct the program",
        ),
        (
            Exit::Code(1),
            "MemoryError\n\nThe above exception was the direct cause of the following exception:\n\nTraceback\nRuntimeError: no tree",
            "out of memory",
            "limits.memory_mib",
        ),
        (
            Exit::Code(1),
            "joblib.externals.loky.process_executor.TerminatedWorkerError: A worker process managed by the executor was unexpectedly terminated. This could be caused by a segmentation fault while calling the function or by an excessive memory usage causing the Operating System to kill the worker.",
            "out of memory",
            "limits.memory_mib",
        ),
        // The last word counts: what was caught before did not end it.
        (
            Exit::Code(1),
            "MemoryError\nretrying\nModuleNotFoundError: No module named 'x'",
            "a package is missing",
            "`x`",
        ),
        (
            Exit::Code(1),
            "\r 10%\r 20%\rOSError: [Errno 28] No space left on device",
            "more written",
            "output_mib",
        ),
    ];

    #[test]
    fn the_hint_names_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        for path in ["data/loans.csv", "helper.py"] {
            std::fs::File::create_new(folder.path().join(path)).unwrap();
        }
        for (exit, log, what, hint) in TABLE {
            let shown = problem(*exit, log, true, Some(folder.path()));
            let told = shown.hint.unwrap();
            assert!(shown.what.contains(what), "{log}: {}", shown.what);
            assert!(told.contains(hint), "{log}: {told}");
            // Where the log is withheld the same is found, and no word of it is told.
            let withheld = problem(*exit, log, false, Some(folder.path()));
            assert_eq!(withheld.what, shown.what);
            let all = format!("{withheld}");
            for word in [
                "lightgbm", "loans", "helper", "caret", "libgomp", "torch", "5432", "epoch",
            ] {
                assert!(!all.contains(word), "{log}: {all}");
            }
        }
    }

    #[test]
    fn what_is_shown_of_a_log_is_its_end_in_short_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = "first\n".repeat(20);
        log.push_str(&"x".repeat(2000));
        log.push_str("\n 1%\r 2%\r 3%\r\nlast");
        let told = problem(Exit::Code(1), &log, true, Some(folder.path()));
        let lines: Vec<_> = told.because[0].lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 1 + SHOWN);
        assert!(
            lines
                .iter()
                .any(|line| line.ends_with("x [1500 characters more]"))
        );
        assert_eq!(lines[lines.len() - 2..], [" 3%", "last"]);
        let full = problem(Exit::OutOfMemory, "", true, Some(folder.path()));
        assert!(full.what.contains("8192 MiB") && full.hint.unwrap().contains("memory_mib"));
        let late = problem(Exit::TimedOut, "MemoryError", true, Some(folder.path()));
        assert!(late.hint.unwrap().contains("time_s"));
    }
}
