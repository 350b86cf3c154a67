//! Passwords as they are kept: Argon2id, in the form of PHC strings.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use custody_types::Entropy;

/// RFC 9106, section 4, the second recommended choice with one lane, as key files have it: 64 MiB, three passes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;

/// The password could not be hashed: the machine has not the memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct NotHashed(String);

/// Returns what is kept of a password. It takes 64 MiB and some tenths of a second.
///
/// # Errors
/// [`NotHashed`].
pub fn hash(password: &str, entropy: &dyn Entropy) -> Result<String, NotHashed> {
    let failed = |error: String| NotHashed(error);
    let parameters = Params::new(MEMORY_KIB, PASSES, 1, Some(32));
    let parameters = parameters.map_err(|error| failed(error.to_string()))?;
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| failed(error.to_string()))
}

/// Returns whether it is the password that [`hash`] was given. Where none is known (`kept` is `None`), it takes as long and
/// is not: how long it takes does not tell who has a password.
pub fn matches(password: &str, kept: Option<&str>) -> bool {
    /// Of a password that nobody knows: its digest is that of nothing.
    const NOBODY: &str = "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let Ok(hash) = PasswordHash::new(kept.unwrap_or(NOBODY)) else {
        return false;
    };
    let same = Argon2::default().verify_password(password.as_bytes(), &hash);
    same.is_ok() && kept.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counting;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let kept = hash("correct horse battery", &Counting::new()).unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"),
            "{kept}"
        );
        assert!(matches("correct horse battery", Some(&kept)));
        for (password, kept) in [
            ("correct horse batterx", Some(kept.as_str())),
            ("", Some(&kept)),
            ("correct horse battery", None),
            ("correct horse battery", Some("")),
            (
                "correct horse battery",
                Some("$argon2id$v=19$m=65536,t=3,p=1$AAAA"),
            ),
        ] {
            assert!(!matches(password, kept), "{password}, {kept:?}");
        }
    }

    /// What the reference implementation made: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e`.
    #[test]
    fn the_form_is_that_of_others() {
        const THEIRS: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(matches("password", Some(THEIRS)));
        assert!(!matches("passwore", Some(THEIRS)));
    }
}
