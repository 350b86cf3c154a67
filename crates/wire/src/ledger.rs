//! The ledger as a reader sees it.

use custody_types::{Digest, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::NamedCheck;

/// Which entries to show; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryQuery {
    /// The actor's account name, or a pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The verb, or the part before its dot: `object.read`, `object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// A resource's name or the start of it: `employment/raw`; with a number, that version alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The answer: `ok`, `denied` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// At most this many, the newest; 100 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Older ones than those of the page that gave this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One entry, with the actor's name where the reader may know it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EntryView {
    /// The position, counted from 0.
    pub index: u64,
    /// The RFC 6962 leaf hash.
    pub leaf: Digest,
    /// The actor: the name of an account, else the pseudonym.
    pub actor: String,
    /// Who proved to be somebody else, and acts as the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The entry as it stands in the ledger.
    pub entry: serde_json::Value,
}

/// The entries that match, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LedgerReply {
    /// How many entries the ledger has.
    pub size: u64,
    /// The root hash over them all.
    pub root: Digest,
    /// Those that match.
    pub entries: Vec<EntryView>,
    /// The cursor of the page of older ones, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One entry, with the proof that it is in the ledger.
///
/// Who checks it hashes the bytes of `entry` to its leaf (RFC 6962, section 2.1), the leaf with the hashes of `proof` to the root
/// (RFC 9162, section 2.1.3.2), and compares that with the root that `checkpoint` signs (C2SP tlog-checkpoint).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EntryProofReply {
    /// The entry.
    pub view: EntryView,
    /// Its bytes as they stand in the ledger.
    pub bytes: String,
    /// The hashes from the leaf to the root.
    pub proof: Vec<Digest>,
    /// How many entries the ledger has.
    pub size: u64,
    /// The root hash over them all.
    pub root: Digest,
    /// The signed note that says so.
    pub checkpoint: String,
}

/// Accepts that the ledger is not the one that was here before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptRollbackRequest {
    /// The workspace's id, repeated by who accepts it.
    pub workspace: String,
    /// Why.
    pub reason: String,
}

/// An older state of the ledger was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcceptRollbackReply {
    /// The entry that says so.
    pub entry: crate::EntryRef,
}

/// What a check of the whole ledger found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LedgerVerifyReply {
    /// Whether all checks hold.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<NamedCheck>,
}
