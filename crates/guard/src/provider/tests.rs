use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use custody_identity::{Change, Party, ProviderIdentity, Right};
use custody_ledger::{Entry, Outcome};
use custody_oidc::Algorithm;
use custody_oidc::testing::{CLIENT, ISSUER, Provider as Keys};
use custody_types::{Clock, Code};
use custody_wire::{DevicePollRequest, DeviceRequest, PolicySource, ReplayRequest, SessionReply};
use serde_json::{Value, json};

use super::*;
use crate::act::{ChangePolicy, List, ReadLedger};
use crate::session::Session;
use crate::target::ResourceRef;
use crate::testing::World;

const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const REDIRECT: &str = "https://custody.example/v1/sessions/oidc/callback";
const SETTINGS: &str = r#"{"sign_in": {"corp": {"issuer": "https://issuer.example", "client_id": "custody",
    "groups": {"claim": "groups", "roles": {"risk": ["auditor"]}, "accounts": ["team"]}, "two_factors": {"amr": ["mfa"]}}}}"#;

/// The network, with one provider in it.
#[derive(Debug)]
struct Net(Mutex<Said>);

/// What the provider says.
#[derive(Debug)]
struct Said {
    keys: Keys,
    /// What its token says besides, and instead.
    claims: Value,
    nonce: String,
    /// What it answers instead of a token: the error of RFC 8628.
    pending: Option<&'static str>,
    down: Option<Unreached>,
    metadata: Value,
    token: Option<String>,
    now: i64,
    asked: BTreeMap<String, usize>,
    forms: Vec<String>,
}

impl Web for Net {
    fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Unreached> {
        let mut said = self.0.lock().unwrap();
        *said.asked.entry(ask.url.path().to_owned()).or_default() += 1;
        if let Some(form) = ask.form {
            said.forms.push(form.body().to_owned());
        }
        if let Some(why) = said.down {
            return Err(why);
        }
        let (status, body) = match ask.url.path() {
            "/.well-known/openid-configuration" => (200, said.metadata.to_string()),
            "/keys" => (200, json!({"keys": [said.keys.key_json()]}).to_string()),
            "/device" => (200, json!({"device_code": "d", "user_code": "ABCD-EFGH", "verification_uri": "https://issuer.example/d", "interval": 5, "expires_in": 300}).to_string()),
            "/token" => match said.pending {
                Some(error) => (400, json!({"error": error}).to_string()),
                None => (200, json!({"token_type": "Bearer", "access_token": "a", "id_token": said.id_token()}).to_string()),
            },
            _ => (404, String::new()),
        };
        Ok(Answer {
            status,
            body: body.into_bytes(),
        })
    }
}

impl Said {
    fn id_token(&self) -> String {
        if let Some(token) = &self.token {
            return token.clone();
        }
        let mut claims = json!({"iss": ISSUER, "aud": CLIENT, "sub": "subject-1", "nonce": self.nonce, "iat": self.now, "exp": self.now + 300});
        for (name, value) in self.claims.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.keys.token(&claims)
    }
}

fn metadata() -> Value {
    json!({"issuer": ISSUER, "authorization_endpoint": "https://issuer.example/auth", "token_endpoint": "https://issuer.example/token",
        "jwks_uri": "https://issuer.example/keys", "device_authorization_endpoint": "https://issuer.example/device",
        "authorization_response_iss_parameter_supported": true})
}

struct Place {
    world: World,
    door: Door,
    net: Arc<Net>,
}

fn settings(text: &str) -> Vec<PolicySource> {
    vec![PolicySource {
        name: "settings.json".to_owned(),
        text: text.to_owned(),
    }]
}

fn bound() -> Right {
    Right::Identity(ProviderIdentity::new(ISSUER, "subject-1").unwrap())
}

impl Place {
    /// A workspace with a provider, and with Ada, who is somebody to it.
    fn new() -> Self {
        let world = World::default();
        let door = world.open();
        let owner = world.person("owner");
        let who: Party = "ada".parse().unwrap();
        let changes = vec![
            Change::Add { who: who.clone() },
            Change::Grant {
                who,
                right: bound(),
                seconds: None,
            },
        ];
        door.change_accounts(&owner, changes).unwrap();
        door.change_policies(&owner, settings(SETTINGS)).unwrap();
        let net = Arc::new(Net(Mutex::new(Said {
            keys: Keys::signing(Algorithm::Es256),
            claims: json!({}),
            nonce: String::new(),
            pending: None,
            down: None,
            metadata: metadata(),
            token: None,
            now: 0,
            asked: BTreeMap::new(),
            forms: Vec::new(),
        })));
        door.let_providers_in(ProviderAccess {
            web: net.clone(),
            redirect: Some(REDIRECT.to_owned()),
            secrets: BTreeMap::new(),
        });
        Self { world, door, net }
    }

    fn said(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.net.0.lock().unwrap());
    }

    fn asked(&self, path: &str) -> usize {
        let said = self.net.0.lock().unwrap();
        said.asked.get(path).copied().unwrap_or(0)
    }

    /// Begins, and lets the provider know what for. Returns what the browser keeps, and what it would come back with.
    fn begin(&self) -> (String, String) {
        let begun = self.door.begin_in_browser(Some("corp"), NEAR).unwrap();
        let url = Url::parse(&begun.location).unwrap();
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["redirect_uri"], REDIRECT);
        let now = self.world.clock.now().unix_micros() / 1_000_000;
        self.said(|said| {
            query["nonce"].clone_into(&mut said.nonce);
            said.now = now;
        });
        let back = format!(
            "code=c&state={}&iss=https%3A%2F%2Fissuer.example",
            query["state"]
        );
        (begun.cookie, back)
    }

    fn end(&self, (cookie, back): &(String, String)) -> Result<SessionReply, Problem> {
        self.door.return_to_browser(back, Some(cookie), NEAR)
    }

    fn sign_in(&self) -> Result<SessionReply, Problem> {
        self.end(&self.begin())
    }

    fn session(&self, reply: &SessionReply) -> Session {
        self.door.sign_in(Some(&reply.token), NEAR, None).unwrap()
    }

    fn is_let_in(&self, reply: &SessionReply) -> bool {
        self.door.sign_in(Some(&reply.token), NEAR, None).is_ok()
    }

    /// Returns the entries of refusals after the first `before`, each with its reason.
    fn reasons(&self, before: usize) -> Vec<(Option<Outcome>, String)> {
        let entries = World::entries(&self.door).split_off(before);
        let refused = entries.into_iter().filter(|entry: &Entry| {
            entry.verb == "session.sign_in" && entry.facts.contains_key("reason")
        });
        refused
            .map(|entry| (entry.outcome, entry.facts["reason"].clone()))
            .collect()
    }

    fn size(&self) -> usize {
        World::entries(&self.door).len()
    }
}

type Act<'a> = Box<dyn Fn() + 'a>;

fn code(told: Result<SessionReply, Problem>) -> Code {
    told.unwrap_err().code
}

#[test]
fn who_is_bound_is_let_in_with_what_their_groups_give() {
    let place = Place::new();
    place.said(|said| {
        said.claims = json!({"groups": ["risk", "other"], "email": "owner@example.com"});
    });
    let reply = place.sign_in().unwrap();
    assert_eq!(reply.account.to_string(), "ada");
    assert_eq!(reply.roles, ["auditor"]);
    let session = place.session(&reply);
    assert_eq!(session.authentication().strength(), 1);
    let ask = || {
        place
            .door
            .ask::<ReadLedger>(&session, ResourceRef::Ledger)
            .map(drop)
    };
    ask().unwrap();
    // What the groups give ends with the table that says so, and comes back with it: the session goes on.
    let owner = place.world.person("owner");
    place
        .door
        .change_policies(&owner, settings(&SETTINGS.replace("risk", "else")))
        .unwrap();
    assert_eq!(ask().unwrap_err().code, code::DOOR_001);
    place
        .door
        .change_policies(&owner, settings(SETTINGS))
        .unwrap();
    ask().unwrap();
    // Where the token says that two factors were shown, the session is as strong.
    place.said(|said| said.claims = json!({"amr": ["pwd", "mfa"], "groups": "risk"}));
    let strong = place.sign_in().unwrap();
    assert!(strong.roles.is_empty());
    assert_eq!(place.session(&strong).authentication().strength(), 2);
    // The entry says by what.
    let entries = World::entries(&place.door);
    let last = entries
        .iter()
        .rev()
        .find(|entry| entry.facts.contains_key("method"))
        .unwrap();
    assert_eq!(
        (
            last.facts["provider"].as_str(),
            last.facts["method"].as_str()
        ),
        ("corp", "provider")
    );
    // Neither the provider's tokens nor what the person is to it stand in the ledger.
    let text = format!("{entries:?}");
    assert!(!text.contains("subject-1") && !text.contains("example.com"));
    let form = place.net.0.lock().unwrap().forms.pop().unwrap();
    assert!(form.contains("grant_type=authorization_code") && form.contains("code_verifier="));
}

#[test]
fn who_is_bound_to_nothing_is_told_what_an_owner_does() {
    let place = Place::new();
    // The same subject of another issuer would be another; so is who has somebody's address.
    place.said(|said| {
        said.claims =
            json!({"sub": "it's me", "email": "ada@example.com", "preferred_username": "ada"});
    });
    let before = place.size();
    let told = place.sign_in().unwrap_err();
    assert_eq!(told.code, code::DOOR_033);
    let hint = told.hint.unwrap();
    assert!(
        hint.contains(r"--oidc https://issuer.example 'it'\''s me'"),
        "{hint}"
    );
    assert_eq!(
        place.reasons(before),
        [(Some(Outcome::Denied), "unbound".to_owned())]
    );
    // Where the settings say so, a member of a group gets an account, which is bound to them alone.
    let member = json!({"sub": "it's me", "groups": ["team"]});
    place.said(|said| said.claims = member.clone());
    let reply = place.sign_in().unwrap();
    assert_eq!(reply.account.to_string(), "corp:it's me");
    let again = place.sign_in().unwrap();
    assert_eq!(again.account, reply.account);
    let made = World::entries(&place.door).into_iter();
    let made =
        made.filter(|entry| entry.verb == "admin.identity" && entry.facts.contains_key("provider"));
    assert_eq!(made.count(), 1);
    // An account that has the name already is not theirs.
    let owner = place.world.person("owner");
    let taken = vec![Change::Add {
        who: "corp:x".parse().unwrap(),
    }];
    place.door.change_accounts(&owner, taken).unwrap();
    place.said(|said| said.claims = json!({"sub": "x", "groups": ["team"]}));
    assert_eq!(code(place.sign_in()), code::IDENTITY_002);
    place.said(|said| said.claims = json!({"sub": "x".repeat(255), "groups": ["team"]}));
    assert!(place.sign_in().unwrap().account.to_string().len() < 256);
    // Made again under the same policies nothing comes out otherwise: what nobody can know is counted, what no policy decided is
    // no decision of policies.
    let request = ReplayRequest {
        sources: settings(SETTINGS),
        seconds: None,
        limit: None,
        after: None,
    };
    let told = place.door.replay(&owner, request).unwrap();
    assert_eq!((told.otherwise, told.next), (0, None), "{:?}", told.changed);
    let unknown: Vec<_> = told.unknown.keys().collect();
    assert_eq!(
        unknown,
        ["which roles an identity provider's groups gave then is not known afterwards"]
    );
    drop(place.door);
    let known = place.world.open();
    let who = ProviderIdentity::new(ISSUER, "it's me").unwrap();
    assert!(known.0.policies().directory().person_of(&who).is_some());
}

#[test]
fn what_is_not_as_it_must_be_is_told_in_one_way_and_entered_with_its_reason() {
    let place = Place::new();
    let mut told = Vec::new();
    let mut refused = |expect: &str, reply: Result<SessionReply, Problem>, before: usize| {
        told.push(reply.unwrap_err().to_string());
        assert_eq!(
            place.reasons(before),
            [(Some(Outcome::Denied), expect.to_owned())],
            "{expect}"
        );
    };
    for (claims, expect) in [
        (json!({"nonce": "other"}), "nonce"),
        (json!({"aud": "other"}), "audience"),
        (json!({"iss": "https://other.example"}), "issuer"),
        (json!({"exp": 1}), "expired"),
        (json!({"iat": 1}), "old"),
        (json!({"nbf": 4_102_444_800_u64}), "early"),
        (json!({"exp": "4102444800"}), "claim"),
        (json!({"at_hash": "x"}), "access_token"),
    ] {
        place.said(|said| said.claims = claims);
        let before = place.size();
        refused(expect, place.sign_in(), before);
    }
    place.said(|said| said.claims = json!({}));
    // In another browser, with another answer, twice, or too late.
    let (cookie, back) = place.begin();
    for (expect, back, cookie) in [
        ("cookie", back.clone(), None),
        ("cookie", back.clone(), Some(cookie.to_lowercase())),
        ("cookie", back.clone(), Some("x".to_owned())),
        (
            "state",
            back.replace("state=", "state=x"),
            Some(cookie.clone()),
        ),
        ("state", "code=c".to_owned(), Some(cookie.clone())),
        ("state", back.clone(), Some(place.begin().0)),
    ] {
        let before = place.size();
        refused(
            expect,
            place.door.return_to_browser(&back, cookie.as_deref(), NEAR),
            before,
        );
    }
    let mut changed = |expect: &str, change: &dyn Fn(&str) -> String| {
        let (cookie, back) = place.begin();
        let before = place.size();
        refused(expect, place.end(&(cookie, change(&back))), before);
    };
    changed("mixed_up", &|back| {
        back.replace("issuer.example", "other.example")
    });
    changed("mixed_up", &|back| {
        back.split("&iss").next().unwrap().to_owned()
    });
    changed("provider_refused", &|back| {
        back.replace("code=c", "error=access_denied&error_description=%3Cb%3E")
    });
    changed("no_code", &|back| back.replace("code=c&", ""));
    let begun = place.begin();
    place.end(&begun).unwrap();
    let before = place.size();
    refused("used", place.end(&begun), before);
    let begun = place.begin();
    place.world.clock.advance(600);
    let before = place.size();
    refused("late", place.end(&begun), before);
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    // What may be read in two ways is nobody's answer.
    let (cookie, back) = place.begin();
    for twice in ["code=d", "state=x", "iss=x", "anything=1&anything=1"] {
        let back = format!("{back}&{twice}");
        assert_eq!(code(place.end(&(cookie.clone(), back))), code::API_010);
    }
    place.end(&(cookie, back)).unwrap();
}

#[test]
fn who_comes_with_wrong_answers_waits_and_nobody_else_does() {
    let place = Place::new();
    let begun = place.begin();
    let wrong = || place.door.return_to_browser("state=x", None, FAR);
    let codes: Vec<_> = (0..=51).map(|_| code(wrong())).collect();
    assert_eq!((codes[0], codes[51]), (code::DOOR_032, code::DOOR_026));
    let refused = place.door.begin_in_browser(None, FAR).map(drop);
    assert_eq!(refused.unwrap_err().code, code::DOOR_026);
    place.end(&begun).unwrap();
}

#[test]
fn a_session_ends_with_the_binding_the_account_the_provider_and_by_its_person() {
    let place = Place::new();
    let owner = place.world.person("owner");
    let who: Party = "ada".parse().unwrap();
    let account = |change: Change| drop(place.door.change_accounts(&owner, vec![change]).unwrap());
    let (unbind, bind) = (
        Change::Revoke {
            who: who.clone(),
            right: bound(),
        },
        Change::Grant {
            who: who.clone(),
            right: bound(),
            seconds: None,
        },
    );
    let policies =
        |text: &'static str| drop(place.door.change_policies(&owner, settings(text)).unwrap());
    let ends: [(Act<'_>, Act<'_>); 3] = [
        (
            Box::new(|| account(unbind.clone())),
            Box::new(|| account(bind.clone())),
        ),
        (
            Box::new(|| account(Change::Disable { who: who.clone() })),
            Box::new(|| account(Change::Enable { who: who.clone() })),
        ),
        (Box::new(|| policies("{}")), Box::new(|| policies(SETTINGS))),
    ];
    for (end, undo) in ends {
        let reply = place.sign_in().unwrap();
        let running = place.session(&reply);
        assert!(
            place
                .door
                .ask::<List>(&running, ResourceRef::Workspace)
                .is_err_and(|told| told.code == code::DOOR_001)
        );
        end();
        assert!(!place.is_let_in(&reply));
        let over = place.door.ask::<List>(&running, ResourceRef::Workspace);
        assert_eq!(over.map(drop).unwrap_err().code, code::DOOR_019);
        undo();
        // It does not come back.
        assert!(!place.is_let_in(&reply));
        let over = place.door.ask::<List>(&running, ResourceRef::Workspace);
        assert_eq!(over.map(drop).unwrap_err().code, code::DOOR_019);
    }
    let reply = place.sign_in().unwrap();
    place.door.sign_out(&reply.token).unwrap();
    assert!(!place.is_let_in(&reply));
    let reply = place.sign_in().unwrap();
    place.world.clock.advance(60 * 60);
    assert!(!place.is_let_in(&reply));
    // An account that is disabled meanwhile lets nobody in.
    account(Change::Disable { who });
    let before = place.size();
    assert_eq!(code(place.sign_in()), code::DOOR_001);
    let refused = (Some(Outcome::Denied), "disabled".to_owned());
    assert_eq!(place.reasons(before), [refused]);
}

#[test]
fn keys_are_fetched_again_for_one_that_is_not_known_but_not_for_a_flood_of_them() {
    let place = Place::new();
    place.sign_in().unwrap();
    place.sign_in().unwrap();
    assert_eq!(
        (
            place.asked("/keys"),
            place.asked("/.well-known/openid-configuration")
        ),
        (1, 1)
    );
    place.said(|said| said.keys = Keys::signing(Algorithm::EdDsa).named("key-2"));
    place.sign_in().unwrap();
    assert_eq!(place.asked("/keys"), 2);
    let stranger = Keys::signing(Algorithm::EdDsa).named("key-3");
    for _ in 0..5 {
        let begun = place.begin();
        let (nonce, now) = {
            let said = place.net.0.lock().unwrap();
            (said.nonce.clone(), said.now)
        };
        let mut claims = stranger.claims(&nonce);
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + 300);
        place.said(|said| said.token = Some(stranger.token(&claims)));
        assert_eq!(code(place.end(&begun)), code::DOOR_032);
    }
    assert_eq!(place.asked("/keys"), 2, "once a minute at most");
    place.said(|said| said.token = None);
    place.sign_in().unwrap();
    place.world.clock.advance(61);
    place.said(|said| said.keys = Keys::signing(Algorithm::Rs256).named("key-4"));
    place.sign_in().unwrap();
    assert_eq!(place.asked("/keys"), 3);
}

#[test]
fn a_provider_that_cannot_be_used_is_told_and_entered_and_comes_back() {
    let place = Place::new();
    let begin = || place.door.begin_in_browser(None, NEAR).map(drop);
    let mut wrong_issuer = metadata();
    wrong_issuer["issuer"] = json!("https://other.example");
    let mut elsewhere = metadata();
    elsewhere["token_endpoint"] = json!("https://other.example/token");
    let mut said = Vec::new();
    for (down, metadata, expect) in [
        (Some(Unreached::Connection), metadata(), "connection"),
        (Some(Unreached::Time), metadata(), "time"),
        (Some(Unreached::Size), metadata(), "size"),
        (Some(Unreached::Redirect), metadata(), "redirect"),
        (Some(Unreached::Network), metadata(), "network"),
        (None, wrong_issuer, "metadata_issuer"),
        (None, elsewhere, "metadata_host"),
        (None, json!({}), "metadata"),
    ] {
        place.said(|said| {
            said.down = down;
            said.metadata = metadata;
        });
        let before = place.size();
        let told = begin().unwrap_err();
        assert_eq!(told.code, code::DOOR_034);
        assert!(told.hint.is_some());
        said.push(told.to_string());
        // Who comes a moment later is told the same, and the provider is not asked again.
        let asked = place.asked("/.well-known/openid-configuration");
        assert_eq!(begin().unwrap_err().to_string(), told.to_string());
        assert_eq!(place.asked("/.well-known/openid-configuration"), asked);
        assert_eq!(
            place.reasons(before),
            [(Some(Outcome::Error), expect.to_owned())]
        );
        place.world.clock.advance(3);
    }
    said.dedup();
    assert_eq!(said.len(), 8);
    place.said(|said| {
        said.down = None;
        said.metadata = metadata();
    });
    let begun = place.begin();
    place.said(|said| said.down = Some(Unreached::Time));
    assert_eq!(code(place.end(&begun)), code::DOOR_034);
    place.said(|said| said.down = None);
    place.sign_in().unwrap();
    // None that is not declared is asked.
    let none = place.door.begin_in_browser(Some("other"), NEAR).map(drop);
    assert_eq!(none.unwrap_err().code, code::DOOR_035);
    let names = place.door.providers().providers;
    assert_eq!(
        (names.len(), names[0].name.as_str(), names[0].browser),
        (1, "corp", true)
    );
}

#[test]
fn a_terminal_is_let_in_once_its_code_is_confirmed_and_is_good_for_less() {
    let place = Place::new();
    let request = DeviceRequest { provider: None };
    let begin = |from| place.door.begin_device(&request, from);
    let poll = |pending: &str, from| {
        let request = DevicePollRequest {
            pending: pending.to_owned(),
        };
        place.door.poll_device(&request, from)
    };
    let ready = |place: &Place| {
        let now = place.world.clock.now().unix_micros() / 1_000_000;
        place.said(|said| said.now = now);
    };
    let begun = begin(NEAR).unwrap();
    assert_eq!(
        (begun.user_code.as_str(), begun.address.as_str()),
        ("ABCD-EFGH", "https://issuer.example/d")
    );
    place.said(|said| said.pending = Some("authorization_pending"));
    // Who asks too early asks nothing of the provider; neither does another address, or another secret.
    assert!(poll(&begun.pending, NEAR).unwrap().wait_ms <= 5000);
    place.world.clock.advance(6);
    for (pending, from) in [
        (begun.pending.as_str(), FAR),
        ("cst_x", NEAR),
        (&begin(NEAR).unwrap().pending, FAR),
    ] {
        assert_eq!(poll(pending, from).unwrap_err().code, code::DOOR_036);
    }
    assert_eq!(place.asked("/token"), 0);
    assert_eq!(poll(&begun.pending, NEAR).unwrap().wait_ms, 5000);
    place.world.clock.advance(6);
    place.said(|said| said.pending = Some("slow_down"));
    assert_eq!(poll(&begun.pending, NEAR).unwrap().wait_ms, 10_000);
    // A provider that is away for a while is asked again later.
    place.world.clock.advance(11);
    place.said(|said| said.down = Some(Unreached::Connection));
    assert_eq!(poll(&begun.pending, NEAR).unwrap().wait_ms, 15_000);
    place.world.clock.advance(16);
    place.said(|said| {
        said.down = None;
        said.pending = None;
        said.claims = json!({"groups": ["risk"], "amr": ["mfa"]});
    });
    ready(&place);
    let reply = poll(&begun.pending, NEAR).unwrap().session.unwrap();
    assert_eq!(
        (reply.account.to_string(), reply.roles.len()),
        ("ada".to_owned(), 1)
    );
    let session = place.session(&reply);
    assert_eq!(session.authentication().strength(), 1);
    place
        .door
        .ask::<ReadLedger>(&session, ResourceRef::Ledger)
        .unwrap()
        .finish()
        .unwrap();
    let refused = place
        .door
        .ask::<ChangePolicy>(&session, ResourceRef::Policy)
        .map(drop);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("confirmed at an identity provider")
    );
    // It counts once.
    assert_eq!(poll(&begun.pending, NEAR).unwrap_err().code, code::DOOR_036);
    for (error, reason) in [
        ("access_denied", "provider_refused"),
        ("expired_token", "late"),
    ] {
        let begun = begin(NEAR).unwrap();
        place.world.clock.advance(6);
        place.said(|said| said.pending = Some(error));
        let before = place.size();
        assert_eq!(poll(&begun.pending, NEAR).unwrap_err().code, code::DOOR_036);
        assert_eq!(
            place.reasons(before),
            [(Some(Outcome::Denied), reason.to_owned())]
        );
    }
    // A token that is older than the code is another's.
    let old = begin(NEAR).unwrap();
    place.world.clock.advance(6);
    place.said(|said| {
        said.pending = None;
        said.now -= 120;
    });
    assert_eq!(poll(&old.pending, NEAR).unwrap_err().code, code::DOOR_032);
    // Of an address few wait at once, and what has ended makes room.
    place.world.clock.advance(400);
    for _ in 0..8 {
        begin(NEAR).unwrap();
    }
    let asked = place.asked("/device");
    assert_eq!(begin(NEAR).unwrap_err().code, code::DOOR_027);
    assert_eq!(place.asked("/device"), asked);
    begin(FAR).unwrap();
    place.world.clock.advance(301);
    begin(NEAR).unwrap();
}

#[test]
fn a_provider_that_is_slow_takes_no_more_than_its_share() {
    let place = Place::new();
    let providers = &place.door.0.people.providers;
    for _ in 0..AT_ONCE {
        providers.begin(ISSUER).unwrap();
    }
    let before = place.size();
    let told = place.door.begin_in_browser(None, NEAR).map(drop);
    assert_eq!(told.unwrap_err().code, code::DOOR_034);
    // That is nobody's fault, and no entry; another provider's people come as before.
    assert_eq!(
        (
            place.size(),
            place.asked("/.well-known/openid-configuration")
        ),
        (before, 0)
    );
    assert!(providers.begin("https://other.example").is_ok());
    providers.end(ISSUER);
    place.sign_in().unwrap();
}
