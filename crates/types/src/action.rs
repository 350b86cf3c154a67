//! What is asked of the door: who does what to what, and why.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Digest, NameError};

/// Whether the actor is a person or a machine.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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

    /// Builds the program with the account name `id`.
    pub fn service(id: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::Service,
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
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^[a-z0-9-]{1,63}$"))]
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
    ($($(#[doc = $doc:literal])+ $variant:ident = $cedar:literal, $verb:literal, $phrase:literal, [$($on:ident),+] $(, $steps:ident)?;)+) => {
        /// Everything that can be asked of the door: a closed list, the policy's actions and the
        /// ledger's verbs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[doc = $doc])+ $variant,)+
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

            /// Returns what it is to do it to something, for a sentence: `take out` (the version `p/a@1`).
            pub const fn phrase(self) -> &'static str {
                match self { $(Self::$variant => $phrase,)+ }
            }

            /// Returns what it means, a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// Lists the kinds of things that it is asked on.
            pub const fn resources(self) -> &'static [ResourceKind] {
                match self { $(Self::$variant => &[$(ResourceKind::$on),+],)+ }
            }

            /// Returns whether the steps of a run ask it too, for the person who started the run.
            pub const fn is_for_steps(self) -> bool {
                match self { $(Self::$variant => is_for_steps!($($steps)?),)+ }
            }

            /// Finds the action by its name in policies.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.name() == name)
            }

            /// Finds the action by its verb in the ledger.
            pub fn from_verb(verb: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.verb() == verb)
            }
        }
    };
}

macro_rules! is_for_steps {
    () => {
        false
    };
    (steps) => {
        true
    };
}

// The name in policies, the verb in the ledger, what it is called in a sentence, what it is asked on, and whether
// steps ask it.
actions! {
    /// Begin a project: its keys are made with what is stored in it first.
    CreateProject = "createProject", "project.create", "begin", [Project];
    /// Bring data in from a source, with its origin record.
    Collect = "collect", "dataset.collect", "collect into", [Artifact], steps;
    /// Read the bytes of a version inside the system: by a step, a check, a query.
    Read = "read", "object.read", "read", [Artifact], steps;
    /// Take the bytes of a version out of the system.
    Export = "export", "object.export", "take out", [Artifact];
    /// Make a new version.
    Write = "write", "object.write", "make a version of", [Artifact], steps;
    /// See which artifacts and versions there are, and their records without their bytes.
    List = "list", "object.list", "list what is in", [Artifact, Project];
    /// Point an alias at a version.
    SetAlias = "setAlias", "object.tag", "move an alias of", [Artifact];
    /// See what a version was made from and what was made from it.
    Trace = "trace", "lineage.read", "trace", [Artifact, Project];
    /// Check a version's bytes, signatures and provenance.
    Verify = "verify", "evidence.verify", "verify", [Artifact, Project];
    /// Start a run of a pipeline.
    StartRun = "startRun", "run.start", "start", [Run, Project];
    /// See which runs there are, and how they go or went.
    ReadRun = "readRun", "run.read", "see", [Run, Project];
    /// End a run of somebody before its steps are done.
    CancelRun = "cancelRun", "run.cancel", "cancel", [Run, Project];
    /// Carry out, or reuse, one step of a run.
    RunStep = "runStep", "run.step", "run a step of", [Run, Project], steps;
    /// Let a step connect to an endpoint that it declares: what it sends there is out of the system.
    Connect = "connect", "network.connect", "connect to", [Endpoint], steps;
    /// See what a step prints that reads a version: the log may repeat the data.
    ReadLog = "readLog", "run.log", "see what a step prints that reads", [Artifact];
    /// Declare what a step makes to be less sensitive than what it reads.
    Declassify = "declassify", "object.declassify", "lower the classification of", [Artifact];
    /// Run a version's steps again and compare.
    Reproduce = "reproduce", "run.replay", "reproduce", [Artifact, Project];
    /// Check a dataset against its contract.
    Validate = "validate", "validate.contract", "validate", [Artifact], steps;
    /// Create an environment from a lock file; the one action that may reach package registries.
    InstallEnvironment = "installEnvironment", "environment.install", "install the environment", [Artifact], steps;
    /// Measure a model on data.
    EvaluateModel = "evaluateModel", "model.evaluate", "evaluate", [Artifact], steps;
    /// Decide by figures and bounds whether a model passes its gate.
    DecideGate = "decideGate", "gate.decide", "decide the gate of", [Artifact], steps;
    /// Register a model version.
    RegisterModel = "registerModel", "model.register", "register", [Artifact], steps;
    /// Scan a stored model again.
    ScanModel = "scanModel", "model.scan", "scan", [Artifact];
    /// Let a version out of quarantine: a model that a scan left to a person, a dataset that broke its contract.
    Approve = "approve", "model.approve", "approve", [Artifact];
    /// Decide that a version in quarantine stays there for good.
    Reject = "reject", "model.reject", "reject", [Artifact];
    /// Take the bytes of a version away for good, after it was rejected.
    Remove = "remove", "object.remove", "remove the bytes of", [Artifact];
    /// Destroy the keys of a project, so that nothing stored in it can be read again.
    Shred = "shred", "project.shred", "shred", [Project];
    /// Sign a model: as it is registered, or with a key of one's own.
    SignModel = "signModel", "model.sign", "sign", [Artifact], steps;
    /// Read the ledger.
    ReadLedger = "readLedger", "ledger.read", "read", [Ledger];
    /// Copy the ledger out of the system.
    ExportLedger = "exportLedger", "ledger.export", "export", [Ledger];
    /// Accept that the ledger is not the one that was here before.
    AcceptRollback = "acceptRollback", "ledger.accept", "accept an older state of", [Ledger];
    /// See the policies in force.
    ReadPolicy = "readPolicy", "policy.read", "see", [Policy];
    /// Put other policies in force.
    ChangePolicy = "changePolicy", "admin.policy", "change", [Policy];
    /// Propose other policies or accounts, where a second person puts them in force.
    ProposeChange = "proposeChange", "admin.propose", "propose a change of", [Policy, Identity];
    /// See who there is: accounts and groups, with their roles and purposes.
    ReadIdentity = "readIdentity", "identity.read", "see", [Identity];
    /// Make a token by which an account is known over the network.
    CreateToken = "createToken", "token.create", "make tokens of", [Identity];
    /// Take a token back.
    RevokeToken = "revokeToken", "token.revoke", "take back tokens of", [Identity];
    /// Invite a person to set a password and an authenticator.
    Invite = "invite", "session.invite", "invite people of", [Identity];
    /// Set a password and an authenticator by an invitation.
    Enrol = "enrol", "session.enrol", "be known by", [Identity];
    /// Sign in over the network: by password and code, or by an identity provider.
    SignIn = "signIn", "session.sign_in", "sign in as one of", [Identity];
    /// End one's session.
    SignOut = "signOut", "session.sign_out", "sign out of", [Identity];
    /// Change who there is, and who has which roles and purposes.
    ChangeIdentity = "changeIdentity", "admin.identity", "change", [Identity];
    /// Put other rules of the scanner in force.
    ChangeRules = "changeRules", "admin.rules", "change", [Policy];
    /// See which keys are in use: their ids and epochs, never a key.
    ReadKeys = "readKeys", "keys.read", "see", [Keys];
    /// Let new keys take the place of those in use, or change the passphrase that they are under.
    RotateKeys = "rotateKeys", "keys.rotate", "change", [Keys];
    /// Open the keys of a workspace for a server that was started without the passphrase.
    Unseal = "unseal", "keys.unseal", "unseal", [Keys];
    /// See what the server counts of its work: figures, without a name of anybody or anything.
    ReadMetrics = "readMetrics", "server.metrics", "see the metrics of", [Server];
    /// Rebuild the index from the store and the ledger.
    RebuildIndex = "rebuildIndex", "admin.index", "rebuild the index of", [Project];
}

/// As its name in policies.
impl Serialize for Action {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Action {
    fn schema_name() -> Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = Self::ALL.iter().map(|action| action.name()).collect();
        json_schema!({
            "type": "string",
            "description": "What is asked of the door, by its name in policies.",
            "enum": names
        })
    }
}

impl FromStr for Action {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let unknown = || {
            NameError::new(
                "action",
                name,
                "use one that `docs/reference/policies.md` lists",
            )
        };
        Self::from_name(name).ok_or_else(unknown)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of thing a resource is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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
    /// The accounts and groups.
    Identity,
    /// The keys of the workspace.
    Keys,
    /// A host and a port outside, as the steps of a project connect to it.
    Endpoint,
    /// The process that works in the workspace.
    Server,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Project,
        Self::Artifact,
        Self::Run,
        Self::Ledger,
        Self::Policy,
        Self::Identity,
        Self::Keys,
        Self::Endpoint,
        Self::Server,
    ];

    /// Returns the type of the entity that stands for it in policies.
    pub const fn entity(self) -> &'static str {
        match self {
            Self::Project => "Project",
            Self::Artifact => "Artifact",
            Self::Run => "Run",
            Self::Ledger => "Ledger",
            Self::Policy => "Policy",
            Self::Identity => "Identity",
            Self::Keys => "Keys",
            Self::Endpoint => "Endpoint",
            Self::Server => "Server",
        }
    }

    /// Returns the word that stands for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Artifact => "artifact",
            Self::Run => "run",
            Self::Ledger => "ledger",
            Self::Policy => "policy",
            Self::Identity => "identity",
            Self::Keys => "keys",
            Self::Endpoint => "endpoint",
            Self::Server => "server",
        }
    }
}

/// What is acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
    fn every_kind_of_thing_that_an_action_is_asked_on_is_listed_once() {
        let on = Action::ALL.iter().flat_map(|action| action.resources());
        let on: BTreeSet<_> = on.copied().collect();
        assert_eq!(on, ResourceKind::ALL.into_iter().collect());
        let words: BTreeSet<_> = ResourceKind::ALL.map(ResourceKind::as_str).into();
        assert_eq!(words.len(), ResourceKind::ALL.len());
    }

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
            assert_eq!(Action::from_name(action.name()), Some(*action));
            let told = serde_json::to_string(action).unwrap();
            assert_eq!(serde_json::from_str::<Action>(&told).unwrap(), *action);
        }
    }
}
