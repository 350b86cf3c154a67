//! Entries: what they say.

use std::collections::BTreeMap;
use std::sync::Arc;

use custody_types::{Action, ActorKind, Code, Digest, Purpose, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::LedgerError;

/// The most bytes that an entry may have.
pub(crate) const MOST_BYTES: usize = 65_535;

/// Before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before bytes or keys flow.
    Grant,
    /// After.
    Outcome,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Done.
    Ok,
    /// Refused by policy.
    Denied,
    /// Not done, or not wholly.
    Error,
    /// The process ended before it could say.
    Unknown,
}

/// What the policy said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Yes.
    Permit,
    /// No.
    Forbid,
}

/// Who: a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Person or machine.
    #[serde(rename = "k")]
    pub kind: ActorKind,
    /// The pseudonym.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The way in: `cli`, `http`.
    pub via: String,
    /// The pseudonym of the person for whom a step acts.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// The pseudonym of the account that proved to be somebody else, and acts as this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What is acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The kind: `artifact`, `project`, `run`.
    #[serde(rename = "k")]
    pub kind: String,
    /// The name.
    #[serde(rename = "n")]
    pub name: String,
    /// The identity of the version.
    #[serde(rename = "ver", default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionFact {
    /// Yes or no.
    #[serde(rename = "eff")]
    pub effect: Effect,
    /// The policies that decided.
    #[serde(rename = "pol")]
    pub policies: Vec<String>,
    /// The digest of all policies in force.
    pub set: Digest,
    /// The digest of the accounts in force; entries from before accounts were a state of their own have none.
    #[serde(rename = "idn", default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Digest>,
    /// What the policies were told that stands nowhere else; older entries have none.
    #[serde(rename = "ctx", default, skip_serializing_if = "Option::is_none")]
    pub told: Option<ToldFact>,
}

/// What the policies were told that stands neither in the entry nor in the record of the version: so that the decision can be
/// made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldFact {
    /// How who asked proved to be who they are.
    #[serde(rename = "m")]
    pub method: String,
    /// From which network.
    #[serde(rename = "net")]
    pub network: String,
    /// When.
    #[serde(rename = "t")]
    pub time: Timestamp,
    /// Until when it counts.
    #[serde(rename = "exp", default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether they made the version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Whether the version was in quarantine.
    #[serde(rename = "held", default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
    /// Of a version that was to be made: its kind.
    #[serde(rename = "kind", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of a version that was to be made: how sensitive it would be.
    #[serde(rename = "class", default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<String>,
    /// The alias that was to be moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// Where it stands in the making of things.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The statement about the step.
    #[serde(rename = "att", default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Digest>,
    /// The versions that went in.
    #[serde(rename = "in", default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Digest>,
    /// The versions that came out.
    #[serde(rename = "out", default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Digest>,
}

/// An entry to be written; the ledger adds the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDraft {
    /// A UUID version 7.
    pub id: String,
    /// The project.
    pub project: Option<String>,
    /// What is done.
    pub action: Action,
    /// Before or after.
    pub phase: Phase,
    /// Who.
    pub subject: Subject,
    /// What is acted upon.
    pub objects: Vec<Object>,
    /// The decision.
    pub decision: Option<DecisionFact>,
    /// Why.
    pub purpose: Option<Purpose>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The code of the problem.
    pub error: Option<Code>,
    /// Lineage.
    pub lineage: Lineage,
    /// Short texts by name.
    pub facts: BTreeMap<String, String>,
    /// Of an outcome: the id of its grant.
    pub relates_to: Option<String>,
}

/// An entry as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    v: u8,
    /// A UUID version 7.
    pub id: String,
    /// When it was written.
    pub ts: Timestamp,
    /// The project.
    #[serde(rename = "prj", default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The verb.
    #[serde(rename = "act")]
    pub verb: String,
    /// Before or after.
    #[serde(rename = "ph")]
    pub phase: Phase,
    /// Who.
    #[serde(rename = "sub")]
    pub subject: Subject,
    /// What is acted upon.
    #[serde(rename = "obj")]
    pub objects: Vec<Object>,
    /// The decision.
    #[serde(rename = "dec", default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionFact>,
    /// Why.
    #[serde(rename = "why", default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// How it ended.
    #[serde(rename = "out", default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The code of the problem.
    #[serde(rename = "err", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Lineage.
    #[serde(rename = "lin", default, skip_serializing_if = "is_default")]
    pub lineage: Lineage,
    /// Short texts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// Of an outcome: the id of its grant.
    #[serde(rename = "rel", default, skip_serializing_if = "Option::is_none")]
    pub relates_to: Option<String>,
}

fn is_default(lineage: &Lineage) -> bool {
    *lineage == Lineage::default()
}

impl Entry {
    /// Reads an entry's bytes.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let entry: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if entry.v == 1 {
            Ok(entry)
        } else {
            Err(format!("it has the version {}", entry.v))
        }
    }

    /// Returns the action, where this program knows the verb.
    pub fn action(&self) -> Option<Action> {
        Action::from_verb(&self.verb)
    }
}

impl EntryDraft {
    /// Writes the bytes of the entry at the time `ts`.
    pub(crate) fn write(&self, ts: Timestamp) -> Result<Vec<u8>, LedgerError> {
        let entry = Entry {
            v: 1,
            id: self.id.clone(),
            ts,
            project: self.project.clone(),
            verb: self.action.verb().to_owned(),
            phase: self.phase,
            subject: self.subject.clone(),
            objects: self.objects.clone(),
            decision: self.decision.clone(),
            purpose: self.purpose.clone(),
            outcome: self.outcome,
            error: self.error.map(|code| code.as_str().to_owned()),
            lineage: self.lineage.clone(),
            facts: self.facts.clone(),
            relates_to: self.relates_to.clone(),
        };
        let bytes =
            serde_json_canonicalizer::to_vec(&entry).map_err(|error| LedgerError::Storage {
                file: "entry".to_owned(),
                source: Arc::new(error),
            })?;
        if bytes.len() > MOST_BYTES {
            Err(LedgerError::TooLarge(bytes.len()))
        } else {
            Ok(bytes)
        }
    }
}
