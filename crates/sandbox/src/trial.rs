//! What a trial load says of a model: every call that a load has no need of.
//!
//! A trial load is a step that runs [`PROGRAM`] on a model with the [`VARIABLES`], no outputs, and
//! [`Observe::From`](crate::Observe::From) the [`START`]. The whole folder of the model is an input, for its
//! files name each other. [`judge`] is pure: it reads what was seen.
//!
//! INVARIANT: everything after the first mark is judged, also what comes after the mark of the end, which a
//! model can open as well.
//!
//! What it cannot tell: code that waits for another day, or for a machine that is no sandbox, does nothing
//! here; nor does code that a model runs only when it is used. Whether a file is there can be asked without
//! opening it, which is not seen. A trial load that says nothing is no proof,
//! and stands behind the scan, not in its place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Act, Event, Observed, Subject};

/// The program that loads a model with its own library: `python -I -B PROGRAM PATH KIND`. It exits with 0
/// when the model was loaded, 3 when the library is not installed, 4 when the load failed.
pub const PROGRAM: &str = include_str!("trial_load.py");
/// The path that [`PROGRAM`] opens just before the load. It does not exist.
pub const START: &str = "/custody-trial-load/start";
/// The path that [`PROGRAM`] opens just after the load. It does not exist.
pub const END: &str = "/custody-trial-load/end";
/// The environment variables of a trial load: a home that is there, and no more threads than needed.
pub const VARIABLES: [(&str, &str); 4] = [
    ("HOME", "/tmp"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("CUDA_VISIBLE_DEVICES", ""),
];
/// The folders in which a step sees interpreters and libraries: what may be read while a model is loaded.
pub const ENVIRONMENT: [&str; 9] = [
    "/env",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib32",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/lib",
    "/lib64",
    "/lib32",
];
/// How many different findings are kept.
pub const MOST_BEYOND: usize = 200;

/// Files beside these that libraries read when they are loaded: how much of the machine there is, where
/// libraries are, what time it is.
const HARMLESS: [&str; 16] = [
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self/auxv",
    "/proc/self/cgroup",
    "/proc/self/maps",
    "/proc/self/mountinfo",
    "/proc/self/statm",
    "/proc/self/status",
    "/proc/stat",
    "/proc/sys/kernel/cap_last_cap",
    "/proc/sys/vm/overcommit_memory",
];
/// Folders of the same kind.
const HARMLESS_BELOW: [&str; 4] = [
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];
/// Calls about the process's own memory and priority, which the sandbox refuses and which tell nothing.
const HARMLESS_CALLS: [&str; 11] = [
    "ioprio_get",
    "ioprio_set",
    "mbind",
    "migrate_pages",
    "mlockall",
    "move_pages",
    "munlockall",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "set_mempolicy",
];
/// Calls into the memory of other processes.
const PROCESS_CALLS: [&str; 8] = [
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "kcmp",
];

/// What a load did beyond loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BeyondKind {
    /// Ran a program.
    Executes,
    /// Started a process.
    StartsProcess,
    /// Made or used a socket.
    Network,
    /// Wrote, made, removed or changed a file.
    Writes,
    /// Read, or looked for, a file that is not the model's and not a library's.
    Reads,
    /// Sent a signal to another process, or reached for its memory.
    ReachesProcess,
    /// Made a file without a name, from which programs can be run unseen.
    HidesFile,
    /// Made a call that no step may make.
    Forbidden,
    /// Reached for something whose name could not be read.
    Unreadable,
    /// Opened the marks of the trial itself.
    Forges,
    /// Did more than is written down.
    Floods,
}

impl BeyondKind {
    /// Returns the word for it, as in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Executes => "executes",
            Self::StartsProcess => "starts-process",
            Self::Network => "network",
            Self::Writes => "writes",
            Self::Reads => "reads",
            Self::ReachesProcess => "reaches-process",
            Self::HidesFile => "hides-file",
            Self::Forbidden => "forbidden",
            Self::Unreadable => "unreadable",
            Self::Forges => "forges",
            Self::Floods => "floods",
        }
    }

    /// Says what it means that a load did this.
    pub fn means(self) -> &'static str {
        match self {
            Self::Executes => "loading the model runs a program",
            Self::StartsProcess => "loading the model starts a process",
            Self::Network => {
                "loading the model reaches for the network or for another program's socket"
            }
            Self::Writes => "loading the model writes or changes files",
            Self::Reads => "loading the model reads, or looks for, a file that is not its own",
            Self::ReachesProcess => "loading the model reaches for another process",
            Self::HidesFile => {
                "loading the model makes a file in memory, from which a program can be run unseen"
            }
            Self::Forbidden => "loading the model makes a system call that no load has a use for",
            Self::Unreadable => {
                "loading the model reaches for something whose name could not be read"
            }
            Self::Forges => "the model knows of the trial and opens its marks",
            Self::Floods => {
                "loading the model made more calls than are written down; what came after them is not known"
            }
        }
    }
}

/// Something that a load did beyond loading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// What it did.
    pub kind: BeyondKind,
    /// The system call.
    pub call: String,
    /// The path, address or process; empty where there is none. The text comes from the model, without
    /// control characters.
    pub subject: String,
    /// How often.
    pub times: u64,
}

/// What a trial load showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Whether the load began. Without it nothing can be said: the library was not there.
    pub started: bool,
    /// Whether the load came to its end, well or not. Without it the process was killed or ended by the
    /// model.
    pub ended: bool,
    /// What it did beyond loading, each once, in the order in which it was first seen; at most
    /// [`MOST_BEYOND`].
    pub beyond: Vec<Beyond>,
    /// How many further findings there were.
    pub more: u64,
}

/// Judges what was seen of a load. `model` are the paths of the model in the sandbox, files or folders;
/// `environment` the folders of interpreters and libraries: [`ENVIRONMENT`].
pub fn judge(observed: &Observed, model: &[&str], environment: &[&str]) -> Trial {
    let mut events = observed
        .events
        .iter()
        .skip_while(|event| !opens(event, START));
    let mut found = Found::default();
    found.trial.started = events.next().is_some();
    if !found.trial.started {
        return found.trial;
    }
    for event in events {
        if opens(event, END) && !found.trial.ended {
            found.trial.ended = true;
        } else if let Some(kind) = beyond(event, model, environment) {
            found.add(kind, &event.call, text(&event.subject), 1);
        }
    }
    if observed.more > 0 {
        found.add(BeyondKind::Floods, "", String::new(), observed.more);
    }
    found.trial
}

/// Returns the kind under which [`PROGRAM`] loads a file that a scan calls `format` and whose name is `name`;
/// `None` for files that no library loads as a model.
pub fn kind(format: &str, name: &str) -> Option<&'static str> {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .unwrap_or_default();
    let by_ending = match ending.as_str() {
        "joblib" => Some("joblib"),
        "npy" | "npz" => Some("numpy"),
        "pt" | "pth" | "ckpt" => Some("torch"),
        "skops" => Some("skops"),
        "keras" => Some("keras"),
        "cbm" => Some("catboost"),
        "lgb" | "lightgbm" => Some("lightgbm"),
        "ubj" | "xgb" => Some("xgboost"),
        _ => None,
    };
    match format {
        "pickle" | "gzip" | "bzip2" | "xz" | "lzma" | "zlib" => {
            Some(by_ending.unwrap_or(match format {
                "zlib" | "lzma" => "joblib",
                _ => "pickle",
            }))
        }
        "zip" => Some(by_ending.unwrap_or("torch")),
        "NumPy array" => Some("numpy"),
        "PyTorch stream" => Some("torch"),
        "XGBoost model" | "XGBoost model in the old binary form" => Some("xgboost"),
        "LightGBM model" => Some("lightgbm"),
        "ONNX model" => Some("onnx"),
        "safetensors" => Some("safetensors"),
        "GGUF" => Some("gguf"),
        "HDF5" => Some(by_ending.unwrap_or("keras")),
        "JSON" | "text" | "opaque bytes" => by_ending,
        _ => None,
    }
}

fn opens(event: &Event, mark: &str) -> bool {
    matches!(&event.subject, Subject::Path(path) if path == mark)
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Says what an event goes beyond loading by, if it does.
fn beyond(event: &Event, model: &[&str], environment: &[&str]) -> Option<BeyondKind> {
    if event.subject == Subject::Unreadable {
        return Some(BeyondKind::Unreadable);
    }
    if opens(event, START) || opens(event, END) {
        return Some(BeyondKind::Forges);
    }
    let call = event.call.as_str();
    match (event.act, &event.subject) {
        (Act::Read, Subject::Path(path)) => {
            let folders = model.iter().chain(environment).chain(&HARMLESS_BELOW);
            let may = HARMLESS.contains(&path.as_str())
                || folders.into_iter().any(|folder| below(path, folder));
            (!may).then_some(BeyondKind::Reads)
        }
        (Act::Write, Subject::Path(path)) if path == "/dev/null" => None,
        (Act::Read, _) => Some(BeyondKind::Reads),
        (Act::Write | Act::Change, _) => Some(BeyondKind::Writes),
        (Act::Execute, _) => Some(BeyondKind::Executes),
        (Act::Fork, _) => Some(BeyondKind::StartsProcess),
        // It goes where the socket was connected to.
        (Act::Reach, Subject::Nothing) | (Act::Signal, Subject::Itself) => None,
        (Act::Socket | Act::Reach, _) => Some(BeyondKind::Network),
        (Act::Signal, _) => Some(BeyondKind::ReachesProcess),
        (Act::Memory, _) => Some(BeyondKind::HidesFile),
        (Act::Forbidden, _) if HARMLESS_CALLS.contains(&call) => None,
        (Act::Forbidden, _) if PROCESS_CALLS.contains(&call) => Some(BeyondKind::ReachesProcess),
        (Act::Forbidden, _) => Some(BeyondKind::Forbidden),
    }
}

fn text(subject: &Subject) -> String {
    match subject {
        Subject::Path(text) | Subject::Address(text) => text.clone(),
        Subject::Process(number) => format!("process {number}"),
        Subject::Nothing | Subject::Itself | Subject::Unreadable => String::new(),
    }
}

/// The findings so far.
#[derive(Debug, Default)]
struct Found {
    trial: Trial,
    /// Where each is in the list.
    known: BTreeMap<(BeyondKind, String, String), usize>,
}

impl Found {
    fn add(&mut self, kind: BeyondKind, call: &str, subject: String, times: u64) {
        let beyond = &mut self.trial.beyond;
        let key = (kind, call.to_owned(), subject);
        if let Some(known) = self.known.get(&key).and_then(|at| beyond.get_mut(*at)) {
            known.times = known.times.saturating_add(times);
        } else if beyond.len() < MOST_BEYOND || kind == BeyondKind::Floods {
            beyond.push(Beyond {
                kind,
                call: call.to_owned(),
                subject: key.2.clone(),
                times,
            });
            self.known.insert(key, beyond.len() - 1);
        } else {
            self.trial.more = self.trial.more.saturating_add(times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Answer;

    fn event(call: &str, act: Act, subject: Subject) -> Event {
        Event {
            call: call.to_owned(),
            act,
            subject,
            answer: Answer::Passed,
        }
    }

    fn path(act: Act, path: &str) -> Event {
        event("openat", act, Subject::Path(path.to_owned()))
    }

    fn judged(events: Vec<Event>, more: u64) -> Trial {
        judge(&Observed { events, more }, &["/in/model"], &ENVIRONMENT)
    }

    /// Judges one event between the marks.
    fn one(event: Event) -> Vec<BeyondKind> {
        let trial = judged(vec![path(Act::Read, START), event, path(Act::Read, END)], 0);
        assert!(trial.started && trial.ended);
        trial.beyond.iter().map(|beyond| beyond.kind).collect()
    }

    #[test]
    fn what_a_load_needs_is_not_reported() {
        for allowed in [
            path(Act::Read, "/in/model"),
            path(Act::Read, "/in/model/a.pkl"),
            path(
                Act::Read,
                "/env/lib/python3.11/site-packages/sklearn/tree/_tree.so",
            ),
            path(Act::Read, "/usr/lib/python3.11/encodings"),
            path(Act::Read, "/proc/self/maps"),
            path(Act::Read, "/sys/devices/system/cpu/online"),
            path(Act::Read, "/dev/urandom"),
            path(Act::Write, "/dev/null"),
            event("mbind", Act::Forbidden, Subject::Nothing),
            event("tgkill", Act::Signal, Subject::Itself),
            event("sendto", Act::Reach, Subject::Nothing),
        ] {
            assert_eq!(one(allowed.clone()), [], "{allowed:?}");
        }
    }

    #[test]
    fn everything_else_is_reported() {
        let address = Subject::Address("1.2.3.4:80".to_owned());
        for (event, expect) in [
            (path(Act::Read, "/etc/passwd"), BeyondKind::Reads),
            (path(Act::Read, "/root/.ssh/id_rsa"), BeyondKind::Reads),
            (path(Act::Read, "/in/modeling"), BeyondKind::Reads),
            (path(Act::Read, "/environment"), BeyondKind::Reads),
            (path(Act::Read, "/in"), BeyondKind::Reads),
            (path(Act::Read, "/proc/self/environ"), BeyondKind::Reads),
            (path(Act::Read, "/proc/1/maps"), BeyondKind::Reads),
            (path(Act::Write, "/in/model/a.pkl"), BeyondKind::Writes),
            (path(Act::Write, "/env/x.py"), BeyondKind::Writes),
            (path(Act::Write, "/tmp/x"), BeyondKind::Writes),
            (path(Act::Change, "/dev/null"), BeyondKind::Writes),
            (path(Act::Execute, "/env/bin/python"), BeyondKind::Executes),
            (
                event("clone", Act::Fork, Subject::Nothing),
                BeyondKind::StartsProcess,
            ),
            (
                event("socket", Act::Socket, Subject::Address("unix".to_owned())),
                BeyondKind::Network,
            ),
            (event("connect", Act::Reach, address), BeyondKind::Network),
            (
                event("kill", Act::Signal, Subject::Process(1)),
                BeyondKind::ReachesProcess,
            ),
            (
                event("ptrace", Act::Forbidden, Subject::Nothing),
                BeyondKind::ReachesProcess,
            ),
            (
                event("mount", Act::Forbidden, Subject::Nothing),
                BeyondKind::Forbidden,
            ),
            (
                event("memfd_create", Act::Memory, Subject::Nothing),
                BeyondKind::HidesFile,
            ),
            (
                event("openat", Act::Read, Subject::Unreadable),
                BeyondKind::Unreadable,
            ),
            (path(Act::Read, START), BeyondKind::Forges),
        ] {
            assert_eq!(one(event.clone()), [expect], "{event:?}");
        }
    }

    #[test]
    fn only_what_follows_the_first_mark_counts_and_the_last_does_not_end_it() {
        let before = path(Act::Execute, "/usr/bin/python3");
        assert_eq!(judged(vec![before.clone()], 0), Trial::default());
        let trial = judged(
            vec![
                before,
                path(Act::Read, START),
                path(Act::Read, END),
                path(Act::Read, "/etc/shadow"),
                path(Act::Read, END),
            ],
            0,
        );
        let kinds: Vec<_> = trial.beyond.iter().map(|beyond| beyond.kind).collect();
        assert_eq!(kinds, [BeyondKind::Reads, BeyondKind::Forges]);
        let cut = judged(vec![path(Act::Read, START)], 0);
        assert!(cut.started && !cut.ended);
    }

    #[test]
    fn findings_are_counted_and_bounded() {
        let mut events = vec![path(Act::Read, START)];
        for number in 0..MOST_BEYOND + 3 {
            events.push(path(Act::Read, &format!("/home/{number}")));
        }
        events.push(path(Act::Read, "/home/0"));
        let trial = judged(events, 7);
        assert_eq!(trial.beyond.len(), MOST_BEYOND + 1);
        assert_eq!((trial.beyond[0].times, trial.more), (2, 3));
        let last = trial.beyond.last().unwrap();
        assert_eq!((last.kind, last.times), (BeyondKind::Floods, 7));
    }

    #[test]
    fn the_program_and_the_judge_mean_the_same_marks() {
        for line in [format!("START = \"{START}\""), format!("END = \"{END}\"")] {
            assert!(PROGRAM.contains(&line), "{line}");
        }
    }

    #[test]
    fn every_kind_is_one_of_the_programs() {
        for (format, name, expect) in [
            ("pickle", "model.pkl", Some("pickle")),
            ("pickle", "model.joblib", Some("joblib")),
            ("gzip", "model.pkl.gz", Some("pickle")),
            ("zlib", "model.pkl.z", Some("joblib")),
            ("NumPy array", "a.bin", Some("numpy")),
            ("zip", "a.npz", Some("numpy")),
            ("zip", "a.keras", Some("keras")),
            ("zip", "pytorch_model.bin", Some("torch")),
            ("PyTorch stream", "x", Some("torch")),
            ("XGBoost model", "x", Some("xgboost")),
            ("text", "model.lgb", Some("lightgbm")),
            ("ONNX model", "x.onnx", Some("onnx")),
            ("HDF5", "x.h5", Some("keras")),
            ("safetensors", "x", Some("safetensors")),
            ("GGUF", "x", Some("gguf")),
            ("YAML", "x.yaml", None),
            ("text", "README.md", None),
            ("native code", "x.pt", None),
        ] {
            assert_eq!(kind(format, name), expect, "{format} {name}");
            if let Some(kind) = expect {
                assert!(PROGRAM.contains(&format!("    \"{kind}\": ")), "{kind}");
            }
        }
    }

    #[test]
    fn words_are_those_of_documents() {
        for kind in [
            BeyondKind::StartsProcess,
            BeyondKind::Reads,
            BeyondKind::HidesFile,
        ] {
            let document = serde_json::to_value(kind).unwrap();
            assert_eq!(document, kind.word());
            assert!(!kind.means().is_empty());
        }
    }
}
