//! The browsers that somebody signed in with: an opaque id in a cookie, and the session of the API that it stands for.
//!
//! INVARIANT: nothing here lets anybody in. A session of the API that is over opens no page, whatever is remembered of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use custody_crypto::Secret;
use custody_types::{Clock, Digest, Entropy, Purpose, Timestamp};
use ring::hmac;
use zeroize::Zeroizing;

/// The name of the cookie. Browsers take one of this name from this host alone, over TLS, for all its paths.
pub(crate) const COOKIE: &str = "__Host-custody";
/// How many characters an id has: 256 bits.
const ID_LENGTH: usize = 43;
/// How many browsers are known at once; of more, the one that was not used for longest is forgotten.
const MOST: usize = 4096;
/// How long a browser is known in which nobody does anything, in milliseconds.
const IDLE_MS: u64 = 30 * 60 * 1000;

/// What a browser shows: it is drawn anew when somebody signs in.
#[derive(Clone)]
pub(crate) struct BrowserId(Zeroizing<String>);

impl BrowserId {
    /// Reads the value of the cookie.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let good = text.len() == ID_LENGTH && BASE64.decode(text).is_ok();
        good.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    fn hash(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// Writes the field that gives it to the browser.
    pub(crate) fn to_cookie(&self) -> String {
        format!(
            "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict",
            *self.0
        )
    }
}

impl std::fmt::Debug for BrowserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BrowserId(…)")
    }
}

/// The field that takes the id away from the browser.
pub(crate) const NO_COOKIE: &str =
    "__Host-custody=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0";

/// A browser that somebody signed in with.
#[derive(Clone)]
pub(crate) struct Browser {
    /// The name of their account.
    pub(crate) account: String,
    /// The token of their session of the API.
    pub(crate) token: Zeroizing<String>,
    /// When that session ends at the latest.
    pub(crate) ends: Timestamp,
    /// For what they look at data, where they said so.
    pub(crate) purpose: Option<Purpose>,
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Browser({})", self.account)
    }
}

#[derive(Debug)]
struct Known {
    browser: Browser,
    used_ms: u64,
}

/// All browsers that are known. They are forgotten with the process.
#[derive(Debug)]
pub(crate) struct Browsers {
    known: Mutex<HashMap<Digest, Known>>,
    /// What tokens of forms are made with.
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Browsers {
    pub(crate) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let key = Secret::<32>::generate(entropy.as_ref());
        Self {
            known: Mutex::default(),
            key: hmac::Key::new(hmac::HMAC_SHA256, key.expose()),
            clock,
            entropy,
        }
    }

    /// Draws an id, which stands for nobody yet.
    pub(crate) fn draw(&self) -> BrowserId {
        let drawn = Secret::<32>::generate(self.entropy.as_ref());
        BrowserId(Zeroizing::new(BASE64.encode(drawn.expose())))
    }

    /// Returns the token that a form of this browser carries: nobody without the key and the id can make it.
    pub(crate) fn form_token(&self, id: &BrowserId) -> String {
        hex::encode(hmac::sign(&self.key, id.0.as_bytes()))
    }

    /// Returns whether a form comes from a page that this browser was given. The time it takes tells nothing.
    pub(crate) fn is_form_token(&self, id: &BrowserId, shown: &str) -> bool {
        let shown = hex::decode(shown).unwrap_or_default();
        hmac::verify(&self.key, id.0.as_bytes(), &shown).is_ok()
    }

    /// Remembers that somebody signed in with a browser.
    pub(crate) fn enter(&self, id: &BrowserId, browser: Browser) {
        let used_ms = self.clock.monotonic_ms();
        let mut known = self.lock();
        if known.len() >= MOST {
            let now = self.clock.now();
            known.retain(|_, one| is_current(one, now, used_ms));
        }
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, one)| one.used_ms);
            if let Some(hash) = oldest.map(|(hash, _)| *hash) {
                known.remove(&hash);
            }
        }
        known.insert(id.hash(), Known { browser, used_ms });
    }

    /// Finds who signed in with a browser. `is_used`: whether a person does something, so that the time in which nobody does
    /// begins anew.
    pub(crate) fn find(&self, id: &BrowserId, is_used: bool) -> Option<Browser> {
        let (now, now_ms) = (self.clock.now(), self.clock.monotonic_ms());
        let mut known = self.lock();
        let hash = id.hash();
        let one = known.get_mut(&hash)?;
        if !is_current(one, now, now_ms) {
            known.remove(&hash);
            return None;
        }
        if is_used {
            one.used_ms = now_ms;
        }
        Some(one.browser.clone())
    }

    /// Notes for what somebody looks at data from now on.
    pub(crate) fn state(&self, id: &BrowserId, purpose: Option<Purpose>) {
        if let Some(one) = self.lock().get_mut(&id.hash()) {
            one.browser.purpose = purpose;
        }
    }

    /// Forgets a browser.
    pub(crate) fn forget(&self, id: &BrowserId) {
        self.lock().remove(&id.hash());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_current(one: &Known, now: Timestamp, now_ms: u64) -> bool {
    now < one.browser.ends && now_ms.saturating_sub(one.used_ms) < IDLE_MS
}

#[cfg(test)]
mod tests {
    use custody_guard::testing::World;

    use super::*;

    fn browser(world: &World, name: &str) -> Browser {
        Browser {
            account: name.to_owned(),
            token: Zeroizing::new("token".to_owned()),
            ends: world.clock.now().plus_seconds(12 * 60 * 60),
            purpose: None,
        }
    }

    fn browsers() -> (World, Browsers) {
        let world = World::default();
        let browsers = Browsers::new(world.clock.clone(), world.entropy.clone());
        (world, browsers)
    }

    #[test]
    fn a_browser_is_forgotten_when_nobody_uses_it_and_when_its_session_ends() {
        let (world, browsers) = browsers();
        let id = browsers.draw();
        assert!(browsers.find(&id, true).is_none());
        browsers.enter(&id, browser(&world, "ada"));
        world.clock.advance(29 * 60);
        assert_eq!(browsers.find(&id, true).unwrap().account, "ada");
        // What a page asks by itself is no use of it.
        world.clock.advance(29 * 60);
        assert!(browsers.find(&id, false).is_some());
        world.clock.advance(2 * 60);
        assert!(browsers.find(&id, true).is_none());
        browsers.enter(&id, browser(&world, "ada"));
        for _ in 0..24 {
            world.clock.advance(29 * 60);
            assert!(browsers.find(&id, true).is_some());
        }
        world.clock.advance(29 * 60);
        assert!(browsers.find(&id, true).is_none());
    }

    #[test]
    fn as_many_are_known_as_there_is_room_for_and_the_one_in_use_is_kept() {
        let (world, browsers) = browsers();
        let first = browsers.draw();
        browsers.enter(&first, browser(&world, "first"));
        let second = browsers.draw();
        browsers.enter(&second, browser(&world, "second"));
        for _ in 0..MOST {
            world.clock.advance(0);
            assert!(browsers.find(&first, true).is_some());
            browsers.enter(&browsers.draw(), browser(&world, "other"));
        }
        assert_eq!(browsers.lock().len(), MOST);
    }

    #[test]
    fn a_token_of_a_form_is_of_one_browser() {
        let (_, browsers) = browsers();
        let (mine, yours) = (browsers.draw(), browsers.draw());
        let token = browsers.form_token(&mine);
        assert!(browsers.is_form_token(&mine, &token));
        assert!(!browsers.is_form_token(&yours, &token));
        for wrong in ["", "00", &format!("{token}00")] {
            assert!(!browsers.is_form_token(&mine, wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_id_is_none() {
        let (_, browsers) = browsers();
        let id = browsers.draw();
        assert!(BrowserId::read(&id.0).is_some());
        for wrong in [
            "",
            "x",
            &id.0.chars().skip(1).collect::<String>(),
            &format!("{}x", *id.0),
            &"é".repeat(43),
        ] {
            assert!(BrowserId::read(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{id:?}").contains(&*id.0));
    }
}
