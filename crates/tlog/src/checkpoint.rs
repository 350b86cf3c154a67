//! Checkpoints: the signed size and root of a log ([C2SP tlog-checkpoint](https://c2sp.org/tlog-checkpoint)).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::note::{NoteError, NoteSigner, NoteVerifier};
use crate::tree::Hash;

/// The size and root of a log at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Writes and signs it.
    pub fn sign(&self, signer: &NoteSigner) -> String {
        signer.sign(&format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64.encode(self.root)
        ))
    }

    /// Checks the signature and reads it. The origin must be the name of the key.
    ///
    /// # Errors
    /// [`NoteError`] when the note is not signed by `verifier` or is no checkpoint of its log.
    pub fn open(note: &str, verifier: &NoteVerifier) -> Result<Self, NoteError> {
        let text = verifier.open(note)?;
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Malformed);
        };
        let number: u64 = size.parse().map_err(|_| NoteError::Malformed)?;
        let root = BASE64
            .decode(root)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(NoteError::Malformed)?;
        if origin != verifier.name() || number.to_string() != size {
            return Err(NoteError::Malformed);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: number,
            root,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back() {
        let signer = NoteSigner::new("example.com/log", &[1; 32]).unwrap();
        let checkpoint = Checkpoint {
            origin: "example.com/log".to_owned(),
            size: 42,
            root: [7; 32],
        };
        let note = checkpoint.sign(&signer);
        assert_eq!(Checkpoint::open(&note, signer.verifier()), Ok(checkpoint));
        let other = Checkpoint {
            origin: "example.com/other".to_owned(),
            size: 42,
            root: [7; 32],
        };
        assert_eq!(
            Checkpoint::open(&other.sign(&signer), signer.verifier()),
            Err(NoteError::Malformed)
        );
        assert!(
            Checkpoint::open(
                &signer.sign("example.com/log\n042\nAAAA\n"),
                signer.verifier()
            )
            .is_err()
        );
    }
}
