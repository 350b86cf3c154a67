//! Tiles of 256 hashes, and reading them without believing them.
//!
//! A reader that takes a tile's hash for an inner node without hashing the tile's content can be shown
//! an entry that the root does not cover. [`Tree`] therefore checks each tile as a whole: the tiles of
//! the right edge together against the root, every other one against its place in the tile above.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use crate::tree::{Frontier, Hash};

/// The number of hashes in a full tile.
pub const WIDTH: u64 = 256;
/// The number of tree levels in a tile.
pub const HEIGHT: u32 = 8;

/// A place for 256 hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// The tile level: 0 holds the hashes of entries.
    pub level: u32,
    /// The position in its level, counted from 0.
    pub index: u64,
    /// How many hashes it has: 1 to 256.
    pub width: u64,
}

fn path_of(index: u64, width: u64) -> String {
    let mut parts = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        parts.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    parts.reverse();
    let path = parts.join("/");
    if width == WIDTH {
        path
    } else {
        format!("{path}.p/{width}")
    }
}

impl Tile {
    /// Returns the path under which the tile is served.
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, path_of(self.index, self.width))
    }
}

/// Returns the path of the bundle that holds `width` entries, the first of them `256 * index`.
pub fn bundle_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", path_of(index, width))
}

/// Lists the bundles of a log of `size` entries: index and width.
pub fn bundles(size: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(WIDTH)).map(move |index| (index, WIDTH.min(size - index * WIDTH)))
}

/// Returns how many hashes the tile level `level` has in a log of `size` entries.
pub fn hashes_at(level: u32, size: u64) -> u64 {
    size.checked_shr(HEIGHT * level).unwrap_or(0)
}

/// Lists the tiles of a log of `size` entries.
pub fn tiles(size: u64) -> impl Iterator<Item = Tile> {
    (0..HEIGHT)
        .take_while(move |level| hashes_at(*level, size) > 0)
        .flat_map(move |level| {
            let hashes = hashes_at(level, size);
            (0..hashes.div_ceil(WIDTH)).map(move |index| Tile {
                level,
                index,
                width: WIDTH.min(hashes - index * WIDTH),
            })
        })
}

/// Splits a bundle into its entries.
///
/// # Errors
/// [`TileError::Malformed`] when it has not that form.
pub fn split_bundle(path: &str, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, TileError> {
    let malformed = || TileError::Malformed(path.to_owned());
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or_else(malformed)?;
        let (entry, rest) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .ok_or_else(malformed)?;
        entries.push(entry.to_vec());
        bytes = rest;
    }
    Ok(entries)
}

/// Why a tile cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TileError {
    /// There is no such file.
    #[error("`{0}` is missing")]
    Missing(String),
    /// The file has not the form of a tile or bundle.
    #[error("`{0}` has not the form that it must have")]
    Malformed(String),
    /// The content is not what the signed root covers.
    #[error("`{0}` is not what the signed root covers")]
    Forged(String),
    /// The storage failed.
    #[error("`{path}` could not be read")]
    Failed {
        /// The file.
        path: String,
        /// What the storage said.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The position is not in the tree.
    #[error("the log has no such position")]
    OutOfRange,
}

/// Where tiles and bundles come from. Nothing that it returns is believed.
pub trait TileSource {
    /// Reads the file at `path`; `None` when there is none.
    ///
    /// # Errors
    /// [`TileError::Failed`].
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TileError>;
}

/// A tree whose root is known, over tiles that are checked before use.
pub struct Tree<'a> {
    source: &'a dyn TileSource,
    size: u64,
    checked: Mutex<HashMap<Tile, Vec<Hash>>>,
}

impl std::fmt::Debug for Tree<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl<'a> Tree<'a> {
    /// Opens the tree with `size` entries and `root`: checks the right edge.
    ///
    /// # Errors
    /// [`TileError`]: a tile of the edge is missing, malformed, or the edge does not make the root.
    pub fn open(source: &'a dyn TileSource, size: u64, root: &Hash) -> Result<Self, TileError> {
        let tree = Self {
            source,
            size,
            checked: Mutex::default(),
        };
        let mut frontier = Frontier::default();
        let mut edge = Vec::new();
        for level in (0..HEIGHT).rev() {
            let hashes = hashes_at(level, size);
            let width = hashes % WIDTH;
            if width > 0 {
                let tile = Tile {
                    level,
                    index: hashes / WIDTH,
                    width,
                };
                let content = tree.load(tile)?;
                for hash in &content {
                    frontier.push(HEIGHT * level, *hash);
                }
                edge.push((tile, content));
            }
        }
        if frontier.root() != *root {
            let paths: Vec<_> = edge.iter().map(|(tile, _)| tile.path()).collect();
            return Err(TileError::Forged(paths.join("`, `")));
        }
        tree.checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(edge);
        Ok(tree)
    }

    /// Returns the number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the perfect subtrees of the right edge.
    ///
    /// # Errors
    /// [`TileError`] when a tile cannot be used.
    pub fn edge(&self) -> Result<Vec<Vec<Hash>>, TileError> {
        let mut levels = Vec::new();
        for level in 0..HEIGHT {
            let hashes = hashes_at(level, self.size);
            let width = hashes % WIDTH;
            levels.push(if width > 0 {
                self.tile(Tile {
                    level,
                    index: hashes / WIDTH,
                    width,
                })?
            } else {
                Vec::new()
            });
        }
        Ok(levels)
    }

    fn load(&self, tile: Tile) -> Result<Vec<Hash>, TileError> {
        let path = tile.path();
        let bytes = self
            .source
            .read(&path)?
            .ok_or_else(|| TileError::Missing(path.clone()))?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if rest.is_empty() && hashes.len() as u64 == tile.width {
            Ok(hashes.to_vec())
        } else {
            Err(TileError::Malformed(path))
        }
    }

    /// Returns the content of a tile after it was checked.
    ///
    /// # Errors
    /// [`TileError`] when it is missing, malformed or forged.
    pub fn tile(&self, tile: Tile) -> Result<Vec<Hash>, TileError> {
        if let Some(known) = self
            .checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&tile)
        {
            return Ok(known.clone());
        }
        // Every partial tile of this size is on the edge and was checked at the opening.
        if tile.width != WIDTH || tile.index >= hashes_at(tile.level, self.size) / WIDTH {
            return Err(TileError::OutOfRange);
        }
        let content = self.load(tile)?;
        let mut frontier = Frontier::default();
        for hash in &content {
            frontier.push(0, *hash);
        }
        if frontier.root() != self.hash(tile.level + 1, tile.index)? {
            return Err(TileError::Forged(tile.path()));
        }
        self.checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tile, content.clone());
        Ok(content)
    }

    /// Returns the hash at `position` of the tile level `level`.
    fn hash(&self, level: u32, position: u64) -> Result<Hash, TileError> {
        let hashes = hashes_at(level, self.size);
        if position >= hashes {
            return Err(TileError::OutOfRange);
        }
        let index = position / WIDTH;
        let width = WIDTH.min(hashes - index * WIDTH);
        let content = self.tile(Tile {
            level,
            index,
            width,
        })?;
        let at = usize::try_from(position % WIDTH).map_err(|_| TileError::OutOfRange)?;
        content.get(at).copied().ok_or(TileError::OutOfRange)
    }

    /// Returns the hash of the entry at `index`.
    ///
    /// # Errors
    /// [`TileError`] when a tile cannot be used.
    pub fn leaf(&self, index: u64) -> Result<Hash, TileError> {
        self.hash(0, index)
    }

    /// Returns the root over the entries from `start` to `end`, where the range is one that RFC 6962
    /// splits the tree into.
    fn range_root(&self, start: u64, end: u64) -> Result<Hash, TileError> {
        let mut frontier = Frontier::default();
        let mut at = start;
        while at < end {
            // The largest perfect subtree of a whole tile level that begins here and fits.
            let mut level = 0;
            while level + 1 < HEIGHT
                && at.trailing_zeros().min(63) >= HEIGHT * (level + 1)
                && end - at >= 1 << (HEIGHT * (level + 1))
            {
                level += 1;
            }
            frontier.push(HEIGHT * level, self.hash(level, at >> (HEIGHT * level))?);
            at += 1 << (HEIGHT * level);
        }
        Ok(frontier.root())
    }

    /// Returns the proof that the entry at `index` is in the tree (RFC 6962 §2.1.1).
    ///
    /// # Errors
    /// [`TileError`] when a tile cannot be used.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, TileError> {
        if index >= self.size {
            return Err(TileError::OutOfRange);
        }
        let (mut start, mut end) = (0, self.size);
        let mut proof = Vec::new();
        while end - start > 1 {
            let split = start + largest_power_below(end - start);
            if index < split {
                proof.push(self.range_root(split, end)?);
                end = split;
            } else {
                proof.push(self.range_root(start, split)?);
                start = split;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// Returns the proof that the tree of the first `old_size` entries is its beginning (RFC 6962
    /// §2.1.2).
    ///
    /// # Errors
    /// [`TileError`] when a tile cannot be used.
    pub fn consistency(&self, old_size: u64) -> Result<Vec<Hash>, TileError> {
        if old_size > self.size {
            return Err(TileError::OutOfRange);
        }
        let mut proof = Vec::new();
        if old_size == 0 || old_size == self.size {
            return Ok(proof);
        }
        let (mut start, mut end, mut whole) = (0, self.size, true);
        while old_size != end {
            let split = start + largest_power_below(end - start);
            if old_size <= split {
                proof.push(self.range_root(split, end)?);
                end = split;
            } else {
                proof.push(self.range_root(start, split)?);
                start = split;
                whole = false;
            }
        }
        if !whole {
            proof.push(self.range_root(start, end)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// Reads a bundle of entries and checks each one.
    ///
    /// # Errors
    /// [`TileError`] when it is missing, malformed or forged.
    pub fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, TileError> {
        if index >= self.size.div_ceil(WIDTH) {
            return Err(TileError::OutOfRange);
        }
        let width = WIDTH.min(self.size - index * WIDTH);
        let path = bundle_path(index, width);
        let bytes = self
            .source
            .read(&path)?
            .ok_or_else(|| TileError::Missing(path.clone()))?;
        let entries = split_bundle(&path, &bytes)?;
        let leaves = self.tile(Tile {
            level: 0,
            index,
            width,
        })?;
        let same = entries
            .iter()
            .map(|entry| crate::tree::leaf_hash(entry))
            .eq(leaves);
        if same {
            Ok(entries)
        } else {
            Err(TileError::Forged(path))
        }
    }
}

/// Returns the largest power of two below `n`, which is at least 2.
fn largest_power_below(n: u64) -> u64 {
    1 << n.saturating_sub(1).max(1).ilog2()
}

/// The growing right edge of a log, from which tiles are written.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Continues from the edge of a log with `size` entries ([`Tree::edge`]).
    pub const fn resume(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels }
    }

    /// Returns the number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry's hash; `full` gets each tile that it fills.
    pub fn push(&mut self, leaf: Hash, full: &mut dyn FnMut(Tile, &[Hash])) {
        self.size += 1;
        let mut carry = Some(leaf);
        for level in 0..HEIGHT {
            let Some(hash) = carry.take() else { return };
            let index = level as usize;
            if self.levels.len() <= index {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(index) else {
                return;
            };
            hashes.push(hash);
            if hashes.len() as u64 == WIDTH {
                full(
                    Tile {
                        level,
                        index: hashes_at(level, self.size) / WIDTH - 1,
                        width: WIDTH,
                    },
                    hashes,
                );
                let mut frontier = Frontier::default();
                hashes.drain(..).for_each(|hash| frontier.push(0, hash));
                carry = Some(frontier.root());
            }
        }
    }

    /// Lists the tiles that are not full.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        (0_u32..)
            .zip(&self.levels)
            .filter(|(_, hashes)| !hashes.is_empty())
            .map(|(level, hashes)| {
                let tile = Tile {
                    level,
                    index: hashes_at(level, self.size) / WIDTH,
                    width: hashes.len() as u64,
                };
                (tile, hashes.as_slice())
            })
    }

    /// Returns the root.
    pub fn root(&self) -> Hash {
        let mut frontier = Frontier::default();
        for (level, hashes) in (0..HEIGHT).zip(&self.levels).rev() {
            for hash in hashes {
                frontier.push(HEIGHT * level, *hash);
            }
        }
        frontier.root()
    }
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2_of_oracle::Sha256;
    use tlog_tiles::tlog::{Hash as TheirHash, check_record, check_tree};

    use super::*;
    use crate::tree::{check_consistency, check_inclusion, leaf_hash};

    #[derive(Default, Clone)]
    struct Files(HashMap<String, Vec<u8>>);

    impl TileSource for Files {
        fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TileError> {
            Ok(self.0.get(path).cloned())
        }
    }

    fn entry(index: u64) -> Vec<u8> {
        format!("entry {index}").into_bytes()
    }

    fn build(size: u64) -> (Files, Hash) {
        let (mut files, mut edge) = (Files::default(), Edge::default());
        for index in 0..size {
            edge.push(leaf_hash(&entry(index)), &mut |tile, hashes| {
                files.0.insert(tile.path(), hashes.concat());
            });
        }
        for (tile, hashes) in edge.partial() {
            files.0.insert(tile.path(), hashes.concat());
        }
        for (index, width) in bundles(size) {
            let mut bytes = Vec::new();
            for position in index * WIDTH..index * WIDTH + width {
                let one = entry(position);
                bytes.extend(u16::try_from(one.len()).unwrap().to_be_bytes());
                bytes.extend(one);
            }
            files.0.insert(bundle_path(index, width), bytes);
        }
        (files, edge.root())
    }

    fn oracle(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        (0..size).for_each(|index| tree.push(entry(index)));
        tree
    }

    #[test]
    fn roots_and_proofs_are_those_of_an_independent_implementation() {
        for size in [1_u64, 2, 3, 7, 255, 256, 257, 511, 512, 700] {
            let (files, root) = build(size);
            let theirs = oracle(size);
            assert_eq!(root[..], theirs.root().as_bytes()[..], "size {size}");
            let tree = Tree::open(&files, size, &root).unwrap();
            for index in [0, size / 3, size / 2, size - 1] {
                let proof = tree.inclusion(index).unwrap();
                let expected = theirs.prove_inclusion(usize::try_from(index).unwrap());
                assert_eq!(
                    proof.concat(),
                    expected.as_bytes(),
                    "index {index} of {size}"
                );
                assert_eq!(
                    check_inclusion(&leaf_hash(&entry(index)), index, size, &root, &proof),
                    Ok(())
                );
            }
        }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = Tile {
            level: 1,
            index: 5,
            width: 17,
        };
        assert_eq!(tile.path(), "tile/1/005.p/17");
        assert_eq!(
            Tile {
                level: 0,
                index: 1_234_067,
                width: 256
            }
            .path(),
            "tile/0/x001/x234/067"
        );
        assert_eq!(bundle_path(1_234_067, 256), "tile/entries/x001/x234/067");
        assert_eq!(bundle_path(0, 3), "tile/entries/000.p/3");
    }

    #[test]
    fn a_second_implementation_accepts_the_proofs() {
        let theirs = |hashes: &[Hash]| {
            hashes
                .iter()
                .map(|hash| TheirHash(*hash))
                .collect::<Vec<_>>()
        };
        for size in [2_u64, 5, 256, 300, 1000] {
            let (files, root) = build(size);
            let tree = Tree::open(&files, size, &root).unwrap();
            for old in [1, size / 2, size - 1] {
                let proof = theirs(&tree.consistency(old).unwrap());
                assert!(
                    check_tree(&proof, size, TheirHash(root), old, TheirHash(build(old).1)).is_ok(),
                    "{old} of {size}"
                );
                let proof = theirs(&tree.inclusion(old).unwrap());
                let leaf = TheirHash(leaf_hash(&entry(old)));
                assert!(
                    check_record(&proof, size, TheirHash(root), old, leaf).is_ok(),
                    "{old} of {size}"
                );
            }
        }
    }

    #[test]
    fn every_consistency_proof_between_small_trees_holds_and_no_other() {
        for size in 1..70 {
            let (files, root) = build(size);
            let tree = Tree::open(&files, size, &root).unwrap();
            for old in 0..=size {
                let old_root = build(old).1;
                let proof = tree.consistency(old).unwrap();
                assert_eq!(
                    check_consistency(old, &old_root, size, &root, &proof),
                    Ok(()),
                    "{old} {size}"
                );
                if old > 0 && old < size {
                    assert!(check_consistency(old, &[0; 32], size, &root, &proof).is_err());
                    assert!(check_consistency(old, &old_root, size, &[0; 32], &proof).is_err());
                    assert!(check_consistency(old + 1, &old_root, size, &root, &proof).is_err());
                }
            }
        }
    }

    /// The attack: an inner tile keeps the right hash for the root, but the tile under it was exchanged
    /// together with its bundle. A reader that takes nodes from upper tiles and leaves from lower ones
    /// without comparing them accepts the forged entry.
    #[test]
    fn a_forged_tile_with_its_bundle_is_not_believed() {
        const SIZE: u64 = 70_000;
        let (files, root) = build(SIZE);
        for victim in [0, 100, 256 * 256 - 1, 66_000, SIZE - 1] {
            let index = victim / WIDTH;
            let width = WIDTH.min(SIZE - index * WIDTH);
            let tile = Tile {
                level: 0,
                index,
                width,
            };
            let mut forged = files.clone();
            let at = usize::try_from(victim % WIDTH).unwrap() * 32;
            let content = forged.0.get_mut(&tile.path()).unwrap();
            content[at..at + 32].copy_from_slice(&leaf_hash(b"never written"));
            let outcome = Tree::open(&forged, SIZE, &root).and_then(|tree| {
                tree.leaf(victim)?;
                tree.inclusion(victim)
            });
            assert!(
                matches!(outcome, Err(TileError::Forged(_))),
                "victim {victim}: {outcome:?}"
            );
        }
    }

    #[test]
    fn a_flipped_byte_in_any_tile_is_found_and_named() {
        const SIZE: u64 = 600;
        let (files, root) = build(SIZE);
        for path in files.0.keys() {
            let mut changed = files.clone();
            changed.0.get_mut(path).unwrap()[5] ^= 1;
            let outcome = Tree::open(&changed, SIZE, &root).and_then(|tree| {
                (0..=2)
                    .map(|index| tree.bundle(index))
                    .collect::<Result<Vec<_>, _>>()
            });
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(path.as_str()), "{path}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_resumed_edge_goes_on_as_the_whole(size in 1_u64..700, more in 1_u64..300) {
            let (files, root) = build(size);
            let tree = Tree::open(&files, size, &root).unwrap();
            let mut edge = Edge::resume(size, tree.edge().unwrap());
            prop_assert_eq!(edge.root(), root);
            for index in size..size + more {
                edge.push(leaf_hash(&entry(index)), &mut |_, _| {});
            }
            prop_assert_eq!(edge.root(), build(size + more).1);
        }
    }
}
