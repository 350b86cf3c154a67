//! What the process counts of its work, for who may see it.
//!
//! Whoever watches over a server asks every few seconds, for ever: an entry for each time would be most of the ledger, and say
//! nothing. So an entry of `server.metrics` holds for an hour. Each time it is decided anew; it is entered again where the hour
//! is over, or the decision is another one: another effect, by other policies, with other policies or accounts in force. What
//! is let out names nobody and nothing, so how often it was taken is no evidence of anything. With one who asks, that is 48
//! entries a day.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use custody_ledger::DecisionFact;
use custody_observe::{Gauges, Observer};
use custody_types::{Problem, Timestamp, code};

use crate::act::{ActionMarker, ReadMetrics};
use crate::door::{Door, lock, who};
use crate::grant::Grant;
use crate::problem;
use crate::session::Session;
use crate::target::ResourceRef;

/// How long an entry holds, in seconds.
const HOLDS: i64 = 60 * 60;
/// Of how many who ask it is known that they did; where there are more, all are entered anew.
const KNOWN: usize = 1024;
/// The fact that says until when the entry holds.
const UNTIL: &str = "until";

/// Who asked lately, by what they are known by; what was decided, and until when its entry holds.
#[derive(Debug, Default)]
pub(crate) struct Lately(Mutex<BTreeMap<Asker, (DecisionFact, Timestamp)>>);

/// An account, and the token or session that it showed.
type Asker = (String, Option<String>);

fn asker(session: &Session) -> Asker {
    let shown = session.authentication();
    let token = shown.token.as_ref().map(|token| token.id.to_string());
    let id = token.or_else(|| shown.session.as_ref().map(ToString::to_string));
    (session.actor().to_string(), id)
}

impl Lately {
    /// Whether the entry of an earlier time says the same and holds still.
    fn holds(&self, asker: &Asker, decision: &DecisionFact, now: Timestamp) -> bool {
        let known = lock(&self.0);
        let known = known.get(asker);
        known.is_some_and(|(entered, until)| entered == decision && now < *until)
    }

    fn note(&self, asker: Asker, decision: DecisionFact, now: Timestamp) -> Timestamp {
        let mut known = lock(&self.0);
        if known.len() >= KNOWN {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        let until = now.plus_seconds(HOLDS);
        known.insert(asker, (decision, until));
        until
    }
}

impl Door {
    /// Returns who is told what is done here.
    pub fn observer(&self) -> &Observer {
        &self.0.parts.observer
    }

    /// Writes what this process counts, in the format of `OpenMetrics` 1.0.
    ///
    /// # Errors
    /// A [`Problem`] when the policy refuses, the ledger does not take the entry, or nothing is counted here.
    pub fn metrics(&self, session: &Session) -> Result<String, Problem> {
        let inner = &self.0;
        inner.check_session(session)?;
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let (action, target) = (ReadMetrics::ACTION, ResourceRef::Server);
        let facts = target.facts(None);
        let now = inner.now();
        let decision = inner.decide(session, action, &facts, None);
        let fact = inner.decision_fact(&decision, None);
        let asker = asker(session);
        if inner.lately.holds(&asker, &fact, now) {
            if !decision.permit {
                let (resource, who) = (&facts.resource, who(session));
                return Err(problem::refused(action, resource, &who, &decision));
            }
            return self.counted();
        }
        match self.ask::<ReadMetrics>(session, target) {
            Ok(grant) => match self.counted() {
                Ok(text) => {
                    enter(grant, inner.lately.note(asker, fact, now))?;
                    Ok(text)
                }
                Err(nothing) => {
                    grant.fail(nothing.code);
                    Err(nothing)
                }
            },
            Err(told) => {
                // What was not entered holds for nothing.
                if told.code == code::DOOR_001 {
                    inner.lately.note(asker, fact, now);
                }
                Err(told)
            }
        }
    }

    fn counted(&self) -> Result<String, Problem> {
        let counted = self.0.parts.observer.metrics(&self.gauges());
        counted.ok_or_else(|| {
            Problem::new(code::SERVE_008, "nothing is counted here")
                .hint("ask a server: `custody serve` counts")
        })
    }

    /// Looks up the figures that nobody counts.
    fn gauges(&self) -> Gauges {
        let inner = &self.0;
        let now = inner.now();
        let tokens = inner.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let counts = tokens.1.tokens.values().filter(|token| now < token.expires);
        let tokens = counts.count() as u64;
        let (hashing, hashes_waiting) = inner.people.hashing();
        Gauges {
            entries: inner.parts.ledger.size(),
            sessions: inner.people.open_sessions(now),
            tokens,
            hashing,
            hashes_waiting,
        }
    }
}

fn enter(grant: Grant<ReadMetrics>, until: Timestamp) -> Result<(), Problem> {
    grant.finish_with(BTreeMap::from([(UNTIL.to_owned(), until.to_string())]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use custody_ledger::Entry;
    use custody_observe::{Event, Finished, Sink};
    use custody_types::Action;
    use custody_wire::{Change, Right, RoleBinding};

    use super::*;
    use crate::act::ChangeIdentity;
    use crate::testing::World;

    /// Says how many sessions there are.
    #[derive(Debug)]
    struct Said;

    impl Sink for Said {
        fn done(&self, _: &Finished) {}
        fn happened(&self, _: &Event) {}
        fn traces(&self, _: u64) -> bool {
            false
        }
        fn metrics(&self, gauges: &Gauges) -> String {
            format!("{} entries", gauges.entries)
        }
    }

    fn counted() -> World {
        let mut world = World::default();
        let (clock, entropy) = (world.clock.clone(), world.entropy.clone());
        world.observer = Observer::new(Arc::new(Said), clock, entropy);
        world
    }

    fn entries(door: &Door) -> Vec<Entry> {
        inner_flush(door);
        let verb = Action::ReadMetrics.verb();
        let entries = World::entries(door).into_iter();
        entries.filter(|entry| entry.verb == verb).collect()
    }

    fn inner_flush(door: &Door) {
        door.0.parts.ledger.flush().unwrap();
    }

    fn change(door: &Door, owner: &Session, change: Change) {
        let grant = door
            .ask::<ChangeIdentity>(owner, ResourceRef::Identity)
            .unwrap();
        grant.change(vec![change]).unwrap();
    }

    #[test]
    fn an_entry_holds_for_an_hour_and_for_the_same_decision_alone() {
        let world = counted();
        let door = world.open();
        let owner = world.person("owner");
        assert!(door.metrics(&owner).unwrap().ends_with("entries"));
        for _ in 0..200 {
            door.metrics(&owner).unwrap();
        }
        let told = entries(&door);
        assert_eq!(told.len(), 2, "a grant and its outcome: {told:?}");
        let until: Timestamp = told[1].facts[UNTIL].parse().unwrap();
        let holds = until.unix_micros() - told[0].ts.unix_micros();
        assert!((3_590_000_000..=3_600_000_000).contains(&holds), "{holds}");
        world.clock.advance(HOLDS);
        door.metrics(&owner).unwrap();
        assert_eq!(entries(&door).len(), 4);
        // Other accounts are in force, so it is another decision.
        change(
            &door,
            &owner,
            Change::Add {
                who: "ada".parse().unwrap(),
            },
        );
        door.metrics(&owner).unwrap();
        door.metrics(&owner).unwrap();
        assert_eq!(entries(&door).len(), 6);
    }

    #[test]
    fn who_may_not_is_refused_each_time_and_who_may_no_more_at_once() {
        let world = counted();
        let door = world.open();
        let (owner, ada) = (world.person("owner"), world.person("ada"));
        change(
            &door,
            &owner,
            Change::Add {
                who: "ada".parse().unwrap(),
            },
        );
        for _ in 0..20 {
            let told = door.metrics(&ada).unwrap_err();
            assert_eq!(told.code, code::DOOR_001, "{told}");
        }
        assert_eq!(entries(&door).len(), 1, "the refusal is entered once");
        let right = || Right::Role(RoleBinding::everywhere("operator"));
        let who = "ada".parse().unwrap();
        change(
            &door,
            &owner,
            Change::Grant {
                who,
                right: right(),
                seconds: None,
            },
        );
        door.metrics(&ada).unwrap();
        let who = "ada".parse().unwrap();
        change(
            &door,
            &owner,
            Change::Revoke {
                who,
                right: right(),
            },
        );
        assert_eq!(door.metrics(&ada).unwrap_err().code, code::DOOR_001);
        assert_eq!(entries(&door).len(), 4);
    }

    #[test]
    fn no_ledger_no_figures() {
        let world = counted();
        let door = world.open();
        let owner = world.person("owner");
        world.disk.fail(true);
        for _ in 0..3 {
            assert!(door.metrics(&owner).is_err());
        }
        world.disk.fail(false);
        door.metrics(&owner).unwrap();
        // What was entered holds while the disk is out, when somebody must see that it is.
        world.disk.fail(true);
        door.metrics(&owner).unwrap();
        world.disk.fail(false);
    }
}
