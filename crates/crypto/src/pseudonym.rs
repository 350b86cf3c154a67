//! Pseudonyms: how a person stands in the ledger.

use ring::hmac;

use crate::secret::Secret;

/// Returns the pseudonym of `subject`: 32 hexadecimal digits of HMAC-SHA-256 under the workspace's key.
///
/// Without the key nobody can tell whose it is, or try names; with it, the same subject always has the
/// same pseudonym.
pub fn pseudonym(key: &Secret<32>, subject: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let tag = hmac::sign(&key, subject.as_bytes());
    hex::encode(tag.as_ref().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_depends_on_key_and_subject_alone() {
        let (one, other) = (Secret::from_bytes([1; 32]), Secret::from_bytes([2; 32]));
        let ada = pseudonym(&one, "user:ada");
        assert_eq!(ada.len(), 32);
        assert_eq!(ada, pseudonym(&one, "user:ada"));
        assert_ne!(ada, pseudonym(&one, "user:rex"));
        assert_ne!(ada, pseudonym(&other, "user:ada"));
    }
}
