//! Reading the ledger through the door.

use std::collections::VecDeque;
use std::io::{self, Write};

use custody_ledger::{Entry, Outcome};
use custody_tlog::tree::leaf_hash;
use custody_types::{Digest, Problem};
use custody_wire::{CheckResult, EntryQuery, EntryView, LedgerReply, NamedCheck};

use crate::act::{ExportLedger, ReadLedger};
use crate::door::Door;
use crate::grant::Grant;
use crate::problem;

/// How many entries are shown when no limit is given.
const SHOWN: u64 = 100;
const MOST_SHOWN: u64 = 10_000;

impl Grant<ReadLedger> {
    /// Finds the newest entries that match, oldest first.
    ///
    /// # Errors
    /// A [`Problem`] when a file of the ledger is damaged.
    pub fn entries(&self, query: &EntryQuery) -> Result<LedgerReply, Problem> {
        let inner = &self.door.0;
        let actor = query.actor.as_ref().map(|name| {
            (
                name.clone(),
                inner.pseudonym(&custody_types::Actor::user(name)),
            )
        });
        let limit =
            usize::try_from(query.limit.unwrap_or(SHOWN).min(MOST_SHOWN)).unwrap_or(usize::MAX);
        let mut found: VecDeque<(u64, Vec<u8>, Entry)> = VecDeque::new();
        let ledger = inner.parts.ledger.snapshot();
        ledger
            .entries(0, ledger.size(), &mut |index, bytes| {
                if let Ok(entry) = Entry::parse(bytes)
                    && matches(query, actor.as_ref(), &entry)
                {
                    found.push_back((index, bytes.to_vec(), entry));
                    if found.len() > limit {
                        found.pop_front();
                    }
                }
                true
            })
            .map_err(|error| problem::ledger(&error))?;
        let entries = found.into_iter().map(|(index, bytes, entry)| EntryView {
            index,
            leaf: Digest::from_bytes(leaf_hash(&bytes)),
            actor: actor_of(&self.door, &entry),
            entry: serde_json::from_slice(&bytes).unwrap_or_default(),
        });
        Ok(LedgerReply {
            size: ledger.size(),
            root: Digest::from_bytes(ledger.root()),
            entries: entries.collect(),
        })
    }

    /// Checks the whole ledger.
    pub fn verify(&self) -> Vec<NamedCheck> {
        checks(&self.door)
    }
}

fn actor_of(door: &Door, entry: &Entry) -> String {
    match &entry.subject.behind {
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
            entry.subject.behind.as_ref(),
        ]
        .into_iter()
        .flatten()
        .any(|known| known == name || known == pseudonym)
    });
    let by_action = query.action.as_ref().is_none_or(|action| {
        entry.verb == *action
            || entry.verb.split('.').next() == Some(action)
            || entry.action().is_some_and(|known| known.name() == action)
    });
    let by_resource = query.resource.as_ref().is_none_or(|name| {
        entry
            .objects
            .iter()
            .any(|object| object.name.starts_with(name.as_str()))
    });
    let by_outcome = query.outcome.as_ref().is_none_or(|outcome| {
        outcome
            == match entry.outcome {
                Some(Outcome::Ok) => "ok",
                Some(Outcome::Denied) => "denied",
                Some(Outcome::Error) => "error",
                Some(Outcome::Unknown) => "unknown",
                None => "",
            }
    });
    let by_time = query.since.is_none_or(|since| entry.ts >= since)
        && query.until.is_none_or(|until| entry.ts < until);
    by_actor && by_action && by_resource && by_outcome && by_time
}

pub(crate) fn checks(door: &Door) -> Vec<NamedCheck> {
    let checks = door.0.parts.ledger.verify();
    let rollbacks = match crate::rollback::accepted(door) {
        Ok(entries) if entries.is_empty() => NamedCheck {
            name: "rollbacks".to_owned(),
            result: CheckResult::Ok,
            evidence: vec!["none was ever accepted".to_owned()],
            broken: Vec::new(),
        },
        Ok(entries) => NamedCheck {
            name: "rollbacks".to_owned(),
            result: CheckResult::Ok,
            evidence: vec![format!(
                "an older state was accepted by {}",
                entries
                    .iter()
                    .map(|entry| format!("entry {entry}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )],
            broken: Vec::new(),
        },
        Err(problem) => NamedCheck {
            name: "rollbacks".to_owned(),
            result: CheckResult::Broken,
            evidence: Vec::new(),
            broken: vec![problem.what],
        },
    };
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
        .chain([rollbacks])
        .collect()
}

impl Grant<ExportLedger> {
    /// Writes the log in the static layout of C2SP tlog-tiles as a tar stream.
    ///
    /// # Errors
    /// An I/O error when `out` fails or the ledger is damaged.
    pub fn write_tar(self, out: &mut dyn Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        let mut add = |path: &str, bytes: &[u8]| {
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
