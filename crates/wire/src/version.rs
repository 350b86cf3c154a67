//! Versions: listing, showing, adding, naming.

use custody_types::{
    Alias, ArtifactName, ByteSize, Classification, Digest, FileEntry, Kind, ProjectName, Purpose,
    Timestamp, VersionName, VersionNumber,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which versions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only those of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// Only those of this artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactName>,
    /// Only those of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Those in quarantine instead of those that may be used.
    #[serde(default)]
    pub quarantine: bool,
    /// At most this many; 100 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Those after the page that gave this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Which artifact version is meant, in a query string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactQuery {
    /// The reference as typed: `employment/model@1`.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
}

/// The versions that the caller may see.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListReply {
    /// In the order of artifact and number.
    pub versions: Vec<VersionView>,
    /// How many more match that are in quarantine, with the first page of those that may be used; at most 100 are
    /// counted.
    #[serde(default)]
    pub held_back: usize,
    /// How many of this page cannot be shown: the ledger names them, and no pack has them.
    #[serde(default)]
    pub lacking: usize,
    /// The cursor of the next page, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which projects to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectQuery {
    /// At most this many; 100 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Those after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ProjectName>,
}

/// The projects in which the caller may see something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectsReply {
    /// In the order of their names.
    pub projects: Vec<ProjectName>,
    /// The project after which the next page begins, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ProjectName>,
}

/// The decisions of gates that wait for approvals and that the caller may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingReply {
    /// Of each gate the newest, in the order of their names.
    pub waiting: Vec<WaitingView>,
    /// Whether there may be more: 2,000 artifacts are looked at.
    #[serde(default)]
    pub more: bool,
}

/// A decision of a gate that waits for approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingView {
    /// The version that holds it.
    pub name: VersionName,
    /// When it was made.
    pub created: Timestamp,
    /// Who had it made: a name where the reader may know it, else the pseudonym.
    pub author: String,
    /// How many approvals it asks for.
    pub needed: usize,
    /// How many count.
    pub given: usize,
    /// Whether one of the caller would count.
    pub may_approve: bool,
}

/// One version as its record tells it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VersionView {
    /// The name: `employment/raw@3`.
    pub name: VersionName,
    /// What it is.
    pub kind: Kind,
    /// Its identity.
    pub digest: Digest,
    /// How many files it has.
    pub files: u64,
    /// How many bytes its files have together.
    pub size: ByteSize,
    /// How sensitive it is.
    pub classification: Classification,
    /// The purposes that it may serve; empty: any.
    pub purposes: Vec<Purpose>,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it: a name where the reader may know it, else the pseudonym.
    pub author: String,
    /// Whether it is in quarantine: its contract failed, or a scan left it to a person.
    pub quarantined: bool,
    /// Whether it stays there for good.
    #[serde(default)]
    pub rejected: bool,
    /// The ledger entry by which its bytes were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<u64>,
    /// Why, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// The aliases that point to it.
    pub aliases: Vec<Alias>,
    /// The attestation of how it was made.
    pub statement: Option<Digest>,
    /// The ledger entry that made it valid.
    pub entry: u64,
}

/// Where collected data came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Who published it.
    pub publisher: String,
    /// Where it was found.
    pub url: String,
    /// The licence under which it may be used.
    pub licence: String,
    /// The legal basis of its processing, such as `public-task` (GDPR Art. 6).
    pub legal_basis: String,
    /// How sensitive it is.
    pub classification: Classification,
    /// When it was collected.
    pub collected_at: Timestamp,
    /// Who collected it: a pseudonym.
    pub collected_by: String,
    /// The SHA-256 of the collected bytes; of several files, the digest of their listing.
    pub sha256: Digest,
    /// What was named: a file, a folder or a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The files as they were, where they are not too many to be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileEntry>,
    /// What it is, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One version with its files and what is known about it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ShowReply {
    /// The version.
    pub version: VersionView,
    /// Its files in the order of their paths, for who may read it; at most 10,000 are listed.
    pub listing: Vec<FileEntry>,
    /// What the policy does not show, a line each.
    #[serde(default)]
    pub withheld: Vec<String>,
    /// Where it came from, for collected data.
    pub origin: Option<Origin>,
    /// What the version carries besides its files: results, signatures, by name.
    pub evidence: std::collections::BTreeMap<String, serde_json::Value>,
    /// The approvals that a gate's decision asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalsView>,
}

/// The approvals that a gate's decision asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalsView {
    /// How many.
    pub needed: usize,
    /// Those that count, in words: who, and why.
    pub given: Vec<String>,
}

/// What shall be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningRequest {
    /// The reference as typed: `employment/model@1`.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
}

/// What may be signed, each file with its digest: the bytes stay where they are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SigningReply {
    /// The version.
    pub name: VersionName,
    /// All its files in the order of their paths.
    pub files: Vec<FileEntry>,
}

/// What a new version is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutQuery {
    /// The artifact that gets a new version.
    pub artifact: ArtifactName,
    /// What it is.
    pub kind: Kind,
    /// How sensitive it is.
    pub classification: Classification,
    /// The purposes that it may serve, with commas between them; none: any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purposes: String,
    /// Where it came from: an [`OriginOfPut`] in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// Where files that are put came from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OriginOfPut {
    /// What was declared.
    pub declared: serde_json::Value,
    /// What was named.
    pub what: String,
    /// The SHA-256 of the file, or of the listing of the files.
    pub sha256: Digest,
    /// The files as they were, where they are not too many to be listed.
    pub files: Vec<serde_json::Value>,
}

/// A place in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryRef {
    /// The position, counted from 0.
    pub index: u64,
    /// The entry's id.
    pub id: String,
}

/// A version was made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PutReply {
    /// The version.
    pub version: VersionView,
    /// The bytes newly written to the store, after deduplication, compression and encryption. Told to who may read
    /// the version: none are written where somebody else's bytes are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<ByteSize>,
    /// The entry that made it valid.
    pub entry: EntryRef,
    /// What the scan says, for a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<ScanView>,
    /// Whose signature it bears, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureView>,
}

/// The extended attribute (`pax`) of the first file of a `put` that says whose signature the files must
/// bear: an object of JSON.
pub const SIGNATURE_KEY: &str = "CUSTODY.signature";

/// Somebody else's signature that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignatureView {
    /// `key`, `certificate` or `sigstore`.
    pub method: String,
    /// Who signed.
    pub signer: String,
    /// When a trusted log or timestamp authority saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The files that it does not cover.
    pub not_covered: Vec<String>,
}

/// What a scan says of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScanView {
    /// `clean`, `review`, `unscannable` or `malicious`.
    pub verdict: String,
    /// The rule packs, `name version` each.
    pub rules: Vec<String>,
    /// The worst findings, a line each.
    pub findings: Vec<String>,
    /// Whether the model waits in quarantine for an approval.
    pub waits: bool,
    /// The SHA-256 of the signed statement.
    pub statement: Digest,
}

/// Which models shall be scanned again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RescanRequest {
    /// The version; `None`: every model.
    #[serde(default)]
    #[schemars(with = "Option<custody_types::Reference>")]
    pub reference: Option<String>,
    /// Those too that were scanned by the rules in force.
    #[serde(default)]
    pub all: bool,
}

/// What scanning again found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RescanReply {
    /// The rule packs in force, `name version` each.
    pub rules: Vec<String>,
    /// The models that were scanned.
    pub scanned: Vec<Rescanned>,
    /// How many models were left alone, as they were scanned by the rules in force.
    pub current: u64,
}

/// A model that was scanned again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rescanned {
    /// The version.
    pub version: VersionName,
    /// The verdict before; `None`: it was never scanned.
    pub before: Option<String>,
    /// The verdict now.
    pub after: String,
    /// The rule packs, `name version` each.
    pub rules: Vec<String>,
    /// Findings that were not there before, a line each.
    pub appeared: Vec<String>,
    /// Findings that are not there any more, a line each.
    pub gone: Vec<String>,
    /// Whether it is in quarantine now.
    pub quarantined: bool,
    /// Whether it was rejected, so that no scan lets it out.
    pub rejected: bool,
    /// The SHA-256 of the signed statement.
    pub statement: Digest,
    /// The ledger's entry.
    pub entry: EntryRef,
}

/// Lets a version out of quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// The version.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
    /// Why.
    pub reason: String,
}

/// A version was let out of quarantine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ApproveReply {
    /// The version.
    pub version: VersionView,
    /// The entry.
    pub entry: EntryRef,
    /// The approvals that a gate asks for, with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalsView>,
}

/// Keeps a version in quarantine for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectRequest {
    /// The version.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
    /// Why.
    pub reason: String,
}

/// A version stays in quarantine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RejectReply {
    /// The version.
    pub version: VersionView,
    /// The entry.
    pub entry: EntryRef,
}

/// Takes the bytes of a rejected version away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRequest {
    /// The version.
    #[schemars(with = "custody_types::Reference")]
    pub reference: String,
}

/// The bytes of a version were taken away.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RemoveReply {
    /// The version.
    pub version: VersionView,
    /// The bytes of its files that nothing holds any more.
    pub bytes: ByteSize,
    /// The bytes of its files that other versions have too: they stay.
    pub shared: ByteSize,
    /// The ledger entry by which they were removed.
    pub entry: u64,
}

/// Destroys the keys of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShredRequest {
    /// The project.
    pub project: ProjectName,
    /// Why, and who asked for it.
    pub reason: String,
}

/// The keys of a project were destroyed, and its packs deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShredReply {
    /// The project.
    pub project: ProjectName,
    /// How many versions it had.
    pub versions: u64,
    /// The bytes that its packs had, as they were stored.
    pub bytes: ByteSize,
    /// The ledger entry that says so.
    pub entry: u64,
}

/// The rule packs in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulesReply {
    /// `name version` each, the program's own first.
    pub rules: Vec<String>,
}

/// Where an alias shall point.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AliasRequest {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The alias.
    pub alias: Alias,
    /// The version that it shall point to.
    pub to: VersionNumber,
    /// Where it must point now for the move to take place; `None`: it does not matter.
    #[serde(default)]
    pub expected: Option<VersionNumber>,
}

/// An alias was moved.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AliasReply {
    /// The alias.
    pub alias: Alias,
    /// Where it points now.
    pub version: VersionName,
    /// The entry.
    pub entry: EntryRef,
}
