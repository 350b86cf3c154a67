//! The scanner of the registry: the parsers run in the sandbox, since what they read is hostile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use custody_backends::scanned_files::{Entry, OpenFile};
use custody_backends::{machine, scanned_files};
use custody_findings::{Finding, Place, Report, Rules, Severity, Summary, Verdict};
use custody_guard::{Scanned, Scanner};
use custody_sandbox::{BuiltIn, Exit, Interrupt, Limits, OutputFile, SandboxError, Spec};
use custody_scan::{Files, scan_among};
use custody_types::{ByteSize, Problem, VersionFiles, code};

use crate::texts::Texts;

/// The scanner as a step of the sandbox.
pub const STEP: BuiltIn = BuiltIn {
    name: "custody-scan:",
    run: inside,
};
const MODEL: &str = "/in/model";
const RULES: &str = "/in/rules";
/// A model may take this part of the free memory: one half.
const SHARE: u64 = 2;
const REPORT: &str = "report.json";
/// How much the scanner may take: its own memory is bounded by the parsers; this holds whatever they do.
const LIMITS: Limits = Limits {
    memory: ByteSize::from_mebibytes(2 << 10),
    processes: 4,
    threads: 1,
    time_ms: 900_000,
    output: ByteSize::from_mebibytes(256),
    files: 1000,
};

/// Scans in the sandbox.
#[derive(Debug)]
pub(crate) struct ConfinedScanner {
    launcher: PathBuf,
}

impl ConfinedScanner {
    /// `launcher`: see [`custody_sandbox::run`].
    pub(crate) const fn new(launcher: PathBuf) -> Self {
        Self { launcher }
    }
}

impl Scanner for ConfinedScanner {
    fn scan(&self, files: Arc<dyn VersionFiles>, packs: &[String]) -> Result<Scanned, Problem> {
        fits(files.as_ref())?;
        let spec = Spec {
            argv: vec![STEP.name.to_owned()],
            env: BTreeMap::new(),
            environment: None,
            code: None,
            inputs: BTreeMap::from([
                ("model".to_owned(), files.clone()),
                ("rules".to_owned(), Arc::new(self::packs(packs)?) as _),
            ]),
            outputs: vec!["scan".to_owned()],
            network: None,
            limits: LIMITS,
            observe: custody_sandbox::Observe::Nothing,
            interrupt: Interrupt::default(),
        };
        let mut report = None;
        let mut take = |file: OutputFile<'_>| {
            let bytes: &mut Vec<u8> = report.insert(Vec::new());
            file.content.read_to_end(bytes).map(drop)
        };
        let finished = custody_sandbox::run(&self.launcher, &spec, &mut |_| {}, &mut take)
            .map_err(|error| not_scanned(&error))?;
        let summary = match (finished.exit, report) {
            (Exit::Code(0), Some(report)) => {
                serde_json::from_slice(&report).map_err(|error| broken(&error.to_string()))?
            }
            // Whatever ended the parser, the file did it.
            (exit, _) => ended(files.as_ref(), packs, exit)?,
        };
        let isolation = finished.enforced.into_iter();
        Ok(Scanned {
            summary,
            isolation: isolation.map(|one| (one.what, one.by)).collect(),
        })
    }
}

/// Refuses a model that the sandbox could not hold in memory beside everything else.
fn fits(files: &dyn VersionFiles) -> Result<(), Problem> {
    let sizes = files.files().iter().map(|file| file.size.bytes());
    let size = sizes.fold(0, u64::saturating_add);
    let free = machine::available_memory().map_err(|error| broken(&error.to_string()))?;
    if size <= free / SHARE {
        return Ok(());
    }
    Err(Problem::new(
        code::SCAN_025,
        "the model cannot be scanned, so it is not taken",
    )
    .because(format!(
        "it has {}, and is scanned in memory: half of what is free here, {}",
        ByteSize::from_bytes(size),
        ByteSize::from_bytes(free / SHARE)
    ))
    .hint("put it in from a machine with more memory, or split it into versions that fit"))
}

/// The rule packs as files, in their order.
fn packs(packs: &[String]) -> Result<Texts, Problem> {
    let names: Vec<_> = (0..packs.len())
        .map(|number| format!("{number:03}.json"))
        .collect();
    let texts: Vec<_> = names
        .iter()
        .zip(packs)
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Texts::new(&texts)
}

/// Reports that the parser did not come to an end.
fn ended(files: &dyn VersionFiles, packs: &[String], exit: Exit) -> Result<Summary, Problem> {
    let rules = rules(packs)?;
    let because = match exit {
        Exit::TimedOut => "the scanner ran out of its time".to_owned(),
        Exit::OutOfMemory => "the scanner ran out of its memory".to_owned(),
        Exit::Code(code) => format!("the scanner ended with code {code}"),
        Exit::Signal(signal) => format!("the scanner was killed by signal {signal}"),
    };
    let reports = files.files().iter();
    let reports = reports.map(|file| unread(file.path.as_str(), &because));
    let summary = Summary::of(reports.collect(), &rules);
    Ok(Summary {
        verdict: Verdict::Unscannable,
        ..summary
    })
}

fn rules(packs: &[String]) -> Result<Rules, Problem> {
    let packs: Vec<_> = packs.iter().map(String::as_str).collect();
    Rules::new(&packs).map_err(|error| broken(&error.to_string()))
}

fn broken(because: &str) -> Problem {
    Problem::new(code::SCAN_014, "the scan broke off").because(because)
}

fn not_scanned(error: &SandboxError) -> Problem {
    let what = "the model cannot be scanned, so it is not taken";
    let problem = match error {
        SandboxError::Unavailable { .. } => Problem::new(code::SCAN_015, what)
            .hint("see what this machine offers with `custody doctor`"),
        SandboxError::Input(_) => {
            Problem::new(code::SCAN_016, what).hint("see the extent with `custody verify --all`")
        }
        _ => Problem::new(code::SCAN_017, what)
            .hint("see that there is memory for the whole model, then repeat the command"),
    };
    problem.because_of(error)
}

/// The side of the sandbox: scans what it sees and writes the report.
fn inside(_: &[String]) -> u8 {
    match report() {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn report() -> std::io::Result<()> {
    let mut packs = Vec::new();
    let mut paths: Vec<_> = std::fs::read_dir(RULES)?.collect::<Result<_, _>>()?;
    paths.sort_by_key(std::fs::DirEntry::file_name);
    for path in paths {
        packs.push(std::fs::read_to_string(path.path())?);
    }
    let packs: Vec<_> = packs.iter().map(String::as_str).collect();
    let rules = Rules::new(&packs).map_err(std::io::Error::other)?;
    let entries = scanned_files::find(&[PathBuf::from(MODEL)]).map_err(|(_, error)| error)?;
    let mut summary = scan_entries(&entries, &rules);
    summary.files.iter_mut().for_each(inside_model);
    let text = serde_json::to_vec(&summary)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it is written into the memory of the sandbox"
    )]
    std::fs::write(Path::new("/out/scan").join(REPORT), text)
}

/// Names the file as the model's listing does.
fn inside_model(report: &mut Report) {
    let name = |file: &mut String| {
        if let Some(rest) = file.strip_prefix(MODEL) {
            *file = rest.trim_start_matches('/').to_owned();
        }
    };
    name(&mut report.file);
    report
        .parts
        .iter_mut()
        .for_each(|part| name(&mut part.place.file));
    report
        .findings
        .iter_mut()
        .for_each(|finding| name(&mut finding.place.file));
}

/// Scans files that belong together.
pub fn scan_entries(entries: &[Entry], rules: &Rules) -> Summary {
    let files = scanned_files::listed(entries);
    let reports = entries
        .iter()
        .map(|entry| one(entry, rules, &files))
        .collect();
    Summary::of(reports, rules)
}

/// Scans one file; what cannot be opened is unscannable, never passed over.
fn one(entry: &Entry, rules: &Rules, files: &Files) -> Report {
    match entry {
        Entry::File(path) => {
            let name = path.display().to_string();
            match OpenFile::open(path) {
                Ok(file) => scan_among(&name, &file, rules, files),
                Err(error) => unread(&name, &error.to_string()),
            }
        }
        Entry::Other(path, because) => unread(&path.display().to_string(), because),
    }
}

/// Reports a file that was not read.
fn unread(name: &str, because: &str) -> Report {
    Report {
        file: name.to_owned(),
        verdict: Verdict::Unscannable,
        parts: Vec::new(),
        findings: vec![Finding {
            rule: "file/unread".to_owned(),
            verdict: Verdict::Unscannable,
            severity: Severity::Medium,
            place: Place {
                file: name.to_owned(),
                member: Vec::new(),
                offset: None,
            },
            what: format!("it was not read: {because}"),
            why: "what cannot be read whole cannot be called clean".to_owned(),
            references: Vec::new(),
            advice: "scan what it stands for, or take it away".to_owned(),
        }],
        left_out: 0,
    }
}
