//! ECDSA keys: the three curves of the specification, each with its hash.
//!
//! Source: `algorithm-registry.md` of the specification: P-256 with SHA-256, P-384 with SHA-384, P-521
//! with SHA-512, signatures in DER form. Ed25519 and RSA keys do not sign models.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _,
    UnparsedPublicKey,
};
use custody_types::{Digest, Entropy};
use der::asn1::{BitString, ObjectIdentifier};
use der::{Decode as _, Encode as _};
use pem::{EncodeConfig, LineEnding, Pem};
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::pkcs5::scrypt;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use x509_cert::spki::{AlgorithmIdentifier, SubjectPublicKeyInfo, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use crate::Material;

/// `id-ecPublicKey` of RFC 5480.
pub(crate) const EC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// What a new key signs to show that it works.
const SELF_CHECK: &[u8] = b"custody: does this key sign what it verifies?";

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text has no key in PEM form.
    #[error("there is no {0} in PEM form")]
    None(&'static str),
    /// The key is encrypted and no password was given.
    #[error("the private key is encrypted; give its password")]
    Locked,
    /// The password is not that of the key.
    #[error("the private key does not open with this password")]
    Password,
    /// The encryption is one that is too weak to be read.
    #[error(
        "the private key is encrypted in the old form of OpenSSL; convert it with `openssl pkcs8 -topk8`"
    )]
    OldEncryption,
    /// The key is not one on the three curves.
    #[error("the key is not an EC key on P-256, P-384 or P-521 in a readable form")]
    Curve,
    /// The key does not verify what it signed.
    #[error("the key does not verify what it signed; it or its device is damaged")]
    Inconsistent,
    /// The signature could not be made.
    #[error("the signature could not be made: {0}")]
    Sign(String),
    /// The certificate belongs to another key.
    #[error("the certificate `{0}` does not belong to the key that signs")]
    OtherCertificate(String),
    /// A certificate cannot be read.
    #[error("a certificate cannot be read: {0}")]
    Certificate(String),
}

/// The curve of a key; it settles the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// P-256 with SHA-256.
    P256,
    /// P-384 with SHA-384.
    P384,
    /// P-521 with SHA-512.
    P521,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// Returns the name of the curve in RFC 5480.
    pub const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::P256 => "1.2.840.10045.3.1.7",
            Self::P384 => "1.3.132.0.34",
            Self::P521 => "1.3.132.0.35",
        })
    }

    /// Returns the name of ECDSA with the curve's hash in RFC 5758.
    pub(crate) const fn signature_oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::P256 => "1.2.840.10045.4.3.2",
            Self::P384 => "1.2.840.10045.4.3.3",
            Self::P521 => "1.2.840.10045.4.3.4",
        })
    }

    /// Returns the length of a coordinate in bytes.
    pub(crate) const fn field_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::P521 => &ECDSA_P521_SHA512_ASN1,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}

/// A public key that verifies models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    curve: Curve,
    point: Vec<u8>,
    der: Vec<u8>,
    pem: String,
    id: String,
}

impl PublicKey {
    /// Reads the PEM form (`SubjectPublicKeyInfo`).
    ///
    /// # Errors
    /// [`KeyError`] when it is not one of a key on the three curves.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        blocks(text)?
            .iter()
            .find(|block| block.tag() == "PUBLIC KEY")
            .ok_or(KeyError::None("public key"))
            .and_then(|block| Self::from_der(block.contents()))
    }

    /// Reads the DER form (`SubjectPublicKeyInfo`).
    ///
    /// # Errors
    /// [`KeyError::Curve`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoOwned::from_der(der).map_err(|_| KeyError::Curve)?;
        let curve: ObjectIdentifier = info
            .algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.decode_as().ok())
            .ok_or(KeyError::Curve)?;
        let curve = Curve::ALL
            .into_iter()
            .find(|known| known.oid() == curve)
            .filter(|_| info.algorithm.oid == EC_KEY)
            .ok_or(KeyError::Curve)?;
        let point = info.subject_public_key.as_bytes().ok_or(KeyError::Curve)?;
        Self::from_point(curve, point)
    }

    /// Builds the key of an uncompressed point (SEC 1 §2.3.3).
    ///
    /// # Errors
    /// [`KeyError::Curve`] when the point does not lie on the curve.
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        let uncompressed =
            point.first() == Some(&4) && point.len().div_ceil(2) == curve.field_bytes() + 1;
        let on_curve = UnparsedPublicKey::new(curve.verification(), point).parse();
        if !uncompressed || on_curve.is_err() {
            return Err(KeyError::Curve);
        }
        let der = SubjectPublicKeyInfo {
            algorithm: AlgorithmIdentifier {
                oid: EC_KEY,
                parameters: Some(curve.oid()),
            },
            subject_public_key: BitString::from_bytes(point).map_err(|_| KeyError::Curve)?,
        }
        .to_der()
        .map_err(|_| KeyError::Curve)?;
        let pem = to_pem("PUBLIC KEY", &der);
        Ok(Self {
            curve,
            point: point.to_vec(),
            der,
            id: Digest::of(pem.as_bytes()).to_hex(),
            pem,
        })
    }

    /// Returns the curve.
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// Returns the DER form (`SubjectPublicKeyInfo`).
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the PEM form, with a final line break.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the key's fingerprint: the SHA-256 of its PEM form, in hexadecimal.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the identifier that certificates carry: 160 bits of the SHA-256 of the point (RFC 7093).
    pub(crate) fn short_id(&self) -> Vec<u8> {
        let hash = digest(&SHA256, &self.point);
        hash.as_ref().iter().take(20).copied().collect()
    }

    /// Returns whether `signature`, in DER form, was made over `message` by this key's other half.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.curve.verification(), &self.point)
            .verify(message, signature)
            .is_ok()
    }
}

/// Signs models: a port with one key behind it, wherever that lives.
///
/// Safe to use from several threads. [`ModelSigner::sign`] may block on a device.
pub trait ModelSigner: Send + Sync + fmt::Debug {
    /// Returns the public half of the key.
    fn public(&self) -> &PublicKey;

    /// Signs `message` with the hash of the curve; the signature is in DER form.
    ///
    /// # Errors
    /// [`KeyError::Sign`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Returns the curve.
    fn algorithm(&self) -> Curve {
        self.public().curve()
    }

    /// Returns what verifiers find the signer by: the fingerprint, unless there is a certificate.
    fn material(&self) -> Material {
        Material::Key {
            hint: self.public().id().to_owned(),
        }
    }
}

/// Signs and verifies a fixed message, so that a damaged key or device is found before it matters.
///
/// # Errors
/// [`KeyError::Inconsistent`] or [`KeyError::Sign`].
pub fn self_check(signer: &dyn ModelSigner) -> Result<(), KeyError> {
    let signature = signer.sign(SELF_CHECK)?;
    if signer.public().verify(SELF_CHECK, &signature) {
        Ok(())
    } else {
        Err(KeyError::Inconsistent)
    }
}

/// A private key in memory.
pub struct FileKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl FileKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`KeyError::Sign`] when the operating system gives no randomness.
    pub fn generate(curve: Curve) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(curve.signing())
            .map_err(|_| KeyError::Sign("no randomness".to_owned()))?;
        Self::of(curve, pair)
    }

    /// Reads a key in PEM form: PKCS#8, plain or encrypted (PBES2), or SEC 1.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str, password: Option<&[u8]>) -> Result<Self, KeyError> {
        let blocks = blocks(text)?;
        let block = blocks
            .iter()
            .find(|block| block.tag().ends_with("PRIVATE KEY"))
            .ok_or(KeyError::None("private key"))?;
        match (block.tag(), password) {
            _ if block.headers().get("Proc-Type").is_some() => Err(KeyError::OldEncryption),
            ("PRIVATE KEY" | "EC PRIVATE KEY", _) => Self::from_der(block.contents()),
            ("ENCRYPTED PRIVATE KEY", None) => Err(KeyError::Locked),
            ("ENCRYPTED PRIVATE KEY", Some(password)) => {
                let info = EncryptedPrivateKeyInfoRef::try_from(block.contents())
                    .map_err(|_| KeyError::Curve)?;
                let opened = info.decrypt(password).map_err(|_| KeyError::Password)?;
                Self::from_der(opened.as_bytes())
            }
            _ => Err(KeyError::Curve),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let (curve, pair) = Curve::ALL
            .into_iter()
            .find_map(|curve| {
                let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), der).ok()?;
                Some((curve, pair))
            })
            .ok_or(KeyError::Curve)?;
        let key = Self::of(curve, pair)?;
        self_check(&key)?;
        Ok(key)
    }

    fn of(curve: Curve, pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let public = PublicKey::from_point(curve, pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }

    /// Writes the key in PEM form (PKCS#8), for its owner alone.
    ///
    /// # Errors
    /// [`KeyError::Curve`]; cannot happen for a key that was generated or read.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| KeyError::Curve)?;
        Ok(Zeroizing::new(to_pem("PRIVATE KEY", der.as_ref())))
    }

    /// Writes the key in PEM form, encrypted with a password (PKCS#8, PBES2: scrypt with 16 MiB, five
    /// times, and AES-256): as strong as the old readers of this form take it.
    ///
    /// # Errors
    /// [`KeyError::Curve`]; cannot happen for a key that was generated or read.
    pub fn to_encrypted_pem(
        &self,
        password: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<String, KeyError> {
        let (mut salt, mut vector) = ([0; 16], [0; 16]);
        entropy.fill(&mut salt);
        entropy.fill(&mut vector);
        let der = self.pair.to_pkcs8v1().map_err(|_| KeyError::Curve)?;
        let encrypted = scrypt::Params::new(14, 8, 5)
            .ok()
            .and_then(|cost| Parameters::generate_scrypt_aes256cbc(cost, &salt, vector).ok())
            .and_then(|parameters| {
                let info = PrivateKeyInfoRef::try_from(der.as_ref()).ok()?;
                info.encrypt_with_params(parameters, password).ok()
            })
            .ok_or(KeyError::Curve)?;
        Ok(to_pem("ENCRYPTED PRIVATE KEY", encrypted.as_bytes()))
    }
}

impl ModelSigner for FileKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| KeyError::Sign("no randomness".to_owned()))
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey")
            .field("public", &self.public.id)
            .finish_non_exhaustive()
    }
}

/// Reads the blocks of a PEM text.
pub(crate) fn blocks(text: &str) -> Result<Vec<Pem>, KeyError> {
    pem::parse_many(text).map_err(|_| KeyError::None("block"))
}

/// Writes PEM as OpenSSL does: lines of 64 characters, ended by line feeds.
pub(crate) fn to_pem(tag: &str, der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(tag, der), config)
}
