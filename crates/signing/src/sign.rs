//! Signing a model.

use std::path::Path;

use custody_attest::AttestError;
use custody_attest::oms::bundle::Bundle;
use custody_attest::oms::manifest::Manifest;

use crate::hash::{self, HashError, Scheme};
use crate::keys::{KeyError, ModelSigner};
use crate::tree::{Model, TreeError, default_ignored};

/// Why a model cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Its files cannot be listed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Its files cannot be digested.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature cannot be written down.
    #[error(transparent)]
    Form(#[from] AttestError),
}

/// A signature that was made.
#[derive(Debug)]
pub struct Signed {
    /// The content of the signature file.
    pub bundle: String,
    /// What was signed.
    pub manifest: Manifest,
    /// Files and folders that are there and are not covered: the default ones, the signature, and
    /// empty files where shards are signed.
    pub not_covered: Vec<String>,
}

/// Signs `model`. `signature` is where the caller will write it: a file there is not signed itself.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    model: Model<'_>,
    signature: &Path,
    scheme: Scheme,
    signer: &dyn ModelSigner,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Signed, SignError> {
    let ignored = default_ignored(model.signature_path(signature)?);
    let tree = model.tree(&ignored)?;
    let files: Vec<_> = tree.files.iter().collect();
    let resources = hash::resources(&tree, &files, scheme, progress)?;
    if resources.is_empty() {
        return Err(TreeError::Empty(tree.name).into());
    }
    let manifest = Manifest::new(&tree.name, scheme.method, scheme.hash, ignored, resources)?;
    let mut not_covered = tree.left_out;
    if scheme.method != custody_attest::oms::manifest::Method::Files {
        let empty = tree.files.iter().filter(|file| file.size == 0);
        not_covered.extend(empty.map(|file| file.path.clone()));
    }
    Ok(Signed {
        bundle: seal(&manifest, signer)?.to_json()?,
        manifest,
        not_covered,
    })
}

/// Signs a manifest, and checks the signature before it is given out.
///
/// # Errors
/// [`SignError`].
pub fn seal(manifest: &Manifest, signer: &dyn ModelSigner) -> Result<Bundle, SignError> {
    let mut bundle = Bundle {
        material: signer.material(),
        payload: manifest.to_payload()?,
        signature: Vec::new(),
        log_entries: Vec::new(),
        timestamps: Vec::new(),
    };
    let message = bundle.signed_bytes();
    bundle.signature = signer.sign(&message)?;
    if signer.public().verify(&message, &bundle.signature) {
        Ok(bundle)
    } else {
        Err(KeyError::Inconsistent.into())
    }
}
