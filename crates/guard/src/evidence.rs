//! Looking at records: what versions are, how they were made, what the ledger says. No bytes of data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use custody_attest::oms;
use custody_attest::slsa::Provenance;
use custody_attest::statement::Statement;
use custody_ledger::{Entry, Outcome};
use custody_store::{PackCheck, StoreError, Version};
use custody_tlog::tree::check_inclusion;
use custody_types::{
    Action, Digest, FileEntry, Kind, Problem, ProblemKind, ProjectName, Reference, Selector,
    VersionName, code,
};
use custody_wire::VersionView;

use crate::act::{ActionMarker, Trace, Verify};
use crate::cursor;
use crate::door::{Door, Key, lock};
use crate::gates::{dependency, role};
use crate::grant::Grant;
use crate::problem;
use crate::session::Session;
use crate::target::ResourceRef;
use crate::view::{self, read_entry};

/// The record beside a version that holds what the program of its step logged. The statement names it by its
/// digest, so that the statement can be shown to whoever may trace.
pub const FIGURES: &str = "metrics";

/// The records, as a grant lends them: those of the project that it is for, or all where it is for the workspace.
///
/// INVARIANT: what is of another project is reached by [`Evidence::reach`] alone, which asks the policy for each version
/// and enters in the ledger that the project was entered. Nothing is written through it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub(crate) door: &'a Door,
    pub(crate) session: &'a Session,
    pub(crate) scope: Scope<'a>,
}

/// What may be reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// Everything: the door itself looks, to decide.
    Door,
    /// What a grant is for.
    Granted {
        /// None: the workspace.
        project: Option<&'a ProjectName>,
        /// Whether it verifies, and does not merely look.
        verifies: bool,
        /// The other projects that were entered (`true`), or found closed.
        entered: &'a Mutex<BTreeMap<ProjectName, bool>>,
    },
}

/// Versions, and what is wrong with those whose records are not sound.
#[derive(Debug, Default)]
pub struct Sound {
    /// Those whose records are sound.
    pub versions: Vec<Version>,
    /// What is wrong with the others, with their names.
    pub broken: Vec<String>,
}

impl Sound {
    /// Returns whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.broken.is_empty()
    }
}

/// What came of a look at a version that may be of another project.
#[derive(Debug)]
pub enum Reach {
    /// It is there, and may be looked at.
    Version(Box<Version>),
    /// The policy does not let it be looked at, or it is not there and its project may not be looked at.
    Closed,
    /// There is none.
    Missing,
    /// Its project was shredded, by this ledger entry.
    Shredded(u64),
}

fn store_problem(error: StoreError) -> Problem {
    problem::store(&error)
}

impl<'a> Evidence<'a> {
    /// Lends the records to the door itself, which looks at them for a session.
    pub(crate) const fn for_door(door: &'a Door, session: &'a Session) -> Self {
        Self {
            door,
            session,
            scope: Scope::Door,
        }
    }
}

impl Evidence<'_> {
    /// Finds a version.
    ///
    /// # Errors
    /// A [`Problem`] when there is none, or its record is damaged.
    pub fn resolve(&self, reference: &Reference) -> Result<Version, Problem> {
        let found = self.find(reference)?;
        found.ok_or_else(|| problem::not_found(reference))
    }

    /// Finds a version of the project of the grant, if there is one.
    ///
    /// # Errors
    /// A [`Problem`] when its record is damaged, or it is of another project.
    pub fn find(&self, reference: &Reference) -> Result<Option<Version>, Problem> {
        self.within(reference.artifact.project())?;
        self.door.0.resolve(reference)
    }

    /// Finds a version that a statement names, wherever it is: one of another project where the policy lets it be
    /// looked at.
    ///
    /// # Errors
    /// A [`Problem`] when its record is damaged, or the ledger does not take the entry.
    pub fn reach(&self, name: &VersionName) -> Result<Reach, Problem> {
        let own = match self.scope {
            Scope::Door => true,
            Scope::Granted { project, .. } => project == Some(name.artifact.project()),
        };
        let found = match self.door.0.resolve(&name.clone().into()) {
            Ok(Some(version)) if own || self.enters(&version)? => {
                return Ok(Reach::Version(Box::new(version)));
            }
            // Whether something is there is not told by a door that is closed.
            Ok(Some(_)) => return Ok(Reach::Closed),
            Ok(None) => {
                let shredded = self.door.0.shredded(name.artifact.project())?;
                Ok(shredded.map_or(Reach::Missing, |shredded| Reach::Shredded(shredded.entry)))
            }
            Err(problem) => Err(problem),
        };
        let named = ResourceRef::Named(name.clone().into());
        let told = match found {
            // Nothing of it is left to be entered; that it was there is in the ledger.
            Ok(Reach::Shredded(_)) => {
                let facts = named.facts(None);
                let decided = self.door.0.decide(self.session, self.looks(), &facts, None);
                decided.permit
            }
            _ => self.is_of_workspace() && self.door.0.may_list_named(self.session, &named),
        };
        if own || told {
            found
        } else {
            Ok(Reach::Closed)
        }
    }

    /// Asks whether a version of another project may be looked at. That a project was entered, or found closed, is
    /// entered in the ledger once.
    fn enters(&self, version: &Version) -> Result<bool, Problem> {
        let Scope::Granted {
            project,
            verifies,
            entered,
        } = self.scope
        else {
            return Ok(true);
        };
        let permits = self.door.0.may_look(self.session, self.looks(), version);
        // A grant on the workspace says already that all of it may be entered.
        if project.is_none() {
            return Ok(permits);
        }
        let theirs = version.record.artifact.project();
        let known = lock(entered).get(theirs).copied();
        if known.is_some_and(|granted| granted || !permits) {
            return Ok(permits);
        }
        let target = ResourceRef::Version(Box::new(version.clone()));
        let asked = if verifies {
            let grant = self.door.ask::<Verify>(self.session, target);
            grant.and_then(Grant::finish)
        } else {
            let grant = self.door.ask::<Trace>(self.session, target);
            grant.and_then(Grant::finish)
        };
        // What was entered is what counts: the policies may have changed since they were looked at.
        let granted = match asked {
            Ok(()) => true,
            Err(problem) if problem.kind() == ProblemKind::Denied => false,
            Err(problem) => return Err(problem),
        };
        lock(entered).insert(theirs.clone(), granted);
        Ok(granted)
    }

    /// Returns the action by which other projects are looked at.
    fn looks(&self) -> Action {
        match self.scope {
            Scope::Granted { verifies: true, .. } => Verify::ACTION,
            _ => Trace::ACTION,
        }
    }

    fn is_of_workspace(&self) -> bool {
        matches!(self.scope, Scope::Granted { project: None, .. })
    }

    fn within(&self, wanted: &ProjectName) -> Result<(), Problem> {
        let Scope::Granted {
            project: Some(project),
            ..
        } = self.scope
        else {
            return Ok(());
        };
        if project == wanted {
            return Ok(());
        }
        Err(Problem::new(
            code::DOOR_018,
            format!("the grant is for `{project}`, and not for `{wanted}`"),
        ))
    }

    /// Whether who asks may read all the data that a statement says went in. What a program logged is theirs to see.
    ///
    /// # Errors
    /// A [`Problem`] when a record is damaged.
    pub fn may_read_inputs(&self, provenance: &Provenance) -> Result<bool, Problem> {
        let data = provenance.inputs().iter();
        let data = data.filter(|input| !["code", "environment"].contains(&role(input)));
        for (name, _) in data.filter_map(dependency) {
            let version = self.door.0.resolve(&name.into())?;
            if !version.is_some_and(|version| self.door.0.may_read(self.session, &version)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lists the versions of what the grant is for: a project, or the workspace.
    ///
    /// # Errors
    /// A [`Problem`] when a record is damaged.
    pub fn versions(&self) -> Result<Vec<Version>, Problem> {
        let inner = &self.door.0;
        let project = match self.scope {
            Scope::Door => None,
            Scope::Granted { project, .. } => project,
        };
        let listed = inner.all_listed(project)?;
        let read = listed.iter().map(|listed| inner.read(listed));
        Ok(read
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Finds the newest version of each artifact of a project that is of one of these kinds and that the session's person
    /// may list, in the order of the artifacts, at most `most`; and the cursor of those that follow. `after`: such a
    /// cursor.
    ///
    /// # Errors
    /// A [`Problem`] when a record is damaged, or the cursor is of another list.
    pub fn newest(
        &self,
        project: &ProjectName,
        kinds: &[Kind],
        after: Option<&str>,
        most: usize,
    ) -> Result<(Vec<Version>, Option<String>), Problem> {
        const READ_AT_ONCE: usize = 64;
        self.within(project)?;
        let mut after = after.map(cursor::artifact).transpose()?;
        let mut found: Vec<Version> = Vec::new();
        loop {
            let page = self
                .door
                .0
                .artifacts(project, after.as_ref(), READ_AT_ONCE)?;
            if page.is_empty() {
                return Ok((found, None));
            }
            for artifact in page {
                let newest = self.find(&Reference {
                    artifact: artifact.clone(),
                    selector: Selector::Latest,
                })?;
                after = Some(artifact);
                let wanted = |version: &Version| {
                    kinds.contains(&version.record.kind) && self.may_list(version)
                };
                let Some(version) = newest.filter(wanted) else {
                    continue;
                };
                if found.len() == most {
                    let last = found.last();
                    let next = last.map(|last| cursor::of_artifact(&last.record.artifact));
                    return Ok((found, next));
                }
                found.push(version);
            }
        }
    }

    /// Whether the session's person may list a version.
    pub fn may_list(&self, version: &Version) -> bool {
        self.door.0.may_list(self.session, version)
    }

    /// Lists all versions whose records are sound, and says what is wrong with the others: those that the session's
    /// person may list, and the others.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog fails.
    pub fn sound_versions(&self) -> Result<(Sound, Sound), Problem> {
        let inner = &self.door.0;
        let (mut shown, mut hidden) = (Sound::default(), Sound::default());
        for listed in inner.all_listed(None)? {
            match inner.read(&listed) {
                Ok(Some(version)) if inner.may_list(self.session, &version) => {
                    shown.versions.push(version);
                }
                Ok(Some(version)) => hidden.versions.push(version),
                // What the index lacks is told beside.
                Ok(None) => {}
                Err(problem) => {
                    let named = ResourceRef::Named(listed.0.clone().into());
                    let told = format!("`{}`: {}", listed.0, problem.what);
                    if inner.may_list_named(self.session, &named) {
                        shown.broken.push(told);
                    } else {
                        hidden.broken.push(told);
                    }
                }
            }
        }
        Ok((shown, hidden))
    }

    /// Compares the index with what the ledger says. Returns how many versions there are and what differs.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog or the ledger fails.
    pub fn check_index(&self) -> Result<(usize, Vec<String>), Problem> {
        let inner = &self.door.0;
        let (valid, mut broken) = inner.check_view()?;
        let catalog = inner.parts.store.catalog();
        let mut there = 0;
        // What an entry names was in the index before the entry was.
        for (record, entry) in &valid {
            let places = catalog.record(record);
            let places = places.map_err(|error| store_problem(error.into()))?;
            if places.is_empty() {
                broken.push(format!(
                    "entry {entry} names a version that the index lacks"
                ));
            } else {
                there += 1;
            }
        }
        Ok((there, broken))
    }

    /// Reads a small document.
    ///
    /// # Errors
    /// A [`Problem`] when it is missing or damaged.
    pub fn record(&self, digest: &Digest) -> Result<Vec<u8>, Problem> {
        let store = &self.door.0.parts.store;
        if let Scope::Granted {
            project: Some(_),
            entered,
            ..
        } = self.scope
        {
            let projects = store.projects_of(digest).map_err(store_problem)?;
            let is_reached =
                |project| lock(entered).get(project) == Some(&true) || self.within(project).is_ok();
            // The record is the same in each of them: who reaches one may read it.
            if !projects.iter().any(is_reached) {
                projects
                    .iter()
                    .try_for_each(|project| self.within(project))?;
            }
        }
        store.record(digest).map_err(store_problem)
    }

    /// Reads a statement after its signature was checked.
    ///
    /// # Errors
    /// A [`Problem`] when it is missing, damaged or not signed by this workspace.
    pub fn statement(&self, digest: &Digest) -> Result<Statement, Problem> {
        let envelope = self.record(digest)?;
        Statement::open(&envelope, &Key(&self.door.0.parts.signing)).map_err(|error| {
            Problem::new(
                code::ATTEST_003,
                format!("the statement {digest} does not hold"),
            )
            .because(error)
        })
    }

    /// Lists the files of a version.
    ///
    /// # Errors
    /// A [`Problem`] when its manifest is damaged.
    pub fn files(&self, version: &Version) -> Result<Vec<FileEntry>, Problem> {
        let files = self.door.0.parts.store.files(version);
        Ok(files.map_err(store_problem)?.files().to_vec())
    }

    /// Lists the signed envelopes about a version's content in its project, each with its ledger entry, in
    /// the order of the ledger: how it was made, what scans said, who approved it.
    ///
    /// # Errors
    /// A [`Problem`] when one is missing or damaged.
    pub fn envelopes(&self, version: &Version) -> Result<Vec<(u64, Vec<u8>)>, Problem> {
        let record = &version.record;
        let term = view::about(record.artifact.project().as_str(), &record.digest);
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        for (index, entry) in self.door.0.entries_of(&[vec![term]])? {
            for digest in view::statements(&entry) {
                if seen.insert(digest) {
                    found.push((index, self.record(&digest)?));
                }
            }
        }
        Ok(found)
    }

    /// Lists the versions of a project that were made in a run, in the order of artifact and number.
    ///
    /// # Errors
    /// A [`Problem`] when a record or an entry is damaged.
    pub fn made_in(&self, project: &ProjectName, run: &str) -> Result<Vec<Version>, Problem> {
        self.made_by(project, &[vec![view::run(run)]])
    }

    /// Lists the versions of a project that were made by steps into which a content went, in the order of artifact and
    /// number. What a step came to again is among them.
    ///
    /// # Errors
    /// A [`Problem`] when a record or an entry is damaged.
    pub fn made_from(
        &self,
        project: &ProjectName,
        content: &Digest,
    ) -> Result<Vec<Version>, Problem> {
        self.made_by(project, &[vec![view::input(content)]])
    }

    /// Lists the versions of a project that the entries which have these terms made or named.
    fn made_by(
        &self,
        project: &ProjectName,
        terms: &[view::AnyOf],
    ) -> Result<Vec<Version>, Problem> {
        let mut names = BTreeSet::new();
        for (_, entry) in self.door.0.entries_of(terms)? {
            let made = view::record_of(&entry).and_then(|_| entry.objects.first());
            names.extend(made.and_then(|object| object.name.parse::<VersionName>().ok()));
            let named = entry.facts.get(view::NAMED).into_iter();
            let named = named.flat_map(|names| names.split(' '));
            names.extend(named.filter_map(|name| name.parse::<VersionName>().ok()));
        }
        self.within(project)?;
        names.retain(|name| name.artifact.project() == project);
        let found = names.into_iter().map(|name| self.find(&name.into()));
        Ok(found
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Finds the statement of the last success of the step with this key.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog fails.
    pub fn step(&self, project: &ProjectName, key: &Digest) -> Result<Option<Digest>, Problem> {
        self.door.0.step(project, key)
    }

    /// Returns the entry by which the bytes of a version were removed, if they were.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog fails.
    pub fn removal(&self, version: &Version) -> Result<Option<u64>, Problem> {
        self.door.0.removal_of(version)
    }

    /// Reads every byte of a version and checks it; returns how many there were.
    ///
    /// # Errors
    /// What is wrong, in words, with the name of the file.
    pub fn check_bytes(&self, version: &Version) -> Result<u64, String> {
        self.door
            .0
            .parts
            .store
            .verify_version(version)
            .map_err(|error| error.to_string())
    }

    /// Reads every pack from end to end.
    ///
    /// # Errors
    /// A [`Problem`] when the packs cannot be listed.
    pub fn check_packs(&self) -> Result<Vec<PackCheck>, Problem> {
        self.door
            .0
            .parts
            .store
            .verify_packs(&self.door.0.shredded_domains()?)
            .map_err(store_problem)
    }

    /// Checks a model's signature against its files.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check_signature(
        &self,
        version: &Version,
        signature: &Digest,
    ) -> Result<oms::Verified, String> {
        let bundle = self
            .record(signature)
            .map_err(|problem| problem.to_string())?;
        let bundle = String::from_utf8(bundle).map_err(|error| error.to_string())?;
        let files = self
            .door
            .0
            .parts
            .store
            .files(version)
            .map_err(|error| error.to_string())?;
        oms::verify(&bundle, files.files(), &Key(&self.door.0.parts.signing))
            .map_err(|error| error.to_string())
    }

    /// Returns the id of the key that signs.
    pub fn key_id(&self) -> &str {
        self.door.0.parts.signing.public().id()
    }

    /// Checks that the ledger makes the version valid: its entry names the record and is in the tree.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check_entry(&self, version: &Version) -> Result<String, String> {
        let ledger = self.door.0.parts.ledger.snapshot();
        let text = |error: custody_ledger::LedgerError| custody_types::causes(&error);
        let bytes = ledger.entry(version.entry).map_err(text)?;
        let entry = Entry::parse(&bytes)?;
        if entry.facts.get("record") != Some(&version.record_digest.to_string())
            || entry.outcome != Some(Outcome::Ok)
        {
            return Err(format!(
                "entry {} does not name the record of `{}`",
                version.entry,
                version.name()
            ));
        }
        if entry.lineage.statement != version.record.statement {
            return Err(format!(
                "entry {} names another statement than `{}`",
                version.entry,
                version.name()
            ));
        }
        let proof = ledger.inclusion(version.entry).map_err(text)?;
        let leaf = custody_tlog::tree::leaf_hash(&bytes);
        check_inclusion(&leaf, version.entry, ledger.size(), &ledger.root(), &proof)
            .map_err(|_| format!("entry {} is not in the signed tree", version.entry))?;
        Ok(format!(
            "`{}`: entry {} of {}, proof of {} hashes",
            version.name(),
            version.entry,
            ledger.size(),
            proof.len()
        ))
    }

    /// Checks the whole ledger.
    pub fn check_ledger(&self) -> Vec<custody_wire::NamedCheck> {
        crate::reading::checks(self.door, self.door.0.parts.ledger.verify())
    }

    /// Checks what the entries of single versions are proved against, and not the ledger as a whole.
    pub fn check_ledger_head(&self) -> Vec<custody_wire::NamedCheck> {
        crate::reading::checks(self.door, self.door.0.parts.ledger.verify_head())
    }

    /// Returns a version as a reader sees it.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog fails.
    pub fn view(&self, version: &Version) -> Result<VersionView, Problem> {
        let record = &version.record;
        let aliases = self.door.0.aliases(&record.artifact)?;
        Ok(VersionView {
            name: version.name(),
            kind: record.kind,
            digest: record.digest,
            files: record.files,
            size: record.size,
            classification: record.classification,
            purposes: record.purposes.clone(),
            created: record.created,
            author: self.name_of(&record.author),
            quarantined: version.quarantined,
            rejected: version.quarantined && self.door.0.rejection(&version.name())?.is_some(),
            removed: self.removal(version)?,
            held: self.held(version)?,
            aliases: aliases
                .into_iter()
                .filter(|(_, number)| *number == record.number)
                .map(|(alias, _)| alias)
                .collect(),
            statement: record.statement,
            entry: version.entry,
        })
    }

    /// Tells why a version is in quarantine, if it is.
    fn held(&self, version: &Version) -> Result<Vec<String>, Problem> {
        let (name, record) = (version.name(), &version.record);
        let inner = &self.door.0;
        let mut why = Vec::new();
        if !version.quarantined {
            return Ok(why);
        }
        if let Some(rejection) = self.rejection(&name)? {
            why.push(rejection);
            return Ok(why);
        }
        if inner.scan_holds(&name)? {
            why.push("its scan left it to a person".to_owned());
        }
        let hold = inner.hold(record.artifact.project(), &record.digest)?;
        why.extend(hold.map(|hold| match hold.shares {
            Some(_) if hold.version == name => {
                "it has bytes of a dataset that broke its contract".to_owned()
            }
            None if hold.version == name => "its contract failed".to_owned(),
            _ => format!("it has the bytes of `{}`, which is held", hold.version),
        }));
        Ok(why)
    }

    /// Returns the name behind a pseudonym where it is that of an account and the reader may
    /// know it, else the pseudonym.
    pub fn name_of(&self, pseudonym: &str) -> String {
        let _ = self.session;
        self.door.0.name_of(pseudonym)
    }

    /// Returns short facts of an entry by name.
    ///
    /// # Errors
    /// A [`Problem`] when it is missing or damaged.
    pub fn entry_facts(&self, index: u64) -> Result<BTreeMap<String, String>, Problem> {
        let ledger = self.door.0.parts.ledger.snapshot();
        Ok(read_entry(&ledger, index)?.facts)
    }
}
