//! Certificates in DER form, and the rules that each keeps by itself.

use std::collections::HashSet;
use std::fmt;

use custody_types::Timestamp;
use custody_types::{steers, visible_line};
use der::asn1::{ObjectIdentifier, Utf8StringRef};
use der::{Decode, Encode as _, Reader as _, SliceReader};
use x509_cert::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::time::Time;

use super::{ANY_USAGE, CODE_SIGNING, CertificateError, Identity, Subject};
use crate::keys::{KeyError, PublicKey, blocks, to_pem};

/// How long a certificate may be, in bytes.
const MAX_BYTES: usize = 64 << 10;
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
/// The issuer of the identity token, in the extensions of Fulcio; the first is the text itself.
const OLD_TOKEN_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
pub(crate) const TOKEN_ISSUER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// What this program understands, and so may be critical.
const UNDERSTOOD: [ObjectIdentifier; 4] = [
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    EXTENDED_KEY_USAGE,
    SUBJECT_ALT_NAME,
];

/// An X.509 certificate of version 3 whose extensions are read.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    signed_part: Vec<u8>,
    key_der: Vec<u8>,
    parsed: x509_cert::Certificate,
    constraints: Option<BasicConstraints>,
    usage: Option<KeyUsage>,
    extended: Option<ExtendedKeyUsage>,
}

impl Certificate {
    /// Reads every certificate of a PEM text.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`], also when there is none.
    pub fn from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        let found = blocks(text)
            .unwrap_or_default()
            .iter()
            .filter(|block| block.tag() == "CERTIFICATE")
            .map(|block| Self::from_der(block.contents()))
            .collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() {
            return Err(malformed("the text", "there is no certificate in PEM form"));
        }
        Ok(found)
    }

    /// Reads the DER form.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let wrong = |because: String| malformed("a certificate", because);
        if der.len() > MAX_BYTES {
            return Err(wrong(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let parsed =
            x509_cert::Certificate::from_der(der).map_err(|error| wrong(error.to_string()))?;
        let body = parsed.tbs_certificate();
        let subject = body.subject().to_string();
        let extensions = body.extensions().map(Vec::as_slice).unwrap_or_default();
        check_extensions(extensions).map_err(|because| malformed(&subject, because))?;
        if body.version() != Version::V3 || body.signature() != parsed.signature_algorithm() {
            return Err(malformed(
                &subject,
                "it is not of version 3, or names two signature algorithms",
            ));
        }
        if body.issuer().is_empty() {
            return Err(malformed(&subject, "its issuer has no name"));
        }
        let key_der = body
            .subject_public_key_info()
            .to_der()
            .map_err(|error| malformed(&subject, error))?;
        Ok(Self {
            signed_part: signed_part(der).map_err(|error| malformed(&subject, error))?,
            constraints: extension(extensions, BASIC_CONSTRAINTS)?,
            usage: extension(extensions, KEY_USAGE)?,
            extended: extension(extensions, EXTENDED_KEY_USAGE)?,
            der: der.to_vec(),
            key_der,
            parsed,
        })
    }

    /// Returns the DER form.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the PEM form.
    pub fn to_pem(&self) -> String {
        to_pem("CERTIFICATE", &self.der)
    }

    /// Returns the name of the holder (RFC 4514).
    pub fn subject_name(&self) -> String {
        visible_line(&self.parsed.tbs_certificate().subject().to_string())
    }

    /// Returns the name of the authority that issued it.
    pub fn issuer_name(&self) -> String {
        visible_line(&self.parsed.tbs_certificate().issuer().to_string())
    }

    /// Returns the last second in which it is valid.
    pub fn expires(&self) -> Option<Timestamp> {
        timestamp(self.parsed.tbs_certificate().validity().not_after)
    }

    pub(crate) fn holder(&self) -> &x509_cert::name::Name {
        self.parsed.tbs_certificate().subject()
    }

    pub(crate) fn validity(&self) -> &x509_cert::time::Validity {
        self.parsed.tbs_certificate().validity()
    }

    pub(super) fn signed_part(&self) -> &[u8] {
        &self.signed_part
    }

    /// Returns the basic constraints of a certificate that they mark as an authority's.
    pub(super) fn authority_mark(&self) -> Option<&Extension> {
        self.constraints.as_ref().filter(|found| found.ca)?;
        let extensions = self.parsed.tbs_certificate().extensions();
        let mut all = extensions.into_iter().flatten();
        all.find(|extension| extension.extn_id == BASIC_CONSTRAINTS)
    }

    /// Returns whether the key may sign lists of revoked certificates.
    pub(super) fn signs_lists(&self) -> bool {
        self.usage.as_ref().is_none_or(KeyUsage::crl_sign)
    }

    /// Returns the holder's key, where it is one for models.
    ///
    /// # Errors
    /// [`KeyError::Curve`].
    pub fn key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_der(&self.key_der)
    }

    /// Checks that the holder may sign models, and returns the key.
    pub(super) fn check_leaf(&self) -> Result<PublicKey, CertificateError> {
        let refuse = |because| {
            Err(CertificateError::Usage {
                subject: self.subject_name(),
                because,
            })
        };
        let signs = self.usage.as_ref().map(KeyUsage::digital_signature);
        let code = self
            .extended
            .as_ref()
            .map(|extended| extended.0.contains(&CODE_SIGNING));
        let certifies = self.usage.as_ref().is_none_or(KeyUsage::key_cert_sign);
        if signs == Some(false) {
            return refuse("its key usage lacks digital signatures");
        }
        if code == Some(false) {
            return refuse("its extended key usage lacks code signing");
        }
        if signs.is_none() && code.is_none() {
            return refuse("it has neither a key usage nor an extended key usage");
        }
        if self.authority_mark().is_some() && certifies {
            return refuse("it is the certificate of an authority");
        }
        self.key()
            .map_err(|_| CertificateError::Key(self.subject_name()))
    }

    /// Checks that the holder may issue certificates with `below` authorities between it and the leaf.
    /// A root that was made without a key usage is trusted as it was configured.
    pub(super) fn check_authority(&self, below: usize, root: bool) -> Result<(), CertificateError> {
        let refuse = |because| {
            Err(CertificateError::Authority {
                subject: self.subject_name(),
                because,
            })
        };
        let Some(constraints) = self.constraints.as_ref().filter(|found| found.ca) else {
            return refuse("it is not the certificate of an authority");
        };
        match &self.usage {
            Some(usage) if !usage.key_cert_sign() => {
                return refuse("its key usage lacks certificate signing");
            }
            None if !root => return refuse("it has no key usage"),
            _ => {}
        }
        let limit = constraints.path_len_constraint.map(usize::from);
        if limit.is_some_and(|limit| below > limit) {
            return refuse("too many authorities stand below it");
        }
        let codes = |usage: &ObjectIdentifier| [CODE_SIGNING, ANY_USAGE].contains(usage);
        match &self.extended {
            Some(extended) if !extended.0.iter().any(codes) => {
                refuse("its extended key usage lacks code signing")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_time(&self, at: Timestamp) -> Result<(), CertificateError> {
        let validity = self.parsed.tbs_certificate().validity();
        let second = at.unix_micros().div_euclid(1_000_000);
        let (from, to) = (seconds(validity.not_before), seconds(validity.not_after));
        if from.is_some_and(|from| from <= second) && to.is_some_and(|to| second <= to) {
            return Ok(());
        }
        Err(CertificateError::Expired {
            subject: self.subject_name(),
            from: validity.not_before.to_string(),
            to: validity.not_after.to_string(),
            at: at.to_seconds_text(),
        })
    }

    /// Returns whom it names.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] when a name cannot be read.
    pub fn identity(&self) -> Result<Identity, CertificateError> {
        let body = self.parsed.tbs_certificate();
        let extensions = body.extensions().map(Vec::as_slice).unwrap_or_default();
        let names: Option<SubjectAltName> = extension(extensions, SUBJECT_ALT_NAME)?;
        let text = |name: &GeneralName| match name {
            GeneralName::Rfc822Name(text) => Some(Subject::Email(text.to_string())),
            GeneralName::UniformResourceIdentifier(text) => Some(Subject::Uri(text.to_string())),
            GeneralName::DnsName(text) => Some(Subject::Dns(text.to_string())),
            _ => None,
        };
        let subjects: Vec<_> = names
            .iter()
            .flat_map(|names| &names.0)
            .filter_map(text)
            .collect();
        let issuer = token_issuer(extensions).unwrap_or_else(|| self.issuer_name());
        let deceives = |name: &str| name.chars().any(steers);
        if deceives(&issuer) || subjects.iter().any(|subject| deceives(subject.as_str())) {
            return Err(malformed(
                &self.subject_name(),
                "a name in it has hidden characters",
            ));
        }
        Ok(Identity {
            subjects,
            issuer,
            holder: self.subject_name(),
        })
    }

    pub(super) fn serial(&self) -> &[u8] {
        self.parsed.tbs_certificate().serial_number().as_bytes()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject_name())
            .field("issuer", &self.issuer_name())
            .finish_non_exhaustive()
    }
}

pub(super) fn malformed(what: &str, because: impl fmt::Display) -> CertificateError {
    CertificateError::Malformed {
        what: visible_line(what),
        because: visible_line(&because.to_string()),
    }
}

/// Returns the bytes of the first member of the outer sequence, as they were signed.
pub(super) fn signed_part(der: &[u8]) -> Result<Vec<u8>, der::Error> {
    let mut reader = SliceReader::new(der)?;
    der::Header::decode(&mut reader)?;
    reader.tlv_bytes().map(<[u8]>::to_vec)
}

/// Refuses extensions that stand twice, that are critical and not understood, or that bind names.
fn check_extensions(extensions: &[Extension]) -> Result<(), String> {
    let mut seen = HashSet::new();
    for extension in extensions {
        let id = extension.extn_id;
        if !seen.insert(id) {
            return Err(format!("the extension {id} stands in it twice"));
        }
        if extension.critical && !UNDERSTOOD.contains(&id) {
            return Err(format!("the critical extension {id} is not known"));
        }
        if id == NAME_CONSTRAINTS {
            return Err("it binds names, which is not supported".to_owned());
        }
    }
    Ok(())
}

fn find(extensions: &[Extension], id: ObjectIdentifier) -> Option<&[u8]> {
    extensions
        .iter()
        .find(|extension| extension.extn_id == id)
        .map(|extension| extension.extn_value.as_bytes())
}

fn extension<'a, T: Decode<'a, Error = der::Error>>(
    extensions: &'a [Extension],
    id: ObjectIdentifier,
) -> Result<Option<T>, CertificateError> {
    find(extensions, id)
        .map(T::from_der)
        .transpose()
        .map_err(|error| malformed(&format!("the extension {id}"), error))
}

fn token_issuer(extensions: &[Extension]) -> Option<String> {
    let new = find(extensions, TOKEN_ISSUER)
        .and_then(|der| Utf8StringRef::from_der(der).ok())
        .map(|text| text.as_str().to_owned());
    new.or_else(|| {
        find(extensions, OLD_TOKEN_ISSUER).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    })
}

pub(super) fn seconds(time: Time) -> Option<i64> {
    i64::try_from(time.to_unix_duration().as_secs()).ok()
}

fn timestamp(time: Time) -> Option<Timestamp> {
    Timestamp::from_unix_micros(seconds(time)?.checked_mul(1_000_000)?)
}

impl Certificate {
    /// Returns whether the holder may issue leafs.
    pub(crate) fn may_issue(&self) -> bool {
        self.check_authority(0, true).is_ok()
    }

    /// Returns its own beginning where that lies between `time` and `now`, and else `time`.
    pub(crate) fn begun(&self, time: Time, now: Timestamp) -> Time {
        let own = self.validity().not_before;
        let now = now.unix_micros().div_euclid(1_000_000);
        if seconds(own) > seconds(time) && seconds(own) <= Some(now) {
            own
        } else {
            time
        }
    }

    /// Returns whether it is valid whenever a certificate of `validity` is.
    pub(crate) fn covers(&self, validity: &x509_cert::time::Validity) -> bool {
        let own = self.validity();
        seconds(own.not_before) <= seconds(validity.not_before)
            && seconds(validity.not_after) <= seconds(own.not_after)
    }
}
