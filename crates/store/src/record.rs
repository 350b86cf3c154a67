//! Version records: what a version is, signed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody_crypto::sign::{SigningKey, VerifyingKey};
use custody_types::{
    ArtifactName, ByteSize, Classification, Digest, Kind, Purpose, Timestamp, VersionName,
    VersionNumber,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StoreError;
use crate::ids::ChunkId;

const FORMAT: &str = "custody-version/1";

/// What a version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The number.
    pub number: VersionNumber,
    /// What it is.
    pub kind: Kind,
    /// The identity.
    pub digest: Digest,
    /// The manifest.
    pub manifest: ChunkId,
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
    /// Who made it: a pseudonym.
    pub author: String,
    /// Where it came from, for collected data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    /// The DSSE envelope of the statement about how it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Digest>,
    /// The run that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The step that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Further records by name, such as `signature`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Digest>,
}

impl VersionRecord {
    /// Returns the version's name.
    pub fn name(&self) -> VersionName {
        self.artifact.version(self.number)
    }
}

/// A version record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    format: String,
    /// The id of the key that signed.
    pub key: String,
    /// What is signed.
    pub record: VersionRecord,
    signature: String,
}

fn message(record: &VersionRecord) -> Result<Vec<u8>, StoreError> {
    let mut bytes = FORMAT.as_bytes().to_vec();
    bytes.push(0);
    bytes.extend(canonical(record)?);
    Ok(bytes)
}

fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json_canonicalizer::to_vec(value).map_err(|error| StoreError::Unstorable {
        what: "version record".to_owned(),
        because: error.to_string(),
    })
}

impl SignedRecord {
    /// Signs a record and returns the bytes to be stored.
    pub(crate) fn sign(record: VersionRecord, key: &SigningKey) -> Result<Vec<u8>, StoreError> {
        let signature = key
            .sign(&message(&record)?)
            .map_err(|error| StoreError::Unstorable {
                what: record.name().to_string(),
                because: error.to_string(),
            })?;
        canonical(&Self {
            format: FORMAT.to_owned(),
            key: key.public().id().to_owned(),
            record,
            signature: BASE64.encode(signature),
        })
    }

    /// Reads stored bytes and checks the signature.
    pub(crate) fn open(bytes: &[u8], key: &VerifyingKey) -> Result<Self, String> {
        let signed: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if signed.format != FORMAT {
            return Err(format!("it has the format `{}`", signed.format));
        }
        let signature = BASE64
            .decode(&signed.signature)
            .map_err(|error| error.to_string())?;
        let bytes = message(&signed.record).map_err(|error| error.to_string())?;
        if signed.key == key.id() && key.verify(&bytes, &signature) {
            Ok(signed)
        } else {
            Err("its signature is not that of this workspace's key".to_owned())
        }
    }
}

/// A committed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// What it is.
    pub record: VersionRecord,
    /// The SHA-256 of the signed record.
    pub record_digest: Digest,
    /// The ledger entry that made it valid.
    pub entry: u64,
    /// Whether an entry put it into quarantine.
    pub quarantined: bool,
}

impl Version {
    /// Returns the version's name.
    pub fn name(&self) -> VersionName {
        self.record.name()
    }
}
