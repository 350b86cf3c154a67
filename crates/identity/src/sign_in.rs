//! How people sign in over the network: a password and the code of an authenticator, which they set by an invitation.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use custody_types::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::token::{Token, TokenId};

/// How many characters a password has at least, and bytes at most.
const FEWEST: usize = 12;
const MOST: usize = 1024;
/// How many bytes of a password are looked at for how soon it is guessed.
const JUDGED: usize = 128;

/// A password as it is hashed: in the normal form NFC of Unicode, so that it is the same from every keyboard.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Why a text can be no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It is too short or too long.
    #[error("it must have at least 12 characters, and at most 1024 bytes")]
    Length,
    /// It is guessed soon.
    #[error("it is guessed soon{0}")]
    Guessed(String),
}

impl Password {
    /// Takes over what somebody typed to sign in.
    pub fn typed(text: &str) -> Self {
        let kept = text.chars().take(MOST);
        Self(Zeroizing::new(kept.nfc().collect()))
    }

    /// Takes over a new password of `account`.
    ///
    /// # Errors
    /// [`WeakPassword`] when it is short, or soon guessed: it is a common one, a word, a date, or near the account's name.
    pub fn new(text: &str, account: &str) -> Result<Self, WeakPassword> {
        let password = Self::typed(text);
        let length = password.0.chars().count();
        if length < FEWEST || text.len() > MOST {
            return Err(WeakPassword::Length);
        }
        let judged = password.0.get(..password.0.floor_char_boundary(JUDGED));
        let judged = judged.unwrap_or_default();
        let found = zxcvbn::zxcvbn(judged, &[account, "custody"]);
        if found.score() >= zxcvbn::Score::Three {
            return Ok(password);
        }
        let why = found
            .feedback()
            .and_then(zxcvbn::feedback::Feedback::warning);
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        Err(WeakPassword::Guessed(why))
    }

    /// Lends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The people who sign in, by the names of their accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIns {
    /// What is known of each.
    pub people: BTreeMap<String, SignInRecord>,
}

impl SignIns {
    /// Reads what [`SignIns::to_text`] wrote.
    ///
    /// # Errors
    /// [`serde_json::Error`] when it is not that.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Writes them, in order.
    ///
    /// # Errors
    /// [`serde_json::Error`], which no people cause.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

/// How somebody signs in, or may come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SignInRecord {
    /// Who comes with this code sets a password and an authenticator, once.
    Invited(Invitation),
    /// By these.
    Set {
        /// The password, hashed: a PHC string.
        password: String,
        /// The secret of the authenticator, sealed, in base64.
        authenticator: String,
        /// Since when.
        since: Timestamp,
    },
}

/// What is known of an invitation: a token names it and is its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Its name.
    pub id: TokenId,
    /// The SHA-256 of its secret.
    pub hash: Digest,
    /// Until when it counts.
    pub expires: Timestamp,
}

impl Invitation {
    /// Returns whether this is its code, at `now`.
    pub fn is(&self, code: &str, now: Timestamp) -> bool {
        Token::from_str(code).is_ok_and(|token| {
            *token.id() == self.id && token.is_of(&self.hash) && now < self.expires
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_and_not_soon_guessed() {
        for good in [
            "tulpen aus amsterdam 1956 grün",
            "xK4#vQ9z!pLm2",
            "пароль не из словаря 47",
        ] {
            assert!(Password::new(good, "ada").is_ok(), "{good}");
        }
        for short in ["", "short", "elevenchars", &"x".repeat(1025)] {
            assert_eq!(
                Password::new(short, "ada").unwrap_err(),
                WeakPassword::Length,
                "{short}"
            );
        }
        for guessed in [
            "password1234",
            "aaaaaaaaaaaaaaaa",
            "123456789012",
            "qwertyuiopasdf",
            "ada-lovelace-1815",
            "custodycustody",
        ] {
            let told = Password::new(guessed, "ada-lovelace").unwrap_err();
            assert!(
                matches!(told, WeakPassword::Guessed(_)),
                "{guessed}: {told}"
            );
        }
        // Two ways to type the same letters.
        let composed = Password::typed("Gr\u{fc}n gr\u{fc}n");
        assert_eq!(
            composed.expose(),
            Password::typed("Gru\u{308}n gru\u{308}n").expose()
        );
        assert!(!format!("{composed:?}").contains("Gr"));
    }
}
