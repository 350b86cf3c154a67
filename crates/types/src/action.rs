//! What is asked of the door: who does what to what, and why.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, NameError};

/// Whether the actor is a person or a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    User,
    /// A program with its own credentials.
    Service,
    /// A step of a run, acting for the actor who started it.
    Step,
}

impl ActorKind {
    /// Returns the word that stands for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Step => "step",
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// Person or machine.
    pub kind: ActorKind,
    /// The name: an account, or `<run>/<step>`. Personal data: it never stands in the ledger in clear.
    pub id: String,
}

impl Actor {
    /// Builds the person with the account name `id`.
    pub fn user(id: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::User,
            id: id.into(),
        }
    }

    /// Builds the step `step` of the run `run`.
    pub fn step(run: &str, step: &str) -> Self {
        Self {
            kind: ActorKind::Step,
            id: format!("{run}/{step}"),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}

/// Why the actor asks: one of the purposes that the policy knows, such as `model-development`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Purpose(String);

impl Purpose {
    /// Returns the purpose as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Purpose {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=63).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "purpose",
                text,
                "use 1 to 63 of a-z, 0-9 and `-`",
            ))
        }
    }
}

impl TryFrom<String> for Purpose {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Purpose> for String {
    fn from(purpose: Purpose) -> Self {
        purpose.0
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! actions {
    ($($(#[$meta:meta])* $variant:ident = $cedar:literal, $verb:literal;)+) => {
        /// Everything that can be asked of the door: a closed list, the policy's actions and the
        /// ledger's verbs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$meta])* $variant,)+
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name of the action in policies: `read`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $cedar,)+ }
            }

            /// Returns the verb in the ledger: `object.read`.
            pub const fn verb(self) -> &'static str {
                match self { $(Self::$variant => $verb,)+ }
            }

            /// Finds the action by its verb in the ledger.
            pub fn from_verb(verb: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.verb() == verb)
            }
        }
    };
}

actions! {
    /// Bring data in from a source, with its origin record.
    Collect = "collect", "dataset.collect";
    /// Read the bytes of a version inside the system: by a step, a check, a query.
    Read = "read", "object.read";
    /// Take the bytes of a version out of the system.
    Export = "export", "object.export";
    /// Make a new version.
    Write = "write", "object.write";
    /// See which artifacts and versions there are, and their records without their bytes.
    List = "list", "object.list";
    /// Point an alias at a version.
    SetAlias = "setAlias", "object.tag";
    /// See what a version was made from and what was made from it.
    Trace = "trace", "lineage.read";
    /// Check a version's bytes, signatures and provenance.
    Verify = "verify", "evidence.verify";
    /// Start a run of a pipeline.
    StartRun = "startRun", "run.start";
    /// Carry out, or reuse, one step of a run.
    RunStep = "runStep", "run.step";
    /// See what a step prints that reads a version: the log may repeat the data.
    ReadLog = "readLog", "run.log";
    /// Declare what a step makes to be less sensitive than what it reads.
    Declassify = "declassify", "object.declassify";
    /// Run a version's steps again and compare.
    Reproduce = "reproduce", "run.replay";
    /// Check a dataset against its contract.
    Validate = "validate", "validate.contract";
    /// Create an environment from a lock file; the one action that may reach package registries.
    InstallEnvironment = "installEnvironment", "environment.install";
    /// Measure a model on data.
    EvaluateModel = "evaluateModel", "model.evaluate";
    /// Decide a gate over evidence.
    DecideGate = "decideGate", "gate.decide";
    /// Register a model version.
    RegisterModel = "registerModel", "model.register";
    /// Scan a stored model again.
    ScanModel = "scanModel", "model.scan";
    /// Let a version out of quarantine: a model that a scan left to a person, a dataset that broke its contract.
    Approve = "approve", "model.approve";
    /// Sign a model version.
    SignModel = "signModel", "model.sign";
    /// Read the ledger.
    ReadLedger = "readLedger", "ledger.read";
    /// Copy the ledger out of the system.
    ExportLedger = "exportLedger", "ledger.export";
    /// Accept that the ledger is not the one that was here before.
    AcceptRollback = "acceptRollback", "ledger.accept";
    /// See the policies in force.
    ReadPolicy = "readPolicy", "policy.read";
    /// Put other policies in force.
    ChangePolicy = "changePolicy", "admin.policy";
    /// Put other rules of the scanner in force.
    ChangeRules = "changeRules", "admin.rules";
    /// Rebuild the index from the store and the ledger.
    RebuildIndex = "rebuildIndex", "admin.index";
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of thing a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A project as a whole.
    Project,
    /// An artifact or one of its versions.
    Artifact,
    /// A run of a pipeline.
    Run,
    /// The ledger.
    Ledger,
    /// The policies.
    Policy,
}

impl ResourceKind {
    /// Returns the word that stands for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Artifact => "artifact",
            Self::Run => "run",
            Self::Ledger => "ledger",
            Self::Policy => "policy",
        }
    }
}

/// What is acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// What kind of thing.
    pub kind: ResourceKind,
    /// Its name: `employment/raw@3`, `employment`, a run's id.
    pub name: String,
    /// The identity of the version, where one exists already.
    pub digest: Option<Digest>,
}

impl Resource {
    /// Builds a resource without a version identity.
    pub fn new(kind: ResourceKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            digest: None,
        }
    }

    /// Adds the identity of the version.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.as_str(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_verbs_of_actions_are_unique_and_read_back() {
        let names: BTreeSet<_> = Action::ALL.iter().map(|a| a.name()).collect();
        let verbs: BTreeSet<_> = Action::ALL.iter().map(|a| a.verb()).collect();
        assert_eq!(
            (names.len(), verbs.len()),
            (Action::ALL.len(), Action::ALL.len())
        );
        for action in Action::ALL {
            assert_eq!(Action::from_verb(action.verb()), Some(*action));
        }
    }
}
