//! Verifying a model signature: fail closed, and name what fails and the way out.
//!
//! In this order: the form of the bundle, who signed, whether the signature holds and may be believed, the
//! statement, what it leaves out, which files there are, and last their bytes.

mod files;

use std::fmt;
use std::path::Path;

use custody_attest::AttestError;
use custody_attest::oms::bundle::{Bundle, Material};
use custody_attest::oms::manifest::{HashType, Manifest};
use custody_types::visible_line;
use custody_types::{Digest, Timestamp};

use crate::certificate::{
    Certificate, CertificateError, Identity, RevocationList, Subject, Times, verify_chain,
};
use crate::hash::HashError;
use crate::keys::PublicKey;
use crate::sigstore::{SigstoreError, TrustedRoot};
use crate::timestamp::{self, TimestampAuthority, TimestampError};
use crate::tree::{Model, TreeError};

/// How many paths a message names.
const NAMED_PATHS: usize = 20;

/// Whose signature is asked for, where an authority vouches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signers {
    /// Anyone whom the authority vouches for.
    Any,
    /// One of these; an empty list believes no one.
    Only(Vec<ExpectedSigner>),
}

/// A signer by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedSigner {
    /// The name, exactly as the certificate has it.
    pub subject: Subject,
    /// Who must have vouched, as [`Identity::issuer`]; `None` for any trusted authority.
    pub issuer: Option<String>,
}

impl fmt::Display for ExpectedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.issuer {
            Some(issuer) => write!(f, "{} (by {issuer})", self.subject),
            None => write!(f, "{}", self.subject),
        }
    }
}

/// Whom the caller trusts.
#[derive(Debug)]
pub struct Trust {
    /// Keys that sign by themselves.
    pub keys: Vec<PublicKey>,
    /// Roots of certificate authorities.
    pub roots: Vec<Certificate>,
    /// Whom of those that an authority vouches for.
    pub signers: Signers,
    /// Certificates that were taken back.
    pub revocations: Vec<RevocationList>,
    /// Authorities that prove when a certificate's key signed.
    pub timestamps: Vec<TimestampAuthority>,
    /// The Sigstore instance.
    pub sigstore: Option<TrustedRoot>,
}

impl Default for Trust {
    /// Trusts no one.
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            roots: Vec::new(),
            signers: Signers::Only(Vec::new()),
            revocations: Vec::new(),
            timestamps: Vec::new(),
            sigstore: None,
        }
    }
}

/// What happens to files that are there and were not signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// The signature is refused.
    #[default]
    Refuse,
    /// They are reported.
    Allow,
}

/// What the caller makes of a model besides what was signed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What happens to files that were not signed.
    pub unlisted: Unlisted,
    /// Paths that the signer may have left out, besides the default ones and the signature.
    pub may_leave_out: Vec<String>,
}

/// Against which time certificates were judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBasis {
    /// Keys have no time.
    None,
    /// The time of the check: the signer's certificate is valid still.
    Now(Timestamp),
    /// A time at which a trusted log or timestamp authority saw the signature.
    Proven(Timestamp),
}

impl TimeBasis {
    /// Returns the proven time, if there is one.
    pub const fn proven(self) -> Option<Timestamp> {
        match self {
            Self::Proven(at) => Some(at),
            Self::None | Self::Now(_) => None,
        }
    }
}

/// By which method a model was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningMethod {
    /// A key known to the verifier.
    Key,
    /// A chain of certificates.
    Certificate,
    /// Sigstore.
    Sigstore,
}

impl SigningMethod {
    /// Returns the name of the method in the specification.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Sigstore => "sigstore",
        }
    }
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The key with this fingerprint.
    Key(String),
    /// Whom an authority vouches for.
    Identity(Identity),
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "the key {id}"),
            Self::Identity(identity) => write!(f, "{identity}"),
        }
    }
}

/// Why a file is not covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCovered {
    /// Every signer leaves it out: the files of git.
    Default,
    /// It is the signature.
    Signature,
    /// The signer left it out, and the caller allows that.
    LeftOut,
    /// It is empty, and signatures by shards name no empty files.
    Empty,
    /// It was not signed, and the caller allows that.
    Unlisted,
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// By which method.
    pub method: SigningMethod,
    /// Who signed.
    pub signer: Signer,
    /// What the signer called the model; nothing depends on it.
    pub name: String,
    /// The digest over all digests.
    pub root: Digest,
    /// With which function the files were digested.
    pub hash: HashType,
    /// The files whose bytes are those that were signed.
    pub covered: Vec<String>,
    /// How many bytes they have.
    pub covered_bytes: u64,
    /// What is there and is not covered.
    pub not_covered: Vec<(String, NotCovered)>,
    /// Against which time certificates were judged.
    pub time: TimeBasis,
}

/// How a model differs from what was signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Files with other bytes.
    pub changed: Vec<String>,
    /// Files that were signed and are not there.
    pub missing: Vec<String>,
    /// Files that are there and were not signed.
    pub unlisted: Vec<String>,
}

impl Differences {
    const fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.missing.is_empty() && self.unlisted.is_empty()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("changed", &self.changed),
            ("missing", &self.missing),
            ("not signed", &self.unlisted),
        ];
        let mut first = true;
        for (what, paths) in parts.into_iter().filter(|(_, paths)| !paths.is_empty()) {
            write!(
                f,
                "{}{what}: {}",
                if first { "" } else { "; " },
                list(paths)
            )?;
            first = false;
        }
        Ok(())
    }
}

/// Why a signature is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The bundle or its statement breaks a rule of the format.
    #[error(transparent)]
    Form(#[from] AttestError),
    /// No one is trusted who could have signed in this way.
    #[error("the model was signed by {0}, and nothing is given to verify that with")]
    NoTrust(&'static str),
    /// The key is not among the trusted ones.
    #[error("the model was signed by the key `{0}`, which is not trusted")]
    UnknownKey(String),
    /// The signature does not hold.
    #[error("the signature is not one of {0} over this statement")]
    Signature(String),
    /// The certificates do not lead to a trusted root.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Someone else signed.
    #[error("the model was signed by {found}, not by {expected}")]
    OtherSigner {
        /// Who.
        found: String,
        /// Who should have.
        expected: String,
    },
    /// It is not said whose signature is expected.
    #[error("the model was signed by {0}; it is not said whose signature is expected")]
    NoPolicy(String),
    /// The Sigstore bundle does not hold.
    #[error("the Sigstore bundle does not hold: {0}")]
    Sigstore(#[from] SigstoreError),
    /// The proof of time does not hold.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// The proven time lies ahead.
    #[error("the signature is said to have been made at {0}, which is still to come")]
    Future(String),
    /// The signer left files out.
    #[error("the signature leaves out {}", list(.0))]
    LeavesOut(Vec<String>),
    /// The files are not those that were signed.
    #[error("the model is not the one that was signed: {0}")]
    Files(Differences),
    /// The files cannot be listed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The files cannot be digested.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl VerifyError {
    /// Returns the way out, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoTrust("Sigstore") => Some(
                "give the trusted root of the Sigstore instance, and the signer that you expect",
            ),
            Self::NoTrust(_) => Some("give the signer's public key or the root of its authority"),
            Self::Sigstore(_) => Some(
                "the bundle was changed, or is of another instance than the trusted root; a root \
                 that is older than the signature may lack its log",
            ),
            Self::Timestamp(_) => {
                Some("give the certificates of the authority that made the timestamp")
            }
            Self::UnknownKey(_) => Some(
                "ask the signer for the public key by another way, and compare its fingerprint",
            ),
            Self::Signature(_) => {
                Some("the signature file was changed, or its key is another; fetch it again")
            }
            Self::Certificate(CertificateError::Expired { .. }) => Some(
                "sign again, or have signatures timestamped when they are made: `custody timestamp`",
            ),
            Self::Certificate(CertificateError::Untrusted { .. }) => {
                Some("give the root certificate of the signer's authority, if you trust it")
            }
            Self::OtherSigner { .. } | Self::NoPolicy(_) => {
                Some("name the signer that you expect, or say that any will do")
            }
            Self::LeavesOut(_) => {
                Some("these files can be changed by anyone; allow them by name, or have all signed")
            }
            Self::Files(_) => Some(
                "fetch the model again into a new folder; files that nobody signed are vouched for by nobody: look at them, and allow those that you need by name",
            ),
            _ => None,
        }
    }
}

/// Verifies `bundle`, the content of the file `signature`, against `model`, at the time `now`.
///
/// Files are read only when everything else holds, and only those that were signed.
///
/// # Errors
/// [`VerifyError`] of the first check that fails.
pub fn verify(
    model: Model<'_>,
    signature: &Path,
    bundle: &[u8],
    trust: &Trust,
    options: &Options,
    now: Timestamp,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Verified, VerifyError> {
    let parsed = Bundle::parse(bundle)?;
    let manifest = Manifest::parse(&parsed.payload)?;
    let (method, signer, time) = match &parsed.material {
        Material::Key { hint } => by_key(&parsed, hint, trust)?,
        Material::Certificates(chain) => by_certificate(&parsed, chain, trust, now)?,
        Material::Sigstore(_) => by_sigstore(&parsed, bundle, manifest.root(), trust, now)?,
    };
    let signature = model.signature_path(signature)?;
    files::check_left_out(&manifest, signature.as_deref(), options)?;
    let tree = model.tree(&files::rules(&manifest, signature.clone(), options))?;
    let mut verified = Verified {
        method,
        signer,
        name: manifest.name.clone(),
        root: manifest.root(),
        hash: manifest.hash,
        covered: Vec::new(),
        covered_bytes: 0,
        not_covered: files::left_out(&tree, signature.as_deref()),
        time,
    };
    files::compare(&manifest, &tree, options, progress, &mut verified)?;
    Ok(verified)
}

type Authentic = (SigningMethod, Signer, TimeBasis);

fn by_key(bundle: &Bundle, hint: &str, trust: &Trust) -> Result<Authentic, VerifyError> {
    let message = bundle.signed_bytes();
    let key = check_key(hint, &message, &bundle.signature, &trust.keys)?;
    let signer = Signer::Key(key.id().to_owned());
    Ok((SigningMethod::Key, signer, TimeBasis::None))
}

/// The chain must hold at every proven time, and at the time of the check when none is proven.
fn by_certificate(
    bundle: &Bundle,
    chain: &[Vec<u8>],
    trust: &Trust,
    now: Timestamp,
) -> Result<Authentic, VerifyError> {
    if trust.roots.is_empty() {
        return Err(VerifyError::NoTrust("a certificate"));
    }
    let proven = proven_times(bundle, &trust.timestamps, now)?;
    let at = |signed| {
        let times = Times { signed, now };
        verify_chain(chain, &trust.roots, &trust.revocations, times)
    };
    for &time in &proven {
        at(time)?;
    }
    let (signed, time) = match proven.iter().min() {
        Some(&first) => (first, TimeBasis::Proven(first)),
        None => (now, TimeBasis::Now(now)),
    };
    let leaf = at(signed)?;
    if !leaf.key.verify(&bundle.signed_bytes(), &bundle.signature) {
        return Err(VerifyError::Signature(leaf.identity.to_string()));
    }
    check_signer(&leaf.identity, &trust.signers)?;
    let signer = Signer::Identity(leaf.identity);
    Ok((SigningMethod::Certificate, signer, time))
}

/// Timestamps count only where someone is trusted with them; then each must hold.
fn proven_times(
    bundle: &Bundle,
    authorities: &[TimestampAuthority],
    now: Timestamp,
) -> Result<Vec<Timestamp>, VerifyError> {
    if authorities.is_empty() {
        return Ok(Vec::new());
    }
    bundle
        .timestamps
        .iter()
        .map(|token| {
            let time = timestamp::verify(token, &bundle.signature, authorities)?;
            past(time, now)
        })
        .collect()
}

fn by_sigstore(
    bundle: &Bundle,
    bytes: &[u8],
    root: Digest,
    trust: &Trust,
    now: Timestamp,
) -> Result<Authentic, VerifyError> {
    let instance = trust
        .sigstore
        .as_ref()
        .ok_or(VerifyError::NoTrust("Sigstore"))?;
    let (identity, time) = instance.verify(bytes, &bundle.signed_bytes(), &root)?;
    let time = past(time, now)?;
    check_signer(&identity, &trust.signers)?;
    let signer = Signer::Identity(identity);
    Ok((SigningMethod::Sigstore, signer, TimeBasis::Proven(time)))
}

fn past(time: Timestamp, now: Timestamp) -> Result<Timestamp, VerifyError> {
    if time > now {
        return Err(VerifyError::Future(time.to_seconds_text()));
    }
    Ok(time)
}

fn check_key<'a>(
    hint: &str,
    message: &[u8],
    signature: &[u8],
    keys: &'a [PublicKey],
) -> Result<&'a PublicKey, VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::NoTrust("a key"));
    }
    let mut named = keys
        .iter()
        .filter(|key| hint.is_empty() || key.id() == hint)
        .peekable();
    if named.peek().is_none() {
        return Err(VerifyError::UnknownKey(visible_line(
            &hint.chars().take(128).collect::<String>(),
        )));
    }
    named
        .find(|key| key.verify(message, signature))
        .ok_or_else(|| VerifyError::Signature("a trusted key".to_owned()))
}

fn check_signer(identity: &Identity, signers: &Signers) -> Result<(), VerifyError> {
    let Signers::Only(expected) = signers else {
        return Ok(());
    };
    if expected.is_empty() {
        return Err(VerifyError::NoPolicy(identity.to_string()));
    }
    let holds = expected.iter().any(|one| {
        let issuer = one.issuer.as_ref();
        identity.subjects.contains(&one.subject)
            && issuer.is_none_or(|issuer| *issuer == identity.issuer)
    });
    if holds {
        return Ok(());
    }
    let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
    Err(VerifyError::OtherSigner {
        found: identity.to_string(),
        expected: expected.join(" or "),
    })
}

fn list(paths: &[String]) -> String {
    let mut named: Vec<_> = paths
        .iter()
        .take(NAMED_PATHS)
        .map(|path| format!("`{}`", visible_line(path)))
        .collect();
    let more = paths.len().saturating_sub(NAMED_PATHS);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}
