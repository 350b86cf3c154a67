//! Taking the policies back by whoever holds the key, whatever the policies say: loud, and entered.
//!
//! Who can open the key file can read everything, so no policy keeps them out; what this adds is that they need no
//! other tool for it, and that it stands in the ledger for ever. It is no action of the policies: none could forbid it.

use std::collections::BTreeMap;

use custody_identity::{Change, IdentityError, Method, Party, Right, RoleBinding};
use custody_ledger::{Outcome, Phase};
use custody_policy::{Decision, PolicySet};
use custody_types::{Action, ArtifactName, Digest, Problem, Timestamp, code};
use custody_wire::BreakGlassReply;
use serde::Serialize;

use crate::act::{ActionMarker, ChangeIdentity, ChangePolicy};
use crate::admin::{identity_problem, policy_problem};
use crate::door::{Door, POLICY, lock};
use crate::grant::Grant;
use crate::session::Session;
use crate::target::ResourceRef;
use crate::view;

/// The predicate type of the statement that tells why the glass was broken.
pub const BREAK_GLASS: &str = "https://custody.dev/break-glass/v1";
/// What decides in place of a policy.
pub(crate) const DECIDED_BY: &str = "break-glass";
/// The fact that names the statement.
const STATEMENT: &str = "break_glass";
/// The file of the policies that stays: it gives nobody anything.
const SETTINGS: &str = "settings.json";

/// The predicate [`BREAK_GLASS`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Broken {
    broken_by: String,
    reason: String,
    /// The policies that were in force.
    policies: Digest,
    /// The accounts that were in force.
    accounts: Digest,
    broken_on: Timestamp,
}

impl Door {
    /// Puts the built-in policies alone in force, and makes the account that asks an owner, whatever the policies say.
    /// `workspace`: the workspace's id, repeated by the person who does it. Settings, and all other accounts, stay.
    ///
    /// # Errors
    /// A [`Problem`] when the session is not that of the machine itself or acts as somebody else, the id is another's, or
    /// the reason is missing; nothing is changed then.
    pub fn break_glass(
        &self,
        session: &Session,
        workspace: &str,
        reason: &str,
    ) -> Result<BreakGlassReply, Problem> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let shown = session.authentication();
        let is_holder = *session.actor() == shown.actor
            && shown.method == Method::OperatingSystem
            && !shown.is_over(self.now());
        let Some(party) = Party::of(session.actor()).filter(|_| is_holder) else {
            return Err(self.only_the_holder(session)?);
        };
        self.check_meant(workspace, reason)?;
        let inner = &self.0;
        let _changing = lock(&inner.changing);
        let before = inner.policies().clone();
        let mut directory = before.directory().clone();
        let owner = Right::Role(RoleBinding::everywhere("owner"));
        let changes = [
            Change::Add { who: party.clone() },
            Change::Enable { who: party.clone() },
            Change::Grant {
                who: party.clone(),
                right: owner,
                seconds: None,
            },
        ];
        for change in changes {
            match directory.change(change, &inner.parts.owner, inner.now()) {
                Err(IdentityError::Exists(_)) => {}
                changed => changed.map_err(|error| identity_problem(&error, None))?,
            }
        }
        let sources = before.sources().iter();
        let sources: Vec<_> = sources
            .filter(|source| source.name == SETTINGS)
            .cloned()
            .collect();
        let set = PolicySet::parse(&sources, directory).map_err(|error| policy_problem(&error))?;
        let statement = self.tell_why(session, &before, reason)?;
        // CRASH: between the two the built-in policies are in force without the owner; doing it again goes on.
        let facts = || BTreeMap::from([(STATEMENT.to_owned(), statement.to_string())]);
        let policies = self.by_the_key::<ChangePolicy>(session, ResourceRef::Policy)?;
        let first = set.with_directory(before.directory().clone());
        policies.keep(&sources, facts(), first)?;
        if set.identity() != before.identity() {
            let accounts = self.by_the_key::<ChangeIdentity>(session, ResourceRef::Identity)?;
            accounts.keep(&before, facts(), set.clone())?;
        }
        Ok(BreakGlassReply {
            policies: set.digest(),
            accounts: set.identity(),
            owner: party,
            statement,
        })
    }

    /// Enters that somebody else tried.
    fn only_the_holder(&self, session: &Session) -> Result<Problem, Problem> {
        let told = Problem::new(
            code::POLICY_006,
            "only who opens the key file on this machine may take the policies back",
        )
        .hint("do it on the machine itself, without `--as`");
        let facts = ResourceRef::Policy.facts(None);
        let mut draft = self
            .0
            .draft(session, Action::ChangePolicy, Phase::Grant, &facts);
        draft.decision = Some(self.0.decision_fact(&decision(false), None));
        draft.outcome = Some(Outcome::Denied);
        draft.error = Some(told.code);
        self.0.append(draft)?;
        Ok(told)
    }

    /// Keeps a signed statement about it.
    fn tell_why(
        &self,
        session: &Session,
        before: &PolicySet,
        reason: &str,
    ) -> Result<Digest, Problem> {
        let statement = Broken {
            broken_by: self.0.pseudonym(session.actor()),
            reason: reason.to_owned(),
            policies: before.digest(),
            accounts: before.identity(),
            broken_on: self.now(),
        };
        let envelope = self
            .0
            .seal("policy", before.digest(), BREAK_GLASS, &statement)?;
        let own: ArtifactName = POLICY.parse().map_err(|error: custody_types::NameError| {
            Problem::new(code::DOOR_012, error.to_string())
        })?;
        self.ensure_project(None, own.project())?;
        self.0.keep_record(own.project(), &envelope)
    }

    /// Lets in who holds the key.
    fn by_the_key<A: ActionMarker>(
        &self,
        session: &Session,
        target: ResourceRef,
    ) -> Result<Grant<A>, Problem> {
        let facts = target.facts(None);
        let mut draft = self.0.draft(session, A::ACTION, Phase::Grant, &facts);
        draft.decision = Some(self.0.decision_fact(&decision(true), None));
        self.let_in(session, (target, facts, None), draft)
    }
}

fn decision(permit: bool) -> Decision {
    Decision {
        permit,
        policies: vec![DECIDED_BY.to_owned()],
        ..Decision::default()
    }
}

/// Lists the entries by which the policies were taken back.
pub(crate) fn broken(door: &Door) -> Result<Vec<u64>, Problem> {
    let action = view::verb(Action::ChangePolicy.verb());
    let ok = view::outcome(view::outcome_name(Some(Outcome::Ok)));
    let found = door.0.entries_of(&[vec![action], vec![ok]])?.into_iter();
    let found = found.filter(|(_, entry)| entry.facts.contains_key(STATEMENT));
    Ok(found.map(|(index, _)| index).collect())
}
