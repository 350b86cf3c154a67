//! What the store needs of the world: a place for packs and an index.

use std::fmt;
use std::ops::Range;

use custody_types::{Alias, ArtifactName, Digest, ProjectName, VersionName, VersionNumber};

use crate::ids::{ChunkId, DomainId, PackId};
use crate::pack::{ChunkKind, PackChunk};

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
    /// The disk is full.
    #[error("there is no room left for `{name}`")]
    NoSpace {
        /// The file.
        name: String,
    },
    /// The storage did not answer.
    #[error("`{name}` could not be read or written: {because}")]
    Failed {
        /// The file.
        name: String,
        /// What the storage said.
        because: String,
    },
}

/// Bytes that begin at a multiple of this in memory can be handed to the disk as they lie.
pub const ALIGNMENT: usize = 4096;

/// A place for packs. Packs are never changed. Safe to use from several threads; every call blocks.
pub trait Blobs: Send + Sync + fmt::Debug {
    /// Writes a pack. When it returns, the bytes outlive a loss of power, but not the next
    /// [`Blobs::sweep`]; [`Blobs::list`] does not tell it before [`Blobs::publish`]. A place may be faster with
    /// bytes that are aligned to [`ALIGNMENT`].
    ///
    /// # Errors
    /// [`BlobError::NoSpace`] or [`BlobError::Failed`]; nothing is left then.
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError>;

    /// Makes packs visible; durable when it returns. Doing it again is no error.
    ///
    /// # Errors
    /// [`BlobError`] when one of them was never put, or the storage fails.
    fn publish(&self, packs: &[PackId]) -> Result<(), BlobError>;

    /// Removes packs that were put and not published. One that is not there is no error.
    ///
    /// # Errors
    /// [`BlobError::Failed`]; the next [`Blobs::sweep`] removes what is left.
    fn discard(&self, packs: &[PackId]) -> Result<(), BlobError>;

    /// Reads bytes of a pack that was put, published or not.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Short`] or [`BlobError::Failed`].
    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError>;

    /// Returns the length of a pack that was put, published or not.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Failed`].
    fn size(&self, pack: &PackId) -> Result<u64, BlobError>;

    /// Lists the published packs.
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    fn list(&self) -> Result<Vec<PackId>, BlobError>;

    /// Removes what was put and never published by an earlier process.
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    fn sweep(&self) -> Result<(), BlobError>;

    /// Returns how a pack is named to the user: its path.
    fn name(&self, pack: &PackId) -> String;
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
    #[error("the database failed: {because}")]
    Failed {
        /// What it said.
        because: String,
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

/// How far a version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// Stored; the ledger need not name it yet.
    Staged,
    /// Named by the ledger.
    Committed,
}

/// A version as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// The name.
    pub name: VersionName,
    /// The version's identity.
    pub digest: Digest,
    /// The SHA-256 of its signed record.
    pub record: Digest,
    /// Whether it is in quarantine.
    pub quarantined: bool,
    /// How far it has come.
    pub state: VersionState,
    /// The entry that made it valid; 0 while staged.
    pub entry: u64,
    /// The last entry that named it as what was made: that which made it valid, or that of a step which came
    /// to the same again.
    pub named: u64,
}

/// What one transaction enters.
#[derive(Debug, Clone)]
pub struct Staging {
    /// The domain of all of it.
    pub domain: DomainId,
    /// Packs and what they hold.
    pub packs: Vec<(PackId, Vec<PackChunk>)>,
    /// Records.
    pub records: Vec<RecordPlace>,
    /// Versions, staged.
    pub versions: Vec<VersionRow>,
}

/// Which versions are meant. An empty filter means all that are committed.
#[derive(Debug, Clone, Default)]
pub struct VersionFilter {
    /// Only those of this project.
    pub project: Option<ProjectName>,
    /// Only those of this artifact.
    pub artifact: Option<ArtifactName>,
}

/// The index over packs and versions: a cache of what the packs and the ledger say.
///
/// Safe to use from several threads. Each method is one transaction, durable when it returns. One
/// process writes at a time; the caller sees to that.
pub trait Catalog: Send + Sync + fmt::Debug {
    /// Enters packs, records and staged versions, all or nothing. A chunk that is known already lies from then on
    /// where it was stored last.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] when a version of that name is there already.
    fn stage(&self, staging: &Staging) -> Result<(), CatalogError>;

    /// Marks staged versions as committed by the entry `entry`. Doing it again is no error.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] when there is none.
    fn commit(&self, versions: &[(VersionName, u64)]) -> Result<(), CatalogError>;

    /// Forgets a staged version.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn discard(&self, version: &VersionName) -> Result<(), CatalogError>;

    /// Lists the staged versions.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn staged(&self) -> Result<Vec<VersionRow>, CatalogError>;

    /// Finds where a chunk lies.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn chunk(&self, domain: &DomainId, chunk: &ChunkId)
    -> Result<Option<ChunkPlace>, CatalogError>;

    /// Finds the chunk of a record, and its domain.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn record(&self, digest: &Digest) -> Result<Option<(DomainId, ChunkId)>, CatalogError>;

    /// Lists versions in the order of artifact and number.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn versions(&self, filter: &VersionFilter) -> Result<Vec<VersionRow>, CatalogError>;

    /// Finds one committed version.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn version(&self, name: &VersionName) -> Result<Option<VersionRow>, CatalogError>;

    /// Finds the committed version that was named last and is not in quarantine.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn latest(&self, artifact: &ArtifactName) -> Result<Option<VersionRow>, CatalogError>;

    /// Notes that the entry `entry` named the version as what a step made. An earlier entry than the one that
    /// is noted changes nothing; nor does a version that is not there.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set_named(&self, version: &VersionName, entry: u64) -> Result<(), CatalogError>;

    /// Returns the note of this name.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn note(&self, name: &str) -> Result<Option<String>, CatalogError>;

    /// Keeps a note under a name, in the place of the one before. It need not outlive a loss of power.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set_note(&self, name: &str, text: &str) -> Result<(), CatalogError>;

    /// Returns the highest number that is staged or committed; 0 when there is none.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn highest(&self, artifact: &ArtifactName) -> Result<u32, CatalogError>;

    /// Lists the committed versions whose identity is `digest`.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn by_digest(&self, digest: &Digest) -> Result<Vec<VersionRow>, CatalogError>;

    /// Lists the aliases of an artifact with the versions that they point to.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn aliases(&self, artifact: &ArtifactName)
    -> Result<Vec<(Alias, VersionNumber)>, CatalogError>;

    /// Points an alias at a version.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set_alias(
        &self,
        artifact: &ArtifactName,
        alias: &Alias,
        to: VersionNumber,
    ) -> Result<(), CatalogError>;

    /// Puts a version into quarantine or takes it out.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set_quarantine(&self, version: &VersionName, to: bool) -> Result<(), CatalogError>;

    /// Finds the ledger entry of the last time when the step with this key succeeded.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn step(&self, project: &ProjectName, key: &Digest) -> Result<Option<Digest>, CatalogError>;

    /// Notes the statement of the step with this key.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn set_step(
        &self,
        project: &ProjectName,
        key: &Digest,
        statement: &Digest,
    ) -> Result<(), CatalogError>;

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

    /// Returns whether a pack was found damaged. [`Catalog::clear`] does not change it.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn is_condemned(&self, pack: &PackId) -> Result<bool, CatalogError>;

    /// Lists the packs in which a chunk lies.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn packs(&self) -> Result<Vec<PackId>, CatalogError>;

    /// Lists all chunks of a kind.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn chunks_of(&self, kind: ChunkKind) -> Result<Vec<(DomainId, ChunkPlace)>, CatalogError>;

    /// Forgets everything but which packs were found damaged.
    ///
    /// # Errors
    /// [`CatalogError`] when the database fails.
    fn clear(&self) -> Result<(), CatalogError>;
}
