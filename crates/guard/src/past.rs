//! What was decided, as it can be decided again: from an entry of the ledger, the record of the version, and the policies and
//! accounts of the time. What stands nowhere is not guessed.

use std::collections::{BTreeMap, VecDeque};

use custody_identity::{Authentication, Directory, LOCAL, Method, REMOTE};
use custody_ledger::{Entry, Phase, ToldFact};
use custody_policy::{
    DEVICE_SCOPE, PolicySet, Request, ResourceFacts, STEP_SCOPE, Source, TOKEN_SCOPE,
};
use custody_types::{
    Action, Actor, ActorKind, Alias, ArtifactName, Classification, Digest, Kind, NameError,
    Problem, ProjectName, Purpose, Reference, Resource, ResourceKind, Timestamp, VersionName, code,
};

use crate::break_glass::DECIDED_BY;
use crate::door::{Door, IDENTITY, POLICY, PRINCIPALS};
use crate::provider::JOINED_BY;
use crate::view::Listed;

/// How many states of the accounts are kept in memory while entries are gone through.
const KEPT: usize = 8;
/// How many versions are listed at once.
const PAGE: usize = 1_000;

/// Why a decision cannot be made again, as people are told.
pub(crate) type Unknown = &'static str;

/// What an entry says of a decision.
pub(crate) enum Decided {
    /// The entry is of no decision of policies.
    Nothing,
    /// It was decided by a limit of the program, whatever the policies say.
    ByLimit,
    /// Policies decided it.
    ByPolicies(Box<Past>),
    /// It cannot be made again.
    Unknown(Unknown),
}

/// A decision that was made, but for who made it.
pub(crate) struct Past {
    pub(crate) action: Action,
    pub(crate) facts: ResourceFacts,
    /// Whether it had been looked up what it was asked on.
    pub(crate) looked_up: bool,
    /// The pseudonym of who asked; of a step, of the person for whom it acted.
    pub(crate) person: String,
    /// The name of the step, where one asked.
    step: bool,
    pub(crate) purpose: Option<Purpose>,
    via: String,
    told: ToldFact,
    method: Method,
    network: &'static str,
    alias: Option<Alias>,
    pub(crate) time: Timestamp,
    pub(crate) identity: Option<Digest>,
}

impl Past {
    /// Lends it as a request of `actor`, at `now`.
    pub(crate) fn request<T>(
        &self,
        actor: &Actor,
        now: Timestamp,
        ask: impl FnOnce(&Request<'_>) -> T,
    ) -> T {
        let step = Actor::step("run", "step");
        let authentication = Authentication {
            actor: actor.clone(),
            method: self.method,
            time: self.told.time,
            network: self.network,
            expires: self.told.expires,
            token: None,
            session: None,
            asserted: None,
        };
        ask(&Request {
            actor: if self.step { &step } else { actor },
            on_behalf_of: self.step.then_some(actor),
            action: self.action,
            resource: &self.facts,
            purpose: self.purpose.as_ref(),
            scope: None,
            own: self.told.own,
            alias: self.alias.as_ref(),
            via: &self.via,
            authentication: &authentication,
            now,
        })
    }
}

impl Door {
    /// Reads what an entry says of a decision.
    pub(crate) fn decided(&self, entry: &Entry) -> Decided {
        let Some(decision) = entry
            .decision
            .as_ref()
            .filter(|_| entry.phase == Phase::Grant)
        else {
            return Decided::Nothing;
        };
        let by = |limit: &str| decision.policies.iter().any(|policy| policy == limit);
        if by(DECIDED_BY) || by(JOINED_BY) {
            return Decided::Nothing;
        }
        let refused = decision.effect == custody_ledger::Effect::Forbid;
        if refused && [STEP_SCOPE, TOKEN_SCOPE, DEVICE_SCOPE].into_iter().any(by) {
            return Decided::ByLimit;
        }
        let Some(told) = &decision.told else {
            return Decided::Unknown(
                "an earlier program entered it without what the policies were told",
            );
        };
        let mut networks = [LOCAL, REMOTE].into_iter();
        let network = networks.find(|one| *one == told.network);
        let method = Method::named(&told.method);
        let Some((method, network)) = method.zip(network) else {
            return Decided::Unknown("this program does not know how who asked was authenticated");
        };
        if method.is_by_provider() {
            return Decided::Unknown(
                "which roles an identity provider's groups gave then is not known afterwards",
            );
        }
        let Some(action) = entry.action() else {
            return Decided::Unknown("this program does not know the action");
        };
        let Some(facts) = self.facts_then(entry, told) else {
            return Decided::Unknown("the record of the version cannot be had any more");
        };
        let alias = told.alias.as_ref().map(|alias| alias.parse());
        let Ok(alias) = alias.transpose() else {
            return Decided::Unknown("this program does not know the alias");
        };
        let subject = &entry.subject;
        let person = subject.on_behalf_of.as_ref().unwrap_or(&subject.reference);
        Decided::ByPolicies(Box::new(Past {
            action,
            looked_up: facts.resource.kind != ResourceKind::Artifact || facts.kind.is_some(),
            facts,
            person: person.clone(),
            step: subject.kind == ActorKind::Step,
            purpose: entry.purpose.clone(),
            via: subject.via.clone(),
            told: told.clone(),
            method,
            network,
            alias,
            time: entry.ts,
            identity: decision.identity,
        }))
    }

    /// Returns what the policies were told of the thing, if it can be had.
    fn facts_then(&self, entry: &Entry, told: &ToldFact) -> Option<ResourceFacts> {
        let object = entry.objects.first()?;
        let mut kinds = ResourceKind::ALL.into_iter();
        let on = kinds.find(|kind| kind.as_str() == object.kind)?;
        let project = entry
            .project
            .as_ref()
            .map(|name| name.parse::<ProjectName>());
        let Ok(project) = project.transpose() else {
            return None;
        };
        let mut facts = ResourceFacts {
            resource: Resource::new(on, &object.name),
            project,
            kind: None,
            classification: None,
            quarantined: told.quarantined,
            purposes: Vec::new(),
        };
        if let Some(digest) = object.digest {
            let Ok(name) = object.name.parse::<VersionName>() else {
                return None;
            };
            // Where it is damaged, or gone with its project, nothing is known.
            let found = self.0.resolve(&Reference::from(name)).ok().flatten();
            let version = found.filter(|version| version.record.digest == digest)?;
            facts.kind = Some(version.record.kind);
            facts.classification = Some(version.record.classification);
            facts.purposes = version.record.purposes;
            facts.resource = facts.resource.with_digest(digest);
            return Some(facts);
        }
        let kind = told.kind.as_ref().map(|kind| kind.parse::<Kind>());
        let class = told.classification.as_ref();
        let class = class.map(|class| class.parse::<Classification>());
        let (Ok(kind), Ok(class)) = (kind.transpose(), class.transpose()) else {
            return None;
        };
        facts.kind = kind;
        facts.classification = class;
        Some(facts)
    }
}

/// The states of an artifact of the reserved project: which was in force when.
pub(crate) struct States {
    listed: Vec<Listed>,
}

impl States {
    fn of(door: &Door, artifact: &str) -> Result<Self, Problem> {
        let artifact: ArtifactName = artifact
            .parse()
            .map_err(|error: NameError| Problem::new(code::DOOR_012, error.to_string()))?;
        let mut listed: Vec<Listed> = Vec::new();
        loop {
            let after = listed.last().map(|(name, ..)| name.clone());
            let of = (None, Some(&artifact));
            let page = door.0.list_versions(of, false, after.as_ref(), PAGE)?;
            if page.is_empty() {
                listed.sort_by_key(|(_, facts, _)| facts.entry);
                return Ok(Self { listed });
            }
            listed.extend(page);
        }
    }

    /// Returns the states that may have been in force at an entry, the likeliest first: that which was entered last before it,
    /// and, where somebody changed it in that moment, its neighbours.
    fn at(&self, entry: u64) -> Vec<Option<&VersionName>> {
        let before = self
            .listed
            .partition_point(|(_, facts, _)| facts.entry < entry);
        let name = |place: usize| self.listed.get(place).map(|(name, ..)| name);
        let last = |count: usize| count.checked_sub(1).and_then(name);
        let earlier = before.saturating_sub(1);
        vec![last(before), name(before), last(earlier)]
    }
}

/// The accounts of other times, a few of them in memory.
pub(crate) struct Accounts<'a> {
    door: &'a Door,
    states: States,
    kept: VecDeque<(Digest, Option<Known>)>,
}

/// Accounts, and whose pseudonym is whose.
pub(crate) struct Known {
    pub(crate) set: PolicySet,
    pub(crate) actors: BTreeMap<String, Actor>,
}

impl Known {
    pub(crate) fn of(door: &Door, set: PolicySet) -> Self {
        let actors = set.directory().actors();
        let actors = actors.map(|actor| (door.pseudonym(&actor), actor));
        Self {
            actors: actors.collect(),
            set,
        }
    }

    /// Returns who a pseudonym is; who has no account is nobody whom policies know.
    pub(crate) fn actor(&self, pseudonym: &str) -> Actor {
        let known = self.actors.get(pseudonym);
        known.cloned().unwrap_or_else(|| Actor::user(pseudonym))
    }
}

impl<'a> Accounts<'a> {
    pub(crate) fn of(door: &'a Door) -> Result<Self, Problem> {
        Ok(Self {
            door,
            states: States::of(door, IDENTITY)?,
            kept: VecDeque::new(),
        })
    }

    /// Returns the policies of `set` for the accounts with this digest, which were in force at an entry; `None`: they cannot be
    /// had.
    pub(crate) fn at(&mut self, set: &PolicySet, entry: u64, digest: Digest) -> Option<&Known> {
        if !self.kept.iter().any(|(kept, _)| *kept == digest) {
            let directory = self.read(entry, digest);
            let known =
                directory.map(|directory| Known::of(self.door, set.with_directory(directory)));
            if self.kept.len() >= KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back((digest, known));
        }
        let mut kept = self.kept.iter();
        kept.find(|(kept, _)| *kept == digest)?.1.as_ref()
    }

    fn read(&self, entry: u64, digest: Digest) -> Option<Directory> {
        let inner = &self.door.0;
        let owner = &inner.parts.owner;
        let now = inner.policies().directory().clone();
        if now.digest() == digest {
            return Some(now);
        }
        let states = self.states.at(entry).into_iter().map(|name| {
            let Some(name) = name else {
                return Some(Directory::of_owner(owner));
            };
            let sources = self.door.sources_of(name)?;
            let text = sources.iter().find(|source| source.name == PRINCIPALS)?;
            Directory::read(&text.text, owner).ok()
        });
        let mut found = states.flatten();
        found.find(|directory| directory.digest() == digest)
    }
}

impl Door {
    /// Reads the files of a version of the reserved project, if they can be had.
    fn sources_of(&self, name: &VersionName) -> Option<Vec<Source>> {
        let version = self.0.resolve(&Reference::from(name.clone())).ok()??;
        self.0.read_sources(&version.record_digest).ok()
    }

    /// Returns the policies with this digest, which were in force at an entry, for other accounts; `None`: they cannot be had, or
    /// another program had another built-in policy.
    pub(crate) fn policies_at(
        &self,
        entry: u64,
        digest: Digest,
        directory: &Directory,
    ) -> Result<Option<PolicySet>, Problem> {
        let now = self.0.policies().clone();
        if now.digest() == digest {
            return Ok(Some(now.with_directory(directory.clone())));
        }
        let states = States::of(self, POLICY)?;
        for name in states.at(entry) {
            let sources = match name {
                None => Vec::new(),
                Some(name) => self.sources_of(name).unwrap_or_default(),
            };
            let sources: Vec<_> = sources
                .into_iter()
                .filter(|source| source.name != PRINCIPALS)
                .collect();
            let set = PolicySet::parse(&sources, directory.clone()).ok();
            if let Some(set) = set.filter(|set| set.digest() == digest) {
                return Ok(Some(set));
            }
        }
        Ok(None)
    }
}
