//! People who sign in.

use std::fmt;

use custody_identity::Party;
use custody_types::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person who shall be invited.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// Their account.
    pub account: Party,
}

/// An invitation.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct InviteReply {
    /// Whose.
    pub account: Party,
    /// What they show, once; it is told this once.
    pub code: String,
    /// Until when it counts.
    pub expires: Timestamp,
}

impl fmt::Debug for InviteReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InviteReply({})", self.account)
    }
}

/// What a person shows to sign in.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// The name of their account.
    pub account: String,
    /// Their password.
    pub password: String,
    /// The code that their authenticator shows now.
    pub code: String,
}

impl fmt::Debug for SignInRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignInRequest({})", self.account)
    }
}

/// What a person sets by an invitation.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The name of their account.
    pub account: String,
    /// The invitation.
    pub invitation: String,
    /// The password that they choose.
    pub password: String,
    /// The secret of their authenticator: 160 bits in base32.
    pub authenticator: String,
    /// The code that it shows now.
    pub code: String,
}

impl fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolRequest({})", self.account)
    }
}

/// A session of a person.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct SessionReply {
    /// Whose.
    pub account: Party,
    /// What shows it: a token like others, which counts until `ends`, or until nothing was asked by it for an hour.
    pub token: String,
    /// When it ends at the latest.
    pub ends: Timestamp,
    /// The identity provider that let them in, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The roles that they have as long as the session, by the groups that the provider said they are in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

impl fmt::Debug for SessionReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionReply({})", self.account)
    }
}

/// The identity providers by which people sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProvidersReply {
    /// Each of them.
    pub providers: Vec<ProviderView>,
}

/// An identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderView {
    /// The name that it has here.
    pub name: String,
    /// Whether a browser is sent to it: `GET /v1/sessions/oidc?provider=…`.
    pub browser: bool,
}

/// Where somebody begins to sign in with a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderQuery {
    /// The provider; without it, the only one.
    #[serde(default)]
    pub provider: Option<String>,
}

/// Where somebody begins to sign in at a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceRequest {
    /// The provider; without it, the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// A sign-in at a terminal that waits until its code is confirmed.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeviceReply {
    /// The provider.
    pub provider: String,
    /// What the terminal shows to ask again: a token of the same form as others.
    pub pending: String,
    /// What its person types.
    pub user_code: String,
    /// Where, at the provider.
    pub address: String,
    /// How long the terminal waits before it asks, in milliseconds.
    pub wait_ms: u64,
    /// Until when the code counts.
    pub expires: Timestamp,
}

impl fmt::Debug for DeviceReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceReply({})", self.provider)
    }
}

/// Asks whether somebody confirmed a code.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DevicePollRequest {
    /// What [`DeviceReply`] had.
    pub pending: String,
}

impl fmt::Debug for DevicePollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevicePollRequest(…)")
    }
}

/// Whether somebody confirmed a code.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DevicePollReply {
    /// The session, once somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionReply>,
    /// How long the terminal waits before it asks again, in milliseconds.
    pub wait_ms: u64,
}

/// A session was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignOutReply {}
