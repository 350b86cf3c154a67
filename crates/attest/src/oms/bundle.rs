//! The file `model.sig`: a Sigstore bundle with one signed envelope.
//!
//! Sources: `spec/v1.0.md` §4 and `schemas/v1.0/{bundle,envelope}.schema.json` of the specification.
//! Stricter than the schemas where they leave a door open: one material, one signature, no member twice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;
use crate::dsse::{IN_TOTO, pae};
use crate::{AttestError, malformed};

/// How long a bundle may be, in bytes: a million files with long names.
pub const MAX_BYTES: usize = 256 << 20;
/// How many certificates a chain may have.
pub const MAX_CERTIFICATES: usize = 16;
pub(crate) const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The names that bundles bore before 0.3.
const OLD_MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
];
const WHAT: &str = "model signature";

/// What a verifier is given to find the signer by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// A key that the verifier already has.
    Key {
        /// The SHA-256 of the public key's PEM text, in hexadecimal; empty in bundles before 1.1.
        hint: String,
    },
    /// The certificate of the key that signed and those above it, in DER form, that one first.
    Certificates(Vec<Vec<u8>>),
    /// A certificate of a Sigstore authority, in DER form; the log entries stand in the bundle.
    Sigstore(Vec<u8>),
}

/// A bundle whose form was checked; nothing is said yet about its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Who signed.
    pub material: Material,
    /// What was signed: a statement in JSON.
    pub payload: Vec<u8>,
    /// The signature, in DER form.
    pub signature: Vec<u8>,
    /// The entries of transparency logs, as they were read.
    pub log_entries: Vec<Value>,
    /// The timestamps of RFC 3161, in DER form.
    pub timestamps: Vec<Vec<u8>>,
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] naming the rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestError> {
        if bytes.len() > MAX_BYTES {
            return Err(malformed(
                WHAT,
                format!("it is longer than {MAX_BYTES} bytes"),
            ));
        }
        let Form {
            media_type,
            verification_material: material,
            dsse_envelope: envelope,
        } = json::read(WHAT, bytes)?;
        if media_type != MEDIA_TYPE && !OLD_MEDIA_TYPES.contains(&media_type.as_str()) {
            return Err(malformed(
                WHAT,
                format!("its media type is `{media_type}`, not `{MEDIA_TYPE}`"),
            ));
        }
        if envelope.payload_type != IN_TOTO {
            return Err(malformed(
                WHAT,
                format!(
                    "its payload is of the type `{}`, not `{IN_TOTO}`",
                    envelope.payload_type
                ),
            ));
        }
        let [signature] = envelope.signatures.as_slice() else {
            return Err(malformed(
                WHAT,
                format!(
                    "it has {} signatures, not exactly one",
                    envelope.signatures.len()
                ),
            ));
        };
        let log_entries = material.tlog_entries.clone().unwrap_or_default();
        let timestamps = material.timestamps()?;
        Ok(Self {
            payload: decode("payload", &envelope.payload)?,
            signature: decode("signature", &signature.sig)?,
            material: material.read()?,
            log_entries,
            timestamps,
        })
    }

    /// Writes the bundle in the form of RFC 8785.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] for numbers that JSON cannot hold.
    pub fn to_json(&self) -> Result<String, AttestError> {
        let form = Form {
            media_type: MEDIA_TYPE.to_owned(),
            verification_material: self.material_form(),
            dsse_envelope: EnvelopeForm {
                payload: BASE64.encode(&self.payload),
                payload_type: IN_TOTO.to_owned(),
                signatures: vec![SignatureForm {
                    keyid: Some(String::new()),
                    sig: BASE64.encode(&self.signature),
                }],
            },
        };
        let bytes =
            serde_json_canonicalizer::to_vec(&form).map_err(|error| malformed(WHAT, error))?;
        String::from_utf8(bytes).map_err(|error| malformed(WHAT, error))
    }

    /// Returns the bytes that are signed.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pae(IN_TOTO, &self.payload)
    }

    fn material_form(&self) -> MaterialForm {
        let certificate = |der: &Vec<u8>| RawBytes {
            raw_bytes: BASE64.encode(der),
        };
        let mut form = MaterialForm {
            tlog_entries: Some(self.log_entries.clone()),
            timestamp_verification_data: (!self.timestamps.is_empty()).then(|| Timestamps {
                rfc3161_timestamps: self.timestamps.iter().map(Timestamp::of).collect(),
            }),
            ..MaterialForm::default()
        };
        match &self.material {
            Material::Key { hint } => {
                form.public_key = Some(PublicKey {
                    hint: Some(hint.clone()),
                    raw_bytes: None,
                });
            }
            Material::Certificates(chain) => {
                form.x509_certificate_chain = Some(Chain {
                    certificates: chain.iter().map(certificate).collect(),
                });
            }
            Material::Sigstore(der) => form.certificate = Some(certificate(der)),
        }
        form
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    media_type: String,
    verification_material: MaterialForm,
    dsse_envelope: EnvelopeForm,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MaterialForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<Chain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<RawBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlog_entries: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<Timestamps>,
}

/// Other members are allowed by the schema, and mean nothing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublicKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_bytes: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Chain {
    certificates: Vec<RawBytes>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBytes {
    raw_bytes: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Timestamps {
    #[serde(default)]
    rfc3161_timestamps: Vec<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Timestamp {
    signed_timestamp: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvelopeForm {
    payload: String,
    payload_type: String,
    signatures: Vec<SignatureForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureForm {
    sig: String,
    #[serde(default)]
    keyid: Option<String>,
}

impl Timestamp {
    fn of(der: &Vec<u8>) -> Self {
        Self {
            signed_timestamp: BASE64.encode(der),
        }
    }
}

impl MaterialForm {
    fn timestamps(&self) -> Result<Vec<Vec<u8>>, AttestError> {
        self.timestamp_verification_data
            .iter()
            .flat_map(|data| &data.rfc3161_timestamps)
            .map(|timestamp| decode("timestamp", &timestamp.signed_timestamp))
            .collect()
    }

    fn read(self) -> Result<Material, AttestError> {
        let logged = self.tlog_entries.is_some_and(|entries| !entries.is_empty());
        match (
            self.public_key,
            self.x509_certificate_chain,
            self.certificate,
        ) {
            (Some(key), None, None) => key.read(),
            (None, Some(chain), None) => chain.read(),
            (None, None, Some(_)) if !logged => Err(malformed(
                WHAT,
                "it has a Sigstore certificate, but no entry of a transparency log",
            )),
            (None, None, Some(certificate)) => {
                decode("certificate", &certificate.raw_bytes).map(Material::Sigstore)
            }
            (None, None, None) => Err(malformed(
                WHAT,
                "it names neither a key nor a certificate that signed",
            )),
            _ => Err(malformed(
                WHAT,
                "it names more than one of key, certificate chain and Sigstore certificate",
            )),
        }
    }
}

impl PublicKey {
    fn read(self) -> Result<Material, AttestError> {
        if self.hint.is_none() && self.raw_bytes.is_none() {
            return Err(malformed(
                WHAT,
                "its public key has neither `hint` nor `rawBytes`",
            ));
        }
        Ok(Material::Key {
            hint: self.hint.unwrap_or_default(),
        })
    }
}

impl Chain {
    fn read(self) -> Result<Material, AttestError> {
        let count = self.certificates.len();
        if count == 0 || count > MAX_CERTIFICATES {
            return Err(malformed(
                WHAT,
                format!("its chain has {count} certificates, not 1 to {MAX_CERTIFICATES}"),
            ));
        }
        self.certificates
            .iter()
            .map(|certificate| decode("certificate", &certificate.raw_bytes))
            .collect::<Result<_, _>>()
            .map(Material::Certificates)
    }
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, AttestError> {
    let bytes = BASE64
        .decode(text)
        .map_err(|error| malformed(WHAT, format!("its {what} is not base64: {error}")))?;
    if bytes.is_empty() {
        return Err(malformed(WHAT, format!("its {what} is empty")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"ab"},"tlogEntries":[]},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"MAA=","keyid":""}]}}"#;

    fn check(from: &str, to: &str, because: &str) {
        assert!(KEY.contains(from), "{from}");
        let text = KEY.replace(from, to);
        match Bundle::parse(text.as_bytes()) {
            Ok(_) => assert_eq!(because, "", "{text}"),
            Err(error) => {
                assert!(
                    !because.is_empty() && error.to_string().contains(because),
                    "{error}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_bundle_reads_back_as_it_was_written() {
        let key = Bundle::parse(KEY.as_bytes()).unwrap();
        let materials = [
            Material::Key { hint: "ab".into() },
            Material::Certificates(vec![vec![1], vec![2, 3]]),
            Material::Sigstore(vec![4]),
        ];
        for material in materials {
            let bundle = Bundle {
                material,
                log_entries: vec![serde_json::json!({"logIndex": "1"})],
                timestamps: vec![vec![5]],
                ..key.clone()
            };
            let text = bundle.to_json().unwrap();
            assert_eq!(Bundle::parse(text.as_bytes()), Ok(bundle));
        }
    }

    #[test]
    fn every_rule_of_the_form_is_kept() {
        for (from, to, because) in [
            (r#","keyid":"""#, "", ""),
            (r#""keyid":"""#, r#""keyid":null"#, ""),
            (r#","tlogEntries":[]"#, "", ""),
            (
                r#"{"hint":"ab"}"#,
                r#"{"rawBytes":"AA==","keyDetails":"x"}"#,
                "",
            ),
            (".v0.3+json", "+json;version=0.2", ""),
            (".v0.3+json", ".v0.9+json", "media type"),
            ("vnd.in-toto+json", "json", "type `application/json`"),
            (r#""mediaType":"#, r#""x":1,"mediaType":"#, "unknown field"),
            (
                r#""payloadType":"#,
                r#""x":1,"payloadType":"#,
                "unknown field",
            ),
            (r#""keyid":"""#, r#""keyid":"","cert":"x""#, "unknown field"),
            (r#""tlogEntries":[]"#, r#""content":1"#, "unknown field"),
            (r#"{"hint":"ab"}"#, "{}", "neither `hint` nor"),
            (r#"{"hint":"ab"}"#, r#"{"hint":"ab","hint":"ac"}"#, "twice"),
            (r#"{"hint":"ab"}"#, r#"{"hint":"ab","x":1,"x":2}"#, "twice"),
            (
                r#""payload":"e30=""#,
                r#""payload":"e30=","payload":"e30=""#,
                "twice",
            ),
            (r#""publicKey":{"hint":"ab"},"#, "", "neither a key"),
            (r#"{"sig":"MAA=","keyid":""}"#, "", "0 signatures"),
            (
                r#"{"sig":"MAA=","keyid":""}"#,
                r#"{"sig":"MAA="},{"sig":"MAA="}"#,
                "2 signatures",
            ),
            ("MAA=", "", "signature is empty"),
            ("MAA=", "MAA", "not base64"),
            ("MAA=", "MAA =", "not base64"),
            ("e30=", "", "payload is empty"),
            (
                r#""publicKey":{"hint":"ab"}"#,
                r#""certificate":{"rawBytes":"AA=="}"#,
                "no entry",
            ),
            (
                r#""publicKey":{"hint":"ab"}"#,
                r#""x509CertificateChain":{"certificates":[]}"#,
                "0 certificates",
            ),
            (
                r#""publicKey":"#,
                r#""certificate":{"rawBytes":"AA=="},"publicKey":"#,
                "more than one",
            ),
        ] {
            check(from, to, because);
        }
    }
}
