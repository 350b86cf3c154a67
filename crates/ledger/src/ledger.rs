//! The ledger itself: taking entries, publishing, reading.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use custody_tlog::checkpoint::Checkpoint;
use custody_tlog::note::{NoteSigner, NoteVerifier};
use custody_tlog::tile::{self, Edge, TileError, TileSource, Tree, WIDTH};
use custody_tlog::tree::{Hash, check_consistency, leaf_hash};
use custody_types::{Clock, Digest, Timestamp};

use crate::entry::EntryDraft;
use crate::error::LedgerError;
use crate::ports::{Head, Tiles, Wal};
use crate::wal::{self, Content, Record, Rest};

/// How long an entry may wait before it is in a tile.
const PUBLISH_AFTER: Duration = Duration::from_millis(900);
/// The bytes at which a commit is closed; who waits after that is in the next one.
const COMMIT_BYTES: usize = 1 << 20;

/// What a ledger is made of.
#[derive(Debug)]
pub struct Parts {
    /// The write-ahead log.
    pub wal: Box<dyn Wal>,
    /// Tiles and bundles.
    pub tiles: Arc<dyn Tiles>,
    /// The published checkpoint.
    pub head: Arc<dyn Head>,
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

struct Waiting {
    drafts: Vec<EntryDraft>,
    slot: Slot,
    /// Who waits.
    thread: Thread,
}

/// The lead, given up when this goes, however it goes.
struct Lead<'a>(&'a Shared);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.led.store(false, Ordering::Release);
        if let Some(next) = lock(&self.0.waiting).front() {
            next.thread.unpark();
        }
    }
}

impl Waiting {
    fn answer(self, answer: Result<Vec<Receipt>, LedgerError>) {
        // Set once: a slot is in the queue once.
        let _ = self.slot.set(answer);
        self.thread.unpark();
    }
}

struct State {
    wal: Box<dyn Wal>,
    /// Where the next record goes in the write-ahead log.
    at: u64,
    edge: Edge,
    /// The entries from the first bundle that is not wholly published.
    tail: VecDeque<Vec<u8>>,
    tail_start: u64,
    published: u64,
    last: Timestamp,
    checkpoint: Arc<str>,
    stopped: Option<LedgerError>,
}

struct Shared {
    tiles: Arc<dyn Tiles>,
    head: Arc<dyn Head>,
    signer: NoteSigner,
    clock: Arc<dyn Clock>,
    waiting: Mutex<VecDeque<Waiting>>,
    /// Whether someone commits for all who wait.
    led: AtomicBool,
    state: Mutex<State>,
    /// Set to wake the publisher; `true` when it shall end.
    ending: Mutex<Option<bool>>,
    wake: Condvar,
    /// What was wrong with the write-ahead log at the start.
    wal_damage: Option<String>,
}

/// The log. Safe to use from several threads; every call blocks.
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

/// Tiles as the port gives them.
pub(crate) struct Stored<'a>(pub(crate) &'a dyn Tiles);

impl TileSource for Stored<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TileError> {
        self.0.read(path).map_err(|error| TileError::Failed {
            path: path.to_owned(),
            because: error.to_string(),
        })
    }
}

impl Ledger {
    /// Opens the log, or begins it where nothing was written yet.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] when what is stored is not what was signed; [`LedgerError::Storage`].
    pub fn open(parts: Parts) -> Result<Self, LedgerError> {
        let Parts {
            mut wal,
            tiles,
            head,
            signer,
            clock,
        } = parts;
        let verifier = signer.verifier().clone();
        let published = match head.load()? {
            Some(note) => {
                Checkpoint::open(&note, &verifier).map_err(|error| LedgerError::Damaged {
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
        let source = Stored(tiles.as_ref());
        let tree = Tree::open(&source, published.size, &published.root)?;
        let edge = Edge::resume(published.size, tree.edge()?);
        let tail_start = published.size / WIDTH * WIDTH;
        let tail = if tail_start < published.size {
            tree.bundle(tail_start / WIDTH)?.into()
        } else {
            VecDeque::new()
        };
        drop(tree);
        let bytes = wal.load()?;
        if bytes.len() as u64 != wal::LENGTH {
            wal.renew(wal::LENGTH)?;
        }
        let content = wal::read(&bytes);
        let mut state = State {
            wal,
            at: content.end as u64,
            edge,
            tail,
            tail_start,
            published: published.size,
            last: Timestamp::UNIX_EPOCH,
            checkpoint: Arc::from(""),
            stopped: None,
        };
        let wal_damage = state.replay(content, &verifier)?;
        state.checkpoint = Arc::from(state.sign(&signer));
        state.last = state.newest_time();
        let shared = Arc::new(Shared {
            tiles,
            head,
            signer,
            clock,
            waiting: Mutex::default(),
            led: AtomicBool::new(false),
            state: Mutex::new(state),
            ending: Mutex::new(None),
            wake: Condvar::new(),
            wal_damage,
        });
        let worker = shared.clone();
        let publisher = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || worker.publish_in_time())
            .ok();
        Ok(Self { shared, publisher })
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
        let slot = Slot::default();
        lock(&self.shared.waiting).push_back(Waiting {
            drafts,
            slot: slot.clone(),
            thread: thread::current(),
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

    /// Returns how many entries were acknowledged.
    pub fn size(&self) -> u64 {
        lock(&self.shared.state).edge.size()
    }

    /// Returns the signed checkpoint over all that were acknowledged.
    pub fn checkpoint(&self) -> String {
        lock(&self.shared.state).checkpoint.to_string()
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
        self.shared.publish(&mut lock(&self.shared.state))
    }

    /// Checks that the log is what the checkpoint `note` was signed over, or goes on from it.
    ///
    /// # Errors
    /// [`LedgerError::RolledBack`] when it is shorter; [`LedgerError::Damaged`] when it is another log, or
    /// `note` is not one of its checkpoints.
    pub fn extends(&self, note: &str) -> Result<(), LedgerError> {
        let damaged = |because: String| LedgerError::Damaged {
            file: "the checkpoint kept outside the workspace".to_owned(),
            because,
        };
        let old =
            Checkpoint::open(note, self.verifier()).map_err(|error| damaged(error.to_string()))?;
        let (size, root) = {
            let state = lock(&self.shared.state);
            (state.edge.size(), state.edge.root())
        };
        if size < old.size {
            return Err(LedgerError::RolledBack {
                found: size,
                acknowledged: old.size,
            });
        }
        let proof = if old.size == size || old.size == 0 {
            Vec::new()
        } else {
            self.with_tree(|tree| Ok(tree.consistency(old.size)?))?
        };
        check_consistency(old.size, &old.root, size, &root, &proof)
            .map_err(|_| damaged("the ledger does not go on from it".to_owned()))
    }

    /// Hands the entries from `start` to `end` to `each`, with their positions, until it returns false.
    /// Each was checked against the signed root.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] when a file is not what was written.
    pub fn entries(
        &self,
        start: u64,
        end: u64,
        each: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), LedgerError> {
        self.with_tree(|tree| {
            let end = end.min(tree.size());
            let mut at = start;
            while at < end {
                let bundle = tree.bundle(at / WIDTH)?;
                let skip = usize::try_from(at % WIDTH).unwrap_or(0);
                for entry in bundle.iter().skip(skip) {
                    if at >= end || !each(at, entry) {
                        return Ok(());
                    }
                    at += 1;
                }
            }
            Ok(())
        })
    }

    /// Reads one entry.
    ///
    /// # Errors
    /// [`LedgerError::NoEntry`]; [`LedgerError::Damaged`] when a file is not what was written.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let mut found = None;
        self.entries(index, index.saturating_add(1), &mut |_, bytes| {
            found = Some(bytes.to_vec());
            true
        })?;
        found.ok_or(LedgerError::NoEntry(index))
    }

    /// Returns the proof that the entry at `index` is in the log, and the checkpoint that it is for.
    ///
    /// # Errors
    /// [`LedgerError`] when there is no such entry or a file is damaged.
    pub fn inclusion(&self, index: u64) -> Result<(Vec<Hash>, Checkpoint), LedgerError> {
        if index >= self.size() {
            return Err(LedgerError::NoEntry(index));
        }
        let mut size = 0;
        let (proof, root) = self.with_tree(|tree| {
            size = tree.size();
            Ok((tree.inclusion(index)?, self.root()))
        })?;
        Ok((
            proof,
            Checkpoint {
                origin: self.verifier().name().to_owned(),
                size,
                root,
            },
        ))
    }

    fn root(&self) -> Hash {
        lock(&self.shared.state).edge.root()
    }

    /// Publishes, then lends the tree over everything.
    pub(crate) fn with_tree<T>(
        &self,
        work: impl FnOnce(&Tree<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let (size, root) = {
            let mut state = lock(&self.shared.state);
            self.shared.publish(&mut state)?;
            (state.edge.size(), state.edge.root())
        };
        let source = Stored(self.shared.tiles.as_ref());
        work(&Tree::open(&source, size, &root)?)
    }

    pub(crate) fn head(&self) -> &dyn Head {
        self.shared.head.as_ref()
    }

    pub(crate) fn tiles(&self) -> &dyn Tiles {
        self.shared.tiles.as_ref()
    }

    pub(crate) fn wal_damage(&self) -> Option<String> {
        if self.shared.wal_damage.is_some() {
            return self.shared.wal_damage.clone();
        }
        match lock(&self.shared.state)
            .wal
            .load()
            .map(|bytes| wal::read(&bytes).rest)
        {
            Ok(Rest::Clean) => None,
            Ok(_) => Some("it has bytes that are no record".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        *lock(&self.shared.ending) = Some(true);
        self.shared.wake.notify_all();
        if let Some(publisher) = self.publisher.take() {
            // A publisher that panicked has nothing to say; what it left is published below.
            let _ = publisher.join();
        }
        // What cannot be published now is in the write-ahead log and will be at the next start.
        let _ = self.publish();
    }
}

impl State {
    /// Adds what the write-ahead log has and the checkpoint has not. Returns what is wrong with records
    /// that the checkpoint covers.
    fn replay(
        &mut self,
        content: Content,
        verifier: &NoteVerifier,
    ) -> Result<Option<String>, LedgerError> {
        let damaged = |because: &str| LedgerError::Damaged {
            file: "wal".to_owned(),
            because: because.to_owned(),
        };
        let mut reached = 0;
        for record in content.records {
            reached = record.first + record.entries.len() as u64;
            if reached <= self.published {
                continue;
            }
            if record.first != self.edge.size() {
                return Err(damaged("its records do not follow the published entries"));
            }
            for entry in record.entries {
                self.push(entry);
            }
            let signed = Checkpoint::open(&record.checkpoint, verifier)
                .map_err(|error| damaged(&error.to_string()))?;
            if signed.size != self.edge.size() || signed.root != self.edge.root() {
                return Err(damaged("its entries are not those of its checkpoint"));
            }
        }
        match content.rest {
            Rest::Clean => Ok(None),
            Rest::Broken if self.edge.size() == self.published => {
                Ok(Some("a record in it was changed".to_owned()))
            }
            Rest::Broken => Err(damaged("a record in it was changed")),
            // The checkpoint covers more than the whole records: the next one was acknowledged.
            Rest::Torn | Rest::Stray if reached < self.published => {
                self.wal.renew(wal::LENGTH)?;
                self.at = 0;
                Ok(Some(
                    "a record in it was changed; its entries are safe in the tiles".to_owned(),
                ))
            }
            // A record that was begun and never acknowledged, or stray bytes, which are told: either way
            // the place is cleared before anything else is written.
            Rest::Torn | Rest::Stray => {
                let zeros = vec![0; usize::try_from(wal::LENGTH - self.at).unwrap_or(0)];
                self.wal.write(self.at, &zeros)?;
                let stray = content.rest == Rest::Stray;
                Ok(stray.then(|| {
                    "it had bytes that no record begins with; they were cleared".to_owned()
                }))
            }
        }
    }

    fn push(&mut self, entry: Vec<u8>) -> Hash {
        let leaf = leaf_hash(&entry);
        self.edge.push(leaf, &mut |_, _| {});
        self.tail.push_back(entry);
        leaf
    }

    fn sign(&self, signer: &NoteSigner) -> String {
        let checkpoint = Checkpoint {
            origin: signer.verifier().name().to_owned(),
            size: self.edge.size(),
            root: self.edge.root(),
        };
        checkpoint.sign(signer)
    }

    fn newest_time(&self) -> Timestamp {
        let newest = self
            .tail
            .back()
            .and_then(|bytes| crate::entry::Entry::parse(bytes).ok());
        newest.map_or(Timestamp::UNIX_EPOCH, |entry| entry.ts)
    }
}

impl Shared {
    /// Commits for all who wait until `slot` has its answer, then leaves the lead to the next who waits.
    ///
    /// Nobody is forgotten: who came while this thread led is in `waiting` before `led` falls, and so is
    /// woken below; who comes after that leads.
    fn lead(&self, slot: &Slot) {
        let _lead = Lead(self);
        let mut state = lock(&self.state);
        while slot.get().is_none() {
            self.commit(&mut state);
        }
    }

    /// Commits what waits: one record, one `fdatasync`, for all of them.
    fn commit(&self, state: &mut State) {
        let (mut entries, mut made, mut bytes) = (Vec::new(), Vec::new(), 0);
        let before = (state.last, state.edge.clone());
        while bytes < COMMIT_BYTES
            && let Some(batch) = lock(&self.waiting).pop_front()
        {
            match write_batch(&batch.drafts, self.now(state.last)) {
                Ok((mut written, last)) => {
                    state.last = last;
                    bytes += written.iter().map(Vec::len).sum::<usize>();
                    made.push((batch, entries.len()));
                    entries.append(&mut written);
                }
                Err(error) => batch.answer(Err(error)),
            }
        }
        if entries.is_empty() {
            return;
        }
        let outcome = self.write(state, entries);
        if outcome.is_err() {
            (state.last, state.edge) = before;
        }
        for (batch, start) in made {
            let answer = outcome
                .as_ref()
                .map_err(Clone::clone)
                .map(|(first, leaves, note)| {
                    (start..)
                        .zip(&batch.drafts)
                        .map(|(at, draft)| Receipt {
                            index: first + at as u64,
                            id: draft.id.clone(),
                            leaf: Digest::from_bytes(leaves.get(at).copied().unwrap_or_default()),
                            checkpoint: note.clone(),
                        })
                        .collect()
                });
            batch.answer(answer);
        }
        let mut ending = lock(&self.ending);
        if ending.is_none() {
            *ending = Some(false);
            self.wake.notify_all();
        }
    }

    /// The time, but never before the last entry's.
    fn now(&self, last: Timestamp) -> Timestamp {
        self.clock.now().max(last)
    }

    fn write(
        &self,
        state: &mut State,
        entries: Vec<Vec<u8>>,
    ) -> Result<(u64, Vec<Hash>, Arc<str>), LedgerError> {
        if let Some(stopped) = &state.stopped {
            return Err(stopped.clone());
        }
        let first = state.edge.size();
        let tail = state.tail.len();
        let leaves: Vec<_> = entries
            .iter()
            .map(|entry| state.push(entry.clone()))
            .collect();
        let checkpoint: Arc<str> = Arc::from(state.sign(&self.signer));
        let record = Record {
            first,
            entries,
            checkpoint: checkpoint.to_string(),
        };
        let result = self.write_record(state, &record, first);
        if let Err(error) = result {
            state.tail.truncate(tail);
            return Err(error);
        }
        state.checkpoint = checkpoint.clone();
        Ok((first, leaves, checkpoint))
    }

    fn write_record(
        &self,
        state: &mut State,
        record: &Record,
        first: u64,
    ) -> Result<(), LedgerError> {
        let bytes = record.encode().ok_or(LedgerError::TooLarge(usize::MAX))?;
        let length = bytes.len() as u64;
        if length > wal::LENGTH {
            return Err(LedgerError::TooLarge(bytes.len()));
        }
        if state.at + length > wal::LENGTH {
            // The entries of this record are not acknowledged yet, so they stay out of what is published:
            // they come first in the fresh file.
            self.publish_up_to(state, first)?;
            state.wal.renew(wal::LENGTH)?;
            state.at = 0;
        }
        // CRASH: before this write the entries were never heard of; after it they are replayed. When it
        // fails nobody knows which, so nothing more is written: the next start decides by what it reads.
        if let Err(error) = state.wal.write(state.at, &bytes) {
            let stopped = match LedgerError::from(error) {
                LedgerError::NoSpace => LedgerError::NoSpace,
                other => LedgerError::Stopped(other.to_string()),
            };
            state.stopped = Some(stopped.clone());
            return Err(stopped);
        }
        state.at += length;
        Ok(())
    }

    fn publish(&self, state: &mut State) -> Result<(), LedgerError> {
        let size = state.edge.size();
        self.publish_up_to(state, size)
    }

    /// Publishes the first `size` entries. The edge may be ahead of that; then its tiles wait.
    fn publish_up_to(&self, state: &mut State, size: u64) -> Result<(), LedgerError> {
        if size == state.published {
            return Ok(());
        }
        let mut edge = Edge::resume(state.published, {
            let source = Stored(self.tiles.as_ref());
            let root = self.published_root()?;
            Tree::open(&source, state.published, &root)?.edge()?
        });
        let before: Vec<String> = edge
            .partial()
            .map(|(tile, _)| tile.path())
            .chain(partial_bundle(state.published))
            .collect();
        let mut files = Vec::new();
        let skip = usize::try_from(state.published - state.tail_start).unwrap_or(usize::MAX);
        let count = usize::try_from(size - state.published).unwrap_or(usize::MAX);
        for entry in state.tail.iter().skip(skip).take(count) {
            edge.push(leaf_hash(entry), &mut |tile, hashes| {
                files.push((tile.path(), hashes.concat()));
            });
        }
        files.extend(
            edge.partial()
                .map(|(tile, hashes)| (tile.path(), hashes.concat())),
        );
        files.extend(Self::bundles(state, size));
        // CRASH: tiles beyond the checkpoint are written again with the same bytes at the next publishing.
        self.tiles.write(&files)?;
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            size,
            root: edge.root(),
        };
        self.head.replace(&checkpoint.sign(&self.signer))?;
        state.published = size;
        // Partial tiles that the new ones took the place of; a crash before leaves them, unread.
        let now: std::collections::BTreeSet<&str> =
            files.iter().map(|(path, _)| path.as_str()).collect();
        let gone: Vec<_> = before
            .into_iter()
            .filter(|path| !now.contains(path.as_str()))
            .collect();
        self.tiles.remove(&gone);
        let whole = size / WIDTH * WIDTH;
        let gone = usize::try_from(whole.saturating_sub(state.tail_start)).unwrap_or(0);
        state.tail.drain(..gone.min(state.tail.len()));
        state.tail_start = state.tail_start.max(whole);
        Ok(())
    }

    fn published_root(&self) -> Result<Hash, LedgerError> {
        let damaged = |error: custody_tlog::note::NoteError| LedgerError::Damaged {
            file: "checkpoint".to_owned(),
            because: error.to_string(),
        };
        match self.head.load()? {
            Some(note) => Ok(Checkpoint::open(&note, self.signer.verifier())
                .map_err(damaged)?
                .root),
            None => Ok(custody_tlog::tree::empty_root()),
        }
    }

    fn bundles(state: &State, size: u64) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let first = state.published / WIDTH;
        for (index, width) in tile::bundles(size).skip(usize::try_from(first).unwrap_or(usize::MAX))
        {
            let skip = usize::try_from(index * WIDTH - state.tail_start).unwrap_or(usize::MAX);
            let mut bytes = Vec::new();
            for entry in state
                .tail
                .iter()
                .skip(skip)
                .take(usize::try_from(width).unwrap_or(usize::MAX))
            {
                bytes.extend(u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
                bytes.extend(entry);
            }
            files.push((tile::bundle_path(index, width), bytes));
        }
        files
    }

    /// Runs on a thread of its own: publishes a little after something was written.
    fn publish_in_time(&self) {
        loop {
            let mut ending = lock(&self.ending);
            while ending.is_none() {
                ending = self
                    .wake
                    .wait(ending)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if *ending == Some(true) {
                return;
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
            // What fails now is tried again with the next entry, or at the end.
            let _ = self.publish(&mut lock(&self.state));
        }
    }
}

/// Returns the path of the bundle that is not full in a log of `size` entries.
fn partial_bundle(size: u64) -> Option<String> {
    let width = size % WIDTH;
    (width > 0).then(|| tile::bundle_path(size / WIDTH, width))
}

fn write_batch(
    drafts: &[EntryDraft],
    now: Timestamp,
) -> Result<(Vec<Vec<u8>>, Timestamp), LedgerError> {
    let entries = drafts
        .iter()
        .map(|draft| draft.write(now))
        .collect::<Result<_, _>>()?;
    Ok((entries, now))
}
