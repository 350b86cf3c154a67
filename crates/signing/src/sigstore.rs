//! Bundles of the Sigstore method, offline: a short-lived certificate, and the log that saw it used.
//!
//! The checks are those of `sigstore-verify`, all of them: the certificate leads to an authority of the
//! trusted root, at every proven time; its signed certificate timestamp; the entry of the log with proof of
//! inclusion, checkpoint and promise; that the entry is about this very signature, payload and certificate.
//! It reads the system's clock to refuse times that are still to come.

use custody_types::{Digest, Timestamp};
use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot as Root};
use sigstore_types::{Bundle, Sha256Hash, SignatureContent};
use sigstore_verify::{VerificationPolicy, VerificationResult, Verifier};

use crate::certificate::{Certificate, Identity};
use crate::timestamp::TimestampAuthority;

/// What is not believed about a Sigstore bundle or a trusted root, in the words of the library.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SigstoreError(String);

fn refused(error: impl std::fmt::Display) -> SigstoreError {
    SigstoreError(error.to_string())
}

/// Whom a Sigstore instance consists of: authorities, logs, timestamp authorities, each with its time.
pub struct TrustedRoot {
    verifier: Verifier,
    policy: VerificationPolicy,
    timestamps: Vec<TimestampAuthority>,
}

impl std::fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedRoot").finish_non_exhaustive()
    }
}

impl TrustedRoot {
    /// Reads the JSON form (`application/vnd.dev.sigstore.trustedroot+json`). A root without logs of
    /// certificates asks for no signed certificate timestamp: private instances seldom have such a log.
    ///
    /// # Errors
    /// [`SigstoreError`].
    pub fn from_json(text: &str) -> Result<Self, SigstoreError> {
        let root = Root::from_json(text).map_err(refused)?;
        let policy = VerificationPolicy::any_identity();
        Ok(Self {
            verifier: Verifier::new(&root).map_err(refused)?,
            policy: if root.ctlogs.is_empty() {
                policy.skip_sct()
            } else {
                policy
            },
            timestamps: root.tsa_authorities().into_iter().map(Into::into).collect(),
        })
    }

    /// Returns the public instance at `sigstore.dev`, as the library knew it when this program was built.
    ///
    /// # Errors
    /// [`SigstoreError`].
    pub fn public() -> Result<Self, SigstoreError> {
        Self::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT)
    }

    /// Returns the timestamp authorities.
    pub fn timestamp_authorities(&self) -> &[TimestampAuthority] {
        &self.timestamps
    }

    /// Returns who signed and the first proven time at which it was, for a bundle whose envelope has
    /// `signed_bytes` (the encoding that DSSE signs), over a statement whose subject has the digest `root`.
    ///
    /// # Errors
    /// [`SigstoreError`] of the first check that fails.
    pub fn verify(
        &self,
        bundle: &[u8],
        signed_bytes: &[u8],
        root: &Digest,
    ) -> Result<(Identity, Timestamp), SigstoreError> {
        let text = std::str::from_utf8(bundle).map_err(refused)?;
        let bundle = Bundle::from_json(text).map_err(refused)?;
        let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
            return Err(refused("it has no envelope"));
        };
        if envelope.pae() != signed_bytes {
            return Err(refused("two readers see two statements in it"));
        }
        let digest = Sha256Hash::new(*root.as_bytes());
        let result = self
            .verifier
            .verify(digest, &bundle, &self.policy)
            .map_err(refused)?;
        let certificate = bundle
            .signing_certificate()
            .ok_or_else(|| refused("it has no certificate"))?;
        let identity = Certificate::from_der(certificate.as_bytes())
            .and_then(|certificate| certificate.identity())
            .map_err(refused)?;
        Ok((identity, proven(&result)?))
    }
}

fn proven(result: &VerificationResult) -> Result<Timestamp, SigstoreError> {
    result
        .verified_timestamps()
        .iter()
        .min()
        .and_then(|time| Timestamp::from_unix_micros(time.as_microsecond()))
        .ok_or_else(|| refused("it proves no time"))
}
