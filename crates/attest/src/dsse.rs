//! Signed envelopes: [DSSE](https://github.com/secure-systems-lab/dsse) 1.0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::{AttestError, Check, Sign, malformed};

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A payload with signatures over it and its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The payload, in base64.
    pub payload: String,
    /// What the payload is.
    pub payload_type: String,
    /// The signatures.
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// A hint at the key; not signed.
    #[serde(default)]
    pub keyid: String,
    /// The signature, in base64.
    pub sig: String,
}

/// Returns the bytes that are signed: `PAE(type, body)` of the DSSE protocol.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Signs a payload.
    ///
    /// # Errors
    /// [`AttestError::Sign`].
    pub fn seal(
        payload_type: &str,
        payload: &[u8],
        signer: &dyn Sign,
    ) -> Result<Self, AttestError> {
        let signature = signer
            .sign(&pae(payload_type, payload))
            .ok_or(AttestError::Sign)?;
        Ok(Self {
            payload: BASE64.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![Signature {
                keyid: signer.key_id().to_owned(),
                sig: BASE64.encode(signature),
            }],
        })
    }

    /// Writes the envelope in the form of RFC 8785.
    ///
    /// # Errors
    /// [`AttestError::Malformed`]; cannot happen for an envelope that was sealed or read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AttestError> {
        serde_json_canonicalizer::to_vec(self).map_err(|error| malformed("envelope", error))
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// [`AttestError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestError> {
        serde_json::from_slice(bytes).map_err(|error| malformed("envelope", error))
    }

    /// Returns the payload, if it has the type `payload_type` and a signature of a trusted key holds.
    ///
    /// # Errors
    /// [`AttestError::NotSigned`] or [`AttestError::Malformed`].
    pub fn open(&self, payload_type: &str, check: &dyn Check) -> Result<Vec<u8>, AttestError> {
        if self.payload_type != payload_type {
            return Err(malformed(
                "envelope",
                format!("its payload is of the type `{}`", self.payload_type),
            ));
        }
        let payload = BASE64
            .decode(&self.payload)
            .map_err(|error| malformed("envelope", error))?;
        let message = pae(&self.payload_type, &payload);
        let holds = self.signatures.iter().any(|signature| {
            BASE64
                .decode(&signature.sig)
                .is_ok_and(|bytes| check.check(&signature.keyid, &message, &bytes))
        });
        if holds {
            Ok(payload)
        } else {
            Err(AttestError::NotSigned("envelope"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestKey;

    #[test]
    fn the_signed_bytes_are_those_of_the_protocol() {
        // The example of the DSSE protocol document.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_opens_with_its_key_type_and_bytes_only() {
        let key = TestKey::new("a");
        let envelope = Envelope::seal(IN_TOTO, b"{\"a\":1}", &key).unwrap();
        let read = Envelope::parse(&envelope.to_bytes().unwrap()).unwrap();
        assert_eq!(read.open(IN_TOTO, &key), Ok(b"{\"a\":1}".to_vec()));
        assert_eq!(
            read.open(IN_TOTO, &TestKey::new("a")),
            Err(AttestError::NotSigned("envelope"))
        );
        assert!(matches!(
            read.open("text/plain", &key),
            Err(AttestError::Malformed { .. })
        ));
        let other = Envelope {
            payload: BASE64.encode("{\"a\":2}"),
            ..read.clone()
        };
        assert_eq!(
            other.open(IN_TOTO, &key),
            Err(AttestError::NotSigned("envelope"))
        );
        let unsigned = Envelope {
            signatures: Vec::new(),
            ..read
        };
        assert_eq!(
            unsigned.open(IN_TOTO, &key),
            Err(AttestError::NotSigned("envelope"))
        );
    }
}
