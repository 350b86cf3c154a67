//! Signing in with a browser: the authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9207).
//!
//! What binds the answer to the browser that asked, the state, the nonce and the verifier, goes with the browser, sealed, in a
//! cookie: who begins takes no room here. An answer counts once, within ten minutes, and in that browser alone.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use custody_crypto::aead;
use custody_crypto::floe::{self, Parameters};
use custody_identity::Method;
use custody_oidc::{Authorization, authorization_url, code_form, read_tokens};
use custody_types::{Digest, Problem, Timestamp, code};
use custody_wire::SessionReply;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Came, Chosen, Said, Stopped};
use crate::door::{Door, lock};

/// How long an answer is waited for, in seconds.
const WAITED: i64 = 10 * 60;
/// How many answers that came are remembered; of more none is taken until some are too old to count.
const MOST_USED: usize = 10_000;
/// How many bytes the query of an answer, and the cookie, have at most.
const QUERY_BYTES: usize = 8 << 10;
const COOKIE_BYTES: usize = 2 << 10;
/// What is sealed, so that nothing else that is sealed is taken for it.
const SEALED: &[u8] = b"custody sign-in";
const SEGMENT: usize = 4096;

/// A sign-in that a browser begins.
pub struct BegunSignIn {
    /// Where the browser goes.
    pub location: String,
    /// What the browser keeps meanwhile, and shows when it comes back.
    pub cookie: String,
    /// For how long, in seconds.
    pub seconds: i64,
}

impl fmt::Debug for BegunSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BegunSignIn(…)")
    }
}

/// What the browser keeps.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Kept {
    provider: String,
    issuer: String,
    state: String,
    nonce: String,
    verifier: String,
    #[zeroize(skip)]
    began: Timestamp,
}

impl Door {
    /// Begins a sign-in with a browser at a provider; without a name, at the only one.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such provider, it cannot be asked, or the address waits for too many attempts.
    pub fn begin_in_browser(
        &self,
        provider: Option<&str>,
        address: IpAddr,
    ) -> Result<BegunSignIn, Problem> {
        let guesser = self.may_come(address)?;
        let (chosen, access) = self.chosen(provider)?;
        let redirect = access.redirect.as_ref().ok_or_else(|| {
            let what = "browsers are not sent to a provider from here";
            Problem::new(code::DOOR_035, what)
                .because("the server has no name that they could come back to")
                .hint("an operator names it: `custody serve --name NAME`, or `--oidc-address https://…`")
        })?;
        let metadata = self
            .metadata(&chosen)
            .map_err(|stopped| self.stopped(&chosen, stopped, &guesser))?;
        let kept = Kept {
            provider: chosen.name.to_string(),
            issuer: chosen.provider.issuer.to_string(),
            state: self.secret(),
            nonce: self.secret(),
            verifier: self.secret(),
            began: self.now(),
        };
        let request = Authorization {
            client: &chosen.provider.client_id,
            redirect,
            scopes: &chosen.provider.scopes,
            state: &kept.state,
            nonce: &kept.nonce,
            verifier: &kept.verifier,
        };
        let location = authorization_url(&metadata, &request).into();
        Ok(BegunSignIn {
            location,
            cookie: self.seal_kept(&kept)?,
            seconds: WAITED,
        })
    }

    /// Ends a sign-in with a browser that came back from a provider with this query, and shows what it kept.
    ///
    /// # Errors
    /// A [`Problem`], the same whatever is wrong with the answer and with what was kept; others where a parameter is there
    /// twice, the provider cannot be asked, or no account is bound to who it is.
    pub fn return_to_browser(
        &self,
        query: &str,
        cookie: Option<&str>,
        address: IpAddr,
    ) -> Result<SessionReply, Problem> {
        let guesser = self.may_come(address)?;
        let answer = parameters(query)?;
        let kept = cookie.and_then(|cookie| self.open_kept(cookie));
        let Some(kept) = kept else {
            return Err(self.of_nobody("cookie", &guesser));
        };
        let Ok((chosen, _)) = self.chosen(Some(&kept.provider)) else {
            return Err(self.of_nobody("provider", &guesser));
        };
        let claims = self.answered(&chosen, &kept, &answer);
        let claims = claims.map_err(|stopped| self.stopped(&chosen, stopped, &guesser))?;
        let said = Said {
            chosen,
            claims,
            method: Method::Provider,
        };
        self.let_in_by_provider(said, &guesser)
    }

    /// Verifies what a browser came back with, as far as the claims of the provider's token.
    fn answered(
        &self,
        chosen: &Chosen,
        kept: &Kept,
        answer: &BTreeMap<String, String>,
    ) -> Result<custody_oidc::Claims, Stopped> {
        let part = |name: &str| answer.get(name).map(String::as_str);
        let now = self.now();
        if now >= kept.began.plus_seconds(WAITED) || now < kept.began {
            return Err(Stopped::Refused("late"));
        }
        let state = part("state").unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(kept.state.as_bytes())) {
            return Err(Stopped::Refused("state"));
        }
        self.use_up(state, kept.began.plus_seconds(WAITED))?;
        if kept.issuer != chosen.provider.issuer.as_str() {
            return Err(Stopped::Refused("provider"));
        }
        let metadata = self.metadata(chosen)?;
        match part("iss") {
            Some(issuer) if issuer != kept.issuer => return Err(Stopped::Refused("mixed_up")),
            None if metadata.names_issuer => return Err(Stopped::Refused("mixed_up")),
            _ => {}
        }
        if part("error").is_some() {
            return Err(Stopped::Refused("provider_refused"));
        }
        let code = part("code").ok_or(Stopped::Refused("no_code"))?;
        let Some((access, _)) = self.0.people.providers.access.get() else {
            return Err(Stopped::Refused("provider"));
        };
        let redirect = access.redirect.as_deref().unwrap_or_default();
        let form = code_form(
            &metadata,
            chosen.client(access),
            code,
            redirect,
            &kept.verifier,
        );
        let answer = self.ask_provider(chosen, &metadata.token, Some(&form))?;
        let tokens = read_tokens(&answer).map_err(|error| match error {
            custody_oidc::AnswerError::Grant => Stopped::Refused(error.word()),
            error => Stopped::Failed(super::Failure::Answer(error)),
        })?;
        let came = Came {
            tokens: &tokens,
            nonce: Some(&kept.nonce),
            began: kept.began,
        };
        self.verified(chosen, &metadata, &came)
    }

    /// Lets an answer count once.
    fn use_up(&self, state: &str, until: Timestamp) -> Result<(), Stopped> {
        let now = self.now();
        let mut used = lock(&self.0.people.providers.used);
        used.retain(|_, until| now < *until);
        if used.len() >= MOST_USED {
            return Err(Stopped::Refused("busy"));
        }
        let first = used.insert(Digest::of(state.as_bytes()), until).is_none();
        first.then_some(()).ok_or(Stopped::Refused("used"))
    }

    /// Draws what nobody can guess: 256 bits, in letters that an address may have.
    fn secret(&self) -> String {
        let mut random = Zeroizing::new([0; 32]);
        self.0.parts.entropy.fill(random.as_mut_slice());
        BASE64URL.encode(random.as_slice())
    }

    fn seal_kept(&self, kept: &Kept) -> Result<String, Problem> {
        let failed = |error: &dyn fmt::Display| Problem::new(code::DOOR_012, error.to_string());
        let text = serde_json::to_vec(kept).map(Zeroizing::new);
        let text = text.map_err(|error| failed(&error))?;
        let access = self.0.people.providers.access.get();
        let (_, key) = access.ok_or_else(|| failed(&"nobody signs in by a provider"))?;
        let sealed = floe::seal_all(
            Parameters::new(SEGMENT).map_err(|error| failed(&error))?,
            Arc::new(aead::Ring),
            key,
            SEALED,
            &text,
            self.0.parts.entropy.as_ref(),
        );
        sealed
            .map(|bytes| BASE64URL.encode(bytes))
            .map_err(|error| failed(&error))
    }

    fn open_kept(&self, cookie: &str) -> Option<Kept> {
        if cookie.len() > COOKIE_BYTES {
            return None;
        }
        let (_, key) = self.0.people.providers.access.get()?;
        let opened = floe::open_all(
            Parameters::new(SEGMENT).ok()?,
            Arc::new(aead::Ring),
            key,
            SEALED,
            &BASE64URL.decode(cookie).ok()?,
        );
        let opened = opened.map(Zeroizing::new).ok()?;
        serde_json::from_slice(&opened).ok()
    }
}

/// Reads the parameters of an answer (RFC 6749, section 4.1.2). None is there twice: two readers may take another each.
fn parameters(query: &str) -> Result<BTreeMap<String, String>, Problem> {
    let unclear = |what: &str| {
        Problem::new(code::API_010, "the request cannot be understood")
            .because(what)
            .hint("sign in again from the beginning")
    };
    if query.len() > QUERY_BYTES {
        return Err(unclear("its query is too long"));
    }
    let mut read = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if read.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(unclear("a parameter is there twice"));
        }
    }
    Ok(read)
}
