//! People who sign in by an identity provider (OpenID Connect).
//!
//! The settings declare the providers; an account is bound to who its person is to one of them, the issuer and the subject. The
//! server is the provider's client: no token of a provider reaches a browser or a terminal. A browser takes a request there and
//! comes back with a code (`browser`); or a terminal shows a code, which its person confirms at the provider (`device`). Either way
//! the provider's token is verified (`custody-oidc`), and what comes of it is entered: a session as after a password, or a
//! refusal with its reason, of which a stranger is told one answer.
//!
//! What is known of a provider, its metadata and keys, is kept for an hour; that it failed, for a moment, so that many who come
//! ask once. Everything here is bounded, and lives in memory: after a restart people begin again.

mod browser;
mod device;
mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};

use custody_crypto::Secret;
use custody_identity::{Guesser, Method};
use custody_oidc::{
    Answer, AnswerError, Ask, Claims, Client, DiscoveryError, Expected, Form, IdToken, KeyError,
    KeySet, Metadata, Refusal, Tokens, Unreached, Web,
};
use custody_policy::{Provider, ProviderName};
use custody_types::{Digest, Problem, Timestamp, code};
use custody_wire::{ProviderView, ProvidersReply};
use url::Url;
use zeroize::Zeroizing;

use crate::door::{Door, lock};
use crate::people::too_many_attempts;
use device::Devices;

pub use browser::BegunSignIn;
pub(crate) use entry::JOINED_BY;

/// How long what a provider says of itself, and its keys, count, in milliseconds.
const FRESH_MS: u64 = 60 * 60 * 1000;
/// How long nothing is asked of a provider again that failed, in milliseconds.
const FAILED_MS: u64 = 2_000;
/// How often the keys of a provider are fetched again for one that is not known, in milliseconds.
const REFRESH_MS: u64 = 60_000;
/// How much is asked of one provider at once: one that is slow takes no more.
const AT_ONCE: usize = 6;

/// What a server has by which people sign in at providers.
#[derive(Debug)]
pub struct ProviderAccess {
    /// What reaches the network.
    pub web: Arc<dyn Web>,
    /// Where browsers come back to, in the server's own name; none: it has none, and browsers are not sent.
    pub redirect: Option<String>,
    /// The secrets that the providers gave this client.
    pub secrets: BTreeMap<String, Zeroizing<String>>,
}

/// What a process knows of providers, and of who is signing in by them.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    access: OnceLock<(ProviderAccess, Secret<32>)>,
    known: Mutex<BTreeMap<String, Known>>,
    devices: Mutex<Devices>,
    /// The states that browsers came back with, and until when none of them counts again.
    used: Mutex<BTreeMap<Digest, Timestamp>>,
}

/// What is known of one provider; times are milliseconds of a clock that never steps backwards.
#[derive(Debug, Default)]
struct Known {
    /// What it says of itself, and the hosts that were declared when it was read.
    metadata: Option<(Arc<Metadata>, BTreeSet<String>, u64)>,
    keys: Option<(Arc<KeySet>, u64)>,
    failed: Option<(Failure, u64)>,
    refreshed: Option<u64>,
    asked: usize,
}

/// Why a provider cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Unreached(Unreached),
    Status,
    Metadata(DiscoveryError),
    Keys,
    Answer(AnswerError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached(because) => write!(f, "{because}"),
            Self::Status => f.write_str("it answers with an error"),
            Self::Metadata(because) => write!(f, "{because}"),
            Self::Keys => f.write_str("its keys cannot be read, or none of them can be used"),
            Self::Answer(because) => write!(f, "{because}"),
        }
    }
}

impl Failure {
    /// Returns one word for it, as entries have it.
    const fn word(&self) -> &'static str {
        match self {
            Self::Unreached(because) => because.word(),
            Self::Status => "status",
            Self::Metadata(because) => because.word(),
            Self::Keys => "keys",
            Self::Answer(because) => because.word(),
        }
    }

    /// Returns what somebody does about it.
    const fn hint(&self) -> &'static str {
        match self {
            Self::Unreached(Unreached::Network) => {
                "where the provider lies in a network of yours, an operator of the server names it: `custody serve --oidc-network`"
            }
            Self::Unreached(Unreached::Scheme) => {
                "where the provider is on the machine of the server, an operator names it: `custody serve --oidc-plain http://127.0.0.1:PORT`"
            }
            Self::Unreached(Unreached::Tls) => {
                "where its certificate is of an authority of yours, an operator of the server names the root: `custody serve --oidc-root FILE`"
            }
            Self::Unreached(Unreached::Redirect) | Self::Metadata(DiscoveryError::Issuer) => {
                "see that `issuer` in `settings.json` is, letter by letter, what the provider calls itself"
            }
            Self::Metadata(DiscoveryError::Host(_)) => {
                "if that host is the provider's, name it as one of `hosts` in `settings.json`"
            }
            Self::Answer(AnswerError::Client) => {
                "see that `client_id` in `settings.json` and the file of `custody serve --oidc-secret` are what the provider gave, and that it allows this way to sign in"
            }
            _ => {
                "try again in a minute; if it stays so, tell an operator of the server what it says"
            }
        }
    }

    fn problem(&self, provider: &ProviderName) -> Problem {
        let what = format!("the identity provider `{provider}` cannot be asked");
        Problem::new(code::DOOR_034, what)
            .because(self)
            .hint(self.hint())
    }
}

/// Why a sign-in comes to nothing.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The provider cannot be used; who asks is told why.
    Failed(Failure),
    /// The provider failed a moment ago, which was entered then, or too much is asked of it at once.
    Again(Failure),
    /// What was shown is not as it must be; the reason is entered, and told to nobody.
    Refused(&'static str),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreached(Unreached::Busy) => Self::Again(failure),
            failure => Self::Failed(failure),
        }
    }
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.word())
    }
}

/// A provider that somebody signs in by.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    name: ProviderName,
    provider: Provider,
}

/// Where a sign-in stands when tokens have come.
struct Came<'a> {
    tokens: &'a Tokens,
    nonce: Option<&'a str>,
    began: Timestamp,
}

impl Chosen {
    fn client<'a>(&'a self, access: &'a ProviderAccess) -> Client<'a> {
        let secret = access.secrets.get(self.name.as_str());
        Client {
            id: &self.provider.client_id,
            secret: secret.map(|secret| secret.as_str()),
        }
    }
}

impl Connections {
    /// Counts one more that is asked of a provider, if it is not too much.
    fn begin(&self, issuer: &str) -> Result<(), Failure> {
        let mut known = lock(&self.known);
        let known = known.entry(issuer.to_owned()).or_default();
        if known.asked >= AT_ONCE {
            return Err(Failure::Unreached(Unreached::Busy));
        }
        known.asked += 1;
        Ok(())
    }

    fn end(&self, issuer: &str) {
        if let Some(known) = lock(&self.known).get_mut(issuer) {
            known.asked = known.asked.saturating_sub(1);
        }
    }

    /// Notes that a provider failed. Returns what stops.
    fn failed(&self, issuer: &str, failure: Failure, now_ms: u64) -> Stopped {
        let stopped = Stopped::from(failure.clone());
        if matches!(stopped, Stopped::Failed(_))
            && let Some(known) = lock(&self.known).get_mut(issuer)
        {
            known.failed = Some((failure, now_ms));
        }
        stopped
    }

    fn failed_lately(&self, issuer: &str, now_ms: u64) -> Option<Failure> {
        let known = lock(&self.known);
        let (failure, since) = known.get(issuer)?.failed.clone()?;
        (now_ms.saturating_sub(since) < FAILED_MS).then_some(failure)
    }
}

impl Door {
    /// Lets people sign in by the providers that the settings declare. What was set first counts.
    pub fn let_providers_in(&self, access: ProviderAccess) {
        let key = Secret::generate(self.0.parts.entropy.as_ref());
        let _ = self.0.people.providers.access.set((access, key));
    }

    /// Lists the providers that people sign in by: for everybody, since nobody is known yet who looks for one.
    pub fn providers(&self) -> ProvidersReply {
        let access = self.0.people.providers.access.get();
        let policies = self.0.policies();
        let declared = policies
            .settings()
            .sign_in
            .keys()
            .filter(|_| access.is_some());
        ProvidersReply {
            providers: declared
                .map(|name| ProviderView {
                    name: name.to_string(),
                    browser: access.is_some_and(|(access, _)| access.redirect.is_some()),
                })
                .collect(),
        }
    }

    /// Refuses who was wrong too often, from an address, as whomever.
    fn may_come(&self, address: IpAddr) -> Result<Guesser, Problem> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let guesser = Guesser::at(address);
        let wait = lock(&self.0.people.addresses).wait(&guesser, self.monotonic_ms());
        wait.map_or(Ok(guesser), |left| Err(too_many_attempts(left)))
    }

    /// Finds the provider of a name; without one, the only one.
    fn chosen(&self, name: Option<&str>) -> Result<(Chosen, &ProviderAccess), Problem> {
        let unknown = |what: String| {
            Problem::new(code::DOOR_035, what).hint(
                "ask an operator which there are: `sign_in` in `settings.json`, which `custody policy show` shows",
            )
        };
        let access = self.0.people.providers.access.get();
        let (access, _) = access
            .ok_or_else(|| unknown("nobody signs in here by an identity provider".to_owned()))?;
        let policies = self.0.policies();
        let declared = &policies.settings().sign_in;
        let found = match name {
            Some(name) => declared.iter().find(|(one, _)| one.as_str() == name),
            None if declared.len() > 1 => {
                let names: Vec<_> = declared.keys().map(ToString::to_string).collect();
                let what = "there are several identity providers";
                return Err(Problem::new(code::DOOR_035, what)
                    .because(format!("they are `{}`", names.join("`, `")))
                    .hint("name one of them: `--oidc=NAME`"));
            }
            None => declared.iter().next(),
        };
        let (name, provider) =
            found.ok_or_else(|| unknown("there is no such identity provider".to_owned()))?;
        let chosen = Chosen {
            name: name.clone(),
            provider: provider.clone(),
        };
        Ok((chosen, access))
    }

    /// Asks one thing of a provider.
    fn ask_provider(
        &self,
        chosen: &Chosen,
        url: &Url,
        form: Option<&Form>,
    ) -> Result<Answer, Failure> {
        let providers = &self.0.people.providers;
        let issuer = chosen.provider.issuer.as_str();
        let Some((access, _)) = providers.access.get() else {
            return Err(Failure::Unreached(Unreached::Connection));
        };
        providers.begin(issuer)?;
        let answer = access.web.ask(&Ask { url, form });
        providers.end(issuer);
        answer.map_err(Failure::Unreached)
    }

    /// Fetches a document that everybody may read.
    fn fetch(&self, chosen: &Chosen, url: &Url) -> Result<Vec<u8>, Failure> {
        let answer = self.ask_provider(chosen, url, None)?;
        (answer.status == 200)
            .then_some(answer.body)
            .ok_or(Failure::Status)
    }

    /// Returns what a provider says of itself.
    fn metadata(&self, chosen: &Chosen) -> Result<Arc<Metadata>, Stopped> {
        let (providers, now_ms) = (&self.0.people.providers, self.monotonic_ms());
        let issuer = &chosen.provider.issuer;
        if let Some((metadata, hosts, since)) = lock(&providers.known)
            .get(issuer.as_str())
            .and_then(|known| known.metadata.clone())
            && hosts == chosen.provider.hosts
            && now_ms.saturating_sub(since) < FRESH_MS
        {
            return Ok(metadata);
        }
        if let Some(failure) = providers.failed_lately(issuer.as_str(), now_ms) {
            return Err(Stopped::Again(failure));
        }
        let fetched = || {
            let lacks = |_| Failure::Metadata(DiscoveryError::Lacks("issuer"));
            let bytes = self.fetch(chosen, &issuer.metadata().map_err(lacks)?)?;
            Metadata::read(&bytes, issuer, &chosen.provider.hosts).map_err(Failure::Metadata)
        };
        match fetched() {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                if let Some(known) = lock(&providers.known).get_mut(issuer.as_str()) {
                    let hosts = chosen.provider.hosts.clone();
                    known.metadata = Some((metadata.clone(), hosts, now_ms));
                    known.failed = None;
                }
                Ok(metadata)
            }
            Err(failure) => Err(providers.failed(issuer.as_str(), failure, now_ms)),
        }
    }

    /// Returns the keys of a provider: those that are known, or fetched anew.
    fn keys(
        &self,
        chosen: &Chosen,
        metadata: &Metadata,
        which: Which,
    ) -> Result<Arc<KeySet>, Stopped> {
        let (providers, now_ms) = (&self.0.people.providers, self.monotonic_ms());
        let issuer = chosen.provider.issuer.as_str();
        {
            let mut known = lock(&providers.known);
            let known = known.entry(issuer.to_owned()).or_default();
            let fresh = known.keys.clone();
            let fresh = fresh.filter(|(_, since)| now_ms.saturating_sub(*since) < FRESH_MS);
            match (which, fresh) {
                (Which::Known, Some((keys, _))) => return Ok(keys),
                (Which::Known, None) => {}
                (Which::Anew, fresh) => {
                    let lately = known.refreshed;
                    let lately = lately.is_some_and(|at| now_ms.saturating_sub(at) < REFRESH_MS);
                    if let Some((keys, _)) = fresh.filter(|_| lately) {
                        return Ok(keys);
                    }
                    known.refreshed = Some(now_ms);
                }
            }
        }
        let fetched = self
            .fetch(chosen, &metadata.keys)
            .and_then(|bytes| KeySet::read(&bytes).map_err(|_| Failure::Keys));
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                if let Some(known) = lock(&providers.known).get_mut(issuer) {
                    known.keys = Some((keys.clone(), now_ms));
                }
                Ok(keys)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Verifies the token that came, by the keys of the provider; once more, where it has a key that is not known yet.
    fn verified(
        &self,
        chosen: &Chosen,
        metadata: &Metadata,
        came: &Came<'_>,
    ) -> Result<Claims, Stopped> {
        let seconds = |time: Timestamp| time.unix_micros() / 1_000_000;
        let groups = chosen.provider.groups.as_ref();
        let expected = Expected {
            issuer: chosen.provider.issuer.as_str(),
            client: &chosen.provider.client_id,
            nonce: came.nonce,
            access_token: Some(came.tokens.access_token.as_str()),
            began: seconds(came.began),
            now: seconds(self.now()),
            groups: groups.map(|groups| groups.claim.as_str()),
        };
        let token = IdToken::read(&came.tokens.id_token)?;
        let keys = self.keys(chosen, metadata, Which::Known)?;
        match token.verify(&keys, &expected) {
            Err(Refusal::Key(KeyError::Unknown)) => {
                let keys = self.keys(chosen, metadata, Which::Anew)?;
                Ok(token.verify(&keys, &expected)?)
            }
            told => Ok(told?),
        }
    }
}

/// Which keys of a provider are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those that are known, if they are.
    Known,
    /// Those that it has now, as far as it was not asked a moment ago.
    Anew,
}

/// What somebody was let in by: the provider, and what its token says.
struct Said {
    chosen: Chosen,
    claims: Claims,
    method: Method,
}

#[cfg(test)]
mod tests;
