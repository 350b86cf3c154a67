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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<NextForm>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    ciphertext: String,
}

/// The key that takes the place of the other: in clear or sealed, as that one is.
#[derive(Serialize, Deserialize)]
struct NextForm {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ciphertext: Option<String>,
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

    /// Takes a key that a file calls `id`.
    fn named(id: &str, key: &[u8]) -> Result<Self, KeyFileError> {
        let key = Secret::from_slice(key)
            .ok_or_else(|| KeyFileError::Unsound("the key has not 32 bytes".to_owned()))?;
        let read = Self::of(key);
        if read.id == id {
            Ok(read)
        } else {
            Err(KeyFileError::Unsound(
                "the key has not the id that the file names".to_owned(),
            ))
        }
    }
}

/// What a key file holds: a key-encryption key, and, from the beginning of a rotation to its end, the key that takes its
/// place. It remembers what its passphrase became, so that it can be written again without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    key: FileKey,
    next: Option<FileKey>,
    cover: Option<Cover>,
}

impl KeyFile {
    /// Begins a key file with `key`, under `passphrase` if there is one.
    ///
    /// # Errors
    /// [`KeyFileError::Unsound`] when the machine cannot give the memory for the passphrase.
    pub fn new(
        key: FileKey,
        passphrase: Option<&str>,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyFileError> {
        let file = Self {
            key,
            next: None,
            cover: None,
        };
        file.with_passphrase(passphrase, entropy)
    }

    /// Returns the key with the id `id`, if it is here.
    pub fn find(&self, id: &str) -> Option<&FileKey> {
        self.keys().find(|key| key.id == id)
    }

    /// Lists the keys: the one in use, then the one that takes its place.
    pub fn keys(&self) -> impl Iterator<Item = &FileKey> {
        std::iter::once(&self.key).chain(&self.next)
    }

    /// Returns whether it is under a passphrase.
    pub const fn is_under_passphrase(&self) -> bool {
        self.cover.is_some()
    }

    /// Returns whether it opens with `passphrase`, as a file in clear does with any and with none.
    ///
    /// # Errors
    /// [`KeyFileError::Unsound`] when the machine cannot give the memory for the passphrase.
    pub fn is_opened_by(&self, passphrase: Option<&str>) -> Result<bool, KeyFileError> {
        match (&self.cover, passphrase) {
            (None, _) => Ok(true),
            (Some(cover), Some(passphrase)) => {
                let (salt, memory, passes) = (&cover.salt, cover.memory_kib, cover.passes);
                Ok(stretch(passphrase, salt, memory, passes)? == cover.outer)
            }
            (Some(_), None) => Ok(false),
        }
    }

    /// Returns the same keys under another passphrase, or in clear.
    ///
    /// # Errors
    /// [`KeyFileError::Unsound`] when the machine cannot give the memory for the passphrase.
    pub fn with_passphrase(
        &self,
        passphrase: Option<&str>,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyFileError> {
        let cover = passphrase.map(|passphrase| Cover::new(passphrase, entropy));
        Ok(Self {
            cover: cover.transpose()?,
            ..self.clone()
        })
    }

    /// Returns the same with `next` as the key that takes the place of the one in use.
    #[must_use]
    pub fn with_next(&self, next: FileKey) -> Self {
        Self {
            next: Some(next),
            ..self.clone()
        }
    }

    /// Returns the same with the key `id` alone; `None` when it is not here.
    pub fn only(&self, id: &str) -> Option<Self> {
        Some(Self {
            key: self.find(id)?.clone(),
            next: None,
            cover: self.cover.clone(),
        })
    }

    /// Writes the file's text.
    ///
    /// # Errors
    /// [`KeyFileError::Unsound`] when a key cannot be sealed.
    pub fn write(&self, entropy: &dyn Entropy) -> Result<Zeroizing<String>, KeyFileError> {
        let mut form = Form {
            format: FORMAT.to_owned(),
            id: self.key.id.clone(),
            key: None,
            sealed: None,
            next: None,
        };
        match &self.cover {
            None => {
                form.key = Some(BASE64.encode(self.key.key.expose()));
                form.next = self.next.as_ref().map(|next| NextForm {
                    id: next.id.clone(),
                    key: Some(BASE64.encode(next.key.expose())),
                    ciphertext: None,
                });
            }
            Some(cover) => {
                form.sealed = Some(Sealed {
                    kdf: "argon2id".to_owned(),
                    memory_kib: cover.memory_kib,
                    passes: cover.passes,
                    salt: BASE64.encode(&cover.salt),
                    ciphertext: cover.seal(&self.key, entropy)?,
                });
                let next = self.next.as_ref().map(|next| {
                    Ok(NextForm {
                        id: next.id.clone(),
                        key: None,
                        ciphertext: Some(cover.seal(next, entropy)?),
                    })
                });
                form.next = next.transpose()?;
            }
        }
        let mut text = serde_json::to_string_pretty(&form)
            .map(Zeroizing::new)
            .map_err(|error| KeyFileError::Unsound(error.to_string()))?;
        text.push('\n');
        Ok(text)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`KeyFileError`], a variant for each way in which it can be of no use.
    pub fn read(text: &str, passphrase: Option<&str>) -> Result<Self, KeyFileError> {
        let form = parse(text)?;
        let cover = match (&form.sealed, passphrase) {
            (None, _) => None,
            (Some(_), None) => return Err(KeyFileError::PassphraseNeeded),
            (Some(sealed), Some(passphrase)) => Some(Cover::read(sealed, passphrase)?),
        };
        Self::open(&form, cover)
    }

    /// Reads the text of the same file at a later time, under the passphrase that it was under before.
    ///
    /// # Errors
    /// [`KeyFileError`], a variant for each way in which it can be of no use; [`KeyFileError::WrongPassphrase`] when it has
    /// another passphrase now, or none, or one where it had none.
    pub fn read_again(&self, text: &str) -> Result<Self, KeyFileError> {
        let form = parse(text)?;
        let is_same = match (&form.sealed, &self.cover) {
            (None, None) => true,
            (Some(sealed), Some(cover)) => {
                *decode(&sealed.salt)? == cover.salt
                    && (sealed.memory_kib, sealed.passes) == (cover.memory_kib, cover.passes)
            }
            _ => false,
        };
        if is_same {
            Self::open(&form, self.cover.clone())
        } else {
            Err(KeyFileError::WrongPassphrase)
        }
    }

    fn open(form: &Form, cover: Option<Cover>) -> Result<Self, KeyFileError> {
        let unsound = || KeyFileError::Unsound("it must hold `key` or `sealed`".to_owned());
        let key = match (&form.key, &form.sealed, &cover) {
            (Some(key), None, None) => decode(key)?,
            (None, Some(sealed), Some(cover)) => cover.open(&form.id, &sealed.ciphertext)?,
            _ => return Err(unsound()),
        };
        let next = form.next.as_ref().map(|next| {
            let key = match (&next.key, &next.ciphertext, &cover) {
                (Some(key), None, None) => decode(key)?,
                (None, Some(ciphertext), Some(cover)) => cover.open(&next.id, ciphertext)?,
                _ => return Err(unsound()),
            };
            FileKey::named(&next.id, &key)
        });
        Ok(Self {
            key: FileKey::named(&form.id, &key)?,
            next: next.transpose()?,
            cover,
        })
    }
}

fn parse(text: &str) -> Result<Form, KeyFileError> {
    let form: Form =
        serde_json::from_str(text).map_err(|error| KeyFileError::Unsound(error.to_string()))?;
    if form.format == FORMAT {
        Ok(form)
    } else {
        Err(KeyFileError::Newer(form.format))
    }
}

/// What a passphrase became: the key under which the keys of a file are, and how it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cover {
    outer: Secret<32>,
    salt: Vec<u8>,
    memory_kib: u32,
    passes: u32,
}

impl Cover {
    fn new(passphrase: &str, entropy: &dyn Entropy) -> Result<Self, KeyFileError> {
        let mut salt = vec![0; 16];
        entropy.fill(&mut salt);
        Ok(Self {
            outer: stretch(passphrase, &salt, MEMORY_KIB, PASSES)?,
            salt,
            memory_kib: MEMORY_KIB,
            passes: PASSES,
        })
    }

    fn read(sealed: &Sealed, passphrase: &str) -> Result<Self, KeyFileError> {
        if sealed.kdf != "argon2id" {
            return Err(KeyFileError::Newer(sealed.kdf.clone()));
        }
        if sealed.memory_kib > MOST_MEMORY_KIB || sealed.passes > MOST_PASSES {
            return Err(KeyFileError::Unsound(
                "it asks for more memory or passes than any key file needs".to_owned(),
            ));
        }
        let salt = decode(&sealed.salt)?.to_vec();
        Ok(Self {
            outer: stretch(passphrase, &salt, sealed.memory_kib, sealed.passes)?,
            salt,
            memory_kib: sealed.memory_kib,
            passes: sealed.passes,
        })
    }

    fn seal(&self, key: &FileKey, entropy: &dyn Entropy) -> Result<String, KeyFileError> {
        let (id, key) = (key.id.as_bytes(), key.key.expose());
        floe::seal_all(wrapping()?, Arc::new(Ring), &self.outer, id, key, entropy)
            .map(|ciphertext| BASE64.encode(ciphertext))
            .map_err(|error| KeyFileError::Unsound(error.to_string()))
    }

    fn open(&self, id: &str, ciphertext: &str) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        let ciphertext = decode(ciphertext)?;
        let id = id.as_bytes();
        floe::open_all(wrapping()?, Arc::new(Ring), &self.outer, id, &ciphertext)
            .map(Zeroizing::new)
            .map_err(|_| KeyFileError::WrongPassphrase)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counting;

    fn file(passphrase: Option<&str>) -> KeyFile {
        let key = FileKey::generate(&Counting::new());
        KeyFile::new(key, passphrase, &Counting::new()).unwrap()
    }

    fn text(file: &KeyFile) -> String {
        file.write(&Counting::new()).unwrap().to_string()
    }

    #[test]
    fn a_key_file_reads_back_with_its_passphrase_only() {
        let clear = file(None);
        assert_eq!(KeyFile::read(&text(&clear), None), Ok(clear.clone()));
        let sealed = file(Some("open sesame"));
        let written = text(&sealed);
        assert_eq!(
            KeyFile::read(&written, Some("open sesame")),
            Ok(sealed.clone())
        );
        for (passphrase, error) in [
            (Some("open says me"), KeyFileError::WrongPassphrase),
            (None, KeyFileError::PassphraseNeeded),
        ] {
            assert_eq!(KeyFile::read(&written, passphrase), Err(error));
        }
        assert_eq!(sealed.key, clear.key);
        assert!(!written.contains(&BASE64.encode(sealed.key.key.expose())));
    }

    #[test]
    fn both_keys_of_a_rotation_are_there_until_one_of_them_is_dropped() {
        for passphrase in [None, Some("open sesame")] {
            let old = file(passphrase);
            let second = FileKey::of(Secret::from_bytes([9; 32]));
            let both = old.with_next(second.clone());
            let written = text(&both);
            assert_eq!(KeyFile::read(&written, passphrase), Ok(both.clone()));
            assert_eq!(old.read_again(&written), Ok(both.clone()));
            assert_eq!(both.find(&old.key.id), Some(&old.key));
            assert_eq!(both.find(&second.id), Some(&second));
            let new = both.only(&second.id).unwrap();
            assert_eq!((new.find(&old.key.id), new.keys().count()), (None, 1));
            assert_eq!(both.only(&old.key.id), Some(old.clone()));
            assert_eq!(both.only("another"), None);
            // A key under a passphrase is in no file in clear, whichever of them it is.
            let has = |key: &FileKey| written.contains(&BASE64.encode(key.key.expose()));
            assert_eq!([has(&old.key), has(&second)], [passphrase.is_none(); 2]);
        }
    }

    #[test]
    fn another_passphrase_opens_the_same_key_and_the_old_one_opens_it_no_more() {
        let old = file(Some("open sesame"));
        assert_eq!(old.is_opened_by(Some("open sesame")), Ok(true));
        for wrong in [None, Some("open says me")] {
            assert_eq!(old.is_opened_by(wrong), Ok(false), "{wrong:?}");
        }
        let new = old
            .with_passphrase(Some("shut sesame"), &Counting::new())
            .unwrap();
        let written = text(&new);
        assert_eq!(
            KeyFile::read(&written, Some("open sesame")),
            Err(KeyFileError::WrongPassphrase)
        );
        let read = KeyFile::read(&written, Some("shut sesame")).unwrap();
        assert_eq!(read.key, old.key);
        // Who opened it before can't tell what is in it now.
        let clear = old.with_passphrase(None, &Counting::new()).unwrap();
        for any in [None, Some("open sesame")] {
            assert_eq!(clear.is_opened_by(any), Ok(true), "{any:?}");
        }
        for later in [&new, &clear] {
            let again = old.read_again(&text(later));
            assert_eq!(again, Err(KeyFileError::WrongPassphrase));
        }
        let again = clear.read_again(&text(&old));
        assert_eq!(again, Err(KeyFileError::WrongPassphrase));
    }

    #[test]
    fn a_file_that_is_no_sound_key_file_says_so() {
        let clear = text(&file(None));
        let unsound =
            |text: &str| matches!(KeyFile::read(text, None), Err(KeyFileError::Unsound(_)));
        assert!(unsound(""));
        assert!(unsound("{}"));
        assert!(unsound(&clear.replace("\"id\": \"", "\"id\": \"00")));
        assert!(unsound(&clear.replace("\"key\": \"", "\"key\": \"AAAA")));
        let two = text(&file(None).with_next(FileKey::of(Secret::from_bytes([9; 32]))));
        let (first, next) = two.split_once("\"next\"").unwrap();
        assert!(unsound(&format!(
            "{first}\"next\"{}",
            next.replace("\"id\": \"", "\"id\": \"00")
        )));
        assert!(unsound(&format!(
            "{first}\"next\"{}",
            next.replace("\"key\"", "\"ciphertext\"")
        )));
        let newer = clear.replace("custody-key/1", "custody-key/9");
        assert_eq!(
            KeyFile::read(&newer, None),
            Err(KeyFileError::Newer("custody-key/9".to_owned()))
        );
    }

    #[test]
    fn a_forged_file_cannot_exhaust_the_machine() {
        let greedy = text(&file(Some("p"))).replace("65536", "4294967295");
        assert!(matches!(
            KeyFile::read(&greedy, Some("p")),
            Err(KeyFileError::Unsound(_))
        ));
    }
}
