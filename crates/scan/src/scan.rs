//! The scan of one file: which parser reads which part, what was found, and the limits.

use crate::cursor::Stop;
use crate::files::{Beside, Files};
use crate::formats;
use crate::sniff;
use crate::source::Source;
use custody_findings::{Finding, Part, Place, Report, Rules, Severity, Verdict};

/// How deep parts may lie in parts.
pub const MAX_DEPTH: usize = 8;
/// How many findings a report holds; what is beyond is counted.
pub const MAX_FINDINGS: usize = 200;
/// How many parts a report lists and a scan opens.
pub const MAX_PARTS: usize = 100_000;
/// How many parts a report lists.
const MAX_LISTED: usize = 10_000;
/// How many bytes may be unpacked whatever the file's own size, in bytes.
const FREE_UNPACKED: u64 = 256 << 20;
/// How many bytes may be unpacked for each byte of the file beyond that.
const MAX_RATIO: u64 = 200;

/// How many bytes may be unpacked beyond that where all of them belong to what is understood, such as the
/// zeros of an array: each is read once or a few times, and none is kept.
const MAX_ACCOUNTED: u64 = 16 << 30;

/// The state of a scan of one file. Parsers receive it and report to it.
#[derive(Debug)]
pub struct Scan<'a> {
    /// What is allowed and what is known to be bad.
    pub(crate) rules: &'a Rules,
    file: String,
    files: Option<&'a Files>,
    /// The members of the innermost container of files, and how many parts they lie in.
    container: Option<(usize, Files)>,
    trail: Vec<String>,
    parts: Vec<Part>,
    parts_seen: usize,
    findings: Vec<Finding>,
    left_out: u64,
    worst: Verdict,
    unpackable: u64,
    accountable: u64,
    /// The format of the part that ended last, and whether all of it is understood.
    last: Option<(&'static str, bool)>,
}

/// A finding in the making; see [`Scan::found`].
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) rule: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) severity: Severity,
    pub(crate) offset: Option<u64>,
    pub(crate) what: String,
    pub(crate) why: &'static str,
    pub(crate) references: Vec<String>,
    pub(crate) advice: &'static str,
}

impl Found {
    /// Something that no model needs.
    pub(crate) fn malicious(rule: &'static str, what: impl Into<String>) -> Self {
        Self {
            rule,
            verdict: Verdict::Malicious,
            severity: Severity::Critical,
            offset: None,
            what: what.into(),
            why: "",
            references: Vec::new(),
            advice: "do not load it; ask its publisher, and report it",
        }
    }

    /// Something that a person must look at.
    pub(crate) fn review(rule: &'static str, what: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Review,
            severity: Severity::Medium,
            advice: "have somebody look at it, then approve it or add a rule of your own",
            ..Self::malicious(rule, what)
        }
    }

    /// Something that could not be understood.
    pub(crate) fn unscannable(rule: &'static str, what: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Unscannable,
            severity: Severity::Medium,
            why: "what cannot be read whole cannot be called clean",
            advice: "get an undamaged file in a format that is known, or convert it in the sandbox",
            ..Self::malicious(rule, what)
        }
    }

    /// Something worth knowing.
    pub(crate) fn note(rule: &'static str, what: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Clean,
            severity: Severity::Note,
            advice: "nothing to do",
            ..Self::malicious(rule, what)
        }
    }

    pub(crate) fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    pub(crate) fn at(self, offset: u64) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    pub(crate) fn why(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    pub(crate) fn advice(self, advice: &'static str) -> Self {
        Self { advice, ..self }
    }

    pub(crate) fn see(mut self, references: &[&str]) -> Self {
        self.references
            .extend(references.iter().map(|text| (*text).to_owned()));
        self
    }
}

/// What a parser says at its end: the format's name and how many bytes of the part it accounts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Understood {
    pub(crate) format: &'static str,
    pub(crate) bytes: u64,
}

/// Scans one file under the name `file`. Nothing of it is loaded, written or executed; the memory used
/// does not depend on its size, the time is linear in it.
pub fn scan(file: &str, source: &dyn Source, rules: &Rules) -> Report {
    whole(file, source, rules, None)
}

/// Scans one file as [`scan()`] does, and holds what it says of other files against `files`: a model
/// whose data lies in another file is clean only if that one is there, plain, and long enough.
pub fn scan_among(file: &str, source: &dyn Source, rules: &Rules, files: &Files) -> Report {
    whole(file, source, rules, Some(files))
}

fn whole(file: &str, source: &dyn Source, rules: &Rules, files: Option<&Files>) -> Report {
    let mut scan = Scan {
        rules,
        file: file.to_owned(),
        files,
        container: None,
        trail: Vec::new(),
        parts: Vec::new(),
        parts_seen: 0,
        findings: Vec::new(),
        left_out: 0,
        worst: Verdict::Clean,
        unpackable: source
            .len()
            .saturating_mul(MAX_RATIO)
            .saturating_add(FREE_UNPACKED),
        accountable: MAX_ACCOUNTED,
        last: None,
    };
    scan.part(source, |scan| sniff::parse(source, scan));
    Report {
        file: scan.file,
        verdict: scan.worst,
        parts: scan.parts,
        findings: scan.findings,
        left_out: scan.left_out,
    }
}

impl Scan<'_> {
    /// Scans the member `name` of the part that is being scanned, by its content.
    pub(crate) fn member(&mut self, name: &str, source: &dyn Source) {
        self.inside(name, source, |scan| sniff::parse(source, scan));
    }

    /// Lists a member whose bytes belong to what is understood elsewhere.
    pub(crate) fn counted(&mut self, name: &str, format: &'static str, bytes: u64) {
        self.parts_seen = self.parts_seen.saturating_add(1);
        if self.parts.len() < MAX_LISTED {
            self.trail.push(shown(name));
            self.parts.push(Part {
                place: self.place(None),
                format: format.to_owned(),
                bytes,
                understood: bytes,
            });
            self.trail.pop();
        }
    }

    /// Scans the member `name` with a parser that the caller names: it knows more than the content tells.
    pub(crate) fn inside(
        &mut self,
        name: &str,
        source: &dyn Source,
        parse: impl FnOnce(&mut Self) -> Result<Understood, (&'static str, Stop)>,
    ) {
        self.last = None;
        if self.trail.len() >= MAX_DEPTH {
            self.found(
                Found::unscannable(
                    "limits/depth",
                    format!("`{name}` lies {MAX_DEPTH} parts deep"),
                )
                .see(&["CWE-674"]),
            );
            return;
        }
        self.trail.push(shown(name));
        self.part(source, parse);
        self.trail.pop();
    }

    /// Reports what is found in the part that is being scanned.
    pub(crate) fn found(&mut self, found: Found) {
        self.worst = self.worst.max(found.verdict);
        let finding = Finding {
            rule: found.rule.to_owned(),
            verdict: found.verdict,
            severity: found.severity,
            place: self.place(found.offset),
            what: found.what,
            why: found.why.to_owned(),
            references: found.references,
            advice: found.advice.to_owned(),
        };
        if self.findings.contains(&finding) {
            return;
        }
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
            return;
        }
        self.left_out = self.left_out.saturating_add(1);
        if finding.verdict > Verdict::Clean {
            self.flooded();
        }
        // A worse one takes the place of a lesser one, so that no flood of notes hides it.
        if let Some(lesser) = self
            .findings
            .iter_mut()
            .filter(|kept| kept.verdict < finding.verdict)
            .min_by_key(|kept| kept.verdict)
        {
            *lesser = finding;
        }
    }

    /// Nobody can judge what is not listed: what is left to a person may not go beyond the list.
    fn flooded(&mut self) {
        const RULE: &str = "limits/findings";
        self.worst = self.worst.max(Verdict::Unscannable);
        if self.findings.iter().any(|finding| finding.rule == RULE) {
            return;
        }
        let told = Finding {
            rule: RULE.to_owned(),
            verdict: Verdict::Unscannable,
            severity: Severity::High,
            place: self.place(None),
            what: format!("there is more to find than {MAX_FINDINGS} findings"),
            why: "what is not listed could not be approved by anybody".to_owned(),
            references: Vec::new(),
            advice: "save the model in a format of numbers, or add a rule pack for its classes"
                .to_owned(),
        };
        let lesser = self.findings.iter_mut().min_by_key(|kept| kept.verdict);
        if let Some(lesser) = lesser.filter(|kept| kept.verdict < Verdict::Unscannable) {
            *lesser = told;
        }
    }

    /// Returns how many bytes may still be unpacked.
    pub(crate) fn unpackable(&self) -> u64 {
        self.unpackable
    }

    /// Takes `bytes` from what may be unpacked.
    pub(crate) fn unpacked(&mut self, bytes: u64) {
        self.unpackable = self.unpackable.saturating_sub(bytes);
    }

    /// Returns how many bytes may still be unpacked of what is read whole.
    pub(crate) fn accountable(&self) -> u64 {
        self.accountable
    }

    /// Takes `bytes` from that.
    pub(crate) fn accounted(&mut self, bytes: u64) {
        self.accountable = self.accountable.saturating_sub(bytes);
    }

    /// Whether the part that ended last was of a format that is known, and read to its end.
    pub(crate) fn read_whole(&self) -> bool {
        self.last
            .is_some_and(|(format, whole)| whole && format != formats::OPAQUE.name)
    }

    /// Scans the members of a container of files, each of which may name others of its `files`, that are
    /// listed by [`shown`] names.
    pub(crate) fn together(&mut self, files: Files, members: impl FnOnce(&mut Self)) {
        let inside = self.trail.len().saturating_add(1);
        let outer = self.container.replace((inside, files));
        members(self);
        self.container = outer;
    }

    /// Returns what lies at `name` beside the part that is being scanned, where that is a file of its own
    /// or of a container.
    pub(crate) fn beside(&self, name: &str) -> Beside {
        let (files, file) = match (self.trail.last(), &self.container) {
            (None, _) => (self.files, &self.file),
            (Some(member), Some((inside, files))) if *inside == self.trail.len() => {
                (Some(files), member)
            }
            _ => return Beside::Unknown,
        };
        files.map_or(Beside::Unknown, |files| files.beside(file, name))
    }

    /// Returns how many parts this one lies in.
    pub(crate) fn depth(&self) -> usize {
        self.trail.len()
    }

    /// Returns the name of the part that is being scanned: its last member, else its file.
    pub(crate) fn name(&self) -> &str {
        self.trail.last().unwrap_or(&self.file)
    }

    fn place(&self, offset: Option<u64>) -> Place {
        Place {
            file: self.file.clone(),
            member: self.trail.clone(),
            offset,
        }
    }

    fn part(
        &mut self,
        source: &dyn Source,
        parse: impl FnOnce(&mut Self) -> Result<Understood, (&'static str, Stop)>,
    ) {
        self.parts_seen = self.parts_seen.saturating_add(1);
        if self.parts_seen > MAX_PARTS {
            self.found(Found::unscannable(
                "limits/parts",
                format!("more than {MAX_PARTS} parts"),
            ));
            return;
        }
        let listed = self.parts.len() < MAX_LISTED;
        let index = self.parts.len();
        if listed {
            self.parts.push(Part {
                place: self.place(None),
                format: "unknown".to_owned(),
                bytes: source.len(),
                understood: 0,
            });
        }
        let understood = match parse(self) {
            Ok(understood) => understood,
            Err((format, stop)) => {
                self.stopped(format, &stop);
                Understood { format, bytes: 0 }
            }
        };
        if understood.bytes < source.len() && self.worst < Verdict::Unscannable {
            self.found(Found::unscannable(
                "coverage/left-over",
                format!(
                    "{} of {} bytes belong to nothing that the format `{}` has",
                    source.len().saturating_sub(understood.bytes),
                    source.len(),
                    understood.format
                ),
            ));
        }
        self.last = Some((understood.format, understood.bytes >= source.len()));
        if listed && let Some(part) = self.parts.get_mut(index) {
            understood.format.clone_into(&mut part.format);
            part.understood = understood.bytes;
        }
    }

    fn stopped(&mut self, format: &'static str, stop: &Stop) {
        let rule = match stop {
            Stop::Truncated { .. } => "format/truncated",
            Stop::Malformed { .. } => "format/malformed",
            Stop::Limit { .. } => "limits/size",
            Stop::Unreadable(_) => "format/unreadable",
        };
        let mut found =
            Found::unscannable(rule, format!("the {format} {stop}")).see(&["AML.T0076"]);
        found.offset = stop.at();
        self.found(found);
    }
}

/// Cuts a name from outside to what can be shown: at most 200 characters, control characters escaped.
pub(crate) fn shown(name: &str) -> String {
    let mut shown: String = name
        .chars()
        .take(200)
        .flat_map(|character| {
            let escape = character.is_control() || is_direction(character);
            let plain = (!escape).then_some(character);
            let escaped = escape
                .then(|| character.escape_default())
                .into_iter()
                .flatten();
            plain.into_iter().chain(escaped)
        })
        .collect();
    if name.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether a character turns the direction of the text around it, which would forge a report.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
