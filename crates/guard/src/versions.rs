//! Versions: found by what the ledger says of them, read from the store.

use std::collections::{BTreeMap, BTreeSet};

use custody_ledger::{EntryDraft, Outcome, Phase};
use custody_store::{StoreError, Tree, Version};
use custody_types::{
    Action, ArtifactName, Digest, Problem, ProjectName, Reference, VersionNumber, code,
};

use crate::door::{Inner, lock};
use crate::problem;
use crate::view::{Listed, read_entry};

/// How many grants without an outcome are concluded at once.
const AT_ONCE: usize = 100;
/// How many rows are read at once where all are.
const PAGE: usize = 1024;

/// The files of held contents, which are read when something is made.
#[derive(Debug, Default)]
pub(crate) struct HeldFiles {
    /// Files by project, with the content that has them.
    files: BTreeMap<(ProjectName, Digest), BTreeSet<Digest>>,
    /// Of which contents the files are known.
    known: BTreeSet<(ProjectName, Digest)>,
}

fn store_problem(error: StoreError) -> Problem {
    problem::store(&error)
}

impl Inner {
    /// Finds the version that a reference names, as the ledger has it.
    pub(crate) fn resolve(&self, reference: &Reference) -> Result<Option<Version>, Problem> {
        let found = self.find_version(&reference.artifact, &reference.selector)?;
        found.map_or(Ok(None), |listed| self.read(&listed))
    }

    /// Reads a version that the ledger names; none: no pack has it.
    pub(crate) fn read(&self, (name, facts, held): &Listed) -> Result<Option<Version>, Problem> {
        let store = &self.parts.store;
        let mut read = store.version(name, &facts.record, facts.entry);
        if matches!(read, Err(StoreError::NotFound { .. })) {
            if self.shredded(name.artifact.project())?.is_some() {
                return Ok(None);
            }
            let known = store.catalog().is_lacking(&facts.record);
            if !known.map_err(|error| store_problem(error.into()))? {
                // The index has lost the place: the packs tell it.
                self.rebuild()?;
            } else if !self.regains()? {
                return Ok(None);
            }
            read = store.version(name, &facts.record, facts.entry);
        }
        match read {
            Ok(version) if version.record.digest == facts.digest => Ok(Some(Version {
                quarantined: *held,
                ..version
            })),
            Ok(_) => Err(store_problem(StoreError::Damaged {
                what: name.to_string(),
                because: "the ledger and the signed record differ".to_owned(),
            })),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(store_problem(error)),
        }
    }

    /// Looks, at most once a second, whether a pack that was missing or damaged was put back.
    fn regains(&self) -> Result<bool, Problem> {
        const EVERY_MS: u64 = 1000;
        let now = self.parts.clock.monotonic_ms();
        let mut looked = lock(&self.looked_for_packs);
        if looked.is_some_and(|before| now.saturating_sub(before) < EVERY_MS) {
            return Ok(false);
        }
        *looked = Some(now);
        self.parts.store.regain().map_err(store_problem)
    }

    /// Finds the version that a person asks for by name. One that the ledger names and no pack has is damage, and no
    /// version that never was.
    pub(crate) fn asked_for(&self, reference: &Reference) -> Result<Option<Version>, Problem> {
        let Some(listed) = self.find_version(&reference.artifact, &reference.selector)? else {
            return Ok(None);
        };
        self.check_not_shredded(reference.artifact.project())?;
        let lacks = |(name, facts, _): &Listed| {
            let what = format!("the store lacks `{name}`, which the ledger names");
            Problem::new(code::STORE_011, what)
                .because(format!("made valid by entry {}", facts.entry))
                .subject(name)
                .hint("put the missing or damaged file of the folder `packs` back from a copy; `custody verify --all` names it")
        };
        self.read(&listed)?
            .map_or_else(|| Err(lacks(&listed)), |version| Ok(Some(version)))
    }

    /// Lists what the ledger says of all versions, or of those of a project.
    pub(crate) fn all_listed(&self, project: Option<&ProjectName>) -> Result<Vec<Listed>, Problem> {
        let mut all: Vec<Listed> = Vec::new();
        loop {
            let after = all.last().map(|(name, ..)| name.clone());
            let page = self.list_versions((project, None), false, after.as_ref(), PAGE)?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Makes the places of everything anew from the packs. Returns the entries of versions that no pack has, and the
    /// first damaged pack where something is not whole without it.
    pub(crate) fn rebuild(&self) -> Result<(Vec<u64>, Option<StoreError>), Problem> {
        let valid = self.valid_records()?;
        let records: Vec<_> = valid.keys().copied().collect();
        let (removed, shredded) = (self.removed_records()?, self.shredded_domains()?);
        let rebuilt = self.parts.store.rebuild(&records, &removed, &shredded);
        let rebuilt = rebuilt.map_err(store_problem)?;
        let lacking = rebuilt.lacking.iter();
        let entries = lacking.filter_map(|record| valid.get(record).copied());
        Ok((entries.collect(), rebuilt.damaged))
    }

    /// Makes the whole index anew: places from the packs, and the view from the ledger. Returns what is to be told
    /// where the ledger names what no pack has.
    pub(crate) fn index_anew(&self) -> Result<Option<Problem>, Problem> {
        self.make_view_anew()?;
        let (lacking, damaged) = self.rebuild()?;
        if let Some(error) = damaged {
            return Ok(Some(problem::lacking(&error)));
        }
        if lacking.is_empty() {
            return Ok(None);
        }
        let entries: Vec<_> = lacking.iter().map(ToString::to_string).collect();
        let problem = Problem::new(
            code::STORE_011,
            "the store lacks versions that the ledger names",
        );
        Ok(Some(problem
            .because(format!("made valid by the entries {}", entries.join(", ")))
            .hint("put the missing files of the folder `packs` back from a copy, then run `custody index rebuild`; what else there is can be used")))
    }

    /// Returns the number of the artifact's next version: no entry of the ledger names it, and nothing that
    /// waits for its entry has it.
    pub(crate) fn next_number(&self, artifact: &ArtifactName) -> Result<VersionNumber, Problem> {
        let free = self.parts.store.next_number(artifact);
        let free = free.map_err(store_problem)?;
        let highest = self.highest(artifact)?;
        Ok(highest.map_or(free, |highest| free.max(highest.number.next())))
    }

    /// Finishes or undoes what is staged: what the ledger names is a version, anything else is none.
    pub(crate) fn settle_staged(&self) -> Result<(), Problem> {
        let staged = self.parts.store.staged().map_err(store_problem)?;
        let names: Vec<_> = staged.into_iter().map(|(name, _)| name).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.parts.store.unstage(&names).map_err(store_problem)
    }

    /// Enters of each grant that has no outcome that none is known: the process to which it was given ended
    /// before it could say. Called before anything is granted.
    pub(crate) fn conclude_open(&self) -> Result<(), Problem> {
        self.parts
            .ledger
            .flush()
            .map_err(|error| problem::ledger(&error))?;
        let open = self.open_grants()?;
        let ledger = self.parts.ledger.snapshot();
        for places in open.chunks(AT_ONCE) {
            let mut drafts = Vec::new();
            for index in places {
                let entry = read_entry(&ledger, *index)?;
                // A later version of the program grants more than this one knows.
                drafts.extend(entry.action().map(|action: Action| EntryDraft {
                    id: self.new_id(),
                    project: entry.project,
                    action,
                    phase: Phase::Outcome,
                    subject: entry.subject,
                    objects: entry.objects,
                    decision: None,
                    purpose: entry.purpose,
                    outcome: Some(Outcome::Unknown),
                    error: None,
                    lineage: entry.lineage,
                    facts: BTreeMap::new(),
                    relates_to: Some(entry.id),
                }));
            }
            if !drafts.is_empty() {
                self.append_all(drafts)?;
            }
        }
        Ok(())
    }

    /// Returns the version as the ledger has it, whatever was known of its quarantine before.
    pub(crate) fn confirmed(&self, version: Version) -> Result<Version, Problem> {
        Ok(Version {
            quarantined: self.is_held(&version.name(), &version.record.digest)?,
            ..version
        })
    }

    /// Finds the versions of the project that have this content.
    pub(crate) fn with_content(
        &self,
        project: &ProjectName,
        content: &Digest,
    ) -> Result<Vec<Version>, Problem> {
        let mut versions = Vec::new();
        for name in self.names_of(project, content)? {
            versions.extend(self.resolve(&name.into())?);
        }
        Ok(versions)
    }

    /// Returns the held content that a tree has the bytes of: all of them, or a file. Empty files are in
    /// many versions and hold none. Called by who makes versions one at a time.
    pub(crate) fn held_content(
        &self,
        project: &ProjectName,
        tree: &Tree,
    ) -> Result<Option<Digest>, Problem> {
        if self.hold(project, &tree.digest)?.is_some() {
            return Ok(Some(tree.digest));
        }
        let held = self.held_contents(project)?;
        let key = |digest: Digest| (project.clone(), digest);
        for content in &held {
            if lock(&self.held_files).known.contains(&key(*content)) {
                continue;
            }
            // They have the same files; one will do.
            let name = self.names_of(project, content)?.pop();
            let version = name.map(|name| self.resolve(&name.into())).transpose()?;
            // Bytes that are lost cannot be compared; `verify --all` names them.
            let files = version.flatten().map(|one| self.parts.store.files(&one));
            let files = files.map(unless_lost).transpose()?.flatten();
            let mut known = lock(&self.held_files);
            for file in files.iter().flat_map(|files| files.files()) {
                if file.size.bytes() > 0 {
                    let of = known.files.entry(key(file.sha256)).or_default();
                    of.insert(*content);
                }
            }
            known.known.insert(key(*content));
        }
        let known = lock(&self.held_files);
        let mut shared = tree
            .files
            .iter()
            .filter_map(|file| known.files.get(&key(file.sha256)))
            .flatten();
        Ok(shared.find(|content| held.contains(content)).copied())
    }
}

/// Returns what was read; nothing where it is lost. A storage that does not answer now says nothing about what it holds.
fn unless_lost<T>(read: Result<T, StoreError>) -> Result<Option<T>, Problem> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::Damaged { .. } | StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(problem::store(&error)),
    }
}

#[cfg(test)]
mod tests {
    use custody_store::BlobError;

    use super::*;

    /// What is in quarantine is compared with what comes: bytes that cannot be read for the moment are no reason to let in
    /// what has them.
    #[test]
    fn a_storage_that_fails_is_not_taken_for_lost_bytes() {
        let name = || "pack".to_owned();
        let failed = BlobError::Failed {
            name: name(),
            source: std::io::Error::other("a fault"),
        };
        let cases: [(StoreError, bool); 4] = [
            (failed.into(), false),
            (BlobError::NoSpace { name: name() }.into(), false),
            (BlobError::Missing { name: name() }.into(), true),
            (BlobError::Short { name: name() }.into(), true),
        ];
        for (error, lost) in cases {
            let read = unless_lost::<()>(Err(error));
            assert_eq!(read.is_ok(), lost, "{read:?}");
        }
        assert!(matches!(unless_lost(Ok(1)), Ok(Some(1))));
    }
}
