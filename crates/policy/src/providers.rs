//! By which identity providers people sign in, and what the groups that a provider says they are in give them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use custody_identity::{Asserted, RoleBinding};
use custody_oidc::{Claims, Issuer};
use serde::{Deserialize, Serialize};

/// How many providers there are at most, and how many of each of its lists.
const MOST_PROVIDERS: usize = 16;
const MOST_LISTED: usize = 1000;
/// How many bytes the name of a provider, and any other text of its declaration, have at most.
const NAME_BYTES: usize = 32;
const TEXT_BYTES: usize = 256;
/// What begins the name of an account that is none of a person: no provider is called so.
const RESERVED: [&str; 3] = ["user", "service", "group"];
/// The role that no provider gives: who has it may give it, and whoever rules the provider would own the workspace.
const OWNER: &str = "owner";

/// The name of a provider, as people choose it: 1 to 32 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderName(String);

/// The text names no provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a provider has a name of 1 to 32 of a-z, 0-9 and `-`, and none of `user`, `service` and `group`"
)]
pub struct NoProviderName;

impl FromStr for ProviderName {
    type Err = NoProviderName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_letter =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good = (1..=NAME_BYTES).contains(&text.len())
            && text.bytes().all(is_letter)
            && !RESERVED.contains(&text);
        good.then(|| Self(text.to_owned())).ok_or(NoProviderName)
    }
}

impl TryFrom<String> for ProviderName {
    type Error = NoProviderName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ProviderName> for String {
    fn from(name: ProviderName) -> Self {
        name.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ProviderName {
    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An identity provider, by which people sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// What it calls itself.
    pub issuer: Issuer,
    /// What it calls this workspace.
    pub client_id: String,
    /// What is asked of it besides `openid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Hosts, with or without a port, that it may send requests of the server to, besides that of its issuer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hosts: BTreeSet<String>,
    /// What the groups that it says people are in give them. Without it: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
    /// What it says of who showed two factors. Without it: of nobody that is known.
    #[serde(default, skip_serializing_if = "TwoFactors::is_empty")]
    pub two_factors: TwoFactors,
}

/// What the groups that a provider says people are in give them, as long as their session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// The claim of its tokens that lists them.
    pub claim: String,
    /// The roles that each gives.
    #[serde(default)]
    pub roles: BTreeMap<String, BTreeSet<RoleBinding>>,
    /// Whoever is in one of these and has no account gets one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<String>,
}

/// What a provider says of who showed two factors: one of these suffices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoFactors {
    /// Classes of authentication (`acr`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub acr: BTreeSet<String>,
    /// Methods of authentication (`amr`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub amr: BTreeSet<String>,
}

impl TwoFactors {
    fn is_empty(&self) -> bool {
        self.acr.is_empty() && self.amr.is_empty()
    }

    /// Whether a token says so.
    pub fn are_shown(&self, claims: &Claims) -> bool {
        let context = claims.context.as_ref();
        context.is_some_and(|context| self.acr.contains(context))
            || !self.amr.is_disjoint(&claims.methods)
    }
}

impl Provider {
    /// Returns the roles that somebody has by the groups that the provider said they were in.
    pub fn roles<'a>(
        &'a self,
        said: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = &'a RoleBinding> {
        let groups = self.groups.iter().flat_map(|groups| &groups.roles);
        let groups = groups.filter(|(group, _)| said.contains(*group));
        groups.flat_map(|(_, roles)| roles)
    }

    /// Returns whether somebody who is in these groups, and has no account, gets one.
    pub fn gives_account(&self, said: &BTreeSet<String>) -> bool {
        let groups = self.groups.as_ref();
        groups.is_some_and(|groups| !groups.accounts.is_disjoint(said))
    }

    fn check(&self) -> Result<(), String> {
        let is_text = |text: &String| {
            (1..=TEXT_BYTES).contains(&text.len()) && !text.chars().any(custody_types::steers)
        };
        let is_word = |text: &String| {
            is_text(text)
                && text
                    .bytes()
                    .all(|byte| matches!(byte, b'!'..=b'~') && byte != b'"' && byte != b'\\')
        };
        let groups = self.groups.iter();
        let mut named = groups
            .clone()
            .flat_map(|groups| groups.roles.keys().chain(&groups.accounts));
        let mut given = groups
            .clone()
            .flat_map(|groups| groups.roles.values().flatten());
        let long = self.scopes.len() > MOST_LISTED
            || self.hosts.len() > MOST_LISTED
            || self.two_factors.acr.len() + self.two_factors.amr.len() > MOST_LISTED
            || groups
                .clone()
                .any(|groups| groups.roles.len() + groups.accounts.len() > MOST_LISTED);
        if given.any(|binding| binding.role == OWNER) {
            return Err("the role `owner` is given by no group: give it to accounts".to_owned());
        }
        if !is_text(&self.client_id) {
            return Err("its `client_id` is empty, too long or not printable".to_owned());
        }
        if !self.scopes.iter().all(is_word)
            || self.scopes.iter().any(|scope| scope == "offline_access")
        {
            return Err("a scope is one word, and none is `offline_access`".to_owned());
        }
        let is_host = |host: &String| {
            is_word(host)
                && Issuer::from_str(&format!("https://{host}")).is_ok()
                && !host.contains('/')
        };
        if !self.hosts.iter().all(is_host) {
            return Err(
                "a host is a name in small letters, with `:` and a port after it or without"
                    .to_owned(),
            );
        }
        if !groups.clone().all(|groups| is_text(&groups.claim)) || !named.all(is_text) || long {
            return Err("a claim or group is empty or too long, or there are too many".to_owned());
        }
        Ok(())
    }
}

/// The providers that settings declare, by their names.
pub type Providers = BTreeMap<ProviderName, Provider>;

/// Checks what settings declare of providers.
pub(crate) fn check(providers: &Providers) -> Result<(), String> {
    if providers.len() > MOST_PROVIDERS {
        return Err(format!(
            "`sign_in` has more than {MOST_PROVIDERS} providers"
        ));
    }
    let mut issuers = BTreeSet::new();
    for (name, provider) in providers {
        provider
            .check()
            .map_err(|because| format!("`sign_in`, provider `{name}`: {because}"))?;
        if !issuers.insert(&provider.issuer) {
            return Err(format!(
                "`sign_in`, provider `{name}`: its issuer is there twice"
            ));
        }
    }
    Ok(())
}

/// Returns the provider that let somebody in, if it is declared still.
pub(crate) fn of<'a>(providers: &'a Providers, said: &Asserted) -> Option<&'a Provider> {
    let found = providers.get(&said.provider.parse().ok()?)?;
    (found.issuer.as_str() == said.identity.issuer()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Providers, String> {
        let read: Providers = serde_json::from_str(text).map_err(|error| error.to_string())?;
        check(&read).map(|()| read)
    }

    const WHOLE: &str = r#"{"corp": {"issuer": "https://login.example", "client_id": "custody", "scopes": ["groups"], "hosts": ["tokens.example:444"],
        "groups": {"claim": "https://example.com/groups", "roles": {"ML Risk": ["auditor", {"role": "data_scientist", "project": "loans"}]}, "accounts": ["ML"]},
        "two_factors": {"amr": ["mfa"], "acr": ["urn:2"]}}}"#;

    #[test]
    fn a_provider_gives_what_is_written_and_nothing_else() {
        let providers = read(WHOLE).unwrap();
        let corp = &providers[&"corp".parse().unwrap()];
        let said = |groups: &[&str]| {
            groups
                .iter()
                .map(|one| (*one).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(corp.roles(&said(&["ML Risk", "owner"])).count(), 2);
        assert_eq!(corp.roles(&said(&["ml risk", "ML", ""])).count(), 0);
        assert!(corp.gives_account(&said(&["ML"])) && !corp.gives_account(&said(&["ML Risk"])));
        let plain = read(r#"{"a": {"issuer": "https://a.example", "client_id": "c"}}"#).unwrap();
        let plain = plain.values().next().unwrap();
        assert_eq!(plain.roles(&said(&["ML Risk"])).count(), 0);
        assert!(!plain.gives_account(&said(&["ML"])));
        let told = |context: Option<&str>, methods: &[&str]| Claims {
            subject: "s".to_owned(),
            groups: BTreeSet::new(),
            context: context.map(ToOwned::to_owned),
            methods: said(methods),
        };
        assert!(corp.two_factors.are_shown(&told(None, &["pwd", "mfa"])));
        assert!(corp.two_factors.are_shown(&told(Some("urn:2"), &[])));
        assert!(!corp.two_factors.are_shown(&told(Some("urn:1"), &["pwd"])));
        assert!(!plain.two_factors.are_shown(&told(Some("urn:2"), &["mfa"])));
    }

    #[test]
    fn a_provider_that_is_not_declared_as_it_must_be_is_none() {
        for (from, to) in [
            ("https://login.example", "http://login.example"),
            ("https://login.example", "login.example"),
            ("\"corp\"", "\"Corp\""),
            ("\"corp\"", "\"service\""),
            ("\"auditor\"", "\"owner\""),
            ("\"custody\"", "\"\""),
            ("tokens.example:444", "tokens.example/a"),
            ("tokens.example:444", "user@tokens.example"),
            ("tokens.example:444", "Tokens.example"),
            ("[\"groups\"]", "[\"a b\"]"),
            ("[\"groups\"]", "[\"offline_access\"]"),
            ("\"client_id\"", "\"client_secret\": \"x\", \"client_id\""),
            (
                "\"claim\": \"https://example.com/groups\"",
                "\"claim\": \"\"",
            ),
        ] {
            let text = WHOLE.replace(from, to);
            assert_ne!(text, WHOLE, "{from}");
            assert!(read(&text).is_err(), "{text}");
        }
        let twice = r#"{"a": {"issuer": "https://a.example", "client_id": "c"}, "b": {"issuer": "https://a.example", "client_id": "d"}}"#;
        assert!(read(twice).is_err());
    }
}
