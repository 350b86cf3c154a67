//! What a scan says: findings, where they are, and the verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rules::{PackId, Rules};

/// What is thought of a file, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every byte is understood and everything that loading would do is allowed.
    Clean,
    /// Something that the rules do not know: a person must look.
    Review,
    /// Something could not be understood, so that nothing can be said.
    Unscannable,
    /// Loading it does what no model needs.
    Malicious,
}

impl Verdict {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Review => "review",
            Self::Unscannable => "unscannable",
            Self::Malicious => "malicious",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; the verdict does not change.
    Note,
    /// Unusual.
    Low,
    /// Unknown to the rules, or not understood.
    Medium,
    /// Reads, writes or loads something outside of the file, or hides it.
    High,
    /// Runs code or commands.
    Critical,
}

impl Severity {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file, as it was named to the scanner.
    pub file: String,
    /// The members inside of it, from the outermost to the innermost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member: Vec<String>,
    /// Bytes from the start of the innermost member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for member in &self.member {
            write!(f, "!{member}")?;
        }
        self.offset.map_or(Ok(()), |offset| write!(f, " @{offset}"))
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that speaks: an area and a name, such as `pickle/sink`. Stable.
    pub rule: String,
    /// What it makes of the file at least. [`Verdict::Clean`] for a note.
    pub verdict: Verdict,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is there.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What is known of it elsewhere: CVE, GHSA, CWE and MITRE ATLAS identifiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// What to do.
    pub advice: String,
}

/// What one file, or one member of it, is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where.
    pub place: Place,
    /// Its format as recognised by content.
    pub format: String,
    /// Its length in bytes, unpacked.
    pub bytes: u64,
    /// How many of them the format's parser accounted for.
    pub understood: u64,
}

/// What is said of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The file, as it was named to the scanner.
    pub file: String,
    /// The worst of its findings; unscannable where bytes are left over.
    pub verdict: Verdict,
    /// The file and, after it, its members.
    pub parts: Vec<Part>,
    /// What was found, in order of place.
    pub findings: Vec<Finding>,
    /// How many findings were left out because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference to `skip_serializing_if`"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What is said of everything that one call scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The worst of the files.
    pub verdict: Verdict,
    /// By which rules.
    pub rules: Vec<PackId>,
    /// The files in the order of their names.
    pub files: Vec<Report>,
}

impl Summary {
    /// Puts the reports on files together.
    pub fn of(files: Vec<Report>, rules: &Rules) -> Self {
        Self {
            verdict: files
                .iter()
                .map(|report| report.verdict)
                .max()
                .unwrap_or(Verdict::Clean),
            rules: rules.packs().to_vec(),
            files,
        }
    }

    /// Returns how many files got this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.files
            .iter()
            .filter(|report| report.verdict == verdict)
            .count()
    }
}
