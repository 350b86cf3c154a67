//! The door itself.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use custody_attest::{Check, Sign};
use custody_crypto::sign::SigningKey;
use custody_crypto::{Secret, pseudonym};
use custody_identity::{Credentials, Directory, IdentityError, Party, Tokens};
use custody_ledger::{
    DecisionFact, Effect, EntryDraft, Ledger, LedgerError, Lineage, Object, Outcome, Phase,
    Subject, ToldFact,
};
use custody_observe::{Done, Observer, Work};
use custody_policy::{Decision, PolicySet, Request, ResourceFacts};
use custody_store::{Store, Version};
use custody_types::{
    Action, Actor, Alias, Clock, Digest, Entropy, Problem, ProjectName, Purpose, Reference,
    ResourceKind, Selector, Timestamp, code,
};

use crate::act::{ActionMarker, Approve, CreateProject, List, Read, SetAlias};
use crate::admin::{identity_problem, policy_problem};
use crate::grant::Grant;
use crate::locks::Locks;
use crate::metrics::Lately;
use crate::people::People;
use crate::ports::{Keyring, LastSeenCheckpoint};
use crate::problem;
use crate::scanning::{Rulebook, Scanner};
use crate::session::Session;
use crate::target::ResourceRef;
use crate::versions::HeldFiles;
use crate::view::{Found, LedgerView};

/// The artifact whose newest version is the policy in force.
pub(crate) const POLICY: &str = "custody/policy";
/// The artifact whose newest version is the directory of accounts in force.
pub(crate) const IDENTITY: &str = "custody/identity";
/// The file of the directory in it; of the policies, too, before accounts were a state of their own.
pub(crate) const PRINCIPALS: &str = "principals.json";

/// What lies behind the door.
#[derive(Debug)]
pub struct DoorDeps {
    /// The store, with the projects that exist.
    pub store: Store,
    /// The ledger.
    pub ledger: Ledger,
    /// Signs statements and models.
    pub signing: Arc<SigningKey>,
    /// Makes pseudonyms.
    pub pseudonyms: Secret<32>,
    /// Makes and destroys the keys of projects.
    pub keyring: Arc<dyn Keyring>,
    /// Remembers how far the ledger had come.
    pub anchor: Arc<dyn LastSeenCheckpoint>,
    /// Scans models.
    pub scanner: Arc<dyn Scanner>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Who is told what is done.
    pub observer: Observer,
    /// The account that owns the workspace.
    pub owner: Actor,
}

pub(crate) struct Inner {
    pub(crate) parts: DoorDeps,
    pub(crate) policies: RwLock<PolicySet>,
    /// The workspace's rules of the scanner, once they were needed.
    pub(crate) rules: RwLock<Option<Arc<Rulebook>>>,
    /// Why nothing is let through: the ledger is not the one that was here before.
    pub(crate) fault: RwLock<Option<Problem>>,
    /// Whether the ledger goes on from what was kept, and was read: only then is its checkpoint kept.
    sound: AtomicBool,
    /// The checkpoint that this process kept last outside the workspace.
    kept: Mutex<String>,
    /// What the ledger says.
    pub(crate) view: Mutex<LedgerView>,
    /// The files of held contents.
    pub(crate) held_files: Mutex<HeldFiles>,
    /// The names behind the pseudonyms of the accounts of the directory with this digest.
    names: Mutex<(Option<Digest>, BTreeMap<String, String>)>,
    /// The records of the policies and of the accounts that were put in force last.
    pub(crate) loaded: Mutex<[Option<Digest>; 2]>,
    /// Versions of one artifact are made one at a time, so that numbers follow one another; and nothing of their project
    /// goes into quarantine or comes out of it meanwhile.
    pub(crate) locks: Locks,
    /// When it was looked last for packs that were put back, in milliseconds of the monotonic clock.
    pub(crate) looked_for_packs: Mutex<Option<u64>>,
    /// The policies, and the rules of the scanner, are changed by one at a time: what is in force is what the ledger
    /// names last.
    pub(crate) changing: Mutex<()>,
    /// The tokens that there are, and the record that has them.
    pub(crate) tokens: RwLock<(Option<Digest>, Tokens)>,
    /// Who signs in over the network.
    pub(crate) people: People,
    /// Of two who sign in with one code at once, the first does; and nobody does while they are invited anew.
    pub(crate) signing_in: Mutex<()>,
    /// Keys take the place of others one time after the other.
    pub(crate) rotating: Mutex<()>,
    /// Who saw lately what is counted.
    pub(crate) lately: Lately,
    /// One project is made at a time: another set of keys would leave what the first sealed unreadable.
    projects: Mutex<()>,
}

/// The one door. Cheap to clone; safe to use from several threads.
#[derive(Clone)]
pub struct Door(pub(crate) Arc<Inner>);

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("owner", &self.0.parts.owner)
            .finish_non_exhaustive()
    }
}

/// What a start does with the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// It is used. Where it knows later entries than the ledger has, the ledger was put back: nothing goes on.
    Used,
    /// It is made anew: it may be that of the ledger that was here before.
    MadeAnew,
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the door does not go on from what it finds at a start.
pub(crate) enum Halt {
    /// The ledger is not the one that was here before: every question is answered with that, until a person accepts it.
    RolledBack(Problem),
    /// The door does not open.
    Failed(Problem),
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<Halt> for Problem {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::RolledBack(problem) | Halt::Failed(problem) => problem,
        }
    }
}

impl Door {
    /// Opens the door: finishes or undoes what an earlier process left, and puts the newest policies in
    /// force. Where the ledger is not the one that was here before, nothing of that is done, nothing is
    /// written, and every question but [`Door::accept_rollback`] is answered with that.
    ///
    /// # Errors
    /// A [`Problem`] when something is damaged.
    pub fn open(parts: DoorDeps) -> Result<Self, Problem> {
        let builtin = PolicySet::builtin(Directory::of_owner(&parts.owner))
            .map_err(|error| policy_problem(&error))?;
        let inner = Inner {
            view: Mutex::new(LedgerView::new(&parts.pseudonyms)),
            held_files: Mutex::default(),
            names: Mutex::default(),
            loaded: Mutex::default(),
            parts,
            policies: RwLock::new(builtin),
            rules: RwLock::default(),
            fault: RwLock::default(),
            sound: AtomicBool::new(false),
            kept: Mutex::default(),
            locks: Locks::default(),
            looked_for_packs: Mutex::default(),
            changing: Mutex::default(),
            tokens: RwLock::default(),
            people: People::default(),
            signing_in: Mutex::default(),
            rotating: Mutex::default(),
            lately: Lately::default(),
            projects: Mutex::default(),
        };
        let door = Self(Arc::new(inner));
        let kept = door.0.parts.anchor.load()?;
        let started =
            match kept.map_or(Ok(()), |kept| door.0.parts.ledger.snapshot().extends(&kept)) {
                Ok(()) => door.start(Index::Used),
                Err(error) => Err(door.rolled_back(&error)),
            };
        match started {
            Ok(()) => door.0.sound.store(true, Ordering::Release),
            Err(Halt::RolledBack(fault)) => *write(&door.0.fault) = Some(fault),
            Err(Halt::Failed(problem)) => return Err(problem),
        }
        Ok(door)
    }

    fn rolled_back(&self, because: &LedgerError) -> Halt {
        let name = self.workspace_id();
        let problem = Problem::new(
            code::LEDGER_008,
            "the ledger is not the one that was here before",
        )
        .because(because)
        .hint(format!(
            "put the newest copy of the workspace back; if it is lost and you accept that: `custody ledger accept-rollback {name} --reason …` (what was seen last is kept in `{}`)",
            self.0.parts.anchor.place()
        ));
        Halt::RolledBack(problem)
    }

    /// Returns the id of the workspace, as the origin of its checkpoints has it.
    pub(crate) fn workspace_id(&self) -> String {
        let origin = self.0.parts.ledger.verifier().name();
        origin.rsplit('/').next().unwrap_or(origin).to_owned()
    }

    /// Returns why nothing is let through, if so.
    pub(crate) fn fault(&self) -> Option<Problem> {
        let fault = &self.0.fault;
        fault.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finishes or undoes what an earlier process left, and puts the newest policies and accounts in force.
    pub(crate) fn start(&self, index: Index) -> Result<(), Halt> {
        self.recover(index)?;
        self.0.load_in_force()?;
        if index == Index::Used {
            self.0.conclude_open()?;
        }
        Ok(())
    }

    /// Goes on with the ledger as it is: a person accepted that, and the ledger says so.
    pub(crate) fn accept(&self) -> Result<(), Problem> {
        let DoorDeps { ledger, anchor, .. } = &self.0.parts;
        // CRASH: before this the next start refuses again, and accepting again is one more entry.
        anchor.replace(&ledger.checkpoint())?;
        *write(&self.0.fault) = None;
        self.0.sound.store(true, Ordering::Release);
        self.0.conclude_open()
    }

    fn recover(&self, index: Index) -> Result<(), Halt> {
        let inner = &self.0;
        let swept = inner.parts.store.sweep();
        swept.map_err(|error| problem::store(&error))?;
        let found = match index {
            Index::Used => inner.open_view()?,
            Index::MadeAnew => Found::Nothing,
        };
        match found {
            Found::Sound => inner.finish_shredding()?,
            Found::Newer(error) => return Err(self.rolled_back(&error)),
            Found::Nothing => {
                inner.make_view_anew()?;
                // Before the packs are read: those of a project whose keys are gone are no damage.
                inner.finish_shredding()?;
                // What lacks is told by `verify`, and when it is asked for.
                inner.rebuild()?;
            }
        }
        Ok(inner.settle_staged()?)
    }

    /// Asks to do `A` to `target`.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such thing, the policy refuses, or the ledger does not take the
    /// entry. Refusals are entered too.
    pub fn ask<A: ActionMarker>(
        &self,
        session: &Session,
        target: ResourceRef,
    ) -> Result<Grant<A>, Problem> {
        self.ask_for(session, target, None)
    }

    /// Asks to point an alias at a version: the policies are told which.
    ///
    /// # Errors
    /// As [`Door::ask`].
    pub fn ask_alias(
        &self,
        session: &Session,
        target: ResourceRef,
        alias: &Alias,
    ) -> Result<Grant<SetAlias>, Problem> {
        self.ask_for(session, target, Some(alias))
    }

    fn ask_for<A: ActionMarker>(
        &self,
        session: &Session,
        target: ResourceRef,
        alias: Option<&Alias>,
    ) -> Result<Grant<A>, Problem> {
        self.0.check_session(session)?;
        let fault = self.fault();
        if let Some(fault) = &fault
            && A::ACTION != Action::AcceptRollback
        {
            return Err(fault.clone());
        }
        if fault.is_none() {
            self.check_stated(A::ACTION, session, &target)?;
        }
        let version = match &target {
            ResourceRef::Version(version) => Some(self.0.confirmed(version.as_ref().clone())?),
            ResourceRef::Named(reference) => match self.0.asked_for(reference) {
                Ok(Some(version)) => Some(version),
                Err(problem) if self.0.may_list_named(session, &target) => return Err(problem),
                // That something is damaged is told to those who may know that it is there.
                Ok(None) | Err(_) => {
                    return Err(self.not_there(A::ACTION, session, &target, reference));
                }
            },
            _ => None,
        };
        let facts = target.facts(version.as_ref());
        let author = crate::target::author(&target, version.as_ref());
        let asked = Asked { author, alias };
        let decision = self.0.parts.observer.watch(
            || self.0.decide_asked(session, A::ACTION, &facts, asked),
            |decision| Done::decision(A::ACTION, decision.permit),
        );
        let mut draft = self.0.draft(session, A::ACTION, Phase::Grant, &facts);
        let told = self.0.told(session, &facts, asked);
        draft.decision = Some(self.0.decision_fact(&decision, Some(told)));
        if !decision.permit {
            draft.outcome = Some(Outcome::Denied);
            let told = self.told_refusal(session, A::ACTION, &target, &facts, &decision);
            draft.error = Some(told.code);
            // A ledger that is not the one that was here before takes nothing but that it is accepted.
            if fault.is_none() {
                self.0.append(draft)?;
            }
            return Err(told);
        }
        let mut grant: Grant<A> = self.let_in(session, (target, facts, version), draft)?;
        grant.alias = alias.cloned();
        Ok(grant)
    }

    /// Says in advance whether something that will be asked would be refused now. A refusal is entered; that it is permitted is
    /// entered when it is asked.
    ///
    /// # Errors
    /// As [`Door::ask`].
    pub fn expect<A: ActionMarker>(
        &self,
        session: &Session,
        target: ResourceRef,
    ) -> Result<(), Problem> {
        let facts = target.facts(None);
        let decision = self.0.decide(session, A::ACTION, &facts, None);
        if decision.permit && self.fault().is_none() {
            return Ok(());
        }
        // It is decided anew, so that what is told is what is entered.
        self.ask::<A>(session, target)?.finish()
    }

    /// Enters a grant, and hands it out once its entry is durable.
    pub(crate) fn let_in<A: ActionMarker>(
        &self,
        session: &Session,
        (target, facts, version): (ResourceRef, ResourceFacts, Option<Version>),
        draft: EntryDraft,
    ) -> Result<Grant<A>, Problem> {
        let receipt = self.0.append(draft)?;
        // What is let out from here on cannot be taken back, so neither can the entry that says so.
        self.0.remember();
        Ok(Grant {
            door: self.clone(),
            session: session.clone(),
            target,
            facts,
            version,
            receipt,
            alias: None,
            finished: false,
            entered: Mutex::default(),
            action: PhantomData,
        })
    }

    /// Refuses a purpose that is not declared before anything is looked up: whether a thing is there is not
    /// told by it.
    fn check_stated(
        &self,
        action: Action,
        session: &Session,
        target: &ResourceRef,
    ) -> Result<(), Problem> {
        let facts = match target {
            ResourceRef::Version(version) => target.facts(Some(version)),
            _ => target.facts(None),
        };
        self.check_purpose(action, session, &facts)
    }

    fn check_purpose(
        &self,
        action: Action,
        session: &Session,
        facts: &ResourceFacts,
    ) -> Result<(), Problem> {
        let purpose = session.purpose.as_ref();
        let Some(decision) = purpose.and_then(|one| self.0.policies().undeclared(one)) else {
            return Ok(());
        };
        let mut draft = self.0.draft(session, action, Phase::Grant, facts);
        let asked = Asked::default();
        let told = self.0.told(session, facts, asked);
        draft.decision = Some(self.0.decision_fact(&decision, Some(told)));
        draft.outcome = Some(Outcome::Denied);
        let told = problem::refused(action, &facts.resource, &who(session), &decision);
        draft.error = Some(told.code);
        self.0.append(draft)?;
        Err(told)
    }

    /// Who may not even list a thing is told the same as if it were not there.
    fn told_refusal(
        &self,
        session: &Session,
        action: Action,
        target: &ResourceRef,
        facts: &ResourceFacts,
        decision: &Decision,
    ) -> Problem {
        if let ResourceRef::Named(reference) = target
            && !self.0.decide(session, Action::List, facts, None).permit
        {
            return problem::not_found(reference);
        }
        if let ResourceRef::Run { id, .. } = target
            && matches!(action, Action::ReadRun | Action::CancelRun)
            && !self.0.decide(session, Action::ReadRun, facts, None).permit
        {
            return problem::no_run(id);
        }
        problem::refused(action, &facts.resource, &who(session), decision)
    }

    /// Enters that somebody asked for a run that is not there.
    pub(crate) fn no_run(&self, action: Action, session: &Session, id: &str) -> Problem {
        let facts = crate::target::unknown_run(id);
        if let Err(told) = self.check_purpose(action, session, &facts) {
            return told;
        }
        let told = problem::no_run(id);
        let mut draft = self.0.draft(session, action, Phase::Grant, &facts);
        draft.outcome = Some(Outcome::Error);
        draft.error = Some(told.code);
        match self.0.append(draft) {
            Ok(_) => told,
            Err(problem) => problem,
        }
    }

    fn not_there(
        &self,
        action: Action,
        session: &Session,
        target: &ResourceRef,
        reference: &Reference,
    ) -> Problem {
        let mut draft = self
            .0
            .draft(session, action, Phase::Grant, &target.facts(None));
        let mut told = problem::not_found(reference);
        if self.is_held_back(session, reference).unwrap_or(false) {
            told = told
                .because("all its versions are in quarantine")
                .hint("see why with `custody ls --quarantine`; name one by its number to look at it: `custody show`");
        }
        draft.outcome = Some(Outcome::Error);
        draft.error = Some(told.code);
        match self.0.append(draft) {
            Ok(_) => told,
            Err(problem) => problem,
        }
    }

    /// Returns whether an artifact, whose latest version is not there, has versions in quarantine, and the session's
    /// person may see those that come first.
    fn is_held_back(&self, session: &Session, reference: &Reference) -> Result<bool, Problem> {
        const LOOKED_AT: usize = 64;
        if reference.selector != Selector::Latest {
            return Ok(false);
        }
        let of = (None, Some(&reference.artifact));
        let held = self.0.list_versions(of, true, None, LOOKED_AT)?;
        let mut seen = false;
        for listed in &held {
            let Some(version) = self.0.read(listed)? else {
                continue;
            };
            if !self.0.may_list(session, &version) {
                return Ok(false);
            }
            seen = true;
        }
        Ok(seen)
    }

    /// Derives a session that acts as the narrower principal `name`: what `--as` does.
    ///
    /// # Errors
    /// A [`Problem`] when the session's person does not own the workspace, or there is no such account.
    pub fn act_as(&self, session: &Session, name: &str) -> Result<Session, Problem> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let now = self.0.now();
        if !self.0.policies().directory().is_owner(&session.actor, now) {
            return Err(Problem::new(
                code::DOOR_003,
                "only an owner of the workspace may act as someone else",
            ));
        }
        let party: Party = name
            .parse()
            .map_err(|error| identity_problem(&error, None))?;
        let policies = self.0.policies();
        let known = policies.directory();
        let Some(actor) = party.actor().filter(|_| known.contains(&party)) else {
            let error = IdentityError::Unknown(party);
            return Err(
                identity_problem(&error, Some(known)).because("the name was given with `--as`")
            );
        };
        drop(policies);
        Ok(Session {
            actor,
            ..session.clone()
        })
    }

    /// Checks that purposes are declared.
    ///
    /// # Errors
    /// A [`Problem`] that names one that is not, and the nearest that is.
    pub fn check_purposes(&self, purposes: &[Purpose]) -> Result<(), Problem> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let policies = self.0.policies();
        let known = policies.purposes();
        let Some(unknown) = purposes.iter().find(|one| !known.contains_key(*one)) else {
            return Ok(());
        };
        let meant = policies.nearest_purpose(unknown);
        let meant = meant.map_or_else(String::new, |name| format!("is `{name}` meant? "));
        Err(Problem::new(
            code::DOOR_007,
            format!("the purpose `{unknown}` is not declared"),
        )
        .hint(format!("{meant}see the declared purposes with `custody policy show`; declare others in `settings.json` and `custody policy apply`")))
    }

    /// Lets in who shows these credentials, by `via`, for a purpose or for none.
    pub fn authenticate(
        &self,
        credentials: &Credentials,
        purpose: Option<Purpose>,
        via: &'static str,
    ) -> Session {
        Session::new(credentials.authenticate(self.now()), purpose, via)
    }

    /// Returns the public key that checks statements, version records and model signatures, in PEM form.
    pub fn public_key(&self) -> &str {
        self.0.parts.signing.public().pem()
    }

    /// Returns whether it lets anybody through: the ledger is the one that was here before, and takes what waits for it.
    pub fn is_ready(&self) -> bool {
        self.fault().is_none() && self.0.parts.ledger.flush().is_ok()
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    /// Returns the milliseconds of a clock that never steps backwards.
    pub fn monotonic_ms(&self) -> u64 {
        self.0.parts.clock.monotonic_ms()
    }

    /// Returns a new id, ordered by time: a UUID version 7.
    pub fn new_id(&self) -> String {
        self.0.new_id()
    }

    /// Returns the pseudonym of an actor.
    pub fn pseudonym(&self, actor: &Actor) -> String {
        self.0.pseudonym(actor)
    }

    /// Returns over how many rows figures are less sensitive than the rows.
    pub fn fewest_rows(&self) -> u64 {
        self.0.policies().settings().fewest_rows()
    }

    /// Returns a text that nobody can guess.
    pub fn salt(&self) -> String {
        let mut random = [0; 16];
        self.0.parts.entropy.fill(&mut random);
        Digest::of(&random).to_hex()
    }

    /// Returns the digest of the policies in force.
    pub fn policy_digest(&self) -> Digest {
        self.0
            .policies
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .digest()
    }

    /// Returns the number of entries in the ledger.
    pub fn ledger_size(&self) -> u64 {
        self.0.parts.ledger.size()
    }

    /// Makes sure that the project exists. Whoever stores the first thing in it begins it, which is asked for; the
    /// project of the policies is there for everybody.
    pub(crate) fn ensure_project(
        &self,
        session: Option<&Session>,
        project: &ProjectName,
    ) -> Result<(), Problem> {
        // Of several who begin it at once, the first does.
        let _one = lock(&self.0.projects);
        if self.0.parts.store.projects().contains(project) {
            return Ok(());
        }
        let target = || ResourceRef::Project(project.clone());
        let grant = session
            .map(|session| self.ask::<CreateProject>(&session.of_person(), target()))
            .transpose()?;
        self.0.check_not_shredded(project)?;
        let (id, keys) = self.0.parts.keyring.create(project)?;
        self.0.parts.store.add_project(project.clone(), id, keys);
        grant.map_or(Ok(()), Grant::finish)
    }
}

pub(crate) fn who(session: &Session) -> String {
    session.on_behalf_of.as_ref().map_or_else(
        || session.actor.id.clone(),
        |person| format!("{} (for {})", session.actor.id, person.id),
    )
}

/// What is asked beside who does what to what.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    /// The pseudonym of who made the thing.
    pub(crate) author: Option<&'a str>,
    /// The alias that is to be moved.
    pub(crate) alias: Option<&'a Alias>,
}

impl Inner {
    /// Returns the time by which it is decided who may what: that of the clock, and not before the last entry of the ledger.
    /// What has ended does not come back when somebody sets the clock back.
    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now().max(self.parts.ledger.last_time())
    }

    pub(crate) fn policies(&self) -> RwLockReadGuard<'_, PolicySet> {
        self.policies.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides; `author`: the pseudonym of who made the thing.
    pub(crate) fn decide(
        &self,
        session: &Session,
        action: Action,
        facts: &ResourceFacts,
        author: Option<&str>,
    ) -> Decision {
        let alias = None;
        self.decide_asked(session, action, facts, Asked { author, alias })
    }

    pub(crate) fn decide_asked(
        &self,
        session: &Session,
        action: Action,
        facts: &ResourceFacts,
        asked: Asked<'_>,
    ) -> Decision {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        policies.decide(&Request {
            actor: &session.actor,
            on_behalf_of: session.on_behalf_of.as_ref(),
            action,
            resource: facts,
            purpose: session.purpose.as_ref(),
            scope: session.scope.as_deref(),
            own: self.is_of(session, asked),
            alias: asked.alias,
            via: session.via,
            authentication: &session.authentication,
            now: self.now(),
        })
    }

    /// Returns whether the session's person made the thing.
    fn is_of(&self, session: &Session, asked: Asked<'_>) -> bool {
        let author = asked.author;
        author.is_some_and(|author| author == self.pseudonym(session.person()))
    }

    /// Returns what the policies are told that stands nowhere else in the ledger.
    fn told(&self, session: &Session, facts: &ResourceFacts, asked: Asked<'_>) -> ToldFact {
        let shown = session.authentication();
        // Of a version that is there, its record says what it is.
        let made = facts.resource.digest.is_none();
        let kind = facts.kind.filter(|_| made);
        let classification = facts.classification.filter(|_| made);
        ToldFact {
            method: shown.method.as_str().to_owned(),
            network: shown.network.to_owned(),
            time: shown.time,
            expires: shown.expires,
            own: self.is_of(session, asked),
            quarantined: facts.quarantined,
            kind: kind.map(|kind| kind.as_str().to_owned()),
            classification: classification.map(|one| one.as_str().to_owned()),
            alias: asked.alias.map(ToString::to_string),
        }
    }

    pub(crate) fn decision_fact(
        &self,
        decision: &Decision,
        told: Option<ToldFact>,
    ) -> DecisionFact {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        DecisionFact {
            effect: if decision.permit {
                Effect::Permit
            } else {
                Effect::Forbid
            },
            policies: decision.policies.clone(),
            set: policies.digest(),
            identity: Some(policies.identity()),
            told,
        }
    }

    pub(crate) fn pseudonym(&self, actor: &Actor) -> String {
        pseudonym(&self.parts.pseudonyms, &actor.to_string())
    }

    pub(crate) fn new_id(&self) -> String {
        let millis = u64::try_from(self.parts.clock.now().unix_micros() / 1000).unwrap_or(0);
        let mut random = [0; 10];
        self.parts.entropy.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(millis, &random)
            .into_uuid()
            .to_string()
    }

    pub(crate) fn draft(
        &self,
        session: &Session,
        action: Action,
        phase: Phase,
        facts: &ResourceFacts,
    ) -> EntryDraft {
        let resource = &facts.resource;
        EntryDraft {
            id: self.new_id(),
            project: facts.project.as_ref().map(ToString::to_string),
            action,
            phase,
            subject: Subject {
                kind: session.actor.kind,
                reference: self.pseudonym(&session.actor),
                via: session.via.to_owned(),
                on_behalf_of: session
                    .on_behalf_of
                    .as_ref()
                    .map(|person| self.pseudonym(person)),
                by: session.acts_by().map(|actor| self.pseudonym(actor)),
            },
            objects: vec![Object {
                kind: resource.kind.as_str().to_owned(),
                name: resource.name.clone(),
                digest: resource.digest,
            }],
            decision: None,
            purpose: session.purpose.clone(),
            outcome: None,
            error: None,
            lineage: Lineage {
                run: session.run.clone(),
                ..Lineage::default()
            },
            facts: BTreeMap::new(),
            relates_to: None,
        }
    }

    /// Keeps the checkpoint over all that was acknowledged outside the workspace, unless the ledger is not the
    /// one that was here before.
    fn remember(&self) {
        if !self.sound.load(Ordering::Acquire) {
            return;
        }
        let DoorDeps { ledger, anchor, .. } = &self.parts;
        // One at a time, so that a smaller one follows no larger one.
        let mut last = lock(&self.kept);
        let now = ledger.snapshot();
        anchor.keep(now.checkpoint(), &|kept| {
            kept == *last || now.extends(kept).is_ok()
        });
        now.checkpoint().clone_into(&mut last);
    }

    /// Writes an entry.
    pub(crate) fn append(&self, draft: EntryDraft) -> Result<custody_ledger::Receipt, Problem> {
        let mut receipts = self.append_all(vec![draft])?;
        receipts.pop().ok_or_else(|| {
            problem::ledger(&LedgerError::Stopped("no receipt came back".to_owned()))
        })
    }

    /// Writes entries that follow one another. Returns their receipts.
    pub(crate) fn append_all(
        &self,
        drafts: Vec<EntryDraft>,
    ) -> Result<Vec<custody_ledger::Receipt>, Problem> {
        let told = drafts.clone();
        let appended = self.parts.observer.watch(
            || self.parts.ledger.append_all(drafts),
            |appended| Done {
                work: Work::Entry,
                ok: appended.is_ok(),
            },
        );
        let receipts = match appended {
            Ok(receipts) => receipts,
            Err(error) => {
                let problem = problem::ledger(&error);
                if matches!(error, LedgerError::TooLarge(_)) {
                    let outcomes = told.into_iter();
                    for draft in outcomes.filter(|draft| draft.relates_to.is_some()) {
                        self.too_large(draft, &problem)?;
                    }
                }
                return Err(problem);
            }
        };
        self.take_settled()?;
        Ok(receipts)
    }

    /// Finishes the versions that entries make valid whose writing had failed, and which are in the ledger
    /// nevertheless. What is staged and not named yet is somebody's who is at work.
    fn take_settled(&self) -> Result<(), Problem> {
        if self.parts.ledger.settled().is_empty() {
            return Ok(());
        }
        let store = &self.parts.store;
        let mut named = Vec::new();
        for (name, record) in store.staged().map_err(|error| problem::store(&error))? {
            if self.entry_of(&record)?.is_some() {
                named.push(name);
            }
        }
        store
            .unstage(&named)
            .map_err(|error| problem::store(&error))?;
        // A change of the policies or accounts may be among them.
        self.load_in_force()
    }

    /// Hands over the entry of an outcome that makes nothing valid: it is written within a second. One that
    /// is too large is entered as an error without its facts.
    ///
    /// # Errors
    /// A [`Problem`] when it is too large.
    pub(crate) fn later(&self, draft: EntryDraft) -> Result<(), Problem> {
        let ledger = &self.parts.ledger;
        ledger.append_soon(draft.clone()).or_else(|error| {
            let problem = problem::ledger(&error);
            self.too_large(draft, &problem)?;
            Err(problem)
        })
    }

    /// Enters of an outcome that is too large that it is an error.
    fn too_large(&self, draft: EntryDraft, problem: &Problem) -> Result<(), Problem> {
        let bare = EntryDraft {
            id: self.new_id(),
            objects: Vec::new(),
            facts: BTreeMap::new(),
            lineage: Lineage::default(),
            outcome: Some(Outcome::Error),
            error: Some(problem.code),
            ..draft
        };
        let entered = self.parts.ledger.append_soon(bare);
        entered.map_err(|error| problem::ledger(&error))
    }

    /// Returns the name of a pseudonym if it is that of an account, else the pseudonym.
    pub(crate) fn name_of(&self, pseudonym: &str) -> String {
        let policies = self.policies();
        let mut names = lock(&self.names);
        if names.0 != Some(policies.identity()) {
            let known = policies.directory().actors();
            let known = known.map(|actor| {
                let name = Party::of(&actor).map_or_else(|| actor.id.clone(), String::from);
                (self.pseudonym(&actor), name)
            });
            *names = (Some(policies.identity()), known.collect());
        }
        let name = names.1.get(pseudonym);
        name.map_or_else(|| pseudonym.to_owned(), ToOwned::to_owned)
    }

    /// Whether the policy lets the session read the version, were it in no quarantine: to be told what only its readers
    /// are told, such as why it is there. It opens nothing.
    pub(crate) fn may_read(&self, session: &Session, version: &Version) -> bool {
        let version = Version {
            quarantined: false,
            ..version.clone()
        };
        let facts = ResourceRef::Version(Box::new(version.clone())).facts(None);
        let author = Some(version.record.author.as_str());
        self.decide(session, Read::ACTION, &facts, author).permit
    }

    /// Whether the policy lets the session decide on the version in quarantine.
    pub(crate) fn may_approve(&self, session: &Session, version: &Version) -> bool {
        let facts = ResourceRef::Version(Box::new(version.clone())).facts(None);
        let author = Some(version.record.author.as_str());
        self.decide(session, Approve::ACTION, &facts, author).permit
    }

    /// Whether the policy lets the session look at a version's records by this action.
    pub(crate) fn may_look(&self, session: &Session, action: Action, version: &Version) -> bool {
        let facts = ResourceRef::Version(Box::new(version.clone())).facts(None);
        let author = Some(version.record.author.as_str());
        self.decide(session, action, &facts, author).permit
    }

    /// Whether the policy lets the session list a version of which no more than the name is known.
    pub(crate) fn may_list_named(&self, session: &Session, named: &ResourceRef) -> bool {
        let facts = named.facts(None);
        self.decide(session, List::ACTION, &facts, None).permit
    }

    pub(crate) fn may_list(&self, session: &Session, version: &Version) -> bool {
        let facts = ResourceRef::Version(Box::new(version.clone())).facts(None);
        facts.resource.kind == ResourceKind::Artifact
            && self.decide(session, List::ACTION, &facts, None).permit
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A ledger that does not work any more has said so to whoever asked before.
        let _ = self.parts.ledger.flush();
        if !self.sound.load(Ordering::Acquire) {
            return;
        }
        self.remember();
    }
}

/// Lends the signing key to the formats.
pub(crate) struct Key<'a>(pub(crate) &'a SigningKey);

impl Sign for Key<'_> {
    fn key_id(&self) -> &str {
        self.0.public().id()
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(message).ok()
    }
}

impl Check for Key<'_> {
    fn check(&self, key_id: &str, message: &[u8], signature: &[u8]) -> bool {
        key_id == self.0.public().id() && self.0.public().verify(message, signature)
    }
}
