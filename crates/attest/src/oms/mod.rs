//! The OpenSSF model signature (OMS) 1.0: what `model_signing` writes and reads.
//!
//! - [`bundle`]: the file, with the signature and who made it;
//! - [`manifest`]: the statement, with the names and digests;
//! - here: signing and checking a model of Custody, whose files' digests are known, by key.
//!
//! Source: [ossf/model-signing-spec](https://github.com/ossf/model-signing-spec), `spec/v1.0.md`.

pub mod bundle;
mod json;
pub mod manifest;

use std::collections::BTreeMap;

use custody_types::{Digest, FileEntry};

use self::bundle::{Bundle, Material};
use self::manifest::{HashType, Manifest, Method, Resource};
use crate::dsse::{IN_TOTO, pae};
use crate::{AttestError, Check, Sign, malformed};

/// The predicate type of a model signature.
pub const PREDICATE: &str = "https://model_signing/signature/v1.0";
/// The file in which a model's signature stands beside its files.
pub const FILE: &str = "model.sig";
/// Left out by every signer, at the top of the model only (spec §6.2).
pub const DEFAULT_IGNORED: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];
/// Left out of a model of Custody: those, and the signature itself.
const IGNORED: [&str; 5] = [".git", ".gitattributes", ".github", ".gitignore", FILE];

/// Returns whether `path` is `ignored` or lies in it.
pub fn is_within(path: &str, ignored: &str) -> bool {
    path.strip_prefix(ignored)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn signed(files: &[FileEntry]) -> impl Iterator<Item = &FileEntry> {
    let ignored = |path: &str| IGNORED.iter().any(|name| is_within(path, name));
    files
        .iter()
        .filter(move |file| !ignored(file.path.as_str()))
}

/// Signs a model of these files under the name `name`, and returns the content of `model.sig`.
///
/// # Errors
/// [`AttestError::Malformed`] for a model without files; [`AttestError::Sign`].
pub fn sign(name: &str, files: &[FileEntry], signer: &dyn Sign) -> Result<String, AttestError> {
    let resources = signed(files).map(|file| Resource {
        path: file.path.to_string(),
        range: None,
        digest: file.sha256.as_bytes().to_vec(),
    });
    let manifest = Manifest::new(
        name,
        Method::Files,
        HashType::Sha256,
        IGNORED.map(ToOwned::to_owned).to_vec(),
        resources.collect(),
    )?;
    let payload = manifest.to_payload()?;
    let signature = signer
        .sign(&pae(IN_TOTO, &payload))
        .ok_or(AttestError::Sign)?;
    Bundle {
        material: Material::Key {
            hint: signer.key_id().to_owned(),
        },
        payload,
        signature,
        log_entries: Vec::new(),
        timestamps: Vec::new(),
    }
    .to_json()
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
    let bundle = Bundle::parse(bundle.as_bytes())?;
    let Material::Key { hint: key_id } = &bundle.material else {
        return Err(AttestError::NotSigned("model"));
    };
    if !check.check(key_id, &bundle.signed_bytes(), &bundle.signature) {
        return Err(AttestError::NotSigned("model"));
    }
    let manifest = Manifest::parse(&bundle.payload)?;
    if manifest.method != Method::Files || manifest.hash != HashType::Sha256 {
        return Err(malformed(
            "model signature",
            format!("it digests by {}, not whole files by sha256", manifest.hash),
        ));
    }
    if let Some(path) = manifest
        .ignore_paths
        .iter()
        .find(|path| !IGNORED.contains(&path.as_str()))
    {
        return Err(malformed(
            "model signature",
            format!("it leaves out `{path}`"),
        ));
    }
    compare(manifest.resources(), files)?;
    Ok(Verified {
        name: manifest.name.clone(),
        key_id: key_id.clone(),
        files: manifest.resources().len(),
    })
}

fn compare(resources: &[Resource], files: &[FileEntry]) -> Result<(), AttestError> {
    let differs = |path: &str, because| {
        Err(AttestError::File {
            path: path.to_owned(),
            because,
        })
    };
    let mut expected: BTreeMap<&str, &[u8]> = resources
        .iter()
        .map(|resource| (resource.path.as_str(), resource.digest.as_slice()))
        .collect();
    for file in signed(files) {
        match expected.remove(file.path.as_str()) {
            None => return differs(file.path.as_str(), "is not covered by the signature"),
            Some(digest) if digest != Digest::as_bytes(&file.sha256) => {
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
        let bundle = Bundle::parse(sign("m", &files, &key).unwrap().as_bytes()).unwrap();
        let payload = String::from_utf8(bundle.payload.clone()).unwrap();
        let payload = payload.replace("\".git\",", "\".git\",\"setup.py\",");
        let forged = Bundle {
            signature: key.sign(&pae(IN_TOTO, payload.as_bytes())).unwrap(),
            payload: payload.into_bytes(),
            ..bundle
        };
        assert!(
            verify(&forged.to_json().unwrap(), &files, &key)
                .unwrap_err()
                .to_string()
                .contains("leaves out `setup.py`")
        );
    }
}
