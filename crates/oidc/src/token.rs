//! ID tokens: by what a provider says who somebody is (OpenID Connect Core 1.0, section 2; RFC 7519; RFC 8725).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::keys::{Algorithm, KeyError, KeySet};
use crate::read_json;

/// How many bytes a token has at most.
const TOKEN_BYTES: usize = 64 << 10;
/// How many bytes the name of a key, and a subject, have at most (OpenID Connect Core 1.0, section 2, of `sub`).
const NAME_BYTES: usize = 255;
/// How many groups, and how many bytes each, count.
const MOST_GROUPS: usize = 1000;
const GROUP_BYTES: usize = 256;
/// By how much the clock of a provider may differ, in seconds.
const SKEW: f64 = 60.0;
/// What would let a token say by which key it is to be verified, or that it is to be read in another way.
const REFUSED_HEADERS: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"];

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// For whom.
    pub client: &'a str,
    /// What the request had, where it came from one with a nonce.
    pub nonce: Option<&'a str>,
    /// The access token that came with it.
    pub access_token: Option<&'a str>,
    /// When the sign-in began, in seconds since 1970: a token from before is another's.
    pub began: i64,
    /// When it is verified, in seconds since 1970.
    pub now: i64,
    /// The claim that lists groups.
    pub groups: Option<&'a str>,
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who somebody is to the issuer: with it the only thing that identifies them.
    pub subject: String,
    /// The groups that they are in; none where the claim is absent, malformed or elsewhere.
    pub groups: BTreeSet<String>,
    /// The authentication context class (`acr`).
    pub context: Option<String>,
    /// The authentication methods (`amr`).
    pub methods: BTreeSet<String>,
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not three parts of base64url that hold JSON.
    #[error("the token is malformed")]
    Malformed,
    /// An object of it has a member twice, or is no JSON.
    #[error("the token is no JSON that is read by everybody alike: {0}")]
    Json(&'static str),
    /// Its algorithm is none that is allowed: `none`, one with a shared secret, or another.
    #[error("the token is signed by an algorithm that is not allowed")]
    Algorithm,
    /// Its header has a member that would say by which key it is to be verified.
    #[error("the header of the token has `{0}`")]
    Header(&'static str),
    /// Its type is another than `JWT`.
    #[error("the token is of another type")]
    Type,
    /// The name of its key is none.
    #[error("the name of the token's key is none")]
    KeyName,
    /// There is no such key, or the signature is not by it.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// A claim is absent, or of another JSON type than it must be.
    #[error("the claim `{0}` is absent or of another type")]
    Claim(&'static str),
    /// Another issuer made it.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another client")]
    Audience,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet, or issued in the future.
    #[error("the token is from the future")]
    Early,
    /// It is from before the sign-in began.
    #[error("the token is older than the sign-in")]
    Old,
    /// It answers another request.
    #[error("the token answers another request")]
    Nonce,
    /// It came with another access token.
    #[error("the token belongs to another access token")]
    AccessToken,
}

impl Refusal {
    /// Returns one word for it, as entries have it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Json(_) => "json",
            Self::Algorithm => "algorithm",
            Self::Header(_) => "header",
            Self::Type => "type",
            Self::KeyName => "key_name",
            Self::Key(KeyError::Unknown) => "key_unknown",
            Self::Key(KeyError::Ambiguous) => "key_ambiguous",
            Self::Key(KeyError::Signature) => "signature",
            Self::Claim(_) => "claim",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Old => "old",
            Self::Nonce => "nonce",
            Self::AccessToken => "access_token",
        }
    }
}

/// A token that nothing is believed of yet.
#[derive(Debug)]
pub struct IdToken<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key: Option<String>,
    claims: Map<String, Value>,
}

impl<'a> IdToken<'a> {
    /// Reads a token in the compact form (RFC 7515, section 7.1).
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn read(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > TOKEN_BYTES {
            return Err(Refusal::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let header = object(header, "header")?;
        for name in REFUSED_HEADERS {
            if header.contains_key(name) {
                return Err(Refusal::Header(name));
            }
        }
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
        match header.get("typ") {
            None => {}
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("JWT") => {}
            Some(_) => return Err(Refusal::Type),
        }
        let key = match header.get("kid") {
            None => None,
            Some(Value::String(name)) if is_key_name(name) => Some(name.clone()),
            Some(_) => return Err(Refusal::KeyName),
        };
        Ok(Self {
            signed,
            signature: BASE64URL
                .decode(signature)
                .map_err(|_| Refusal::Malformed)?,
            algorithm,
            key,
            claims: object(claims, "claims")?,
        })
    }

    /// Verifies its signature by the keys of the provider, and that it says what it must.
    ///
    /// # Errors
    /// [`Refusal`]; [`KeyError::Unknown`] where the keys may have been changed since they were fetched.
    pub fn verify(&self, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, Refusal> {
        let message = self.signed.as_bytes();
        keys.verify(
            self.algorithm,
            self.key.as_deref(),
            message,
            &self.signature,
        )?;
        if self.text("iss")? != expected.issuer {
            return Err(Refusal::Issuer);
        }
        self.check_audience(expected.client)?;
        self.check_times(expected)?;
        if let Some(nonce) = expected.nonce
            && !bool::from(self.text("nonce")?.as_bytes().ct_eq(nonce.as_bytes()))
        {
            return Err(Refusal::Nonce);
        }
        self.check_access_token(expected.access_token)?;
        let subject = self.text("sub")?;
        let is_subject = (1..=NAME_BYTES).contains(&subject.len())
            && subject.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && subject.trim() == subject;
        if !is_subject {
            return Err(Refusal::Claim("sub"));
        }
        Ok(Claims {
            subject: subject.to_owned(),
            groups: expected
                .groups
                .map_or_else(BTreeSet::new, |claim| self.groups(claim)),
            context: self.optional_text("acr")?.map(ToOwned::to_owned),
            methods: self.methods()?,
        })
    }

    /// The token is for this client and, where it is for others too, was made for this one.
    fn check_audience(&self, client: &str) -> Result<(), Refusal> {
        let party = self.optional_text("azp")?;
        let (is_for_us, several) = match self.claims.get("aud") {
            Some(Value::String(one)) => (one == client, false),
            Some(Value::Array(all)) => {
                let all: Option<Vec<_>> = all.iter().map(Value::as_str).collect();
                let all = all.ok_or(Refusal::Claim("aud"))?;
                (all.contains(&client), all.len() > 1)
            }
            _ => return Err(Refusal::Claim("aud")),
        };
        let was_made_for_us = match party {
            Some(party) => party == client,
            None => !several,
        };
        (is_for_us && was_made_for_us)
            .then_some(())
            .ok_or(Refusal::Audience)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 are far below 2^53"
    )]
    fn check_times(&self, expected: &Expected<'_>) -> Result<(), Refusal> {
        let (now, began) = (expected.now as f64, expected.began as f64);
        let time = |name: &'static str| match self.claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Refusal::Claim(name)),
        };
        let expires = time("exp")?.ok_or(Refusal::Claim("exp"))?;
        let issued = time("iat")?.ok_or(Refusal::Claim("iat"))?;
        let begins = time("nbf")?;
        time("auth_time")?;
        if now >= expires + SKEW {
            return Err(Refusal::Expired);
        }
        if issued > now + SKEW || begins.is_some_and(|begins| begins > now + SKEW) {
            return Err(Refusal::Early);
        }
        if issued < began - SKEW {
            return Err(Refusal::Old);
        }
        Ok(())
    }

    /// Where the token says with which access token it came, that is the one (section 3.1.3.6).
    fn check_access_token(&self, access_token: Option<&str>) -> Result<(), Refusal> {
        let Some(told) = self.optional_text("at_hash")? else {
            return Ok(());
        };
        let access_token = access_token.ok_or(Refusal::AccessToken)?;
        let hash = match self.algorithm {
            Algorithm::EdDsa => Sha512::digest(access_token.as_bytes()).to_vec(),
            _ => Sha256::digest(access_token.as_bytes()).to_vec(),
        };
        let half = hash.get(..hash.len() / 2).unwrap_or_default();
        let same = bool::from(told.as_bytes().ct_eq(BASE64URL.encode(half).as_bytes()));
        same.then_some(()).ok_or(Refusal::AccessToken)
    }

    /// Lists the groups of a claim. Where it is absent, not a list of texts, too long, or only pointed to
    /// (section 5.6.2: `_claim_names`), there are none.
    fn groups(&self, claim: &str) -> BTreeSet<String> {
        let elsewhere = match self.claims.get("_claim_names") {
            None => false,
            Some(Value::Object(names)) => names.contains_key(claim),
            Some(_) => true,
        };
        let Some(Value::Array(all)) = self.claims.get(claim).filter(|_| !elsewhere) else {
            return BTreeSet::new();
        };
        let is_good = |group: &str| (1..=GROUP_BYTES).contains(&group.len());
        let read = all.iter().map(|group| {
            let group = group.as_str().filter(|group| is_good(group));
            group.map(ToOwned::to_owned)
        });
        let read: Option<BTreeSet<_>> = read.collect();
        read.filter(|_| all.len() <= MOST_GROUPS)
            .unwrap_or_default()
    }

    fn methods(&self) -> Result<BTreeSet<String>, Refusal> {
        let wrong = Refusal::Claim("amr");
        match self.claims.get("amr") {
            None => Ok(BTreeSet::new()),
            Some(Value::Array(all)) if all.len() <= MOST_GROUPS => {
                let all = all.iter().map(|one| one.as_str().map(ToOwned::to_owned));
                all.collect::<Option<_>>().ok_or(wrong)
            }
            Some(_) => Err(wrong),
        }
    }

    fn text(&self, name: &'static str) -> Result<&str, Refusal> {
        self.optional_text(name)?.ok_or(Refusal::Claim(name))
    }

    fn optional_text(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::Claim(name)),
        }
    }
}

/// Reads a part that is a JSON object in base64url without padding.
fn object(part: &str, name: &'static str) -> Result<Map<String, Value>, Refusal> {
    let bytes = BASE64URL.decode(part).map_err(|_| Refusal::Malformed)?;
    match read_json(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Refusal::Json(name)),
    }
}

/// Whether a text can name a key: it is compared with names and nothing else, and what reads like a path is refused all the
/// same.
fn is_key_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'!'..=b'~'))
        && !name.contains("..")
        && !name.starts_with('/')
        && !name.contains('\\')
        && !name.contains("://")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{CLIENT, ISSUER, NOW, Provider};

    fn expected() -> Expected<'static> {
        Expected {
            issuer: ISSUER,
            client: CLIENT,
            nonce: Some("n-1"),
            access_token: Some("access"),
            began: NOW - 5,
            now: NOW,
            groups: Some("groups"),
        }
    }

    fn verified(keys: &KeySet, text: &str) -> Result<Claims, Refusal> {
        IdToken::read(text)?.verify(keys, &expected())
    }

    #[test]
    fn a_token_of_each_algorithm_says_who_somebody_is() {
        for algorithm in [
            Algorithm::Rs256,
            Algorithm::Ps256,
            Algorithm::Es256,
            Algorithm::EdDsa,
        ] {
            let provider = Provider::signing(algorithm);
            let mut claims = provider.claims("n-1");
            claims["groups"] = json!(["risk", "team"]);
            claims["amr"] = json!(["pwd", "otp"]);
            claims["acr"] = json!("high");
            claims["at_hash"] = json!(provider.hash("access"));
            let read = verified(&provider.keys(), &provider.token(&claims)).unwrap();
            assert_eq!(read.subject, "subject-1");
            assert_eq!(read.groups.len() + read.methods.len(), 4);
            assert_eq!(read.context.as_deref(), Some("high"));
            let others = Provider::signing(algorithm);
            let forged = verified(&others.keys(), &provider.token(&claims));
            assert_eq!(forged, Err(Refusal::Key(KeyError::Signature)));
        }
    }

    #[test]
    fn a_claim_that_is_not_as_it_must_be_is_refused() {
        let provider = Provider::signing(Algorithm::Es256);
        let keys = provider.keys();
        let refused = |name: &str, value: Value| {
            let mut claims = provider.claims("n-1");
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value;
            }
            verified(&keys, &provider.token(&claims)).unwrap_err()
        };
        for (name, value, expect) in [
            ("iss", json!("https://other.example"), Refusal::Issuer),
            ("iss", json!("https://issuer.example/"), Refusal::Issuer),
            ("iss", json!(1), Refusal::Claim("iss")),
            ("iss", Value::Null, Refusal::Claim("iss")),
            ("aud", json!("other"), Refusal::Audience),
            ("aud", json!(["other"]), Refusal::Audience),
            ("aud", json!([]), Refusal::Audience),
            ("aud", json!([CLIENT, "other"]), Refusal::Audience),
            ("aud", json!([CLIENT, 1]), Refusal::Claim("aud")),
            ("aud", json!({"a": CLIENT}), Refusal::Claim("aud")),
            ("aud", Value::Null, Refusal::Claim("aud")),
            ("azp", json!("other"), Refusal::Audience),
            ("azp", json!([CLIENT]), Refusal::Claim("azp")),
            ("exp", json!(NOW - 60), Refusal::Expired),
            ("exp", json!("4102444800"), Refusal::Claim("exp")),
            ("exp", Value::Null, Refusal::Claim("exp")),
            ("iat", json!(NOW + 61), Refusal::Early),
            ("iat", json!(NOW - 66), Refusal::Old),
            ("iat", json!("1"), Refusal::Claim("iat")),
            ("iat", Value::Null, Refusal::Claim("iat")),
            ("nbf", json!(NOW + 61), Refusal::Early),
            ("nbf", json!("0"), Refusal::Claim("nbf")),
            ("auth_time", json!("0"), Refusal::Claim("auth_time")),
            ("nonce", json!("n-2"), Refusal::Nonce),
            ("nonce", json!(["n-1"]), Refusal::Claim("nonce")),
            ("nonce", Value::Null, Refusal::Claim("nonce")),
            (
                "at_hash",
                json!(provider.hash("other")),
                Refusal::AccessToken,
            ),
            ("at_hash", json!(1), Refusal::Claim("at_hash")),
            ("sub", json!(""), Refusal::Claim("sub")),
            ("sub", json!(7), Refusal::Claim("sub")),
            ("sub", json!(" a"), Refusal::Claim("sub")),
            ("sub", json!("jos\u{e9}"), Refusal::Claim("sub")),
            ("sub", json!("a\nb"), Refusal::Claim("sub")),
            ("sub", json!("x".repeat(256)), Refusal::Claim("sub")),
            ("sub", Value::Null, Refusal::Claim("sub")),
            ("amr", json!("mfa"), Refusal::Claim("amr")),
            ("amr", json!([1]), Refusal::Claim("amr")),
            ("acr", json!(2), Refusal::Claim("acr")),
        ] {
            let told = refused(name, value.clone());
            assert_eq!(told, expect, "{name}: {value}");
        }
        // Within 60 seconds clocks may differ.
        for (name, value) in [
            ("exp", json!(NOW - 59)),
            ("iat", json!(NOW + 60)),
            ("iat", json!(NOW - 65)),
            ("nbf", json!(NOW + 60)),
            ("exp", json!(4_102_444_800.5)),
            ("aud", json!([CLIENT])),
        ] {
            let mut claims = provider.claims("n-1");
            claims[name] = value;
            assert!(verified(&keys, &provider.token(&claims)).is_ok(), "{name}");
        }
        let mut both = provider.claims("n-1");
        both["aud"] = json!([CLIENT, "other"]);
        both["azp"] = json!(CLIENT);
        assert!(verified(&keys, &provider.token(&both)).is_ok());
        let other = Expected {
            access_token: None,
            ..expected()
        };
        let mut hashed = provider.claims("n-1");
        hashed["at_hash"] = json!(provider.hash("access"));
        let hashed = provider.token(&hashed);
        let told = IdToken::read(&hashed).unwrap().verify(&keys, &other);
        assert_eq!(told, Err(Refusal::AccessToken));
    }

    #[test]
    fn a_header_that_is_not_as_it_must_be_is_refused() {
        let provider = Provider::signing(Algorithm::Rs256);
        let keys = provider.keys();
        let claims = provider.claims("n-1");
        let refused = |header: Value| {
            let text = provider.token_with(&header.to_string(), &claims.to_string());
            verified(&keys, &text).unwrap_err()
        };
        let kid = provider.key_name();
        for (header, expect) in [
            (json!({"alg": "none", "kid": kid}), Refusal::Algorithm),
            (json!({"alg": "None", "kid": kid}), Refusal::Algorithm),
            (json!({"alg": "rs256", "kid": kid}), Refusal::Algorithm),
            (json!({"alg": "HS256", "kid": kid}), Refusal::Algorithm),
            (json!({"alg": "RS512", "kid": kid}), Refusal::Algorithm),
            (json!({"alg": ["RS256"], "kid": kid}), Refusal::Algorithm),
            (json!({"kid": kid}), Refusal::Algorithm),
            (
                json!({"alg": "RS256", "kid": kid, "jku": "https://issuer.example/keys"}),
                Refusal::Header("jku"),
            ),
            (
                json!({"alg": "RS256", "kid": kid, "x5u": "https://issuer.example/c"}),
                Refusal::Header("x5u"),
            ),
            (
                json!({"alg": "RS256", "kid": kid, "jwk": {}}),
                Refusal::Header("jwk"),
            ),
            (
                json!({"alg": "RS256", "kid": kid, "crit": ["exp"]}),
                Refusal::Header("crit"),
            ),
            (
                json!({"alg": "RS256", "kid": kid, "typ": "at+jwt"}),
                Refusal::Type,
            ),
            (
                json!({"alg": "RS256", "kid": kid, "typ": "logout+jwt"}),
                Refusal::Type,
            ),
            (
                json!({"alg": "RS256", "kid": kid, "typ": ["JWT"]}),
                Refusal::Type,
            ),
            (
                json!({"alg": "RS256", "kid": "../../dev/null"}),
                Refusal::KeyName,
            ),
            (json!({"alg": "RS256", "kid": "/etc/key"}), Refusal::KeyName),
            (json!({"alg": "RS256", "kid": ""}), Refusal::KeyName),
            (json!({"alg": "RS256", "kid": "a\u{0}"}), Refusal::KeyName),
            (json!({"alg": "RS256", "kid": 1}), Refusal::KeyName),
            (
                json!({"alg": "RS256", "kid": "another"}),
                Refusal::Key(KeyError::Unknown),
            ),
            (
                json!({"alg": "ES256", "kid": kid}),
                Refusal::Key(KeyError::Unknown),
            ),
            (
                json!({"alg": "PS256", "kid": kid}),
                Refusal::Key(KeyError::Unknown),
            ),
        ] {
            assert_eq!(refused(header.clone()), expect, "{header}");
        }
        // Without a name the only key for the algorithm is the one.
        let header = json!({"alg": "RS256", "typ": "jwt"}).to_string();
        let text = provider.token_with(&header, &claims.to_string());
        assert!(verified(&keys, &text).is_ok());
    }

    #[test]
    fn who_knows_the_public_key_alone_forges_nothing() {
        let provider = Provider::signing(Algorithm::Rs256);
        let text = provider.shared_secret_forgery(&provider.claims("n-1"));
        assert_eq!(verified(&provider.keys(), &text), Err(Refusal::Algorithm));
        let good = provider.token(&provider.claims("n-1"));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let unsigned = format!("{signed}.");
        assert_eq!(
            verified(&provider.keys(), &unsigned),
            Err(Refusal::Key(KeyError::Signature))
        );
        // Nor does who changes a letter of any part, cuts some off, or adds some.
        let parts = good.split('.').count();
        assert_eq!(parts, 3);
        for place in (0..good.len()).step_by(7) {
            let mut other = good.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(verified(&provider.keys(), &other).is_err(), "{place}");
        }
        for other in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            signed.to_owned(),
            format!("{good}.x.y"),
            format!("{good}="),
            format!("{good}."),
            format!(" {good}"),
            format!("{signature}.{signed}"),
            "x".repeat(TOKEN_BYTES + 1),
        ] {
            assert!(verified(&provider.keys(), &other).is_err(), "{other}");
        }
    }

    #[test]
    fn members_that_are_there_twice_are_refused() {
        let provider = Provider::signing(Algorithm::EdDsa);
        let (header, claims) = (provider.header(), provider.claims("n-1").to_string());
        let twice = claims.replacen('{', r#"{"sub": "somebody-else","#, 1);
        let text = provider.token_with(&header, &twice);
        assert_eq!(
            verified(&provider.keys(), &text),
            Err(Refusal::Json("claims"))
        );
        let twice = header.replacen('{', r#"{"alg": "none","#, 1);
        let text = provider.token_with(&twice, &claims);
        assert_eq!(
            verified(&provider.keys(), &text),
            Err(Refusal::Json("header"))
        );
    }

    #[test]
    fn groups_that_are_absent_malformed_or_elsewhere_are_none() {
        let provider = Provider::signing(Algorithm::Es256);
        let groups = |name: &str, value: Value| {
            let mut claims = provider.claims("n-1");
            claims["groups"] = json!(["risk"]);
            claims[name] = value;
            let read = verified(&provider.keys(), &provider.token(&claims)).unwrap();
            read.groups.len()
        };
        assert_eq!(groups("email", json!("ada@example.com")), 1);
        for value in [
            json!("risk"),
            json!([["risk"]]),
            json!(["risk", 1]),
            json!({"risk": true}),
            json!(null),
            json!([""]),
            json!(["x".repeat(GROUP_BYTES + 1)]),
            json!(
                (0..=MOST_GROUPS)
                    .map(|one| one.to_string())
                    .collect::<Vec<_>>()
            ),
        ] {
            assert_eq!(groups("groups", value.clone()), 0, "{value}");
        }
        assert_eq!(groups("_claim_names", json!({"groups": "src1"})), 0);
        assert_eq!(groups("_claim_names", json!("groups")), 0);
        assert_eq!(groups("_claim_names", json!({"other": "src1"})), 1);
    }
}
