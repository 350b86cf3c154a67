//! The attestations about a model in one file beside it, `claims.jsonl`: a Sigstore bundle on each line.
//!
//! A bundle (version 0.3) holds an envelope and a hint at the key that signed it. Lines are only ever added, at the
//! end, and each ends with a line feed: what was there before stays byte for byte the beginning of the file, and a
//! line that was cut off by a crash is told from a whole one.
//!
//! The file itself is not signed, so that it can grow after the model was; each of its lines is. A line that was
//! taken away cannot be noticed here: that is what the ledger is for.

use std::collections::BTreeSet;

use custody_types::Digest;
use serde::{Deserialize, Serialize};

use crate::dsse::{Envelope, IN_TOTO};
use crate::oms::bundle::MEDIA_TYPE as BUNDLE;
use crate::statement::Statement;
use crate::{AttestError, Check, malformed};

/// The name of the file.
pub const FILE: &str = "claims.jsonl";
/// The longest line, in bytes with its line feed.
pub const MAX_LINE_BYTES: usize = 16 << 20;
/// The most lines.
pub const MAX_LINES: usize = 10_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Material {
    public_key: Hint,
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    hint: String,
}

/// One line: an attestation of which nothing was checked but its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    envelope: Envelope,
    sha256: Digest,
}

impl Claim {
    /// Takes an envelope that holds an in-toto statement.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] when it holds something else, has not exactly one signature, or does not name the
    /// key of it.
    pub fn new(envelope: Envelope) -> Result<Self, AttestError> {
        if envelope.payload_type != IN_TOTO {
            return Err(wrong("its envelope holds no in-toto statement"));
        }
        let [signature] = envelope.signatures.as_slice() else {
            return Err(wrong("its envelope has not exactly one signature"));
        };
        if signature.keyid.is_empty() {
            return Err(wrong("its envelope does not name the key"));
        }
        let sha256 = Digest::of(&envelope.to_bytes()?);
        Ok(Self { envelope, sha256 })
    }

    /// Returns the envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Returns the digest of the envelope in the form of RFC 8785, under which the ledger knows it.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// Returns the id of the key that is said to have signed.
    pub fn key_id(&self) -> &str {
        let signature = self.envelope.signatures.first();
        signature.map_or("", |signature| signature.keyid.as_str())
    }

    /// Returns the statement, after its signature was checked, if one of its subjects has one of the digests
    /// `subjects`: the model's own and that under which its signature names it.
    ///
    /// # Errors
    /// [`AttestError::NotSigned`]; [`AttestError::Malformed`], also for a statement about something else.
    pub fn open(&self, subjects: &[Digest], check: &dyn Check) -> Result<Statement, AttestError> {
        let statement = Statement::open(&self.envelope.to_bytes()?, check)?;
        let named = |digest: Digest| subjects.contains(&digest);
        let about = statement
            .subject
            .iter()
            .any(|subject| subject.sha256().is_some_and(named));
        if about {
            Ok(statement)
        } else {
            Err(wrong("it is about something else than the model"))
        }
    }

    /// Writes the line, with its line feed.
    fn line(&self) -> Result<Vec<u8>, AttestError> {
        let bundle = Bundle {
            media_type: BUNDLE.to_owned(),
            verification_material: Material {
                public_key: Hint {
                    hint: self.key_id().to_owned(),
                },
                tlog_entries: Vec::new(),
            },
            dsse_envelope: self.envelope.clone(),
        };
        let mut line = serde_json_canonicalizer::to_vec(&bundle).map_err(wrong)?;
        line.push(b'\n');
        if line.len() > MAX_LINE_BYTES {
            return Err(wrong(format!("it is longer than {MAX_LINE_BYTES} bytes")));
        }
        Ok(line)
    }

    fn from_line(line: &[u8]) -> Result<Self, AttestError> {
        let bundle: Bundle = serde_json::from_slice(line).map_err(wrong)?;
        if bundle.media_type != BUNDLE {
            return Err(wrong("it is no bundle of version 0.3"));
        }
        if !bundle.verification_material.tlog_entries.is_empty() {
            return Err(wrong("it names entries of a log that is not known"));
        }
        let claim = Self::new(bundle.dsse_envelope)?;
        if bundle.verification_material.public_key.hint == claim.key_id() {
            Ok(claim)
        } else {
            Err(wrong("its hint is not the key of its signature"))
        }
    }
}

/// Reads a file of claims: the lines in their order.
///
/// # Errors
/// [`AttestError::Malformed`] naming the first line that is no claim, is longer than [`MAX_LINE_BYTES`], or has no
/// line feed; and for more than [`MAX_LINES`].
pub fn read(bytes: &[u8]) -> Result<Vec<Claim>, AttestError> {
    let mut claims = Vec::new();
    for (line, number) in bytes.split_inclusive(|byte| *byte == b'\n').zip(1_usize..) {
        let at = |because: &dyn std::fmt::Display| {
            malformed(FILE, format!("line {number} is no claim: {because}"))
        };
        if number > MAX_LINES {
            return Err(malformed(
                FILE,
                format!("it has more than {MAX_LINES} lines"),
            ));
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(at(&format!("it is longer than {MAX_LINE_BYTES} bytes")));
        }
        let line = line
            .strip_suffix(b"\n")
            .ok_or_else(|| at(&"it is cut off"))?;
        claims.push(Claim::from_line(line).map_err(|error| match error {
            AttestError::Malformed { because, .. } => at(&because),
            other => other,
        })?);
    }
    Ok(claims)
}

/// Adds claims at the end of a file's content, but those that are in it already, and returns the whole.
///
/// # Errors
/// [`AttestError::Malformed`] when `file` is no file of claims, or the whole would be too long.
pub fn append(file: &[u8], claims: &[Claim]) -> Result<Vec<u8>, AttestError> {
    let before = read(file)?;
    let mut lines = before.len();
    let mut known: BTreeSet<_> = before.iter().map(Claim::sha256).collect();
    let mut whole = file.to_vec();
    for claim in claims {
        if known.insert(claim.sha256()) {
            lines = lines.saturating_add(1);
            whole.extend(claim.line()?);
        }
    }
    if lines > MAX_LINES {
        return Err(malformed(
            FILE,
            format!("it has more than {MAX_LINES} lines"),
        ));
    }
    Ok(whole)
}

fn wrong(because: impl std::fmt::Display) -> AttestError {
    malformed("claim", because)
}

#[cfg(test)]
mod tests;
