//! The codes of problems: one registry, from which constructors take their code.
//!
//! A code that is not in the table of [`code`](self) cannot be written; one that is written nowhere fails a test.

mod registry;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::problem::{ExitCode, Retry};

pub use registry::*;

/// A registered code: `CUS-`, an area, three digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static Entry);

/// A row of the registry.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Entry {
    text: &'static str,
    kind: ProblemKind,
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

impl Code {
    /// Returns the code as it is written.
    pub const fn as_str(self) -> &'static str {
        self.0.text
    }

    /// Returns what kind of problem it tells of.
    pub const fn kind(self) -> ProblemKind {
        self.0.kind
    }

    /// Returns what it tells, without what it is about: lower case, no full stop.
    pub const fn title(self) -> &'static str {
        self.0.title
    }

    /// Returns what it means, in sentences.
    pub const fn meaning(self) -> &'static str {
        self.0.meaning
    }

    /// Returns what to do, in sentences.
    pub const fn remedy(self) -> &'static str {
        self.0.remedy
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.text)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.text)
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let known = ALL.iter().find(|code| code.0.text == text);
        known.copied().ok_or(UnknownCode)
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.text)
    }
}

impl JsonSchema for Code {
    fn schema_name() -> Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The code of a problem; `docs/reference/errors.md` lists all of them.",
            "pattern": "^CUS-[A-Z]+-[0-9]{3}$"
        })
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Says that a text is no code of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this program has no such code")]
pub struct UnknownCode;

/// What kind of problem it is: whoever acts upon a problem asks for this. The exit code and the HTTP status follow from it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// A request is not what the operation takes.
    Malformed,
    /// There is no such method of what was asked.
    Method,
    /// The body of a request is of another type than the operation takes.
    MediaType,
    /// What was asked does not make sense: usage, settings, a file of the user's.
    Invalid,
    /// It is larger than it may be.
    TooLarge,
    /// It was asked too often.
    TooMany,
    /// It is not known who asks.
    Unauthenticated,
    /// The policy, or a rule of the door, forbids it.
    Denied,
    /// It is not there, or may not be seen.
    NotFound,
    /// What is there is not what was expected.
    Conflict,
    /// A check was made, and the answer is no: a contract broken, a gate closed.
    Refused,
    /// The work was begun and failed on what it was given: a step's program, a query, a package.
    Failed,
    /// It waits for an approval.
    Held,
    /// What is stored is not what it must be.
    Integrity,
    /// The machine cannot do it now; the cause may pass.
    Unavailable,
    /// There is no room on the disk.
    Full,
    /// A step ran out of its time.
    TimedOut,
    /// The sandbox could not be set up; nothing of the step ran.
    Isolation,
    /// Somebody ended it.
    Interrupted,
    /// A fault of the program.
    Fault,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 20] = [
        Self::Malformed,
        Self::Method,
        Self::MediaType,
        Self::Invalid,
        Self::TooLarge,
        Self::TooMany,
        Self::Unauthenticated,
        Self::Denied,
        Self::NotFound,
        Self::Conflict,
        Self::Refused,
        Self::Failed,
        Self::Held,
        Self::Integrity,
        Self::Unavailable,
        Self::Full,
        Self::TimedOut,
        Self::Isolation,
        Self::Interrupted,
        Self::Fault,
    ];

    /// Returns the exit code of a command that ends with such a problem.
    pub const fn exit(self) -> ExitCode {
        match self {
            Self::Malformed | Self::Method | Self::MediaType | Self::Invalid | Self::TooLarge => {
                ExitCode::Usage
            }
            Self::Unauthenticated | Self::Denied => ExitCode::Denied,
            Self::NotFound | Self::Conflict => ExitCode::NotFound,
            Self::Refused | Self::Failed => ExitCode::No,
            Self::Held => ExitCode::Approval,
            Self::Integrity => ExitCode::Integrity,
            Self::Unavailable | Self::Full | Self::TooMany => ExitCode::Later,
            Self::TimedOut => ExitCode::TimedOut,
            Self::Isolation => ExitCode::Isolation,
            Self::Interrupted => ExitCode::Interrupted,
            Self::Fault => ExitCode::Fault,
        }
    }

    /// Returns the status of an HTTP answer that tells such a problem (RFC 9110, section 15; 507: RFC 4918, section 11.5).
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::Conflict | Self::Held => 409,
            Self::TooLarge => 413,
            Self::MediaType => 415,
            Self::Invalid | Self::Refused | Self::Failed => 422,
            Self::TooMany => 429,
            Self::Integrity | Self::Fault => 500,
            Self::Isolation => 501,
            Self::Unavailable | Self::Interrupted => 503,
            Self::TimedOut => 504,
            Self::Full => 507,
        }
    }

    /// Returns whether the same call may work later.
    pub const fn retry(self) -> Retry {
        match self {
            Self::Unavailable | Self::Full | Self::TooMany => Retry::Later,
            _ => Retry::No,
        }
    }

    /// Returns what it tells, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Malformed => "A request is not what the operation takes.",
            Self::Method => "There is no such method of what was asked.",
            Self::MediaType => "The body of a request is of another type than the operation takes.",
            Self::Invalid => {
                "What was asked does not make sense: usage, settings, a file of yours."
            }
            Self::TooLarge => "It is larger than it may be.",
            Self::TooMany => "It was asked too often; the same call may work later.",
            Self::Unauthenticated => "It is not known who asks.",
            Self::Denied => "The policy, or a rule of the door, forbids it.",
            Self::NotFound => "It is not there, or you may not see it.",
            Self::Conflict => "What is there is not what was expected.",
            Self::Refused => "A check was made, and the answer is no.",
            Self::Failed => "The work was begun and failed on what it was given.",
            Self::Held => "It waits for an approval.",
            Self::Integrity => "What is stored is not what it must be.",
            Self::Unavailable => "The machine cannot do it now; the same call may work later.",
            Self::Full => "There is no room on the disk; the same call may work later.",
            Self::TimedOut => "A step ran out of its time.",
            Self::Isolation => "The sandbox could not be set up; nothing of the step ran.",
            Self::Interrupted => "Somebody ended it.",
            Self::Fault => "It is a fault of the program.",
        }
    }

    /// Returns the word that documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Method => "method",
            Self::MediaType => "media_type",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Integrity => "integrity",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::TimedOut => "timed_out",
            Self::Isolation => "isolation",
            Self::Interrupted => "interrupted",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_constant_bears_the_name_of_its_code() {
        for (name, code) in NAMES {
            assert_eq!(format!("CUS-{}", name.replace('_', "-")), code.as_str());
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert_eq!("CUS-NONE-001".parse::<Code>(), Err(UnknownCode));
    }

    #[test]
    fn the_table_is_in_order_and_in_the_words_of_messages() {
        let texts: Vec<_> = ALL.iter().map(|code| code.as_str()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        let mut titles = BTreeSet::new();
        for code in ALL {
            let title = code.title();
            assert!(titles.insert(title), "`{title}` is told by two codes");
            assert!(!title.ends_with('.'), "{code}");
            assert!(
                title.starts_with(|first: char| first.is_lowercase() || first == '`')
                    || title.starts_with("Python"),
                "{code}"
            );
            for sentences in [code.meaning(), code.remedy()] {
                assert!(sentences.ends_with('.'), "{code}");
            }
        }
    }

    #[test]
    fn every_kind_has_a_code_and_one_word() {
        for kind in ProblemKind::ALL {
            assert!(ALL.iter().any(|code| code.kind() == kind), "{kind}");
            let word = serde_json::to_value(kind).unwrap();
            assert_eq!(word, kind.as_str());
        }
    }
}
