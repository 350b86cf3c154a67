//! What the ledger says of versions, and the index made from it.
//!
//! The index is a cache beside the packs, authenticated by nothing: every decision that could rest on it is
//! confirmed here against the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use custody_ledger::{Entry, Outcome};
use custody_store::Version;
use custody_types::{
    Action, Alias, ArtifactName, Digest, Problem, ProjectName, VersionName, VersionNumber, code,
};

use crate::door::{Inner, LOOKED_THROUGH};
use crate::holds::{Holds, Told};
use crate::problem;
use crate::vendor::CHECK;

/// What the ledger says of versions beside that they are.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) aliases: BTreeMap<(ArtifactName, Alias), VersionNumber>,
    /// The versions whose quarantine an entry changed.
    touched: BTreeSet<VersionName>,
    /// The contents whose quarantine an entry changed, by project.
    touched_contents: BTreeSet<(String, Digest)>,
    /// The last entry of a step that came to the version again.
    pub(crate) named: BTreeMap<VersionName, u64>,
    /// What the last contract said of a content: in which project, whether it was passed, the statement.
    pub(crate) contracts: BTreeMap<(String, Digest), (bool, Option<Digest>)>,
    /// The statement of the last scan, by version.
    pub(crate) scans: BTreeMap<VersionName, Digest>,
    /// The statements about each content, by project.
    pub(crate) statements: BTreeMap<(String, Digest), BTreeSet<(u64, Digest)>>,
}

impl Marks {
    fn take(&mut self, index: u64, entry: &Entry) {
        let named = |fact: &str| entry.facts.get(fact)?.parse::<VersionName>().ok();
        let digest = |fact: &str| entry.facts.get(fact)?.parse::<Digest>().ok();
        let object = entry.objects.first();
        let version = object.and_then(|object| object.name.parse::<VersionName>().ok());
        let content = object.and_then(|object| object.digest);
        self.touched
            .extend([QUARANTINE, RELEASE].into_iter().filter_map(named));
        if let Some((project, content, passed)) = Told::of_entry(entry).contract() {
            let told = (passed, entry.lineage.statement);
            self.contracts.insert((project.clone(), content), told);
            self.touched_contents.insert((project, content));
        } else if (named(QUARANTINE).or(named(RELEASE)).is_some())
            && let (Some(project), Some(content)) = (&entry.project, content)
        {
            self.touched_contents.insert((project.clone(), content));
        }
        if entry.outcome != Some(Outcome::Ok) {
            return;
        }
        if entry.action() == Some(Action::RunStep) {
            let names = entry.facts.get(NAMED).into_iter();
            let names = names.flat_map(|names| names.split(' '));
            let names = names.filter_map(|name| name.parse::<VersionName>().ok());
            self.named.extend(names.map(|name| (name, index)));
        }
        if let (Some(version), Some(scan)) = (&version, digest(SCAN_FACT)) {
            self.scans.insert(version.clone(), scan);
        }
        if let (Some(project), Some(content)) = (&entry.project, content) {
            let told = [entry.lineage.statement, digest(SCAN_FACT), digest(CHECK)];
            self.statements
                .entry((project.clone(), content))
                .or_default()
                .extend(told.into_iter().flatten().map(|digest| (index, digest)));
        }
        if entry.action() == Some(Action::SetAlias) {
            let alias = entry.facts.get("alias").and_then(|text| text.parse().ok());
            if let (Some(version), Some(alias)) = (version, alias) {
                self.aliases
                    .insert((version.artifact, alias), version.number);
            }
        }
    }
}

/// The fact that names a version that goes into quarantine.
pub(crate) const QUARANTINE: &str = "quarantine";
/// The fact that names a version that comes out of it.
pub(crate) const RELEASE: &str = "release";
/// The fact that names the statement of a scan.
pub(crate) const SCAN_FACT: &str = "scan";
/// The fact that names the versions that a step came to, separated by blanks.
pub(crate) const NAMED: &str = "named";
/// The fact that names the findings of a scan that were approved.
pub(crate) const FINDINGS: &str = "findings";

impl Inner {
    /// Finds the version records that the ledger makes valid, with their entries.
    pub(crate) fn valid_records(&self) -> Result<BTreeMap<Digest, u64>, Problem> {
        self.records_from(0)
    }

    /// Finds the version records that the entries from `start` on make valid.
    pub(crate) fn records_from(&self, start: u64) -> Result<BTreeMap<Digest, u64>, Problem> {
        let mut valid = BTreeMap::new();
        self.each_entry(start, &mut |index, entry| {
            valid.extend(record_of(entry).map(|digest| (digest, index)));
        })?;
        Ok(valid)
    }

    /// Returns the policies by which the last of the newest entries was decided.
    pub(crate) fn last_policies(&self) -> Result<Option<Digest>, Problem> {
        let start = self.parts.ledger.size().saturating_sub(LOOKED_THROUGH);
        let mut last = None;
        self.each_entry(start, &mut |_, entry| {
            last = entry.decision.as_ref().map(|made| made.set).or(last);
        })?;
        Ok(last)
    }

    /// Returns the record of the version that the last `change` made: of the policies, or of the rules.
    pub(crate) fn named_last(&self, change: Action) -> Result<Option<Digest>, Problem> {
        let mut last = None;
        self.each_entry(0, &mut |_, entry| {
            if entry.action() == Some(change) {
                last = record_of(entry).or(last);
            }
        })?;
        Ok(last)
    }

    /// Makes the index anew from the packs and the ledger. Returns the versions that are there, and what is
    /// to be told where the ledger names others.
    pub(crate) fn rebuild(&self) -> Result<(Vec<Version>, Option<Problem>), Problem> {
        let valid = self.valid_records()?;
        let mut holds = Holds::default();
        self.each_entry(0, &mut |index, entry| {
            holds.take(index, &Told::of_entry(entry));
        })?;
        let rebuilt = self
            .parts
            .store
            .rebuild(&valid, &|name, content| holds.in_quarantine(name, content))
            .map_err(|error| problem::store(&error))?;
        let versions = rebuilt.versions;
        let mut lacking = rebuilt.damaged.map(|error| problem::lacking(&error));
        if lacking.is_none() && versions.len() < valid.len() {
            let found: BTreeSet<_> = versions
                .iter()
                .map(|version| version.record_digest)
                .collect();
            let missing: Vec<_> = valid
                .iter()
                .filter(|(record, _)| !found.contains(record))
                .map(|(_, entry)| entry.to_string())
                .collect();
            let problem = Problem::new(
                code::STORE_011,
                "the store lacks versions that the ledger names",
            );
            lacking = Some(problem
                .because(format!("made valid by the entries {}", missing.join(", ")))
                .hint("put the missing files of the folder `packs` back from a copy, then run `custody index rebuild`; what else there is can be used"));
        }
        self.replay_marks(0)?;
        let mut steps = Vec::new();
        self.each_entry(0, &mut |_, entry| {
            let key = entry
                .facts
                .get("step_key")
                .and_then(|text| text.parse::<Digest>().ok());
            let project = entry
                .project
                .as_deref()
                .and_then(|text| text.parse::<ProjectName>().ok());
            if entry.outcome == Some(Outcome::Ok)
                && let (Some(key), Some(project), Some(statement)) =
                    (key, project, entry.lineage.statement)
            {
                steps.push((project, key, statement));
            }
        })?;
        for (project, key, statement) in steps {
            self.parts
                .store
                .set_step(&project, &key, &statement)
                .map_err(|error| problem::store(&error))?;
        }
        Ok((versions, lacking))
    }

    /// Hands every entry from `start` on to `each`.
    pub(crate) fn each_entry(
        &self,
        start: u64,
        each: &mut dyn FnMut(u64, &Entry),
    ) -> Result<(), Problem> {
        self.each_entry_of(start..u64::MAX, each)
    }

    /// Hands every entry in `range` on to `each`.
    pub(crate) fn each_entry_of(
        &self,
        range: Range<u64>,
        each: &mut dyn FnMut(u64, &Entry),
    ) -> Result<(), Problem> {
        let mut wrong = None;
        self.parts
            .ledger
            .snapshot()
            .entries(range.start, range.end, &mut |index, bytes| {
                match Entry::parse(bytes) {
                    Ok(entry) => each(index, &entry),
                    Err(because) => wrong = Some((index, because)),
                }
                wrong.is_none()
            })
            .map_err(|error| problem::ledger(&error))?;
        match wrong {
            Some((index, because)) => Err(Problem::new(
                code::LEDGER_005,
                format!("entry {index} cannot be read"),
            )
            .because(because)),
            None => Ok(()),
        }
    }

    /// Returns where the entries from `start` on left the aliases, and what they put into quarantine.
    pub(crate) fn marks(&self, start: u64) -> Result<Marks, Problem> {
        let mut marks = Marks::default();
        self.each_entry(start, &mut |index, entry| marks.take(index, entry))?;
        Ok(marks)
    }

    /// Marks in the index what the entries from `start` on say.
    pub(crate) fn replay_marks(&self, start: u64) -> Result<(), Problem> {
        let marks = self.marks(start)?;
        let store = &self.parts.store;
        let store_problem = |error| problem::store(&error);
        for (project, content) in &marks.touched_contents {
            if let Ok(project) = project.parse() {
                self.settle(&project, content)?;
            }
        }
        for name in &marks.touched {
            if let Ok(version) = store.resolve(&name.clone().into()) {
                self.settle(name.artifact.project(), &version.record.digest)?;
            }
        }
        for (version, entry) in &marks.named {
            store.set_named(version, *entry).map_err(store_problem)?;
        }
        for ((artifact, alias), number) in &marks.aliases {
            store
                .set_alias(artifact, alias, *number)
                .map_err(|error| problem::store(&error))?;
        }
        Ok(())
    }
}

/// Returns the version record that an entry makes valid.
pub(crate) fn record_of(entry: &Entry) -> Option<Digest> {
    entry
        .facts
        .get("record")
        .filter(|_| entry.outcome == Some(Outcome::Ok))
        .and_then(|text| text.parse().ok())
}
