//! Why something was decided as it was, or would be.

use custody_identity::Party;
use custody_ledger::{Effect, Entry};
use custody_policy::{Explanation, PolicySet, Request, ResourceFacts};
use custody_types::{
    Action, Actor, ArtifactName, Classification, NameError, Problem, ProjectName, Reference,
    ResourceKind, code,
};
use custody_wire::{
    DeterminingView, ExplainQuestion, ExplainReply, ExplainRequest, ExplanationView, HeldRoleView,
    RecordedDecision,
};

use crate::act::{ReadIdentity, ReadLedger, ReadPolicy};
use crate::admin::identity_problem;
use crate::door::Door;
use crate::past::{Accounts, Decided, Known, Past};
use crate::problem;
use crate::reading::actor_of;
use crate::session::Session;
use crate::target::{ResourceRef, author};
use crate::view::read_entry;

/// What is told in place of a fact of something that who asks may not list.
const NOT_TOLD: &str = "not told: it is for who may list it";

impl Door {
    /// Tells why an entry's decision was made, or what would be decided now. Of somebody else it is told to who may see the
    /// accounts, too; of an entry to who may read the ledger.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not know it, or there is no such entry, account or thing.
    pub fn explain(
        &self,
        session: &Session,
        request: &ExplainRequest,
    ) -> Result<ExplainReply, Problem> {
        let policies = self.ask::<ReadPolicy>(session, ResourceRef::Policy)?;
        let told = match request {
            ExplainRequest::Entry(index) => self.explain_entry(session, *index),
            ExplainRequest::Question(question) => self.explain_question(session, question),
        };
        match told {
            Ok(reply) => {
                policies.finish()?;
                Ok(reply)
            }
            Err(problem) => {
                policies.fail(problem.code);
                Err(problem)
            }
        }
    }

    /// Asks for leave to tell something of another account.
    fn may_tell_of(&self, session: &Session, actor: &str) -> Result<(), Problem> {
        if actor == self.pseudonym(session.person()) {
            return Ok(());
        }
        let grant = self.ask::<ReadIdentity>(session, ResourceRef::Identity)?;
        grant.finish()
    }

    fn explain_question(
        &self,
        session: &Session,
        question: &ExplainQuestion,
    ) -> Result<ExplainReply, Problem> {
        let inner = &self.0;
        let own = session.person().clone();
        let actor = match &question.actor {
            None => own.clone(),
            Some(party) => self.account_of(session, party)?,
        };
        let (facts, author) = self.thing_in_question(session, question)?;
        let policies = inner.policies().clone();
        let purpose = question.purpose.as_ref().or(session.purpose.as_ref());
        let request = Request {
            actor: &actor,
            on_behalf_of: None,
            action: question.action,
            resource: &facts,
            purpose,
            scope: None,
            own: author.is_some_and(|author| author == self.pseudonym(&actor)),
            alias: question.alias.as_ref(),
            via: session.via,
            authentication: session.authentication(),
            now: inner.now(),
        };
        // The limits of a token are those of who came with it.
        let decision = if actor == own {
            policies.decide(&request)
        } else {
            policies.decide_again(&request)
        };
        let now = told(policies.explain(&request, decision), true);
        let mut withheld = Vec::new();
        if actor != own {
            withheld.push(
                "how they would come in is not known: decided as if they came as you do".to_owned(),
            );
        }
        Ok(ExplainReply {
            actor: Party::of(&actor).map_or_else(|| actor.id.clone(), String::from),
            action: question.action.name().to_owned(),
            resource: facts.resource.to_string(),
            purpose: purpose.cloned(),
            recorded: None,
            then: None,
            now: Some(now),
            withheld,
            differs: false,
        })
    }

    fn account_of(&self, session: &Session, party: &Party) -> Result<Actor, Problem> {
        let actor = party.actor();
        let pseudonym = actor.as_ref().map(|actor| self.pseudonym(actor));
        // Who may not see the accounts is told nothing of who there is.
        self.may_tell_of(session, &pseudonym.unwrap_or_default())?;
        let policies = self.0.policies();
        let known = policies.directory();
        actor.filter(|_| known.contains(party)).ok_or_else(|| {
            let error = custody_identity::IdentityError::Unknown(party.clone());
            identity_problem(&error, Some(known))
        })
    }

    /// Returns what the policies would be told of the thing, and the pseudonym of who made it.
    fn thing_in_question(
        &self,
        session: &Session,
        question: &ExplainQuestion,
    ) -> Result<(ResourceFacts, Option<String>), Problem> {
        let on = question.action.resources();
        let may = |kind: ResourceKind| on.contains(&kind);
        let named = |error: NameError| Problem::new(code::POLICY_011, error.to_string());
        let Some(name) = &question.resource else {
            return Ok((nothing_named(question.action)?.facts(None), None));
        };
        if may(ResourceKind::Endpoint) {
            return Ok((endpoint_in_question(name, question)?.facts(None), None));
        }
        if question.kind.is_some() != question.classification.is_some() {
            let what = "how sensitive what is to be made will be is asked with its kind";
            return Err(Problem::new(code::POLICY_011, what)
                .hint("give both `--kind` and `--classification`, or neither"));
        }
        if !name.contains('/') {
            let project: ProjectName = name.parse().map_err(named)?;
            let target = if may(ResourceKind::Project) || !may(ResourceKind::Run) {
                ResourceRef::Project(project)
            } else {
                let id = String::new();
                ResourceRef::Run { project, id }
            };
            let facts = target.facts(None);
            if !may(facts.resource.kind) {
                return Err(never_asked(question.action));
            }
            return Ok((facts, None));
        }
        if !may(ResourceKind::Artifact) {
            return Err(never_asked(question.action));
        }
        if let (Some(kind), Some(classification)) = (question.kind, question.classification) {
            let artifact: ArtifactName = name.parse().map_err(named)?;
            let target = ResourceRef::New {
                artifact,
                kind,
                classification,
            };
            return Ok((target.facts(None), None));
        }
        let reference: Reference = name.parse().map_err(named)?;
        let target = ResourceRef::Named(reference.clone());
        let found = self.0.asked_for(&reference).ok().flatten();
        let version = found.ok_or_else(|| problem::not_found(&reference))?;
        let facts = target.facts(Some(&version));
        if !self.0.decide(session, Action::List, &facts, None).permit {
            return Err(problem::not_found(&reference));
        }
        let author = author(&target, Some(&version)).map(ToOwned::to_owned);
        Ok((facts, author))
    }

    fn explain_entry(&self, session: &Session, index: u64) -> Result<ExplainReply, Problem> {
        let ledger = self.ask::<ReadLedger>(session, ResourceRef::Ledger)?;
        let told = self.told_entry(session, index);
        match told {
            Ok(reply) => {
                ledger.finish()?;
                Ok(reply)
            }
            Err(problem) => {
                ledger.fail(problem.code);
                Err(problem)
            }
        }
    }

    fn told_entry(&self, session: &Session, index: u64) -> Result<ExplainReply, Problem> {
        let inner = &self.0;
        let snapshot = inner.parts.ledger.snapshot();
        if index >= snapshot.size() {
            let what = format!("the ledger has no entry {index}");
            return Err(Problem::new(code::POLICY_010, what)
                .hint("see the entries with `custody ledger log`"));
        }
        let entry = read_entry(&snapshot, index)?;
        let Some(recorded) = recorded(index, &entry) else {
            return Err(
                Problem::new(code::POLICY_010, format!("entry {index} is of no decision"))
                    .because("it says how something ended, or was not asked of the policies")
                    .hint("the entry of the grant has the decision: its id is `rel` of an outcome"),
            );
        };
        let subject = &entry.subject;
        let person = subject.on_behalf_of.as_ref().unwrap_or(&subject.reference);
        self.may_tell_of(session, person)?;
        let object = entry.objects.first();
        let action = entry.action().map(|action| action.name().to_owned());
        let mut reply = ExplainReply {
            actor: actor_of(self, &entry),
            action: action.unwrap_or_else(|| entry.verb.clone()),
            resource: object.map_or_else(String::new, |one| format!("{} `{}`", one.kind, one.name)),
            purpose: entry.purpose.clone(),
            recorded: Some(recorded),
            then: None,
            now: None,
            withheld: Vec::new(),
            differs: false,
        };
        match self.decided(&entry) {
            Decided::ByPolicies(past) => self.tell_past(session, index, &past, &mut reply)?,
            Decided::ByLimit => reply.withheld.push(
                "no policy decided it: a step reaches no further than its declaration, a token no further than its limits".to_owned(),
            ),
            Decided::Nothing => reply
                .withheld
                .push("no policy decided it, but the program by what it names".to_owned()),
            Decided::Unknown(because) => reply.withheld.push(because.to_owned()),
        }
        Ok(reply)
    }

    /// Tells of a decision that was made how it came about, and how it would come out now.
    fn tell_past(
        &self,
        session: &Session,
        index: u64,
        past: &Past,
        reply: &mut ExplainReply,
    ) -> Result<(), Problem> {
        let inner = &self.0;
        let listed = past.facts.resource.kind != ResourceKind::Artifact
            || inner
                .decide(session, Action::List, &past.facts, None)
                .permit;
        if !listed {
            reply
                .withheld
                .push(format!("facts of the version: {NOT_TOLD}"));
        }
        if !past.looked_up {
            let told = "what it was asked on: it was refused before that was looked up";
            reply.withheld.push(told.to_owned());
        }
        let policies = inner.policies().clone();
        if let Some(recorded) = &reply.recorded {
            let mut accounts = Accounts::of(self)?;
            let digest = past.identity;
            let known = digest.and_then(|digest| accounts.at(&policies, index, digest));
            let directory = known.map(|known| known.set.directory().clone());
            let set = directory
                .map(|directory| self.policies_at(index, recorded.set, &directory))
                .transpose()?
                .flatten();
            match set {
                Some(set) => {
                    let known = Known::of(self, set);
                    reply.then = Some(explained(past, &known, past.time, listed));
                }
                None if digest.is_none() => reply
                    .withheld
                    .push("which accounts were in force then".to_owned()),
                None => reply.withheld.push(
                    "the policies or accounts of the time: they cannot be had any more, or another version of the program had another built-in policy".to_owned(),
                ),
            }
        }
        let known = Known::of(self, policies);
        reply.now = Some(explained(past, &known, inner.now(), listed));
        let was = reply.recorded.as_ref().map(|recorded| recorded.permit);
        let is = reply.now.as_ref().map(|now| now.permit);
        reply.differs = past.looked_up && is.is_some() && was != is;
        Ok(())
    }
}

/// Returns what an entry says of a decision, if it is of one.
fn recorded(index: u64, entry: &Entry) -> Option<RecordedDecision> {
    let decision = entry.decision.as_ref()?;
    Some(RecordedDecision {
        entry: index,
        time: entry.ts,
        permit: decision.effect == Effect::Permit,
        policies: decision.policies.clone(),
        set: decision.set,
        accounts: decision.identity,
    })
}

fn explained(
    past: &Past,
    known: &Known,
    now: custody_types::Timestamp,
    listed: bool,
) -> ExplanationView {
    let actor = known.actor(&past.person);
    let set: &PolicySet = &known.set;
    let explanation = past.request(&actor, now, |request| {
        set.explain(request, set.decide_again(request))
    });
    told(explanation, listed)
}

/// Reads `project/host:port`. What is not said of the inputs counts as the most sensitive.
fn endpoint_in_question(name: &str, question: &ExplainQuestion) -> Result<ResourceRef, Problem> {
    let unknown = |error: NameError| {
        Problem::new(code::POLICY_011, error.to_string())
            .hint("name it with `--resource project/host:port`, and how sensitive the inputs of the step are with `--classification`")
    };
    let (project, endpoint) = name.split_once('/').unwrap_or((name, ""));
    Ok(ResourceRef::Endpoint {
        project: project.parse().map_err(unknown)?,
        endpoint: endpoint.parse().map_err(unknown)?,
        classification: question.classification.unwrap_or(Classification::Special),
    })
}

/// Returns what is meant by an action where nothing is named.
fn nothing_named(action: Action) -> Result<ResourceRef, Problem> {
    let mut on = action.resources().iter();
    let target = on.find_map(|kind| match kind {
        ResourceKind::Project => Some(ResourceRef::Workspace),
        ResourceKind::Ledger => Some(ResourceRef::Ledger),
        ResourceKind::Policy => Some(ResourceRef::Policy),
        ResourceKind::Identity => Some(ResourceRef::Identity),
        ResourceKind::Keys => Some(ResourceRef::Keys),
        ResourceKind::Artifact | ResourceKind::Run | ResourceKind::Endpoint => None,
        ResourceKind::Server => Some(ResourceRef::Server),
    });
    target.ok_or_else(|| {
        if action == Action::Connect {
            return Problem::new(code::POLICY_011, format!("`{action}` is asked on an endpoint"))
                .hint("name it with `--resource project/host:port`, and how sensitive the inputs of the step are with `--classification`");
        }
        Problem::new(code::POLICY_011, format!("`{action}` is asked on a version"))
            .hint("name it with `--resource project/name@1`; of one that is to be made, add `--kind` and `--classification`")
    })
}

fn never_asked(action: Action) -> Problem {
    let on: Vec<_> = action
        .resources()
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    let what = format!("`{action}` is never asked on that");
    Problem::new(code::POLICY_011, what).hint(format!("it is asked on: {}", on.join(", ")))
}

/// Tells an explanation; `listed`: whether who asks may know what the thing is.
fn told(explanation: Explanation, listed: bool) -> ExplanationView {
    let Explanation {
        decision,
        policies,
        roles,
    } = explanation;
    let policies = policies.into_iter().map(|one| {
        let facts = one.facts.into_iter().map(|fact| {
            let withheld = fact.is_of_resource() && !listed;
            let value = if withheld {
                NOT_TOLD.to_owned()
            } else {
                fact.value
            };
            (fact.name, value)
        });
        DeterminingView {
            id: one.id,
            effect: match one.permits {
                Some(true) => "permit",
                Some(false) => "forbid",
                None => "limit",
            }
            .to_owned(),
            because: one.because,
            hint: one.hint,
            text: one.text,
            facts: facts.collect(),
        }
    });
    let roles = roles.into_iter().map(|held| HeldRoleView {
        role: held.role,
        group: held.group,
        provider: held.provider,
        counts: held.counts,
    });
    ExplanationView {
        permit: decision.permit,
        reasons: decision.reasons,
        hint: decision.hint,
        errors: decision.errors,
        policies: policies.collect(),
        roles: roles.collect(),
    }
}
