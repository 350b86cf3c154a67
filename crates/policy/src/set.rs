//! A set of policies: read, checked, named by its digest.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{PolicyId, Schema, ValidationMode, Validator};
use custody_types::{Actor, ActorKind, Digest};

use crate::principals::{Principal, Principals};

pub(crate) const SCHEMA: &str = include_str!("custody.cedarschema");
/// The policies that are always in force.
pub const BUILTIN: &str = include_str!("builtin.cedar");
const PRINCIPALS: &str = "principals.json";

/// One file of a project's policies.
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
    /// The list of principals cannot be read.
    #[error("`principals.json`: {0}")]
    Principals(String),
    /// A file is of no known kind.
    #[error("`{0}` is neither `principals.json` nor a `.cedar` file")]
    UnknownFile(String),
    /// Two policies have the same id.
    #[error("two policies have the id `{0}`")]
    SameId(String),
}

/// Policies that were validated, ready to decide.
#[derive(Debug, Clone)]
pub struct PolicySet {
    pub(crate) schema: Schema,
    pub(crate) policies: cedar_policy::PolicySet,
    pub(crate) principals: Principals,
    sources: Vec<Source>,
    digest: Digest,
}

impl PolicySet {
    /// The built-in policy alone, for the owner of a workspace.
    ///
    /// # Errors
    /// [`PolicyError`]; a test shows that there is none.
    pub fn builtin(owner: &str) -> Result<Self, PolicyError> {
        Self::parse(&[], owner)
    }

    /// Reads and checks the built-in policy with the files of a project.
    ///
    /// # Errors
    /// [`PolicyError`], with the place where there is one.
    pub fn parse(sources: &[Source], owner: &str) -> Result<Self, PolicyError> {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA)
            .map_err(|error| PolicyError::Invalid(error.to_string()))?;
        let mut sources = sources.to_vec();
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        let mut principals = Principals::default();
        let mut policies = cedar_policy::PolicySet::new();
        add(&mut policies, "builtin.cedar", BUILTIN)?;
        for Source { name, text } in &sources {
            if name == PRINCIPALS {
                principals = serde_json::from_str(text)
                    .map_err(|error| PolicyError::Principals(error.to_string()))?;
            } else if name.strip_suffix(".cedar").is_some() {
                add(&mut policies, name, text)?;
            } else {
                return Err(PolicyError::UnknownFile(name.clone()));
            }
        }
        principals.users.insert(
            owner.to_owned(),
            Principal {
                roles: vec!["owner".to_owned()],
                purposes: Vec::new(),
            },
        );
        let outcome = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        let errors: Vec<_> = outcome
            .validation_errors()
            .map(ToString::to_string)
            .collect();
        if !errors.is_empty() {
            return Err(PolicyError::Invalid(errors.join("; ")));
        }
        let digest = digest(&sources, owner);
        Ok(Self {
            schema,
            policies,
            principals,
            sources,
            digest,
        })
    }

    /// Returns the identity of the set: what each decision in the ledger names.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the project's files, in the order of their names.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Lists the account names of the principals.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.principals.users.keys().map(String::as_str)
    }

    /// Returns whether the actor is one of the principals.
    pub fn knows(&self, actor: &Actor) -> bool {
        actor.kind == ActorKind::User && self.principals.users.contains_key(&actor.id)
    }
}

/// The SHA-256 over schema, built-in policy, owner and files, each with its length before it.
fn digest(sources: &[Source], owner: &str) -> Digest {
    let mut bytes = Vec::new();
    let files = sources
        .iter()
        .flat_map(|source| [source.name.as_str(), source.text.as_str()]);
    for text in [SCHEMA, BUILTIN, owner].into_iter().chain(files) {
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
        let given = policy.annotation("id").map(ToOwned::to_owned);
        let id = given.unwrap_or_else(|| format!("{}#{number}", file.trim_end_matches(".cedar")));
        numbered.insert(id, policy.clone());
    }
    for (id, policy) in numbered {
        all.add(policy.new_id(PolicyId::new(&id)))
            .map_err(|_| PolicyError::SameId(id))?;
    }
    Ok(())
}

fn syntax(file: &str, text: &str, errors: &cedar_policy::ParseErrors) -> PolicyError {
    use miette::Diagnostic;
    let offset = errors
        .labels()
        .and_then(|mut labels| labels.next())
        .map_or(0, |label| label.offset());
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |part| part.chars().count())
        + 1;
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
