//! A set of policies: read, checked, named by its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use cedar_policy::{PolicyId, Schema, ValidationMode, Validator};
use custody_identity::{Directory, Rights};
use custody_types::{Action, Alias, Digest, EvidenceKind, Kind, ProjectName, Purpose};

use crate::cases::{self, TESTS};
use crate::check::Place;
use crate::providers;
use crate::settings::{BUILTIN_PURPOSES, BUILTIN_ROLES, INVESTIGATION, Settings, nearest};

/// The types of entities in policies, and what they are told.
const ENTITIES: &str = include_str!("custody.cedarschema");
/// The policies that are always in force.
pub const BUILTIN: &str = include_str!("builtin.cedar");
/// The name under which the built-in policies are told.
pub(crate) const BUILTIN_FILE: &str = "builtin.cedar";
pub(crate) const SETTINGS: &str = "settings.json";

/// One file of the workspace's policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file's name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why policies cannot be put in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is no policy.
    #[error("`{file}`, line {line}, column {column}: {because}\n{excerpt}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong.
        because: String,
        /// The line, and below it a mark at the column.
        excerpt: String,
    },
    /// The policies do not fit the schema.
    #[error("the policies do not fit the schema: {0}")]
    Invalid(String),
    /// The settings cannot be read.
    #[error("`settings.json`: {0}")]
    Settings(String),
    /// The tests cannot be read.
    #[error("`tests.json`: {0}")]
    Tests(String),
    /// Somebody has a role that no policy speaks of.
    #[error("`{who}` has the role `{role}`, which no policy knows{}", meant(nearest.as_deref()))]
    UnknownRole {
        /// Who has it.
        who: String,
        /// The role.
        role: String,
        /// What may be meant.
        nearest: Option<String>,
    },
    /// Somebody holds a purpose that is not declared.
    #[error("`{who}` holds the purpose `{purpose}`, which is not declared{}", meant(nearest.as_deref()))]
    UnknownPurpose {
        /// Who holds it.
        who: String,
        /// The purpose.
        purpose: String,
        /// What may be meant.
        nearest: Option<String>,
    },
    /// A file is of no known kind.
    #[error("`{0}` is neither `settings.json`, `tests.json` nor a `.cedar` file")]
    UnknownFile(String),
    /// Two policies have the same id.
    #[error("two policies have the id `{0}`")]
    SameId(String),
    /// Nobody could change the policies any more.
    #[error("nobody could change the policies any more, not even the owner of the workspace")]
    Locked,
    /// A second person is demanded, and there is none.
    #[error("`second_person` is set, and fewer than two people could change the policies")]
    Alone,
    /// Somebody gives what only an owner may give.
    #[error("`{who}` does not own the workspace, and {what}")]
    NotTheirs {
        /// Who changes the policies.
        who: String,
        /// What they give.
        what: String,
    },
}

/// Returns the Cedar schema that every policy must fit.
pub fn schema_text() -> String {
    let actions = Action::ALL.iter().map(|action| {
        let on: Vec<_> = action.resources().iter().map(|kind| kind.entity()).collect();
        format!(
            "// {}\naction \"{}\"\n  appliesTo {{ principal: [User, Service], resource: [{}], context: Context }};\n",
            action.meaning(),
            action.name(),
            on.join(", ")
        )
    });
    std::iter::once(format!("{ENTITIES}\n"))
        .chain(actions)
        .collect()
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; is `{name}` meant?"))
}

/// Policies that were validated, ready to decide about the accounts of a directory.
#[derive(Debug, Clone)]
pub struct PolicySet {
    pub(crate) schema: Schema,
    pub(crate) policies: cedar_policy::PolicySet,
    pub(crate) directory: Directory,
    identity: Digest,
    settings: Settings,
    /// What each purpose is for.
    purposes: BTreeMap<Purpose, String>,
    roles: BTreeSet<String>,
    sources: Vec<Source>,
    digest: Digest,
}

impl PolicySet {
    /// The built-in policy alone.
    ///
    /// # Errors
    /// [`PolicyError`]; a test shows that there is none.
    pub fn builtin(directory: Directory) -> Result<Self, PolicyError> {
        Self::parse(&[], directory)
    }

    /// Reads and checks the built-in policy with the workspace's own files.
    ///
    /// # Errors
    /// [`PolicyError`], with the place where there is one.
    pub fn parse(sources: &[Source], directory: Directory) -> Result<Self, PolicyError> {
        let (schema, _) = Schema::from_cedarschema_str(&schema_text())
            .map_err(|error| PolicyError::Invalid(error.to_string()))?;
        let mut sources = sources.to_vec();
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        let mut settings = Settings::default();
        let mut policies = cedar_policy::PolicySet::new();
        add(&mut policies, BUILTIN_FILE, BUILTIN)?;
        for source in &sources {
            let Source { name, text } = source;
            if name == TESTS {
                cases::check_readable(source).map_err(PolicyError::Tests)?;
            } else if name == SETTINGS {
                settings = serde_json::from_str(text)
                    .map_err(|error| PolicyError::Settings(error.to_string()))?;
                providers::check(&settings.sign_in).map_err(PolicyError::Settings)?;
                if let Some(endpoint) = settings.needlessly_listed() {
                    return Err(PolicyError::Settings(format!(
                        "`private_endpoints` names `{endpoint}`, which is no address of a network that is not public: policies alone decide about all others"
                    )));
                }
            } else if name.strip_suffix(".cedar").is_some() {
                add(&mut policies, name, text)?;
            } else {
                return Err(PolicyError::UnknownFile(name.clone()));
            }
        }
        let outcome = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        let errors: Vec<_> = outcome
            .validation_errors()
            .map(ToString::to_string)
            .collect();
        if !errors.is_empty() {
            return Err(PolicyError::Invalid(errors.join("; ")));
        }
        let digest = digest(&sources);
        Ok(Self {
            schema,
            policies,
            purposes: purposes(&settings, &directory),
            roles: roles(&sources),
            identity: directory.digest(),
            directory,
            settings,
            sources,
            digest,
        })
    }

    /// Returns the same policies for the accounts of another directory.
    #[must_use]
    pub fn with_directory(&self, directory: Directory) -> Self {
        Self {
            purposes: purposes(&self.settings, &directory),
            identity: directory.digest(),
            directory,
            ..self.clone()
        }
    }

    /// Returns the accounts that it decides about.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Returns the digest of the directory: what each decision in the ledger names beside that of the set.
    pub const fn identity(&self) -> Digest {
        self.identity
    }

    /// Checks that everybody has roles and purposes that are known: what is put in force must, what was put
    /// in force before may decide nothing by them.
    ///
    /// # Errors
    /// [`PolicyError`] that names the first who has another, and the nearest that is known.
    pub fn check_names(&self) -> Result<(), PolicyError> {
        for (who, roles, purposes) in self.directory.holders() {
            let role = roles.iter().find(|one| !self.roles.contains(&one.role));
            if let Some(binding) = role {
                let known = self.roles.iter().map(String::as_str);
                return Err(PolicyError::UnknownRole {
                    who: who.to_string(),
                    role: binding.role.clone(),
                    nearest: nearest(&binding.role, known),
                });
            }
            let unknown = |purpose: &&Purpose| {
                !self.purposes.contains_key(*purpose)
                    || self.settings.purposes.is_none() && misspelt(purpose).is_some()
            };
            if let Some(purpose) = purposes.iter().find(unknown) {
                return Err(PolicyError::UnknownPurpose {
                    who: who.to_string(),
                    purpose: purpose.to_string(),
                    nearest: self.nearest_purpose(purpose).or_else(|| misspelt(purpose)),
                });
            }
        }
        self.check_groups_of_providers()
    }

    /// Checks that what the groups of identity providers give is known.
    fn check_groups_of_providers(&self) -> Result<(), PolicyError> {
        for (name, provider) in &self.settings.sign_in {
            let groups = provider.groups.iter().flat_map(|groups| &groups.roles);
            for (group, roles) in groups {
                let role = roles.iter().find(|one| !self.roles.contains(&one.role));
                if let Some(binding) = role {
                    let known = self.roles.iter().map(String::as_str);
                    return Err(PolicyError::UnknownRole {
                        who: format!("group {group} of the provider {name}"),
                        role: binding.role.clone(),
                        nearest: nearest(&binding.role, known),
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn unknown_role<'a>(&self, rights: &Rights<'a>) -> Option<&'a str> {
        let mut roles = rights.roles.iter().map(|binding| binding.role.as_str());
        roles.find(|role| !self.roles.contains(*role))
    }

    /// Lists the purposes that may be stated, each with what it is for.
    pub const fn purposes(&self) -> &BTreeMap<Purpose, String> {
        &self.purposes
    }

    /// Lists the roles that policies speak of.
    pub const fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// Returns the declared purpose that is spelt most like `purpose`, if one is.
    pub fn nearest_purpose(&self, purpose: &Purpose) -> Option<String> {
        let known = self.purposes.keys().filter(|known| *known != purpose);
        nearest(purpose.as_str(), known.map(Purpose::as_str))
    }

    /// Returns whether an alias of the project moves only onto versions that passed their gate.
    pub fn is_gated(&self, project: &ProjectName, alias: &Alias) -> bool {
        self.settings.is_gated(project, alias)
    }

    /// Lists the evidence that a version of this kind must have in the project.
    pub fn required(&self, project: &ProjectName, kind: Kind) -> BTreeSet<EvidenceKind> {
        self.settings.required(project, kind)
    }

    /// Returns the settings of the workspace.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the identity of the set: what each decision in the ledger names.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the workspace's own files, in the order of their names.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }
}

/// The declared purposes. Where none are declared: the program's own, and those that somebody holds.
fn purposes(settings: &Settings, directory: &Directory) -> BTreeMap<Purpose, String> {
    let builtin = BUILTIN_PURPOSES
        .iter()
        .filter_map(|(name, what)| Some((name.parse().ok()?, (*what).to_owned())));
    if let Some(declared) = &settings.purposes {
        let kept = builtin.filter(|(name, _): &(Purpose, _)| name.as_str() == INVESTIGATION);
        return kept.chain(declared.clone()).collect();
    }
    let held = directory.holders().flat_map(|(_, _, purposes)| purposes);
    held.map(|purpose| (purpose.clone(), "held by somebody".to_owned()))
        .chain(builtin)
        .collect()
}

/// The program's own roles, and those that the workspace's policies name.
fn roles(sources: &[Source]) -> BTreeSet<String> {
    let own = BUILTIN_ROLES.iter().map(|role| (*role).to_owned());
    let named = sources.iter().flat_map(|source| {
        let texts = source.text.split("Role::\"").skip(1);
        texts.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
    });
    own.chain(named).collect()
}

/// Returns the program's own purpose that is meant by one that nobody declared.
fn misspelt(purpose: &Purpose) -> Option<String> {
    let own = BUILTIN_PURPOSES.iter().map(|(name, _)| *name);
    if own.clone().any(|name| name == purpose.as_str()) {
        return None;
    }
    nearest(purpose.as_str(), own)
}

/// The SHA-256 over schema, built-in policy and files, each with its length before it.
fn digest(sources: &[Source]) -> Digest {
    let mut bytes = Vec::new();
    let schema = schema_text();
    let files = sources
        .iter()
        .flat_map(|source| [source.name.as_str(), source.text.as_str()]);
    for text in [schema.as_str(), BUILTIN].into_iter().chain(files) {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    Digest::of(&bytes)
}

/// Adds the policies of one file under the ids that they give themselves.
fn add(all: &mut cedar_policy::PolicySet, file: &str, text: &str) -> Result<(), PolicyError> {
    let parsed =
        cedar_policy::PolicySet::from_str(text).map_err(|errors| syntax(file, text, &errors))?;
    let mut numbered = BTreeMap::new();
    for (number, policy) in parsed.policies().enumerate() {
        let id = id_of(policy, file, number);
        if numbered.insert(id.clone(), policy.clone()).is_some() {
            return Err(PolicyError::SameId(id));
        }
    }
    for (id, policy) in numbered {
        all.add(policy.new_id(PolicyId::new(&id)))
            .map_err(|_| PolicyError::SameId(id))?;
    }
    Ok(())
}

/// Returns the id of a policy: the one that it gives itself, else its file and its place among the policies there.
pub(crate) fn id_of(policy: &cedar_policy::Policy, file: &str, number: usize) -> String {
    let given = policy.annotation("id").map(ToOwned::to_owned);
    given.unwrap_or_else(|| format!("{}#{number}", file.trim_end_matches(".cedar")))
}

fn syntax(file: &str, text: &str, errors: &cedar_policy::ParseErrors) -> PolicyError {
    use miette::Diagnostic;
    let offset = errors
        .labels()
        .and_then(|mut labels| labels.next())
        .map_or(0, |label| label.offset());
    let Place { line, column } = Place::at(text, offset);
    let shown = text.lines().nth(line - 1).unwrap_or_default();
    let excerpt = format!("    {shown}\n    {}^", " ".repeat(column - 1));
    PolicyError::Syntax {
        file: file.to_owned(),
        line,
        column,
        because: errors.to_string(),
        excerpt,
    }
}
