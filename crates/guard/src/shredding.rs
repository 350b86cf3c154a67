//! Shredding a project: its keys are destroyed, so that nothing stored in it can be read again, here or in a copy of its
//! packs.

use std::collections::{BTreeMap, BTreeSet};

use custody_ledger::Outcome;
use custody_store::DomainId;
use custody_types::{ArtifactName, ByteSize, Digest, Problem, ProjectName, Timestamp, code};
use custody_wire::ShredReply;
use serde::Serialize;

use crate::act::Shred;
use crate::door::{Inner, POLICY};
use crate::grant::Grant;
use crate::problem::{self, is_reason};
use crate::target::ResourceRef;
use crate::view::SHREDDED;

/// The predicate type of the statement that says why a project was shredded.
pub const SHREDDING: &str = "https://custody.dev/shredding/v1";

/// The predicate [`SHREDDING`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shredding {
    shredded_by: String,
    reason: String,
    /// How many versions it had.
    versions: u64,
    shredded_on: Timestamp,
}

impl Inner {
    /// Refuses what is asked of a project that was shredded.
    pub(crate) fn check_not_shredded(&self, project: &ProjectName) -> Result<(), Problem> {
        let Some(shredded) = self.shredded(project)? else {
            return Ok(());
        };
        Err(Problem::new(
            code::STORE_014,
            format!("the project `{project}` was shredded"),
        )
        .because(format!(
            "its keys were destroyed by ledger entry {}, and nothing opens what was stored in it",
            shredded.entry
        ))
        .hint("what the ledger says of it stays: `custody ledger log`; work goes on in a project of another name"))
    }

    /// Ends what the ledger says was begun: a crash came between the entry and the deed, or an older copy of the keys or of
    /// the packs was put back.
    pub(crate) fn finish_shredding(&self) -> Result<(), Problem> {
        for (project, shredded) in self.all_shredded()? {
            let knows = self.parts.store.knows(&shredded.domain);
            if knows.map_err(|error| problem::store(&error))? {
                self.destroy(&project, &shredded.domain)?;
            }
        }
        Ok(())
    }

    /// Lists the domains whose keys were destroyed.
    pub(crate) fn shredded_domains(&self) -> Result<BTreeSet<DomainId>, Problem> {
        let all = self.all_shredded()?.into_iter();
        Ok(all.map(|(_, shredded)| shredded.domain).collect())
    }

    fn destroy(&self, project: &ProjectName, domain: &DomainId) -> Result<ByteSize, Problem> {
        self.parts.keyring.destroy(project, domain)?;
        let shredded = self.parts.store.shred(domain);
        shredded.map_err(|error| problem::store(&error))
    }
}

impl Grant<Shred> {
    /// Destroys the keys of the project and deletes its packs. The ledger, what it says of the project, and the statement of
    /// why stay. With the entry it is decided: after a failure or a crash the next start ends it, and so does doing it again.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such project, it is that of the policies, or the reason is missing; nothing is
    /// destroyed then.
    pub fn shred(mut self, reason: &str) -> Result<ShredReply, Problem> {
        let door = self.door.clone();
        let inner = &door.0;
        let ResourceRef::Project(project) = self.target.clone() else {
            return Err(problem::no_project(&self.facts.resource.name));
        };
        let own: ArtifactName = POLICY.parse().map_err(|error: custody_types::NameError| {
            Problem::new(code::DOOR_012, error.to_string())
        })?;
        if project == *own.project() {
            return Err(Problem::new(
                code::STORE_015,
                format!("the project `{project}` cannot be shredded"),
            )
            .because("it holds the policies, the accounts and the reasons of what was decided")
            .hint("shred your own projects, one by one"));
        }
        if !is_reason(reason) {
            return Err(Problem::new(
                code::STORE_016,
                "shredding a project needs a reason of at most 2000 bytes",
            )
            .hint("say with `--reason` why, and who asked for it"));
        }
        // Nothing becomes a version of the project meanwhile, and nothing after it.
        let _turn = inner.locks.project(&project);
        let versions = inner.all_listed(Some(&project))?.len() as u64;
        let known = inner.shredded(&project)?;
        let (entry, domain) = match known {
            Some(shredded) => (shredded.entry, shredded.domain),
            None => {
                let domain = inner.parts.store.domain(&project);
                let domain = domain.ok_or_else(|| problem::no_project(project.as_str()))?;
                (
                    self.decide_to_shred(&own, domain, reason, versions)?,
                    domain,
                )
            }
        };
        // CRASH: with the entry and before this the next start does it.
        let bytes = inner.destroy(&project, &domain).map_err(|problem| {
            problem.because(format!(
                "ledger entry {entry} says that it is shredded; the next start, or the command again, ends it"
            ))
        })?;
        if known.is_some() {
            self.finish()?;
        }
        Ok(ShredReply {
            project,
            versions,
            bytes,
            entry,
        })
    }

    /// Enters that the project is shredded, with the signed reason.
    fn decide_to_shred(
        &mut self,
        own: &ArtifactName,
        domain: DomainId,
        reason: &str,
        versions: u64,
    ) -> Result<u64, Problem> {
        let inner = &self.door.0;
        let statement = Shredding {
            shredded_by: inner.pseudonym(&self.session.actor),
            reason: reason.to_owned(),
            versions,
            shredded_on: inner.parts.clock.now(),
        };
        let name = &self.facts.resource.name;
        let envelope = inner.seal(name, Digest::of(domain.as_bytes()), SHREDDING, &statement)?;
        self.door.ensure_project(None, own.project())?;
        let statement = inner.keep_record(own.project(), &envelope)?;
        let mut draft = self.outcome(Outcome::Ok);
        draft.lineage.statement = Some(statement);
        draft.facts = BTreeMap::from([(SHREDDED.to_owned(), domain.to_string())]);
        self.finished = true;
        Ok(inner.append(draft)?.index())
    }
}
