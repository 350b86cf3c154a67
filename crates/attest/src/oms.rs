//! The OpenSSF model signature (OMS) 1.0, key method: what `model_signing verify key` reads.
//!
//! Source: [ossf/model-signing-spec](https://github.com/ossf/model-signing-spec), `spec/v1.0.md`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody_types::{Digest, FileEntry};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::dsse::{IN_TOTO, Signature, pae};
use crate::statement::{ResourceDescriptor, Statement};
use crate::{AttestError, Check, Sign, malformed};

/// The predicate type of a model signature.
pub const PREDICATE: &str = "https://model_signing/signature/v1.0";
/// The file in which a model's signature stands beside its files.
pub const FILE: &str = "model.sig";
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Left out by every signer (spec §"ignored paths"), with the signature itself.
const IGNORED: [&str; 5] = [".git", ".gitattributes", ".github", ".gitignore", FILE];

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: SignedPayload,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Hint,
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hint {
    #[serde(default)]
    hint: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedPayload {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Predicate {
    resources: Vec<Resource>,
    serialization: Serialization,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Resource {
    algorithm: String,
    digest: String,
    name: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

/// Lists the files that are signed, in the order of the specification: Unicode code points.
fn signed(files: &[FileEntry]) -> Vec<&FileEntry> {
    let ignored = |path: &str| {
        IGNORED.iter().any(|name| {
            path == *name
                || path
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let mut files: Vec<_> = files
        .iter()
        .filter(|file| !ignored(file.path.as_str()))
        .collect();
    files.sort_by(|a, b| a.path.as_str().chars().cmp(b.path.as_str().chars()));
    files
}

/// The root: SHA-256 over the raw digests in order.
fn root<'a>(digests: impl Iterator<Item = &'a Digest>) -> Digest {
    let mut hasher = Sha256::new();
    digests.for_each(|digest| hasher.update(digest.as_bytes()));
    Digest::from_bytes(hasher.finalize().into())
}

/// Signs a model of these files under the name `name`, and returns the content of `model.sig`.
///
/// # Errors
/// [`AttestError::Malformed`] for a model without files; [`AttestError::Sign`].
pub fn sign(name: &str, files: &[FileEntry], signer: &dyn Sign) -> Result<String, AttestError> {
    let files = signed(files);
    if files.is_empty() {
        return Err(malformed("model", "it has no files"));
    }
    let subject = ResourceDescriptor {
        name: name.to_owned(),
        uri: None,
        digest: BTreeMap::from([(
            "sha256".to_owned(),
            root(files.iter().map(|file| &file.sha256)).to_hex(),
        )]),
        annotations: BTreeMap::new(),
    };
    let resources = files.iter().map(|file| Resource {
        algorithm: "sha256".to_owned(),
        digest: file.sha256.to_hex(),
        name: file.path.to_string(),
    });
    let predicate = Predicate {
        resources: resources.collect(),
        serialization: Serialization {
            method: "files".to_owned(),
            hash_type: "sha256".to_owned(),
            allow_symlinks: false,
            ignore_paths: IGNORED.map(ToOwned::to_owned).to_vec(),
        },
    };
    let statement = Statement::new(vec![subject], PREDICATE, &predicate)?;
    let payload = serde_json_canonicalizer::to_vec(&statement)
        .map_err(|error| malformed("model signature", error))?;
    let signature = signer
        .sign(&pae(IN_TOTO, &payload))
        .ok_or(AttestError::Sign)?;
    let bundle = Bundle {
        media_type: BUNDLE.to_owned(),
        verification_material: Material {
            public_key: Hint {
                hint: signer.key_id().to_owned(),
            },
            tlog_entries: Vec::new(),
        },
        dsse_envelope: SignedPayload {
            payload: BASE64.encode(payload),
            payload_type: IN_TOTO.to_owned(),
            signatures: vec![Signature {
                keyid: String::new(),
                sig: BASE64.encode(signature),
            }],
        },
    };
    let bytes = serde_json_canonicalizer::to_vec(&bundle)
        .map_err(|error| malformed("model signature", error))?;
    String::from_utf8(bytes).map_err(|error| malformed("model signature", error))
}

/// What a model signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The name under which the model was signed.
    pub name: String,
    /// The key that signed.
    pub key_id: String,
    /// How many files are covered.
    pub files: usize,
}

/// Checks the content of a `model.sig` against a model's files. Every file must be covered, but those
/// that each signer leaves out; a signature that leaves out others is refused.
///
/// # Errors
/// [`AttestError::NotSigned`]; [`AttestError::File`] naming a changed, missing or added file;
/// [`AttestError::Malformed`].
pub fn verify(
    bundle: &str,
    files: &[FileEntry],
    check: &dyn Check,
) -> Result<Verified, AttestError> {
    let wrong = |because: &str| malformed("model signature", because);
    let bundle: Bundle =
        serde_json::from_str(bundle).map_err(|error| malformed("model signature", error))?;
    let SignedPayload {
        payload,
        payload_type,
        signatures,
    } = bundle.dsse_envelope;
    let payload = BASE64
        .decode(payload)
        .map_err(|error| malformed("model signature", error))?;
    let [signature] = signatures.as_slice() else {
        return Err(wrong("it has not exactly one signature"));
    };
    let bytes = BASE64
        .decode(&signature.sig)
        .map_err(|error| malformed("model signature", error))?;
    let key_id = bundle.verification_material.public_key.hint;
    if bundle.media_type != BUNDLE
        || payload_type != IN_TOTO
        || !check.check(&key_id, &pae(IN_TOTO, &payload), &bytes)
    {
        return Err(AttestError::NotSigned("model"));
    }
    let statement: Statement =
        serde_json::from_slice(&payload).map_err(|error| malformed("model signature", error))?;
    let predicate: Predicate = serde_json::from_value(statement.predicate.clone())
        .map_err(|error| malformed("model signature", error))?;
    let [subject] = statement.subject.as_slice() else {
        return Err(wrong("it has not exactly one subject"));
    };
    let scheme = &predicate.serialization;
    if statement.predicate_type != PREDICATE
        || scheme.method != "files"
        || scheme.hash_type != "sha256"
    {
        return Err(wrong("its scheme is not known"));
    }
    if let Some(path) = scheme
        .ignore_paths
        .iter()
        .find(|path| !IGNORED.contains(&path.as_str()))
    {
        return Err(malformed(
            "model signature",
            format!("it leaves out `{path}`"),
        ));
    }
    compare(&predicate.resources, files)?;
    let digests: Vec<_> = signed(files).into_iter().map(|file| file.sha256).collect();
    if subject.sha256() != Some(root(digests.iter())) {
        return Err(wrong("its root is not that of its files"));
    }
    Ok(Verified {
        name: subject.name.clone(),
        key_id,
        files: digests.len(),
    })
}

fn compare(resources: &[Resource], files: &[FileEntry]) -> Result<(), AttestError> {
    let differs = |path: &str, because| {
        Err(AttestError::File {
            path: path.to_owned(),
            because,
        })
    };
    let mut expected: BTreeMap<&str, &str> = BTreeMap::new();
    for resource in resources {
        if resource.algorithm != "sha256"
            || expected.insert(&resource.name, &resource.digest).is_some()
        {
            return Err(malformed(
                "model signature",
                format!(
                    "`{}` is named twice or with another algorithm",
                    resource.name
                ),
            ));
        }
    }
    for file in signed(files) {
        match expected.remove(file.path.as_str()) {
            None => return differs(file.path.as_str(), "is not covered by the signature"),
            Some(digest) if digest != file.sha256.to_hex() => {
                return differs(file.path.as_str(), "is not the file that was signed");
            }
            Some(_) => {}
        }
    }
    expected
        .keys()
        .next()
        .map_or(Ok(()), |path| differs(path, "was signed and is missing"))
}

#[cfg(test)]
mod tests {
    use custody_types::ByteSize;

    use super::*;
    use crate::testing::TestKey;

    fn file(path: &str, bytes: &[u8]) -> FileEntry {
        FileEntry {
            path: path.parse().unwrap(),
            size: ByteSize::from_bytes(bytes.len() as u64),
            sha256: Digest::of(bytes),
            executable: false,
        }
    }

    #[test]
    fn a_model_verifies_with_its_files_only() {
        let key = TestKey::new("k");
        let files = [
            file("model.onnx", b"weights"),
            file("sub/features.json", b"[]"),
            file("model.sig", b"old"),
        ];
        let bundle = sign("employment/model@1", &files, &key).unwrap();
        let expected = Verified {
            name: "employment/model@1".to_owned(),
            key_id: "k".to_owned(),
            files: 2,
        };
        assert_eq!(verify(&bundle, &files, &key), Ok(expected));
        let because = |files: &[FileEntry]| verify(&bundle, files, &key).unwrap_err().to_string();
        assert_eq!(
            because(&[file("model.onnx", b"other"), files[1].clone()]),
            "`model.onnx` is not the file that was signed"
        );
        assert_eq!(
            because(&files[..1]),
            "`sub/features.json` was signed and is missing"
        );
        assert_eq!(
            because(&[files.as_slice(), &[file("x.py", b"")]].concat()),
            "`x.py` is not covered by the signature"
        );
        assert_eq!(
            verify(&bundle, &files, &TestKey::new("k")),
            Err(AttestError::NotSigned("model"))
        );
    }

    #[test]
    fn a_signature_that_leaves_out_other_files_is_refused() {
        let key = TestKey::new("k");
        let files = [file("model.onnx", b"weights")];
        let bundle: Bundle = serde_json::from_str(&sign("m", &files, &key).unwrap()).unwrap();
        let payload =
            String::from_utf8(BASE64.decode(&bundle.dsse_envelope.payload).unwrap()).unwrap();
        let payload = payload.replace("\".git\",", "\".git\",\"setup.py\",");
        let signature = key.sign(&pae(IN_TOTO, payload.as_bytes())).unwrap();
        let dsse_envelope = SignedPayload {
            payload: BASE64.encode(payload),
            payload_type: IN_TOTO.to_owned(),
            signatures: vec![Signature {
                keyid: String::new(),
                sig: BASE64.encode(signature),
            }],
        };
        let forged = serde_json::to_string(&Bundle {
            dsse_envelope,
            ..bundle
        })
        .unwrap();
        assert!(
            verify(&forged, &files, &key)
                .unwrap_err()
                .to_string()
                .contains("leaves out `setup.py`")
        );
    }
}
