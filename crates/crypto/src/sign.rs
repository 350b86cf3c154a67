//! Signatures of statements and models: ECDSA on P-256 with SHA-256 (FIPS 186-5), the one scheme that
//! all verifiers of in-toto and OpenSSF model signatures know.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody_types::Digest;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use zeroize::Zeroizing;

/// The fixed start of a `SubjectPublicKeyInfo` (RFC 5480) of an uncompressed P-256 point.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const POINT_BYTES: usize = 65;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureKeyError {
    /// No key could be made.
    #[error("no signing key could be generated")]
    Generate,
    /// The stored private key cannot be read.
    #[error("the signing key is not stored in a readable form")]
    Private,
    /// The text is not the public key of a P-256 pair in PEM form.
    #[error("this is not a P-256 public key in PEM form")]
    Public,
    /// The signature could not be made.
    #[error("the signature could not be made")]
    Sign,
}

/// A private key that signs.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    public: VerifyingKey,
}

impl SigningKey {
    /// Draws a new key pair and returns its PKCS#8 form, to be wrapped at once.
    ///
    /// # Errors
    /// [`SignatureKeyError::Generate`] when the operating system gives no randomness.
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, SignatureKeyError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map(|document| Zeroizing::new(document.as_ref().to_vec()))
            .map_err(|_| SignatureKeyError::Generate)
    }

    /// Reads the PKCS#8 form.
    ///
    /// # Errors
    /// [`SignatureKeyError::Private`] when it is not one of a P-256 pair.
    pub fn read(pkcs8: &[u8]) -> Result<Self, SignatureKeyError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &random)
            .map_err(|_| SignatureKeyError::Private)?;
        let public =
            VerifyingKey::of_point(pair.public_key().as_ref()).ok_or(SignatureKeyError::Private)?;
        Ok(Self {
            pair,
            random,
            public,
        })
    }

    /// Signs `message`; the signature is in DER form.
    ///
    /// # Errors
    /// [`SignatureKeyError::Sign`] when the operating system gives no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureKeyError> {
        self.pair
            .sign(&self.random, message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| SignatureKeyError::Sign)
    }

    /// Returns the public half.
    pub const fn public(&self) -> &VerifyingKey {
        &self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// A public key that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    point: Vec<u8>,
    pem: String,
    id: String,
}

impl VerifyingKey {
    fn of_point(point: &[u8]) -> Option<Self> {
        if point.len() != POINT_BYTES || point.first() != Some(&4) {
            return None;
        }
        let text = BASE64.encode([SPKI_PREFIX.as_slice(), point].concat());
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for (index, character) in text.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        let id = Digest::of(pem.as_bytes()).to_hex();
        Some(Self {
            point: point.to_vec(),
            pem,
            id,
        })
    }

    /// Reads the PEM form.
    ///
    /// # Errors
    /// [`SignatureKeyError::Public`] when it is not one of a P-256 key.
    pub fn read(pem: &str) -> Result<Self, SignatureKeyError> {
        let text: String = pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .map(str::trim)
            .collect();
        let der = BASE64.decode(text).map_err(|_| SignatureKeyError::Public)?;
        der.strip_prefix(SPKI_PREFIX.as_slice())
            .and_then(Self::of_point)
            .ok_or(SignatureKeyError::Public)
    }

    /// Returns the key in PEM form (`SubjectPublicKeyInfo`), with a final line break.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the key's id: the SHA-256 of its PEM form, in hexadecimal.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns whether `signature`, in DER form, was made over `message` by this key's other half.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(message, signature)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_and_key_only() {
        let key = SigningKey::read(&SigningKey::generate().unwrap()).unwrap();
        let other = SigningKey::read(&SigningKey::generate().unwrap()).unwrap();
        let signature = key.sign(b"message").unwrap();
        let public = VerifyingKey::read(key.public().pem()).unwrap();
        assert_eq!(&public, key.public());
        assert!(public.verify(b"message", &signature));
        assert!(!public.verify(b"massage", &signature));
        assert!(!other.public().verify(b"message", &signature));
        for index in 0..signature.len() {
            let mut changed = signature.clone();
            changed[index] ^= 1;
            assert!(!public.verify(b"message", &changed), "byte {index}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(
            VerifyingKey::read("").unwrap_err(),
            SignatureKeyError::Public
        );
        assert_eq!(
            VerifyingKey::read("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END").unwrap_err(),
            SignatureKeyError::Public
        );
        assert!(matches!(
            SigningKey::read(&[1, 2, 3]),
            Err(SignatureKeyError::Private)
        ));
    }
}
