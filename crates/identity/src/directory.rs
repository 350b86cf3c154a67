//! The accounts and groups of a workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use custody_types::{Actor, ActorKind, Digest, Purpose, Timestamp, steers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::is_nfc;

use crate::provider::ProviderIdentity;
use crate::role::RoleBinding;

/// The role that may everything.
pub(crate) const OWNER: &str = "owner";
/// The longest name, in bytes.
const NAME_BYTES: usize = 256;

/// An account, or a group of accounts. As text: `ada`, `service:ci`, `group:risk`; `user:…` for a person whose name
/// begins like one of the others.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("format" = "account", "minLength" = 1))]
pub enum Party {
    /// A person.
    User(String),
    /// A program with credentials of its own.
    Service(String),
    /// A group.
    Group(String),
}

impl Party {
    /// Returns the account as who acts; a group does not act.
    pub fn actor(&self) -> Option<Actor> {
        match self {
            Self::User(id) => Some(Actor::user(id)),
            Self::Service(id) => Some(Actor::service(id)),
            Self::Group(_) => None,
        }
    }

    /// Returns the account of who acts; a step of a run has none.
    pub fn of(actor: &Actor) -> Option<Self> {
        match actor.kind {
            ActorKind::User => Some(Self::User(actor.id.clone())),
            ActorKind::Service => Some(Self::Service(actor.id.clone())),
            ActorKind::Step => None,
        }
    }
}

impl FromStr for Party {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (make, name): (fn(String) -> Self, _) = match text.split_once(':') {
            Some(("service", name)) => (Self::Service, name),
            Some(("group", name)) => (Self::Group, name),
            Some(("user", name)) => (Self::User, name),
            _ => (Self::User, text),
        };
        check_name(name)?;
        Ok(make(name.to_owned()))
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) if matches!(id.parse(), Ok(Self::User(again)) if again == *id) => {
                f.write_str(id)
            }
            Self::User(id) => write!(f, "user:{id}"),
            Self::Service(id) => write!(f, "service:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
        }
    }
}

impl TryFrom<String> for Party {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Party> for String {
    fn from(party: Party) -> Self {
        party.to_string()
    }
}

/// Checks a name: one that reads like another is none.
fn check_name(name: &str) -> Result<(), IdentityError> {
    let good = (1..=NAME_BYTES).contains(&name.len())
        && name.trim() == name
        && !name.chars().any(steers)
        && is_nfc(name);
    good.then_some(())
        .ok_or_else(|| IdentityError::Name(name.to_owned()))
}

/// One account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The roles: those of the built-in policy, or of the workspace's own.
    #[serde(default)]
    pub roles: BTreeSet<RoleBinding>,
    /// The purposes for which personal data may be read.
    #[serde(default)]
    pub purposes: BTreeSet<Purpose>,
    /// Whether it may do nothing for now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Who its person is to identity providers: by each of them they sign in. Of two accounts none has the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub identities: BTreeSet<ProviderIdentity>,
}

/// A group: what it has, each of its members has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The roles.
    #[serde(default)]
    pub roles: BTreeSet<RoleBinding>,
    /// The purposes.
    #[serde(default)]
    pub purposes: BTreeSet<Purpose>,
    /// The accounts.
    #[serde(default)]
    pub members: BTreeSet<Party>,
}

/// What an account has, of its own and by its groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights<'a> {
    /// The roles.
    pub roles: BTreeSet<&'a RoleBinding>,
    /// The purposes.
    pub purposes: BTreeSet<&'a Purpose>,
    /// The groups.
    pub groups: Vec<&'a str>,
}

impl Rights<'_> {
    /// Whether the role is among them, in every project or in that of the binding, and for as long.
    pub fn cover(&self, role: &RoleBinding) -> bool {
        self.roles.iter().any(|had| had.covers(role))
    }
}

/// The accounts and groups of a workspace. One account owns it: it is always there, and always an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// People, by the names of their accounts.
    #[serde(default)]
    pub users: BTreeMap<String, Account>,
    /// Programs, by the names of their accounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Account>,
    /// Groups, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
}

/// Why a directory is not what it must be, or is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The text is no directory.
    #[error("{0}")]
    Syntax(String),
    /// A name has letters that it may not have.
    #[error("`{}` is no name of an account: use 1 to 256 bytes in composed form (NFC), without control characters, and no space at its ends", .0.escape_debug())]
    Name(String),
    /// There is no such account or group.
    #[error("there is no {}", described(.0))]
    Unknown(Party),
    /// It is there already.
    #[error("there is {} already", described(.0))]
    Exists(Party),
    /// Groups are no members of groups.
    #[error("`{0}` cannot be in a group: members are accounts")]
    NoMember(Party),
    /// Who somebody is to a provider is not said as it must be.
    #[error(
        "an identity is the issuer of a provider and a subject, each of 1 to 512 and 255 printable letters of ASCII"
    )]
    Identity,
    /// Programs and groups do not sign in.
    #[error("`{0}` does not sign in: identities are of people")]
    NoPerson(Party),
    /// Somebody else signs in by it.
    #[error("`{0}` signs in by this identity")]
    Bound(Party),
    /// The account that owns the workspace stays what it is.
    #[error("`{0}` owns the workspace: it is always there, and always an owner")]
    Owner(Party),
    /// What is given would end before what they have.
    #[error("`{who}` has the role `{has}`, which is for longer")]
    ForLonger {
        /// Who.
        who: Party,
        /// What they have.
        has: RoleBinding,
    },
    /// What is given has ended already.
    #[error("the role `{0}` would have ended before it is given")]
    Ended(RoleBinding),
    /// What has no end by itself is given for a time.
    #[error("only roles are given for a time")]
    NoTime,
}

/// Names it in a sentence.
fn described(party: &Party) -> String {
    match party {
        Party::User(id) => format!("account `{id}`"),
        Party::Service(id) => format!("service `{id}`"),
        Party::Group(id) => format!("group `{id}`"),
    }
}

impl Directory {
    /// The account that owns the workspace, and nobody else.
    pub fn of_owner(owner: &Actor) -> Self {
        let empty = Self {
            users: BTreeMap::new(),
            services: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        empty.owned_by(owner)
    }

    /// Reads a directory: JSON with `users`, `services` and `groups`, each of which may be left out.
    ///
    /// # Errors
    /// [`IdentityError`] that says what is wrong.
    pub fn parse(text: &str, owner: &Actor) -> Result<Self, IdentityError> {
        let read = Self::read(text, owner)?;
        let names = read.users.keys().chain(read.services.keys());
        for name in names.chain(read.groups.keys()) {
            check_name(name)?;
        }
        for member in read.groups.values().flat_map(|group| &group.members) {
            read.check_member(member)?;
        }
        let mut seen = BTreeSet::new();
        for (name, account) in &read.users {
            let mut own = account.identities.iter();
            if own.any(|identity| !seen.insert(identity)) {
                return Err(IdentityError::Bound(Party::User(name.clone())));
            }
        }
        let mut services = read.services.iter();
        if let Some((name, _)) = services.find(|(_, account)| !account.identities.is_empty()) {
            return Err(IdentityError::NoPerson(Party::Service(name.clone())));
        }
        Ok(read)
    }

    /// Reads a directory that was put in force before: whatever names were good then are.
    ///
    /// # Errors
    /// [`IdentityError::Syntax`].
    pub fn read(text: &str, owner: &Actor) -> Result<Self, IdentityError> {
        let read: Self =
            serde_json::from_str(text).map_err(|error| IdentityError::Syntax(error.to_string()))?;
        Ok(read.owned_by(owner))
    }

    /// Returns it as [`Directory::parse`] reads it: the same text for the same directory.
    pub fn to_text(&self) -> String {
        // There is nothing in it that cannot be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Returns the identity of the directory: what each decision in the ledger names.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }

    pub(crate) fn check_member(&self, member: &Party) -> Result<(), IdentityError> {
        match member {
            Party::Group(_) => Err(IdentityError::NoMember(member.clone())),
            account if self.contains(account) => Ok(()),
            account => Err(IdentityError::Unknown(account.clone())),
        }
    }

    /// Sees to it that the owner is there and is one.
    pub(crate) fn owned_by(mut self, owner: &Actor) -> Self {
        if let Some(account) = Party::of(owner) {
            let accounts = match account {
                Party::Service(_) => &mut self.services,
                _ => &mut self.users,
            };
            let account = accounts.entry(owner.id.clone()).or_default();
            account.roles.insert(RoleBinding::everywhere(OWNER));
            account.disabled = false;
        }
        self
    }

    /// Returns whether there is such an account or group.
    pub fn contains(&self, party: &Party) -> bool {
        match party {
            Party::User(id) => self.users.contains_key(id),
            Party::Service(id) => self.services.contains_key(id),
            Party::Group(id) => self.groups.contains_key(id),
        }
    }

    /// Finds the account of who acts.
    pub fn account(&self, actor: &Actor) -> Option<&Account> {
        match actor.kind {
            ActorKind::User => self.users.get(&actor.id),
            ActorKind::Service => self.services.get(&actor.id),
            ActorKind::Step => None,
        }
    }

    /// Finds the person who is this to an identity provider. Where several are, none is.
    pub fn person_of(&self, identity: &ProviderIdentity) -> Option<&str> {
        let mut bound = self.users.iter();
        let mut bound = bound
            .by_ref()
            .filter(|(_, one)| one.identities.contains(identity));
        let (name, _) = bound.next()?;
        bound.next().is_none().then_some(name)
    }

    /// Returns what who acts has at `now`, of their own and by their groups; `None`: they have no account, or one that is
    /// disabled. A role that has ended is not among them.
    pub fn rights(&self, actor: &Actor, now: Timestamp) -> Option<Rights<'_>> {
        let counts = |binding: &&RoleBinding| !binding.has_ended(now);
        self.rights_where(actor, &counts)
    }

    /// Returns what who acts has, as [`Directory::rights`] does, whatever has ended or will.
    pub fn rights_at_any_time(&self, actor: &Actor) -> Option<Rights<'_>> {
        self.rights_where(actor, &|_| true)
    }

    fn rights_where(
        &self,
        actor: &Actor,
        counts: &dyn Fn(&&RoleBinding) -> bool,
    ) -> Option<Rights<'_>> {
        let account = self.account(actor).filter(|account| !account.disabled)?;
        let mut rights = Rights {
            roles: account.roles.iter().filter(counts).collect(),
            purposes: account.purposes.iter().collect(),
            groups: Vec::new(),
        };
        let member = Party::of(actor)?;
        for (name, group) in &self.groups {
            if group.members.contains(&member) {
                rights.roles.extend(group.roles.iter().filter(counts));
                rights.purposes.extend(&group.purposes);
                rights.groups.push(name);
            }
        }
        Some(rights)
    }

    /// Returns the directory without the roles that end: what stays whatever time goes by.
    #[must_use]
    pub fn permanent(&self) -> Self {
        let mut permanent = self.clone();
        let accounts = permanent.users.values_mut();
        let accounts = accounts.chain(permanent.services.values_mut());
        let groups = permanent.groups.values_mut().map(|group| &mut group.roles);
        for roles in accounts.map(|account| &mut account.roles).chain(groups) {
            roles.retain(|binding| binding.until.is_none());
        }
        permanent
    }

    /// Returns whether there is a role in it that ends, or has ended.
    pub fn has_ends(&self) -> bool {
        let mut roles = self.holders().flat_map(|(_, roles, _)| roles);
        roles.any(|binding| binding.until.is_some())
    }

    /// Returns whether who acts owns the workspace at `now`: has the role `owner` in all of it.
    pub fn is_owner(&self, actor: &Actor, now: Timestamp) -> bool {
        let rights = self.rights(actor, now);
        rights.is_some_and(|rights| {
            let mut roles = rights.roles.iter();
            roles.any(|binding| binding.role == OWNER && binding.project.is_none())
        })
    }

    /// Lists the accounts: people first, by their names.
    pub fn actors(&self) -> impl Iterator<Item = Actor> {
        let users = self.users.keys().map(Actor::user);
        users.chain(self.services.keys().map(Actor::service))
    }

    /// Lists who has which roles of their own: accounts and groups.
    pub fn holders(
        &self,
    ) -> impl Iterator<Item = (Party, &BTreeSet<RoleBinding>, &BTreeSet<Purpose>)> {
        let users = self.users.iter();
        let users = users.map(|(id, one)| (Party::User(id.clone()), &one.roles, &one.purposes));
        let services = self.services.iter();
        let services =
            services.map(|(id, one)| (Party::Service(id.clone()), &one.roles, &one.purposes));
        let groups = self.groups.iter();
        let groups = groups.map(|(id, one)| (Party::Group(id.clone()), &one.roles, &one.purposes));
        users.chain(services).chain(groups)
    }
}
