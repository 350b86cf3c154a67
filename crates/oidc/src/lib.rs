//! OpenID Connect, as a client speaks it that lets people in: what a provider says of itself ([`Metadata`], OpenID Connect
//! Discovery 1.0), its keys ([`KeySet`], RFC 7517), the tokens by which it says who somebody is ([`IdToken`], OpenID Connect
//! Core 1.0), and what is asked of it ([`authorization_url`], [`code_form`], RFC 6749 with PKCE; [`device_form`], RFC 8628).
//!
//! Formats and their verification alone: what reaches the network is behind [`Web`]. What a provider says is outside input
//! from end to end: each text has a limit, each member its type, none is there twice, and whatever is not as it must be is
//! refused. Deliberately absent: encrypted tokens, the implicit and hybrid flows, user info, refreshing.
#![forbid(unsafe_code)]

mod discovery;
mod json;
mod keys;
mod request;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token;
mod web;

pub use discovery::{DiscoveryError, Issuer, Metadata, NoIssuer};
pub use json::{JsonError, read_json};
pub use keys::{Algorithm, KeyError, KeySet};
pub use request::{
    AnswerError, Authorization, Client, DeviceAnswer, DeviceError, Form, Tokens, authorization_url,
    challenge, code_form, device_form, device_token_form, read_device, read_tokens,
};
pub use token::{Claims, Expected, IdToken, Refusal};
pub use web::{Answer, Ask, Unreached, Web};
