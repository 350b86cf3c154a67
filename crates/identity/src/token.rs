//! Tokens: secrets by which a program, or a person at a terminal, shows which account it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use custody_types::{Action, Digest, Entropy, ProjectName, Purpose, Timestamp};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::authentication::ShownToken;
use crate::directory::Party;

/// What every token begins with, so that it is recognised where it should not be.
const PREFIX: &str = "cst_";
const ID_LETTERS: usize = 22;
const SECRET_LETTERS: usize = 43;
const SUM_LETTERS: usize = 6;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Names a token without giving it away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

impl FromStr for TokenId {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = text.len() == ID_LETTERS && text.bytes().all(|byte| LETTERS.contains(&byte));
        good.then(|| Self(text.to_owned())).ok_or(NoToken)
    }
}

impl TryFrom<String> for TokenId {
    type Error = NoToken;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text has not the form of a token, or a letter of it is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has not the form of a token")]
pub struct NoToken;

/// A token with its secret. It is shown once, and kept by nobody here.
#[derive(Clone)]
pub struct Token {
    id: TokenId,
    secret: Zeroizing<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl Token {
    /// Draws a token: 128 bits name it, 256 bits are secret.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        Self {
            id: TokenId(letters(entropy, ID_LETTERS)),
            secret: Zeroizing::new(letters(entropy, SECRET_LETTERS)),
        }
    }

    /// Returns its name.
    pub const fn id(&self) -> &TokenId {
        &self.id
    }

    /// Returns it as text: `cst_`, its name, `_`, its secret and a sum over both.
    pub fn expose(&self) -> Zeroizing<String> {
        let sum = sum(&self.id.0, &self.secret);
        Zeroizing::new(format!("{PREFIX}{}_{}{sum}", self.id, *self.secret))
    }

    /// Returns what is kept of the secret.
    pub fn hash(&self) -> Digest {
        Digest::of(self.secret.as_bytes())
    }

    /// Returns whether its secret is the one of which `hash` is kept, in a time that tells nothing of how much of it is right.
    pub fn is_of(&self, hash: &Digest) -> bool {
        bool::from(hash.as_bytes().ct_eq(self.hash().as_bytes()))
    }
}

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'));
        let (id, rest) = parts.ok_or(NoToken)?;
        let (secret, told) = rest.split_at_checked(SECRET_LETTERS).ok_or(NoToken)?;
        let good = secret.bytes().all(|byte| LETTERS.contains(&byte)) && told == sum(id, secret);
        good.then_some(()).ok_or(NoToken)?;
        Ok(Self {
            id: id.parse()?,
            secret: Zeroizing::new(secret.to_owned()),
        })
    }
}

/// Draws letters, each as likely as any other.
fn letters(entropy: &dyn Entropy, count: usize) -> String {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let mut bytes = Zeroizing::new([0; 64]);
        entropy.fill(bytes.as_mut_slice());
        let drawn = bytes.iter().filter_map(|byte| {
            // 248 is four times 62: what is above would make some letters likelier.
            let place = usize::from(*byte);
            LETTERS
                .get(place % LETTERS.len())
                .filter(|_| place < 4 * LETTERS.len())
        });
        text.extend(
            drawn
                .take(count - text.len())
                .map(|letter| char::from(*letter)),
        );
    }
    text
}

/// A sum over a token by which one that was copied wrongly is recognised.
fn sum(id: &str, secret: &str) -> String {
    let digest = Digest::of(format!("{id}_{secret}").as_bytes());
    let mut left = digest
        .as_bytes()
        .iter()
        .take(4)
        .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
    let base = 62;
    (0..SUM_LETTERS)
        .filter_map(|_| {
            let letter = LETTERS.get((left % base) as usize);
            left /= base;
            letter.map(|letter| char::from(*letter))
        })
        .collect()
}

/// The tokens that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// By their names.
    pub tokens: BTreeMap<TokenId, TokenRecord>,
}

impl Tokens {
    /// Reads what [`Tokens::to_text`] wrote.
    ///
    /// # Errors
    /// [`serde_json::Error`] when it is not that.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Writes them, in order.
    ///
    /// # Errors
    /// [`serde_json::Error`], which no tokens cause.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Finds the token that somebody shows, if it counts at `now` from `address`.
    pub fn shown(&self, text: &str, now: Timestamp, address: IpAddr) -> Option<ShownToken> {
        let token: Token = text.parse().ok()?;
        let record = self.tokens.get(token.id())?;
        let counts = record.is(&token) && record.counts(now, address);
        counts.then(|| ShownToken {
            id: token.id().clone(),
            record: record.clone(),
        })
    }
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// The account that shows it.
    pub account: Party,
    /// The SHA-256 of its secret.
    pub hash: Digest,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
    /// What it is for, in somebody's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What may be done with it and no more; empty: all that its account may.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub actions: BTreeSet<Action>,
    /// The projects in which it counts; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub projects: BTreeSet<ProjectName>,
    /// The one purpose that it may state, and does where none is stated; none: those of its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The networks from which it counts; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub networks: BTreeSet<IpNet>,
}

impl TokenRecord {
    /// Returns whether this is the token.
    pub fn is(&self, token: &Token) -> bool {
        token.is_of(&self.hash)
    }

    /// Returns whether it counts at `now` from `address`.
    pub fn counts(&self, now: Timestamp, address: IpAddr) -> bool {
        let address = address.to_canonical();
        now < self.expires
            && (self.networks.is_empty()
                || self
                    .networks
                    .iter()
                    .any(|network| network.contains(&address)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Counted(AtomicU8);

    impl Entropy for Counted {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = self.0.fetch_add(1, Ordering::SeqCst).wrapping_mul(167);
            }
        }
    }

    fn record(token: &Token, expires: i64, networks: &[&str]) -> TokenRecord {
        let at = |seconds: i64| Timestamp::from_unix_micros(seconds * 1_000_000).unwrap();
        TokenRecord {
            account: "service:ci".parse().unwrap(),
            hash: token.hash(),
            created: at(0),
            expires: at(expires),
            note: String::new(),
            actions: BTreeSet::new(),
            projects: BTreeSet::new(),
            purpose: None,
            networks: networks.iter().map(|one| one.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_token_reads_back_and_no_other_text_does() {
        let token = Token::draw(&Counted::default());
        let text = token.expose();
        assert_eq!(
            text.len(),
            4 + ID_LETTERS + 1 + SECRET_LETTERS + SUM_LETTERS
        );
        let read: Token = text.parse().unwrap();
        assert_eq!((read.id(), read.hash()), (token.id(), token.hash()));
        assert!(!format!("{read:?}").contains(token.secret.as_str()));
        for place in 0..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[place] = if other[place] == b'x' { b'y' } else { b'x' };
            let other = String::from_utf8(other).unwrap();
            assert!(other.parse::<Token>().is_err(), "{place}");
        }
        let (beginning, ending) = (text.split_at(text.len() - 1).0, text.split_at(1).1);
        for other in [
            "",
            "cst_",
            "cst__",
            ending,
            beginning,
            &format!("{}0", *text),
            &format!("{} ", *text),
            &text.to_lowercase(),
            "cst_ä_ä",
        ] {
            assert!(other.parse::<Token>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_token_counts_with_its_secret_in_its_time_from_its_networks() {
        let entropy = Counted::default();
        let (token, other) = (Token::draw(&entropy), Token::draw(&entropy));
        assert_ne!(token.id(), other.id());
        let known = |networks: &[&str]| Tokens {
            tokens: BTreeMap::from([(token.id().clone(), record(&token, 10, networks))]),
        };
        let counts = |tokens: &Tokens, text: &str, second: i64, from: &str| {
            let now = Timestamp::from_unix_micros(second * 1_000_000).unwrap();
            tokens.shown(text, now, from.parse().unwrap()).is_some()
        };
        let (text, all) = (token.expose(), known(&[]));
        assert!(counts(&all, &text, 9, "192.0.2.1"));
        assert!(!counts(&all, &text, 10, "192.0.2.1"));
        assert!(!counts(&all, &other.expose(), 9, "192.0.2.1"));
        let forged = Token {
            id: token.id().clone(),
            ..other
        };
        assert!(!counts(&all, &forged.expose(), 9, "192.0.2.1"));
        let few = known(&["192.0.2.0/24", "2001:db8::/32"]);
        for (from, there) in [
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("2001:db8::1", true),
            ("192.0.3.1", false),
            ("::1", false),
        ] {
            assert_eq!(counts(&few, &text, 9, from), there, "{from}");
        }
        let read = Tokens::read(&few.to_text().unwrap()).unwrap();
        assert_eq!(read, few);
        assert!(!few.to_text().unwrap().contains(text.as_str()));
    }
}
