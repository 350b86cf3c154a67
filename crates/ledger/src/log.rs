//! The log in memory: its right edge, and what of it is not published yet.

use std::collections::VecDeque;
use std::sync::Arc;

use custody_tlog::checkpoint::Checkpoint;
use custody_tlog::note::NoteSigner;
use custody_tlog::tile::{Edge, Tree, WIDTH};
use custody_tlog::tree::{Hash, leaf_hash};
use custody_types::Timestamp;

use crate::entry::Entry;
use crate::error::LedgerError;
use crate::ports::Tiles;
use crate::snapshot::{Overlay, Snapshot, Stored};

/// What was acknowledged.
///
/// INVARIANT: it changes when the write-ahead log has what is new, in one step, so that whoever looks sees a
/// size, a root and a checkpoint that belong together.
pub(crate) struct Log {
    edge: Edge,
    /// The tiles that were filled since the last publishing, with their paths.
    full: Vec<(String, Arc<[u8]>)>,
    /// The entries from the first bundle that is not wholly published.
    tail: VecDeque<Arc<[u8]>>,
    tail_start: u64,
    published: u64,
    last: Timestamp,
    checkpoint: Arc<str>,
}

/// The log with further entries, which nobody has heard of yet.
pub(crate) struct Grown {
    edge: Edge,
    full: Vec<(String, Arc<[u8]>)>,
    /// The entries with their hashes.
    pub(crate) entries: Vec<(Arc<[u8]>, Hash)>,
    /// The signed checkpoint over all of it.
    pub(crate) checkpoint: Arc<str>,
    last: Timestamp,
}

impl Grown {
    pub(crate) const fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.edge.root()
    }
}

impl Log {
    /// Goes on from the published part.
    pub(crate) fn resume(
        published: &Checkpoint,
        tiles: &dyn Tiles,
        signer: &NoteSigner,
    ) -> Result<Self, LedgerError> {
        let source = Stored(tiles);
        let tree = Tree::open(&source, published.size, &published.root)?;
        let edge = Edge::resume(published.size, tree.edge()?);
        let tail_start = published.size / WIDTH * WIDTH;
        let newest = match published.size.checked_sub(1) {
            Some(newest) => tree.bundle(newest / WIDTH)?,
            None => Vec::new(),
        };
        let last = match newest.last() {
            Some(entry) => time_of(entry)?,
            None => Timestamp::UNIX_EPOCH,
        };
        let tail = if tail_start < published.size {
            newest.into_iter().map(Arc::from).collect()
        } else {
            VecDeque::new()
        };
        Ok(Self {
            checkpoint: Arc::from(published.sign(signer)),
            edge,
            full: Vec::new(),
            tail,
            tail_start,
            published: published.size,
            last,
        })
    }

    /// Returns the number of entries.
    pub(crate) const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Returns how many of them are published.
    pub(crate) const fn published(&self) -> u64 {
        self.published
    }

    /// Returns the time of the last entry.
    pub(crate) const fn last(&self) -> Timestamp {
        self.last
    }

    pub(crate) fn checkpoint(&self) -> &Arc<str> {
        &self.checkpoint
    }

    /// Returns the log with further entries, the last of them written at `last`.
    pub(crate) fn grow(
        &self,
        entries: Vec<Arc<[u8]>>,
        last: Timestamp,
        signer: &NoteSigner,
    ) -> Grown {
        let mut edge = self.edge.clone();
        let mut full = Vec::new();
        let entries = entries
            .into_iter()
            .map(|entry| {
                let leaf = leaf_hash(&entry);
                edge.push(leaf, &mut |tile, hashes| {
                    full.push((tile.path(), Arc::from(hashes.concat())));
                });
                (entry, leaf)
            })
            .collect();
        let checkpoint = Checkpoint {
            origin: signer.verifier().name().to_owned(),
            size: edge.size(),
            root: edge.root(),
        };
        Grown {
            checkpoint: Arc::from(checkpoint.sign(signer)),
            edge,
            full,
            entries,
            last,
        }
    }

    /// Takes what the write-ahead log has.
    pub(crate) fn take(&mut self, grown: Grown) {
        let entries = grown.entries.into_iter().map(|(entry, _)| entry);
        self.edge = grown.edge;
        self.full.extend(grown.full);
        self.tail.extend(entries);
        self.last = grown.last;
        self.checkpoint = grown.checkpoint;
    }

    /// Returns the log as it is now, for readers; `tiles`: where the published part lies.
    pub(crate) fn snapshot(&self, tiles: Arc<dyn Tiles>, signer: &NoteSigner) -> Snapshot {
        let partial = self.edge.partial();
        let partial = partial.map(|(tile, hashes)| (tile.path(), Arc::from(hashes.concat())));
        let full = self.full.iter().cloned();
        let overlay = Overlay::new(
            full.chain(partial).collect(),
            self.tail.iter().cloned().collect(),
            self.tail_start,
            self.size(),
        );
        Snapshot::new(
            self.size(),
            self.edge.root(),
            self.checkpoint.clone(),
            signer.verifier().clone(),
            overlay,
            tiles,
        )
    }

    /// Notes that what `snapshot` has is published.
    pub(crate) fn note_published(&mut self, snapshot: &Snapshot) {
        let size = snapshot.size();
        self.published = size;
        // What came since was filled after it.
        self.full.retain(|(path, _)| !snapshot.has(path));
        let start = size / WIDTH * WIDTH;
        let whole = usize::try_from(start.saturating_sub(self.tail_start));
        self.tail
            .drain(..whole.map_or(self.tail.len(), |whole| whole.min(self.tail.len())));
        self.tail_start = start;
    }
}

/// Returns when an entry was written.
pub(crate) fn time_of(bytes: &[u8]) -> Result<Timestamp, LedgerError> {
    let entry = Entry::parse(bytes).map_err(|because| LedgerError::Damaged {
        file: "the newest entry".to_owned(),
        because,
    })?;
    Ok(entry.ts)
}
