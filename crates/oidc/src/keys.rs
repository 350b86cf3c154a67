//! The keys of a provider (RFC 7517), and the signatures that they make (RFC 7518, RFC 8037).

use std::fmt;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value};

use crate::json::read_json;

/// How many keys a set has at most.
const MOST_KEYS: usize = 64;
/// How many bytes the modulus of an RSA key has: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// How long a coordinate on P-256, and a key of Ed25519, is in bytes.
const POINT: usize = 32;

/// The algorithms by which an ID token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Finds it by its name; of those that are not allowed there is none.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Why no key of a set is the one of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The set has no key of this name for this algorithm.
    #[error("the provider has no such key")]
    Unknown,
    /// It has several.
    #[error("the provider has several such keys")]
    Ambiguous,
    /// The signature is not by the key.
    #[error("the signature is not by the key of the provider")]
    Signature,
}

/// The keys that a provider signs with. Keys of kinds that are not used here are left out.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Clone)]
struct Key {
    name: Option<String>,
    /// The only algorithm that it is for, where the set says so.
    only: Option<Algorithm>,
    material: Material,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.name)
    }
}

#[derive(Clone)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256([u8; 2 * POINT + 1]),
    Ed25519([u8; POINT]),
}

impl KeySet {
    /// Reads a set of keys.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let read = read_json(bytes).map_err(|error| error.to_string())?;
        let keys = read.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or("it has no list `keys`")?;
        if keys.len() > MOST_KEYS {
            return Err(format!("it has more than {MOST_KEYS} keys"));
        }
        let known: Vec<_> = keys.iter().filter_map(Key::read).collect();
        if known.is_empty() {
            return Err("it has no key that a token can be verified with".to_owned());
        }
        Ok(Self(known))
    }

    /// Verifies a signature by the key with a name, where a token names one; else by the only one for the algorithm.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn verify(
        &self,
        algorithm: Algorithm,
        name: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        let fits = |key: &&Key| {
            key.is_for(algorithm) && name.is_none_or(|name| key.name.as_deref() == Some(name))
        };
        let mut fitting = self.0.iter().filter(fits);
        let key = fitting.next().ok_or(KeyError::Unknown)?;
        if fitting.next().is_some() {
            return Err(KeyError::Ambiguous);
        }
        let verified = key.verify(algorithm, message, signature);
        verified.then_some(()).ok_or(KeyError::Signature)
    }
}

impl Key {
    /// Reads a key; nothing where it is not for signatures, of another kind, or too weak.
    fn read(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        if text(fields, "use").is_some_and(|for_what| for_what != "sig") {
            return None;
        }
        if let Some(allowed) = fields.get("key_ops") {
            let allowed = allowed.as_array()?;
            if !allowed.iter().any(|one| one.as_str() == Some("verify")) {
                return None;
            }
        }
        let only = match text(fields, "alg") {
            Some(name) => Some(Algorithm::named(name)?),
            None => None,
        };
        let key = Self {
            name: text(fields, "kid").map(ToOwned::to_owned),
            only,
            material: Material::read(fields)?,
        };
        Some(key)
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        let fits = matches!(
            (&self.material, algorithm),
            (Material::Rsa { .. }, Algorithm::Rs256 | Algorithm::Ps256)
                | (Material::P256(_), Algorithm::Es256)
                | (Material::Ed25519(_), Algorithm::EdDsa)
        );
        fits && self.only.is_none_or(|only| only == algorithm)
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { modulus, exponent } => {
                let parameters: &RsaParameters = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                let key = PublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                key.verify(parameters, message, signature).is_ok()
            }
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

impl Material {
    fn read(fields: &Map<String, Value>) -> Option<Self> {
        let bytes = |name: &str| BASE64URL.decode(text(fields, name)?).ok();
        match (text(fields, "kty")?, text(fields, "crv")) {
            ("RSA", _) => {
                let (modulus, exponent) = (bytes("n")?, bytes("e")?);
                let good = MODULUS.contains(&modulus.len()) && (1..=8).contains(&exponent.len());
                good.then_some(Self::Rsa { modulus, exponent })
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != POINT || y.len() != POINT {
                    return None;
                }
                // Uncompressed, as SEC 1, section 2.3.3, has it.
                let point = [&[4][..], &x, &y].concat();
                point.try_into().ok().map(Self::P256)
            }
            ("OKP", Some("Ed25519")) => bytes("x")?.try_into().ok().map(Self::Ed25519),
            _ => None,
        }
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What standards give as examples: the key, and a message in the compact form that it signed.
    const SIGNED: [(&str, &str, Algorithm); 2] = [
        // RFC 7515, appendix A.3.
        (
            r#"{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            Algorithm::Es256,
        ),
        // RFC 8037, appendix A.4.
        (
            r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            Algorithm::EdDsa,
        ),
    ];

    #[test]
    fn what_the_standards_give_as_signed_is_and_with_a_byte_changed_it_is_not() {
        for (key, text, algorithm) in SIGNED {
            let set = KeySet::read(format!("{{\"keys\": [{key}]}}").as_bytes()).unwrap();
            let (message, signature) = text.rsplit_once('.').unwrap();
            let signature = BASE64URL.decode(signature).unwrap();
            let message = message.as_bytes();
            assert_eq!(set.verify(algorithm, None, message, &signature), Ok(()));
            for place in [0, message.len() - 1] {
                let mut changed = message.to_vec();
                changed[place] ^= 1;
                let verified = set.verify(algorithm, None, &changed, &signature);
                assert_eq!(verified, Err(KeyError::Signature));
            }
            let mut forged = signature.clone();
            forged[7] ^= 1;
            let verified = set.verify(algorithm, None, message, &forged);
            assert_eq!(verified, Err(KeyError::Signature));
            let named = set.verify(algorithm, Some("other"), message, &signature);
            assert_eq!(named, Err(KeyError::Unknown));
        }
    }
}
