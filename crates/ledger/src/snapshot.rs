//! The log as it was at one moment.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use custody_tlog::checkpoint::Checkpoint;
use custody_tlog::note::NoteVerifier;
use custody_tlog::tile::{self, TileError, TileSource, Tree, WIDTH};
use custody_tlog::tree::{Hash, check_consistency};

use crate::error::LedgerError;
use crate::ports::{PortError, Tiles};

/// The log as it was at one moment: its size, root and signed checkpoint, and every entry of it.
///
/// Nothing that is appended, published or removed afterwards changes what it says. It holds what was not
/// published when it was taken, and the tiles and the bundle that were not full; only full ones are read
/// from the storage, which are never written again nor removed. Whoever reads it waits for no writer.
#[derive(Clone)]
pub struct Snapshot {
    size: u64,
    root: Hash,
    checkpoint: Arc<str>,
    verifier: NoteVerifier,
    source: Arc<Source>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// What a snapshot holds in memory.
pub(crate) struct Overlay {
    tiles: BTreeMap<String, Arc<[u8]>>,
    /// Where the bundles of `tail` begin and end in it, by path.
    bundles: BTreeMap<String, (usize, usize)>,
    tail: Vec<Arc<[u8]>>,
    /// The place of the first of `tail`.
    tail_start: u64,
}

impl Overlay {
    /// `tail`: the entries from `tail_start`, the first of a bundle, to the log's `size`.
    pub(crate) fn new(
        tiles: BTreeMap<String, Arc<[u8]>>,
        tail: Vec<Arc<[u8]>>,
        tail_start: u64,
        size: u64,
    ) -> Self {
        let mut bundles = BTreeMap::new();
        let (mut index, mut at) = (tail_start / WIDTH, 0);
        while at < tail.len() {
            let width = WIDTH.min(size - index * WIDTH);
            let end = tail
                .len()
                .min(at + usize::try_from(width).unwrap_or(tail.len()));
            bundles.insert(tile::bundle_path(index, width), (at, end));
            (index, at) = (index + 1, end);
        }
        Self {
            tiles,
            bundles,
            tail,
            tail_start,
        }
    }

    /// Returns the entry at `index`, where it is held.
    fn entry(&self, index: u64) -> Option<&Arc<[u8]>> {
        let place = usize::try_from(index.checked_sub(self.tail_start)?).ok()?;
        self.tail.get(place)
    }

    fn has(&self, path: &str) -> bool {
        self.tiles.contains_key(path) || self.bundles.contains_key(path)
    }

    fn read(&self, path: &str) -> Option<Result<Vec<u8>, LedgerError>> {
        if let Some(tile) = self.tiles.get(path) {
            return Some(Ok(tile.to_vec()));
        }
        let (start, end) = *self.bundles.get(path)?;
        Some(bundle(self.tail.get(start..end)?))
    }

    /// Lists the paths that are not full: newer ones take their place.
    fn partial(&self) -> impl Iterator<Item = &String> {
        let paths = self.tiles.keys().chain(self.bundles.keys());
        paths.filter(|path| path.contains(".p/"))
    }
}

/// Writes a bundle: each entry after its length.
fn bundle(entries: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, LedgerError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| LedgerError::TooLarge(entry.len()))?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// What a snapshot holds, before what is stored.
struct Source {
    overlay: Overlay,
    tiles: Arc<dyn Tiles>,
}

impl TileSource for Source {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TileError> {
        match self.overlay.read(path) {
            Some(bytes) => bytes.map(Some).map_err(|error| TileError::Failed {
                path: path.to_owned(),
                source: Arc::new(error),
            }),
            None => Stored(self.tiles.as_ref()).read(path),
        }
    }
}

/// Tiles as the port gives them.
pub(crate) struct Stored<'a>(pub(crate) &'a dyn Tiles);

impl TileSource for Stored<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TileError> {
        self.0.read(path).map_err(|error| TileError::Failed {
            path: path.to_owned(),
            source: match error {
                PortError::Failed { source, .. } => source,
                other => Arc::new(other),
            },
        })
    }
}

impl Snapshot {
    pub(crate) fn new(
        size: u64,
        root: Hash,
        checkpoint: Arc<str>,
        verifier: NoteVerifier,
        overlay: Overlay,
        tiles: Arc<dyn Tiles>,
    ) -> Self {
        let source = Arc::new(Source { overlay, tiles });
        Self {
            size,
            root,
            checkpoint,
            verifier,
            source,
        }
    }

    /// Returns how many entries there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root of the tree over them.
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// Returns the signed checkpoint over them.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Returns the key that checks the checkpoint.
    pub const fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// Opens the tree over the entries.
    pub(crate) fn tree(&self) -> Result<Tree<'_>, LedgerError> {
        Ok(Tree::open(self.source.as_ref(), self.size, &self.root)?)
    }

    /// Hands the entries from `start` to `end` to `each`, with their positions, until it returns false.
    /// Each was checked against the root: those that are read now, and those in memory when they came there.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] when a file is not what was written.
    pub fn entries(
        &self,
        start: u64,
        end: u64,
        each: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), LedgerError> {
        let end = end.min(self.size);
        let mut at = start;
        let mut tree = None;
        while at < end {
            if let Some(entry) = self.source.overlay.entry(at) {
                if !each(at, entry) {
                    return Ok(());
                }
                at += 1;
                continue;
            }
            let opened = match tree.take() {
                Some(opened) => opened,
                None => self.tree()?,
            };
            let bundle = opened.bundle(at / WIDTH)?;
            tree = Some(opened);
            let skip = usize::try_from(at % WIDTH).map_err(|_| LedgerError::NoEntry(at))?;
            for entry in bundle.iter().skip(skip) {
                if at >= end || !each(at, entry) {
                    return Ok(());
                }
                at += 1;
            }
        }
        Ok(())
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

    /// Returns the proof that the entry at `index` is in the log of this size and root.
    ///
    /// # Errors
    /// [`LedgerError::NoEntry`]; [`LedgerError::Damaged`] when a file is not what was written.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, LedgerError> {
        if index >= self.size {
            return Err(LedgerError::NoEntry(index));
        }
        Ok(self.tree()?.inclusion(index)?)
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
            Checkpoint::open(note, &self.verifier).map_err(|error| damaged(error.to_string()))?;
        if self.size < old.size {
            return Err(LedgerError::RolledBack {
                found: self.size,
                acknowledged: old.size,
            });
        }
        self.goes_on_from(&old)?
            .then_some(())
            .ok_or_else(|| damaged("the ledger does not go on from it".to_owned()))
    }

    /// Returns whether the log goes on from `old`, which is not larger.
    pub(crate) fn goes_on_from(&self, old: &Checkpoint) -> Result<bool, LedgerError> {
        let proof = self.tree()?.consistency(old.size)?;
        Ok(check_consistency(old.size, &old.root, self.size, &self.root, &proof).is_ok())
    }

    /// Copies the log out in the static layout of C2SP tlog-tiles: `put` gets each path with its bytes.
    ///
    /// # Errors
    /// [`LedgerError`] when a file is damaged; [`LedgerError::Storage`] when `put` fails.
    pub fn export(
        &self,
        put: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
    ) -> Result<(), LedgerError> {
        let mut put = |path: &str, bytes: &[u8]| {
            put(path, bytes).map_err(|error| LedgerError::Storage {
                file: path.to_owned(),
                source: Arc::new(error),
            })
        };
        let tree = self.tree()?;
        for tile in tile::tiles(self.size) {
            put(&tile.path(), &tree.tile(tile)?.concat())?;
        }
        for (index, width) in tile::bundles(self.size) {
            put(
                &tile::bundle_path(index, width),
                &bundle(&tree.bundle(index)?)?,
            )?;
        }
        put("vkey", format!("{}\n", self.verifier.vkey()).as_bytes())?;
        put("checkpoint", self.checkpoint.as_bytes())
    }

    /// Lists what is not stored yet, or may not be: paths with their bytes.
    pub(crate) fn unpublished(&self) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
        let overlay = &self.source.overlay;
        let paths = overlay.tiles.keys().chain(overlay.bundles.keys());
        let read = paths.filter_map(|path| Some((path, overlay.read(path)?)));
        read.map(|(path, bytes)| Ok((path.clone(), bytes?)))
            .collect()
    }

    /// Returns whether it holds the file at `path` in memory.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.source.overlay.has(path)
    }

    /// Lists the files that are not full.
    pub(crate) fn partial(&self) -> Vec<String> {
        self.source.overlay.partial().cloned().collect()
    }
}
