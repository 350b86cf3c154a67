//! [in-toto statements](https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md), version 1.

use std::collections::BTreeMap;

use custody_types::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dsse::{Envelope, IN_TOTO};
use crate::{AttestError, Check, Sign, malformed};

const TYPE: &str = "https://in-toto.io/Statement/v1";

/// A thing named by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDescriptor {
    /// The name: `employment/train@1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it is: `custody://employment/train@1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digests by algorithm; here always `sha256`.
    #[serde(default)]
    pub digest: BTreeMap<String, String>,
    /// What else is said of it, such as its role.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl ResourceDescriptor {
    /// Names a version.
    pub fn version(name: impl ToString, digest: Digest) -> Self {
        let name = name.to_string();
        Self {
            uri: Some(format!("custody://{name}")),
            name,
            digest: BTreeMap::from([("sha256".to_owned(), digest.to_hex())]),
            annotations: BTreeMap::new(),
        }
    }

    /// Adds what is said of it.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.annotations.insert(key.to_owned(), value.to_string());
        self
    }

    /// Returns the SHA-256, where there is one.
    pub fn sha256(&self) -> Option<Digest> {
        self.digest
            .get("sha256")
            .and_then(|hex| Digest::from_hex(hex).ok())
    }
}

/// What is claimed about which things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    /// About what.
    pub subject: Vec<ResourceDescriptor>,
    /// What kind of claim.
    pub predicate_type: String,
    /// The claim.
    pub predicate: Value,
}

impl Statement {
    /// Builds a statement.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] when the predicate cannot be written as JSON.
    pub fn new(
        subject: Vec<ResourceDescriptor>,
        predicate_type: &str,
        predicate: &impl Serialize,
    ) -> Result<Self, AttestError> {
        let predicate =
            serde_json::to_value(predicate).map_err(|error| malformed("predicate", error))?;
        Ok(Self {
            kind: TYPE.to_owned(),
            subject,
            predicate_type: predicate_type.to_owned(),
            predicate,
        })
    }

    /// Signs it in an envelope.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn seal(&self, signer: &dyn Sign) -> Result<Vec<u8>, AttestError> {
        let payload = serde_json_canonicalizer::to_vec(self)
            .map_err(|error| malformed("statement", error))?;
        Envelope::seal(IN_TOTO, &payload, signer)?.to_bytes()
    }

    /// Reads an envelope's statement after its signature was checked.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn open(envelope: &[u8], check: &dyn Check) -> Result<Self, AttestError> {
        let payload = Envelope::parse(envelope)?.open(IN_TOTO, check)?;
        let statement: Self =
            serde_json::from_slice(&payload).map_err(|error| malformed("statement", error))?;
        if statement.kind == TYPE {
            Ok(statement)
        } else {
            Err(malformed(
                "statement",
                format!("its type is `{}`", statement.kind),
            ))
        }
    }
}
