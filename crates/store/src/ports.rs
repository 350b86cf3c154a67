//! What the store needs of the world: a place for packs and an index.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;

use custody_types::{ArtifactName, Digest, VersionName};

use crate::ids::{ChunkId, DomainId, PackId};
use crate::pack::PackChunk;

/// Why packs could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such pack.
    #[error("`{name}` is missing")]
    Missing {
        /// The file.
        name: String,
    },
    /// The pack ends before the range does.
    #[error("`{name}` is shorter than it must be")]
    Short {
        /// The file.
        name: String,
    },
    /// Another pack has this id.
    #[error("`{name}` is there already, with other bytes")]
    Exists {
        /// The file.
        name: String,
    },
    /// The disk is full.
    #[error("there is no room left for `{name}`")]
    NoSpace {
        /// The file.
        name: String,
    },
    /// The storage did not answer.
    #[error("`{name}` could not be read or written")]
    Failed {
        /// The file.
        name: String,
        /// What the storage said.
        #[source]
        source: io::Error,
    },
}

/// Bytes that begin at a multiple of this in memory can be handed to the disk as they lie.
pub const ALIGNMENT: usize = 4096;

/// A place for packs. Packs are created, and never changed. Safe to use from several threads and, where the place is
/// shared, from several processes; every call blocks.
pub trait Blobs: Send + Sync + fmt::Debug {
    /// Creates a pack. When it returns, the bytes outlive a loss of power, but not this process: a [`Blobs::sweep`]
    /// after its end removes them. [`Blobs::list`] does not tell it before [`Blobs::publish`]. A place may be faster with
    /// bytes that are aligned to [`ALIGNMENT`]. The same pack again is no error: the reply of an earlier attempt may have
    /// been lost.
    ///
    /// # Errors
    /// [`BlobError::Exists`] when a pack of this id has other bytes: it stays. [`BlobError::NoSpace`] or
    /// [`BlobError::Failed`]; nothing is left then.
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError>;

    /// Makes packs visible that this process put; durable when it returns. Doing it again is no error.
    ///
    /// # Errors
    /// [`BlobError::Exists`] when another process published a pack of one of these ids meanwhile: it stays.
    /// [`BlobError`] when one of them was never put, or the storage fails.
    fn publish(&self, packs: &[PackId]) -> Result<(), BlobError>;

    /// Removes packs that this process put and did not publish. One that is not there is no error.
    ///
    /// # Errors
    /// [`BlobError::Failed`]; the next [`Blobs::sweep`] removes what is left.
    fn discard(&self, packs: &[PackId]) -> Result<(), BlobError>;

    /// Removes published packs; it is durable when it returns. One that is not there is no error.
    ///
    /// # Errors
    /// [`BlobError::Failed`]; some of them may be gone.
    fn delete(&self, packs: &[PackId]) -> Result<(), BlobError>;

    /// Reads bytes of a pack that is published, or that this process put.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Short`] or [`BlobError::Failed`].
    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError>;

    /// Returns the length of a pack that is published, or that this process put.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Failed`].
    fn size(&self, pack: &PackId) -> Result<u64, BlobError>;

    /// Lists published packs in the order of their ids: at most `limit` that come after `after`, or the first. Fewer than
    /// `limit`: there are no more.
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    fn list(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, BlobError>;

    /// Removes what was put and never published by processes that have ended. What another is still writing stays.
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    fn sweep(&self) -> Result<(), BlobError>;

    /// Returns how a pack is named to the user: its path.
    fn name(&self, pack: &PackId) -> String;
}

/// How many things are listed at once.
const PAGE: usize = 4096;

/// Lists everything, a page at a time: `list` gives what comes after the last one, at most as many as it is told.
fn all<T, E>(list: impl Fn(Option<&T>, usize) -> Result<Vec<T>, E>) -> Result<Vec<T>, E> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let page = list(all.last(), PAGE)?;
        let more = page.len() == PAGE;
        all.extend(page);
        if !more {
            return Ok(all);
        }
    }
}

/// Lists all published packs, a page at a time.
///
/// # Errors
/// [`BlobError::Failed`].
pub fn all_packs(blobs: &dyn Blobs) -> Result<Vec<PackId>, BlobError> {
    all(|after, limit| blobs.list(after, limit))
}

/// Lists all packs in which a chunk lies, a page at a time.
///
/// # Errors
/// [`CatalogError`] when the database fails.
pub(crate) fn known_packs(catalog: &dyn Catalog) -> Result<Vec<PackId>, CatalogError> {
    all(|after, limit| catalog.packs(after, limit))
}

/// Why the catalog could not answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The disk is full.
    #[error("there is no room left")]
    NoSpace,
    /// The index cannot be read.
    #[error("the index is damaged: {because}")]
    Damaged {
        /// What is wrong.
        because: String,
    },
    /// What is there is not what was expected.
    #[error("`{name}` is not as expected: {because}")]
    Conflict {
        /// The thing.
        name: String,
        /// How it differs.
        because: String,
    },
    /// The database did not answer.
    #[error("the database failed")]
    Failed {
        /// What it said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Where a chunk lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The pack.
    pub pack: PackId,
    /// The chunk as the pack's trailer tells it.
    pub chunk: PackChunk,
}

/// A record by its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// The chunk that holds it.
    pub chunk: ChunkId,
}

/// A version that is staged: stored, and valid once the ledger names its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedRow {
    /// The name.
    pub name: VersionName,
    /// The SHA-256 of its signed record.
    pub record: Digest,
}

/// What one transaction enters.
#[derive(Debug, Clone)]
pub struct Staging {
    /// The domain of all of it.
    pub domain: DomainId,
    /// Chunks that are not stored again, since an earlier pack has them.
    pub relied_upon: Vec<ChunkId>,
    /// Packs and what they hold.
    pub packs: Vec<(PackId, Vec<PackChunk>)>,
    /// Records.
    pub records: Vec<RecordPlace>,
    /// Versions, staged.
    pub versions: Vec<StagedRow>,
}

/// A row of the view of the ledger. Rows are in the order of their keys, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    /// Where it is looked up.
    pub key: String,
    /// What it says.
    pub value: Vec<u8>,
    /// The key of the row after it; empty: it is the last.
    pub next: String,
}

/// The rows of the view of the ledger, within one transaction. Nothing in them is authenticated here; their
/// owner does that, by the nodes and the root that it keeps beside them.
pub trait ViewRows {
    /// Returns the root.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn root(&self) -> Result<Option<String>, CatalogError>;

    /// Keeps another root.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set_root(&self, root: &str) -> Result<(), CatalogError>;

    /// Returns a node.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn node(&self, id: u32) -> Result<Option<Vec<u8>>, CatalogError>;

    /// Keeps a node in the place of the one before.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set_node(&self, id: u32, bytes: &[u8]) -> Result<(), CatalogError>;

    /// Lists the buckets that have rows, in order.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn buckets(&self) -> Result<Vec<u16>, CatalogError>;

    /// Lists the rows of a bucket, in order.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn bucket(&self, bucket: u16) -> Result<Vec<ViewRow>, CatalogError>;

    /// Returns the greatest key that is less than `key`.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn before(&self, key: &str) -> Result<Option<String>, CatalogError>;

    /// Puts a row into a bucket, in the place of the one with its key.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set(&self, bucket: u16, row: &ViewRow) -> Result<(), CatalogError>;

    /// Takes a row away.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn remove(&self, key: &str) -> Result<(), CatalogError>;

    /// Forgets all rows, the nodes and the root.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn clear(&self) -> Result<(), CatalogError>;
}

/// The index over packs, and the view of the ledger: a cache of what the packs and the ledger say.
///
/// Safe to use from several threads and, where the place is shared, from several processes. Each method is one
/// transaction, durable when it returns.
pub trait Catalog: Send + Sync + fmt::Debug {
    /// Enters packs, records and staged versions, all or nothing. A chunk that is known already lies from then on
    /// where it was stored last.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] when a version of that name is there already, or a chunk that is relied upon is not
    /// there any more, or lies in a pack that was found damaged.
    fn stage(&self, staging: &Staging) -> Result<(), CatalogError>;

    /// Forgets staged versions: the ledger names them, or never will. One that is not there is no error.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn unstage(&self, versions: &[VersionName]) -> Result<(), CatalogError>;

    /// Lists the staged versions.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn staged(&self) -> Result<Vec<StagedRow>, CatalogError>;

    /// Finds where chunks lie, in the order in which they are asked for.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn chunks(
        &self,
        domain: &DomainId,
        chunks: &[ChunkId],
    ) -> Result<Vec<Option<ChunkPlace>>, CatalogError>;

    /// Finds where a chunk lies.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn chunk(
        &self,
        domain: &DomainId,
        chunk: &ChunkId,
    ) -> Result<Option<ChunkPlace>, CatalogError> {
        let found = self.chunks(domain, std::slice::from_ref(chunk))?;
        Ok(found.into_iter().next().flatten())
    }

    /// Finds the chunk of a record in each domain that has it, in the order of the domains.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn record(&self, digest: &Digest) -> Result<Vec<(DomainId, ChunkId)>, CatalogError>;

    /// Returns the highest number that is staged; 0 when there is none.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn highest(&self, artifact: &ArtifactName) -> Result<u32, CatalogError>;

    /// Lends the rows of the view of the ledger to `work`, within one transaction that is kept when it answers
    /// `true` and undone otherwise. `work` calls nothing else of the catalog. What is kept need not outlive a loss
    /// of power, but it is kept wholly or not at all.
    ///
    /// # Errors
    /// That of `work`; [`CatalogError`] when the database fails.
    fn view(
        &self,
        work: &mut dyn FnMut(&dyn ViewRows) -> Result<bool, CatalogError>,
    ) -> Result<(), CatalogError>;

    /// Notes that no pack holds these records, in the place of those noted before.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set_lacking(&self, records: &[Digest]) -> Result<(), CatalogError>;

    /// Returns whether it was noted that no pack holds this record.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn is_lacking(&self, record: &Digest) -> Result<bool, CatalogError>;

    /// Notes that a pack was found damaged. Doing it again is no error.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn condemn(&self, pack: &PackId) -> Result<(), CatalogError>;

    /// Takes the note back.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn absolve(&self, pack: &PackId) -> Result<(), CatalogError>;

    /// Returns whether a pack was found damaged. [`Catalog::forget`] does not change it.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn is_condemned(&self, pack: &PackId) -> Result<bool, CatalogError>;

    /// Lists the packs in which a chunk lies, in the order of their ids: at most `limit` that come after `after`, or the
    /// first. Fewer than `limit`: there are no more.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn packs(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, CatalogError>;

    /// Lists where all chunks lie, in the order of domains and ids: at most `limit` that come after `after`, or the first.
    /// Fewer than `limit`: there are no more.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn places(
        &self,
        after: Option<(&DomainId, &ChunkId)>,
        limit: usize,
    ) -> Result<Vec<(DomainId, ChunkPlace)>, CatalogError>;

    /// Forgets what lies in these packs, and the records in chunks that lie nowhere then; all or nothing. Which packs
    /// were found damaged stays.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn forget(&self, packs: &[PackId]) -> Result<(), CatalogError>;
}
