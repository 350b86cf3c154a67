//! Taking files in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use custody_types::{
    ByteSize, Classification, Digest, FileEntry, FilePath, Kind, Purpose, Timestamp, listing_digest,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize;

use crate::PackId;
use crate::chunker::LONGEST;
use crate::error::StoreError;
use crate::ids::ChunkId;
use crate::manifest::{self, Extent, FileExtents};
use crate::pack::{ChunkKind, LONGEST_RECORD, PackBuilder, PackChunk, chunk_id};
use crate::ports::RecordPlace;
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
    window: Vec<u8>,
    extents: Vec<Extent>,
}

/// Takes in the files and records of one project, to be staged together.
///
/// Dropping it leaves nothing that anyone sees. Bytes are cut, hashed and sealed as they come; at most
/// one pack and one window of 1 MiB are in memory.
pub struct Writer {
    store: Store,
    domain: Arc<Domain>,
    pack: PackBuilder,
    done: Vec<(PackId, Vec<PackChunk>)>,
    fresh: BTreeSet<ChunkId>,
    records: Vec<RecordPlace>,
    files: Vec<FileExtents>,
    open: Option<OpenFile>,
    stored: u64,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(store: Store, domain: Arc<Domain>) -> Self {
        let pack = PackBuilder::new(store.entropy());
        Self {
            store,
            domain,
            pack,
            done: Vec::new(),
            fresh: BTreeSet::new(),
            records: Vec::new(),
            files: Vec::new(),
            open: None,
            stored: 0,
        }
    }

    /// Begins a file.
    pub fn begin_file(&mut self, path: FilePath, executable: bool) {
        self.open = Some(OpenFile {
            path,
            executable,
            hasher: Sha256::new(),
            size: 0,
            window: Vec::with_capacity(WINDOW),
            extents: Vec::new(),
        });
    }

    /// Takes further bytes of the file that was begun.
    ///
    /// # Errors
    /// [`StoreError`] when no file was begun or a pack cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let file = self.open.as_mut().ok_or_else(no_file)?;
            let room = WINDOW.saturating_sub(file.window.len()).max(1);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            file.hasher.update(now);
            file.size += now.len() as u64;
            file.window.extend_from_slice(now);
            bytes = rest;
            if file.window.len() >= WINDOW {
                self.cut(LONGEST)?;
            }
        }
        Ok(())
    }

    /// Cuts chunks off the window until fewer than `keep` bytes are left.
    fn cut(&mut self, keep: usize) -> Result<(), StoreError> {
        let Some(mut file) = self.open.take() else {
            return Err(no_file());
        };
        let mut from = 0;
        while let Some(rest) = file.window.get(from..)
            && rest.len() >= keep.max(1)
        {
            let length = self.domain.chunker.cut(rest);
            let chunk = rest.get(..length).unwrap_or(rest);
            let id = self.add(ChunkKind::Data, chunk)?;
            file.extents.push(Extent {
                chunk: id,
                length: u32::try_from(chunk.len()).unwrap_or(u32::MAX),
            });
            from += chunk.len();
        }
        file.window.drain(..from);
        self.open = Some(file);
        Ok(())
    }

    /// Ends the file that was begun.
    ///
    /// # Errors
    /// [`StoreError`] when no file was begun or a pack cannot be written.
    pub fn end_file(&mut self) -> Result<FileEntry, StoreError> {
        self.cut(0)?;
        let mut file = self.open.take().ok_or_else(no_file)?;
        file.window.zeroize();
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
        let malformed = |error: manifest::Malformed| StoreError::Unstorable {
            what: "manifest".to_owned(),
            because: error.to_string(),
        };
        let mut bytes = manifest::encode_files(&files).map_err(malformed)?;
        while bytes.len() > manifest::PIECE {
            let mut pieces = Vec::new();
            for piece in bytes.chunks(manifest::PIECE) {
                let chunk = self.add(ChunkKind::Manifest, piece)?;
                pieces.push(Extent {
                    chunk,
                    length: u32::try_from(piece.len()).unwrap_or(u32::MAX),
                });
            }
            bytes = manifest::encode_index(&pieces).map_err(malformed)?;
        }
        let manifest = self.add(ChunkKind::Manifest, &bytes)?;
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
        let chunk = self.add(kind, bytes)?;
        let digest = Digest::of(bytes);
        self.records.push(RecordPlace { digest, chunk });
        Ok(digest)
    }

    fn add(&mut self, kind: ChunkKind, plain: &[u8]) -> Result<ChunkId, StoreError> {
        let id = chunk_id(&self.domain.keys.id, kind, plain);
        if self.fresh.contains(&id) || self.store.catalog().chunk(&self.domain.id, &id)?.is_some() {
            return Ok(id);
        }
        let before = self.pack.stored_bytes();
        self.pack.add(id, kind, plain)?;
        self.stored += self.pack.stored_bytes() - before;
        self.fresh.insert(id);
        if self.pack.is_full() {
            self.close_pack()?;
        }
        Ok(id)
    }

    fn close_pack(&mut self) -> Result<(), StoreError> {
        if self.pack.is_empty() {
            return Ok(());
        }
        let closed = self.pack.seal(
            &self.domain.id,
            &self.domain.keys,
            self.store.aead(),
            self.store.entropy(),
            |id, bytes| self.store.blobs().put(id, bytes),
        )?;
        self.done.push(closed);
        Ok(())
    }

    /// Makes what was taken in so far durable and readable by [`Store::tree_files`] and
    /// [`Store::record`], with no version that names it. What is never named stays unseen.
    ///
    /// # Errors
    /// [`StoreError`] when a pack or the catalog cannot be written.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        self.close_pack()?;
        let packs = std::mem::take(&mut self.done);
        let ids: Vec<_> = packs.iter().map(|(id, _)| *id).collect();
        self.store.blobs().publish(&ids)?;
        let staging = crate::Staging {
            domain: self.domain.id,
            packs,
            records: std::mem::take(&mut self.records),
            versions: Vec::new(),
        };
        Ok(self.store.catalog().stage(&staging)?)
    }

    /// Makes every pack durable and visible, and returns what the catalog must know of it.
    pub(crate) fn seal(mut self) -> Result<crate::Staging, StoreError> {
        self.close_pack()?;
        let ids: Vec<_> = self.done.iter().map(|(id, _)| *id).collect();
        self.store.blobs().publish(&ids)?;
        Ok(crate::Staging {
            domain: self.domain.id,
            packs: self.done,
            records: self.records,
            versions: Vec::new(),
        })
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
