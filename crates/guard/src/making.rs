//! Making versions: files in, statements signed, entries written, then valid.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use custody_attest::statement::Statement;
use custody_ledger::{EntryDraft, Outcome};
use custody_policy::ResourceFacts;
use custody_signing::verification_policy::VerificationPolicy;
use custody_store::{StoreError, Tree, Version, VersionDraft, Writer};
use custody_types::{
    Action, ArtifactName, ByteSize, Classification, Code, Digest, FileEntry, FilePath, Kind,
    Problem, ProjectName, Purpose, VersionName, code,
};
use custody_wire::archive::read_tar;
use custody_wire::{EntryRef, SIGNATURE_KEY, ScanView, SignatureView, VersionView};

use crate::act::{ActionMarker, WriteAccess};
use crate::door::{Door, Key, who};
use crate::evidence::Evidence;
use crate::grant::Grant;
use crate::problem;
use crate::publisher::{self, PUBLISHER, Publisher};
use crate::scanning::{Scanned, refusal};
use crate::session::Session;
use crate::view::{HELD, QUARANTINE, SCAN_FACT, WAITS};

/// What a new version shall be.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// The artifact.
    pub artifact: ArtifactName,
    /// What it is.
    pub kind: Kind,
    /// How sensitive it is.
    pub classification: Classification,
    /// The purposes that it may serve; empty: any.
    pub purposes: Vec<Purpose>,
    /// Where it came from, for collected data.
    pub origin: Option<serde_json::Value>,
    /// The step that made it.
    pub step: Option<String>,
    /// Further documents by name: results, signatures.
    pub extra: BTreeMap<String, Vec<u8>>,
    /// Whether it gets an OpenSSF model signature.
    pub sign: bool,
}

impl NewVersion {
    /// Says what every version must say.
    pub const fn new(artifact: ArtifactName, kind: Kind, classification: Classification) -> Self {
        Self {
            artifact,
            kind,
            classification,
            purposes: Vec::new(),
            origin: None,
            step: None,
            extra: BTreeMap::new(),
            sign: false,
        }
    }
}

/// How something ended, for its entry.
#[derive(Debug, Clone, Default)]
pub struct StepResult {
    /// Whether it succeeded.
    pub ok: bool,
    /// The code of the problem.
    pub error: Option<Code>,
    /// The step.
    pub step: Option<String>,
    /// The statement.
    pub statement: Option<Digest>,
    /// What went in.
    pub inputs: Vec<Digest>,
    /// What came out.
    pub outputs: Vec<Digest>,
    /// Short facts by name.
    pub facts: BTreeMap<String, String>,
}

/// A version that was made.
#[derive(Debug, Clone)]
pub struct CommittedVersion {
    /// The version.
    pub version: Version,
    /// As a reader sees it.
    pub view: VersionView,
    /// The entry that made it valid.
    pub entry: EntryRef,
    /// The bytes newly stored, where the maker may read the version: who may only write would learn from it whether
    /// somebody else stored the same bytes.
    pub stored: Option<ByteSize>,
    /// What the scan says, for a model.
    pub scan: Option<ScanView>,
    /// Whose signature it bears, where one was asked for.
    pub signature: Option<SignatureView>,
}

/// A model that was scanned and is not refused.
struct Admitted {
    scanned: Scanned,
    /// Whether it must wait for an approval.
    waits: bool,
}

struct PendingVersion {
    new: NewVersion,
    tree: Tree,
    outcome: EntryDraft,
    session: Session,
    /// What it was let in as, where it is no change of what is in force: that is decided again by itself.
    asked: Option<(Action, ResourceFacts)>,
}

impl PendingVersion {
    /// Checks that it may still be made: what was sent meanwhile took its time.
    fn goes_on(&self, door: &Door) -> Result<(), Problem> {
        door.0.check_session(&self.session)?;
        let Some((action, facts)) = &self.asked else {
            return Ok(());
        };
        let decision = door.0.decide(&self.session, *action, facts, None);
        if decision.permit {
            return Ok(());
        }
        let who = who(&self.session);
        Err(problem::refused(*action, &facts.resource, &who, &decision))
    }
}

/// The versions that were granted and are not made yet. Where this goes before they are, the ledger says
/// that they were not made.
#[derive(Debug)]
struct PendingVersions {
    door: Door,
    all: Vec<PendingVersion>,
}

impl Drop for PendingVersions {
    fn drop(&mut self) {
        for piece in self.all.drain(..) {
            let draft = EntryDraft {
                outcome: Some(Outcome::Error),
                error: Some(code::DOOR_011),
                ..piece.outcome
            };
            // It has no facts, so it is no larger than the grant's own entry but for an id.
            let _ = self.door.0.later(draft);
        }
    }
}

/// Makes versions of one project, all of them valid together or none.
///
/// What it takes is sealed and stored as it comes, and belongs to nothing until [`VersionBuilder::commit`]: nobody can
/// read it, and dropping the builder takes it away.
#[derive(Debug)]
pub struct VersionBuilder {
    door: Door,
    project: ProjectName,
    writer: Writer,
    /// Files for which no version was granted yet, by the name that they wait under.
    waiting: BTreeMap<String, Tree>,
    pieces: PendingVersions,
    statement: Option<Digest>,
    expected: Option<VerificationPolicy>,
}

impl std::fmt::Debug for PendingVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piece")
            .field("new", &self.new)
            .finish_non_exhaustive()
    }
}

fn store_problem(error: StoreError) -> Problem {
    problem::store(&error)
}

fn lost() -> Problem {
    Problem::new(code::DOOR_014, "the version was lost")
}

/// The file that is being written.
struct Open<'a> {
    writer: &'a mut Writer,
    /// Why the store does not take it.
    failed: Option<StoreError>,
}

impl Write for Open<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.writer.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("the file was not taken"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl VersionBuilder {
    /// Starts to make versions of the project of `grant`.
    ///
    /// # Errors
    /// A [`Problem`] when the project's keys cannot be made.
    pub fn start<A: WriteAccess>(grant: &Grant<A>) -> Result<Self, Problem> {
        Self::open(&grant.door, &grant.session, grant.artifact()?.project())
    }

    /// Starts to take files of which versions are granted later: what a step writes comes before it is known what it is.
    ///
    /// # Errors
    /// A [`Problem`] when the project is not there and `session` may not create it, or its keys cannot be made.
    pub fn open(door: &Door, session: &Session, project: &ProjectName) -> Result<Self, Problem> {
        door.ensure_project(Some(session), project)?;
        Self::start_at(door, project)
    }

    pub(crate) fn start_at(door: &Door, project: &ProjectName) -> Result<Self, Problem> {
        door.ensure_project(None, project)?;
        let writer = door.0.parts.store.writer(project).map_err(store_problem)?;
        Ok(Self {
            door: door.clone(),
            project: project.clone(),
            writer,
            waiting: BTreeMap::new(),
            pieces: PendingVersions {
                door: door.clone(),
                all: Vec::new(),
            },
            statement: None,
            expected: None,
        })
    }

    /// Takes a file of the version that is being made.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be read or stored.
    pub fn file(
        &mut self,
        path: FilePath,
        executable: bool,
        content: &mut dyn Read,
    ) -> Result<FileEntry, Problem> {
        let named = path.to_string();
        self.writer.begin_file(path, executable);
        loop {
            let space = self.writer.space().map_err(store_problem)?;
            let count = content.read(space).map_err(|error| {
                Problem::new(code::STORE_020, format!("`{named}` could not be read"))
                    .because(error)
                    .hint("repeat the command; nothing was kept")
            })?;
            if count == 0 {
                break;
            }
            self.writer.filled(count).map_err(store_problem)?;
        }
        self.writer.end_file().map_err(store_problem)
    }

    /// Takes a file of the version that is being made, whose content `fill` writes.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be stored; that of `fill`.
    pub fn write_file(
        &mut self,
        path: FilePath,
        executable: bool,
        fill: &mut dyn FnMut(&mut (dyn Write + Send)) -> Result<(), Problem>,
    ) -> Result<FileEntry, Problem> {
        self.writer.begin_file(path, executable);
        let mut open = Open {
            writer: &mut self.writer,
            failed: None,
        };
        let filled = fill(&mut open);
        // Where storing failed, filling failed because of that.
        if let Some(error) = open.failed {
            return Err(store_problem(error));
        }
        filled?;
        self.writer.end_file().map_err(store_problem)
    }

    /// Ends the files so far: they wait under `name` for the grant to make them a version.
    ///
    /// # Errors
    /// A [`Problem`] when the files do not make a version, or others wait under that name.
    pub fn set_aside(&mut self, name: &str) -> Result<(), Problem> {
        let tree = self.writer.finish_tree().map_err(store_problem)?;
        match self.waiting.insert(name.to_owned(), tree) {
            None => Ok(()),
            Some(_) => Err(lost()),
        }
    }

    /// Takes the files of a tar stream. A signature that they must bear stands before the first of them,
    /// as the extended attribute [`SIGNATURE_KEY`].
    ///
    /// # Errors
    /// A [`Problem`] when the stream is broken or holds other things than files.
    pub fn tar(&mut self, stream: impl Read) -> Result<(), Problem> {
        let broken = |because: &dyn std::fmt::Display| {
            Problem::new(code::STORE_021, "the files that were sent cannot be read")
                .because(because)
                .hint("send regular files only; nothing was kept")
        };
        let mut refused = None;
        let read = read_tar(stream, |member| {
            if let Some(expected) = member.attributes.get(SIGNATURE_KEY.as_bytes()) {
                self.expected = Some(serde_json::from_slice(expected)?);
            }
            let taken = self.file(member.path, member.executable, member.content);
            taken.map(drop).map_err(|problem| {
                refused = Some(problem);
                io::Error::other("the file was not taken")
            })
        });
        read.map_err(|error| refused.unwrap_or_else(|| broken(&error)))
    }

    /// Makes the files so far the version that `grant` is for.
    ///
    /// # Errors
    /// A [`Problem`] when `new` is not what was granted, or the files do not make a version.
    pub fn finish<A: WriteAccess>(
        &mut self,
        grant: Grant<A>,
        new: NewVersion,
    ) -> Result<&Tree, Problem> {
        let tree = self.writer.finish_tree().map_err(store_problem)?;
        self.finish_tree(grant, new, tree)
    }

    /// Makes the files that were [set aside](VersionBuilder::set_aside) under `name` the version that `grant` is for.
    ///
    /// # Errors
    /// A [`Problem`] when `new` is not what was granted, or nothing was set aside.
    pub fn finish_waiting<A: WriteAccess>(
        &mut self,
        grant: Grant<A>,
        new: NewVersion,
        name: &str,
    ) -> Result<&Tree, Problem> {
        let tree = self.waiting.remove(name).ok_or_else(lost)?;
        self.finish_tree(grant, new, tree)
    }

    fn finish_tree<A: WriteAccess>(
        &mut self,
        grant: Grant<A>,
        new: NewVersion,
        tree: Tree,
    ) -> Result<&Tree, Problem> {
        if grant.artifact()? != new.artifact
            || grant.facts.classification != Some(new.classification)
            || grant.facts.kind != Some(new.kind)
        {
            return Err(Problem::new(
                code::DOOR_013,
                "the version is not the one that was granted",
            ));
        }
        if new.origin.is_some() {
            grant.door.check_purposes(&new.purposes)?;
        }
        self.add(grant, new, tree, BTreeMap::new())
    }

    /// Ends a version that changes what is in force; `facts`: short ones by name, which the entry of it says.
    pub(crate) fn finish_admin<A: ActionMarker>(
        &mut self,
        grant: Grant<A>,
        new: NewVersion,
        facts: BTreeMap<String, String>,
    ) -> Result<&Tree, Problem> {
        let tree = self.writer.finish_tree().map_err(store_problem)?;
        self.add(grant, new, tree, facts)?;
        let piece = self.pieces.all.last_mut().ok_or_else(lost)?;
        piece.asked = None;
        Ok(&piece.tree)
    }

    fn add<A: ActionMarker>(
        &mut self,
        mut grant: Grant<A>,
        new: NewVersion,
        tree: Tree,
        facts: BTreeMap<String, String>,
    ) -> Result<&Tree, Problem> {
        grant.finished = true;
        let outcome = EntryDraft {
            facts,
            ..grant.outcome(Outcome::Ok)
        };
        self.pieces.all.push(PendingVersion {
            new,
            tree,
            outcome,
            session: grant.session.clone(),
            asked: Some((A::ACTION, grant.facts.clone())),
        });
        let piece = self.pieces.all.last().ok_or_else(lost)?;
        Ok(&piece.tree)
    }

    /// Keeps a small document and returns its SHA-256.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be stored.
    pub fn record(&mut self, bytes: &[u8]) -> Result<Digest, Problem> {
        self.writer.put_record(bytes).map_err(store_problem)
    }

    /// Signs and keeps the statement that tells how the versions are made. It is given the names that
    /// they get.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be signed or stored.
    fn attest(
        &mut self,
        names: &[(VersionName, Digest)],
        build: &StatementOf<'_>,
    ) -> Result<Digest, Problem> {
        let statement = build(names)?;
        for piece in &self.pieces.all {
            if piece.outcome.action == Action::RegisterModel {
                let evidence = Evidence::for_door(&self.door, &piece.session);
                self.door.0.check_endorsed(&evidence, &statement)?;
            }
        }
        let envelope = statement
            .seal(&Key(&self.door.0.parts.signing))
            .map_err(|error| {
                Problem::new(code::ATTEST_001, "the statement could not be signed").because(error)
            })?;
        self.record(&envelope)
    }

    /// Verifies the signature that the one version must bear, whose bytes are durable but not in the store yet.
    fn check_publisher(&mut self) -> Result<Option<Publisher>, Problem> {
        let Some(expected) = self.expected.take() else {
            return Ok(None);
        };
        self.writer.settle().map_err(store_problem)?;
        let [piece] = self.pieces.all.as_slice() else {
            return Err(Problem::new(
                code::DOOR_016,
                "a signature is of one version",
            ));
        };
        let name = piece.new.artifact.to_string();
        let files = self.writer.tree_files(&piece.tree).map_err(store_problem)?;
        let checked = self.door.0.check_publisher(&name, files.as_ref(), expected);
        match checked {
            Ok(publisher) => Ok(Some(publisher)),
            Err(problem) => {
                self.give_up(problem.code, None)?;
                Err(problem)
            }
        }
    }

    /// Scans the models among the versions, whose bytes are durable but not in the store yet.
    fn scan_models(&mut self) -> Result<Vec<Option<Admitted>>, Problem> {
        let is_model = |piece: &PendingVersion| piece.new.kind == Kind::Model;
        if !self.pieces.all.iter().any(is_model) {
            return Ok(self.pieces.all.iter().map(|_| None).collect());
        }
        self.writer.settle().map_err(store_problem)?;
        let door = self.door.clone();
        let mut scans = Vec::new();
        for number in 0..self.pieces.all.len() {
            let Some(piece) = self.pieces.all.get(number).filter(|piece| is_model(piece)) else {
                scans.push(None);
                continue;
            };
            let project = piece.new.artifact.project();
            let files = self.writer.tree_files(&piece.tree).map_err(store_problem)?;
            let scanned = match door.0.scan(files) {
                Ok(scanned) => scanned,
                Err(problem) => {
                    self.give_up(problem.code, None)?;
                    return Err(problem);
                }
            };
            if scanned.is_refused() {
                return Err(self.refuse(number, &scanned)?);
            }
            let waits = !door.0.passes(project, piece.tree.digest, &scanned)?;
            scans.push(Some(Admitted { scanned, waits }));
        }
        Ok(scans)
    }

    /// Enters that a model is refused, with the signed statement about its scan, and returns what to tell. The
    /// statement alone is kept: the writer takes the model's bytes away.
    fn refuse(&mut self, number: usize, scanned: &Scanned) -> Result<Problem, Problem> {
        let Some(piece) = self.pieces.all.get(number) else {
            return Err(lost());
        };
        let (name, content) = (piece.new.artifact.to_string(), piece.tree.digest);
        let told = refusal(&name, scanned);
        let inner = &self.door.0;
        let envelope = inner.attest_scan(&name, content, scanned)?;
        let statement = inner.keep_record(piece.new.artifact.project(), &envelope)?;
        let verdict = scanned.summary.verdict.to_string();
        self.give_up(told.code, Some((number, statement, verdict)))?;
        Ok(told)
    }

    /// Enters that none of the versions was made; `refused`: the one that is to blame, the statement of its
    /// scan and the verdict.
    fn give_up(
        &mut self,
        code: Code,
        refused: Option<(usize, Digest, String)>,
    ) -> Result<(), Problem> {
        let pieces = std::mem::take(&mut self.pieces.all);
        let entries = pieces.into_iter().enumerate().map(|(number, piece)| {
            let mut draft = piece.outcome;
            draft.outcome = Some(Outcome::Error);
            draft.error = Some(code);
            if let Some((_, statement, verdict)) =
                refused.as_ref().filter(|(guilty, ..)| *guilty == number)
            {
                draft.lineage.statement = Some(*statement);
                draft
                    .facts
                    .insert(SCAN_FACT.to_owned(), statement.to_string());
                draft.facts.insert("verdict".to_owned(), verdict.clone());
            }
            draft
        });
        self.door.0.append_all(entries.collect()).map(drop)
    }

    /// Makes the versions valid. `statement` builds the statement about them from their names. A signature
    /// that is asked for is checked first, then models are scanned; one that a person must look at is made in
    /// quarantine.
    ///
    /// # Errors
    /// A [`Problem`]; none of them exists then.
    pub fn commit(
        mut self,
        statement: Option<&StatementOf<'_>>,
    ) -> Result<Vec<CommittedVersion>, Problem> {
        let publisher = self.check_publisher()?;
        let scans = self.scan_models()?;
        let door = self.door.clone();
        let store = &door.0.parts.store;
        let artifacts = self.pieces.all.iter().map(|piece| &piece.new.artifact);
        let artifacts: BTreeSet<_> = artifacts.cloned().collect();
        let _turn = door.0.locks.artifacts(&self.project, artifacts);
        door.0.check_not_shredded(&self.project)?;
        let mut held = Vec::new();
        for piece in &self.pieces.all {
            piece.goes_on(&door)?;
            let project = piece.new.artifact.project();
            held.push(door.0.held_content(project, &piece.tree)?);
        }
        let mut names: Vec<(VersionName, Digest)> = Vec::new();
        for piece in &self.pieces.all {
            let artifact = &piece.new.artifact;
            let mut name = artifact.version(door.0.next_number(artifact)?);
            while names.iter().any(|(taken, _)| *taken == name) {
                name.number = name.number.next();
            }
            names.push((name, piece.tree.digest));
        }
        if let Some(build) = statement {
            self.statement = Some(self.attest(&names, build)?);
        }
        let now = door.now();
        let mut granted = PendingVersions {
            door: door.clone(),
            all: std::mem::take(&mut self.pieces.all),
        };
        let mut drafts = Vec::new();
        for ((piece, (name, _)), scan) in granted.all.iter().zip(&names).zip(&scans) {
            let publisher = publisher.as_ref();
            drafts.push(self.draft(piece, name, now, (scan.as_ref(), publisher))?);
        }
        let mut versions = store.stage(self.writer, drafts).map_err(store_problem)?;
        // From here on the entries say how it ended.
        let pieces = std::mem::take(&mut granted.all);
        let outcomes = pieces
            .iter()
            .zip(&versions)
            .zip(scans.iter().zip(&held))
            .map(|((piece, version), (scan, held))| {
                outcome(piece, version, scan.as_ref(), held.as_ref())
            })
            .collect();
        // CRASH: with the entries the versions are valid, without them they are not; a start forgets what is staged.
        let receipts = match door.0.append_all(outcomes) {
            Ok(receipts) => receipts,
            Err(problem) => {
                // Whether the entries reached the disk is not known; the next start decides by the ledger.
                return Err(problem);
            }
        };
        for (version, receipt) in versions.iter_mut().zip(&receipts) {
            version.entry = receipt.index();
        }
        let staged: Vec<_> = versions.iter().map(Version::name).collect();
        store.unstage(&staged).map_err(store_problem)?;
        let mut made = Vec::new();
        for (((mut version, piece), receipt), scan) in
            versions.into_iter().zip(&pieces).zip(receipts).zip(&scans)
        {
            version = door.0.confirmed(version)?;
            let view = Evidence::for_door(&door, &piece.session).view(&version)?;
            let stored = door
                .0
                .may_read(&piece.session, &version)
                .then_some(piece.tree.stored);
            let entry = EntryRef {
                index: receipt.index(),
                id: receipt.id().to_owned(),
            };
            let scan = scan
                .as_ref()
                .zip(version.record.extra.get(SCAN_FACT))
                .map(|(scan, statement)| scan.scanned.view(*statement, scan.waits));
            made.push(CommittedVersion {
                scan,
                signature: publisher.as_ref().map(Publisher::view),
                version,
                view,
                entry,
                stored,
            });
        }
        Ok(made)
    }

    fn draft(
        &mut self,
        piece: &PendingVersion,
        name: &VersionName,
        now: custody_types::Timestamp,
        (scan, publisher): (Option<&Admitted>, Option<&Publisher>),
    ) -> Result<VersionDraft, Problem> {
        let new = &piece.new;
        let mut extra = BTreeMap::new();
        if let Some(scan) = scan {
            let (name, content) = (name.to_string(), piece.tree.digest);
            let envelope = self.door.0.attest_scan(&name, content, &scan.scanned)?;
            extra.insert(SCAN_FACT.to_owned(), self.record(&envelope)?);
        }
        if let Some(publisher) = publisher {
            let bundle = self.record(publisher.bundle.as_bytes())?;
            let statement = publisher.statement(bundle, now);
            let inner = &self.door.0;
            let envelope =
                inner.seal(&name.to_string(), piece.tree.digest, PUBLISHER, &statement)?;
            extra.insert(publisher::SIGNATURE.to_owned(), bundle);
            extra.insert(publisher::CHECK.to_owned(), self.record(&envelope)?);
        }
        for (key, bytes) in &new.extra {
            extra.insert(key.clone(), self.record(bytes)?);
        }
        if new.sign {
            let signature = custody_attest::oms::sign(
                &name.to_string(),
                &piece.tree.files,
                &Key(&self.door.0.parts.signing),
            )
            .map_err(|error| {
                Problem::new(code::ATTEST_002, "the model could not be signed").because(error)
            })?;
            extra.insert("signature".to_owned(), self.record(signature.as_bytes())?);
        }
        let person = piece
            .session
            .on_behalf_of
            .as_ref()
            .unwrap_or(&piece.session.actor);
        Ok(VersionDraft {
            artifact: name.artifact.clone(),
            number: name.number,
            kind: new.kind,
            tree: piece.tree.clone(),
            classification: new.classification,
            purposes: new.purposes.clone(),
            created: now,
            author: self.door.0.pseudonym(person),
            origin: new.origin.clone(),
            statement: self.statement,
            run: piece.session.run.clone(),
            step: new.step.clone(),
            extra,
        })
    }
}

/// Builds a statement from the names and digests of the versions that it is about.
pub type StatementOf<'a> = dyn Fn(&[(VersionName, Digest)]) -> Result<Statement, Problem> + 'a;

/// Builds the entry that makes a version valid. `held`: the content in quarantine that it has bytes of.
fn outcome(
    piece: &PendingVersion,
    version: &Version,
    scan: Option<&Admitted>,
    held: Option<&Digest>,
) -> EntryDraft {
    let mut draft = piece.outcome.clone();
    if let Some(content) = held {
        let name = version.name().to_string();
        draft.facts.insert(QUARANTINE.to_owned(), name);
        draft.facts.insert(HELD.to_owned(), content.to_string());
    }
    if let Some(scan) = scan {
        let verdict = scan.scanned.summary.verdict.to_string();
        draft.facts.insert("verdict".to_owned(), verdict);
        let statement = version.record.extra.get(SCAN_FACT);
        draft
            .facts
            .extend(statement.map(|digest| (SCAN_FACT.to_owned(), digest.to_string())));
        if scan.waits {
            let name = version.name().to_string();
            draft.facts.insert(QUARANTINE.to_owned(), name);
            draft.facts.insert(WAITS.to_owned(), "true".to_owned());
        }
    }
    if let Some(statement) = version.record.extra.get(publisher::CHECK) {
        draft
            .facts
            .insert(publisher::CHECK.to_owned(), statement.to_string());
    }
    for object in &mut draft.objects {
        object.name = version.name().to_string();
        object.digest = Some(version.record.digest);
        "artifact".clone_into(&mut object.kind);
    }
    draft.project = Some(version.record.artifact.project().to_string());
    draft
        .facts
        .insert("record".to_owned(), version.record_digest.to_string());
    draft
        .facts
        .insert("bytes".to_owned(), version.record.size.bytes().to_string());
    draft.lineage.step.clone_from(&version.record.step);
    draft.lineage.statement = version.record.statement;
    draft.lineage.outputs = vec![version.record.digest];
    draft
}

impl<A: ActionMarker> Grant<A> {
    /// Returns the artifact that the grant is for.
    fn artifact(&self) -> Result<ArtifactName, Problem> {
        match &self.target {
            crate::ResourceRef::New { artifact, .. } => Ok(artifact.clone()),
            _ => Err(Problem::new(
                code::DOOR_015,
                "the grant is for no new version",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use custody_types::{Classification, Kind};
    use custody_wire::ListQuery;

    use super::*;
    use crate::testing::World;
    use crate::{Export, List, ResourceRef, Verify, Write};

    fn builder(door: &Door, session: &Session, content: &str) -> VersionBuilder {
        let artifact: ArtifactName = "demo/a".parse().unwrap();
        let (kind, classification) = (Kind::Dataset, Classification::Internal);
        let target = ResourceRef::New {
            artifact: artifact.clone(),
            kind,
            classification,
        };
        let grant = door.ask::<Write>(session, target).unwrap();
        let mut making = VersionBuilder::start(&grant).unwrap();
        let path = "file".parse().unwrap();
        making.file(path, false, &mut content.as_bytes()).unwrap();
        let new = NewVersion::new(artifact, kind, classification);
        making.finish(grant, new).unwrap();
        making
    }

    /// What a program did that took the number of a version from an older index.
    fn make_again(door: &Door, mut making: VersionBuilder, name: &VersionName) {
        let pieces = std::mem::take(&mut making.pieces.all);
        let draft = making.draft(&pieces[0], name, door.now(), (None, None));
        let store = &door.0.parts.store;
        let versions = store.stage(making.writer, vec![draft.unwrap()]).unwrap();
        let entry = outcome(&pieces[0], &versions[0], None, None);
        door.0.append_all(vec![entry]).unwrap();
        store.unstage(std::slice::from_ref(name)).unwrap();
    }

    #[test]
    fn a_workspace_with_two_versions_of_one_name_is_mended() {
        let world = World::default();
        let door = world.open();
        let owner = world.person("owner");
        let first = builder(&door, &owner, "first").commit(None).unwrap();
        let name = first[0].version.name();
        make_again(&door, builder(&door, &owner, "second"), &name);
        let differing = |door: &Door| {
            let grant = door.ask::<Verify>(&owner, ResourceRef::Workspace).unwrap();
            let (_, differing) = grant.evidence().check_index().unwrap();
            grant.finish().unwrap();
            differing
        };
        let read = |door: &Door, reference: &str| {
            let target = ResourceRef::Named(reference.parse().unwrap());
            let grant = door.ask::<Export>(&owner, target).unwrap();
            let mut tar = Vec::new();
            grant.write_tar(&mut tar).unwrap();
            String::from_utf8_lossy(&tar).into_owned()
        };
        let by_content = format!("demo/a@{}", first[0].version.record.digest);
        let check = |door: &Door| {
            assert!(read(door, "demo/a@1").contains("second"));
            assert!(read(door, &by_content).contains("first"));
            let differing = differing(door);
            assert_eq!(differing.len(), 1, "{differing:?}");
            assert!(differing[0].contains(&by_content), "{differing:?}");
        };
        check(&door);
        drop(door);
        let door = world.open();
        door.0.index_anew().unwrap();
        check(&door);
        let again = builder(&door, &owner, "first").commit(None).unwrap();
        assert_eq!(again[0].version.name().to_string(), "demo/a@2");
        assert_eq!(differing(&door), [""; 0]);
        assert!(read(&door, &by_content).contains("first"));
        let grant = door.ask::<List>(&owner, ResourceRef::Workspace).unwrap();
        assert_eq!(
            grant.views(&ListQuery::default()).unwrap().versions.len(),
            2
        );
    }
}
