//! Tokens, by which accounts are known over the network.

use std::collections::BTreeSet;

use custody_identity::Party;
use custody_types::{Action, ProjectName, Purpose, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A token that shall be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Whose; none: of who asks.
    #[serde(default)]
    pub account: Option<Party>,
    /// How long it counts, in days: 1 to 90.
    #[schemars(range(min = 1, max = 90))]
    pub days: u32,
    /// What it is for, in somebody's words.
    #[serde(default)]
    pub note: String,
    /// What may be done with it; empty: all that its account may.
    #[serde(default)]
    pub actions: BTreeSet<Action>,
    /// The projects in which it counts; empty: all.
    #[serde(default)]
    pub projects: BTreeSet<ProjectName>,
    /// The one purpose that it may state.
    #[serde(default)]
    pub purpose: Option<Purpose>,
    /// The networks from which it counts, as `192.0.2.0/24`; empty: all.
    #[serde(default)]
    pub networks: BTreeSet<String>,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub account: Party,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
    /// What it is for, in somebody's words.
    pub note: String,
    /// What may be done with it; empty: all that its account may.
    pub actions: BTreeSet<Action>,
    /// The projects in which it counts; empty: all.
    pub projects: BTreeSet<ProjectName>,
    /// The one purpose that it may state.
    pub purpose: Option<Purpose>,
    /// The networks from which it counts; empty: all.
    pub networks: Vec<String>,
}

/// A token that was made.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenReply {
    /// What is known of it.
    pub token: TokenView,
    /// The token itself, which is shown this once.
    pub secret: String,
}

impl std::fmt::Debug for TokenReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenReply({})", self.token.id)
    }
}

/// The tokens that count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokensReply {
    /// They, in the order of their names.
    pub tokens: Vec<TokenView>,
}

/// A token that is taken back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeTokenRequest {
    /// Its name.
    pub id: String,
}
