//! Names of projects, artifacts, versions and aliases, and the references that users type.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The text is no valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: {rule}")]
pub struct NameError {
    what: &'static str,
    text: String,
    rule: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, text: &str, rule: &'static str) -> Self {
        let text = text.chars().take(80).flat_map(char::escape_debug).collect();
        Self { what, text, rule }
    }
}

const NAME_RULE: &str = "use 1 to 63 of a-z, 0-9, `-` and `_`, the first a letter or digit";

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

macro_rules! text_type {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.to_string(), f)
            }
        }
    };
}

/// A project: the unit of policy and of the encryption domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
pub struct ProjectName(String);

impl ProjectName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("project name", text, NAME_RULE))
        }
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_type!(ProjectName);

/// An artifact: a named line of versions in a project, written `project/artifact`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$"))]
pub struct ArtifactName {
    project: ProjectName,
    name: String,
}

impl ArtifactName {
    /// Builds the name of the artifact `name` in `project`.
    ///
    /// # Errors
    /// [`NameError`] when `name` is no valid name.
    pub fn new(project: ProjectName, name: &str) -> Result<Self, NameError> {
        if is_name(name) {
            Ok(Self {
                project,
                name: name.to_owned(),
            })
        } else {
            Err(NameError::new("artifact name", name, NAME_RULE))
        }
    }

    /// Returns the project.
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// Returns the part after the slash.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of version `number` of this artifact.
    pub fn version(&self, number: VersionNumber) -> VersionName {
        VersionName {
            artifact: self.clone(),
            number,
        }
    }
}

impl FromStr for ArtifactName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((project, name)) => Self::new(project.parse()?, name),
            None => Err(NameError::new(
                "artifact name",
                text,
                "write `project/artifact`",
            )),
        }
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.name)
    }
}

text_type!(ArtifactName);

/// The number of a version within its artifact, counted from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(extend("minimum" = 1))]
pub struct VersionNumber(u32);

impl VersionNumber {
    /// The first version.
    pub const FIRST: Self = Self(1);

    /// Wraps a number; `None` for zero.
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Returns the number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl TryFrom<u32> for VersionNumber {
    type Error = NameError;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        Self::new(number)
            .ok_or_else(|| NameError::new("version number", "0", "versions count from 1"))
    }
}

impl From<VersionNumber> for u32 {
    fn from(number: VersionNumber) -> Self {
        number.0
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The name of one version: `employment/raw@3`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}@[1-9][0-9]{0,8}$"))]
pub struct VersionName {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The number within the artifact.
    pub number: VersionNumber,
}

impl FromStr for VersionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference: Reference = text.parse()?;
        match reference.selector {
            Selector::Number(number) => Ok(reference.artifact.version(number)),
            _ => Err(NameError::new(
                "version name",
                text,
                "write `project/artifact@number`",
            )),
        }
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.artifact, self.number)
    }
}

text_type!(VersionName);

/// A name that moves from version to version: `production`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^[a-z][a-z0-9_-]{0,62}$", "not" = {"const": "latest"}))]
pub struct Alias(String);

impl Alias {
    /// Returns the alias as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let starts_with_letter = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if is_name(text) && starts_with_letter && text != "latest" {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "alias",
                text,
                "use 1 to 63 of a-z, 0-9, `-` and `_`, the first a letter; `latest` is taken",
            ))
        }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_type!(Alias);

/// Which version of an artifact is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The newest committed version: nothing after the name, or `@latest`.
    Latest,
    /// The version with this number: `@3`.
    Number(VersionNumber),
    /// The version that the alias points to: `@production`.
    Alias(Alias),
    /// The version with this identity: `@sha256:…`.
    Digest(Digest),
}

/// What a user types to name a version: `employment/model`, `employment/model@1`,
/// `employment/model@production` or `employment/model@sha256:…`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}(@(latest|[1-9][0-9]{0,8}|[a-z][a-z0-9_-]{0,62}|sha256:[0-9a-f]{64}))?$", "format" = "reference"))]
pub struct Reference {
    /// The artifact.
    pub artifact: ArtifactName,
    /// Which of its versions.
    pub selector: Selector,
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((artifact, selector)) = text.split_once('@') else {
            return Ok(Self {
                artifact: text.parse()?,
                selector: Selector::Latest,
            });
        };
        let selector = if selector == "latest" {
            Selector::Latest
        } else if selector.starts_with("sha256:") {
            let digest = selector.parse();
            Selector::Digest(digest.map_err(|_| {
                NameError::new(
                    "digest",
                    selector,
                    "write `sha256:` and 64 hexadecimal digits",
                )
            })?)
        } else if let Ok(number) = selector.parse::<u32>() {
            Selector::Number(number.try_into()?)
        } else {
            Selector::Alias(selector.parse()?)
        };
        Ok(Self {
            artifact: artifact.parse()?,
            selector,
        })
    }
}

impl From<VersionName> for Reference {
    fn from(name: VersionName) -> Self {
        Self {
            artifact: name.artifact,
            selector: Selector::Number(name.number),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.artifact)?;
        match &self.selector {
            Selector::Latest => Ok(()),
            Selector::Number(number) => write!(f, "@{number}"),
            Selector::Alias(alias) => write!(f, "@{alias}"),
            Selector::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

text_type!(Reference);

macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident, $what:literal, $rule:literal { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word that stands for it in files and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(NameError::new($what, text, $rule)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

word_enum! {
    /// What an artifact's versions are.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
    Kind, "kind", "use `dataset`, `features`, `code`, `environment`, `model`, `report`, `policy` or `baseline`" {
        /// Rows or files collected or made.
        Dataset = "dataset",
        /// Features computed for training or serving.
        Features = "features",
        /// Program text that a step runs.
        Code = "code",
        /// The interpreter and packages that a step runs with.
        Environment = "environment",
        /// A trained model.
        Model = "model",
        /// A result of checks, measurements or gates, or a step's log.
        Report = "report",
        /// A set of policies.
        Policy = "policy",
        /// Reference statistics of a model's data.
        Baseline = "baseline",
    }
}

word_enum! {
    /// A kind of evidence that may be demanded of a version.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
    EvidenceKind, "kind of evidence", "use `gate`, `contract`, `scan` or `signature`" {
        /// A gate that was passed by this very content.
        Gate = "gate",
        /// A contract that was passed by the data, or by all the data that it was made from.
        Contract = "contract",
        /// A scan by the rules in force that left nothing open.
        Scan = "scan",
        /// A signature over the files: the workspace's own, or a publisher's that was verified.
        Signature = "signature",
    }
}

word_enum! {
    /// How sensitive data is; a later one is the more sensitive.
    ///
    /// What is made from several inputs has the greatest classification among them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
    Classification, "classification", "use `public`, `internal`, `confidential`, `personal` or `special`" {
        /// Anyone may see it.
        Public = "public",
        /// For the organisation.
        Internal = "internal",
        /// For those who need it.
        Confidential = "confidential",
        /// About persons (GDPR Art. 4).
        Personal = "personal",
        /// Special categories of personal data (GDPR Art. 9).
        Special = "special",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written_alike() {
        for text in [
            "employment/raw",
            "employment/raw@3",
            "employment/model@production",
            "a/b@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        assert_eq!(
            "a/b@latest".parse::<Reference>().unwrap().selector,
            Selector::Latest
        );
    }

    #[test]
    fn bad_references_are_refused() {
        for text in [
            "",
            "raw",
            "a/b@",
            "a/b@0",
            "a/b@-1",
            "A/b",
            "a/b/c",
            "a/b@x@y",
            "-a/b",
            "a/b@sha256:12",
            "a/../b",
            "a/b@4294967296",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_classification_of_a_mixture_is_the_greatest() {
        assert!(Classification::Special > Classification::Personal);
        assert_eq!(
            Classification::ALL.iter().max(),
            Some(&Classification::Special)
        );
    }
}
