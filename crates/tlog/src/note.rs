//! Signed notes with Ed25519 ([C2SP signed-note](https://c2sp.org/signed-note)).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};

/// The signature type of Ed25519.
const ED25519_TYPE: u8 = 1;

/// Why a note or key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text has not the form of a note.
    #[error("this has not the form of a signed note")]
    Malformed,
    /// No signature of the note is by the key, or it does not hold.
    #[error("the note has no valid signature of `{0}`")]
    NotSigned(String),
    /// The text is not a verifier key, or the name not one for a key.
    #[error("this is not a verifier key of a signed note")]
    Key,
}

/// Signs notes.
pub struct NoteSigner {
    pair: Ed25519KeyPair,
    verifier: NoteVerifier,
}

impl std::fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoteSigner")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

/// Checks notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    key: [u8; 32],
}

impl NoteSigner {
    /// Makes the signer `name` from a secret seed.
    ///
    /// # Errors
    /// [`NoteError::Key`] when the name is empty or has a space, a plus sign or a line break.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Key)?;
        let key = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| NoteError::Key)?;
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c == '+') {
            return Err(NoteError::Key);
        }
        Ok(Self {
            pair,
            verifier: NoteVerifier {
                name: name.to_owned(),
                key,
            },
        })
    }

    /// Returns the public half.
    pub const fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// Signs `text`, which ends with a line break.
    pub fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let mut bytes = self.verifier.key_hash().to_vec();
        bytes.extend_from_slice(signature.as_ref());
        format!(
            "{text}\n— {} {}\n",
            self.verifier.name,
            BASE64.encode(bytes)
        )
    }
}

impl NoteVerifier {
    /// Returns the name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn key_hash(&self) -> [u8; 4] {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::new()
            .chain_update(&self.name)
            .chain_update(*b"\n")
            .chain_update([ED25519_TYPE])
            .chain_update(self.key)
            .finalize()
            .into();
        [a, b, c, d]
    }

    /// Writes the verifier key: `<name>+<hash>+<key>`.
    pub fn vkey(&self) -> String {
        let mut bytes = vec![ED25519_TYPE];
        bytes.extend_from_slice(&self.key);
        format!(
            "{}+{:08x}+{}",
            self.name,
            u32::from_be_bytes(self.key_hash()),
            BASE64.encode(bytes)
        )
    }

    /// Reads a verifier key.
    ///
    /// # Errors
    /// [`NoteError::Key`] when it is not one of Ed25519.
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let mut parts = vkey.trim().splitn(3, '+');
        let (name, hash, key) = (parts.next(), parts.next(), parts.next());
        let (Some(name), Some(hash), Some(key)) = (name, hash, key) else {
            return Err(NoteError::Key);
        };
        let bytes = BASE64.decode(key).map_err(|_| NoteError::Key)?;
        let key = match bytes.split_first() {
            Some((&ED25519_TYPE, key)) => key.try_into().map_err(|_| NoteError::Key)?,
            _ => return Err(NoteError::Key),
        };
        let verifier = Self {
            name: name.to_owned(),
            key,
        };
        let same = format!("{:08x}", u32::from_be_bytes(verifier.key_hash())) == hash;
        if same {
            Ok(verifier)
        } else {
            Err(NoteError::Key)
        }
    }

    /// Checks that a note is signed by this key and returns its text, with the final line break.
    ///
    /// # Errors
    /// [`NoteError`] when it has not the form of a note or no valid signature of this key.
    pub fn open<'n>(&self, note: &'n str) -> Result<&'n str, NoteError> {
        let (body, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let text = note.get(..=body.len()).ok_or(NoteError::Malformed)?;
        for line in signatures.lines() {
            let Some((name, signature)) = line
                .strip_prefix("— ")
                .and_then(|rest| rest.split_once(' '))
            else {
                return Err(NoteError::Malformed);
            };
            let bytes = BASE64.decode(signature).map_err(|_| NoteError::Malformed)?;
            let Some((hash, signature)) = bytes.split_first_chunk::<4>() else {
                return Err(NoteError::Malformed);
            };
            if name == self.name && *hash == self.key_hash() {
                let key = UnparsedPublicKey::new(&ED25519, &self.key);
                return match key.verify(text.as_bytes(), signature) {
                    Ok(()) => Ok(text),
                    Err(_) => Err(NoteError::NotSigned(self.name.clone())),
                };
            }
        }
        Err(NoteError::NotSigned(self.name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_opens_with_its_key_only() {
        let signer = NoteSigner::new("example.com/log", &[1; 32]).unwrap();
        let note = signer.sign("one\ntwo\n");
        let verifier = NoteVerifier::parse(&signer.verifier().vkey()).unwrap();
        assert_eq!(verifier.open(&note), Ok("one\ntwo\n"));
        let other = NoteSigner::new("example.com/log", &[2; 32]).unwrap();
        assert!(other.verifier().open(&note).is_err());
        for index in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[index] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(verifier.open(&changed).is_err(), "byte {index}");
            }
        }
    }

    #[test]
    fn the_example_key_of_the_specification_reads() {
        let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(NoteVerifier::parse(vkey).unwrap().vkey(), vkey);
        for bad in [
            "",
            "a+b",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert_eq!(NoteVerifier::parse(bad), Err(NoteError::Key));
        }
    }
}
