//! Reading a version in ranges.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use custody_types::{Digest, FileEntry, FilePath, ReadError, VersionFiles};

use crate::error::StoreError;
use crate::ids::ChunkId;
use crate::manifest::{self, Extent, FileExtents, Piece};
use crate::pack::ChunkKind;
use crate::ports::ChunkPlace;
use crate::store::{Domain, Inner};

/// The files of one version.
pub(crate) struct StoredFiles {
    store: Arc<Inner>,
    domain: Arc<Domain>,
    digest: Digest,
    entries: Vec<FileEntry>,
    extents: Vec<Vec<Extent>>,
    /// Where chunks lie that only their writer knows.
    unseen: HashMap<ChunkId, ChunkPlace>,
    /// The last chunk read: Parquet and ONNX are read in small neighbouring ranges.
    last: Mutex<Option<(ChunkId, Bytes)>>,
}

impl std::fmt::Debug for StoredFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredFiles")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Reads a manifest, over all its levels. `chunk` reads a chunk of kind manifest.
pub(crate) fn read_manifest(
    root: &ChunkId,
    chunk: impl Fn(&ChunkId) -> Result<Vec<u8>, StoreError>,
) -> Result<Vec<FileExtents>, StoreError> {
    const MOST_LEVELS: usize = 4;
    let damaged = |because: &str| StoreError::Damaged {
        what: format!("manifest {root}"),
        because: because.to_owned(),
    };
    let mut bytes = chunk(root)?;
    for _ in 0..MOST_LEVELS {
        match manifest::decode(&bytes).map_err(|error| damaged(&error.to_string()))? {
            Piece::Files(files) => return Ok(files),
            Piece::Index(pieces) => {
                bytes = Vec::new();
                for piece in pieces {
                    bytes.extend(chunk(&piece.chunk)?);
                }
            }
        }
    }
    Err(damaged("it has too many levels"))
}

/// Reads a chunk: from where only its writer knows it, else from where the index has it.
fn read_chunk(
    store: &Inner,
    domain: &Domain,
    unseen: &HashMap<ChunkId, ChunkPlace>,
    id: &ChunkId,
    kind: ChunkKind,
) -> Result<Vec<u8>, StoreError> {
    match unseen.get(id) {
        Some(place) => store.chunk_at(domain, place, kind),
        None => store.chunk(domain, id, kind),
    }
}

impl StoredFiles {
    /// Opens the files of a manifest. `unseen`: where chunks lie that the index does not know yet.
    pub(crate) fn open(
        store: Arc<Inner>,
        domain: Arc<Domain>,
        digest: Digest,
        manifest: &ChunkId,
        unseen: HashMap<ChunkId, ChunkPlace>,
    ) -> Result<Self, StoreError> {
        let files = read_manifest(manifest, |id| {
            read_chunk(&store, &domain, &unseen, id, ChunkKind::Manifest)
        })?;
        let (entries, extents): (Vec<_>, Vec<_>) = files
            .into_iter()
            .map(|file| (file.entry, file.extents))
            .unzip();
        if custody_types::listing_digest(&entries) != digest {
            return Err(StoreError::Damaged {
                what: format!("manifest {manifest}"),
                because: format!("its files do not make the version {digest}"),
            });
        }
        Ok(Self {
            store,
            domain,
            digest,
            entries,
            extents,
            unseen,
            last: Mutex::new(None),
        })
    }

    fn chunk(&self, id: &ChunkId) -> Result<Bytes, StoreError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, bytes)) = last.as_ref()
            && known == id
        {
            return Ok(bytes.clone());
        }
        let (store, domain) = (&self.store, &self.domain);
        let bytes = Bytes::from(read_chunk(
            store,
            domain,
            &self.unseen,
            id,
            ChunkKind::Data,
        )?);
        *last = Some((*id, bytes.clone()));
        Ok(bytes)
    }

    fn collect(&self, extents: &[Extent], range: &Range<u64>) -> Result<Bytes, StoreError> {
        let mut out =
            BytesMut::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
        let mut at = 0;
        for extent in extents {
            let end = at + u64::from(extent.length);
            if end > range.start && at < range.end {
                let bytes = self.chunk(&extent.chunk)?;
                let from = usize::try_from(range.start.saturating_sub(at)).unwrap_or(usize::MAX);
                let to = usize::try_from(range.end.min(end) - at).unwrap_or(usize::MAX);
                let part = bytes.get(from..to).ok_or_else(|| StoreError::Damaged {
                    what: format!("chunk {}", extent.chunk),
                    because: "it is shorter than its manifest says".to_owned(),
                })?;
                out.extend_from_slice(part);
            }
            at = end;
        }
        Ok(out.freeze())
    }
}

impl VersionFiles for StoredFiles {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        let index = self.entries.binary_search_by(|entry| entry.path.cmp(path));
        let found = index
            .ok()
            .and_then(|index| self.entries.get(index).zip(self.extents.get(index)));
        let (entry, extents) = found.ok_or_else(|| ReadError::NoSuchFile(path.clone()))?;
        if range.start > range.end || range.end > entry.size.bytes() {
            return Err(ReadError::OutOfRange {
                path: path.clone(),
                start: range.start,
                end: range.end,
                size: entry.size.bytes(),
            });
        }
        self.collect(extents, &range).map_err(|error| match error {
            StoreError::Damaged { what, because } => ReadError::Damaged {
                path: path.to_string(),
                because: format!("`{what}`: {because}"),
            },
            other => ReadError::Storage {
                path: path.to_string(),
                source: Arc::new(other),
            },
        })
    }
}
