//! The path from a leaf to a trusted root, as `rustls-webpki` builds it.
//!
//! Its limits hold: six authorities between leaf and root, 100 signatures, never SHA-1, RSA from 2048 bits.
//! It looks at the root's name and key alone, at no key usage, and at the first revocation list of an
//! authority; so every path that it proposes passes [`Trust::judge`] too. It refuses a leaf that is marked as an
//! authority, which model signers make with `certtool`: such a leaf it sees without the mark ([`AsSigned`]).

use std::cell::RefCell;
use std::time::Duration;

use der::{Encode as _, EncodeValue as _};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    TrustAnchor, UnixTime,
};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter,
    VerifiedPath, anchor_from_trusted_cert,
};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::parse::{malformed, signed_part};
use super::{Certificate, CertificateError, RevocationList, Times};

/// The Boolean `TRUE`, by which basic constraints mark an authority.
const CA_TRUE: [u8; 3] = [0x01, 0x01, 0xff];

/// Whom the caller trusts, and when.
pub(super) struct Trust<'a> {
    pub(super) roots: &'a [Certificate],
    pub(super) revocations: &'a [RevocationList],
    pub(super) times: Times,
}

impl Trust<'_> {
    /// Follows the issuers of `leaf` through `others` to one of the roots.
    pub(super) fn follow(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
    ) -> Result<(), CertificateError> {
        let anchors = self.anchors()?;
        let between: Vec<_> = others
            .iter()
            .map(|one| CertificateDer::from(one.der()))
            .collect();
        let shown = without_mark(leaf).unwrap_or_else(|| leaf.der().to_vec());
        let shown_part =
            signed_part(&shown).map_err(|error| malformed(&leaf.subject_name(), error))?;
        let algorithms: Vec<_> = ALL_VERIFICATION_ALGS
            .iter()
            .map(|&inner| AsSigned {
                inner,
                shown: &shown_part,
                signed: leaf.signed_part(),
            })
            .collect();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            algorithms.iter().map(|one| one as _).collect();
        let der = CertificateDer::from(shown.as_slice());
        let end = EndEntityCert::try_from(&der).map_err(|error| unread(leaf, &error))?;
        let refusal = RefCell::new(None);
        let judge = |path: &VerifiedPath<'_>| {
            self.judge(leaf, path, &anchors).map_err(|error| {
                refusal.replace(Some(error));
                Error::UnknownIssuer
            })
        };
        let found = end.verify_for_usage(
            &algorithms,
            &anchors,
            &between,
            self.signed()?,
            JudgedLater,
            None,
            Some(&judge),
        );
        match found {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal
                .into_inner()
                .unwrap_or_else(|| self.explain(leaf, others, &error))),
        }
    }

    fn anchors(&self) -> Result<Vec<TrustAnchor<'static>>, CertificateError> {
        self.roots
            .iter()
            .map(|root| {
                anchor_from_trusted_cert(&CertificateDer::from(root.der()))
                    .map(|anchor| anchor.to_owned())
                    .map_err(|error| unread(root, &error))
            })
            .collect()
    }

    fn signed(&self) -> Result<UnixTime, CertificateError> {
        u64::try_from(self.times.signed.unix_micros().div_euclid(1_000_000))
            .map(|second| UnixTime::since_unix_epoch(Duration::from_secs(second)))
            .map_err(|error| malformed("the time of the signature", error))
    }

    /// Judges what webpki does not: the root, the usages of keys, and every list of revoked certificates.
    fn judge(
        &self,
        leaf: &Certificate,
        path: &VerifiedPath<'_>,
        anchors: &[TrustAnchor<'_>],
    ) -> Result<(), CertificateError> {
        let mut above = path
            .intermediate_certificates()
            .map(|one| Certificate::from_der(&one.der()))
            .collect::<Result<Vec<_>, _>>()?;
        let root = anchors
            .iter()
            .zip(self.roots)
            .find(|(anchor, _)| std::ptr::eq(*anchor, path.anchor()))
            .map(|(_, root)| root.clone())
            .ok_or_else(|| untrusted(leaf))?;
        root.check_time(self.times.signed)?;
        above.push(root);
        let last = above.len().saturating_sub(1);
        let mut below = leaf;
        for (count, issuer) in above.iter().enumerate() {
            issuer.check_authority(count, count == last)?;
            self.check_revocation(below, issuer)?;
            below = issuer;
        }
        Ok(())
    }

    fn check_revocation(
        &self,
        below: &Certificate,
        issuer: &Certificate,
    ) -> Result<(), CertificateError> {
        for list in self.revocations.iter().filter(|list| list.is_of(issuer)) {
            list.check(issuer, self.times.now)?;
            if let Some(at) = list.revoked_at(below) {
                return Err(CertificateError::Revoked {
                    subject: below.subject_name(),
                    at,
                });
            }
        }
        Ok(())
    }

    /// Says about which certificate `error` is; webpki does not.
    fn explain(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        error: &Error,
    ) -> CertificateError {
        let culprit = match error {
            Error::CertExpired { .. } | Error::CertNotValidYet { .. } => others
                .iter()
                .find_map(|one| one.check_time(self.times.signed).err()),
            Error::EndEntityUsedAsCa => others
                .iter()
                .find_map(|one| one.check_authority(0, false).err()),
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Some(untrusted(leaf)),
            _ => None,
        };
        culprit.unwrap_or_else(|| CertificateError::Path {
            subject: leaf.subject_name(),
            because: error.to_string(),
        })
    }
}

fn untrusted(leaf: &Certificate) -> CertificateError {
    CertificateError::Untrusted {
        subject: leaf.subject_name(),
        issuer: leaf.issuer_name(),
    }
}

fn unread(certificate: &Certificate, error: &Error) -> CertificateError {
    malformed(&certificate.subject_name(), error)
}

/// Returns whether `signature` by the key of `issuer` over `message` holds.
pub(super) fn signature_holds(
    issuer: &Certificate,
    message: &[u8],
    algorithm: &AlgorithmIdentifierOwned,
    signature: &[u8],
) -> bool {
    let mut id = Vec::new();
    let der = CertificateDer::from(issuer.der());
    let (Ok(()), Ok(issuer)) = (
        algorithm.encode_value(&mut id),
        EndEntityCert::try_from(&der),
    ) else {
        return false;
    };
    ALL_VERIFICATION_ALGS
        .iter()
        .filter(|known| *known.signature_alg_id() == *id)
        .any(|known| issuer.verify_signature(*known, message, signature).is_ok())
}

/// Leaves extended key usages to [`Certificate::check_leaf`] and [`Certificate::check_authority`], which know
/// that `anyExtendedKeyUsage` counts for authorities only.
struct JudgedLater;

impl ExtendedKeyUsageValidator for JudgedLater {
    fn validate(&self, _usages: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}

/// Returns the leaf without the mark of an authority: the `TRUE` of its basic constraints (RFC 5280 §4.2.1.9)
/// is `FALSE`. Where the mark is not found, webpki sees it and refuses the leaf.
fn without_mark(leaf: &Certificate) -> Option<Vec<u8>> {
    let mark = leaf.authority_mark()?.to_der().ok()?;
    let at = leaf
        .der()
        .windows(mark.len())
        .position(|part| part == mark)?;
    let value = mark.windows(3).rposition(|part| part == CA_TRUE)?;
    let mut der = leaf.der().to_vec();
    *der.get_mut(at.checked_add(value)?.checked_add(2)?)? = 0;
    Some(der)
}

/// Checks signatures over what the authority signed, also where webpki was shown the leaf without its mark.
#[derive(Debug)]
struct AsSigned<'a> {
    inner: &'static dyn SignatureVerificationAlgorithm,
    shown: &'a [u8],
    signed: &'a [u8],
}

impl SignatureVerificationAlgorithm for AsSigned<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let message = if message == self.shown {
            self.signed
        } else {
            message
        };
        self.inner.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}
