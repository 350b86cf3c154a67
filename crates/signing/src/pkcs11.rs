//! Keys in a token: a smart card, a hardware security module, or `SoftHSM`, through PKCS#11.
//!
//! The key is named by a URI (RFC 7512):
//! `pkcs11:token=release;object=model-key?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/pin`.
//! The message is hashed here and the token signs the hash (`CKM_ECDSA`), which every token can.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode as _, Encode as _, Sequence};
use zeroize::Zeroizing;

use crate::keys::{Curve, KeyError, ModelSigner, PublicKey, self_check};

/// Why a token cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The URI is not one.
    #[error("`{part}` in the token URI is wrong: {because}")]
    Uri {
        /// Which part.
        part: String,
        /// Why.
        because: &'static str,
    },
    /// The file with the PIN cannot be read.
    #[error("the file `{0}` with the PIN cannot be read")]
    PinSource(String, #[source] std::io::Error),
    /// No token has this label or serial number.
    #[error("there is no token `{0}`; see the tokens with `pkcs11-tool --list-slots`")]
    NoToken(String),
    /// The token has not exactly one such key.
    #[error(
        "the token has {count} {what} of this name and id, not one; name one by `object` and `id`"
    )]
    Objects {
        /// Private or public keys.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// The key does not work.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The token or its module refused.
    #[error("the token refused while {doing}")]
    Token {
        /// What was done.
        doing: &'static str,
        /// What it said.
        #[source]
        source: Box<Error>,
    },
}

fn refused(doing: &'static str) -> impl FnOnce(Error) -> TokenError {
    move |source| TokenError::Token {
        doing,
        source: Box::new(source),
    }
}

/// Where a key is.
#[derive(Clone)]
pub struct TokenUri {
    module: PathBuf,
    token: Option<String>,
    serial: Option<String>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    pin: Option<Pin>,
}

#[derive(Clone)]
enum Pin {
    Value(Zeroizing<String>),
    Source(String),
}

impl TokenUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`TokenError::Uri`]: an attribute that is not known must not be passed over (RFC 7512 §2.3).
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let wrong = |part: &str, because| TokenError::Uri {
            part: part.chars().take(80).collect(),
            because,
        };
        let rest = text
            .strip_prefix("pkcs11:")
            .ok_or_else(|| wrong("pkcs11:", "the URI does not begin so"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self {
            module: PathBuf::new(),
            token: None,
            serial: None,
            object: None,
            id: None,
            pin: None,
        };
        let parts = path.split(';').chain(query.split('&'));
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| wrong("a part", "it has no `=`"))?;
            let bytes = decode(value).ok_or_else(|| wrong(name, "its escapes are wrong"))?;
            let text = || {
                String::from_utf8(bytes.clone()).map_err(|_| wrong(name, "its value is no text"))
            };
            match name {
                "token" => uri.token = Some(text()?),
                "serial" => uri.serial = Some(text()?),
                "object" => uri.object = Some(text()?),
                "id" => uri.id = Some(bytes),
                "type" if value == "private" => {}
                "module-path" => uri.module = text()?.into(),
                "pin-value" => uri.pin = Some(Pin::Value(Zeroizing::new(text()?))),
                "pin-source" => {
                    let source = text()?;
                    let source = source.strip_prefix("file:").unwrap_or(&source);
                    uri.pin = Some(Pin::Source(source.to_owned()));
                }
                _ => return Err(wrong(name, "it is not known here")),
            }
        }
        if uri.module.as_os_str().is_empty() {
            return Err(wrong("module-path", "it is missing"));
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(wrong("object", "neither it nor `id` is there"));
        }
        Ok(uri)
    }

    fn pin(&self) -> Result<Option<Zeroizing<String>>, TokenError> {
        match &self.pin {
            None => Ok(None),
            Some(Pin::Value(pin)) => Ok(Some(pin.clone())),
            Some(Pin::Source(path)) => {
                let text = fs::read_to_string(path)
                    .map(Zeroizing::new)
                    .map_err(|error| TokenError::PinSource(path.clone(), error))?;
                Ok(Some(Zeroizing::new(
                    text.trim_end_matches(['\r', '\n']).to_owned(),
                )))
            }
        }
    }

    fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(class)];
        if let Some(label) = &self.object {
            template.push(Attribute::Label(label.as_bytes().to_vec()));
        }
        if let Some(id) = &self.id {
            template.push(Attribute::Id(id.clone()));
        }
        template
    }
}

impl fmt::Debug for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenUri")
            .field("module", &self.module)
            .field("token", &self.token)
            .field("object", &self.object)
            .finish_non_exhaustive()
    }
}

/// A key in a token. One session; signatures wait for each other.
pub struct TokenKey {
    session: Mutex<Session>,
    key: ObjectHandle,
    public: PublicKey,
}

impl TokenKey {
    /// Logs in to the token and finds the key.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(uri: &TokenUri) -> Result<Self, TokenError> {
        let module = Pkcs11::new(&uri.module).map_err(refused("its module was loaded"))?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another key of this process uses the same module.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(refused("its module was started")(error)),
        }
        let slot = slot(&module, uri)?;
        let session = module
            .open_ro_session(slot)
            .map_err(refused("a session was opened"))?;
        if let Some(pin) = uri.pin()? {
            let pin = AuthPin::from(pin.as_str().to_owned());
            match session.login(UserType::User, Some(&pin)) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(refused("the PIN was given")(error)),
            }
        }
        let key = one(&session, uri, ObjectClass::PRIVATE_KEY, "private keys")?;
        let public = one(&session, uri, ObjectClass::PUBLIC_KEY, "public keys")?;
        let public = public_key(&session, public)?;
        let signer = Self {
            session: Mutex::new(session),
            key,
            public,
        };
        self_check(&signer)?;
        Ok(signer)
    }
}

impl ModelSigner for TokenKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let curve = self.public.curve();
        let hash = digest::digest(
            match curve {
                Curve::P256 => &SHA256,
                Curve::P384 => &SHA384,
                Curve::P521 => &SHA512,
            },
            message,
        );
        let failed = |because: String| KeyError::Sign(because);
        let raw = self
            .session
            .lock()
            .map_err(|_| failed("an earlier signature broke off".to_owned()))?
            .sign(&Mechanism::Ecdsa, self.key, hash.as_ref())
            .map_err(|error| failed(error.to_string()))?;
        to_der(&raw, curve).ok_or_else(|| failed("the token gave no signature".to_owned()))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("public", &self.public.id())
            .finish_non_exhaustive()
    }
}

fn slot(module: &Pkcs11, uri: &TokenUri) -> Result<Slot, TokenError> {
    let slots = module
        .get_slots_with_initialized_token()
        .map_err(refused("its slots were listed"))?;
    for slot in slots {
        let token = module
            .get_token_info(slot)
            .map_err(refused("the tokens were listed"))?;
        let is = |wanted: &Option<String>, found: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted == found.trim_end())
        };
        if is(&uri.token, token.label()) && is(&uri.serial, token.serial_number()) {
            return Ok(slot);
        }
    }
    let wanted = uri.token.as_ref().or(uri.serial.as_ref());
    Err(TokenError::NoToken(
        wanted.cloned().unwrap_or_else(|| "of any name".to_owned()),
    ))
}

fn one(
    session: &Session,
    uri: &TokenUri,
    class: ObjectClass,
    what: &'static str,
) -> Result<ObjectHandle, TokenError> {
    let found = session
        .find_objects(&uri.template(class))
        .map_err(refused("its keys were looked for"))?;
    match found.as_slice() {
        [one] => Ok(*one),
        others => Err(TokenError::Objects {
            what,
            count: others.len(),
        }),
    }
}

fn public_key(session: &Session, key: ObjectHandle) -> Result<PublicKey, TokenError> {
    let attributes = session
        .get_attributes(key, &[AttributeType::EcParams, AttributeType::EcPoint])
        .map_err(refused("the public key was read"))?;
    let mut curve = None;
    let mut point = None;
    for attribute in attributes {
        match attribute {
            Attribute::EcParams(der) => curve = ObjectIdentifier::from_der(&der).ok(),
            Attribute::EcPoint(bytes) => point = Some(bytes),
            _ => {}
        }
    }
    let curve = Curve::ALL
        .into_iter()
        .find(|known| Some(known.oid()) == curve)
        .ok_or(KeyError::Curve)?;
    let point = point.ok_or(KeyError::Curve)?;
    // The standard wraps the point in an octet string; some tokens give it bare.
    let bare = <&OctetStringRef>::from_der(&point).map(OctetStringRef::as_bytes);
    Ok(PublicKey::from_point(curve, bare.unwrap_or(&point))?)
}

/// `ECDSA-Sig-Value` of RFC 3279.
#[derive(Sequence)]
struct SignatureValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// Writes the two numbers that a token gives, each as long as the curve's field, in DER form.
fn to_der(raw: &[u8], curve: Curve) -> Option<Vec<u8>> {
    let (r, s) = raw.split_at_checked(curve.field_bytes())?;
    let value = SignatureValue {
        r: UintRef::new(r).ok()?,
        s: UintRef::new(s).ok()?,
    };
    (s.len() == r.len()).then(|| value.to_der().ok()).flatten()
}

/// Reads the escapes of a URI: `%` and two hexadecimal digits.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_key() {
        let uri = TokenUri::parse(
            "pkcs11:token=my%20token;object=k;id=%01%ff;type=private?module-path=/m.so&pin-value=12%3B",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("my token"));
        assert_eq!(uri.id, Some(vec![1, 255]));
        assert_eq!(uri.pin().unwrap().unwrap().as_str(), "12;");
        assert!(!format!("{uri:?}").contains("12;"));
        for (text, because) in [
            ("token=a", "does not begin so"),
            ("pkcs11:object=k", "module-path"),
            ("pkcs11:token=a?module-path=/m", "neither it nor `id`"),
            ("pkcs11:object=k;x=1?module-path=/m", "`x`"),
            ("pkcs11:object=%g0?module-path=/m", "escapes"),
            ("pkcs11:object=%0?module-path=/m", "escapes"),
            ("pkcs11:object=%ff?module-path=/m", "no text"),
            ("pkcs11:object=k;type=cert?module-path=/m", "`type`"),
        ] {
            let error = TokenUri::parse(text).unwrap_err().to_string();
            assert!(error.contains(because), "{text}: {error}");
        }
    }

    #[test]
    fn two_numbers_become_der_in_its_one_form() {
        let mut raw = [0; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let der = to_der(&raw, Curve::P256).unwrap();
        assert_eq!(der[..5], [0x30, 38, 2, 1, 1]);
        assert_eq!(der[5..9], [2, 33, 0, 0x80]);
        assert_eq!(to_der(&raw[..63], Curve::P256), None);
        assert_eq!(to_der(&raw, Curve::P384), None);
    }
}
