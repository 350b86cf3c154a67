//! What a provider says of itself (OpenID Connect Discovery 1.0; RFC 8414).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::json::read_json;

/// How many bytes an issuer has at most.
const ISSUER_BYTES: usize = 512;
/// Where a provider says it, below its issuer (Discovery 1.0, section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// A provider, as it names itself: an `https://…` without query and fragment. Two that differ in a letter are two. `http://…` is
/// one of a loopback address alone, which an operator must allow besides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer(String);

/// The text names no issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an issuer is an `https://…` in its shortest spelling, without user, query and fragment")]
pub struct NoIssuer;

impl FromStr for Issuer {
    type Err = NoIssuer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| NoIssuer)?;
        let good = text.len() <= ISSUER_BYTES
            && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url))
            && is_plain(&url)
            && url.query().is_none()
            // As it is written it is compared, so there is one spelling of it.
            && url.as_str().trim_end_matches('/') == text.trim_end_matches('/');
        good.then(|| Self(text.to_owned())).ok_or(NoIssuer)
    }
}

impl TryFrom<String> for Issuer {
    type Error = NoIssuer;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> Self {
        issuer.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Issuer {
    /// Returns it as it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns where it says what it is.
    ///
    /// # Errors
    /// [`NoIssuer`], which no issuer causes.
    pub fn metadata(&self) -> Result<Url, NoIssuer> {
        let text = format!("{}{WELL_KNOWN}", self.0.trim_end_matches('/'));
        Url::parse(&text).map_err(|_| NoIssuer)
    }

    /// Returns its host, with the port.
    fn host(&self) -> Option<String> {
        Url::parse(&self.0).ok().as_ref().and_then(place)
    }
}

/// Whether the host is an address of the machine itself, as it stands.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    }
}

fn is_plain(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

/// Returns a host with its port.
fn place(url: &Url) -> Option<String> {
    let port = url.port_or_known_default()?;
    Some(format!("{}:{port}", url.host_str()?))
}

/// Why what a provider says of itself cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// It is no JSON object, or lacks what it must have.
    #[error("what it says of itself lacks `{0}`, or has it in another form")]
    Lacks(&'static str),
    /// It says that it is another.
    #[error("it says that it is another issuer")]
    Issuer,
    /// It sends requests elsewhere.
    #[error("its `{0}` is of another host, which is not declared")]
    Host(&'static str),
    /// It does not what is needed: it signs by no algorithm that is allowed, or does not know PKCE.
    #[error("it does not offer what is needed: {0}")]
    Offers(&'static str),
}

impl DiscoveryError {
    /// Returns one word for it, as entries have it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Lacks(_) => "metadata",
            Self::Issuer => "metadata_issuer",
            Self::Host(_) => "metadata_host",
            Self::Offers(_) => "metadata_offers",
        }
    }
}

/// What a provider says of itself, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Where people sign in.
    pub authorization: Url,
    /// Where codes become tokens.
    pub token: Url,
    /// Where its keys are.
    pub keys: Url,
    /// Where a sign-in by a device begins, if it offers that.
    pub device: Option<Url>,
    /// Whether a client may show its secret as HTTP Basic authentication.
    pub basic: bool,
    /// Whether an answer in the browser always names the issuer (RFC 9207).
    pub names_issuer: bool,
}

impl Metadata {
    /// Reads what the provider says that is called `issuer`; `hosts`: those besides its own that it may send requests to.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub fn read(
        bytes: &[u8],
        issuer: &Issuer,
        hosts: &BTreeSet<String>,
    ) -> Result<Self, DiscoveryError> {
        let Ok(Value::Object(fields)) = read_json(bytes) else {
            return Err(DiscoveryError::Lacks("issuer"));
        };
        if text(&fields, "issuer")? != issuer.as_str() {
            return Err(DiscoveryError::Issuer);
        }
        let allowed = |url: &Url| {
            let there = place(url);
            let is_own = there.is_some() && there == issuer.host();
            let scheme = url.scheme() == "https" || is_own && issuer.as_str().starts_with("http:");
            let named = |host: &str| {
                there.as_deref() == Some(host)
                    || url.port().is_none() && url.host_str() == Some(host)
            };
            scheme && is_plain(url) && (is_own || hosts.iter().any(|host| named(host)))
        };
        let address = |name: &'static str| {
            let url = Url::parse(text(&fields, name)?).map_err(|_| DiscoveryError::Lacks(name))?;
            allowed(&url)
                .then_some(url)
                .ok_or(DiscoveryError::Host(name))
        };
        let device = "device_authorization_endpoint";
        let read = Self {
            authorization: address("authorization_endpoint")?,
            token: address("token_endpoint")?,
            keys: address("jwks_uri")?,
            device: fields.get(device).map(|_| address(device)).transpose()?,
            basic: lists(&fields, "token_endpoint_auth_methods_supported", |one| {
                one == "client_secret_basic"
            })?
            .unwrap_or(true),
            names_issuer: match fields.get("authorization_response_iss_parameter_supported") {
                None => false,
                Some(value) => value.as_bool().ok_or(DiscoveryError::Lacks(
                    "authorization_response_iss_parameter_supported",
                ))?,
            },
        };
        let signs = lists(&fields, "id_token_signing_alg_values_supported", |one| {
            crate::Algorithm::named(one).is_some()
        })?;
        if signs == Some(false) {
            return Err(DiscoveryError::Offers(
                "it signs tokens by none of RS256, PS256, ES256 and EdDSA",
            ));
        }
        let hashes = lists(&fields, "code_challenge_methods_supported", |one| {
            one == "S256"
        })?;
        if hashes == Some(false) {
            return Err(DiscoveryError::Offers("it does not know PKCE with S256"));
        }
        Ok(read)
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, DiscoveryError> {
    let found = fields.get(name).and_then(Value::as_str);
    found.ok_or(DiscoveryError::Lacks(name))
}

/// Whether a list has one that is looked for; nothing where there is no such list.
fn lists(
    fields: &Map<String, Value>,
    name: &'static str,
    is: impl Fn(&str) -> bool,
) -> Result<Option<bool>, DiscoveryError> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::Array(all)) => Ok(Some(all.iter().filter_map(Value::as_str).any(is))),
        Some(_) => Err(DiscoveryError::Lacks(name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://login.example/realms/a";

    fn said() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.example/auth",
            "token_endpoint": "https://login.example/token",
            "jwks_uri": "https://login.example/keys",
            "device_authorization_endpoint": "https://login.example/device",
            "id_token_signing_alg_values_supported": ["HS256", "RS256"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn read(said: &Value, hosts: &[&str]) -> Result<Metadata, DiscoveryError> {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Metadata::read(
            said.to_string().as_bytes(),
            &ISSUER.parse().unwrap(),
            &hosts,
        )
    }

    #[test]
    fn an_issuer_has_one_spelling() {
        for good in [
            ISSUER,
            "https://login.example",
            "https://login.example/",
            "https://login.example:8443/a",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
        ] {
            let issuer: Issuer = good.parse().unwrap();
            assert_eq!(issuer.as_str(), good);
            let there = issuer.metadata().unwrap();
            assert!(there.as_str().ends_with(WELL_KNOWN) && !there.path().contains("//"));
        }
        for wrong in [
            "",
            "login.example",
            "http://login.example",
            "http://localhost:3000",
            "http://192.0.2.1",
            "https://Login.example",
            "https://login.example:443",
            "https://login.example/a/../b",
            "https://login.example/a?b",
            "https://login.example/a#b",
            "https://user@login.example",
            "https://user:secret@login.example",
            "https://2130706433/",
            "ftp://login.example",
            " https://login.example",
        ] {
            assert!(wrong.parse::<Issuer>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_provider_says_is_of_itself_and_of_its_host() {
        let good = read(&said(), &[]).unwrap();
        assert_eq!(good.device.unwrap().path(), "/device");
        assert!(good.basic && good.names_issuer);
        let mut plain = said();
        for name in [
            "device_authorization_endpoint",
            "authorization_response_iss_parameter_supported",
            "id_token_signing_alg_values_supported",
        ] {
            plain.as_object_mut().unwrap().remove(name);
        }
        plain["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        let read_plain = read(&plain, &[]).unwrap();
        assert!(read_plain.device.is_none() && !read_plain.basic && !read_plain.names_issuer);
        let refused = |name: &str, value: Value| {
            let mut said = said();
            said[name] = value;
            read(&said, &[]).unwrap_err()
        };
        for (name, value, expect) in [
            (
                "issuer",
                json!("https://login.example/realms/b"),
                DiscoveryError::Issuer,
            ),
            ("issuer", json!(1), DiscoveryError::Lacks("issuer")),
            (
                "token_endpoint",
                json!("https://other.example/token"),
                DiscoveryError::Host("token_endpoint"),
            ),
            (
                "token_endpoint",
                json!("https://login.example:444/token"),
                DiscoveryError::Host("token_endpoint"),
            ),
            (
                "token_endpoint",
                json!("http://login.example/token"),
                DiscoveryError::Host("token_endpoint"),
            ),
            (
                "jwks_uri",
                json!("https://login.example.evil.example/"),
                DiscoveryError::Host("jwks_uri"),
            ),
            (
                "jwks_uri",
                json!("https://a@login.example/keys"),
                DiscoveryError::Host("jwks_uri"),
            ),
            (
                "jwks_uri",
                json!("http://169.254.169.254/"),
                DiscoveryError::Host("jwks_uri"),
            ),
            (
                "jwks_uri",
                json!("file:///etc/passwd"),
                DiscoveryError::Host("jwks_uri"),
            ),
            ("jwks_uri", json!(null), DiscoveryError::Lacks("jwks_uri")),
            (
                "authorization_endpoint",
                json!("javascript:alert(1)"),
                DiscoveryError::Host("authorization_endpoint"),
            ),
            (
                "device_authorization_endpoint",
                json!("https://x/"),
                DiscoveryError::Host("device_authorization_endpoint"),
            ),
            (
                "id_token_signing_alg_values_supported",
                json!(["none", "HS256"]),
                DiscoveryError::Offers("it signs tokens by none of RS256, PS256, ES256 and EdDSA"),
            ),
            (
                "code_challenge_methods_supported",
                json!(["plain"]),
                DiscoveryError::Offers("it does not know PKCE with S256"),
            ),
            (
                "code_challenge_methods_supported",
                json!("S256"),
                DiscoveryError::Lacks("code_challenge_methods_supported"),
            ),
            (
                "authorization_response_iss_parameter_supported",
                json!("true"),
                DiscoveryError::Lacks("authorization_response_iss_parameter_supported"),
            ),
        ] {
            assert_eq!(refused(name, value), expect, "{name}");
        }
    }

    #[test]
    fn hosts_that_are_declared_are_its_own() {
        let mut elsewhere = said();
        elsewhere["token_endpoint"] = json!("https://tokens.example/token");
        assert!(read(&elsewhere, &[]).is_err() && read(&elsewhere, &["tokens.example"]).is_ok());
        assert!(read(&elsewhere, &["tokens.example:443"]).is_ok());
        elsewhere["token_endpoint"] = json!("https://tokens.example:444/token");
        assert!(read(&elsewhere, &["tokens.example"]).is_err());
        let twice = said().to_string().replacen('{', r#"{"issuer": "x","#, 1);
        let issuer = ISSUER.parse().unwrap();
        assert!(Metadata::read(twice.as_bytes(), &issuer, &BTreeSet::new()).is_err());
    }
}
