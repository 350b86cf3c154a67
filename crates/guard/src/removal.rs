//! Taking the bytes of rejected versions away.

use std::collections::{BTreeMap, BTreeSet};

use custody_store::{Version, VersionRecord};
use custody_types::{Digest, Problem, ProjectName, VersionName, code};
use custody_wire::RemoveReply;

use crate::act::Remove;
use crate::door::Inner;
use crate::grant::Grant;
use crate::problem;
use crate::view::REMOVED;

impl Inner {
    /// Checks that the bytes of a version were not removed.
    pub(crate) fn has_bytes(&self, version: &Version) -> Result<(), Problem> {
        let name = version.name();
        let Some(entry) = self.removal_of(version)? else {
            return Ok(());
        };
        Err(
            Problem::new(code::STORE_012, format!("the bytes of `{name}` were removed"))
                .because(format!("by ledger entry {entry}, after it was rejected"))
                .hint("what is known of it stays: `custody show`; put the same files again if they are needed after all"),
        )
    }

    /// Returns the entry by which the bytes of a version were removed, if they were.
    pub(crate) fn removal_of(&self, version: &Version) -> Result<Option<u64>, Problem> {
        // What was removed was rejected, and stays in quarantine.
        let removal = version.quarantined.then(|| self.removal(&version.name()));
        Ok(removal.transpose()?.flatten())
    }

    /// Lists the signed records of versions whose bytes were removed.
    pub(crate) fn removed_records(&self) -> Result<BTreeSet<Digest>, Problem> {
        let mut records = BTreeSet::new();
        for (name, facts, held) in self.all_listed(None)? {
            if held && self.removal(&name)?.is_some() {
                records.insert(facts.record);
            }
        }
        Ok(records)
    }

    /// Reads the records of all versions of a project but `name`, those of removed ones not among them.
    fn others(
        &self,
        project: &ProjectName,
        name: &VersionName,
    ) -> Result<Vec<VersionRecord>, Problem> {
        let removed = self.removed_records()?;
        let mut others = Vec::new();
        for digest in self.valid_records()?.keys() {
            let record = self.parts.store.version_record(digest);
            let record = record.map_err(|error| problem::lacking(&error))?;
            if record.artifact.project() == project
                && record.name() != *name
                && !removed.contains(digest)
            {
                others.push(record);
            }
        }
        Ok(others)
    }
}

impl Grant<Remove> {
    /// Takes the bytes of the version's files away, but for those that other versions of the project have too. With the
    /// entry nothing relies upon them; they are gone when this returns. After a failure or a crash in between, doing it
    /// again ends it.
    ///
    /// # Errors
    /// A [`Problem`] when the version was not rejected, or when it cannot be known what others share with it because
    /// something is damaged.
    pub fn remove(mut self) -> Result<RemoveReply, Problem> {
        let door = self.door.clone();
        let inner = &door.0;
        let version = self.version()?.clone();
        let project = version.record.artifact.project().clone();
        let _turn = inner.locks.project(&project);
        let name = version.name();
        let refused = |because: &str, hint: &str| {
            let what = format!("the bytes of `{name}` cannot be removed");
            Problem::new(code::STORE_013, what)
                .because(because)
                .hint(hint)
        };
        let named = inner.resolve(&name.clone().into())?;
        if named.is_none_or(|named| named.record_digest != version.record_digest) {
            return Err(refused(
                "another version has its name",
                "put its bytes again, which gives them a name of their own, and reject that",
            ));
        }
        if inner.rejection(&name)?.is_none() {
            return Err(refused(
                "it was not rejected",
                "what is in quarantine can be rejected first: `custody reject`",
            ));
        }
        let store = &inner.parts.store;
        let what = store.removable(&version.record, &inner.others(&project, &name)?);
        let what = what.map_err(|error| problem::store(&error))?;
        let known = inner.removal(&name)?;
        let entry = match known {
            Some(entry) => entry,
            None => {
                let facts = BTreeMap::from([(REMOVED.to_owned(), name.to_string())]);
                self.decided(version.clone(), None, facts)?.1.index
            }
        };
        store.remove(&what).map_err(|error| {
            problem::store(&error).because(format!(
                "ledger entry {entry} says that they are removed; what is left of them goes when the command is repeated"
            ))
        })?;
        let view = self.evidence().view(&inner.confirmed(version)?)?;
        if known.is_some() {
            self.finish()?;
        }
        Ok(RemoveReply {
            version: view,
            bytes: what.bytes,
            shared: what.shared,
            entry,
        })
    }
}
