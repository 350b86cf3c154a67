//! Attestations: formats only, no keys and no I/O.
//!
//! - [`dsse`]: signed envelopes;
//! - [`statement`]: in-toto statements and what they name;
//! - [`slsa`]: how something was made (SLSA provenance) and what was verified (VSA);
//! - [`oms`]: the OpenSSF model signature;
//! - [`claims`]: the attestations about a model in one file;
//! - [`cyclonedx`]: what a model was made of, as a bill of materials;
//! - [`dist_info`], [`lock`], [`package`], [`licence`]: what is known of Python packages.
#![forbid(unsafe_code)]

pub mod claims;
pub mod cyclonedx;
pub mod dist_info;
pub mod dsse;
pub mod licence;
pub mod lock;
pub mod oms;
pub mod package;
pub mod slsa;
pub mod statement;
#[cfg(test)]
mod testing;

/// Signs with ECDSA P-256 and SHA-256.
pub trait Sign {
    /// Returns the key's id: the SHA-256 of its PEM form, in hexadecimal.
    fn key_id(&self) -> &str;

    /// Returns the signature over `message` in DER form; `None` when it could not be made.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

/// Checks signatures.
pub trait Check {
    /// Returns whether `signature` is one of the key `key_id` over `message`. An unknown key: false.
    fn check(&self, key_id: &str, message: &[u8], signature: &[u8]) -> bool;
}

/// Why an attestation does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestError {
    /// It has not the form that it must have.
    #[error("the {what} has not the form that it must have: {because}")]
    Malformed {
        /// What.
        what: &'static str,
        /// In which way.
        because: String,
    },
    /// No signature of a trusted key holds.
    #[error("the {0} has no valid signature of a trusted key")]
    NotSigned(&'static str),
    /// The signature could not be made.
    #[error("the signature could not be made")]
    Sign,
    /// A file is not the one that was signed.
    #[error("`{path}` {because}")]
    File {
        /// The file.
        path: String,
        /// How it differs.
        because: &'static str,
    },
}

pub(crate) fn malformed(what: &'static str, because: impl std::fmt::Display) -> AttestError {
    AttestError::Malformed {
        what,
        because: custody_types::visible_line(&because.to_string()),
    }
}
