//! `custody scan --trial-load`: each model is loaded by its own library in the sandbox, and what the load
//! reaches for beyond the model is a finding. The second line, behind the rules.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use custody_backends::scanned_files::Entry;
use custody_findings::{Finding, Place, Report, Severity, Verdict};
use custody_host::{LAUNCHER, LocalEnvironments, Texts, user_files_problem};
use custody_pipeline::{Environments, Installed, LockedEnvironment};
use custody_sandbox::trial::{self, BeyondKind, ENVIRONMENT, Trial, judge};
use custody_sandbox::{Exit, Finished, Interrupt, Limits, Observe, SandboxError, Spec};
use custody_types::{
    ByteSize, Digest, FileEntry, FilePath, Problem, ReadError, VersionFiles, code, listing_digest,
    visible_line, without_styles,
};

use crate::args::TrialOptions;
use crate::context::Context;

const PROGRAM: &str = "trial_load.py";
const MODEL: &str = "/in/model";
/// The exit code with which the program says that a library is not installed.
const NOT_INSTALLED: i32 = 3;
/// The exit code with which the program says that the load failed.
const FAILED: i32 = 4;
/// How large a lock file may be, in bytes.
const LOCK_BYTES: u64 = 16 << 20;
const LIMITS: Limits = Limits {
    memory: ByteSize::from_mebibytes(8 << 10),
    processes: 256,
    threads: 1,
    time_ms: 600_000,
    output: ByteSize::from_mebibytes(64),
    files: 10_000,
};

/// Loads the models among `reports`, and adds to each report what its load showed.
pub(crate) fn load(
    context: &Context,
    options: &TrialOptions,
    entries: &[Entry],
    reports: &mut [Report],
) -> Result<(), Problem> {
    let installed = options
        .environment
        .as_deref()
        .map(|lock| environment(context, lock, &options.python))
        .transpose()?;
    for (entry, report) in entries.iter().zip(reports) {
        let Entry::File(path) = entry else {
            continue;
        };
        let Some(kind) = kind(report) else {
            continue;
        };
        let findings = one(path, kind, installed.as_ref())?;
        for (rule, verdict, severity, what, why) in findings {
            report.verdict = report.verdict.max(verdict);
            report.findings.push(Finding {
                rule,
                verdict,
                severity,
                place: Place {
                    file: report.file.clone(),
                    member: Vec::new(),
                    offset: None,
                },
                what,
                why,
                references: vec!["AML.T0011.000".to_owned()],
                advice: advice(verdict).to_owned(),
            });
        }
    }
    Ok(())
}

type Told = (String, Verdict, Severity, String, String);

fn advice(verdict: Verdict) -> &'static str {
    if verdict == Verdict::Malicious {
        "do not load it anywhere"
    } else {
        "try it in an environment with the libraries that it was saved with: `--environment LOCK`"
    }
}

/// Returns as what a file is loaded, where a library loads it.
fn kind(report: &Report) -> Option<&'static str> {
    let format = &report.parts.first()?.format;
    trial::kind(format, &report.file)
}

/// Installs, or finds, the environment of a lock file.
fn environment(context: &Context, lock: &Path, python: &str) -> Result<Installed, Problem> {
    let lock = custody_backends::user_files::read_text(lock, LOCK_BYTES)
        .map_err(|error| user_files_problem(&error))?;
    let environments = LocalEnvironments::new(
        context.settings.cache.join("environments"),
        context.settings.search_path.clone(),
        // A scan needs no workspace, and so no key: every file is read again.
        None,
    );
    let locked = LockedEnvironment {
        python: python.to_owned(),
        lock,
    };
    let key = environments.describe(&locked)?.key;
    match environments.find(&key)? {
        Some(installed) => Ok(installed),
        None => environments.install(&key, &locked),
    }
}

fn one(path: &Path, kind: &str, installed: Option<&Installed>) -> Result<Vec<Told>, Problem> {
    let model = HostFile::open(path)?;
    let loaded = format!("{MODEL}/{}", model.entry().path);
    let program = Texts::new(&[(PROGRAM, trial::PROGRAM)])?;
    let mut env = BTreeMap::from([
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("PATH".to_owned(), "/env/bin:/usr/bin:/bin".to_owned()),
    ]);
    env.extend(trial::VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if let Some(installed) = installed {
        env.extend(installed.variables());
    }
    let argv = ["python3", "-P", "-s", "-B", "/in/trial/trial_load.py"];
    let spec = Spec {
        argv: argv
            .into_iter()
            .chain([loaded.as_str(), kind])
            .map(ToOwned::to_owned)
            .collect(),
        env,
        environment: installed.map(|installed| installed.folder.clone()),
        code: None,
        inputs: BTreeMap::from([
            ("model".to_owned(), Arc::new(model) as _),
            ("trial".to_owned(), Arc::new(program) as _),
        ]),
        outputs: Vec::new(),
        network: None,
        limits: LIMITS,
        observe: Observe::From(trial::START.to_owned()),
        interrupt: Interrupt::default(),
    };
    let finished = custody_sandbox::run(Path::new(LAUNCHER), &spec, &mut |_| {}, &mut |_| Ok(()))
        .map_err(|error| not_tried(&error))?;
    let tried = judge(&finished.observed, &[MODEL], &ENVIRONMENT);
    Ok(findings(kind, &tried, &finished))
}

fn findings(kind: &str, tried: &Trial, finished: &Finished) -> Vec<Told> {
    let mut told: Vec<Told> = tried
        .beyond
        .iter()
        .map(|beyond| {
            let severity = match beyond.kind {
                BeyondKind::Reads | BeyondKind::Unreadable => Severity::High,
                _ => Severity::Critical,
            };
            let times = if beyond.times > 1 {
                format!(", {} times", beyond.times)
            } else {
                String::new()
            };
            (
                format!("trial/{}", beyond.kind.word()),
                Verdict::Malicious,
                severity,
                if beyond.subject.is_empty() {
                    format!("calls {}{times}", beyond.call)
                } else {
                    format!("calls {} on `{}`{times}", beyond.call, beyond.subject)
                },
                beyond.kind.means().to_owned(),
            )
        })
        .collect();
    let unsaid = |what: String, verdict| {
        (
            "trial/unfinished".to_owned(),
            verdict,
            Severity::Medium,
            what,
            "a load that does not come to its end shows nothing of what comes after".to_owned(),
        )
    };
    if tried.more > 0 {
        told.push((
            "trial/more".to_owned(),
            Verdict::Malicious,
            Severity::High,
            format!("reaches for more than is listed, {} times", tried.more),
            "what is not listed may be worse than what is".to_owned(),
        ));
    }
    match finished.exit {
        _ if tried.started && !tried.ended => told.push(unsaid(
            format!(
                "the load as {kind} was broken off: {}",
                ended(finished.exit)
            ),
            Verdict::Review,
        )),
        Exit::Code(0) if tried.started => {}
        Exit::Code(NOT_INSTALLED) => told.push(unsaid(
            format!("there is no library here that loads {kind}"),
            Verdict::Unscannable,
        )),
        Exit::Code(FAILED) => told.push(unsaid(
            format!(
                "its library cannot load it as {kind}: {}",
                last_line(finished)
            ),
            Verdict::Unscannable,
        )),
        exit => told.push(unsaid(
            format!("the load as {kind} did not begin: {}", ended(exit)),
            Verdict::Unscannable,
        )),
    }
    told
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("it ended with code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::TimedOut => "it ran out of its time".to_owned(),
        Exit::OutOfMemory => "it ran out of its memory".to_owned(),
    }
}

/// What the program said last: the class of an error, without control characters.
fn last_line(finished: &Finished) -> String {
    let text = String::from_utf8_lossy(&finished.log);
    let line = text.lines().last().unwrap_or_default();
    let line: String = line.chars().take(200).collect();
    visible_line(&without_styles(&line))
}

fn not_tried(error: &SandboxError) -> Problem {
    let (code, hint) = match error {
        SandboxError::Unavailable { .. } => (
            code::SCAN_020,
            "see what this machine offers with `custody doctor`",
        ),
        SandboxError::NoCommand { .. } => (
            code::SCAN_021,
            "bring Python and the libraries with `--environment LOCK`, or install Python in /usr",
        ),
        _ => (
            code::SCAN_022,
            "see that there is memory for the whole model, then repeat the command",
        ),
    };
    Problem::new(
        code,
        "the model was not loaded: no trial without confinement",
    )
    .because_of(error)
    .hint(hint)
}

/// One file of the user, as a version of its own.
#[derive(Debug)]
struct HostFile {
    entries: [FileEntry; 1],
    file: std::fs::File,
}

impl HostFile {
    fn open(path: &Path) -> Result<Self, Problem> {
        let unread = |because: String| {
            Problem::new(
                code::SCAN_023,
                format!("`{}` cannot be read", path.display()),
            )
            .because(because)
        };
        let io = |error: std::io::Error| unread(error.to_string());
        let file = std::fs::File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let entry = FileEntry {
            path: name
                .parse()
                .map_err(|error: custody_types::NameError| unread(error.to_string()))?,
            size: ByteSize::from_bytes(size),
            sha256: Digest::of_all(&file).map_err(io)?,
            executable: false,
        };
        Ok(Self {
            entries: [entry],
            file,
        })
    }

    fn entry(&self) -> &FileEntry {
        let [entry] = &self.entries;
        entry
    }
}

impl VersionFiles for HostFile {
    fn digest(&self) -> Digest {
        listing_digest(&self.entries)
    }

    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        let length = range.end.saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file
            .read_exact_at(&mut bytes, range.start)
            .map_err(|_| ReadError::OutOfRange {
                path: path.clone(),
                start: range.start,
                end: range.end,
                size: self.entry().size.bytes(),
            })?;
        Ok(Bytes::from(bytes))
    }
}
