//! What is asked of a provider, and what it answers: RFC 6749 with PKCE (RFC 7636), RFC 8628.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use crate::discovery::Metadata;
use crate::json::read_json;
use crate::web::Answer;

/// How long a device's code counts, and how long one waits between two questions, where the provider does not say (RFC 8628,
/// section 3.2), and at most, in seconds.
const DEVICE_EXPIRES: u64 = 600;
const DEVICE_LONGEST: u64 = 30 * 60;
const DEVICE_INTERVAL: u64 = 5;
const DEVICE_PAUSE: u64 = 60;
/// How many bytes a secret of a provider, a code to type, and an address to open have at most.
const SECRET_BYTES: usize = 64 << 10;
const USER_CODE_BYTES: usize = 64;
const ADDRESS_BYTES: usize = 1024;

/// What is sent by `POST`, with the client's secret as HTTP Basic authentication where the provider takes it so.
#[derive(Clone)]
pub struct Form {
    body: Zeroizing<String>,
    authorization: Option<Zeroizing<String>>,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form(…)")
    }
}

impl Form {
    /// Returns the body, of the type `application/x-www-form-urlencoded`.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Returns the value of the field `Authorization`.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(|field| field.as_str())
    }
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// Its name at the provider.
    pub id: &'a str,
    /// Its secret; none: it is a public client.
    pub secret: Option<&'a str>,
}

impl fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.id)
    }
}

/// A request that a browser takes to the provider.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// The client's name.
    pub client: &'a str,
    /// Where the browser comes back to.
    pub redirect: &'a str,
    /// What is asked for, besides `openid`.
    pub scopes: &'a [String],
    /// What binds the answer to the request.
    pub state: &'a str,
    /// What binds the token to the request.
    pub nonce: &'a str,
    /// What the code is exchanged with; it is sent as its hash.
    pub verifier: &'a str,
}

/// Returns where a browser goes to sign in.
pub fn authorization_url(metadata: &Metadata, request: &Authorization<'_>) -> Url {
    let mut url = metadata.authorization.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", request.client)
        .append_pair("redirect_uri", request.redirect)
        .append_pair("scope", &scope(request.scopes))
        .append_pair("state", request.state)
        .append_pair("nonce", request.nonce)
        .append_pair("code_challenge", &challenge(request.verifier))
        .append_pair("code_challenge_method", "S256");
    url
}

/// Returns the hash of a verifier by the method `S256` (RFC 7636, section 4.2).
pub fn challenge(verifier: &str) -> String {
    BASE64URL.encode(Sha256::digest(verifier.as_bytes()))
}

fn scope(scopes: &[String]) -> String {
    let own = std::iter::once("openid").chain(scopes.iter().map(String::as_str));
    own.collect::<Vec<_>>().join(" ")
}

/// Returns what exchanges a code for tokens.
pub fn code_form(
    metadata: &Metadata,
    client: Client<'_>,
    code: &str,
    redirect: &str,
    verifier: &str,
) -> Form {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect),
        ("code_verifier", verifier),
    ];
    form(metadata, client, &fields)
}

/// Returns what begins a sign-in by a device.
pub fn device_form(metadata: &Metadata, client: Client<'_>, scopes: &[String]) -> Form {
    form(metadata, client, &[("scope", &scope(scopes))])
}

/// Returns what asks whether somebody has confirmed a device's code.
pub fn device_token_form(metadata: &Metadata, client: Client<'_>, device_code: &str) -> Form {
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", device_code),
    ];
    form(metadata, client, &fields)
}

fn form(metadata: &Metadata, client: Client<'_>, fields: &[(&str, &str)]) -> Form {
    let mut body = Serializer::new(String::new());
    body.extend_pairs(fields)
        .append_pair("client_id", client.id);
    let authorization = match client.secret {
        // RFC 6749, section 2.3.1: both are encoded as a form has them.
        Some(secret) if metadata.basic => {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = Zeroizing::new(format!("{}:{}", encoded(client.id), encoded(secret)));
            let field = format!("Basic {}", BASE64.encode(pair.as_bytes()));
            Some(Zeroizing::new(field))
        }
        Some(secret) => {
            body.append_pair("client_secret", secret);
            None
        }
        None => None,
    };
    Form {
        body: Zeroizing::new(body.finish()),
        authorization,
    }
}

/// Why an answer of a provider brings nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is none of the forms that it may have.
    #[error("its answer is none that is expected")]
    Form,
    /// It does not take the client: its name, its secret, or how it shows it.
    #[error(
        "it does not take this client: see `client_id`, the secret, and what it allows the client"
    )]
    Client,
    /// It does not take the code: it was used, is another's, or has ended.
    #[error("it does not take the code")]
    Grant,
    /// It refuses for another reason.
    #[error("it refuses the request")]
    Refused,
}

impl AnswerError {
    /// Returns one word for it, as entries have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Form => "answer",
            Self::Client => "client",
            Self::Grant => "grant",
            Self::Refused => "refused",
        }
    }

    fn of(code: &str) -> Self {
        match code {
            "invalid_client" | "unauthorized_client" | "unsupported_grant_type" => Self::Client,
            "invalid_grant" => Self::Grant,
            _ => Self::Refused,
        }
    }
}

/// The tokens that a code was exchanged for.
#[derive(Clone)]
pub struct Tokens {
    /// Who somebody is.
    pub id_token: Zeroizing<String>,
    /// What would open the provider's own services; nothing is asked by it.
    pub access_token: Zeroizing<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

/// Reads the tokens of an answer (RFC 6749, section 5; OpenID Connect Core 1.0, section 3.1.3.3).
///
/// # Errors
/// [`AnswerError`].
pub fn read_tokens(answer: &Answer) -> Result<Tokens, AnswerError> {
    let fields = fields(answer)
        .map_err(|code| code.map_or(AnswerError::Form, |code| AnswerError::of(&code)))?;
    let secret = |name: &str| {
        let text = secret(&fields, name).ok_or(AnswerError::Form)?;
        Ok(Zeroizing::new(text.to_owned()))
    };
    let kind = fields.get("token_type").and_then(Value::as_str);
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) {
        return Err(AnswerError::Form);
    }
    Ok(Tokens {
        id_token: secret("id_token")?,
        access_token: secret("access_token")?,
    })
}

/// What a sign-in by a device begins with.
#[derive(Clone)]
pub struct DeviceAnswer {
    /// What is shown to the provider.
    pub device_code: Zeroizing<String>,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub address: String,
    /// How long it counts, in seconds.
    pub expires: u64,
    /// How long one waits between two questions, in seconds.
    pub interval: u64,
}

impl fmt::Debug for DeviceAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceAnswer(…)")
    }
}

/// Reads what a sign-in by a device begins with (RFC 8628, section 3.2). What a person is shown is short, printable, and an
/// address of the web.
///
/// # Errors
/// [`AnswerError`].
pub fn read_device(answer: &Answer) -> Result<DeviceAnswer, AnswerError> {
    let fields = fields(answer)
        .map_err(|code| code.map_or(AnswerError::Form, |code| AnswerError::of(&code)))?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let seconds = |name: &str, without: u64| match fields.get(name) {
        None => Some(without),
        Some(value) => value.as_u64(),
    };
    let read = || {
        let user_code = text("user_code")?;
        let shown = (1..=USER_CODE_BYTES).contains(&user_code.len())
            && user_code
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let address = Url::parse(text("verification_uri")?).ok()?;
        let web =
            matches!(address.scheme(), "https" | "http") && address.as_str().len() <= ADDRESS_BYTES;
        if !shown || !web {
            return None;
        }
        Some(DeviceAnswer {
            device_code: Zeroizing::new(secret(&fields, "device_code")?.to_owned()),
            user_code: user_code.to_owned(),
            address: address.into(),
            expires: seconds("expires_in", DEVICE_EXPIRES)?.min(DEVICE_LONGEST),
            interval: seconds("interval", DEVICE_INTERVAL)?.clamp(1, DEVICE_PAUSE),
        })
    };
    read().ok_or(AnswerError::Form)
}

/// Why a device has no tokens, or none yet (RFC 8628, section 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceError {
    /// Nobody has confirmed its code yet.
    Pending,
    /// It asks too often.
    SlowDown,
    /// Its code does not count any more.
    Expired,
    /// The person said no.
    Denied,
    /// Something else.
    Other(AnswerError),
}

impl Tokens {
    /// Reads the tokens of an answer to [`device_token_form`].
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn of_device(answer: &Answer) -> Result<Self, DeviceError> {
        if let Err(Some(code)) = fields(answer) {
            match code.as_str() {
                "authorization_pending" => return Err(DeviceError::Pending),
                "slow_down" => return Err(DeviceError::SlowDown),
                "expired_token" => return Err(DeviceError::Expired),
                "access_denied" => return Err(DeviceError::Denied),
                _ => {}
            }
        }
        read_tokens(answer).map_err(DeviceError::Other)
    }
}

/// Returns the members of an answer that brings something, else the code of the error that it tells, if it tells one.
fn fields(answer: &Answer) -> Result<Map<String, Value>, Option<String>> {
    let read = read_json(&answer.body).ok();
    let Some(Value::Object(fields)) = read else {
        return Err(None);
    };
    if answer.status == 200 {
        return Ok(fields);
    }
    let code = fields.get("error").and_then(Value::as_str);
    Err(code.map(ToOwned::to_owned))
}

fn secret<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = fields.get(name)?.as_str()?;
    (1..=SECRET_BYTES).contains(&text.len()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::json;

    use super::*;

    fn metadata(methods: &Value) -> Metadata {
        let said = json!({
            "issuer": "https://login.example",
            "authorization_endpoint": "https://login.example/auth?tenant=1",
            "token_endpoint": "https://login.example/token",
            "jwks_uri": "https://login.example/keys",
            "token_endpoint_auth_methods_supported": methods,
        });
        let issuer = "https://login.example".parse().unwrap();
        Metadata::read(said.to_string().as_bytes(), &issuer, &BTreeSet::new()).unwrap()
    }

    fn answer(status: u16, body: &Value) -> Answer {
        Answer {
            status,
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn a_browser_is_sent_with_all_that_binds_its_answer() {
        let request = Authorization {
            client: "custody",
            redirect: "https://c.example/back?a=b&c",
            scopes: &["groups".to_owned()],
            state: "s",
            nonce: "n",
            // RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        };
        let url = authorization_url(&metadata(&json!(["client_secret_basic"])), &request);
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        let expect = [
            ("tenant", "1"),
            ("response_type", "code"),
            ("client_id", "custody"),
            ("redirect_uri", "https://c.example/back?a=b&c"),
            ("scope", "openid groups"),
            ("state", "s"),
            ("nonce", "n"),
            (
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            ),
            ("code_challenge_method", "S256"),
        ];
        let expect = expect.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(query, BTreeMap::from(expect));
    }

    #[test]
    fn a_client_shows_its_secret_as_the_provider_takes_it_and_never_else() {
        let client = Client {
            id: "a b",
            secret: Some("s:ä&="),
        };
        let basic = code_form(
            &metadata(&json!(["client_secret_basic"])),
            client,
            "c",
            "r",
            "v",
        );
        // RFC 6749, appendix B: of `a b` the form is `a+b`.
        let shown = basic
            .authorization()
            .unwrap()
            .strip_prefix("Basic ")
            .unwrap();
        assert_eq!(BASE64.decode(shown).unwrap(), b"a+b:s%3A%C3%A4%26%3D");
        assert!(!basic.body().contains("secret"));
        let posted = device_form(&metadata(&json!(["client_secret_post"])), client, &[]);
        assert!(posted.authorization().is_none());
        assert!(posted.body().contains("client_secret=s%3A%C3%A4%26%3D"));
        let public = Client {
            secret: None,
            ..client
        };
        let public = device_token_form(&metadata(&json!(["none"])), public, "d");
        assert!(public.authorization().is_none() && !public.body().contains("secret"));
        assert!(public.body().contains("device_code=d&client_id=a+b"));
        assert!(!format!("{basic:?} {client:?}").contains("s:"));
    }

    #[test]
    fn an_answer_that_is_not_as_it_must_be_brings_nothing() {
        let good = json!({"token_type": "bearer", "id_token": "i", "access_token": "a"});
        let read = read_tokens(&answer(200, &good)).unwrap();
        assert_eq!(
            (read.id_token.as_str(), read.access_token.as_str()),
            ("i", "a")
        );
        for (status, body, expect) in [
            (201, good.clone(), AnswerError::Form),
            (200, json!([good]), AnswerError::Form),
            (
                200,
                json!({"token_type": "bearer", "access_token": "a"}),
                AnswerError::Form,
            ),
            (
                200,
                json!({"token_type": "mac", "id_token": "i", "access_token": "a"}),
                AnswerError::Form,
            ),
            (
                200,
                json!({"token_type": "bearer", "id_token": ["i"], "access_token": "a"}),
                AnswerError::Form,
            ),
            (
                400,
                json!({"error": "invalid_grant", "error_description": "<b>"}),
                AnswerError::Grant,
            ),
            (401, json!({"error": "invalid_client"}), AnswerError::Client),
            (
                400,
                json!({"error": "anything\u{1b}[2J"}),
                AnswerError::Refused,
            ),
            (500, json!("down"), AnswerError::Form),
        ] {
            assert_eq!(
                read_tokens(&answer(status, &body)).unwrap_err(),
                expect,
                "{body}"
            );
        }
        for (code, expect) in [
            ("authorization_pending", DeviceError::Pending),
            ("slow_down", DeviceError::SlowDown),
            ("expired_token", DeviceError::Expired),
            ("access_denied", DeviceError::Denied),
            ("invalid_grant", DeviceError::Other(AnswerError::Grant)),
        ] {
            let told = Tokens::of_device(&answer(400, &json!({"error": code})));
            assert_eq!(told.unwrap_err(), expect);
        }
        assert!(Tokens::of_device(&answer(200, &good)).is_ok());
    }

    #[test]
    fn what_a_person_is_shown_of_a_device_is_short_and_printable() {
        let good = json!({"device_code": "d", "user_code": "ABCD-EFGH", "verification_uri": "https://login.example/device"});
        let read = read_device(&answer(200, &good)).unwrap();
        assert_eq!(
            (read.expires, read.interval),
            (DEVICE_EXPIRES, DEVICE_INTERVAL)
        );
        for (name, value) in [
            ("user_code", json!("\u{1b}[2J")),
            ("user_code", json!("")),
            ("user_code", json!("A".repeat(65))),
            ("user_code", json!(1)),
            ("verification_uri", json!("javascript:alert(1)")),
            ("verification_uri", json!("login.example")),
            ("device_code", json!("")),
            ("expires_in", json!("600")),
            ("interval", json!(-1)),
        ] {
            let mut wrong = good.clone();
            wrong[name] = value;
            assert!(read_device(&answer(200, &wrong)).is_err(), "{name}");
        }
        let mut long = good;
        long["expires_in"] = json!(1_000_000);
        long["interval"] = json!(0);
        let read = read_device(&answer(200, &long)).unwrap();
        assert_eq!((read.expires, read.interval), (DEVICE_LONGEST, 1));
    }
}
