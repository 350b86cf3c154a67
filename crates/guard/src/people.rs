//! People who sign in over the network, with a password and the code of an authenticator.
//!
//! What is kept of them is a version of an artifact of the reserved project, as of tokens: what counts is what the ledger names
//! last. An owner invites; whoever has the invitation sets a password and an authenticator, once. Each sign-in is entered, right
//! or wrong, and a code counts once: the ledger remembers the step of time of the last.
//!
//! Sessions live in memory: after a restart of the server people sign in again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody_crypto::floe::{self, Parameters};
use custody_crypto::totp::Authenticator;
use custody_crypto::{Secret, aead, password};
use custody_identity::{
    Asserted, Attempts, Authentication, Directory, Guesser, IdentityError, Invitation, Method,
    Party, Password, SignInRecord, SignIns, Token, TokenId,
};
use custody_ledger::{Outcome, Phase};
use custody_policy::PolicySet;
use custody_types::{Action, Actor, ActorKind, Digest, Problem, Purpose, Timestamp, code};
use custody_wire::{EnrolRequest, InviteReply, SessionReply, SignInRequest};

use crate::act::{ActionMarker, Enrol, Invite, SignIn, SignOut};
use crate::admin::identity_problem;
use crate::door::{Door, Inner, lock};
use crate::grant::Grant;
use crate::provider::Connections;
use crate::session::Session;
use crate::target::ResourceRef;
use crate::view::CODE_STEP;

/// The artifact whose newest version has what is kept of people.
const SIGN_INS: &str = "custody/sign-ins";
/// The file in it.
const FILE: &str = "sign-ins.json";
/// The fact that names, by its pseudonym, the account that is invited.
const ACCOUNT: &str = "account";
/// The use of the key that seals the secrets of authenticators.
const AUTHENTICATORS: &str = "custody 2026 secrets of authenticators";
/// How long an invitation counts, in seconds.
const INVITED: i64 = 24 * 60 * 60;
/// How long a session counts at most, in seconds, and without a request, in milliseconds.
pub(crate) const SESSION: i64 = 12 * 60 * 60;
const IDLE_MS: u64 = 60 * 60 * 1000;
/// How many sessions somebody has at once; of more, the oldest ends.
const SESSIONS: usize = 20;
/// How many passwords are hashed at once, of 64 MiB each; how many wait for their turn, and how long.
const HASHED_AT_ONCE: usize = 2;
const IN_LINE: usize = 32;
const TURN: Duration = Duration::from_secs(10);
/// How often one may be wrong as an account from an address, and as whomever from an address, before one waits.
const FREE: u32 = 5;
const FREE_AT_ADDRESS: u32 = 50;

/// What a process knows of those who sign in.
#[derive(Debug)]
pub(crate) struct People {
    /// The record in force, and what it says.
    kept: Mutex<(Option<Digest>, SignIns)>,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    pub(crate) addresses: Mutex<Attempts>,
    /// Who signs in by an identity provider.
    pub(crate) providers: Connections,
    hashing: Mutex<Hashing>,
    hashed: Condvar,
}

/// How many passwords are being hashed, and how many wait for that.
#[derive(Debug, Default)]
struct Hashing {
    busy: usize,
    waiting: usize,
}

impl Default for People {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            sessions: Mutex::default(),
            attempts: Mutex::new(Attempts::after(FREE)),
            addresses: Mutex::new(Attempts::after(FREE_AT_ADDRESS)),
            providers: Connections::default(),
            hashing: Mutex::default(),
            hashed: Condvar::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Sessions {
    open: BTreeMap<TokenId, OpenSession>,
    /// Those that somebody ended: what was let in by them ends too.
    ended: BTreeSet<TokenId>,
    /// Until when all that began of an account were ended, those too that nothing is asked by any more.
    ended_until: BTreeMap<String, Timestamp>,
}

/// A session that is open.
#[derive(Debug)]
pub(crate) struct OpenSession {
    pub(crate) account: String,
    pub(crate) hash: Digest,
    pub(crate) since: Timestamp,
    pub(crate) ends: Timestamp,
    pub(crate) last_ms: u64,
    /// How it began, and what an identity provider said then.
    pub(crate) method: Method,
    pub(crate) asserted: Option<Arc<Asserted>>,
}

impl OpenSession {
    fn authentication(&self, id: &TokenId) -> Authentication {
        let (account, id) = (&self.account, id.clone());
        match &self.asserted {
            Some(said) => {
                Authentication::by_provider(account, id, self.method, said.clone(), self.since)
            }
            None => Authentication::by_password(account, id, self.since),
        }
    }
}

/// Returns whether what a provider said of somebody counts still: their account is bound to it and may do something, and the
/// provider is declared.
fn is_bound(policies: &PolicySet, account: &str, said: &Asserted) -> bool {
    let known = policies.directory().account(&Actor::user(account));
    known.is_some_and(|known| !known.disabled && known.identities.contains(&said.identity))
        && policies.settings().provider_of(said).is_some()
}

/// Tells who was wrong too often for how long they wait.
pub(crate) fn too_many_attempts(left: Duration) -> Problem {
    Problem::new(code::DOOR_026, "there were too many attempts")
        .because(format!("the next one counts in {} s", left.as_secs() + 1))
        .hint("wait, then try again")
}

impl Sessions {
    /// Ends all sessions of an account that began until `now`.
    fn end_all(&mut self, account: &str, now: Timestamp) {
        self.open.retain(|_, session| session.account != account);
        self.ended_until.insert(account.to_owned(), now);
    }

    /// Makes room for one more of an account.
    fn make_room(&mut self, account: &str) {
        let own = self.open.iter().filter(|(_, one)| one.account == account);
        let mut own: Vec<_> = own.map(|(id, one)| (one.since, id.clone())).collect();
        own.sort();
        for (_, id) in own.iter().rev().skip(SESSIONS - 1) {
            self.open.remove(id);
            self.ended.insert(id.clone());
        }
    }
}

/// Why somebody is not let in, whatever is wrong.
fn not_known() -> Problem {
    Problem::new(
        code::DOOR_025,
        "the account, the password or the code is not right",
    )
    .hint("a code counts once; ask an owner for a new invitation if you lost your password or your authenticator")
}

fn unreadable(error: impl std::fmt::Display) -> Problem {
    Problem::new(code::DOOR_012, error.to_string())
}

impl People {
    /// Returns how many passwords are being hashed, and how many wait for that.
    pub(crate) fn hashing(&self) -> (u64, u64) {
        let hashing = lock(&self.hashing);
        (hashing.busy as u64, hashing.waiting as u64)
    }

    /// Returns how many sessions are open.
    pub(crate) fn open_sessions(&self, now: Timestamp) -> u64 {
        let sessions = lock(&self.sessions);
        let open = sessions.open.values().filter(|open| now < open.ends);
        open.count() as u64
    }

    /// Hashes in turn, so that many who come at once take no more memory than two.
    fn in_turn<T>(&self, hash: impl FnOnce() -> T) -> Result<T, Problem> {
        let too_many = || {
            Problem::new(code::DOOR_027, "too many sign in at once")
                .hint("try again in some seconds")
        };
        let mut hashing = lock(&self.hashing);
        if hashing.waiting >= IN_LINE {
            return Err(too_many());
        }
        hashing.waiting += 1;
        let full = |hashing: &mut Hashing| hashing.busy >= HASHED_AT_ONCE;
        let waited = self.hashed.wait_timeout_while(hashing, TURN, full);
        let (mut hashing, late) = waited.unwrap_or_else(PoisonError::into_inner);
        hashing.waiting -= 1;
        if late.timed_out() {
            return Err(too_many());
        }
        hashing.busy += 1;
        drop(hashing);
        let done = hash();
        lock(&self.hashing).busy -= 1;
        self.hashed.notify_one();
        Ok(done)
    }
}

impl Inner {
    /// Returns whether somebody ended the session of a person.
    pub(crate) fn was_ended(&self, shown: &Authentication) -> bool {
        let Some(session) = &shown.session else {
            return false;
        };
        if let Some(said) = &shown.asserted
            && !is_bound(&self.policies(), &shown.actor.id, said)
        {
            return true;
        }
        let sessions = lock(&self.people.sessions);
        let until = sessions.ended_until.get(&shown.actor.id);
        sessions.ended.contains(session) || until.is_some_and(|until| shown.time <= *until)
    }

    /// Ends the sessions whose account may do nothing by what was put in force now; and those that identity providers let in,
    /// where the account is not bound any more, or the provider is not declared. They do not come back with it.
    pub(crate) fn end_without_account(&self, policies: &PolicySet) {
        let mut sessions = lock(&self.people.sessions);
        let over = sessions.open.iter().filter(|(_, one)| {
            let known = policies.directory().account(&Actor::user(&one.account));
            let said = one.asserted.as_ref();
            known.is_none_or(|known| known.disabled)
                || said.is_some_and(|said| !is_bound(policies, &one.account, said))
        });
        let over: Vec<_> = over.map(|(id, _)| id.clone()).collect();
        for id in over {
            sessions.open.remove(&id);
            sessions.ended.insert(id);
        }
    }

    /// Lets those count whom the ledger names last.
    fn sign_ins(&self) -> Result<SignIns, Problem> {
        let mut kept = lock(&self.people.kept);
        let named = self.in_force(Action::Invite)?;
        if kept.0 != named {
            let read = named.map_or(Ok(SignIns::default()), |record| {
                let sources = self.sources_in_force(&record)?;
                let file = sources.iter().find(|source| source.name == FILE);
                let read = file.and_then(|file| SignIns::read(&file.text).ok());
                read.ok_or_else(|| {
                    Problem::new(code::POLICY_003, format!("`{SIGN_INS}` cannot be read"))
                })
            });
            *kept = (named, read?);
        }
        Ok(kept.1.clone())
    }

    /// Returns whether a person has a password and an authenticator.
    pub(crate) fn signs_in(&self, account: &str) -> Result<bool, Problem> {
        let known = self.sign_ins()?;
        let set = known.people.get(account);
        Ok(matches!(set, Some(SignInRecord::Set { .. })))
    }

    fn authenticator_key(&self) -> Secret<32> {
        self.parts.pseudonyms.derive(AUTHENTICATORS)
    }

    /// Seals the secret of an authenticator for one account.
    fn seal_authenticator(&self, account: &str, secret: &Authenticator) -> Result<String, Problem> {
        let parameters = Parameters::new(4096).map_err(unreadable)?;
        let sealed = floe::seal_all(
            parameters,
            Arc::new(aead::Ring),
            &self.authenticator_key(),
            account.as_bytes(),
            secret.expose(),
            self.parts.entropy.as_ref(),
        );
        sealed.map(|bytes| BASE64.encode(bytes)).map_err(unreadable)
    }

    fn open_authenticator(&self, account: &str, sealed: &str) -> Option<Authenticator> {
        let opened = floe::open_all(
            Parameters::new(4096).ok()?,
            Arc::new(aead::Ring),
            &self.authenticator_key(),
            account.as_bytes(),
            &BASE64.decode(sealed).ok()?,
        );
        let opened = opened.map(zeroize::Zeroizing::new).ok()?;
        Authenticator::from_bytes(&opened).ok()
    }

    /// Whether there is such an account, and it may do something.
    fn is_active(&self, account: &str) -> bool {
        let policies = self.policies();
        let known = policies.directory().account(&Actor::user(account));
        known.is_some_and(|known| !known.disabled)
    }
}

impl Door {
    /// Invites a person to set a password and an authenticator: whoever shows what this returns, within a day and once. What
    /// they had before counts no more, and their sessions end.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not invite, or there is no such person.
    pub fn invite(&self, session: &Session, party: &Party) -> Result<InviteReply, Problem> {
        let grant = self.ask::<Invite>(session, ResourceRef::Identity)?;
        let inner = &self.0;
        let _changing = lock(&inner.changing);
        let account = match self.who_may_be_invited(session, party) {
            Ok(account) => account,
            Err(problem) => {
                grant.fail(problem.code);
                return Err(problem);
            }
        };
        let now = self.now();
        let token = Token::draw(inner.parts.entropy.as_ref());
        let expires = now.plus_seconds(INVITED);
        let invitation = Invitation {
            id: token.id().clone(),
            hash: token.hash(),
            expires,
        };
        let mut kept = inner.sign_ins()?;
        let invited = SignInRecord::Invited(invitation);
        kept.people.insert(account.clone(), invited);
        // Nobody signs in by what they had before while it is taken away.
        let _turn = lock(&inner.signing_in);
        // CRASH: with the entry the old password counts no more, for the next process too.
        self.keep_sign_ins(grant, kept, &account)?;
        lock(&inner.people.sessions).end_all(&account, self.now());
        Ok(InviteReply {
            account: party.clone(),
            code: token.expose().to_string(),
            expires,
        })
    }

    /// Invites the owner of the workspace, whose session it is, unless they sign in already.
    ///
    /// # Errors
    /// As [`Door::invite`].
    pub fn invite_owner(&self, session: &Session) -> Result<Option<InviteReply>, Problem> {
        let owner = &self.0.parts.owner;
        let party = Party::of(owner).filter(|party| matches!(party, Party::User(_)));
        match party {
            Some(party) if session.person() == owner && !self.0.signs_in(&owner.id)? => {
                self.invite(session, &party).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn who_may_be_invited(&self, session: &Session, party: &Party) -> Result<String, Problem> {
        let policies = self.0.policies();
        let directory = policies.directory();
        let Party::User(account) = party else {
            return Err(Problem::new(
                code::DOOR_028,
                format!("`{party}` is no person who signs in"),
            )
            .hint("programs show a token: `custody token create`"));
        };
        if directory.account(&Actor::user(account)).is_none() {
            let error = IdentityError::Unknown(party.clone());
            return Err(identity_problem(&error, Some(directory)));
        }
        // Whoever has the invitation of an account can be it.
        if !directory.is_owner(session.person(), self.0.now()) {
            let what = format!("an invitation of `{party}` is for an owner to make");
            return Err(Problem::new(code::DOOR_021, what).hint("ask an owner of the workspace"));
        }
        Ok(account.clone())
    }

    /// Sets a password and an authenticator by an invitation, and lets its person in.
    ///
    /// # Errors
    /// A [`Problem`], the same whatever is wrong with account, invitation and code; another where the password is weak, the
    /// authenticator is none, or there were too many attempts.
    pub fn enrol(&self, request: &EnrolRequest, address: IpAddr) -> Result<SessionReply, Problem> {
        let inner = &self.0;
        let account = request.account.as_str();
        let guesser = self.may_try(account, address)?;
        let now = self.now();
        let is_invited = |kept: &SignIns| match kept.people.get(account) {
            Some(SignInRecord::Invited(invitation)) => invitation.is(&request.invitation, now),
            _ => false,
        };
        if !is_invited(&inner.sign_ins()?) || !inner.is_active(account) {
            return Err(self.was_wrong(Enrol::ACTION, account, guesser)?);
        }
        // Who has the invitation is told what is wrong with the rest, and may try again.
        let chosen = Password::new(&request.password, account).map_err(|weak| {
            Problem::new(code::DOOR_029, "this password is not taken")
                .because(weak)
                .hint("choose four or more words that nobody would put together, or let a password manager draw one")
        })?;
        let unusable = |because: &str| {
            Problem::new(code::DOOR_030, "the authenticator cannot be used").because(because)
        };
        let authenticator = Authenticator::read(&request.authenticator)
            .map_err(|error| unusable(&error.to_string()))?;
        let step = authenticator.step_of(&request.code, now).ok_or_else(|| {
            unusable("it shows another code than the one that was typed")
                .hint("see that its clock is right, and type the newest code")
        })?;
        let hash = inner
            .people
            .in_turn(|| password::hash(chosen.expose(), inner.parts.entropy.as_ref()))?
            .map_err(unreadable)?;
        let sealed = inner.seal_authenticator(account, &authenticator)?;

        let (id, session) = self.begin(account, now);
        let grant = self.ask::<Enrol>(&session, ResourceRef::Identity)?;
        let _changing = lock(&inner.changing);
        let mut kept = inner.sign_ins()?;
        // Of two who come with one invitation at once the first counts.
        if !is_invited(&kept) {
            grant.fail(code::DOOR_025);
            return Err(not_known());
        }
        // A code that counts no more would use the invitation up and let nobody in.
        let last = inner.last_code(&inner.pseudonym(session.actor()))?;
        if last.is_some_and(|last| step <= last) {
            grant.fail(code::DOOR_030);
            return Err(unusable("this code was used").hint("type the next code"));
        }
        let set = SignInRecord::Set {
            password: hash,
            authenticator: sealed,
            since: now,
        };
        kept.people.insert(account.to_owned(), set.clone());
        self.keep_sign_ins(grant, kept, account)?;
        self.let_sign_in(&id, &session, (&set, step), guesser)
    }

    /// Lets a person in by password and code.
    ///
    /// # Errors
    /// A [`Problem`], the same whatever is wrong with account, password and code; another where there were too many attempts.
    pub fn sign_in_person(
        &self,
        request: &SignInRequest,
        address: IpAddr,
    ) -> Result<SessionReply, Problem> {
        let inner = &self.0;
        let account = request.account.as_str();
        let guesser = self.may_try(account, address)?;
        let kept = inner.sign_ins()?;
        let record = kept.people.get(account);
        let set = match record {
            Some(SignInRecord::Set {
                password,
                authenticator,
                ..
            }) => Some((password.as_str(), authenticator.as_str())),
            _ => None,
        };
        let typed = Password::typed(&request.password);
        let known = set.map(|(hash, _)| hash);
        let matches = inner
            .people
            .in_turn(|| password::matches(typed.expose(), known))?;
        let now = self.now();
        let step = set.and_then(|(_, sealed)| {
            let authenticator = inner.open_authenticator(account, sealed)?;
            authenticator.step_of(&request.code, now)
        });
        let step = step.filter(|_| matches && inner.is_active(account));
        let Some((record, step)) = record.zip(step) else {
            return Err(self.was_wrong(SignIn::ACTION, account, guesser)?);
        };
        let (id, session) = self.begin(account, now);
        self.let_sign_in(&id, &session, (record, step), guesser)
    }

    /// Draws a session, which nobody is let in by yet.
    pub(crate) fn begin(&self, account: &str, now: Timestamp) -> (Token, Session) {
        let token = Token::draw(self.0.parts.entropy.as_ref());
        let authentication = Authentication::by_password(account, token.id().clone(), now);
        (token, Session::new(authentication, None, "http"))
    }

    /// Refuses who was wrong too often.
    fn may_try(&self, account: &str, address: IpAddr) -> Result<Guesser, Problem> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let (guesser, now_ms) = (Guesser::new(address, account), self.monotonic_ms());
        let people = &self.0.people;
        let waits = lock(&people.attempts).wait(&guesser, now_ms);
        let at_address = lock(&people.addresses).wait(&Guesser::at(address), now_ms);
        match waits.max(at_address) {
            None => Ok(guesser),
            Some(left) => Err(too_many_attempts(left)),
        }
    }

    /// Enters that somebody was wrong. Returns what they are told.
    fn was_wrong(
        &self,
        action: Action,
        account: &str,
        guesser: Guesser,
    ) -> Result<Problem, Problem> {
        let inner = &self.0;
        let now_ms = self.monotonic_ms();
        lock(&inner.people.addresses).failed(guesser.of_anybody(), now_ms);
        lock(&inner.people.attempts).failed(guesser, now_ms);
        let (_, session) = self.begin(account, self.now());
        let facts = ResourceRef::Identity.facts(None);
        let mut draft = inner.draft(&session, action, Phase::Grant, &facts);
        let told = not_known();
        draft.outcome = Some(Outcome::Denied);
        draft.error = Some(told.code);
        inner.append(draft)?;
        Ok(told)
    }

    /// Enters that a person signed in by what is kept of them, with the code of a step of time, which counts no more, and lets
    /// them in.
    fn let_sign_in(
        &self,
        token: &Token,
        session: &Session,
        (record, step): (&SignInRecord, u64),
        guesser: Guesser,
    ) -> Result<SessionReply, Problem> {
        let inner = &self.0;
        let account = session.actor().id.clone();
        // Of two who come with one code at once the first counts.
        let _turn = lock(&inner.signing_in);
        let last = inner.last_code(&inner.pseudonym(session.actor()))?;
        let is_used = last.is_some_and(|last| step <= last);
        // An invitation may have come while the password was hashed.
        if is_used || inner.sign_ins()?.people.get(&account) != Some(record) {
            return Err(self.was_wrong(SignIn::ACTION, &account, guesser)?);
        }
        let mut grant = self.ask::<SignIn>(session, ResourceRef::Identity)?;
        let mut draft = grant.outcome(Outcome::Ok);
        draft.facts = BTreeMap::from([(CODE_STEP.to_owned(), step.to_string())]);
        grant.finished = true;
        // CRASH: with the entry the code is used up, whether or not its session began.
        inner.append(draft)?;
        lock(&inner.people.attempts).succeeded(&guesser);
        lock(&inner.people.addresses).succeeded(&guesser.of_anybody());
        let now = self.now();
        let open = OpenSession {
            account: account.clone(),
            hash: token.hash(),
            since: now,
            ends: now.plus_seconds(SESSION),
            last_ms: self.monotonic_ms(),
            method: Method::Password,
            asserted: None,
        };
        let ends = open.ends;
        self.open_session(token, open);
        Ok(SessionReply {
            account: Party::User(account),
            token: token.expose().to_string(),
            ends,
            provider: None,
            roles: Vec::new(),
        })
    }

    /// Lets a session count, whose beginning was entered.
    pub(crate) fn open_session(&self, token: &Token, open: OpenSession) {
        let mut sessions = lock(&self.0.people.sessions);
        let now = open.since;
        sessions.open.retain(|_, one| now < one.ends);
        sessions.make_room(&open.account);
        sessions.open.insert(token.id().clone(), open);
    }

    /// Finds the session that somebody shows, if it counts; the time in which nothing was asked begins anew.
    pub(crate) fn session_of(&self, shown: &Token, purpose: Option<Purpose>) -> Option<Session> {
        let (now, now_ms) = (self.now(), self.monotonic_ms());
        let mut sessions = lock(&self.0.people.sessions);
        let open = sessions.open.get_mut(shown.id())?;
        let idle = now_ms.saturating_sub(open.last_ms);
        if !shown.is_of(&open.hash) || now >= open.ends || idle >= IDLE_MS {
            return None;
        }
        open.last_ms = now_ms;
        let authentication = open.authentication(shown.id());
        drop(sessions);
        let counts = !self.0.was_ended(&authentication);
        counts.then(|| Session::new(authentication, purpose, "http"))
    }

    /// Ends a session: nobody is let in by it any more, and what was ends at its next question. One that is over is no error.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be entered that it ended, which it did nevertheless.
    pub fn sign_out(&self, shown: &str) -> Result<(), Problem> {
        let Ok(token) = shown.parse::<Token>() else {
            return Ok(());
        };
        let Some(session) = self.session_of(&token, None) else {
            return Ok(());
        };
        let asked = self.ask::<SignOut>(&session, ResourceRef::Identity);
        let mut sessions = lock(&self.0.people.sessions);
        sessions.open.remove(token.id());
        sessions.ended.insert(token.id().clone());
        drop(sessions);
        asked?.finish()
    }

    /// Takes back by what accounts were known that had the names of those that `directory` adds: who comes now is somebody else.
    /// The caller has the turn to change who there is.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not take it back, or the ledger does not take it.
    pub(crate) fn forget_known_before(
        &self,
        session: &Session,
        directory: &Directory,
    ) -> Result<(), Problem> {
        let inner = &self.0;
        let known = inner.policies().directory().clone();
        let is_new = |actor: &Actor| known.account(actor).is_none();
        for actor in directory.actors().filter(is_new) {
            self.forget_tokens(session, &actor)?;
            let mut kept = inner.sign_ins()?;
            if actor.kind == ActorKind::User && kept.people.remove(&actor.id).is_some() {
                let grant = self.ask::<Invite>(session, ResourceRef::Identity);
                let grant = grant.map_err(|problem| {
                    problem.hint(format!(
                        "somebody else was `{}` once and had a password, which whoever may invite takes back: have them add the account, or choose another name",
                        actor.id
                    ))
                })?;
                self.keep_sign_ins(grant, kept, &actor.id)?;
            }
        }
        Ok(())
    }

    fn keep_sign_ins<A: ActionMarker>(
        &self,
        grant: Grant<A>,
        kept: SignIns,
        account: &str,
    ) -> Result<(), Problem> {
        let text = kept.to_text().map_err(unreadable)?;
        let pseudonym = self.0.pseudonym(&Actor::user(account));
        let facts = BTreeMap::from([(ACCOUNT.to_owned(), pseudonym)]);
        self.keep_state(grant, (SIGN_INS, FILE), &text, facts)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use custody_identity::{Change, Right, RoleBinding};

    use super::*;
    use crate::act::{ChangePolicy, List};
    use crate::testing::World;

    const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const PASSWORD: &str = "tulpen aus amsterdam 1956";
    const STEP: i64 = 30;

    /// Shows the code of an authenticator, as an app does.
    fn code(world: &World, authenticator: &Authenticator) -> String {
        use custody_types::Clock;

        let app = totp_rs::Builder::new()
            .with_secret(totp_rs::Secret::new_stack(*authenticator.expose()))
            .with_account_name("ada");
        let seconds = world.clock.now().unix_micros() / 1_000_000;
        let app = app.build().unwrap();
        app.generate(u64::try_from(seconds).unwrap()).to_string()
    }

    struct Person {
        authenticator: Authenticator,
    }

    impl Person {
        fn enrol(&self, world: &World, invitation: &str) -> EnrolRequest {
            EnrolRequest {
                account: "ada".to_owned(),
                invitation: invitation.to_owned(),
                password: PASSWORD.to_owned(),
                authenticator: self.authenticator.to_text().to_string(),
                code: code(world, &self.authenticator),
            }
        }

        fn sign_in(&self, world: &World) -> SignInRequest {
            SignInRequest {
                account: "ada".to_owned(),
                password: PASSWORD.to_owned(),
                code: code(world, &self.authenticator),
            }
        }
    }

    fn opened() -> (World, Door, Person, SessionReply) {
        let world = World::default();
        let door = world.open();
        let owner = world.person("owner");
        let who: Party = "ada".parse().unwrap();
        let right = Right::Role(RoleBinding::everywhere("security_officer"));
        let changes = vec![
            Change::Add { who: who.clone() },
            Change::Grant {
                who: who.clone(),
                right,
                seconds: None,
            },
        ];
        door.change_accounts(&owner, changes).unwrap();
        let ada = Person {
            authenticator: Authenticator::draw(world.entropy.as_ref()),
        };
        let invited = door.invite(&owner, &who).unwrap();
        let session = door.enrol(&ada.enrol(&world, &invited.code), NEAR).unwrap();
        // With the same invitation nobody comes again.
        world.clock.advance(STEP);
        let again = door.enrol(&ada.enrol(&world, &invited.code), NEAR);
        assert_eq!(again.unwrap_err().code, code::DOOR_025);
        world.clock.advance(STEP);
        (world, door, ada, session)
    }

    fn is_let_in(door: &Door, token: &str) -> bool {
        door.sign_in(Some(token), NEAR, None).is_ok()
    }

    #[test]
    fn who_comes_under_a_name_that_somebody_had_is_somebody_else() {
        let (world, door, ada, session) = opened();
        let owner = world.person("owner");
        let who: Party = "ada".parse().unwrap();
        let change = |change: Change| door.change_accounts(&owner, vec![change]).unwrap();
        // What was disabled is enabled again with its password, and without its sessions.
        change(Change::Disable { who: who.clone() });
        change(Change::Enable { who: who.clone() });
        assert!(!is_let_in(&door, &session.token));
        let session = door.sign_in_person(&ada.sign_in(&world), NEAR).unwrap();
        world.clock.advance(STEP);
        let olga: Party = "olga".parse().unwrap();
        let right = Right::Role(RoleBinding::everywhere("security_officer"));
        change(Change::Add { who: olga.clone() });
        change(Change::Grant {
            who: olga,
            right,
            seconds: None,
        });
        change(Change::Remove { who: who.clone() });
        // Who may not take a password back lets nobody in by it either.
        let add = vec![Change::Add { who: who.clone() }];
        let refused = door.change_accounts(&world.person("olga"), add);
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, code::DOOR_001);
        assert!(refused.hint.unwrap().contains("choose another name"));
        change(Change::Add { who: who.clone() });
        assert!(!is_let_in(&door, &session.token));
        let again = door.sign_in_person(&ada.sign_in(&world), NEAR);
        assert_eq!(again.map(drop).unwrap_err().code, code::DOOR_025);
        // Nor does an invitation count that was another's.
        let invited = door.invite(&owner, &who).unwrap();
        change(Change::Remove { who: who.clone() });
        change(Change::Add { who });
        world.clock.advance(STEP);
        let with = door.enrol(&ada.enrol(&world, &invited.code), NEAR);
        assert_eq!(with.map(drop).unwrap_err().code, code::DOOR_025);
    }

    #[test]
    fn who_was_invited_signs_in_and_may_what_a_person_may() {
        let (world, door, ada, first) = opened();
        let session = door.sign_in(Some(&first.token), NEAR, None).unwrap();
        assert_eq!(*session.actor(), Actor::user("ada"));
        assert_eq!(session.authentication().strength(), 2);
        // A token may not; a person who signed in may.
        let grant = door.ask::<ChangePolicy>(&session, ResourceRef::Policy);
        grant.unwrap().fail(code::DOOR_012);
        let second = door.sign_in_person(&ada.sign_in(&world), NEAR).unwrap();
        assert!(is_let_in(&door, &second.token) && is_let_in(&door, &first.token));
        // Signing out ends what was let in, and no other session.
        door.sign_out(&first.token).unwrap();
        door.sign_out(&first.token).unwrap();
        let outs = World::entries(&door).into_iter();
        let outs = outs.filter(|entry| entry.verb == "session.sign_out" && entry.outcome.is_none());
        assert_eq!(outs.count(), 1);
        let over = door.ask::<List>(&session, ResourceRef::Workspace);
        assert_eq!(over.map(drop).unwrap_err().code, code::DOOR_019);
        assert!(is_let_in(&door, &second.token) && !is_let_in(&door, &first.token));
        // So does the time, and an hour without a request.
        world.clock.advance(59 * 60);
        assert!(is_let_in(&door, &second.token));
        world.clock.advance(61 * 60);
        assert!(!is_let_in(&door, &second.token));
        let third = door.sign_in_person(&ada.sign_in(&world), NEAR).unwrap();
        for _ in 0..14 {
            assert!(is_let_in(&door, &third.token));
            world.clock.advance(55 * 60);
        }
        assert!(!is_let_in(&door, &third.token));
        // What is kept tells nobody the password, nor the secret of the authenticator.
        let kept = door.0.in_force(Action::Invite).unwrap().unwrap();
        let text = door.0.read_sources(&kept).unwrap().remove(0).text;
        let secret = ada.authenticator.to_text();
        assert!(text.contains("$argon2id$") && !text.contains(PASSWORD));
        assert!(!text.contains(secret.as_str()));
        assert!(!text.contains(&BASE64.encode(ada.authenticator.expose())));
    }

    #[test]
    fn a_code_counts_once_after_a_restart_too() {
        let (world, door, ada, _) = opened();
        let request = ada.sign_in(&world);
        door.sign_in_person(&request, NEAR).unwrap();
        let again = door.sign_in_person(&request, NEAR).unwrap_err();
        assert_eq!(again.code, code::DOOR_025);
        drop(door);
        let door = world.open();
        let again = door.sign_in_person(&request, NEAR).unwrap_err();
        assert_eq!(again.code, code::DOOR_025);
        world.clock.advance(STEP);
        let session = door.sign_in_person(&ada.sign_in(&world), NEAR).unwrap();
        drop(door);
        // Sessions are those of a process.
        assert!(!is_let_in(&world.open(), &session.token));
    }

    #[test]
    fn whatever_is_wrong_the_answer_is_one_and_it_is_entered() {
        let (world, door, ada, _) = opened();
        let good = ada.sign_in(&world);
        let wrong = [
            SignInRequest {
                account: "nobody".to_owned(),
                ..good.clone()
            },
            SignInRequest {
                account: "owner".to_owned(),
                ..good.clone()
            },
            SignInRequest {
                password: "tulpen aus amsterdam 1957".to_owned(),
                ..good.clone()
            },
            SignInRequest {
                code: "000000".to_owned(),
                ..good.clone()
            },
            SignInRequest {
                code: String::new(),
                ..good.clone()
            },
        ];
        let before = World::entries(&door).len();
        let told: BTreeSet<_> = wrong
            .iter()
            .map(|request| door.sign_in_person(request, NEAR).unwrap_err().to_string())
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        let entries = World::entries(&door);
        let denied = entries.get(before..).unwrap();
        assert_eq!(denied.len(), wrong.len());
        assert!(
            denied
                .iter()
                .all(|entry| entry.verb == "session.sign_in"
                    && entry.outcome == Some(Outcome::Denied))
        );
        // Disabled, she is nobody; what she had opened is of no use.
        let opened = door.sign_in_person(&good, NEAR).unwrap();
        let session = door.sign_in(Some(&opened.token), NEAR, None).unwrap();
        let who: Party = "ada".parse().unwrap();
        let disable = vec![Change::Disable { who: who.clone() }];
        door.change_accounts(&world.person("owner"), disable)
            .unwrap();
        assert!(!is_let_in(&door, &opened.token));
        let over = door.ask::<ChangePolicy>(&session, ResourceRef::Policy);
        assert_eq!(over.map(drop).unwrap_err().code, code::DOOR_019);
        world.clock.advance(STEP);
        let refused = door.sign_in_person(&ada.sign_in(&world), NEAR).unwrap_err();
        assert_eq!(refused.code, code::DOOR_025);
    }

    #[test]
    fn an_owner_who_signs_in_is_not_invited_by_a_start() {
        let (world, door, ada, _) = opened();
        let owner = world.person("owner");
        assert!(door.invite_owner(&world.person("ada")).unwrap().is_none());
        let invited = door.invite_owner(&owner).unwrap().unwrap();
        let request = EnrolRequest {
            account: "owner".to_owned(),
            ..ada.enrol(&world, &invited.code)
        };
        let session = door.enrol(&request, NEAR).unwrap();
        assert!(door.invite_owner(&owner).unwrap().is_none());
        assert!(is_let_in(&door, &session.token));
    }

    #[test]
    fn who_guesses_waits_and_nobody_else_does() {
        let (world, door, ada, _) = opened();
        let wrong = SignInRequest {
            password: "wrong".to_owned(),
            ..ada.sign_in(&world)
        };
        let codes = (0..7).map(|_| door.sign_in_person(&wrong, FAR).unwrap_err().code);
        let codes: Vec<_> = codes.collect();
        assert_eq!(codes.first(), Some(&code::DOOR_025));
        assert_eq!(codes.last(), Some(&code::DOOR_026));
        let good = ada.sign_in(&world);
        let waits = door.sign_in_person(&good, FAR).unwrap_err();
        assert_eq!(waits.code, code::DOOR_026, "the right password waits too");
        door.sign_in_person(&good, NEAR).unwrap();
    }

    #[test]
    fn who_tries_as_many_from_one_address_waits_too() {
        let (world, door, ada, _) = opened();
        let invitation = "none".to_owned();
        let codes = (0..=FREE_AT_ADDRESS).map(|number| {
            let request = EnrolRequest {
                account: format!("guess-{number}"),
                ..ada.enrol(&world, &invitation)
            };
            door.enrol(&request, FAR).unwrap_err().code
        });
        let codes: Vec<_> = codes.collect();
        assert_eq!(codes.first(), Some(&code::DOOR_025));
        assert_eq!(codes.last(), Some(&code::DOOR_026));
        let good = ada.sign_in(&world);
        let waits = door.sign_in_person(&good, FAR).unwrap_err();
        assert_eq!(waits.code, code::DOOR_026);
        door.sign_in_person(&good, NEAR).unwrap();
    }

    #[test]
    fn an_invitation_is_an_owners_to_make_and_ends_what_was_before() {
        let (world, door, ada, session) = opened();
        let owner = world.person("owner");
        let by = |session: &Session, who: &str| {
            let invited = door.invite(session, &who.parse().unwrap());
            invited.map_err(|problem| problem.code)
        };
        assert_eq!(
            by(&world.person("ada"), "owner").unwrap_err(),
            code::DOOR_001
        );
        assert_eq!(by(&owner, "nobody").unwrap_err(), code::DOOR_004);
        assert_eq!(by(&owner, "service:ci").unwrap_err(), code::DOOR_028);
        assert_eq!(by(&owner, "group:all").unwrap_err(), code::DOOR_028);
        // What was let in ends, by a session that nothing was asked by any more too.
        let running = door.sign_in(Some(&session.token), NEAR, None).unwrap();
        world.clock.advance(SESSION);
        let later = door.sign_in_person(&ada.sign_in(&world), NEAR).unwrap();
        assert!(door.ask::<List>(&running, ResourceRef::Workspace).is_ok());
        let old = door.0.sign_ins().unwrap().people.remove("ada").unwrap();
        let invited = by(&owner, "ada").unwrap();
        assert!(!is_let_in(&door, &session.token) && !is_let_in(&door, &later.token));
        let over = door.ask::<List>(&running, ResourceRef::Workspace);
        assert_eq!(over.map(drop).unwrap_err().code, code::DOOR_019);
        // Whose password was hashed while the invitation came is not let in by it.
        world.clock.advance(STEP);
        let (token, late) = door.begin("ada", door.now());
        let late = door.let_sign_in(&token, &late, (&old, u64::MAX), Guesser::at(NEAR));
        assert_eq!(late.unwrap_err().code, code::DOOR_025);
        let refused = door.sign_in_person(&ada.sign_in(&world), NEAR).unwrap_err();
        assert_eq!(refused.code, code::DOOR_025);
        for (request, told) in [
            (
                EnrolRequest {
                    password: "password1234".to_owned(),
                    ..ada.enrol(&world, &invited.code)
                },
                code::DOOR_029,
            ),
            (
                EnrolRequest {
                    code: "000000".to_owned(),
                    ..ada.enrol(&world, &invited.code)
                },
                code::DOOR_030,
            ),
            (
                EnrolRequest {
                    account: "owner".to_owned(),
                    ..ada.enrol(&world, &invited.code)
                },
                code::DOOR_025,
            ),
        ] {
            assert_eq!(door.enrol(&request, NEAR).unwrap_err().code, told);
        }
        world.clock.advance(INVITED);
        let late = door.enrol(&ada.enrol(&world, &invited.code), NEAR);
        assert_eq!(late.unwrap_err().code, code::DOOR_025);
        let invited = by(&owner, "ada").unwrap();
        drop(door);
        let door = world.open();
        let set = door.enrol(&ada.enrol(&world, &invited.code), NEAR).unwrap();
        assert!(is_let_in(&door, &set.token));
    }
}
