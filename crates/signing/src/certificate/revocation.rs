//! Lists of revoked certificates (RFC 5280 §5).
//!
//! `rustls-webpki` reads such lists too, but looks at one list of an authority only, never at when a list
//! begins, and at one time for lists and certificates.

use custody_types::{Timestamp, visible_line};
use der::Decode as _;
use x509_cert::crl::CertificateList;

use super::parse::{malformed, seconds, signed_part};
use super::path::signature_holds;
use super::{Certificate, CertificateError};
use crate::keys::blocks;

/// How long a revocation list may be, in bytes.
const MAX_LIST_BYTES: usize = 32 << 20;

/// A list of certificates that an authority takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    signed_part: Vec<u8>,
    parsed: CertificateList,
}

impl RevocationList {
    /// Reads the PEM form (`X509 CRL`) or the DER form.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, CertificateError> {
        let wrong = |because: String| malformed("a revocation list", because);
        if bytes.len() > MAX_LIST_BYTES {
            return Err(wrong(format!("it is longer than {MAX_LIST_BYTES} bytes")));
        }
        let block = std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| blocks(text).ok())
            .and_then(|blocks| blocks.into_iter().find(|block| block.tag() == "X509 CRL"));
        let der = block.as_ref().map_or(bytes, pem::Pem::contents);
        let parsed = CertificateList::from_der(der).map_err(|error| wrong(error.to_string()))?;
        if parsed.signature_algorithm != parsed.tbs_cert_list.signature {
            return Err(wrong("it names two signature algorithms".to_owned()));
        }
        Ok(Self {
            signed_part: signed_part(der).map_err(|error| wrong(error.to_string()))?,
            parsed,
        })
    }

    pub(super) fn is_of(&self, issuer: &Certificate) -> bool {
        &self.parsed.tbs_cert_list.issuer == issuer.holder()
    }

    pub(super) fn check(
        &self,
        issuer: &Certificate,
        now: Timestamp,
    ) -> Result<(), CertificateError> {
        let list = &self.parsed.tbs_cert_list;
        let refuse = |because: String| {
            Err(CertificateError::RevocationList {
                issuer: visible_line(&list.issuer.to_string()),
                because,
            })
        };
        let algorithm = &self.parsed.signature_algorithm;
        let signature = self.parsed.signature.as_bytes().unwrap_or_default();
        if !issuer.signs_lists() {
            return refuse("its key usage lacks the signing of lists".to_owned());
        }
        if !signature_holds(issuer, &self.signed_part, algorithm, signature) {
            return refuse("its signature is wrong".to_owned());
        }
        let entries = list.revoked_certificates.iter().flatten();
        let entries = entries.flat_map(|entry| entry.crl_entry_extensions.iter().flatten());
        let all = list.crl_extensions.iter().flatten().chain(entries);
        if let Some(unknown) = all.into_iter().find(|extension| extension.critical) {
            return refuse(format!(
                "the critical extension {} is not known",
                unknown.extn_id
            ));
        }
        let second = now.unix_micros().div_euclid(1_000_000);
        let begun = seconds(list.this_update).is_some_and(|from| from <= second);
        let ended = list
            .next_update
            .is_none_or(|next| seconds(next).is_none_or(|to| to < second));
        if !begun || ended {
            let until = list
                .next_update
                .map_or("no time".to_owned(), |next| next.to_string());
            return refuse(format!(
                "it is of {} and held until {until}; fetch a new one",
                list.this_update
            ));
        }
        Ok(())
    }

    pub(super) fn revoked_at(&self, certificate: &Certificate) -> Option<String> {
        self.parsed
            .tbs_cert_list
            .revoked_certificates
            .iter()
            .flatten()
            .find(|entry| entry.serial_number.as_bytes() == certificate.serial())
            .map(|entry| entry.revocation_date.to_string())
    }
}
