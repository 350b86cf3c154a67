//! The organisation's own certificate authority: signing without keys to keep.
//!
//! A root is made once. For each signature, [`Authority::issue`] draws a new key, certifies it for some
//! minutes under the name of the caller, and gives it out for one signature; then it is gone. Whoever
//! calls answers for the caller's name: it comes from a login, never from the caller.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use custody_types::{Entropy, Timestamp};
use der::asn1::{
    BitString, GeneralizedTime, Ia5String, ObjectIdentifier, OctetString, UtcTime, Utf8StringRef,
};
use der::{Any, Decode as _, Encode as _, Sequence};
use x509_cert::ext::pkix::constraints::BasicConstraints;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use crate::Material;
use crate::certificate::{CODE_SIGNING, Certificate, Subject, TOKEN_ISSUER};
use crate::keys::{Curve, FileKey, KeyError, ModelSigner, PublicKey};

/// How long a leaf is valid unless asked otherwise.
pub const LEAF_VALIDITY: Duration = Duration::from_mins(10);
/// How long a leaf may be valid.
pub const MAX_LEAF_VALIDITY: Duration = Duration::from_hours(24);
/// How long a root is valid: ten years.
pub const ROOT_VALIDITY: Duration = Duration::from_hours(3_652 * 24);
const SERIAL_BYTES: usize = 16;

/// Why a certificate cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The root does not belong to the key, or may not issue.
    #[error("`{0}` is not the certificate of an authority with this key")]
    Root(String),
    /// The name cannot stand in a certificate.
    #[error("`{0}` cannot stand in a certificate")]
    Name(String),
    /// The validity asked for is not allowed.
    #[error("a certificate for {0} seconds is not issued; at most {max} are", max = MAX_LEAF_VALIDITY.as_secs())]
    Validity(u64),
    /// The authority's certificate is not valid for as long.
    #[error("the authority's own certificate is not valid for this time")]
    Expired,
    /// The certificate cannot be written down.
    #[error("the certificate cannot be written: {0}")]
    Form(#[from] der::Error),
}

/// Whom a leaf is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The name: a URI or an address, from the login.
    pub subject: Subject,
    /// Who vouches for the name: the URL of the identity provider.
    pub issuer: Option<String>,
}

/// An authority that issues leafs for single signatures.
pub struct Authority {
    key: Box<dyn ModelSigner>,
    chain: Vec<Certificate>,
}

impl Authority {
    /// Makes a new authority: the certificate of `key`, signed by itself, valid for
    /// [`ROOT_VALIDITY`] from `now`.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn found(
        name: &str,
        key: Box<dyn ModelSigner>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, AuthorityError> {
        let subject = common_name(name)?;
        let certificate = Body {
            serial: serial(entropy)?,
            issuer: subject.clone(),
            subject,
            validity: validity(now, ROOT_VALIDITY)?,
            key: key.public().clone(),
            extensions: vec![
                extension(
                    "2.5.29.19",
                    true,
                    &BasicConstraints {
                        ca: true,
                        path_len_constraint: Some(1),
                    },
                )?,
                extension(
                    "2.5.29.15",
                    true,
                    &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign),
                )?,
                key_id(key.public())?,
            ],
        }
        .sign(key.as_ref())?;
        Self::open(key, vec![certificate])
    }

    /// Opens an authority: its key, and its certificate with those above it up to, not necessarily with,
    /// the root.
    ///
    /// # Errors
    /// [`AuthorityError::Root`] when the first is not one of an authority with this key.
    pub fn open(
        key: Box<dyn ModelSigner>,
        chain: Vec<Certificate>,
    ) -> Result<Self, AuthorityError> {
        let Some(own) = chain.first() else {
            return Err(AuthorityError::Root("nothing".to_owned()));
        };
        if own.key().as_ref() != Ok(key.public()) || !own.may_issue() {
            return Err(AuthorityError::Root(own.subject_name()));
        }
        Ok(Self { key, chain })
    }

    /// Returns the authority's certificate: the root, for verifiers.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.chain.first()
    }

    /// Issues a certificate for a new P-256 key that signs once. It is valid from a minute before `now`,
    /// for clocks that are behind, to `validity` after.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue(
        &self,
        holder: &Holder,
        now: Timestamp,
        valid: Duration,
        entropy: &dyn Entropy,
    ) -> Result<OneSignature, AuthorityError> {
        if valid.is_zero() || valid > MAX_LEAF_VALIDITY {
            return Err(AuthorityError::Validity(valid.as_secs()));
        }
        let own = self
            .certificate()
            .ok_or_else(|| AuthorityError::Root("nothing".to_owned()))?;
        let mut validity = validity(now, valid)?;
        // An authority that was founded just now vouches for nothing before.
        validity.not_before = own.begun(validity.not_before, now);
        if !own.covers(&validity) {
            return Err(AuthorityError::Expired);
        }
        let key = FileKey::generate(Curve::P256)?;
        let body = Body {
            serial: serial(entropy)?,
            issuer: own.holder().clone(),
            subject: Name::default(),
            validity,
            extensions: leaf_extensions(holder, key.public(), self.key.public())?,
            key: key.public().clone(),
        };
        let leaf = body.sign(self.key.as_ref())?;
        let chain = std::iter::once(leaf)
            .chain(self.chain.iter().cloned())
            .map(|certificate| certificate.der().to_vec())
            .collect();
        Ok(OneSignature {
            public: key.public().clone(),
            key: Mutex::new(Some(key)),
            chain,
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate())
            .finish_non_exhaustive()
    }
}

/// A signer whose key is gone after the first signature.
#[derive(Debug)]
pub struct OneSignature {
    key: Mutex<Option<FileKey>>,
    public: PublicKey,
    chain: Vec<Vec<u8>>,
}

impl ModelSigner for OneSignature {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = self.key.lock().ok().and_then(|mut key| key.take());
        key.ok_or_else(|| KeyError::Sign("this key has signed already".to_owned()))?
            .sign(message)
    }

    fn material(&self) -> Material {
        Material::Certificates(self.chain.clone())
    }
}

/// A signer with a certificate from elsewhere.
#[derive(Debug)]
pub struct Certified {
    key: Box<dyn ModelSigner>,
    chain: Vec<Vec<u8>>,
}

impl Certified {
    /// Joins a key with its certificate and those above that, the key's own first.
    ///
    /// # Errors
    /// [`KeyError::OtherCertificate`] when the first is not one of the key.
    pub fn new(key: Box<dyn ModelSigner>, chain: &[Certificate]) -> Result<Self, KeyError> {
        let own = chain.first().ok_or(KeyError::None("certificate"))?;
        if own.key()? != *key.public() {
            return Err(KeyError::OtherCertificate(own.subject_name()));
        }
        let chain = chain.iter().map(|one| one.der().to_vec()).collect();
        Ok(Self { key, chain })
    }
}

impl ModelSigner for Certified {
    fn public(&self) -> &PublicKey {
        self.key.public()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(message)
    }

    fn material(&self) -> Material {
        Material::Certificates(self.chain.clone())
    }
}

struct Body {
    serial: SerialNumber,
    issuer: Name,
    subject: Name,
    validity: Validity,
    key: PublicKey,
    extensions: Extensions,
}

/// `TBSCertificate` of RFC 5280 §4.1, version 3.
#[derive(Sequence)]
struct SignedPart {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial: SerialNumber,
    algorithm: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

#[derive(Sequence)]
struct Whole {
    signed_part: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

impl Body {
    fn sign(self, signer: &dyn ModelSigner) -> Result<Certificate, AuthorityError> {
        let algorithm = AlgorithmIdentifierOwned {
            oid: signer.algorithm().signature_oid(),
            parameters: None,
        };
        let signed_part = SignedPart {
            version: 2,
            serial: self.serial,
            algorithm: algorithm.clone(),
            issuer: self.issuer,
            validity: self.validity,
            subject: self.subject,
            key: SubjectPublicKeyInfoOwned::from_der(self.key.der())?,
            extensions: self.extensions,
        }
        .to_der()?;
        let whole = Whole {
            signature: BitString::from_bytes(&signer.sign(&signed_part)?)?,
            signed_part: Any::from_der(&signed_part)?,
            algorithm,
        };
        Certificate::from_der(&whole.to_der()?)
            .map_err(|error| KeyError::Certificate(error.to_string()).into())
    }
}

fn leaf_extensions(
    holder: &Holder,
    key: &PublicKey,
    authority: &PublicKey,
) -> Result<Extensions, AuthorityError> {
    let name = holder.subject.as_str();
    let text = Ia5String::new(name).map_err(|_| AuthorityError::Name(name.to_owned()))?;
    if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(AuthorityError::Name(name.to_owned()));
    }
    let name = match &holder.subject {
        Subject::Email(_) => GeneralName::Rfc822Name(text),
        Subject::Uri(_) => GeneralName::UniformResourceIdentifier(text),
        Subject::Dns(_) => GeneralName::DnsName(text),
    };
    let mut extensions = vec![
        extension(
            "2.5.29.15",
            true,
            &KeyUsage(KeyUsages::DigitalSignature.into()),
        )?,
        extension("2.5.29.37", false, &ExtendedKeyUsage(vec![CODE_SIGNING]))?,
        key_id(key)?,
        extension(
            "2.5.29.35",
            false,
            &AuthorityKeyIdentifier {
                key_identifier: Some(OctetString::new(authority.short_id())?),
                authority_cert_issuer: None,
                authority_cert_serial_number: None,
            },
        )?,
        // The subject is empty, so the name is critical (RFC 5280 §4.2.1.6).
        extension("2.5.29.17", true, &SubjectAltName(vec![name]))?,
    ];
    if let Some(issuer) = &holder.issuer {
        let value = Utf8StringRef::new(issuer)?.to_der()?;
        extensions.push(Extension {
            extn_id: TOKEN_ISSUER,
            critical: false,
            extn_value: OctetString::new(value)?,
        });
    }
    Ok(extensions)
}

fn extension(
    id: &str,
    critical: bool,
    value: &impl der::Encode,
) -> Result<Extension, AuthorityError> {
    Ok(Extension {
        extn_id: ObjectIdentifier::new(id).map_err(der::Error::from)?,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

fn key_id(key: &PublicKey) -> Result<Extension, AuthorityError> {
    let id = SubjectKeyIdentifier(OctetString::new(key.short_id())?);
    extension("2.5.29.14", false, &id)
}

/// Builds the name `CN=…` with the text as it is, whatever signs it has.
fn common_name(name: &str) -> Result<Name, AuthorityError> {
    use x509_cert::attr::AttributeTypeAndValue;
    use x509_cert::name::{RdnSequence, RelativeDistinguishedName};
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(AuthorityError::Name(name.to_owned()));
    }
    let mut part = RelativeDistinguishedName::default();
    part.insert(AttributeTypeAndValue {
        oid: ObjectIdentifier::new("2.5.4.3").map_err(der::Error::from)?,
        value: Any::encode_from(&Utf8StringRef::new(name)?)?,
    })?;
    let mut names = RdnSequence::default();
    names.push(part);
    Ok(Name::from_der(&names.to_der()?)?)
}

/// Draws a positive serial number of 127 bits.
fn serial(entropy: &dyn Entropy) -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; SERIAL_BYTES];
    entropy.fill(&mut bytes);
    let [first, ..] = &mut bytes;
    *first = (*first & 0x3f) | 0x40;
    Ok(SerialNumber::new(&bytes)?)
}

fn validity(now: Timestamp, valid: Duration) -> Result<Validity, AuthorityError> {
    let second = u64::try_from(now.unix_micros().div_euclid(1_000_000))
        .map_err(|_| AuthorityError::Expired)?;
    // RFC 5280 §4.1.2.5: two digits of the year up to 2049, four from then on.
    let time = |second: u64| -> Result<Time, AuthorityError> {
        let since = Duration::from_secs(second);
        match UtcTime::from_unix_duration(since) {
            Ok(time) => Ok(time.into()),
            Err(_) => Ok(GeneralizedTime::from_unix_duration(since)?.into()),
        }
    };
    Ok(Validity::new(
        time(second.saturating_sub(60))?,
        time(second.saturating_add(valid.as_secs()))?,
    ))
}
