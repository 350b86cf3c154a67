//! People who sign in.

use std::fmt;

use custody_identity::Party;
use custody_types::Timestamp;
use serde::{Deserialize, Serialize};

/// A person who shall be invited.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// Their account.
    pub account: Party,
}

/// An invitation.
#[derive(Clone, Serialize, Deserialize)]
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
#[derive(Clone, Serialize, Deserialize)]
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
#[derive(Clone, Serialize, Deserialize)]
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
#[derive(Clone, Serialize, Deserialize)]
pub struct SessionReply {
    /// Whose.
    pub account: Party,
    /// What shows it: a token like others, which counts until `ends`, or until nothing was asked by it for an hour.
    pub token: String,
    /// When it ends at the latest.
    pub ends: Timestamp,
}

impl fmt::Debug for SessionReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionReply({})", self.account)
    }
}

/// A session was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOutReply {}
