//! A provider's keys, and tokens that they sign: for tests of who reads them.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "it is for tests, which may panic"
)]

use std::fmt;

use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

use crate::keys::{Algorithm, KeySet};

/// The issuer of its tokens, the client that they are for, and when they are made.
pub const ISSUER: &str = "https://issuer.example";
/// The client that its tokens are for.
pub const CLIENT: &str = "custody";
/// When its tokens are made, in seconds since 1970.
pub const NOW: i64 = 1_767_225_600;

/// A provider that signs by one key.
pub struct Provider {
    algorithm: Algorithm,
    key: Key,
    name: String,
}

enum Key {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.name)
    }
}

impl Provider {
    /// Makes one with a new key, always of the same name.
    pub fn signing(algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
            }
            Algorithm::Es256 => {
                Key::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            Algorithm::EdDsa => Key::Ed25519(Ed25519KeyPair::generate().unwrap()),
        };
        Self {
            algorithm,
            key,
            name: "key-1".to_owned(),
        }
    }

    /// Gives its key another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Returns the name of its key.
    pub fn key_name(&self) -> &str {
        &self.name
    }

    /// Returns its key as a set has it (RFC 7517).
    pub fn key_json(&self) -> Value {
        let text = |bytes: &[u8]| BASE64URL.encode(bytes);
        let mut key = match &self.key {
            Key::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": text(public.modulus().big_endian_without_leading_zero()),
                    "e": text(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Key::Ecdsa(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap().split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Key::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
        };
        let fields = key.as_object_mut().unwrap();
        fields.insert("kid".to_owned(), json!(self.name));
        fields.insert("use".to_owned(), json!("sig"));
        fields.insert("alg".to_owned(), json!(self.algorithm.as_str()));
        key
    }

    /// Returns its set of keys.
    pub fn keys(&self) -> KeySet {
        KeySet::read(&self.keys_json()).unwrap()
    }

    /// Returns its set of keys as it is fetched.
    pub fn keys_json(&self) -> Vec<u8> {
        json!({"keys": [self.key_json()]}).to_string().into_bytes()
    }

    /// Returns claims that are as they must be.
    pub fn claims(&self, nonce: &str) -> Value {
        json!({
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": "subject-1",
            "nonce": nonce,
            "iat": NOW - 1,
            "exp": NOW + 300,
            "email": "ada@example.com",
        })
    }

    /// Returns a header that is as it must be.
    pub fn header(&self) -> String {
        json!({"alg": self.algorithm.as_str(), "kid": self.name, "typ": "JWT"}).to_string()
    }

    /// Signs a token.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), &claims.to_string())
    }

    /// Signs a token of these parts.
    pub fn token_with(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(pair) => {
                let padding: &dyn aws_lc_rs::signature::RsaEncoding = match self.algorithm {
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Key::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Makes what somebody makes who takes its public key for a secret that both sides share.
    pub fn shared_secret_forgery(&self, claims: &Value) -> String {
        let header = json!({"alg": "HS256", "kid": self.name}).to_string();
        let signed = format!(
            "{}.{}",
            BASE64URL.encode(header),
            BASE64URL.encode(claims.to_string())
        );
        let public = match &self.key {
            Key::Rsa(pair) => {
                let der: PublicKeyX509Der<'_> =
                    aws_lc_rs::encoding::AsDer::as_der(pair.public_key()).unwrap();
                der.as_ref().to_vec()
            }
            Key::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        };
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &public),
            signed.as_bytes(),
        );
        format!("{signed}.{}", BASE64URL.encode(tag))
    }

    /// Returns the `at_hash` of an access token.
    pub fn hash(&self, access_token: &str) -> String {
        let algorithm = match self.algorithm {
            Algorithm::EdDsa => &digest::SHA512,
            _ => &digest::SHA256,
        };
        let hash = digest::digest(algorithm, access_token.as_bytes());
        let (half, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
        BASE64URL.encode(half)
    }
}
