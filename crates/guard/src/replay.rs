//! The decisions of the ledger, made again under other policies.

use std::collections::BTreeMap;

use custody_identity::Directory;
use custody_ledger::{Effect, Entry, Snapshot};
use custody_policy::Decision;
use custody_types::Problem;
use custody_wire::{ChangedDecision, ReplayReply, ReplayRequest};

use crate::act::{ReadLedger, ReadPolicy};
use crate::admin::identity_problem;
use crate::candidate::Candidate;
use crate::cursor;
use crate::door::Door;
use crate::past::{Accounts, Decided, Known};
use crate::problem;
use crate::reading::{actor_of, first_at};
use crate::session::Session;
use crate::target::ResourceRef;
use crate::view::parsed;

/// How many entries an answer goes through at most.
const ENTRIES: u64 = 5_000;
/// How many entries are read at once.
const AT_ONCE: u64 = 256;
/// How many changed decisions an answer lists when no limit is given, and at most.
const LISTED: u64 = 100;
const MOST_LISTED: u64 = 1_000;

impl Door {
    /// Makes decisions of the ledger again under policies that are not in force, for the accounts of the time, or for those that
    /// the request lists. Goes through a page of entries, oldest first.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not see policies and ledger, the policies do not stand up by themselves, the cursor is
    /// not one of this list, or an entry is damaged.
    pub fn replay(
        &self,
        session: &Session,
        request: ReplayRequest,
    ) -> Result<ReplayReply, Problem> {
        let policies = self.ask::<ReadPolicy>(session, ResourceRef::Policy)?;
        let ledger = match self.ask::<ReadLedger>(session, ResourceRef::Ledger) {
            Ok(ledger) => ledger,
            Err(problem) => {
                policies.fail(problem.code);
                return Err(problem);
            }
        };
        match self.replayed(request, ledger.entry()) {
            Ok(reply) => {
                policies.finish()?;
                ledger.finish()?;
                Ok(reply)
            }
            Err(problem) => {
                policies.fail(problem.code);
                ledger.fail(problem.code);
                Err(problem)
            }
        }
    }

    fn replayed(&self, request: ReplayRequest, here: u64) -> Result<ReplayReply, Problem> {
        let inner = &self.0;
        let ReplayRequest {
            sources,
            seconds,
            limit,
            after,
        } = request;
        let candidate = Candidate::of(sources);
        let before = inner.policies().clone();
        let set = inner.candidate(&before, &candidate)?;
        let listed = candidate.listed.as_ref().map(|text| {
            Directory::parse(text, &inner.parts.owner)
                .map_err(|error| identity_problem(&error, None))
        });
        let of_candidate = listed
            .transpose()?
            .map(|directory| Known::of(self, set.with_directory(directory)));
        let snapshot = inner.parts.ledger.snapshot();
        // What is asked here is none of what is replayed.
        let (start, end) = match &after {
            Some(cursor) => cursor::span(cursor)?,
            None => (
                seconds.map_or(Ok(0), |seconds| {
                    let since = inner.now().plus_seconds(-i64::from(seconds));
                    first_at(&snapshot, since)
                })?,
                here.saturating_sub(1),
            ),
        };
        let limit = limit.unwrap_or(LISTED).clamp(1, MOST_LISTED);
        let mut page = Page {
            door: self,
            set: &set,
            of_candidate: of_candidate.as_ref(),
            accounts: Accounts::of(self)?,
            decisions: 0,
            same: 0,
            unknown: BTreeMap::new(),
            changed: Vec::new(),
        };
        let end = end.min(snapshot.size());
        let last = end.min(start.saturating_add(ENTRIES));
        let mut at = start;
        while at < last && (page.changed.len() as u64) < limit {
            at = page.read(&snapshot, at, last, limit)?;
        }
        Ok(ReplayReply {
            candidate: set.digest(),
            accounts: if page.of_candidate.is_some() {
                "candidate"
            } else {
                "then"
            }
            .to_owned(),
            entries: at.saturating_sub(start),
            decisions: page.decisions,
            same: page.same,
            unknown: page.unknown,
            otherwise: page.changed.len() as u64,
            changed: page.changed,
            next: (at < end).then(|| cursor::of_span(at, end)),
        })
    }
}

/// What a page of entries comes to.
struct Page<'a> {
    door: &'a Door,
    set: &'a custody_policy::PolicySet,
    /// The accounts of the candidate, if it lists some.
    of_candidate: Option<&'a Known>,
    accounts: Accounts<'a>,
    decisions: u64,
    same: u64,
    unknown: BTreeMap<String, u64>,
    changed: Vec<ChangedDecision>,
}

impl Page<'_> {
    /// Goes through some entries from `at` on, until as many changed decisions are listed as may be. Returns where it goes on.
    fn read(&mut self, ledger: &Snapshot, at: u64, last: u64, limit: u64) -> Result<u64, Problem> {
        let to = last.min(at.saturating_add(AT_ONCE));
        let mut read = Vec::new();
        let kept = ledger.entries(at, to, &mut |index, bytes| {
            read.push((index, bytes.to_vec()));
            true
        });
        kept.map_err(|error| problem::ledger(&error))?;
        for (index, bytes) in read {
            self.entry(index, &parsed(index, &bytes)?);
            if self.changed.len() as u64 >= limit {
                return Ok(index.saturating_add(1));
            }
        }
        Ok(to)
    }

    fn entry(&mut self, index: u64, entry: &Entry) {
        let past = match self.door.decided(entry) {
            Decided::Nothing => return,
            Decided::ByLimit => {
                self.decisions += 1;
                self.same += 1;
                return;
            }
            Decided::Unknown(because) => {
                self.decisions += 1;
                self.is_unknown(because);
                return;
            }
            Decided::ByPolicies(past) => past,
        };
        self.decisions += 1;
        let known = match (self.of_candidate, past.identity) {
            (Some(known), _) => Some(known),
            (None, Some(digest)) => self.accounts.at(self.set, index, digest),
            (None, None) => None,
        };
        let Some(known) = known else {
            self.is_unknown("the accounts of the time cannot be had any more");
            return;
        };
        let actor = known.actor(&past.person);
        let set = &known.set;
        let decision = past.request(&actor, past.time, |request| set.decide_again(request));
        let stated = past.purpose.as_ref();
        let undeclared = stated.is_some_and(|purpose| set.undeclared(purpose).is_some());
        if !past.looked_up && !undeclared {
            self.is_unknown("it was refused before it was looked up what it was asked on");
            return;
        }
        let before = entry.decision.as_ref().map(|decision| decision.effect);
        let before = before == Some(Effect::Permit);
        if decision.permit == before {
            self.same += 1;
            return;
        }
        let Decision {
            permit,
            policies,
            reasons,
            errors,
            ..
        } = decision;
        self.changed.push(ChangedDecision {
            entry: index,
            time: entry.ts,
            actor: actor_of(self.door, entry),
            action: past.action,
            resource: past.facts.resource.name.clone(),
            before,
            after: permit,
            because: if policies.is_empty() && errors.is_empty() {
                vec!["no policy permits it".to_owned()]
            } else {
                reasons.into_iter().chain(errors).collect()
            },
            policies,
        });
    }

    fn is_unknown(&mut self, because: &str) {
        *self.unknown.entry(because.to_owned()).or_default() += 1;
    }
}
