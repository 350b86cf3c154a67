//! Proofs of time by RFC 3161: asking an authority for one, and checking what it answered.
//!
//! What is timestamped is the signature itself, as Sigstore does it. The token's form, its signature and its
//! chain are checked by `sigstore-tsa`.

use aws_lc_rs::digest::{SHA256, digest};
use custody_attest::oms::bundle::Bundle;
use custody_types::Timestamp;
use sigstore_tsa::{TsaAuthority, verify_timestamp_for_authority};
use sigstore_types::{DerCertificate, SignatureBytes, TimestampToken};

use crate::certificate::Certificate;

/// A `TimeStampReq` of version 1 over a SHA-256 digest, up to the digest's 32 bytes.
const QUERY: [u8; 24] = [
    0x30, 0x39, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
    0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
];
/// `certReq`: the answer shall hold the certificate of the authority.
const WITH_CERTIFICATE: [u8; 3] = [0x01, 0x01, 0xff];

/// Why a timestamp is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// The file names no authority.
    #[error("there is no certificate of a timestamp authority")]
    NoAuthority,
    /// None of the trusted authorities made this token over this signature.
    #[error("no trusted authority made this timestamp: {0}")]
    Untrusted(String),
    /// The time cannot be told.
    #[error("the time `{0}` cannot be told")]
    Time(String),
}

/// An authority whose timestamps are believed.
#[derive(Debug, Clone)]
pub struct TimestampAuthority(TsaAuthority);

impl TimestampAuthority {
    /// Trusts the authority of `chain`: its own certificate, those above it, and the root, in this order.
    ///
    /// # Errors
    /// [`TimestampError::NoAuthority`] when there is none.
    pub fn new(chain: &[Certificate]) -> Result<Self, TimestampError> {
        let der: Vec<_> = chain
            .iter()
            .map(|one| DerCertificate::new(one.der().to_vec()))
            .collect();
        let (Some(leaf), Some(root)) = (der.first(), der.last()) else {
            return Err(TimestampError::NoAuthority);
        };
        let between = der.get(1..der.len().saturating_sub(1)).unwrap_or_default();
        Ok(Self(TsaAuthority::new(
            leaf.clone(),
            between.to_vec(),
            root.clone(),
            None,
        )))
    }
}

impl From<TsaAuthority> for TimestampAuthority {
    fn from(authority: TsaAuthority) -> Self {
        Self(authority)
    }
}

/// Returns the question to a timestamp authority about the signature of `bundle`: a `TimeStampReq`, to be
/// sent as `application/timestamp-query`.
pub fn query(bundle: &Bundle) -> Vec<u8> {
    let imprint = digest(&SHA256, &bundle.signature);
    [&QUERY, imprint.as_ref(), &WITH_CERTIFICATE].concat()
}

/// Returns the time that one of `authorities` gave `signature` with `token`, its whole answer (a `TimeStampResp`).
///
/// # Errors
/// [`TimestampError`].
pub fn verify(
    token: &[u8],
    signature: &[u8],
    authorities: &[TimestampAuthority],
) -> Result<Timestamp, TimestampError> {
    let token = TimestampToken::new(token.to_vec());
    let signature = SignatureBytes::new(signature.to_vec());
    let mut refusal = TimestampError::NoAuthority;
    for authority in authorities {
        match verify_timestamp_for_authority(&token, &signature, &authority.0) {
            Ok(time) => {
                return Timestamp::from_unix_micros(time.as_microsecond())
                    .ok_or_else(|| TimestampError::Time(time.to_string()));
            }
            Err(error) => refusal = TimestampError::Untrusted(error.to_string()),
        }
    }
    Err(refusal)
}
