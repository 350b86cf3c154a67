//! Taking files in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use custody_types::{
    ByteSize, Classification, Digest, FileEntry, FilePath, Kind, Purpose, Timestamp, VersionFiles,
    listing_digest,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize;

use crate::PackId;
use crate::chunker::LONGEST;
use crate::error::StoreError;
use crate::files::StoredFiles;
use crate::ids::ChunkId;
use crate::manifest::{self, Extent, FileExtents};
use crate::pack::{ChunkKind, LONGEST_RECORD, PackBuilder, PackChunk, Sealing, chunk_id};
use crate::ports::{ChunkPlace, RecordPlace};
use crate::store::{Domain, Store};

/// How much of a file is held before it is cut: more than the longest chunk, so that the cut does not
/// depend on how the bytes arrive.
const WINDOW: usize = 4 * LONGEST;

/// The files of a version that is not yet one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The identity.
    pub digest: Digest,
    /// The manifest.
    pub manifest: ChunkId,
    /// The files in the order of their paths.
    pub files: Vec<FileEntry>,
    /// How many bytes they have together.
    pub size: ByteSize,
    /// How many bytes of them were not stored before, after compression.
    pub stored: ByteSize,
}

/// What a version shall be; the store adds number and signature.
#[derive(Debug, Clone)]
pub struct VersionDraft {
    /// The artifact.
    pub artifact: custody_types::ArtifactName,
    /// Its number, which no other version of the artifact has.
    pub number: custody_types::VersionNumber,
    /// What it is.
    pub kind: Kind,
    /// Its files.
    pub tree: Tree,
    /// How sensitive it is.
    pub classification: Classification,
    /// The purposes that it may serve; empty: any.
    pub purposes: Vec<Purpose>,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it: a pseudonym.
    pub author: String,
    /// Where it came from, for collected data.
    pub origin: Option<serde_json::Value>,
    /// The statement about how it was made.
    pub statement: Option<Digest>,
    /// The run that made it.
    pub run: Option<String>,
    /// The step that made it.
    pub step: Option<String>,
    /// Further records by name.
    pub extra: BTreeMap<String, Digest>,
}

struct OpenFile {
    path: FilePath,
    executable: bool,
    hasher: Sha256,
    size: u64,
    extents: Vec<Extent>,
}

/// Takes in the files and records of one project, to be staged together.
///
/// Dropping it takes back what it put: until [`Store::stage`] or [`Writer::keep`] its packs are named by nothing,
/// are read by nobody but through [`Writer::tree_files`], and a start removes them. Bytes are cut, hashed and
/// sealed as they come; at most one pack and one window of 1 MiB are in memory.
pub struct Writer {
    store: Store,
    domain: Arc<Domain>,
    pack: PackBuilder,
    /// Packs that are durable and not yet visible.
    done: Vec<(PackId, Vec<PackChunk>)>,
    fresh: BTreeSet<ChunkId>,
    /// Chunks that are not stored again.
    relied_upon: BTreeSet<ChunkId>,
    /// Whether packs whose chunks came again are there and sound.
    looked_at: HashMap<PackId, bool>,
    records: Vec<RecordPlace>,
    files: Vec<FileExtents>,
    open: Option<OpenFile>,
    /// What of the open file is not cut yet, and behind it room for more. Empty before the first file.
    window: Vec<u8>,
    /// How much of the window is not cut yet.
    waiting: usize,
    stored: u64,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.window.zeroize();
        // CRASH: what stays here after a failure or a loss of power is removed by the next start.
        let left: Vec<_> = self.done.iter().map(|(id, _)| *id).collect();
        let _ = self.store.blobs().discard(&left);
    }
}

impl Writer {
    pub(crate) fn new(store: Store, domain: Arc<Domain>) -> Self {
        let sealing = Sealing {
            domain: domain.clone(),
            aead: store.aead(),
            entropy: store.entropy(),
        };
        Self {
            store,
            domain,
            pack: PackBuilder::new(sealing),
            done: Vec::new(),
            fresh: BTreeSet::new(),
            relied_upon: BTreeSet::new(),
            looked_at: HashMap::new(),
            records: Vec::new(),
            files: Vec::new(),
            open: None,
            window: Vec::new(),
            waiting: 0,
            stored: 0,
        }
    }

    /// Begins a file.
    pub fn begin_file(&mut self, path: FilePath, executable: bool) {
        self.window.resize(WINDOW, 0);
        self.waiting = 0;
        self.open = Some(OpenFile {
            path,
            executable,
            hasher: Sha256::new(),
            size: 0,
            extents: Vec::new(),
        });
    }

    /// Returns room for further bytes of the file that was begun, never empty. [`Writer::filled`] then takes
    /// what was written there: bytes that are read straight into it are not copied once more.
    ///
    /// # Errors
    /// [`StoreError`] when no file was begun or a pack cannot be written.
    pub fn space(&mut self) -> Result<&mut [u8], StoreError> {
        if self.waiting >= self.window.len() {
            self.cut(LONGEST)?;
        }
        if self.open.is_none() {
            return Err(no_file());
        }
        self.window.get_mut(self.waiting..).ok_or_else(no_file)
    }

    /// Takes the first `count` bytes of what [`Writer::space`] gave.
    ///
    /// # Errors
    /// [`StoreError`] when no file was begun, or there was less space.
    pub fn filled(&mut self, count: usize) -> Result<(), StoreError> {
        let file = self.open.as_mut().ok_or_else(no_file)?;
        let end = self.waiting.saturating_add(count);
        let new = self.window.get(self.waiting..end).ok_or_else(no_file)?;
        file.hasher.update(new);
        file.size += new.len() as u64;
        self.waiting = end;
        Ok(())
    }

    /// Takes further bytes of the file that was begun.
    ///
    /// # Errors
    /// [`StoreError`] when no file was begun or a pack cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let count = space.len().min(bytes.len());
            let (now, rest) = bytes.split_at(count);
            if let Some(target) = space.get_mut(..count) {
                target.copy_from_slice(now);
            }
            self.filled(count)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Cuts chunks off the window until fewer than `keep` bytes are left.
    fn cut(&mut self, keep: usize) -> Result<(), StoreError> {
        let mut file = self.open.take().ok_or_else(no_file)?;
        let window = std::mem::take(&mut self.window);
        let waiting = window.get(..self.waiting).ok_or_else(no_file)?;
        let cut = self.cut_off(&mut file, waiting, keep);
        self.window = window;
        let from = cut?;
        self.window.copy_within(from..self.waiting, 0);
        self.waiting -= from;
        self.open = Some(file);
        Ok(())
    }

    fn cut_off(
        &mut self,
        file: &mut OpenFile,
        window: &[u8],
        keep: usize,
    ) -> Result<usize, StoreError> {
        let (mut from, mut cut) = (0, Vec::new());
        while let Some(rest) = window.get(from..)
            && rest.len() >= keep.max(1)
        {
            let length = self.domain.chunker.cut(rest);
            let chunk = rest.get(..length).ok_or_else(no_file)?;
            let id = chunk_id(&self.domain.keys.id, ChunkKind::Data, chunk);
            cut.push((id, chunk));
            from += chunk.len();
        }
        let ids: Vec<_> = cut.iter().map(|(id, _)| *id).collect();
        self.look_up(&ids)?;
        for (id, chunk) in cut {
            self.add(id, ChunkKind::Data, chunk)?;
            let extent = Extent::new(id, chunk.len()).map_err(malformed)?;
            file.extents.push(extent);
        }
        Ok(from)
    }

    /// Ends the file that was begun.
    ///
    /// # Errors
    /// [`StoreError`] when no file was begun or a pack cannot be written.
    pub fn end_file(&mut self) -> Result<FileEntry, StoreError> {
        self.cut(0)?;
        let file = self.open.take().ok_or_else(no_file)?;
        let entry = FileEntry {
            path: file.path,
            size: ByteSize::from_bytes(file.size),
            sha256: Digest::from_bytes(file.hasher.finalize().into()),
            executable: file.executable,
        };
        self.files.push(FileExtents {
            entry: entry.clone(),
            extents: file.extents,
        });
        Ok(entry)
    }

    /// Makes the files so far one tree, and begins the next.
    ///
    /// # Errors
    /// [`StoreError::Unstorable`] when a path comes twice or a file's path is another one's folder.
    pub fn finish_tree(&mut self) -> Result<Tree, StoreError> {
        let mut files = std::mem::take(&mut self.files);
        files.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        check_paths(&files)?;
        let mut bytes = manifest::encode_files(&files).map_err(malformed)?;
        while bytes.len() > manifest::PIECE {
            let mut pieces = Vec::new();
            for piece in bytes.chunks(manifest::PIECE) {
                let chunk = self.add_one(ChunkKind::Manifest, piece)?;
                pieces.push(Extent::new(chunk, piece.len()).map_err(malformed)?);
            }
            bytes = manifest::encode_index(&pieces).map_err(malformed)?;
        }
        let manifest = self.add_one(ChunkKind::Manifest, &bytes)?;
        let files: Vec<_> = files.into_iter().map(|file| file.entry).collect();
        let size = files
            .iter()
            .map(|file| file.size)
            .fold(ByteSize::default(), ByteSize::saturating_add);
        let stored = ByteSize::from_bytes(std::mem::take(&mut self.stored));
        Ok(Tree {
            digest: listing_digest(&files),
            manifest,
            files,
            size,
            stored,
        })
    }

    /// Takes a small document and returns its SHA-256, by which [`Store::record`] finds it.
    ///
    /// # Errors
    /// [`StoreError::Unstorable`] above 4 MiB; [`StoreError`] when a pack cannot be written.
    pub fn put_record(&mut self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.put(ChunkKind::Record, bytes)
    }

    pub(crate) fn put(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<Digest, StoreError> {
        if bytes.len() > LONGEST_RECORD {
            return Err(StoreError::Unstorable {
                what: format!("a document of {} bytes", bytes.len()),
                because: "a record has at most 4 MiB".to_owned(),
            });
        }
        let chunk = self.add_one(kind, bytes)?;
        let digest = Digest::of(bytes);
        self.records.push(RecordPlace { digest, chunk });
        Ok(digest)
    }

    fn add_one(&mut self, kind: ChunkKind, plain: &[u8]) -> Result<ChunkId, StoreError> {
        let id = chunk_id(&self.domain.keys.id, kind, plain);
        self.look_up(&[id])?;
        self.add(id, kind, plain)?;
        Ok(id)
    }

    /// Stores a chunk that was looked up, unless it is stored.
    fn add(&mut self, id: ChunkId, kind: ChunkKind, plain: &[u8]) -> Result<(), StoreError> {
        if self.fresh.contains(&id) || self.relied_upon.contains(&id) {
            return Ok(());
        }
        self.stored += self.pack.add(id, kind, plain)?;
        self.fresh.insert(id);
        if self.pack.is_full() {
            self.close_pack()?;
        }
        Ok(())
    }

    /// Finds out which chunks need not be stored again: the index names a pack for them, and that pack is there.
    fn look_up(&mut self, ids: &[ChunkId]) -> Result<(), StoreError> {
        let known = |id: &ChunkId| self.fresh.contains(id) || self.relied_upon.contains(id);
        let ids: Vec<_> = ids.iter().filter(|id| !known(id)).copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let places = self.store.catalog().chunks(&self.domain.id, &ids)?;
        for (id, place) in ids.into_iter().zip(places) {
            if let Some(place) = place
                && self.is_sound(&place.pack)?
            {
                self.relied_upon.insert(id);
            }
        }
        Ok(())
    }

    fn is_sound(&mut self, pack: &PackId) -> Result<bool, StoreError> {
        if let Some(sound) = self.looked_at.get(pack) {
            return Ok(*sound);
        }
        let sound = self.store.0.is_sound(&self.domain, pack)?;
        self.looked_at.insert(*pack, sound);
        Ok(sound)
    }

    fn close_pack(&mut self) -> Result<(), StoreError> {
        let store = &self.store;
        let closed = self.pack.seal(|id, bytes| store.blobs().put(id, bytes))?;
        self.done.extend(closed);
        Ok(())
    }

    /// Makes what was taken in so far durable and readable by [`Writer::tree_files`], and by nothing else.
    ///
    /// # Errors
    /// [`StoreError`] when a pack cannot be written.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        self.close_pack()
    }

    /// Opens the files of a tree of this writer that was settled.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its manifest is.
    pub fn tree_files(&self, tree: &Tree) -> Result<Arc<dyn VersionFiles>, StoreError> {
        let places = self.done.iter().flat_map(|(pack, chunks)| {
            let place = |chunk: &PackChunk| ChunkPlace {
                pack: *pack,
                chunk: *chunk,
            };
            chunks.iter().map(move |chunk| (chunk.id, place(chunk)))
        });
        let (store, domain) = (self.store.0.clone(), self.domain.clone());
        let unseen = places.collect();
        let files = StoredFiles::open(store, domain, tree.digest, &tree.manifest, unseen)?;
        Ok(Arc::new(files))
    }

    /// Makes the records that were taken in durable and known to [`Store::record`], with no version.
    ///
    /// # Errors
    /// [`StoreError`] when a pack or the catalog cannot be written.
    pub fn keep(self) -> Result<(), StoreError> {
        let store = self.store.clone();
        let staging = self.seal()?;
        Ok(store.catalog().stage(&staging)?)
    }

    /// Makes every pack durable and visible, and returns what the catalog must know of it.
    pub(crate) fn seal(mut self) -> Result<crate::Staging, StoreError> {
        self.close_pack()?;
        let ids: Vec<_> = self.done.iter().map(|(id, _)| *id).collect();
        self.store.blobs().publish(&ids)?;
        Ok(crate::Staging {
            domain: self.domain.id,
            relied_upon: std::mem::take(&mut self.relied_upon).into_iter().collect(),
            packs: std::mem::take(&mut self.done),
            records: std::mem::take(&mut self.records),
            versions: Vec::new(),
        })
    }
}

fn malformed(error: manifest::Malformed) -> StoreError {
    StoreError::Unstorable {
        what: "manifest".to_owned(),
        because: error.to_string(),
    }
}

fn no_file() -> StoreError {
    StoreError::Unstorable {
        what: "bytes".to_owned(),
        because: "no file was begun".to_owned(),
    }
}

fn check_paths(files: &[FileExtents]) -> Result<(), StoreError> {
    let paths: BTreeSet<&str> = files.iter().map(|file| file.entry.path.as_str()).collect();
    let unstorable = |path: &str, because: &str| StoreError::Unstorable {
        what: path.to_owned(),
        because: because.to_owned(),
    };
    if let Some([first, _]) = files
        .array_windows()
        .find(|[a, b]| a.entry.path == b.entry.path)
    {
        return Err(unstorable(
            first.entry.path.as_str(),
            "the path comes twice",
        ));
    }
    for path in &paths {
        let mut at = *path;
        while let Some((folder, _)) = at.rsplit_once('/') {
            if paths.contains(folder) {
                return Err(unstorable(path, "one of its folders is a file"));
            }
            at = folder;
        }
    }
    Ok(())
}
