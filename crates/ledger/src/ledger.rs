//! The ledger itself: taking entries, publishing, reading.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use custody_tlog::checkpoint::Checkpoint;
use custody_tlog::note::{NoteSigner, NoteVerifier};
use custody_types::{Clock, Digest, Timestamp, causes};

use crate::entry::EntryDraft;
use crate::error::LedgerError;
use crate::log::{Grown, Log, time_of};
use crate::ports::{CheckpointStore, Commit, Flaw, Kept, PortError, Sequencer, Tiles};
use crate::snapshot::Snapshot;

/// How long an entry for which nobody waits may be in memory alone, and how long one may be in no tile.
const PUBLISH_AFTER: Duration = Duration::from_millis(900);
/// The bytes at which a commit is closed; who waits after that is in the next one.
const COMMIT_BYTES: usize = 1 << 20;
/// The most bytes that entries which follow one another may have: a commit that they close has at most as much again as
/// a commit is closed at.
const MOST_AT_ONCE: usize = 2 << 20;

/// What a ledger is made of.
#[derive(Debug)]
pub struct LedgerDeps {
    /// Where entries get their positions, and are until they are published.
    pub sequencer: Box<dyn Sequencer>,
    /// Tiles and bundles.
    pub tiles: Arc<dyn Tiles>,
    /// The published checkpoint.
    pub head: Arc<dyn CheckpointStore>,
    /// Signs checkpoints; its name is the origin.
    pub signer: NoteSigner,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// An entry was written: what only [`Ledger::append`] can give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    index: u64,
    id: String,
    leaf: Digest,
    checkpoint: Arc<str>,
}

impl Receipt {
    /// Returns the entry's position, counted from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Returns the entry's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the entry's hash in the tree.
    pub const fn leaf(&self) -> Digest {
        self.leaf
    }

    /// Returns the signed checkpoint over the log that has the entry.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }
}

type Slot = Arc<OnceLock<Result<Vec<Receipt>, LedgerError>>>;

/// Entries that are not written yet.
struct Batch {
    drafts: Vec<EntryDraft>,
    /// Where the answer goes, and who waits for it.
    waiter: Option<(Slot, Thread)>,
}

impl Batch {
    fn answer(self, answer: Result<Vec<Receipt>, LedgerError>) {
        if let Some((slot, thread)) = self.waiter {
            // Set once: a batch is in the queue once.
            let _ = slot.set(answer);
            thread.unpark();
        }
    }
}

/// The lead, given up when this goes, however it goes.
struct Lead<'a>(&'a Shared);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.led.store(false, Ordering::Release);
        let queue = lock(&self.0.queue);
        if let Some((_, thread)) = queue.iter().find_map(|batch| batch.waiter.as_ref()) {
            thread.unpark();
        }
    }
}

/// Where entries become part of the log.
struct Sequence {
    sequencer: Box<dyn Sequencer>,
    /// The commit whose appending failed, with the log that it makes. Whether it is kept is not known, and its
    /// checkpoint is signed: nothing else may come in its place.
    unsettled: Option<(Commit, Grown)>,
}

/// What was published last.
#[derive(Debug)]
struct Published {
    /// The files that are not full.
    partial: Vec<String>,
    /// The checkpoint.
    note: Option<String>,
    /// One whose publishing failed: it may be there nevertheless.
    attempted: Option<String>,
}

/// Locks are taken in the order `sequence`, `publishing`, `log`.
struct Shared {
    tiles: Arc<dyn Tiles>,
    head: Arc<dyn CheckpointStore>,
    signer: NoteSigner,
    clock: Arc<dyn Clock>,
    queue: Mutex<VecDeque<Batch>>,
    /// Whether someone commits for all who wait.
    led: AtomicBool,
    /// Held while a commit is appended.
    sequence: Mutex<Sequence>,
    /// Held while tiles are written.
    publishing: Mutex<Published>,
    /// Held for moments, and never while anybody waits for the disk.
    log: Mutex<Log>,
    /// Entries that are in the log although their writing had failed; see [`Ledger::settled`].
    settled: Mutex<Vec<Range<u64>>>,
    /// Set to wake the publisher; `true` when it shall end.
    ending: Mutex<Option<bool>>,
    wake: Condvar,
    /// What was wrong with what was not published, at the start.
    flaw: Option<String>,
}

/// The log. Safe to use from several threads. Whoever appends waits for the disk; whoever reads does not.
pub struct Ledger {
    shared: Arc<Shared>,
    publisher: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("origin", &self.verifier().name())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Opens the log, or begins it where nothing was written yet.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] when what is stored is not what was signed; [`LedgerError::Storage`].
    pub fn open(parts: LedgerDeps) -> Result<Self, LedgerError> {
        let LedgerDeps {
            mut sequencer,
            tiles,
            head,
            signer,
            clock,
        } = parts;
        let verifier = signer.verifier();
        let note = head.load()?;
        let published = match &note {
            Some(note) => {
                Checkpoint::open(note, verifier).map_err(|error| LedgerError::Damaged {
                    file: "checkpoint".to_owned(),
                    because: error.to_string(),
                })?
            }
            None => Checkpoint {
                origin: verifier.name().to_owned(),
                size: 0,
                root: custody_tlog::tree::empty_root(),
            },
        };
        let mut log = Log::resume(&published, tiles.as_ref(), &signer)?;
        let partial = log.snapshot(tiles.clone(), &signer).partial();
        let kept = sequencer.load(published.size)?;
        let flaw = replay(&mut log, kept, &signer)?;
        if let Some(Replayed::Mended(_)) = flaw {
            sequencer.mend()?;
        }
        let sequence = Sequence {
            sequencer,
            unsettled: None,
        };
        let shared = Arc::new(Shared {
            tiles,
            head,
            signer,
            clock,
            queue: Mutex::default(),
            led: AtomicBool::new(false),
            sequence: Mutex::new(sequence),
            publishing: Mutex::new(Published {
                partial,
                note,
                attempted: None,
            }),
            log: Mutex::new(log),
            settled: Mutex::default(),
            ending: Mutex::new(None),
            wake: Condvar::new(),
            flaw: flaw.and_then(Replayed::flaw),
        });
        let worker = shared.clone();
        let publisher = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || worker.publish_in_time())
            .map_err(|error| LedgerError::Storage {
                file: "the thread that publishes".to_owned(),
                source: Arc::new(error),
            })?;
        Ok(Self {
            shared,
            publisher: Some(publisher),
        })
    }

    /// Writes an entry and waits until it outlives a loss of power.
    ///
    /// # Errors
    /// [`LedgerError`]; the entry may or may not be in the log then, and the caller must not go on.
    pub fn append(&self, draft: EntryDraft) -> Result<Receipt, LedgerError> {
        let receipts = self.append_all(vec![draft])?;
        receipts
            .into_iter()
            .next()
            .ok_or_else(|| LedgerError::Stopped("no receipt came back".to_owned()))
    }

    /// Writes entries that follow one another, all or none of them.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_all(&self, drafts: Vec<EntryDraft>) -> Result<Vec<Receipt>, LedgerError> {
        self.shared.check(&drafts)?;
        let slot = Slot::default();
        lock(&self.shared.queue).push_back(Batch {
            drafts,
            waiter: Some((slot.clone(), thread::current())),
        });
        loop {
            if let Some(answer) = slot.get() {
                return answer.clone();
            }
            if self.shared.led.swap(true, Ordering::AcqRel) {
                // Who leads wakes this thread: with its answer, or to lead the next commit.
                thread::park();
            } else {
                self.shared.lead(&slot);
            }
        }
    }

    /// Hands over an entry for which nobody waits. It is written before any that is appended afterwards, and
    /// within a second; while the disk does not take it, it is kept and tried again.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`]; it is not taken then.
    pub fn append_soon(&self, draft: EntryDraft) -> Result<(), LedgerError> {
        let drafts = vec![draft];
        self.shared.check(&drafts)?;
        lock(&self.shared.queue).push_back(Batch {
            drafts,
            waiter: None,
        });
        self.shared.wake_publisher();
        Ok(())
    }

    /// Writes what was handed over and is not written yet.
    ///
    /// # Errors
    /// [`LedgerError`] when the disk does not take it; it is kept then.
    pub fn flush(&self) -> Result<(), LedgerError> {
        self.shared.flush()
    }

    /// Takes the positions of the entries whose writing failed, so that who waited was told an error, and
    /// which are in the log since the disk works again. What they say holds.
    pub fn settled(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut *lock(&self.shared.settled))
    }

    /// Returns the log as it is now. It waits for no writer.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Returns how many entries were acknowledged.
    pub fn size(&self) -> u64 {
        lock(&self.shared.log).size()
    }

    /// Returns when the last entry was written; the start of 1970 where there is none.
    pub fn last_time(&self) -> Timestamp {
        lock(&self.shared.log).last()
    }

    /// Returns the signed checkpoint over all that were acknowledged.
    pub fn checkpoint(&self) -> String {
        lock(&self.shared.log).checkpoint().to_string()
    }

    /// Returns the key that checks the checkpoints.
    pub fn verifier(&self) -> &NoteVerifier {
        self.shared.signer.verifier()
    }

    /// Writes everything acknowledged into tiles and publishes the checkpoint.
    ///
    /// # Errors
    /// [`LedgerError`] when the storage fails; nothing acknowledged is lost.
    pub fn publish(&self) -> Result<(), LedgerError> {
        self.shared.publish()
    }

    /// Lends what is stored while nothing is published: how many entries are, the checkpoint, the tiles.
    pub(crate) fn between_publishings<T>(
        &self,
        look: impl FnOnce(u64, &dyn CheckpointStore, &dyn Tiles) -> T,
    ) -> T {
        let _publishing = lock(&self.shared.publishing);
        let published = lock(&self.shared.log).published();
        look(
            published,
            self.shared.head.as_ref(),
            self.shared.tiles.as_ref(),
        )
    }

    /// Tells what is wrong with what is not published yet.
    pub(crate) fn flaw(&self) -> Option<String> {
        if self.shared.flaw.is_some() {
            return self.shared.flaw.clone();
        }
        let mut sequence = lock(&self.shared.sequence);
        if sequence.unsettled.is_some() {
            return Some("a write to it failed, and was not repeated yet".to_owned());
        }
        let published = lock(&self.shared.log).published();
        match sequence.sequencer.load(published).map(|kept| kept.flaw) {
            Ok(None) => None,
            Ok(Some(_)) => Some("it has bytes that are no record".to_owned()),
            Err(error) => Some(causes(&error)),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        *lock(&self.shared.ending) = Some(true);
        self.shared.wake.notify_all();
        if let Some(publisher) = self.publisher.take() {
            // A publisher that panicked has nothing to say; what it left is done below.
            let _ = publisher.join();
        }
        // What cannot be written now is lost, and what it is about says so at the next start.
        let _ = self.shared.flush();
        // What cannot be published now is in the write-ahead log and will be at the next start.
        let _ = self.publish();
    }
}

/// What is to be done about a flaw, and what is told of it.
enum Replayed {
    /// It is taken away before anything else is appended.
    Mended(Option<String>),
    /// It stays to be seen until something takes its place.
    Left(String),
}

impl Replayed {
    fn flaw(self) -> Option<String> {
        match self {
            Self::Mended(flaw) => flaw,
            Self::Left(flaw) => Some(flaw),
        }
    }
}

/// Adds what the sequencer has and the checkpoint has not.
fn replay(log: &mut Log, kept: Kept, signer: &NoteSigner) -> Result<Option<Replayed>, LedgerError> {
    let damaged = |because: &str| LedgerError::Damaged {
        file: "wal".to_owned(),
        because: because.to_owned(),
    };
    let published = log.published();
    let mut reached = 0;
    for commit in kept.commits {
        reached = commit.end();
        if reached <= published {
            continue;
        }
        if commit.first != log.size() {
            return Err(damaged("its records do not follow the published entries"));
        }
        let signed = Checkpoint::open(&commit.checkpoint, signer.verifier())
            .map_err(|error| damaged(&error.to_string()))?;
        let newest = commit.entries.last().map(|entry| time_of(entry));
        let newest = newest.unwrap_or(Ok(log.last()))?;
        let entries = commit.entries.into_iter().map(Arc::from).collect();
        let grown = log.grow(entries, newest, signer);
        if signed.size != grown.size() || signed.root != grown.root() {
            return Err(damaged("its entries are not those of its checkpoint"));
        }
        log.take(grown);
    }
    let Some(flaw) = kept.flaw else {
        return Ok(None);
    };
    Ok(Some(match flaw {
        Flaw::Changed if log.size() == published => {
            Replayed::Left("a record in it was changed".to_owned())
        }
        Flaw::Changed => return Err(damaged("a record in it was changed")),
        // The checkpoint covers more than the whole records: the next one was acknowledged.
        Flaw::CutShort | Flaw::Stray if reached < published => Replayed::Mended(Some(
            "a record in it was changed; its entries are safe in the tiles".to_owned(),
        )),
        // A record that was begun and never acknowledged, or stray bytes, which are told: either way the
        // place is cleared before anything else is written.
        Flaw::CutShort => Replayed::Mended(None),
        Flaw::Stray => Replayed::Mended(Some(
            "it had bytes that no record begins with; they were cleared".to_owned(),
        )),
    }))
}

impl Shared {
    /// Refuses entries that no commit could take.
    fn check(&self, drafts: &[EntryDraft]) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let mut bytes = 0;
        for draft in drafts {
            bytes += draft.write(now)?.len();
        }
        if bytes > MOST_AT_ONCE {
            return Err(LedgerError::TooLarge(bytes));
        }
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        lock(&self.log).snapshot(self.tiles.clone(), &self.signer)
    }

    /// Commits for all who wait until `slot` has its answer, then leaves the lead to the next who waits.
    ///
    /// Nobody is forgotten: who came while this thread led is in the queue before `led` falls, and so is
    /// woken then; who comes after that leads.
    fn lead(&self, slot: &Slot) {
        let _lead = Lead(self);
        let mut sequence = lock(&self.sequence);
        while slot.get().is_none() {
            // An error is told to all who wait, so to this one.
            let _ = self.commit(&mut sequence);
        }
    }

    /// Commits what waits.
    fn flush(&self) -> Result<(), LedgerError> {
        let mut sequence = lock(&self.sequence);
        self.settle(&mut sequence)?;
        while !lock(&self.queue).is_empty() {
            self.commit(&mut sequence)?;
        }
        Ok(())
    }

    /// Commits what waits: one commit, one wait for the disk, for all of them.
    fn commit(&self, sequence: &mut Sequence) -> Result<(), LedgerError> {
        let (mut batches, mut entries, mut bytes) = (Vec::new(), Vec::new(), 0);
        let now = self.clock.now().max(lock(&self.log).last());
        while bytes < COMMIT_BYTES {
            let Some(batch) = lock(&self.queue).pop_front() else {
                break;
            };
            let written = batch.drafts.iter().map(|draft| draft.write(now));
            match written.collect::<Result<Vec<_>, _>>() {
                Ok(written) => {
                    bytes += written.iter().map(Vec::len).sum::<usize>();
                    entries.extend(written.into_iter().map(Arc::from));
                    batches.push(batch);
                }
                Err(error) => batch.answer(Err(error)),
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        // An earlier record comes first, if its writing failed.
        if let Err(error) = self.settle(sequence) {
            self.give_back(batches, &error);
            return Err(error);
        }
        let (first, grown) = {
            let log = lock(&self.log);
            (log.size(), log.grow(entries, now, &self.signer))
        };
        let receipts = receipts(first, &grown, &batches);
        match self.write(sequence, first, grown) {
            Ok(()) => {
                for (batch, receipts) in batches.into_iter().zip(receipts) {
                    batch.answer(Ok(receipts));
                }
                self.wake_publisher();
                Ok(())
            }
            Err(Failed::NothingWritten(error)) => {
                self.give_back(batches, &error);
                Err(error)
            }
            Err(Failed::Unsettled(error)) => {
                // Those for which nobody waits are in the record that will be written again.
                batches.retain(|batch| batch.waiter.is_some());
                self.give_back(batches, &error);
                Err(error)
            }
        }
    }

    /// Tells all who wait that the disk does not take entries, and keeps those for which nobody waits.
    fn give_back(&self, batches: Vec<Batch>, error: &LedgerError) {
        let mut queue = lock(&self.queue);
        let all = batches.into_iter().chain(queue.drain(..));
        let mut kept = VecDeque::new();
        for batch in all {
            if batch.waiter.is_some() {
                batch.answer(Err(error.clone()));
            } else {
                kept.push_back(batch);
            }
        }
        *queue = kept;
    }

    /// Appends a commit and takes its entries into the log.
    fn write(&self, sequence: &mut Sequence, first: u64, grown: Grown) -> Result<(), Failed> {
        let entries = grown.entries.iter();
        let commit = Commit {
            first,
            entries: entries.map(|(entry, _)| entry.to_vec()).collect(),
            checkpoint: grown.checkpoint.to_string(),
        };
        // CRASH: before this write the entries were never heard of; after it they are replayed.
        match self.append(sequence, &commit) {
            Ok(()) => {
                lock(&self.log).take(grown);
                Ok(())
            }
            Err(Failed::Unsettled(error)) => {
                sequence.unsettled = Some((commit, grown));
                Err(Failed::Unsettled(error))
            }
            Err(nothing) => Err(nothing),
        }
    }

    /// Appends a commit, once there is room for it.
    fn append(&self, sequence: &mut Sequence, commit: &Commit) -> Result<(), Failed> {
        let mut appended = sequence.sequencer.append(commit);
        if matches!(appended, Err(PortError::Full { .. })) {
            self.publish().map_err(Failed::NothingWritten)?;
            let published = lock(&self.log).published();
            let trimmed = sequence.sequencer.trim(published);
            trimmed.map_err(|error| Failed::NothingWritten(error.into()))?;
            appended = sequence.sequencer.append(commit);
        }
        appended.map_err(|error| match error {
            PortError::Full { .. } | PortError::Conflict { .. } => {
                Failed::NothingWritten(stopped(error.into()))
            }
            other => Failed::Unsettled(stopped(other.into())),
        })
    }

    /// Appends again the commit whose appending failed: the same entries, the same checkpoint.
    fn settle(&self, sequence: &mut Sequence) -> Result<(), LedgerError> {
        let Some((commit, grown)) = sequence.unsettled.take() else {
            return Ok(());
        };
        match self.append(sequence, &commit) {
            Ok(()) => {
                lock(&self.settled).push(commit.first..grown.size());
                lock(&self.log).take(grown);
                self.wake_publisher();
                Ok(())
            }
            Err(Failed::NothingWritten(error) | Failed::Unsettled(error)) => {
                sequence.unsettled = Some((commit, grown));
                Err(stopped(error))
            }
        }
    }

    /// Tells the sequencer what it need not keep.
    fn trim(&self) -> Result<(), LedgerError> {
        let mut sequence = lock(&self.sequence);
        let published = lock(&self.log).published();
        Ok(sequence.sequencer.trim(published)?)
    }

    fn publish(&self) -> Result<(), LedgerError> {
        let mut published = lock(&self.publishing);
        let snapshot = {
            let log = lock(&self.log);
            if log.size() == log.published() {
                return Ok(());
            }
            log.snapshot(self.tiles.clone(), &self.signer)
        };
        if published.attempted.is_some() && self.head.load()? == published.attempted {
            published.note = published.attempted.take();
        }
        // CRASH: tiles beyond the checkpoint are written again with the same bytes at the next publishing.
        self.tiles.write(&snapshot.unpublished()?)?;
        let note = Some(snapshot.checkpoint().to_owned());
        published.attempted.clone_from(&note);
        self.head
            .replace(published.note.as_deref(), snapshot.checkpoint())?;
        published.note = note;
        published.attempted = None;
        lock(&self.log).note_published(&snapshot);
        // A crash before this leaves files that nobody reads.
        let now = snapshot.partial();
        let mut gone = std::mem::replace(&mut published.partial, now.clone());
        gone.retain(|path| !now.contains(path));
        self.tiles.remove(&gone);
        Ok(())
    }

    fn wake_publisher(&self) {
        let mut ending = lock(&self.ending);
        if ending.is_none() {
            *ending = Some(false);
            self.wake.notify_all();
        }
    }

    /// Runs on a thread of its own: writes and publishes a little after something came.
    fn publish_in_time(&self) {
        loop {
            let mut ending = lock(&self.ending);
            while ending.is_none() {
                ending = self
                    .wake
                    .wait(ending)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let (mut ending, _) = self
                .wake
                .wait_timeout_while(ending, PUBLISH_AFTER, |ending| *ending != Some(true))
                .unwrap_or_else(PoisonError::into_inner);
            if *ending == Some(true) {
                return;
            }
            *ending = None;
            drop(ending);
            let done = self.flush().and_then(|()| self.publish());
            if done.and_then(|()| self.trim()).is_err() {
                // The disk may take it a little later.
                self.wake_publisher();
            }
        }
    }
}

/// Why a record is not in the log.
enum Failed {
    /// Nothing of it was written.
    NothingWritten(LedgerError),
    /// What was written is not known; it is kept to be written again.
    Unsettled(LedgerError),
}

fn stopped(error: LedgerError) -> LedgerError {
    match error {
        LedgerError::NoSpace => LedgerError::NoSpace,
        other => LedgerError::Stopped(causes(&other)),
    }
}

/// Returns what each batch is told once its entries are written.
fn receipts(first: u64, grown: &Grown, batches: &[Batch]) -> Vec<Vec<Receipt>> {
    let mut places = (first..).zip(&grown.entries);
    let of_batch = |batch: &Batch| {
        let drafts = batch.drafts.iter();
        drafts
            .zip(places.by_ref())
            .map(|(draft, (index, (_, leaf)))| Receipt {
                index,
                id: draft.id.clone(),
                leaf: Digest::from_bytes(*leaf),
                checkpoint: grown.checkpoint.clone(),
            })
            .collect()
    };
    batches.iter().map(of_batch).collect()
}
