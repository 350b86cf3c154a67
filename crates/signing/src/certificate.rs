//! Whether a chain of X.509 certificates leads from the key that signed to a trusted root.
//!
//! Source: RFC 5280 §6, in the profile of code signing, without name constraints and policies: a
//! certificate that has such constraints is refused, never followed without them. The certificate library
//! reads the DER form; the decisions are here, because web PKI libraries refuse the leafs that model
//! signers make (a leaf marked as an authority, but without the right to certify).

mod parse;

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use custody_types::Timestamp;
use der::asn1::ObjectIdentifier;

pub(crate) use self::parse::TOKEN_ISSUER;
pub use self::parse::{Certificate, RevocationList};
use crate::keys::{Curve, EC_KEY, PublicKey};

/// How many certificates may stand between the leaf and the root.
pub const MAX_INTERMEDIATES: usize = 8;
/// How many signatures are checked before the search for a chain ends.
const MAX_SIGNATURES: usize = 64;
/// `id-kp-codeSigning`.
pub(crate) const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// `anyExtendedKeyUsage`; it counts for authorities only.
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Why a chain of certificates is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is no certificate, or breaks a rule of its form.
    #[error("{what} cannot be read: {because}")]
    Malformed {
        /// Which.
        what: String,
        /// In which way.
        because: String,
    },
    /// The leaf's key is not one for models.
    #[error("the certificate `{0}` has no EC key on P-256, P-384 or P-521")]
    Key(String),
    /// The leaf may not sign code.
    #[error("the certificate `{subject}` may not sign models: {because}")]
    Usage {
        /// The leaf.
        subject: String,
        /// What it lacks.
        because: &'static str,
    },
    /// A certificate was not valid at the time.
    #[error("the certificate `{subject}` is valid from {from} to {to}, not at {at}")]
    Expired {
        /// Whose.
        subject: String,
        /// The first second.
        from: String,
        /// The last second.
        to: String,
        /// When it should have been.
        at: String,
    },
    /// No root of the caller's issued it.
    #[error("no trusted root issued the certificate `{subject}`, which names `{issuer}` as issuer")]
    Untrusted {
        /// The leaf.
        subject: String,
        /// Its issuer.
        issuer: String,
    },
    /// An authority on the way may not issue it.
    #[error("the authority `{subject}` may not issue this certificate: {because}")]
    Authority {
        /// The authority.
        subject: String,
        /// Why.
        because: &'static str,
    },
    /// The certificate was revoked.
    #[error("the certificate `{subject}` was revoked at {at}")]
    Revoked {
        /// Whose.
        subject: String,
        /// When.
        at: String,
    },
    /// A revocation list does not hold.
    #[error("the revocation list of `{issuer}` does not hold: {because}")]
    RevocationList {
        /// Whose.
        issuer: String,
        /// Why.
        because: String,
    },
}

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// An address of electronic mail.
    Email(String),
    /// A URI: `spiffe://org/train`, `https://ci.org/workflow`.
    Uri(String),
    /// A name of the domain name system.
    Dns(String),
}

impl Subject {
    /// Reads what a person writes: `://` makes a URI, `@` an address, the rest is a domain name.
    pub fn of(text: &str) -> Self {
        if text.contains("://") {
            Self::Uri(text.to_owned())
        } else if text.contains('@') {
            Self::Email(text.to_owned())
        } else {
            Self::Dns(text.to_owned())
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(text) | Self::Uri(text) | Self::Dns(text) => text,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who signed, as an authority vouches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The names in the certificate (its subject alternative names); there may be none.
    pub subjects: Vec<Subject>,
    /// Who vouched: the identity provider where the certificate names one (Fulcio's extension), or
    /// else the name of the authority that issued the certificate.
    pub issuer: String,
    /// The name of the certificate's holder (RFC 4514); often empty.
    pub holder: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subjects.is_empty() {
            write!(f, "{}", self.holder)?;
        }
        for (index, subject) in self.subjects.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{subject}")?;
        }
        write!(f, " (by {})", self.issuer)
    }
}

/// A leaf whose chain was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Who holds it.
    pub identity: Identity,
    /// The key that signs.
    pub key: PublicKey,
}

/// When a signature is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The time at which certificates must have been valid.
    pub signed: Timestamp,
    /// The time of the check: revocation lists must be fresh then.
    pub now: Timestamp,
}

/// Follows `chain` (DER, the leaf first) to one of `roots`. Every certificate must have been valid when
/// it was signed, and stand on no list of `revocations`.
///
/// # Errors
/// [`CertificateError`]: of the chain that came furthest.
pub fn verify_chain(
    chain: &[Vec<u8>],
    roots: &[Certificate],
    revocations: &[RevocationList],
    times: Times,
) -> Result<Leaf, CertificateError> {
    let chain = chain
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()?;
    let Some((leaf, others)) = chain.split_first() else {
        return Err(CertificateError::Malformed {
            what: "the chain".to_owned(),
            because: "it is empty".to_owned(),
        });
    };
    let key = leaf.check_leaf()?;
    leaf.check_time(times.signed)?;
    let mut search = Search {
        others,
        roots,
        revocations,
        times,
        signatures: MAX_SIGNATURES,
        failure: None,
    };
    if search.follow(&mut vec![leaf]) {
        return Ok(Leaf {
            identity: leaf.identity()?,
            key,
        });
    }
    Err(search
        .failure
        .unwrap_or_else(|| CertificateError::Untrusted {
            subject: leaf.subject_name(),
            issuer: leaf.issuer_name(),
        }))
}

struct Search<'a> {
    others: &'a [Certificate],
    roots: &'a [Certificate],
    revocations: &'a [RevocationList],
    times: Times,
    signatures: usize,
    failure: Option<CertificateError>,
}

impl<'a> Search<'a> {
    /// Extends a path to a root, depth first. The path is left as it was.
    fn follow(&mut self, path: &mut Vec<&'a Certificate>) -> bool {
        let Some(last) = path.last().copied() else {
            return false;
        };
        let (roots, others) = (self.roots, self.others);
        for root in roots {
            if last.names_issuer(root) && self.step(path, last, root, true) {
                return true;
            }
        }
        if path.len() > MAX_INTERMEDIATES {
            return false;
        }
        for other in others {
            let unseen = !path.iter().any(|seen| seen.der() == other.der());
            if unseen && last.names_issuer(other) && self.step(path, last, other, false) {
                path.push(other);
                if self.follow(path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }

    fn step(
        &mut self,
        path: &[&'a Certificate],
        last: &Certificate,
        issuer: &Certificate,
        root: bool,
    ) -> bool {
        let Some(left) = self.signatures.checked_sub(1) else {
            return false;
        };
        self.signatures = left;
        // Authorities may share a name: a signature that does not hold says only that it is another one.
        if !signature_holds(
            issuer,
            last.signed_part(),
            last.algorithm(),
            last.signature(),
        ) {
            return false;
        }
        let below = path
            .iter()
            .skip(1)
            .filter(|one| !one.is_self_issued())
            .count();
        let checked = issuer
            .check_authority(below, root)
            .and_then(|()| issuer.check_time(self.times.signed))
            .and_then(|()| self.check_revocation(last, issuer));
        match checked {
            Ok(()) => true,
            Err(error) => {
                self.failure = Some(error);
                false
            }
        }
    }

    fn check_revocation(
        &mut self,
        last: &Certificate,
        issuer: &Certificate,
    ) -> Result<(), CertificateError> {
        let revocations = self.revocations;
        for list in revocations.iter().filter(|list| list.is_of(issuer)) {
            self.signatures = self.signatures.saturating_sub(1);
            list.check(issuer, self.times.now)?;
            if let Some(at) = list.revoked_at(last) {
                return Err(CertificateError::Revoked {
                    subject: last.subject_name(),
                    at,
                });
            }
        }
        Ok(())
    }
}

/// Returns whether `signature` by the key of `issuer` over `message` holds.
fn signature_holds(
    issuer: &Certificate,
    message: &[u8],
    algorithm: ObjectIdentifier,
    signature: &[u8],
) -> bool {
    let (kind, key, der) = issuer.public_key();
    let curve = (kind == EC_KEY)
        .then(|| PublicKey::from_der(der).ok())
        .flatten()
        .map(|key| key.curve());
    verification(kind, curve.map(Curve::oid), algorithm).is_some_and(|algorithm| {
        UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .is_ok()
    })
}

/// Returns how a signature of an authority is checked: ECDSA on the three curves, RSA (PKCS#1 v1.5) from
/// 2048 bits, Ed25519; never with SHA-1.
fn verification(
    kind: ObjectIdentifier,
    curve: Option<ObjectIdentifier>,
    algorithm: ObjectIdentifier,
) -> Option<&'static dyn VerificationAlgorithm> {
    let kind = kind.to_string();
    let curve = curve.map(|curve| curve.to_string()).unwrap_or_default();
    let algorithm = algorithm.to_string();
    let known: [(&str, &str, &str, &'static dyn VerificationAlgorithm); 11] = [
        (
            "1.2.840.10045.2.1",
            "1.2.840.10045.3.1.7",
            "1.2.840.10045.4.3.2",
            &ECDSA_P256_SHA256_ASN1,
        ),
        (
            "1.2.840.10045.2.1",
            "1.2.840.10045.3.1.7",
            "1.2.840.10045.4.3.3",
            &ECDSA_P256_SHA384_ASN1,
        ),
        (
            "1.2.840.10045.2.1",
            "1.3.132.0.34",
            "1.2.840.10045.4.3.2",
            &ECDSA_P384_SHA256_ASN1,
        ),
        (
            "1.2.840.10045.2.1",
            "1.3.132.0.34",
            "1.2.840.10045.4.3.3",
            &ECDSA_P384_SHA384_ASN1,
        ),
        (
            "1.2.840.10045.2.1",
            "1.3.132.0.35",
            "1.2.840.10045.4.3.2",
            &ECDSA_P521_SHA256_ASN1,
        ),
        (
            "1.2.840.10045.2.1",
            "1.3.132.0.35",
            "1.2.840.10045.4.3.3",
            &ECDSA_P521_SHA384_ASN1,
        ),
        (
            "1.2.840.10045.2.1",
            "1.3.132.0.35",
            "1.2.840.10045.4.3.4",
            &ECDSA_P521_SHA512_ASN1,
        ),
        (
            "1.2.840.113549.1.1.1",
            "",
            "1.2.840.113549.1.1.11",
            &RSA_PKCS1_2048_8192_SHA256,
        ),
        (
            "1.2.840.113549.1.1.1",
            "",
            "1.2.840.113549.1.1.12",
            &RSA_PKCS1_2048_8192_SHA384,
        ),
        (
            "1.2.840.113549.1.1.1",
            "",
            "1.2.840.113549.1.1.13",
            &RSA_PKCS1_2048_8192_SHA512,
        ),
        ("1.3.101.112", "", "1.3.101.112", &ED25519),
    ];
    known
        .into_iter()
        .find(|(a, b, c, _)| (kind.as_str(), curve.as_str(), algorithm.as_str()) == (*a, *b, *c))
        .map(|(_, _, _, found)| found)
}
