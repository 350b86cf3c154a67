//! Rule packs: what is allowed, and what is known to be bad. Data, not code.
//!
//! A pack has sections, one for each kind of name that a model can ask for (`pickle`: globals as
//! `module:name`; `tensorflow`: operations; `onnx`: operator domains; …). What a section does not name
//! is unknown, and unknown is never clean. Its format: `docs/formats/rules.md`.

use std::collections::{BTreeMap, HashMap};

use custody_types::Digest;
use serde::{Deserialize, Serialize};

use crate::report::Severity;

/// The schema of the packs that this version reads.
pub const SCHEMA: &str = "https://custody.dev/schema/rules/v1";
/// The pack that is part of the program: its name and version, and a file for each section.
const BUILT_IN: &str = include_str!("../rules/custody.json");
const SECTION_FILES: &[(&str, &str)] = &[
    ("pickle", include_str!("../rules/pickle.json")),
    ("torchscript", include_str!("../rules/torchscript.json")),
    ("tensorflow", include_str!("../rules/tensorflow.json")),
    ("onnx", include_str!("../rules/onnx.json")),
    ("jinja", include_str!("../rules/jinja.json")),
    ("keras", include_str!("../rules/keras.json")),
    ("skops", include_str!("../rules/skops.json")),
    ("hydra", include_str!("../rules/hydra.json")),
    ("diffusers", include_str!("../rules/diffusers.json")),
    ("ultralytics", include_str!("../rules/ultralytics.json")),
];
/// How long a pack may be, in bytes.
pub const MAX_BYTES: usize = 8 << 20;

/// A rule pack as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// [`SCHEMA`].
    pub schema: String,
    /// Who it is for, such as `custody` or `acme-risk`.
    pub name: String,
    /// Its version, compared as text: later packs sort later, such as `2026.11.1`.
    pub version: String,
    /// By the kind of name.
    pub sections: BTreeMap<String, Section>,
}

/// The rules for one kind of name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// What may be there.
    #[serde(default)]
    pub allow: Vec<Allow>,
    /// What is known to be bad. It gives the severity; what is not here is not thereby good.
    #[serde(default)]
    pub sinks: Vec<Sink>,
}

/// Names that may be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Names or patterns: `*` is one segment between dots, `**` any number of them, `<Class>` a name in
    /// camel case without a leading underscore, `<_Class>` one with it.
    pub names: Vec<String>,
    /// What they are, where the section tells kinds apart (`pickle`: `class`, `mapping`, …).
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// With which arguments they may be called, where the section tells that apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

/// Names that are known to be bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// Names or patterns, as in [`Allow::names`].
    pub names: Vec<String>,
    /// How bad they are.
    pub severity: Severity,
    /// What they can do, as the end of "it can …".
    pub can: String,
    /// CVE, GHSA and MITRE ATLAS identifiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It is not a pack.
    #[error("the rule pack cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// Its schema is another.
    #[error("the rule pack has the schema `{0}`; this version reads `{SCHEMA}`")]
    Schema(String),
    /// It is too long.
    #[error("the rule pack is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A section that no parser asks.
    #[error("the rule pack has the section `{0}`, which no parser asks")]
    Section(String),
    /// A pattern has no meaning.
    #[error("`{0}` is no name and no pattern")]
    Pattern(String),
}

/// The sections that parsers ask.
pub const SECTIONS: [&str; 10] = [
    "pickle",
    "tensorflow",
    "onnx",
    "keras",
    "jinja",
    "skops",
    "hydra",
    "torchscript",
    "diffusers",
    "ultralytics",
];

impl Pack {
    /// Returns the pack of the program.
    ///
    /// # Errors
    /// [`RulesError`]: never in a program whose tests passed.
    pub fn built_in() -> Result<Self, RulesError> {
        let mut pack = Self::parse(BUILT_IN)?;
        for (name, text) in SECTION_FILES {
            let section = serde_json::from_str(text).map_err(RulesError::Malformed)?;
            pack.sections.insert((*name).to_owned(), section);
        }
        Ok(pack)
    }

    /// Returns the pack as JSON: what its digest is taken over.
    ///
    /// # Errors
    /// [`RulesError::Malformed`]: never for a pack that was read.
    pub fn to_json(&self) -> Result<String, RulesError> {
        serde_json::to_string_pretty(self).map_err(RulesError::Malformed)
    }

    /// Reads a pack.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        if text.len() > MAX_BYTES {
            return Err(RulesError::TooLong);
        }
        let pack: Self = serde_json::from_str(text).map_err(RulesError::Malformed)?;
        if pack.schema != SCHEMA {
            return Err(RulesError::Schema(pack.schema));
        }
        if let Some(section) = pack
            .sections
            .keys()
            .find(|section| !SECTIONS.contains(&section.as_str()))
        {
            return Err(RulesError::Section(section.clone()));
        }
        Ok(pack)
    }
}

/// Which pack was used: its name, version and the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackId {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its bytes.
    pub sha256: Digest,
}

/// What the rules say of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement<'a> {
    /// It may be there.
    Allowed(&'a Allow),
    /// It is known to be bad.
    Sink(&'a Sink),
    /// No rule speaks of it.
    Unknown,
}

/// Rule packs made ready for questions.
#[derive(Debug)]
pub struct Rules {
    packs: Vec<PackId>,
    sections: BTreeMap<String, Compiled>,
}

#[derive(Debug, Default)]
struct Compiled {
    exact_allow: HashMap<String, Allow>,
    exact_sink: HashMap<String, Sink>,
    allow: Vec<(Pattern, Allow)>,
    sinks: Vec<(Pattern, Sink)>,
}

impl Rules {
    /// Returns the pack of the program, alone.
    ///
    /// # Errors
    /// [`RulesError`]: never in a program whose tests passed.
    pub fn built_in() -> Result<Self, RulesError> {
        Self::new(&[])
    }

    /// Reads packs and puts them after the one of the program; a later one adds to the ones before. A
    /// known sink of any pack stays one, whatever another allows by a pattern.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn new(texts: &[&str]) -> Result<Self, RulesError> {
        let built_in = Pack::built_in()?.to_json()?;
        Self::of(&[&[built_in.as_str()], texts].concat())
    }

    fn of(texts: &[&str]) -> Result<Self, RulesError> {
        let mut rules = Self {
            packs: Vec::new(),
            sections: BTreeMap::new(),
        };
        for text in texts {
            let pack = Pack::parse(text)?;
            rules.packs.push(PackId {
                name: pack.name,
                version: pack.version,
                sha256: Digest::of(text.as_bytes()),
            });
            for (name, section) in pack.sections {
                rules.sections.entry(name).or_default().add(section)?;
            }
        }
        Ok(rules)
    }

    /// Returns which packs these are, in their order.
    pub fn packs(&self) -> &[PackId] {
        &self.packs
    }

    /// Judges `name` by the rules of `section`.
    ///
    /// An exact rule goes before a pattern, and a sink before what is allowed: so a pack can allow one
    /// name of a module that is otherwise bad. A later pack cannot: what is bad by the rules before it stays so.
    pub fn judge(&self, section: &str, name: &str) -> Judgement<'_> {
        let Some(rules) = self.sections.get(section) else {
            return Judgement::Unknown;
        };
        if let Some(sink) = rules.exact_sink.get(name) {
            return Judgement::Sink(sink);
        }
        if let Some(allow) = rules.exact_allow.get(name) {
            return Judgement::Allowed(allow);
        }
        if let Some((_, sink)) = rules
            .sinks
            .iter()
            .find(|(pattern, _)| pattern.matches(name))
        {
            return Judgement::Sink(sink);
        }
        rules
            .allow
            .iter()
            .find(|(pattern, _)| pattern.matches(name))
            .map_or(Judgement::Unknown, |(_, allow)| Judgement::Allowed(allow))
    }
}

impl Compiled {
    /// Adds a later pack's rules. What is bad by the rules before stays so: what the pack allows of it is
    /// passed over. A rule is kept once for each of its names, without the list of them.
    fn add(&mut self, section: Section) -> Result<(), RulesError> {
        let mut exact_allow = Vec::new();
        let mut allow = Vec::new();
        for mut rule in section.allow {
            for name in std::mem::take(&mut rule.names) {
                match Pattern::parse(&name)? {
                    None if self.sink(&name).is_some() => {}
                    None => exact_allow.push((name, rule.clone())),
                    Some(pattern) => allow.push((pattern, rule.clone())),
                }
            }
        }
        self.exact_allow.extend(exact_allow);
        self.allow.extend(allow);
        for mut rule in section.sinks {
            for name in std::mem::take(&mut rule.names) {
                match Pattern::parse(&name)? {
                    None => {
                        self.exact_sink.insert(name, rule.clone());
                    }
                    Some(pattern) => self.sinks.push((pattern, rule.clone())),
                }
            }
        }
        Ok(())
    }

    /// Returns the sink that a name is, exactly or by a pattern.
    fn sink(&self, name: &str) -> Option<&Sink> {
        self.exact_sink.get(name).or_else(|| {
            self.sinks
                .iter()
                .find(|(pattern, _)| pattern.matches(name))
                .map(|(_, sink)| sink)
        })
    }
}

/// A pattern of names; the colon parts segments as the dot does, and is itself.
#[derive(Debug)]
struct Pattern {
    groups: Vec<Vec<Segment>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Exact(String),
    Any,
    AnyNumber,
    Class,
    PrivateClass,
}

impl Pattern {
    /// Returns `None` for a plain name.
    fn parse(text: &str) -> Result<Option<Self>, RulesError> {
        if text.is_empty() {
            return Err(RulesError::Pattern(text.to_owned()));
        }
        if !text.contains(['*', '<']) {
            return Ok(None);
        }
        let segment = |text: &str| match text {
            "*" => Ok(Segment::Any),
            "**" => Ok(Segment::AnyNumber),
            "<Class>" => Ok(Segment::Class),
            "<_Class>" => Ok(Segment::PrivateClass),
            text if text.contains(['*', '<', '>']) => Err(RulesError::Pattern(text.to_owned())),
            text => Ok(Segment::Exact(text.to_owned())),
        };
        let groups = text
            .split(':')
            .map(|group| group.split('.').map(segment).collect())
            .collect::<Result<_, _>>()?;
        Ok(Some(Self { groups }))
    }

    fn matches(&self, name: &str) -> bool {
        let mut groups = name.split(':');
        self.groups.iter().all(|pattern| {
            groups.next().is_some_and(|group| {
                let segments: Vec<_> = group.split('.').collect();
                matches(pattern, &segments)
            })
        }) && groups.next().is_none()
    }
}

/// `**` stands at one place of a pattern at most in practice; the recursion is as deep as the pattern.
fn matches(pattern: &[Segment], segments: &[&str]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return segments.is_empty();
    };
    if *first == Segment::AnyNumber {
        return (0..=segments.len())
            .any(|skip| segments.get(skip..).is_some_and(|left| matches(rest, left)));
    }
    segments.split_first().is_some_and(|(segment, left)| {
        let fits = match first {
            Segment::Exact(text) => text == segment,
            Segment::Class => is_class(segment),
            Segment::PrivateClass => segment.strip_prefix('_').is_some_and(is_class),
            Segment::Any | Segment::AnyNumber => !segment.is_empty(),
        };
        fits && matches(rest, left)
    })
}

/// Whether a name is that of a public class by Python's convention: `Tree`, `LSTM`, `KDTree64`.
fn is_class(name: &str) -> bool {
    name.chars()
        .next()
        .is_some_and(|first| first.is_ascii_uppercase())
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(section: &str) -> String {
        format!(
            r#"{{"schema":"{SCHEMA}","name":"t","version":"1","sections":{{"pickle":{section}}}}}"#
        )
    }

    #[test]
    fn patterns_match_whole_segments_only() {
        let check = |pattern: &str, name: &str| {
            Pattern::parse(pattern)
                .unwrap()
                .map_or(pattern == name, |pattern| pattern.matches(name))
        };
        assert!(check(
            "sklearn.**:<Class>",
            "sklearn.linear_model._base:LinearRegression"
        ));
        assert!(check("sklearn.**:<Class>", "sklearn:Pipeline"));
        assert!(!check("sklearn.**:<Class>", "sklearnx.a:Pipeline"));
        assert!(!check("sklearn.**:<Class>", "sklearn.a:_Private"));
        assert!(!check("sklearn.**:<Class>", "sklearn.a:Pipeline.evil"));
        assert!(!check("sklearn.**:<Class>", "sklearn.a:load"));
        assert!(check("os:*", "os:system"));
        assert!(!check("os:*", "os.path:join"));
        assert!(!check("a:b", "a:c"));
    }

    #[test]
    fn no_pack_allows_what_another_knows_to_be_bad() {
        let bad = pack(
            r#"{"sinks":[{"names":["os:system"],"severity":"critical","can":"run commands"},
                {"names":["evil:*"],"severity":"high","can":"harm"}]}"#,
        );
        let allowing = pack(r#"{"allow":[{"names":["os:*","os:system","evil:good","mine:f"]}]}"#);
        let rules = Rules::of(&[&bad, &allowing]).unwrap();
        assert!(matches!(
            rules.judge("pickle", "os:system"),
            Judgement::Sink(_)
        ));
        assert!(matches!(
            rules.judge("pickle", "evil:bad"),
            Judgement::Sink(_)
        ));
        assert!(matches!(
            rules.judge("pickle", "evil:good"),
            Judgement::Sink(_)
        ));
        assert!(matches!(
            rules.judge("pickle", "mine:f"),
            Judgement::Allowed(_)
        ));
        assert_eq!(rules.judge("pickle", "mine:g"), Judgement::Unknown);
        assert_eq!(rules.judge("onnx", "mine:f"), Judgement::Unknown);
    }

    #[test]
    fn a_pack_with_what_is_not_known_is_refused() {
        assert!(Rules::new(&["{}"]).is_err());
        assert!(Rules::new(&[&pack(r#"{"permit":[]}"#)]).is_err());
        assert!(Rules::new(&[&pack(r#"{"allow":[{"names":["a*"]}]}"#)]).is_err());
        assert!(Rules::new(&[&pack("{}").replace("pickle", "pickles")]).is_err());
    }

    #[test]
    fn the_built_in_pack_is_a_pack() {
        let rules = Rules::built_in().unwrap();
        assert_eq!(rules.packs()[0].name, "custody");
    }
}
