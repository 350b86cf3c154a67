//! How somebody proved to be who they are.

use std::fmt;
use std::sync::Arc;

use custody_types::{Actor, Timestamp};

use crate::provider::Asserted;
use crate::token::{TokenId, TokenRecord};

/// How it was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The operating system runs the program for the account.
    OperatingSystem,
    /// A secret of the account was shown over the network.
    Token,
    /// A person signed in with a password and the code of an authenticator.
    Password,
    /// A person signed in at an identity provider, in the browser that came back with its answer.
    Provider,
    /// A person confirmed at an identity provider a code that a terminal showed. Whoever shows somebody a code of theirs gets
    /// the session: it is good for less.
    Device,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 5] = [
        Self::OperatingSystem,
        Self::Token,
        Self::Password,
        Self::Provider,
        Self::Device,
    ];

    /// Finds the method that policies have this word for.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }

    /// Whether an identity provider said who it is.
    pub const fn is_by_provider(self) -> bool {
        matches!(self, Self::Provider | Self::Device)
    }

    /// Returns the word that policies have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OperatingSystem => "operating-system",
            Self::Token => "token",
            Self::Password => "password",
            Self::Provider => "provider",
            Self::Device => "device",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What somebody shows to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// The account under which the operating system runs the program.
    OperatingSystem {
        /// Its name.
        account: String,
    },
}

impl Credentials {
    /// Returns who that is, and how it was proved at `now`.
    pub fn authenticate(&self, now: Timestamp) -> Authentication {
        match self {
            Self::OperatingSystem { account } => Authentication {
                actor: Actor::user(account),
                method: Method::OperatingSystem,
                time: now,
                network: LOCAL,
                expires: None,
                token: None,
                session: None,
                asserted: None,
            },
        }
    }
}

/// The network of who is at the machine itself.
pub const LOCAL: &str = "local";
/// That of everybody else.
pub const REMOTE: &str = "remote";

/// That somebody proved to be who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Who it is.
    pub actor: Actor,
    /// How it was proved.
    pub method: Method,
    /// When.
    pub time: Timestamp,
    /// From which network: `local`, the machine itself; `remote`, any other.
    pub network: &'static str,
    /// Until when it counts; `None`: as long as the program runs.
    pub expires: Option<Timestamp>,
    /// The token that was shown, whose limits hold for all that is done with it.
    pub token: Option<Arc<ShownToken>>,
    /// The session of a person who signed in.
    pub session: Option<TokenId>,
    /// What an identity provider said of them, where it let them in.
    pub asserted: Option<Arc<Asserted>>,
}

/// A token that was shown, and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownToken {
    /// Its name.
    pub id: TokenId,
    /// What is known of it.
    pub record: TokenRecord,
}

impl Authentication {
    /// Says that a token was shown at `now`; nothing where it is that of a group, which is nobody.
    pub fn by_token(shown: ShownToken, now: Timestamp) -> Option<Self> {
        Some(Self {
            actor: shown.record.account.actor()?,
            method: Method::Token,
            time: now,
            network: REMOTE,
            expires: Some(shown.record.expires),
            token: Some(Arc::new(shown)),
            session: None,
            asserted: None,
        })
    }

    /// Says that a person signed in at `now`, in a session of this name. How long it counts is told at each request: what
    /// was let in by it goes on.
    pub fn by_password(account: &str, session: TokenId, now: Timestamp) -> Self {
        Self {
            actor: Actor::user(account),
            method: Method::Password,
            time: now,
            network: REMOTE,
            expires: None,
            token: None,
            session: Some(session),
            asserted: None,
        }
    }

    /// Says that an identity provider let a person in at `now`, by one of its methods, in a session of this name.
    pub fn by_provider(
        account: &str,
        session: TokenId,
        method: Method,
        asserted: Arc<Asserted>,
        now: Timestamp,
    ) -> Self {
        Self {
            method,
            asserted: Some(asserted),
            ..Self::by_password(account, session, now)
        }
    }

    /// Returns how much it proves, from 1: one factor that whoever has it can pass on; 2: two factors. More is stronger.
    pub fn strength(&self) -> u8 {
        let two_factors = match self.method {
            Method::OperatingSystem | Method::Token | Method::Device => false,
            Method::Password => true,
            Method::Provider => self.asserted.as_ref().is_some_and(|said| said.two_factors),
        };
        if two_factors { 2 } else { 1 }
    }

    /// Whether it does not count any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_the_operating_system_runs_a_program_for_is_that_account() {
        let now = Timestamp::from_unix_micros(1_700_000_000_000_000).unwrap();
        let account = "ada".to_owned();
        let shown = Credentials::OperatingSystem { account }.authenticate(now);
        assert_eq!(shown.actor, Actor::user("ada"));
        assert_eq!((shown.time, shown.strength()), (now, 1));
        assert!(!shown.is_over(now));
        let short = Authentication {
            expires: Some(now),
            ..shown
        };
        assert!(short.is_over(now));
    }
}
