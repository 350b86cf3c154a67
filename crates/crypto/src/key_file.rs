//! The format of a key file, `custody-key/1`: a key-encryption key, in clear or under a passphrase.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody_types::{Digest, Entropy};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::aead::Ring;
use crate::floe::{self, Parameters};
use crate::secret::Secret;

const FORMAT: &str = "custody-key/1";
/// RFC 9106 §4, the second recommended choice: 64 MiB, three passes; one lane.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// The most that a key file may ask for, so that a forged one cannot exhaust the machine.
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;

/// Why a key file gives no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It is not a key file, or was changed.
    #[error("this is not a sound key file: {0}")]
    Unsound(String),
    /// It was written by a newer program.
    #[error("the key file has the format `{0}`, which this program does not know")]
    Newer(String),
    /// A passphrase is needed and none was given.
    #[error("the key file is under a passphrase, and none was given")]
    PassphraseNeeded,
    /// The passphrase is not the right one, or the file was changed.
    #[error("the passphrase does not open the key file")]
    WrongPassphrase,
}

#[derive(Serialize, Deserialize)]
struct Form {
    format: String,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Sealed>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    ciphertext: String,
}

/// A key-encryption key and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileKey {
    /// The id: 32 hexadecimal digits of the SHA-256 of a fixed text and the key.
    pub id: String,
    /// The key.
    pub key: Secret<32>,
}

impl FileKey {
    /// Draws a new key.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::of(Secret::generate(entropy))
    }

    fn of(key: Secret<32>) -> Self {
        let text =
            Zeroizing::new([b"custody-key-id/1".as_slice(), key.expose().as_slice()].concat());
        let id = Digest::of(&text).to_hex().chars().take(32).collect();
        Self { id, key }
    }

    /// Writes the file's text, under `passphrase` if there is one.
    ///
    /// # Errors
    /// [`KeyFileError::Unsound`] when the machine cannot give the memory for the passphrase.
    pub fn write(
        &self,
        passphrase: Option<&str>,
        entropy: &dyn Entropy,
    ) -> Result<String, KeyFileError> {
        let mut form = Form {
            format: FORMAT.to_owned(),
            id: self.id.clone(),
            key: None,
            sealed: None,
        };
        match passphrase {
            None => form.key = Some(BASE64.encode(self.key.expose())),
            Some(passphrase) => form.sealed = Some(self.seal(passphrase, entropy)?),
        }
        let mut text = serde_json::to_string_pretty(&form)
            .map_err(|error| KeyFileError::Unsound(error.to_string()))?;
        text.push('\n');
        Ok(text)
    }

    fn seal(&self, passphrase: &str, entropy: &dyn Entropy) -> Result<Sealed, KeyFileError> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt);
        let outer = stretch(passphrase, &salt, MEMORY_KIB, PASSES)?;
        let ciphertext = floe::seal_all(
            wrapping()?,
            Arc::new(Ring),
            &outer,
            self.id.as_bytes(),
            self.key.expose(),
            entropy,
        )
        .map_err(|error| KeyFileError::Unsound(error.to_string()))?;
        Ok(Sealed {
            kdf: "argon2id".to_owned(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: BASE64.encode(salt),
            ciphertext: BASE64.encode(ciphertext),
        })
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`KeyFileError`], a variant for each way in which it can be of no use.
    pub fn read(text: &str, passphrase: Option<&str>) -> Result<Self, KeyFileError> {
        let form: Form =
            serde_json::from_str(text).map_err(|error| KeyFileError::Unsound(error.to_string()))?;
        if form.format != FORMAT {
            return Err(KeyFileError::Newer(form.format));
        }
        let key = match (&form.key, &form.sealed, passphrase) {
            (Some(key), None, _) => secret(&decode(key)?)?,
            (None, Some(_), None) => return Err(KeyFileError::PassphraseNeeded),
            (None, Some(sealed), Some(passphrase)) => open(sealed, passphrase, &form.id)?,
            _ => {
                return Err(KeyFileError::Unsound(
                    "it must hold `key` or `sealed`".to_owned(),
                ));
            }
        };
        let read = Self::of(key);
        if read.id == form.id {
            Ok(read)
        } else {
            Err(KeyFileError::Unsound(
                "the key has not the id that the file names".to_owned(),
            ))
        }
    }
}

fn open(sealed: &Sealed, passphrase: &str, id: &str) -> Result<Secret<32>, KeyFileError> {
    if sealed.kdf != "argon2id" {
        return Err(KeyFileError::Newer(sealed.kdf.clone()));
    }
    if sealed.memory_kib > MOST_MEMORY_KIB || sealed.passes > MOST_PASSES {
        return Err(KeyFileError::Unsound(
            "it asks for more memory or passes than any key file needs".to_owned(),
        ));
    }
    let outer = stretch(
        passphrase,
        &decode(&sealed.salt)?,
        sealed.memory_kib,
        sealed.passes,
    )?;
    let ciphertext = decode(&sealed.ciphertext)?;
    let key = floe::open_all(
        wrapping()?,
        Arc::new(Ring),
        &outer,
        id.as_bytes(),
        &ciphertext,
    )
    .map(Zeroizing::new)
    .map_err(|_| KeyFileError::WrongPassphrase)?;
    secret(&key)
}

fn wrapping() -> Result<Parameters, KeyFileError> {
    Parameters::new(4096).map_err(|error| KeyFileError::Unsound(error.to_string()))
}

fn stretch(
    passphrase: &str,
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
) -> Result<Secret<32>, KeyFileError> {
    let unsound = |error: argon2::Error| KeyFileError::Unsound(error.to_string());
    let parameters = Params::new(memory_kib, passes, 1, Some(32)).map_err(unsound)?;
    let mut bytes = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(passphrase.as_bytes(), salt, bytes.as_mut_slice())
        .map_err(unsound)?;
    Ok(Secret::from_bytes(*bytes))
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    BASE64
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|error| KeyFileError::Unsound(error.to_string()))
}

fn secret(bytes: &[u8]) -> Result<Secret<32>, KeyFileError> {
    Secret::from_slice(bytes)
        .ok_or_else(|| KeyFileError::Unsound("the key has not 32 bytes".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counting;

    #[test]
    fn a_key_file_reads_back_with_its_passphrase_only() {
        let key = FileKey::generate(&Counting::new());
        let clear = key.write(None, &Counting::new()).unwrap();
        assert_eq!(FileKey::read(&clear, None), Ok(key.clone()));
        let sealed = key.write(Some("open sesame"), &Counting::new()).unwrap();
        assert_eq!(FileKey::read(&sealed, Some("open sesame")), Ok(key.clone()));
        assert_eq!(
            FileKey::read(&sealed, Some("open says me")),
            Err(KeyFileError::WrongPassphrase)
        );
        assert_eq!(
            FileKey::read(&sealed, None),
            Err(KeyFileError::PassphraseNeeded)
        );
        assert!(!sealed.contains(&BASE64.encode(key.key.expose())));
    }

    #[test]
    fn a_file_that_is_no_sound_key_file_says_so() {
        let clear = FileKey::generate(&Counting::new())
            .write(None, &Counting::new())
            .unwrap();
        let unsound =
            |text: &str| matches!(FileKey::read(text, None), Err(KeyFileError::Unsound(_)));
        assert!(unsound(""));
        assert!(unsound("{}"));
        assert!(unsound(&clear.replace("\"id\": \"", "\"id\": \"00")));
        assert!(unsound(&clear.replace("\"key\": \"", "\"key\": \"AAAA")));
        let newer = clear.replace("custody-key/1", "custody-key/9");
        assert_eq!(
            FileKey::read(&newer, None),
            Err(KeyFileError::Newer("custody-key/9".to_owned()))
        );
    }

    #[test]
    fn a_forged_file_cannot_exhaust_the_machine() {
        let sealed = FileKey::generate(&Counting::new())
            .write(Some("p"), &Counting::new())
            .unwrap();
        let greedy = sealed.replace("65536", "4294967295");
        assert!(matches!(
            FileKey::read(&greedy, Some("p")),
            Err(KeyFileError::Unsound(_))
        ));
    }
}
