//! What a model was made of: a [CycloneDX 1.6](https://cyclonedx.org/docs/1.6/json/) bill of materials for machine
//! learning (ML-BOM, ECMA-424).
//!
//! [`Bom`] takes the facts and [`Bom::document`] writes them down: the model with its model card and files, the
//! datasets and the code, the environments and their packages, and which of them depends on which. The same facts,
//! in any order, give the same bytes (RFC 8785) and the same serial number: nothing is taken from a clock or from
//! chance.
//!
//! What the format has no place for stands in properties whose names begin with `custody:`.

mod build;
mod document;
mod graph;
mod uri;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use custody_types::{Classification, Digest, FileEntry, Timestamp, VersionName};

pub use self::document::Document;
use crate::AttestError;
use crate::licence::Licence;
use crate::package::PackageId;

/// The predicate type of a bill of materials in an in-toto statement.
pub const PREDICATE: &str = "https://cyclonedx.org/bom";
/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json; version=1.6";

/// The facts of a bill of materials.
#[derive(Debug, Clone, PartialEq)]
pub struct Bom {
    /// When the model's version was made; not when the document is written.
    pub timestamp: Timestamp,
    /// Counts the documents about this version: 1, and one more each time that what is known of it grew.
    pub revision: NonZeroU32,
    /// The version of Custody that writes.
    pub tool_version: String,
    /// The model.
    pub model: Model,
    /// The datasets that went into it, and those that it was measured on.
    pub datasets: Vec<Dataset>,
    /// The models that it was made from.
    pub bases: Vec<BaseModel>,
    /// The code that made it.
    pub code: Vec<Code>,
    /// What the code ran with.
    pub environments: Vec<Environment>,
    /// The packages of the environments, each once.
    pub packages: Vec<Package>,
    /// What depends on what. A thing that no edge leads to becomes a dependency of the model itself.
    pub edges: Vec<Edge>,
    /// Whether everything that went in is listed.
    pub completeness: Completeness,
}

/// A version of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name: `employment/model@1`.
    pub name: VersionName,
    /// The digest of the version.
    pub sha256: Digest,
    /// In which form it is: `onnx`.
    pub kind: String,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// Who supplies it.
    pub supplier: Option<String>,
    /// The licences under which it is given.
    pub licences: Vec<Licence>,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// How it learns.
    pub approach: Option<Approach>,
    /// What it does: `classification`.
    pub task: Option<String>,
    /// The family of its architecture: `gradient-boosted trees`.
    pub architecture_family: Option<String>,
    /// Its architecture: `HistGradientBoostingClassifier`.
    pub architecture: Option<String>,
    /// The forms of its inputs: `f32[batch, 16]`.
    pub inputs: Vec<String>,
    /// The forms of its outputs.
    pub outputs: Vec<String>,
    /// The parameters with which it was trained, by name.
    pub parameters: BTreeMap<String, String>,
    /// What was measured of it.
    pub figures: Vec<Figure>,
    /// What its users should bear in mind.
    pub considerations: Considerations,
    /// The attestations about it.
    pub claims: Vec<Claim>,
}

/// How a model learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approach {
    /// From labelled examples.
    Supervised,
    /// From examples without labels.
    Unsupervised,
    /// From rewards.
    ReinforcementLearning,
    /// From examples of which some have labels.
    SemiSupervised,
    /// From labels that are taken from the examples themselves.
    SelfSupervised,
}

/// A figure of a model card.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What was measured: `accuracy`.
    pub name: String,
    /// How much.
    pub value: f64,
    /// The least and the greatest value of its confidence interval.
    pub interval: Option<(f64, f64)>,
    /// The part of the data on which it was measured, such as `sex=female`; `None` for all.
    pub slice: Option<String>,
}

/// What the users of a model should bear in mind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Considerations {
    /// For whom it is.
    pub users: Vec<String>,
    /// What it is for.
    pub use_cases: Vec<String>,
    /// What it cannot do.
    pub limitations: Vec<String>,
    /// What was given up for what.
    pub tradeoffs: Vec<String>,
    /// What may be wrong to do with it.
    pub risks: Vec<Risk>,
    /// What it means to groups of persons.
    pub fairness: Vec<Fairness>,
}

/// An ethical risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// What may happen.
    pub name: String,
    /// What is done against it.
    pub mitigation: Option<String>,
}

/// What a model means to a group of persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fairness {
    /// The group.
    pub group: String,
    /// What it gains.
    pub benefits: Option<String>,
    /// What it suffers.
    pub harms: Option<String>,
    /// What is done against that.
    pub mitigation: Option<String>,
}

/// A version of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its name: `employment/train@1`.
    pub name: VersionName,
    /// The digest of the version.
    pub sha256: Digest,
    /// What it was for: `training`, `evaluation`.
    pub role: String,
    /// How sensitive it is.
    pub classification: Classification,
    /// Which personal data it holds, in words or by column.
    pub sensitive: Vec<String>,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// Where it came from.
    pub origin: Option<DataOrigin>,
    /// The number of rows.
    pub rows: Option<u64>,
    /// The number of columns.
    pub columns: Option<u64>,
    /// The licences under which it may be used.
    pub licences: Vec<Licence>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The attestations about it.
    pub claims: Vec<Claim>,
}

/// Where data came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOrigin {
    /// Who published it.
    pub publisher: String,
    /// Where it was found: an address of the web, or any other text.
    pub source: String,
    /// The legal basis of its processing.
    pub legal_basis: Option<String>,
}

/// A version of a model that another was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseModel {
    /// Its name: `publisher/encoder@1`.
    pub name: VersionName,
    /// The digest of the version.
    pub sha256: Digest,
    /// The attestations about it.
    pub claims: Vec<Claim>,
}

/// A version of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its name: `employment/train-code@1`.
    pub name: VersionName,
    /// The digest of the version.
    pub sha256: Digest,
    /// The address of its repository.
    pub repository: Option<String>,
    /// The attestations about it.
    pub claims: Vec<Claim>,
}

/// A version of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name: `employment/environment@1`.
    pub name: VersionName,
    /// The digest of the version.
    pub sha256: Digest,
    /// The interpreter: `CPython 3.11.7`.
    pub interpreter: String,
}

/// A Python package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Which.
    pub id: PackageId,
    /// Its licences, as it declares them.
    pub licences: Vec<Licence>,
    /// The digest of the file that it was installed from.
    pub sha256: Option<Digest>,
}

/// An attestation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The type of its predicate.
    pub predicate_type: String,
    /// The digest of its envelope.
    pub sha256: Digest,
    /// The number of its entry in the ledger.
    pub entry: Option<u64>,
    /// Where it is: an address of the web, `custody://…`, or a path beside the document such as `claims.jsonl`.
    pub address: String,
}

/// That one thing depends on another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// What depends.
    pub from: Node,
    /// On what.
    pub to: Node,
}

/// An end of an [`Edge`]; it must be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// The model, one that it was made from, a dataset, code or an environment.
    Version(VersionName),
    /// A package.
    Package(PackageId),
}

/// Whether everything that went into a model is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// All of it: each step saw nothing else.
    Complete,
    /// Something is known to be missing.
    Incomplete,
    /// Nobody can tell.
    Unknown,
}

impl Bom {
    /// Writes the facts down.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] when a thing is listed twice, an edge leads to one that is not listed, a figure is
    /// no number, or an address of an attestation or a repository is none.
    pub fn document(&self) -> Result<Document, AttestError> {
        build::document(self)
    }
}
