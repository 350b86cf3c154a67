//! Changing and seeing the policies, and the accounts that they are about.
//!
//! Both are kept as versions of artifacts of the reserved project; what is in force is what the ledger names last. They
//! are checked together before either is changed.

use std::collections::{BTreeMap, BTreeSet};

use custody_identity::{Change, Directory, IdentityError, Party};
use custody_policy::{PolicyError, PolicySet, Seen, Source};
use custody_store::Version;
use custody_types::{
    Action, Actor, ArtifactName, Classification, Digest, Kind, Problem, Timestamp, code, nearest,
};
use custody_wire::{IdentityReply, PolicyReply, PolicySource};

use crate::act::{ActionMarker, ChangeIdentity, ChangePolicy, ReadIdentity, ReadPolicy};
use crate::candidate::tests_problem;
use crate::door::{Door, IDENTITY, Inner, POLICY, PRINCIPALS, lock, who, write};
use crate::grant::Grant;
use crate::making::{NewVersion, VersionBuilder};
use crate::problem;
use crate::session::Session;
use crate::target::ResourceRef;

/// The fact that names the accounts that a change was about, by their pseudonyms.
const ACCOUNTS: &str = "accounts";
/// How many of them an entry names; the version has all.
const MOST_NAMED: usize = 20;

impl Grant<ReadPolicy> {
    /// Returns the policies in force: their digest, their texts, the built-in one first, and what they
    /// declare.
    pub fn policies(&self) -> PolicyReply {
        told_policies(&self.door.0.policies())
    }
}

pub(crate) fn told_policies(policies: &PolicySet) -> PolicyReply {
    let builtin = PolicySource {
        name: "built-in".to_owned(),
        text: custody_policy::BUILTIN.to_owned(),
    };
    let sources = policies.sources().iter().map(|source| PolicySource {
        name: source.name.clone(),
        text: source.text.clone(),
    });
    let settings = policies.settings();
    let purposes = policies.purposes().iter();
    let own = settings.projects.keys();
    PolicyReply {
        digest: policies.digest(),
        sources: std::iter::once(builtin).chain(sources).collect(),
        purposes: purposes
            .map(|(name, what)| (name.to_string(), what.clone()))
            .collect(),
        roles: policies.roles().iter().cloned().collect(),
        gated_aliases: std::iter::once(("*".to_owned(), settings.gated_aliases(None)))
            .chain(own.map(|name| (name.to_string(), settings.gated_aliases(Some(name)))))
            .collect(),
        proposed: None,
    }
}

impl Grant<ReadIdentity> {
    /// Returns who there is.
    pub fn identity(&self) -> IdentityReply {
        told_identity(&self.door.0.policies(), self.door.0.now())
    }
}

fn told_identity(policies: &PolicySet, now: Timestamp) -> IdentityReply {
    IdentityReply {
        digest: policies.identity(),
        directory: policies.directory().clone(),
        now: Some(now).filter(|_| policies.directory().has_ends()),
        proposed: None,
    }
}

impl Door {
    /// Puts other policies in force, checked as a whole: `*.cedar` files and `settings.json`. With a `principals.json`
    /// among them, the accounts become those that it lists.
    ///
    /// # Errors
    /// A [`Problem`] when they do not hold up, or the session may not do it: the old ones stay in force.
    pub fn change_policies(
        &self,
        session: &Session,
        sources: Vec<PolicySource>,
    ) -> Result<PolicyReply, Problem> {
        let (listed, sources): (Vec<_>, Vec<_>) = sources
            .into_iter()
            .partition(|source| source.name == PRINCIPALS);
        let listed = listed.into_iter().next().map(|listed| listed.text);
        let sources: Vec<_> = sources
            .into_iter()
            .map(|source| Source {
                name: source.name,
                text: source.text,
            })
            .collect();
        if self.0.needs_second_person(session) {
            let proposed = self.propose(session, &Wanted::Policies { sources, listed })?;
            return Ok(PolicyReply {
                proposed,
                ..told_policies(&self.0.policies())
            });
        }
        let policies = self.ask::<ChangePolicy>(session, ResourceRef::Policy)?;
        let accounts = listed
            .as_ref()
            .map(|_| self.ask::<ChangeIdentity>(session, ResourceRef::Identity))
            .transpose();
        let accounts = match accounts {
            Ok(accounts) => accounts,
            Err(problem) => {
                policies.fail(problem.code);
                return Err(problem);
            }
        };
        let inner = &self.0;
        let _changing = lock(&inner.changing);
        let before = inner.policies().clone();
        let wanted = Wanted::Policies { sources, listed };
        let checked = inner.is_alone(session).and_then(|()| {
            policies.is_still_permitted()?;
            accounts
                .as_ref()
                .map_or(Ok(()), Grant::is_still_permitted)?;
            let set = inner.wanted(&before, &wanted)?;
            inner.check_change(session, &before, &set)?;
            Ok(set)
        });
        let set = match checked {
            Ok(set) => set,
            Err(problem) => {
                policies.fail(problem.code);
                if let Some(accounts) = accounts {
                    accounts.fail(problem.code);
                }
                return Err(problem);
            }
        };
        let reply = told_policies(&set);
        inner.activate(session, (Some(policies), accounts), set, &BTreeMap::new())?;
        Ok(reply)
    }

    /// Makes changes of the accounts, all or none, and returns who there is then. What is so already is no change: then
    /// nothing is kept.
    ///
    /// # Errors
    /// A [`Problem`] when they do not hold up, or the session may not do it: nothing is changed.
    pub fn change_accounts(
        &self,
        session: &Session,
        changes: Vec<Change>,
    ) -> Result<IdentityReply, Problem> {
        let inner = &self.0;
        if inner.needs_second_person(session) {
            let proposed = self.propose(session, &Wanted::Accounts(changes))?;
            return Ok(IdentityReply {
                proposed,
                ..told_identity(&inner.policies(), inner.now())
            });
        }
        self.ask::<ChangeIdentity>(session, ResourceRef::Identity)?
            .change(changes)
    }
}

/// What somebody wants to be in force.
pub(crate) enum Wanted {
    /// Policies, and with them the accounts that a file lists.
    Policies {
        /// The policies.
        sources: Vec<Source>,
        /// The text of `principals.json`.
        listed: Option<String>,
    },
    /// The accounts after some changes.
    Accounts(Vec<Change>),
}

impl Inner {
    /// Returns the set that is wanted, which stands up by itself.
    pub(crate) fn wanted(&self, before: &PolicySet, wanted: &Wanted) -> Result<PolicySet, Problem> {
        let owner = &self.parts.owner;
        match wanted {
            Wanted::Policies { sources, listed } => {
                let directory = listed.as_ref().map_or_else(
                    || Ok(before.directory().clone()),
                    |listed| {
                        Directory::parse(listed, owner)
                            .map_err(|error| identity_problem(&error, None))
                    },
                )?;
                PolicySet::parse(sources, directory).map_err(|error| policy_problem(&error))
            }
            Wanted::Accounts(changes) => {
                let mut directory = before.directory().clone();
                for change in changes {
                    let changed = directory.change(change.clone(), owner, self.now());
                    changed.map_err(|error| identity_problem(&error, Some(&directory)))?;
                }
                Ok(before.with_directory(directory))
            }
        }
    }

    /// Puts a set in force that was checked; `facts`: what the entries say beside. The caller has the turn to change it.
    pub(crate) fn activate(
        &self,
        session: &Session,
        (policies, accounts): (Option<Grant<ChangePolicy>>, Option<Grant<ChangeIdentity>>),
        set: PolicySet,
        facts: &BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        let before = self.policies().clone();
        let Some(policies) = policies else {
            return accounts.map_or(Ok(()), |grant| grant.keep(&before, facts.clone(), set));
        };
        let sources = set.sources().to_vec();
        // CRASH: between the two, the new accounts are there under the old policies. Nothing is lost by it: the same
        // change can be made again, unless nobody could; then the policies come first.
        let accounts_first = before.with_directory(set.directory().clone());
        let locked = self
            .seen(session, |seen| accounts_first.check_changeable(seen))
            .is_err();
        let facts = || facts.clone();
        match accounts {
            Some(accounts) if locked => {
                let first = set.with_directory(before.directory().clone());
                policies.keep(&sources, facts(), first)?;
                accounts.keep(&before, facts(), set)
            }
            Some(accounts) => {
                accounts.keep(&before, facts(), accounts_first)?;
                policies.keep(&sources, facts(), set)
            }
            None => policies.keep(&sources, facts(), set),
        }
    }
}

impl Grant<ChangePolicy> {
    /// Keeps the policies as a version, and puts them in force; `facts`: what the entry says beside.
    pub(crate) fn keep(
        self,
        sources: &[Source],
        facts: BTreeMap<String, String>,
        set: PolicySet,
    ) -> Result<(), Problem> {
        let inner = &self.door.0;
        // Accounts that were listed among the policies stay there until they are a state of their own.
        let own = inner.in_force(Action::ChangeIdentity)?.is_some();
        let listed = Some(set.directory())
            .filter(|listed| !own && **listed != Directory::of_owner(&inner.parts.owner))
            .map(Directory::to_text);
        let files = sources.iter();
        let files = files.map(|source| (source.name.as_str(), source.text.as_str()));
        let files = files.chain(listed.as_deref().map(|text| (PRINCIPALS, text)));
        let kept = (POLICY, Classification::Internal);
        self.put_in_force(kept, files, facts, set)
    }
}

impl Grant<ChangeIdentity> {
    /// Makes changes of the accounts, all or none, and returns who there is then. What is so already is no change: then
    /// nothing is kept.
    ///
    /// # Errors
    /// A [`Problem`] when they do not hold up, or wait for a second person: nothing is changed.
    pub fn change(self, changes: Vec<Change>) -> Result<IdentityReply, Problem> {
        let door = self.door.clone();
        let inner = &door.0;
        let _changing = lock(&inner.changing);
        let before = inner.policies().clone();
        let checked = inner.is_alone(&self.session).and_then(|()| {
            self.is_still_permitted()?;
            let set = inner.wanted(&before, &Wanted::Accounts(changes))?;
            inner.check_change(&self.session, &before, &set)?;
            Ok(set)
        });
        match checked {
            Ok(set) if set.identity() == before.identity() => {
                self.finish()?;
                Ok(told_identity(&before, inner.now()))
            }
            Ok(set) => {
                let reply = told_identity(&set, inner.now());
                self.keep(&before, BTreeMap::new(), set)?;
                Ok(reply)
            }
            Err(problem) => {
                self.fail(problem.code);
                Err(problem)
            }
        }
    }

    /// Keeps the accounts as a version, and puts them in force. The entry tells by their pseudonyms whom it is about.
    pub(crate) fn keep(
        self,
        before: &PolicySet,
        mut facts: BTreeMap<String, String>,
        set: PolicySet,
    ) -> Result<(), Problem> {
        let differ = differing(before.directory(), set.directory());
        let inner = &self.door.0;
        let named = differ.iter().take(MOST_NAMED);
        let named: Vec<_> = named.map(|actor| inner.pseudonym(actor)).collect();
        facts.insert(ACCOUNTS.to_owned(), named.join(" "));
        let text = set.directory().to_text();
        let files = [(PRINCIPALS, text.as_str())].into_iter();
        let kept = (IDENTITY, Classification::Personal);
        self.put_in_force(kept, files, facts, set)
    }
}

/// Lists the accounts that have something else, of their own or by their groups, or are there in one alone.
pub(crate) fn differing(before: &Directory, after: &Directory) -> BTreeSet<Actor> {
    let actors = before.actors().chain(after.actors());
    actors
        .filter(|actor| {
            before.account(actor) != after.account(actor)
                || before.rights_at_any_time(actor) != after.rights_at_any_time(actor)
        })
        .collect()
}

impl<A: ActionMarker> Grant<A> {
    /// Decides again, now that nobody else changes what is in force: the right to change it may just have been taken.
    pub(crate) fn is_still_permitted(&self) -> Result<(), Problem> {
        let decision = self
            .door
            .0
            .decide(&self.session, A::ACTION, &self.facts, None);
        if decision.permit {
            return Ok(());
        }
        let who = who(&self.session);
        Err(problem::refused(
            A::ACTION,
            &self.facts.resource,
            &who,
            &decision,
        ))
    }

    /// Keeps files as a version of an artifact of the reserved project, and puts the set in force that they are of.
    fn put_in_force<'a>(
        self,
        (artifact, classification): (&str, Classification),
        files: impl Iterator<Item = (&'a str, &'a str)>,
        facts: BTreeMap<String, String>,
        set: PolicySet,
    ) -> Result<(), Problem> {
        let door = self.door.clone();
        let artifact: ArtifactName =
            artifact
                .parse()
                .map_err(|error: custody_types::NameError| {
                    Problem::new(code::DOOR_012, error.to_string())
                })?;
        // CRASH: after it nobody is there yet who could be known by anything.
        door.forget_known_before(&self.session, set.directory())?;
        let mut making = VersionBuilder::start_at(&door, artifact.project())?;
        for (name, text) in files {
            let path = name.parse().map_err(|error: custody_types::NameError| {
                Problem::new(code::POLICY_002, error.to_string())
            })?;
            making.file(path, false, &mut text.as_bytes())?;
        }
        let new = NewVersion::new(artifact, Kind::Policy, classification);
        making.finish_admin(self, new, facts)?;
        making.commit(None)?;
        door.0.end_without_account(&set);
        let mut policies = write(&door.0.policies);
        *policies = set;
        *lock(&door.0.loaded) = door.0.last_named()?;
        Ok(())
    }
}

impl Inner {
    /// Returns whether a change waits for a second person.
    fn needs_second_person(&self, session: &Session) -> bool {
        let policies = self.policies();
        self.seen(session, |seen| policies.needs_second_person(seen))
    }

    /// Checks that no change came meanwhile after which this one waits for a second person.
    fn is_alone(&self, session: &Session) -> Result<(), Problem> {
        if !self.needs_second_person(session) {
            return Ok(());
        }
        let what = "changes wait for a second person since a moment ago";
        Err(Problem::new(code::POLICY_007, what)
            .hint("repeat the command: it proposes the change then"))
    }

    /// Checks that a session may put one set in the place of the other.
    pub(crate) fn check_change(
        &self,
        session: &Session,
        before: &PolicySet,
        set: &PolicySet,
    ) -> Result<(), Problem> {
        self.check_whole(session, set)?;
        check_tests(before, set)?;
        self.seen(session, |seen| {
            set.check_change(before, session.person(), seen)
        })
        .map_err(|error| policy_problem(&error))
    }

    /// Checks that a set may be in force: what it names is known, and somebody can change it.
    pub(crate) fn check_whole(&self, session: &Session, set: &PolicySet) -> Result<(), Problem> {
        self.seen(session, |seen| {
            set.check_names()?;
            set.check_changeable(seen)
        })
        .map_err(|error| policy_problem(&error))
    }

    pub(crate) fn seen<T>(&self, session: &Session, check: impl FnOnce(&Seen<'_>) -> T) -> T {
        check(&Seen {
            via: session.via,
            authentication: &session.authentication,
            now: self.now(),
        })
    }

    /// Returns the records of the policies and of the accounts that the ledger names last.
    pub(crate) fn last_named(&self) -> Result<[Option<Digest>; 2], Problem> {
        let policies = self.in_force(Action::ChangePolicy)?;
        Ok([policies, self.in_force(Action::ChangeIdentity)?])
    }

    /// Puts the policies and accounts in force that the ledger names last, unless they are.
    pub(crate) fn load_in_force(&self) -> Result<(), Problem> {
        self.load_tokens()?;
        // While they are read nothing is decided, and nobody puts others in force.
        let mut policies = write(&self.policies);
        let named = self.last_named()?;
        if *lock(&self.loaded) == named {
            return Ok(());
        }
        let mut set = self.read_set(named);
        if set.is_err() {
            // The index may lead astray: the packs tell where things are.
            self.rebuild()?;
            set = self.read_set(named);
        }
        *policies = set.map_err(|problem| {
            Problem::new(
                code::POLICY_003,
                "the policies or accounts that the ledger names last are not there",
            )
            .because(problem.what)
            .hint("put the missing packs back from a copy; nothing is granted until then")
        })?;
        *lock(&self.loaded) = named;
        Ok(())
    }

    fn read_set(&self, [policies, accounts]: [Option<Digest>; 2]) -> Result<PolicySet, Problem> {
        let owner = &self.parts.owner;
        let sources = policies.map_or(Ok(Vec::new()), |record| self.read_sources(&record))?;
        let (listed, sources): (Vec<_>, Vec<_>) = sources
            .into_iter()
            .partition(|source| source.name == PRINCIPALS);
        // Before accounts were a state of their own, they were listed among the policies.
        let listed = match accounts {
            Some(record) => self.read_sources(&record)?,
            None => listed,
        };
        let directory = listed.first().map_or_else(
            || Ok(Directory::of_owner(owner)),
            |listed| {
                Directory::read(&listed.text, owner).map_err(|error| identity_problem(&error, None))
            },
        )?;
        PolicySet::parse(&sources, directory).map_err(|error| policy_problem(&error))
    }

    pub(crate) fn read_sources(&self, record: &Digest) -> Result<Vec<Source>, Problem> {
        let store = &self.parts.store;
        let version = Version {
            record: store
                .version_record(record)
                .map_err(|error| problem::store(&error))?,
            record_digest: *record,
            entry: 0,
            quarantined: false,
        };
        let files = store
            .files(&version)
            .map_err(|error| problem::store(&error))?;
        let mut sources = Vec::new();
        for file in files.files() {
            let bytes = files
                .read(&file.path, 0..file.size.bytes())
                .map_err(|error| problem::read(&error))?;
            sources.push(Source {
                name: file.path.to_string(),
                text: String::from_utf8_lossy(&bytes).into_owned(),
            });
        }
        Ok(sources)
    }
}

/// Checks the tests of policies that are to come in the place of others.
///
/// # Errors
/// A [`Problem`] that names those which fail.
pub(crate) fn check_tests(before: &PolicySet, set: &PolicySet) -> Result<(), Problem> {
    if set.digest() == before.digest() {
        return Ok(());
    }
    tests_problem(&set.test()).map_or(Ok(()), Err)
}

/// Tells why policies are not put in force.
pub(crate) fn policy_problem(error: &PolicyError) -> Problem {
    let kept = "what is in force stays as it is";
    let what = "the policies or accounts cannot be put in force";
    match error {
        PolicyError::Locked => Problem::new(code::POLICY_004, what)
            .because(error)
            .hint(format!(
                "permit `changePolicy` to somebody, and forbid it not to all; {kept}"
            )),
        PolicyError::Alone => Problem::new(code::POLICY_004, what)
            .because(error)
            .hint(format!(
                "give another person a role that may `changePolicy` first, or take `second_person` out of `settings.json` in the same change; {kept}"
            )),
        PolicyError::NotTheirs { .. } => Problem::new(code::POLICY_005, what)
            .because(error)
            .hint(format!("ask an owner of the workspace to do it; {kept}")),
        _ => Problem::new(code::POLICY_001, what)
            .because(error)
            .hint(format!("correct it, then do it again; {kept}")),
    }
}

/// Tells why accounts are not changed, or there is none; `known`: those that there are.
pub(crate) fn identity_problem(error: &IdentityError, known: Option<&Directory>) -> Problem {
    match error {
        IdentityError::Unknown(party) => {
            let meant = known.and_then(|known| nearest_party(party, known));
            let meant = meant.map_or_else(String::new, |name| format!("is `{name}` meant? "));
            Problem::new(code::DOOR_004, error.to_string()).hint(format!(
                "{meant}see who there is with `custody account ls`; add an account with `custody account add`"
            ))
        }
        IdentityError::Exists(_) => Problem::new(code::IDENTITY_002, error.to_string())
            .hint("give it roles with `custody account grant`"),
        IdentityError::Owner(_) => Problem::new(code::IDENTITY_003, error.to_string())
            .hint("give the role `owner` to others as well; this account stays one"),
        IdentityError::Syntax(_) => {
            Problem::new(code::IDENTITY_001, "`principals.json` cannot be read")
                .because(error)
                .hint("correct the file; the accounts stay as they are")
        }
        IdentityError::Bound(_) => Problem::new(code::IDENTITY_004, error.to_string()).hint(
            "take it from that account first: `custody account revoke NAME --oidc ISSUER SUBJECT`",
        ),
        IdentityError::Identity | IdentityError::NoPerson(_) => Problem::new(
            code::IDENTITY_005,
            error.to_string(),
        )
        .hint(
            "name a person, and the issuer and subject that they were told when they were refused",
        ),
        IdentityError::ForLonger { who, has } => {
            let project = has.project.as_ref();
            let project = project.map_or_else(String::new, |name| format!(" --project {name}"));
            Problem::new(code::IDENTITY_002, error.to_string()).hint(format!(
                "take it away first: `custody account revoke {who} --role {}{project}`",
                has.role
            ))
        }
        IdentityError::Ended(_) | IdentityError::NoTime => {
            Problem::new(code::IDENTITY_001, error.to_string()).hint(
                "give a role with an end that is still to come; the accounts stay as they are",
            )
        }
        IdentityError::Name(_) | IdentityError::NoMember(_) => {
            Problem::new(code::IDENTITY_001, error.to_string())
                .hint("correct the name; the accounts stay as they are")
        }
    }
}

fn nearest_party(party: &Party, known: &Directory) -> Option<String> {
    let all = known.holders().map(|(party, _, _)| party.to_string());
    let all: Vec<_> = all.collect();
    nearest(&party.to_string(), all.iter().map(String::as_str)).map(ToOwned::to_owned)
}
