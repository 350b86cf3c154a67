//! Checking a set of policies as a whole: everything that is wrong with it, with its place.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{PolicyId, Schema, ValidationMode, Validator};
use custody_identity::Directory;
use miette::Diagnostic;

use crate::cases::{self, TESTS};
use crate::change::Seen;
use crate::set::{BUILTIN, BUILTIN_FILE, PolicyError, PolicySet, SETTINGS, Source, schema_text};
use crate::settings::Settings;

/// The file of accounts, which may lie beside the policies.
const PRINCIPALS: &str = "principals.json";

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The set cannot be put in force.
    Error,
    /// It can, and does something else than is likely meant.
    Warning,
}

/// Something that is wrong with a set of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file, where it is in one.
    pub file: Option<String>,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The column, counted from 1.
    pub column: Option<usize>,
    /// The id of the policy, where it is about one.
    pub policy: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// A line and a column, counted from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// Returns the place of the byte at `offset`.
    pub(crate) fn at(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let last = before.rsplit('\n').next();
        Self {
            line: before.matches('\n').count() + 1,
            column: last.map_or(0, |part| part.chars().count()) + 1,
        }
    }

    fn of(text: &str, found: &dyn Diagnostic) -> Option<Self> {
        let label = found.labels().and_then(|mut labels| labels.next())?;
        Some(Self::at(text, label.offset()))
    }

    /// Reads the place at the end of what `serde_json` says.
    fn told(message: &str) -> Option<Self> {
        let (_, place) = message.rsplit_once(" at line ")?;
        let (line, column) = place.split_once(" column ")?;
        Some(Self {
            line: line.parse().ok()?,
            column: column.parse().ok()?,
        })
    }
}

impl Finding {
    fn error(file: &str, place: Option<Place>, what: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: Some(file.to_owned()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            policy: None,
            what: what.into(),
        }
    }
}

/// What was found of a set of policies.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// What is wrong with it, by file and place; errors of the whole come last.
    pub findings: Vec<Finding>,
    /// The set, where it stands up by itself.
    pub set: Option<PolicySet>,
}

impl Checked {
    /// Checks the built-in policy with the workspace's own files, for these accounts. `seen`: the session of who would put
    /// it in force, where names and who can change it again are to be checked too.
    pub fn of(sources: &[Source], directory: Directory, seen: Option<&Seen<'_>>) -> Self {
        let mut files = Files::default();
        files.add(BUILTIN_FILE, BUILTIN);
        for source in sources {
            files.read(source);
        }
        files.validate();
        let Files { mut findings, .. } = files;
        let broken = |findings: &[Finding]| {
            let mut severities = findings.iter().map(|finding| finding.severity);
            severities.any(|severity| severity == Severity::Error)
        };
        if broken(&findings) {
            findings.sort_by(by_place);
            return Self {
                findings,
                set: None,
            };
        }
        let own = sources.iter().filter(|source| source.name != PRINCIPALS);
        let own: Vec<_> = own.cloned().collect();
        let set = match PolicySet::parse(&own, directory) {
            Ok(set) => set,
            Err(error) => {
                findings.push(of_whole(&error, sources));
                return Self {
                    findings,
                    set: None,
                };
            }
        };
        let whole = seen.map(|seen| [set.check_names(), set.check_changeable(seen)]);
        let whole = whole.into_iter().flatten().filter_map(Result::err);
        findings.extend(whole.map(|error| of_whole(&error, sources)));
        let tests = sources.iter().find(|source| source.name == TESTS);
        for failed in set.test().failed {
            let text = tests.map_or("", |source| source.text.as_str());
            let name = serde_json::to_string(&failed.name).unwrap_or_default();
            let place = text.find(&name).map(|offset| Place::at(text, offset));
            let what = format!(
                "the test `{}` fails for `{}`: {}",
                failed.name, failed.action, failed.because
            );
            findings.push(Finding::error(TESTS, place, what));
        }
        findings.sort_by(by_place);
        Self {
            findings,
            set: Some(set),
        }
    }
}

fn by_place(one: &Finding, other: &Finding) -> std::cmp::Ordering {
    let key = |finding: &Finding| {
        let file = finding.file.clone();
        (file.is_none(), file, finding.line, finding.column)
    };
    key(one).cmp(&key(other))
}

/// Tells what is wrong with the whole, and where the name that it is about stands.
fn of_whole(error: &PolicyError, sources: &[Source]) -> Finding {
    let named = match error {
        PolicyError::UnknownRole { role, .. } => Some(role.as_str()),
        PolicyError::UnknownPurpose { purpose, .. } => Some(purpose.as_str()),
        _ => None,
    };
    let listed = sources.iter().find(|source| source.name == PRINCIPALS);
    let place = named.zip(listed).and_then(|(name, source)| {
        let quoted = serde_json::to_string(name).ok()?;
        let offset = source.text.find(&quoted)?;
        Some((source, Place::at(&source.text, offset)))
    });
    match place {
        Some((source, place)) => Finding::error(&source.name, Some(place), error.to_string()),
        None => Finding {
            file: None,
            ..Finding::error("", None, error.to_string())
        },
    }
}

/// Tells what is wrong with the text of `principals.json`.
pub fn principals_finding(because: &str) -> Finding {
    Finding::error(PRINCIPALS, Place::told(because), because)
}

/// The files as they are read, one after the other.
#[derive(Default)]
struct Files {
    policies: cedar_policy::PolicySet,
    /// The file and the text of each policy.
    of: BTreeMap<String, (String, String)>,
    findings: Vec<Finding>,
}

impl Files {
    fn read(&mut self, source: &Source) {
        let Source { name, text } = source;
        let refused = |because: String| Finding::error(name, Place::told(&because), because);
        if name == SETTINGS {
            let read = serde_json::from_str::<Settings>(text);
            self.findings
                .extend(read.err().map(|error| refused(error.to_string())));
        } else if name == TESTS {
            let read = cases::check_readable(source);
            self.findings.extend(read.err().map(refused));
        } else if name.strip_suffix(".cedar").is_some() {
            self.add(name, text);
        } else if name != PRINCIPALS {
            let error = PolicyError::UnknownFile(name.clone()).to_string();
            self.findings.push(Finding::error(name, None, error));
        }
    }

    fn add(&mut self, file: &str, text: &str) {
        let parsed = match cedar_policy::PolicySet::from_str(text) {
            Ok(parsed) => parsed,
            Err(errors) => {
                let found = errors.iter().map(|error| {
                    let place = Place::of(text, error).unwrap_or(Place { line: 1, column: 1 });
                    Finding::error(file, Some(place), error.to_string())
                });
                self.findings.extend(found);
                return;
            }
        };
        for (number, policy) in parsed.policies().enumerate() {
            let id = crate::set::id_of(policy, file, number);
            let id_place = || {
                let given = format!("@id({})", serde_json::to_string(&id).unwrap_or_default());
                let offset = text.rfind(&given)?;
                Some(Place::at(text, offset))
            };
            if let Some((other, _)) = self.of.get(&id) {
                let what =
                    format!("two policies have the id `{id}`; the other one is in `{other}`");
                let mut finding = Finding::error(file, id_place(), what);
                finding.policy = Some(id);
                self.findings.push(finding);
            } else if self.policies.add(policy.new_id(PolicyId::new(&id))).is_ok() {
                self.of.insert(id, (file.to_owned(), text.to_owned()));
            }
        }
    }

    /// Asks Cedar whether the policies fit the schema, and which can never apply.
    fn validate(&mut self) {
        let schema = match Schema::from_cedarschema_str(&schema_text()) {
            Ok((schema, _)) => schema,
            Err(error) => {
                self.findings
                    .push(Finding::error(BUILTIN_FILE, None, error.to_string()));
                return;
            }
        };
        let outcome = Validator::new(schema).validate(&self.policies, ValidationMode::Strict);
        let errors = outcome.validation_errors();
        let errors = errors.map(|error| self.found(Severity::Error, error.policy_id(), error));
        let warnings = outcome.validation_warnings();
        let warnings =
            warnings.map(|warning| self.found(Severity::Warning, warning.policy_id(), warning));
        let mut found: Vec<_> = errors.chain(warnings).collect();
        // A policy that meets no action is told to be impossible as well: once is enough.
        let mut told = std::collections::BTreeSet::new();
        found.retain(|one| {
            one.severity == Severity::Error || told.insert((one.policy.clone(), one.line))
        });
        self.findings.extend(found);
    }

    fn found(&self, severity: Severity, policy: &PolicyId, told: &dyn Diagnostic) -> Finding {
        let id = policy.to_string();
        let of = self.of.get(&id);
        let place = of.and_then(|(_, text)| Place::of(text, told));
        let help = told.help();
        let help = help.map_or_else(String::new, |help| format!("; {help}"));
        Finding {
            severity,
            file: of.map(|(file, _)| file.clone()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            policy: Some(id),
            what: format!("{told}{help}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use custody_types::Actor;

    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    fn check(sources: &[Source]) -> Vec<Finding> {
        let directory = Directory::of_owner(&Actor::user("root"));
        let checked = Checked::of(sources, directory.clone(), None);
        let errors = checked.findings.iter();
        let errors = errors.filter(|one| one.severity == Severity::Error).count();
        // What is found is wrong for who reads it to put it in force, and the other way round.
        let parsed = PolicySet::parse(sources, directory);
        let passes = parsed.is_ok_and(|set| set.test().failed.is_empty());
        assert_eq!(passes, errors == 0, "{:?}", checked.findings);
        checked.findings
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let found = check(&[
            source("a.cedar", "permit (principal, action,\n  resurce);\n"),
            source(
                "b.cedar",
                "permit (principal, action == Action::\"list\", resource);\n\n@id(\"colour\")\nforbid (principal, action == Action::\"read\", resource)\n\
                 when { resource.colour == \"red\" };\n@id(\"owner\") permit (principal, action == Action::\"reed\", resource);\n",
            ),
            source("notes.txt", ""),
            source("settings.json", "{\n  \"purpose\": {}\n}"),
            source("tests.json", "{\"tests\": [\n  {\"nam\": 1}]}"),
        ]);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.file.as_deref().unwrap(), one.line, one.column))
            .collect();
        assert_eq!(
            told,
            [
                ("a.cedar", Some(2), Some(3)),
                ("b.cedar", Some(5), Some(8)),
                ("b.cedar", Some(6), Some(1)),
                ("notes.txt", None, None),
                ("settings.json", Some(2), Some(11)),
                ("tests.json", Some(2), Some(8)),
            ],
            "{found:#?}"
        );
        assert_eq!(found[1].policy.as_deref(), Some("colour"));
        assert!(found[2].what.contains("two policies have the id `owner`"));
    }

    #[test]
    fn policies_that_never_apply_are_told() {
        let found = check(&[source(
            "own.cedar",
            "@id(\"never\") permit (principal, action == Action::\"read\", resource is Ledger);\n\
             @id(\"impossible\") forbid (principal, action == Action::\"read\", resource is Artifact) when { false && resource.quarantined };\n\
             @id(\"fine\") forbid (principal, action == Action::\"read\", resource is Artifact) when { resource.quarantined };",
        )]);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.severity, one.policy.as_deref().unwrap(), one.line))
            .collect();
        assert_eq!(
            told,
            [
                (Severity::Warning, "never", Some(1)),
                (Severity::Warning, "impossible", Some(2))
            ],
            "{found:#?}"
        );
    }

    #[test]
    fn a_test_that_fails_is_told_where_it_stands() {
        let tests = |expect: &str| {
            let text = format!(
                "{{\"tests\": [\n  {{\"name\": \"curators export\", \"principal\": {{\"roles\": [\"curator\"]}}, \"action\": \"export\", \
                 \"expect\": \"{expect}\", \"by\": \"curators\"}}\n]}}"
            );
            source("tests.json", &text)
        };
        let own = source(
            "own.cedar",
            "@id(\"curators\") permit (principal in Role::\"curator\", action == Action::\"export\", resource);",
        );
        assert_eq!(check(&[own.clone(), tests("permit")]), []);
        let found = check(&[own, tests("deny")]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].file.as_deref(), found[0].line),
            (Some("tests.json"), Some(2))
        );
        assert!(
            found[0]
                .what
                .contains("it is permitted: decided by `curators`")
        );
    }

    #[test]
    fn names_and_who_can_change_it_again_are_checked_for_who_would_put_it_in_force() {
        use custody_identity::Credentials;
        use custody_types::Timestamp;

        let now = Timestamp::UNIX_EPOCH;
        let account = "root".to_owned();
        let authentication = &Credentials::OperatingSystem { account }.authenticate(now);
        let seen = Seen {
            via: "cli",
            authentication,
            now,
        };
        let listed = "{\"users\": {\n  \"ada\": {\"roles\": [\"data_scientst\"]}}}";
        let directory = Directory::parse(listed, &Actor::user("root")).unwrap();
        let sources = [
            source(
                "own.cedar",
                "forbid (principal, action == Action::\"changePolicy\", resource);",
            ),
            source("principals.json", listed),
        ];
        let own = &sources[..1];
        assert_eq!(Checked::of(own, directory.clone(), None).findings, []);
        let found = Checked::of(&sources, directory, Some(&seen)).findings;
        assert_eq!(found.len(), 2, "{found:#?}");
        assert_eq!(
            (found[0].file.as_deref(), found[0].line),
            (Some("principals.json"), Some(2))
        );
        assert!(found[0].what.contains("`data_scientist`"));
        assert!(found[1].file.is_none() && found[1].what.contains("nobody could change"));
    }
}
