//! The keys of the workspace.

use std::fmt;

use custody_types::{ProjectName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which keys are in use: ids and epochs, never a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeysReply {
    /// The id of the key-encryption key under which all others are wrapped.
    pub key: String,
    /// Since when it is that one; none: since the workspace was made, or since a start ended a rotation that a crash cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The position of the ledger entry that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// Whether that key is under a passphrase where it is kept.
    pub is_under_passphrase: bool,
    /// Whether a rotation was cut off, and the key of before is still kept.
    pub is_between: bool,
    /// The keys of the projects that may be listed.
    pub projects: Vec<ProjectKeysView>,
}

/// The content keys of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectKeysView {
    /// The project.
    pub project: ProjectName,
    /// The epoch of the key under which packs are sealed now, from 1.
    pub epoch: u32,
    /// How many epochs have a key: what was sealed in them can be read.
    pub epochs: u64,
}

/// Which keys shall be new.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKeysRequest {
    /// The project whose content key alone shall be new; none: the key-encryption key, and the content keys of all projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
}

/// Which keys are new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotationReply {
    /// The id of the new key-encryption key, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many projects have a new content key.
    pub projects: u64,
    /// The position of the ledger entry that says so.
    pub entry: u64,
}

/// What opens a server that is sealed.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsealRequest {
    /// The passphrase of the key file.
    pub passphrase: String,
}

impl fmt::Debug for UnsealRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsealRequest(…)")
    }
}

/// A server is not sealed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnsealReply {
    /// The position of the ledger entry that says so.
    pub entry: u64,
}

/// Another passphrase of the key file.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassphraseRequest {
    /// The one that it is under, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The one that it shall be under; none: it shall be in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

impl fmt::Debug for PassphraseRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassphraseRequest(…)")
    }
}

/// What became of the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PassphraseReply {
    /// Whether the key file is under a passphrase.
    pub is_under_passphrase: bool,
    /// The position of the ledger entry that says so.
    pub entry: u64,
}
