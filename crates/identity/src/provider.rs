//! Who somebody is to an identity provider, and what it said of them when they signed in.

use std::collections::BTreeSet;
use std::fmt;

use custody_types::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::directory::IdentityError;

/// How many bytes an issuer, and a subject, have at most (OpenID Connect Core 1.0, section 2, of `sub`).
const ISSUER_BYTES: usize = 512;
const SUBJECT_BYTES: usize = 255;

/// Who somebody is to an identity provider: the issuer and the subject, both letter by letter. Neither an address of e-mail nor
/// a name says it: those change, and are given to others.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "IdentityText", into = "IdentityText")]
pub struct ProviderIdentity {
    issuer: String,
    subject: String,
}

impl ProviderIdentity {
    /// Names somebody.
    ///
    /// # Errors
    /// [`IdentityError::Identity`] where one of them is empty, too long, or not of printable letters of ASCII.
    pub fn new(issuer: &str, subject: &str) -> Result<Self, IdentityError> {
        let is_good = |text: &str, most: usize| {
            (1..=most).contains(&text.len())
                && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
                && text.trim() == text
        };
        if !is_good(issuer, ISSUER_BYTES)
            || issuer.contains(' ')
            || !is_good(subject, SUBJECT_BYTES)
        {
            return Err(IdentityError::Identity);
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        })
    }

    /// Returns the provider, as it names itself.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns who they are to it.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for ProviderIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There is no space in an issuer.
        write!(f, "{} {}", self.issuer, self.subject)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IdentityText {
    #[schemars(length(max = 512), regex(pattern = "^[!-~]+$"))]
    issuer: String,
    #[schemars(length(max = 255), regex(pattern = "^[!-~]([ -~]*[!-~])?$"))]
    subject: String,
}

impl TryFrom<IdentityText> for ProviderIdentity {
    type Error = IdentityError;

    fn try_from(text: IdentityText) -> Result<Self, Self::Error> {
        Self::new(&text.issuer, &text.subject)
    }
}

impl From<ProviderIdentity> for IdentityText {
    fn from(identity: ProviderIdentity) -> Self {
        Self {
            issuer: identity.issuer,
            subject: identity.subject,
        }
    }
}

/// What a provider said of somebody when they signed in. It counts as long as their session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asserted {
    /// The provider, as the settings name it.
    pub provider: String,
    /// Who it is.
    pub identity: ProviderIdentity,
    /// The groups that they were in.
    pub groups: BTreeSet<String>,
    /// Whether it said that they showed two factors, in the words that the settings have for that.
    pub two_factors: bool,
    /// Until when it counts.
    pub until: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_somebody_is_reads_back_and_nothing_is_made_alike() {
        let named = |issuer: &str, subject: &str| ProviderIdentity::new(issuer, subject);
        let ada = named("https://a.example", "ada lovelace|1").unwrap();
        let text = serde_json::to_string(&ada).unwrap();
        assert_eq!(
            serde_json::from_str::<ProviderIdentity>(&text).unwrap(),
            ada
        );
        for other in [
            named("https://a.example/", "ada lovelace|1"),
            named("https://a.example", "Ada lovelace|1"),
            named("https://b.example", "ada lovelace|1"),
        ] {
            assert_ne!(other.unwrap(), ada);
        }
        for (issuer, subject) in [
            ("", "a"),
            ("https://a.example", ""),
            ("https://a.example x", "a"),
            ("https://a.example", " a"),
            ("https://a.example", "a\n"),
            ("https://a.example", "\u{e4}"),
            ("https://a.example", &"x".repeat(256)),
            (&"x".repeat(513), "a"),
        ] {
            assert_eq!(named(issuer, subject), Err(IdentityError::Identity));
        }
        let more = r#"{"issuer": "https://a.example", "subject": "a", "email": "a@example.com"}"#;
        assert!(serde_json::from_str::<ProviderIdentity>(more).is_err());
    }
}
