//! Whether a chain of X.509 certificates leads from the key that signed to a trusted root.
//!
//! Source: RFC 5280 §6, in the profile of code signing, without name constraints and policies: a
//! certificate that has such constraints is refused, never followed without them. `x509-cert` reads the DER
//! form, `rustls-webpki` builds the path (`path.rs`); what code signing asks beyond the web's rules is
//! decided here: the usages of keys, and all about the root, which web PKI trusts as it is.

mod parse;
mod path;
mod revocation;

use std::fmt;

use custody_types::Timestamp;
use der::asn1::ObjectIdentifier;

pub use self::parse::Certificate;
pub(crate) use self::parse::TOKEN_ISSUER;
pub use self::revocation::RevocationList;
use crate::keys::PublicKey;

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
    /// The path to the root breaks another rule.
    #[error("the certificate `{subject}` does not lead to a trusted root: {because}")]
    Path {
        /// The leaf.
        subject: String,
        /// Which rule.
        because: String,
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
    let trust = path::Trust {
        roots,
        revocations,
        times,
    };
    trust.follow(leaf, others)?;
    Ok(Leaf {
        identity: leaf.identity()?,
        key,
    })
}
