//! What a caller expects of a model's signature, in a form that travels to whoever has the files.

use std::path::Path;

use custody_types::{Problem, Timestamp, code};
use serde::{Deserialize, Serialize};

use crate::certificate::{Certificate, RevocationList, Subject};
use crate::keys::{PublicKey, to_pem};
use crate::sigstore::TrustedRoot;
use crate::timestamp::TimestampAuthority;
use crate::tree::Model;
use crate::verify::{
    ExpectedSigner, Options, Signers, Trust, Unlisted, Verified, VerifyError, verify,
};

/// What names the public Sigstore instance where a trusted root is asked for.
pub const PUBLIC_INSTANCE: &str = "sigstore.dev";

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A signature, and whose it must be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerificationPolicy {
    /// The content of the signature file.
    pub bundle: String,
    /// The path of that file in the model; empty where it does not lie in it.
    pub path: String,
    /// Trusted public keys, in PEM.
    pub keys: Vec<Named>,
    /// Trusted root certificates, in PEM.
    pub roots: Vec<Named>,
    /// Revocation lists, in PEM.
    pub revocations: Vec<Named>,
    /// Trusted timestamp authorities: chains in PEM.
    pub timestamp_authorities: Vec<Named>,
    /// The trusted root of a Sigstore instance in JSON, or [`PUBLIC_INSTANCE`].
    pub trusted_root: Option<Named>,
    /// Who must have signed.
    pub signers: Vec<String>,
    /// Who must have vouched for them.
    pub issuer: Option<String>,
    /// Whether whoever an authority vouches for will do.
    pub any_identity: bool,
    /// Whether files that were not signed are only reported.
    pub allow_unlisted: bool,
    /// Paths that the signer may have left out.
    pub may_leave_out: Vec<String>,
}

/// A text, and the file that it comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The file.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// Why a verification policy is not met.
#[derive(Debug, thiserror::Error)]
pub enum ExpectationError {
    /// A key, a certificate, a list or a root is none.
    #[error("`{name}` cannot be used")]
    Unusable {
        /// Which.
        name: String,
        /// Why.
        #[source]
        because: Cause,
    },
    /// The signature does not hold.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl ExpectationError {
    /// Tells a person that the signature of `model` is not what was expected.
    pub fn problem(&self, model: &str) -> Problem {
        match self {
            Self::Unusable { because, .. } => {
                Problem::new(code::SIGN_002, self.to_string())
                    .because_of(because.as_ref())
                    .hint("give keys and certificates in PEM, and the trusted root of a Sigstore instance in JSON, as `cosign trusted-root create` writes it")
            }
            Self::Verify(error) => {
                let problem = Problem::new(
                    code::SIGN_005,
                    format!("the signature of `{model}` does not hold"),
                )
                .because_of(error);
                match error.hint() {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                }
            }
        }
    }
}

impl Named {
    /// Makes a text of a revocation list in PEM or DER.
    pub fn revocation_list(name: String, bytes: Vec<u8>) -> Self {
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| to_pem("X509 CRL", error.as_bytes()));
        Self { name, text }
    }

    fn read<T, E: Into<Cause>>(
        &self,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ExpectationError> {
        read(&self.text).map_err(|error| ExpectationError::Unusable {
            name: self.name.clone(),
            because: error.into(),
        })
    }
}

impl VerificationPolicy {
    /// Verifies the signature of `model` in the file `signature` at the time `now`, as [`verify`] does.
    ///
    /// # Errors
    /// [`ExpectationError`].
    pub fn verify(
        &self,
        model: Model<'_>,
        signature: &Path,
        now: Timestamp,
    ) -> Result<Verified, ExpectationError> {
        let options = Options {
            unlisted: if self.allow_unlisted {
                Unlisted::Allow
            } else {
                Unlisted::Refuse
            },
            may_leave_out: self.may_leave_out.clone(),
        };
        let verified = verify(
            model,
            signature,
            self.bundle.as_bytes(),
            &self.trust()?,
            &options,
            now,
            &|_| {},
        )?;
        Ok(verified)
    }

    fn trust(&self) -> Result<Trust, ExpectationError> {
        let mut trust = Trust::default();
        for key in &self.keys {
            trust.keys.push(key.read(PublicKey::from_pem)?);
        }
        for root in &self.roots {
            trust.roots.extend(root.read(Certificate::from_pem)?);
        }
        for list in &self.revocations {
            let list = list.read(|text| RevocationList::read(text.as_bytes()))?;
            trust.revocations.push(list);
        }
        for authority in &self.timestamp_authorities {
            let chain = authority.read(Certificate::from_pem)?;
            let authority = authority.read(|_| TimestampAuthority::new(&chain))?;
            trust.timestamps.push(authority);
        }
        if let Some(root) = &self.trusted_root {
            let root = root.read(|text| match text {
                PUBLIC_INSTANCE => TrustedRoot::public(),
                text => TrustedRoot::from_json(text),
            })?;
            trust
                .timestamps
                .extend_from_slice(root.timestamp_authorities());
            trust.sigstore = Some(root);
        }
        trust.signers = if self.any_identity {
            Signers::Any
        } else {
            let expected = self.signers.iter().map(|text| ExpectedSigner {
                subject: Subject::of(text),
                issuer: self.issuer.clone(),
            });
            Signers::Only(expected.collect())
        };
        Ok(trust)
    }
}
