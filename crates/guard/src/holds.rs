//! What is held in quarantine, and which grants have no outcome, as the ledger says it.
//!
//! Quarantine holds by content: a batch that broke its contract is held in its project, whatever version has
//! its bytes, until an approval or a passing contract lets it out. A model that a scan left to a person is
//! held as that version.
//!
//! INVARIANT: nothing is decided by the index. What is held follows from the ledger's entries alone. So that
//! not all of them are read at each start, what they said up to a checkpoint is kept as a note, authenticated
//! by a key of the workspace and bound to that checkpoint; only the entries after it are read.

use std::collections::{BTreeMap, BTreeSet};

use custody_crypto::pseudonym;
use custody_ledger::{Entry, EntryDraft, LedgerError, Lineage, Object, Outcome, Phase};
use custody_store::{StoreError, Tree, Version, VersionRow};
use custody_tlog::checkpoint::Checkpoint;
use custody_types::{
    Action, ArtifactName, Digest, Problem, ProjectName, VersionName, VersionNumber,
};
use serde::{Deserialize, Serialize};

use crate::door::{Inner, lock};
use crate::index::{FINDINGS, QUARANTINE, RELEASE};
use crate::problem;

/// The fact that names the dataset whose contract was passed.
pub(crate) const PASSED: &str = "passed";
/// The fact that names the content of the dataset that a contract was about.
pub(crate) const CONTENT: &str = "content";
/// The fact that names the held content for which a version goes into quarantine.
pub(crate) const HELD: &str = "held";
/// The fact that names the step whose contract was broken.
const STEP_KEY: &str = "step_key";
/// The fact that names what is approved of a dataset: the step key of the contract that it breaks.
pub(crate) const CONTRACT: &str = "contract";
/// The name of the note in the index.
const NOTE: &str = "quarantine";
/// The format of the note; one of another format is made anew.
const NOTE_FORMAT: u8 = 3;
/// The use of the key that authenticates the note.
const NOTE_KEY: &str = "custody 2026 what the ledger says of quarantine";
/// How many entries may come after the note before it is written anew.
const BEHIND: u64 = 64;

/// Why a content is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The entry that put it there.
    pub(crate) entry: u64,
    /// The version that broke its contract, or has a file of one that did.
    pub(crate) version: VersionName,
    /// The statement about the check.
    pub(crate) statement: Option<Digest>,
    /// The step key of the check.
    pub(crate) step_key: Option<Digest>,
    /// The held content of which it has a file.
    pub(crate) shares: Option<Digest>,
}

/// An approval of content that breaks a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The ledger entry of the approval.
    pub entry: u64,
    /// The signed statement that says who approved it and why.
    pub statement: Option<Digest>,
}

/// What is held.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// Versions that a scan holds.
    names: BTreeSet<VersionName>,
    /// Contents by project.
    contents: BTreeMap<(String, Digest), Hold>,
    /// Which findings of which content were approved in which project.
    approved: BTreeSet<(String, Digest, Digest)>,
    /// Which broken contract of which content was approved in which project.
    waived: BTreeMap<(String, Digest, Digest), Waiver>,
    /// Files of held contents, by project, with the content. Filled when something is made.
    files: BTreeMap<(String, Digest), Digest>,
    /// Of which contents the files are known.
    filed: BTreeSet<(String, Digest)>,
    /// The entries of the grants that have no outcome, by the grant's id.
    open: BTreeMap<String, u64>,
    /// The highest number of each artifact.
    highest: BTreeMap<ArtifactName, VersionNumber>,
    /// The version records that were made valid.
    records: Records,
    /// Those of them that no pack held when the index was made anew.
    lacking: Records,
    /// How far the note goes that was read or written.
    noted: u64,
}

/// The note, as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    v: u8,
    /// The signed checkpoint up to which it goes.
    checkpoint: String,
    names: BTreeSet<VersionName>,
    contents: Vec<(String, Digest, Hold)>,
    approved: BTreeSet<(String, Digest, Digest)>,
    waived: Vec<(String, Digest, Digest, Waiver)>,
    open: BTreeMap<String, u64>,
    highest: BTreeMap<ArtifactName, VersionNumber>,
    records: Records,
    lacking: Records,
}

/// How many version records there are, and the sum of their digests: two sets that differ differ in this.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Records {
    count: u64,
    sum: [u64; 4],
}

impl Records {
    pub(crate) fn of(rows: &[VersionRow]) -> Self {
        Self::of_digests(rows.iter().map(|row| row.record))
    }

    fn of_digests(records: impl Iterator<Item = Digest>) -> Self {
        let mut all = Self::default();
        records.for_each(|record| all.add(record));
        all
    }

    fn add(&mut self, record: Digest) {
        self.count += 1;
        let (words, _) = record.as_bytes().as_chunks::<8>();
        for (sum, word) in self.sum.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*word));
        }
    }

    /// Returns those that are not among `others`, all of which are among these.
    fn without(mut self, others: Self) -> Self {
        self.count = self.count.wrapping_sub(others.count);
        for (sum, other) in self.sum.iter_mut().zip(others.sum) {
            *sum = sum.wrapping_sub(other);
        }
        self
    }
}

/// What an entry says that matters here.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    id: &'a str,
    phase: Phase,
    relates_to: Option<&'a str>,
    action: Option<Action>,
    outcome: Option<Outcome>,
    project: Option<&'a str>,
    objects: &'a [Object],
    lineage: &'a Lineage,
    facts: &'a BTreeMap<String, String>,
}

impl<'a> Told<'a> {
    pub(crate) fn of_entry(entry: &'a Entry) -> Self {
        Self {
            id: &entry.id,
            phase: entry.phase,
            relates_to: entry.relates_to.as_deref(),
            action: entry.action(),
            outcome: entry.outcome,
            project: entry.project.as_deref(),
            objects: &entry.objects,
            lineage: &entry.lineage,
            facts: &entry.facts,
        }
    }

    pub(crate) fn of_draft(draft: &'a EntryDraft) -> Self {
        Self {
            id: &draft.id,
            phase: draft.phase,
            relates_to: draft.relates_to.as_deref(),
            action: Some(draft.action),
            outcome: draft.outcome,
            project: draft.project.as_deref(),
            objects: &draft.objects,
            lineage: &draft.lineage,
            facts: &draft.facts,
        }
    }

    fn version(&self, fact: &str) -> Option<VersionName> {
        self.facts.get(fact)?.parse().ok()
    }

    fn digest(&self, fact: &str) -> Option<Digest> {
        self.facts.get(fact)?.parse().ok()
    }

    /// Returns the version that the entry makes valid, and the digest of its record.
    fn made(&self) -> Option<(VersionName, Digest)> {
        let made = self
            .digest("record")
            .filter(|_| self.outcome == Some(Outcome::Ok));
        let name = self.objects.first()?.name.parse().ok();
        name.zip(made)
    }

    /// Returns the content that a contract was about: the only input of the check, where older entries do
    /// not say it.
    fn checked(&self) -> Option<Digest> {
        let input = self.lineage.inputs.first().copied();
        self.digest(CONTENT).or(input)
    }

    /// Returns the project and content that a contract of this entry was about.
    pub(crate) fn contract(&self) -> Option<(String, Digest, bool)> {
        if self.action != Some(Action::RunStep) {
            return None;
        }
        let passed = self.facts.contains_key(PASSED) && self.outcome == Some(Outcome::Ok);
        if !passed && !self.facts.contains_key(QUARANTINE) {
            return None;
        }
        Some((self.project?.to_owned(), self.checked()?, passed))
    }
}

impl Holds {
    /// Takes in what an entry says. Those that matter to quarantine come in the order of the ledger.
    pub(crate) fn take(&mut self, index: u64, told: &Told<'_>) {
        match (told.phase, told.relates_to) {
            (Phase::Grant, _) if told.outcome.is_none() => {
                self.open.insert(told.id.to_owned(), index);
            }
            (Phase::Outcome, Some(grant)) => self.concluded(grant),
            _ => {}
        }
        if let Some((name, record)) = told.made() {
            self.records.add(record);
            let highest = self.highest.entry(name.artifact).or_insert(name.number);
            *highest = name.number.max(*highest);
        }
        let ok = told.outcome == Some(Outcome::Ok);
        let object = told.objects.first().and_then(|object| object.digest);
        if let Some((project, content, passed)) = told.contract() {
            let key = (project.clone(), content);
            if passed {
                self.contents.remove(&key);
                return;
            }
            let step_key = told.digest(STEP_KEY);
            let waived = step_key
                .is_some_and(|step_key| self.waived.contains_key(&(project, content, step_key)));
            if let Some(version) = told.version(QUARANTINE).filter(|_| !waived) {
                let hold = Hold {
                    entry: index,
                    version,
                    statement: told.lineage.statement,
                    step_key,
                    shares: None,
                };
                self.contents.insert(key, hold);
            }
            return;
        }
        if let Some(name) = told.version(QUARANTINE) {
            let held = told.digest(HELD).zip(object);
            if let (Some((shares, content)), Some(project)) = (held, told.project) {
                let hold = Hold {
                    entry: index,
                    version: name.clone(),
                    statement: None,
                    step_key: None,
                    shares: Some(shares),
                };
                // The bytes of what is held are held for the reason that is known.
                self.contents
                    .entry((project.to_owned(), content))
                    .or_insert(hold);
            }
            if told.facts.contains_key(crate::index::SCAN_FACT) && waits(told) {
                self.names.insert(name);
            }
        }
        if !ok {
            return;
        }
        let approval = told.action == Some(Action::Approve);
        if let Some(name) = told.version(RELEASE)
            && !(approval && told.facts.contains_key(CONTRACT))
        {
            self.names.remove(&name);
        }
        if !approval {
            return;
        }
        let Some((project, content)) = told.project.map(ToOwned::to_owned).zip(object) else {
            return;
        };
        if let Some(findings) = told.digest(FINDINGS) {
            self.approved.insert((project.clone(), content, findings));
        }
        if told.facts.contains_key(CONTRACT) {
            self.contents.remove(&(project.clone(), content));
            if let Some(step_key) = told.digest(CONTRACT) {
                let statement = told.lineage.statement;
                let waiver = Waiver {
                    entry: index,
                    statement,
                };
                self.waived.insert((project, content, step_key), waiver);
            }
        }
    }

    /// Returns the version records that the index must have.
    pub(crate) fn due(&self) -> Records {
        self.records.without(self.lacking)
    }

    /// Notes that the packs hold no version records but those of `there`.
    pub(crate) fn note_there(&mut self, there: &[Version]) {
        let there = there.iter().map(|version| version.record_digest);
        self.lacking = self.records.without(Records::of_digests(there));
    }

    /// Returns how far the note goes that was read or written.
    pub(crate) const fn noted(&self) -> u64 {
        self.noted
    }

    /// Notes that the outcome of a grant is entered, or handed over.
    pub(crate) fn concluded(&mut self, grant: &str) {
        self.open.remove(grant);
    }

    /// Returns whether a scan holds the version.
    pub(crate) fn scan_holds(&self, name: &VersionName) -> bool {
        self.names.contains(name)
    }

    /// Returns why the content is held in the project, if it is.
    pub(crate) fn hold(&self, project: &ProjectName, content: &Digest) -> Option<&Hold> {
        self.contents.get(&(project.to_string(), *content))
    }

    /// Returns whether a version is in quarantine.
    pub(crate) fn in_quarantine(&self, name: &VersionName, content: &Digest) -> bool {
        self.scan_holds(name) || self.hold(name.artifact.project(), content).is_some()
    }

    /// Returns whether these findings in this content were approved in the project.
    pub(crate) fn is_approved(
        &self,
        project: &ProjectName,
        content: Digest,
        findings: Digest,
    ) -> bool {
        self.approved
            .contains(&(project.to_string(), content, findings))
    }

    /// Returns the approval of this content for all that it breaks the contract of this step key, if there is one.
    pub(crate) fn waiver(
        &self,
        project: &ProjectName,
        content: Digest,
        step_key: Digest,
    ) -> Option<Waiver> {
        let key = (project.to_string(), content, step_key);
        self.waived.get(&key).copied()
    }

    fn note(&self, checkpoint: String) -> Note {
        let contents = self.contents.iter();
        let waived = self.waived.iter();
        Note {
            v: NOTE_FORMAT,
            checkpoint,
            names: self.names.clone(),
            contents: contents
                .map(|((project, content), hold)| (project.clone(), *content, hold.clone()))
                .collect(),
            approved: self.approved.clone(),
            waived: waived
                .map(|((project, content, key), waiver)| (project.clone(), *content, *key, *waiver))
                .collect(),
            open: self.open.clone(),
            highest: self.highest.clone(),
            records: self.records,
            lacking: self.lacking,
        }
    }

    fn of_note(note: Note, noted: u64) -> Self {
        let contents = note.contents.into_iter();
        let waived = note.waived.into_iter();
        Self {
            names: note.names,
            contents: contents
                .map(|(project, content, hold)| ((project, content), hold))
                .collect(),
            approved: note.approved,
            waived: waived
                .map(|(project, content, key, waiver)| ((project, content, key), waiver))
                .collect(),
            open: note.open,
            highest: note.highest,
            records: note.records,
            lacking: note.lacking,
            noted,
            ..Self::default()
        }
    }
}

/// Older entries have one reason for quarantine; newer ones say whether the scan is it.
fn waits(told: &Told<'_>) -> bool {
    !told.facts.contains_key(HELD) || told.facts.contains_key(WAITS)
}

/// The fact that the scan, too, holds a version that is held for its content.
pub(crate) const WAITS: &str = "waits";

fn store_problem(error: StoreError) -> Problem {
    problem::store(&error)
}

impl Inner {
    /// Reads what is held: the note where it is sound, and the entries after it.
    pub(crate) fn load_holds(&self) -> Result<(), Problem> {
        let mut holds = self.noted_holds()?;
        self.each_entry(holds.noted, &mut |index, entry| {
            holds.take(index, &Told::of_entry(entry));
        })?;
        *lock(&self.holds) = holds;
        Ok(())
    }

    /// Reads the note. One that is not there, not this workspace's, or of another ledger is worth nothing.
    fn noted_holds(&self) -> Result<Holds, Problem> {
        let Some(text) = self.parts.store.note(NOTE).map_err(store_problem)? else {
            return Ok(Holds::default());
        };
        let sound = || {
            let (tag, text) = text.split_once('\n')?;
            let note: Note = serde_json::from_str(text).ok()?;
            let own = tag == self.note_tag(text) && note.v == NOTE_FORMAT;
            let ledger = self.parts.ledger.snapshot();
            ledger.extends(&note.checkpoint).ok().filter(|()| own)?;
            let checkpoint = Checkpoint::open(&note.checkpoint, ledger.verifier()).ok()?;
            Some(Holds::of_note(note, checkpoint.size))
        };
        Ok(sound().unwrap_or_default())
    }

    fn note_tag(&self, text: &str) -> String {
        pseudonym(&self.parts.pseudonyms.derive(NOTE_KEY), text)
    }

    /// Returns the number of the artifact's next version: no entry of the ledger names it, and nothing that
    /// waits for its entry has it.
    pub(crate) fn next_number(&self, artifact: &ArtifactName) -> Result<VersionNumber, Problem> {
        let free = self
            .parts
            .store
            .next_number(artifact)
            .map_err(store_problem)?;
        let highest = lock(&self.holds).highest.get(artifact).copied();
        Ok(highest.map_or(free, |highest| free.max(highest.next())))
    }

    /// Writes the note anew where many entries came after it. Without it they are read again.
    pub(crate) fn keep_holds(&self) {
        let mut holds = lock(&self.holds);
        let ledger = self.parts.ledger.snapshot();
        let size = ledger.size();
        if size.saturating_sub(holds.noted) < BEHIND {
            return;
        }
        let note = holds.note(ledger.checkpoint().to_owned());
        if let Ok(text) = serde_json::to_string(&note) {
            let sealed = format!("{}\n{text}", self.note_tag(&text));
            if self.parts.store.set_note(NOTE, &sealed).is_ok() {
                holds.noted = size;
            }
        }
    }

    /// Enters of each grant that has no outcome that none is known: the process to which it was given ended
    /// before it could say. Called before anything is granted.
    pub(crate) fn conclude_open(&self) -> Result<(), Problem> {
        const AT_ONCE: usize = 100;
        let open: Vec<_> = lock(&self.holds).open.values().copied().collect();
        let ledger = self.parts.ledger.snapshot();
        for places in open.chunks(AT_ONCE) {
            let mut drafts = Vec::new();
            for index in places {
                let entry = ledger.entry(*index);
                let entry = entry.map_err(|error| problem::ledger(&error))?;
                let entry = Entry::parse(&entry).map_err(|because| {
                    problem::ledger(&LedgerError::Damaged {
                        file: format!("entry {index}"),
                        because,
                    })
                })?;
                // A later version of the program grants more than this one knows.
                drafts.extend(entry.action().map(|action| EntryDraft {
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

    /// Returns the version as the ledger has it, whatever the index says of its quarantine.
    pub(crate) fn confirmed(&self, version: Version) -> Version {
        let name = version.name();
        Version {
            quarantined: lock(&self.holds).in_quarantine(&name, &version.record.digest),
            ..version
        }
    }

    /// Marks in the index whether the versions with this content are in quarantine.
    pub(crate) fn settle(&self, project: &ProjectName, content: &Digest) -> Result<(), Problem> {
        for version in self.with_content(project, content)? {
            let name = version.name();
            let held = lock(&self.holds).in_quarantine(&name, content);
            let store = &self.parts.store;
            store.set_quarantine(&name, held).map_err(store_problem)?;
        }
        Ok(())
    }

    /// Finds the versions of the project that have this content.
    pub(crate) fn with_content(
        &self,
        project: &ProjectName,
        content: &Digest,
    ) -> Result<Vec<Version>, Problem> {
        let mut versions = self.parts.store.by_digest(content).map_err(store_problem)?;
        versions.retain(|version| version.record.artifact.project() == project);
        Ok(versions)
    }

    /// Returns the held content that a tree has the bytes of: all of them, or a file. Empty files are in
    /// many versions and hold none. Called by who makes versions one at a time.
    pub(crate) fn held_content(
        &self,
        project: &ProjectName,
        tree: &Tree,
    ) -> Result<Option<Digest>, Problem> {
        if lock(&self.holds).hold(project, &tree.digest).is_some() {
            return Ok(Some(tree.digest));
        }
        let key = |digest: Digest| (project.to_string(), digest);
        let unknown: Vec<Digest> = {
            let holds = lock(&self.holds);
            let held = holds
                .contents
                .keys()
                .filter(|(of, _)| *of == project.as_str());
            let unknown = held.filter(|held| !holds.filed.contains(*held));
            unknown.map(|(_, content)| *content).collect()
        };
        for content in unknown {
            let version = self.with_content(project, &content)?.pop();
            // Bytes that are lost cannot be compared; `verify --all` names them.
            let files = version.and_then(|version| self.parts.store.files(&version).ok());
            let mut holds = lock(&self.holds);
            for file in files.iter().flat_map(|files| files.files()) {
                if file.size.bytes() > 0 {
                    holds.files.insert(key(file.sha256), content);
                }
            }
            holds.filed.insert(key(content));
        }
        let holds = lock(&self.holds);
        let of = |file: &custody_types::FileEntry| holds.files.get(&key(file.sha256)).copied();
        let mut found = tree.files.iter().filter_map(of);
        Ok(found.find(|content| holds.hold(project, content).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use custody_ledger::Phase;
    use custody_types::ActorKind;

    use super::*;

    fn draft(
        action: Action,
        outcome: Outcome,
        facts: &[(&str, &str)],
        content: &str,
    ) -> EntryDraft {
        let content = Digest::of(content.as_bytes());
        EntryDraft {
            id: String::new(),
            project: Some("p".to_owned()),
            action,
            phase: Phase::Outcome,
            subject: custody_ledger::Subject {
                kind: ActorKind::User,
                reference: String::new(),
                via: String::new(),
                behind: None,
            },
            objects: vec![Object {
                kind: "artifact".to_owned(),
                name: "p/x@1".to_owned(),
                digest: Some(content),
            }],
            decision: None,
            purpose: None,
            outcome: Some(outcome),
            error: None,
            lineage: Lineage {
                inputs: vec![content],
                ..Lineage::default()
            },
            facts: facts
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            relates_to: None,
        }
    }

    fn holds(entries: &[EntryDraft]) -> Holds {
        let mut holds = Holds::default();
        for (index, entry) in (0..).zip(entries) {
            holds.take(index, &Told::of_draft(entry));
        }
        holds
    }

    #[test]
    fn only_an_approval_or_a_passing_contract_lets_a_content_out() {
        let key = Digest::of(b"key").to_string();
        let other = Digest::of(b"other").to_string();
        let broken = || {
            draft(
                Action::RunStep,
                Outcome::Error,
                &[(QUARANTINE, "p/a@1"), (STEP_KEY, &key)],
                "a",
            )
        };
        let broken_otherwise = || {
            draft(
                Action::RunStep,
                Outcome::Error,
                &[(QUARANTINE, "p/a@2"), (STEP_KEY, &other)],
                "a",
            )
        };
        let passed = |content| draft(Action::RunStep, Outcome::Ok, &[(PASSED, "p/a@1")], content);
        let failed = draft(Action::RunStep, Outcome::Error, &[(PASSED, "p/a@1")], "a");
        let approved = || {
            draft(
                Action::Approve,
                Outcome::Ok,
                &[(RELEASE, "p/a@1"), (CONTRACT, &key)],
                "a",
            )
        };
        let denied = draft(
            Action::Approve,
            Outcome::Denied,
            &[(RELEASE, "p/a@1"), (CONTRACT, &key)],
            "a",
        );
        let rescanned = draft(Action::ScanModel, Outcome::Ok, &[(RELEASE, "p/a@1")], "a");
        let copy = draft(
            Action::Write,
            Outcome::Ok,
            &[(QUARANTINE, "p/b@1"), (HELD, &Digest::of(b"a").to_string())],
            "b",
        );
        let project: ProjectName = "p".parse().unwrap();
        let check = |entries: &[EntryDraft], content: &str, held: bool| {
            let name = "p/new@9".parse().unwrap();
            let digest = Digest::of(content.as_bytes());
            assert_eq!(
                holds(entries).in_quarantine(&name, &digest),
                held,
                "{entries:?}"
            );
            let other = "q/new@9".parse().unwrap();
            assert!(!holds(entries).in_quarantine(&other, &digest));
        };
        check(&[], "a", false);
        check(&[broken()], "a", true);
        check(&[broken()], "b", false);
        check(
            &[broken(), failed, denied, rescanned, passed("b")],
            "a",
            true,
        );
        check(&[broken(), passed("a")], "a", false);
        check(&[passed("a"), broken()], "a", true);
        check(&[broken(), approved()], "a", false);
        // The same contract broken by the same bytes was approved; another was not.
        check(&[broken(), approved(), broken()], "a", false);
        check(&[broken(), approved(), broken_otherwise()], "a", true);
        // What has a file of it is held for itself.
        check(&[broken(), copy.clone()], "b", true);
        check(&[broken(), copy.clone(), passed("a")], "b", true);
        check(&[broken(), copy.clone(), passed("b")], "b", false);
        check(&[broken(), copy, passed("b")], "a", true);
        assert!(
            holds(&[broken()])
                .hold(&project, &Digest::of(b"a"))
                .is_some()
        );
    }

    #[test]
    fn a_scan_holds_a_version_until_it_is_approved_or_scanned_anew() {
        let scan = Digest::of(b"scan").to_string();
        let waits = draft(
            Action::Write,
            Outcome::Ok,
            &[(QUARANTINE, "p/m@1"), ("scan", &scan)],
            "m",
        );
        let findings = Digest::of(b"findings").to_string();
        let approved = draft(
            Action::Approve,
            Outcome::Ok,
            &[(RELEASE, "p/m@1"), (FINDINGS, &findings)],
            "m",
        );
        let contract = draft(
            Action::Approve,
            Outcome::Ok,
            &[(RELEASE, "p/m@1"), (CONTRACT, "-")],
            "m",
        );
        let (one, other) = ("p/m@1".parse().unwrap(), "p/m@2".parse().unwrap());
        let content = Digest::of(b"m");
        let held = holds(&[waits.clone(), contract]);
        assert!(held.in_quarantine(&one, &content) && !held.in_quarantine(&other, &content));
        let released = holds(&[waits, approved]);
        assert!(!released.in_quarantine(&one, &content));
        assert!(released.is_approved(&"p".parse().unwrap(), content, Digest::of(b"findings")));
    }

    #[test]
    fn a_note_says_what_the_entries_said() {
        let broken = draft(
            Action::RunStep,
            Outcome::Error,
            &[(QUARANTINE, "p/a@1")],
            "a",
        );
        let waits = draft(
            Action::Write,
            Outcome::Ok,
            &[(QUARANTINE, "p/m@1"), ("scan", "x")],
            "m",
        );
        let all = holds(&[broken, waits]);
        let text = serde_json::to_string(&all.note("checkpoint".to_owned())).unwrap();
        let read = Holds::of_note(serde_json::from_str(&text).unwrap(), 2);
        assert_eq!(
            (&read.names, &read.contents, read.noted),
            (&all.names, &all.contents, 2)
        );
    }
}
