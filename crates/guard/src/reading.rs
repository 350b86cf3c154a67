//! Reading the ledger through the door.

use std::collections::BTreeSet;
use std::io::{self, Write};

use custody_ledger::{Entry, LedgerCheck, LedgerError, Snapshot};
use custody_tlog::tree::leaf_hash;
use custody_types::{Action, Digest, Problem, Timestamp, code};
use custody_wire::{CheckResult, EntryProofReply, EntryQuery, EntryView, LedgerReply, NamedCheck};

use crate::act::{ExportLedger, ReadLedger};
use crate::cursor;
use crate::door::{Door, Inner};
use crate::grant::Grant;
use crate::problem;
use crate::view::{self, AnyOf, read_entry};

/// How many entries are shown when no limit is given.
const SHOWN: u64 = 100;
const MOST_SHOWN: u64 = 10_000;

impl Grant<ReadLedger> {
    /// Finds the newest entries that match, oldest first; with a cursor, the newest before those of the page that gave
    /// it.
    ///
    /// # Errors
    /// A [`Problem`] when a file of the ledger is damaged, or the cursor is not one of this list.
    pub fn entries(&self, query: &EntryQuery) -> Result<LedgerReply, Problem> {
        let inner = &self.door.0;
        let actor = query.actor.as_ref().map(|name| {
            (
                name.clone(),
                inner.pseudonym(&custody_types::Actor::user(name)),
            )
        });
        let limit = query.limit.unwrap_or(SHOWN).clamp(1, MOST_SHOWN);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let ledger = inner.parts.ledger.snapshot();
        let mut end = match &query.after {
            Some(cursor) => cursor::entry(cursor)?.min(ledger.size()),
            None => ledger.size(),
        };
        if let Some(until) = query.until {
            end = end.min(first_at(&ledger, until)?);
        }
        let terms = inner.terms(query, actor.as_ref())?;
        let mut found: Vec<(u64, Entry)> = Vec::new();
        let mut more = false;
        inner.newest_first(&ledger, &terms, end, &mut |index, entry| {
            if query.since.is_some_and(|since| entry.ts < since) {
                return false;
            }
            if matches(query, actor.as_ref(), &entry) {
                more = found.len() == limit;
                if !more {
                    found.push((index, entry));
                }
            }
            !more
        })?;
        let next = found.last().filter(|_| more);
        let next = next.map(|(index, _)| cursor::of_entry(*index));
        let views = found.into_iter().rev().map(|(index, entry)| {
            let bytes = ledger
                .entry(index)
                .map_err(|error| problem::ledger(&error))?;
            self.view(index, &entry, &bytes)
        });
        Ok(LedgerReply {
            size: ledger.size(),
            root: Digest::from_bytes(ledger.root()),
            entries: views.collect::<Result<_, Problem>>()?,
            next,
        })
    }

    /// Shows one entry, with the proof that it is in the ledger.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such entry, or a file of the ledger is damaged.
    pub fn proved(&self, index: u64) -> Result<EntryProofReply, Problem> {
        let ledger = self.door.0.parts.ledger.snapshot();
        if index >= ledger.size() {
            let what = format!("the ledger has no entry {index}");
            return Err(Problem::new(code::LEDGER_013, what)
                .because(format!("it has {} entries, counted from 0", ledger.size()))
                .hint("see which there are with `custody ledger log`"));
        }
        let told = |error: LedgerError| problem::ledger(&error);
        let bytes = ledger.entry(index).map_err(told)?;
        let entry = view::parsed(index, &bytes)?;
        let proof = ledger.inclusion(index).map_err(told)?;
        Ok(EntryProofReply {
            view: self.view(index, &entry, &bytes)?,
            bytes: String::from_utf8_lossy(&bytes).into_owned(),
            proof: proof.into_iter().map(Digest::from_bytes).collect(),
            size: ledger.size(),
            root: Digest::from_bytes(ledger.root()),
            checkpoint: ledger.checkpoint().to_owned(),
        })
    }

    fn view(&self, index: u64, entry: &Entry, bytes: &[u8]) -> Result<EntryView, Problem> {
        Ok(EntryView {
            index,
            leaf: Digest::from_bytes(leaf_hash(bytes)),
            actor: actor_of(&self.door, entry),
            by: entry.subject.by.as_ref().map(|by| self.door.0.name_of(by)),
            entry: serde_json::from_slice(bytes).map_err(|error| unreadable(index, &error))?,
        })
    }

    /// Checks the whole ledger.
    pub fn verify(&self) -> Vec<NamedCheck> {
        checks(&self.door, self.door.0.parts.ledger.verify())
    }
}

fn unreadable(index: u64, error: &serde_json::Error) -> Problem {
    problem::ledger(&LedgerError::Damaged {
        file: format!("entry {index}"),
        because: error.to_string(),
    })
}

pub(crate) fn actor_of(door: &Door, entry: &Entry) -> String {
    match &entry.subject.on_behalf_of {
        Some(person) => format!(
            "{} for {}",
            entry.subject.kind.as_str(),
            door.0.name_of(person)
        ),
        None => door.0.name_of(&entry.subject.reference),
    }
}

fn matches(query: &EntryQuery, actor: Option<&(String, String)>, entry: &Entry) -> bool {
    let by_actor = actor.is_none_or(|(name, pseudonym)| {
        [
            Some(&entry.subject.reference),
            entry.subject.on_behalf_of.as_ref(),
            entry.subject.by.as_ref(),
        ]
        .into_iter()
        .flatten()
        .any(|known| known == name || known == pseudonym)
    });
    let by_action = query.action.as_ref().is_none_or(|action| {
        entry.verb == *action || entry.action().is_some_and(|known| is_called(known, action))
    });
    let by_resource = query.resource.as_ref().is_none_or(|name| {
        let mut names = entry.objects.iter().map(|object| &object.name);
        if name.contains('@') {
            names.any(|known| known == name)
        } else {
            names.any(|known| known.starts_with(name.as_str()))
        }
    });
    let by_outcome = query
        .outcome
        .as_ref()
        .is_none_or(|outcome| outcome == view::outcome_name(entry.outcome));
    let by_time = query.since.is_none_or(|since| entry.ts >= since)
        && query.until.is_none_or(|until| entry.ts < until);
    by_actor && by_action && by_resource && by_outcome && by_time
}

/// Returns whether an action is meant by its verb, the part of it before the dot, or its name.
fn is_called(action: Action, name: &str) -> bool {
    action.verb() == name || action.verb().split('.').next() == Some(name) || action.name() == name
}

/// Returns the place of the first entry that was written at `time` or later. Times do not go back in a ledger.
pub(crate) fn first_at(ledger: &Snapshot, time: Timestamp) -> Result<u64, Problem> {
    let (mut start, mut end) = (0, ledger.size());
    while start < end {
        let middle = start + (end - start) / 2;
        if read_entry(ledger, middle)?.ts < time {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    Ok(start)
}

impl Inner {
    /// Returns the terms of which an entry that matches must have one each.
    pub(crate) fn terms(
        &self,
        query: &EntryQuery,
        actor: Option<&(String, String)>,
    ) -> Result<Vec<AnyOf>, Problem> {
        let mut terms: Vec<AnyOf> = Vec::new();
        terms
            .extend(actor.map(|(name, pseudonym)| vec![view::actor(name), view::actor(pseudonym)]));
        terms.extend(query.action.as_ref().map(|action| {
            let known = Action::ALL
                .iter()
                .filter(|known| is_called(**known, action));
            let mut verbs: AnyOf = known.map(|known| view::verb(known.verb())).collect();
            verbs.push(view::verb(action));
            verbs
        }));
        if let Some(name) = &query.resource {
            terms.extend(self.resource_terms(name)?);
        }
        terms.extend(query.outcome.as_ref().map(|one| vec![view::outcome(one)]));
        Ok(terms)
    }

    /// Hands entries before `end` to `each`, the newest first, until it returns false: all that have one term of each
    /// of `terms`, and others of the last bundle.
    pub(crate) fn newest_first(
        &self,
        ledger: &Snapshot,
        terms: &[AnyOf],
        mut end: u64,
        each: &mut dyn FnMut(u64, Entry) -> bool,
    ) -> Result<(), Problem> {
        while end > 0 {
            let start = (end - 1) / view::WIDTH * view::WIDTH;
            // The last bundle, which is not full, is gone through entry by entry.
            let by_terms = !terms.is_empty() && start + view::WIDTH <= ledger.size();
            let places: Vec<u64> = if by_terms {
                match self.newest(terms, end)? {
                    Some(places) => places,
                    None => return Ok(()),
                }
            } else {
                (start..end).rev().collect()
            };
            let (Some(first), Some(last)) = (places.last(), places.first()) else {
                return Ok(());
            };
            let wanted: BTreeSet<u64> = places.iter().copied().collect();
            let mut read = Vec::with_capacity(wanted.len());
            let kept = ledger.entries(*first, last + 1, &mut |index, bytes| {
                if wanted.contains(&index) {
                    read.push((index, bytes.to_vec()));
                }
                true
            });
            kept.map_err(|error| problem::ledger(&error))?;
            for (index, bytes) in read.into_iter().rev() {
                if !each(index, view::parsed(index, &bytes)?) {
                    return Ok(());
                }
            }
            end = *first;
        }
        Ok(())
    }

    /// Reads the entries that have one term of each of `terms`, in order.
    pub(crate) fn entries_of(&self, terms: &[AnyOf]) -> Result<Vec<(u64, Entry)>, Problem> {
        let ledger = self.parts.ledger.snapshot();
        let mut found = Vec::new();
        self.newest_first(&ledger, terms, ledger.size(), &mut |index, entry| {
            if view::has(&entry, terms) {
                found.push((index, entry));
            }
            true
        })?;
        found.reverse();
        Ok(found)
    }
}

/// Tells what was checked of the ledger, which rollbacks were accepted, and when the policies were taken back.
pub(crate) fn checks(door: &Door, checks: Vec<LedgerCheck>) -> Vec<NamedCheck> {
    let rollbacks = told_of(
        "rollbacks",
        crate::rollback::accepted(door),
        "none was ever accepted",
        "an older state was accepted by",
    );
    let broken = told_of(
        "break-glass",
        crate::break_glass::broken(door),
        "the policies were never taken back by the key's holder",
        "the key's holder took the policies back by",
    );
    checks
        .into_iter()
        .map(|check| NamedCheck {
            name: check.name.replace(' ', "-"),
            result: if check.broken.is_some() {
                CheckResult::Broken
            } else {
                CheckResult::Ok
            },
            evidence: if check.evidence.is_empty() {
                Vec::new()
            } else {
                vec![check.evidence]
            },
            broken: check.broken.into_iter().collect(),
        })
        .chain([rollbacks, broken])
        .collect()
}

/// Tells of what seldom happens, and by which entries it did.
fn told_of(
    name: &str,
    entries: Result<Vec<u64>, Problem>,
    never: &str,
    happened: &str,
) -> NamedCheck {
    let (result, evidence, broken) = match entries {
        Ok(entries) if entries.is_empty() => (CheckResult::Ok, vec![never.to_owned()], vec![]),
        Ok(entries) => {
            let entries: Vec<_> = entries.iter().map(|one| format!("entry {one}")).collect();
            let told = format!("{happened} {}", entries.join(", "));
            (CheckResult::Ok, vec![told], vec![])
        }
        Err(problem) => (CheckResult::Broken, vec![], vec![problem.what]),
    };
    NamedCheck {
        name: name.to_owned(),
        result,
        evidence,
        broken,
    }
}

impl Grant<ExportLedger> {
    /// Writes the log in the static layout of C2SP tlog-tiles as a tar stream.
    ///
    /// # Errors
    /// An I/O error when `out` fails or the ledger is damaged.
    pub fn write_tar(self, out: &mut dyn Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        let mut add = |path: &str, bytes: &[u8]| {
            self.goes_on().map_err(io::Error::other)?;
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            tar.append_data(&mut header, path, bytes)
        };
        self.door
            .0
            .parts
            .ledger
            .snapshot()
            .export(&mut add)
            .map_err(io::Error::other)?;
        add("public-key.pem", self.door.public_key().as_bytes())?;
        tar.finish()?;
        drop(tar);
        self.finish().map_err(io::Error::other)
    }
}
