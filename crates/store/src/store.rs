//! The store itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use custody_crypto::DomainKeys;
use custody_crypto::aead::Aead;
use custody_crypto::sign::SigningKey;
use custody_types::{
    ArtifactName, Digest, Entropy, ProjectName, VersionFiles, VersionName, VersionNumber,
};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::chunker::Chunker;
use crate::error::StoreError;
use crate::files::StoredFiles;
use crate::ids::{ChunkId, DomainId, PackId};
use crate::pack::{ChunkKind, PackReader};
use crate::ports::{Blobs, Catalog, ChunkPlace, StagedRow};
use crate::record::{SignedRecord, Version, VersionRecord};
use crate::writer::{VersionDraft, Writer};

/// How many packs are kept open for reading, of less than 1 KiB each.
const OPEN_PACKS: usize = 1024;
/// How many version records are kept, as a guess.
const VERSIONS: usize = 1 << 13;
/// How much memory they take at most, in bytes.
const VERSIONS_BYTES: u64 = 32 << 20;
/// What a version record takes beside its bytes, and how often those.
const VERSION_OVERHEAD: (u64, u64) = (512, 2);

/// What the store is made of.
#[derive(Debug)]
pub struct StoreDeps {
    /// Where packs lie.
    pub blobs: Arc<dyn Blobs>,
    /// The index.
    pub catalog: Arc<dyn Catalog>,
    /// The AES-256-GCM that is the faster here.
    pub aead: Arc<dyn Aead>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Signs version records.
    pub signing: Arc<SigningKey>,
}

/// A project's part of the store, with its keys.
pub struct Domain {
    pub(crate) id: DomainId,
    pub(crate) keys: DomainKeys,
    pub(crate) chunker: Chunker,
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Domain")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) parts: StoreDeps,
    domains: RwLock<Domains>,
    open_packs: Cache<PackId, Arc<PackReader>>,
    /// Version records read before: they never change.
    versions: Cache<Digest, Arc<KnownVersion>, ByMemory>,
}

/// A version record that was read and checked.
pub(crate) struct KnownVersion {
    record: VersionRecord,
    /// The length of its signed form.
    bytes: u64,
}

#[derive(Clone)]
pub(crate) struct ByMemory;

impl Weighter<Digest, Arc<KnownVersion>> for ByMemory {
    fn weight(&self, _: &Digest, known: &Arc<KnownVersion>) -> u64 {
        VERSION_OVERHEAD.0 + VERSION_OVERHEAD.1 * known.bytes
    }
}

#[derive(Default)]
struct Domains {
    by_project: BTreeMap<ProjectName, Arc<Domain>>,
    by_id: HashMap<DomainId, Arc<Domain>>,
}

/// Encrypted, deduplicated versions. Cheap to clone; safe to use from several threads. Of what it read it keeps at most
/// 32 MiB of version records, and the beginnings of 1,024 packs, less than 1 MiB.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("parts", &self.0.parts)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn domain_of(&self, project: &ProjectName) -> Result<Arc<Domain>, StoreError> {
        let domains = self.domains.read().unwrap_or_else(PoisonError::into_inner);
        domains
            .by_project
            .get(project)
            .cloned()
            .ok_or_else(|| StoreError::NotFound {
                what: "project",
                name: project.to_string(),
            })
    }

    pub(crate) fn domain_by_id(&self, id: &DomainId) -> Result<Arc<Domain>, StoreError> {
        let domains = self.domains.read().unwrap_or_else(PoisonError::into_inner);
        domains
            .by_id
            .get(id)
            .cloned()
            .ok_or_else(|| StoreError::KeyMissing {
                domain: id.to_string(),
                because: "the keyring has no project with this domain".to_owned(),
            })
    }

    pub(crate) fn pack(
        &self,
        domain: &Domain,
        pack: &PackId,
    ) -> Result<Arc<PackReader>, StoreError> {
        if let Some(reader) = self.open_packs.get(pack) {
            return Ok(reader);
        }
        let reader = PackReader::open(
            self.parts.blobs.clone(),
            *pack,
            &domain.keys,
            self.parts.aead.clone(),
        )?;
        let reader = Arc::new(reader);
        self.open_packs.insert(*pack, reader.clone());
        Ok(reader)
    }

    /// Forgets what was read before.
    pub(crate) fn forget(&self) {
        self.open_packs.clear();
        self.versions.clear();
    }

    /// Reads a chunk that must have the kind `kind`.
    pub(crate) fn chunk(
        &self,
        domain: &Domain,
        id: &ChunkId,
        kind: ChunkKind,
    ) -> Result<Vec<u8>, StoreError> {
        let place = self.place(domain, id)?;
        match self.chunk_at(domain, &place, kind) {
            Err(error) => match self.place(domain, id) {
                // It was moved meanwhile.
                Ok(now) if now.pack != place.pack => self.chunk_at(domain, &now, kind),
                _ => Err(error),
            },
            read => read,
        }
    }

    fn place(&self, domain: &Domain, id: &ChunkId) -> Result<ChunkPlace, StoreError> {
        let place = self.parts.catalog.chunk(&domain.id, id)?;
        place.ok_or_else(|| damaged_chunk(id, "no pack holds it"))
    }

    /// Forgets a domain's keys, and what was read of it.
    pub(crate) fn forget_domain(&self, id: &DomainId) {
        let domains = &self.domains;
        let mut domains = domains.write().unwrap_or_else(PoisonError::into_inner);
        domains.by_id.remove(id);
        domains.by_project.retain(|_, domain| domain.id != *id);
        drop(domains);
        self.forget();
    }

    /// Forgets a pack that is no more.
    pub(crate) fn forget_pack(&self, pack: &PackId) {
        self.open_packs.remove(pack);
    }

    /// Reads the chunk at a place. A pack in which it is not whole is not relied upon by later writers.
    pub(crate) fn chunk_at(
        &self,
        domain: &Domain,
        place: &ChunkPlace,
        kind: ChunkKind,
    ) -> Result<Vec<u8>, StoreError> {
        if place.chunk.kind != kind {
            return Err(damaged_chunk(&place.chunk.id, "it is of another kind"));
        }
        let read = self
            .pack(domain, &place.pack)
            .and_then(|pack| pack.chunk(&place.chunk, &domain.keys.id));
        if matches!(read, Err(StoreError::Damaged { .. })) {
            self.condemn(&place.pack);
        }
        read
    }

    /// Notes that a pack is damaged: chunks that come again are stored again.
    pub(crate) fn condemn(&self, pack: &PackId) {
        self.open_packs.remove(pack);
        // The damage itself is told to whoever reads; without the mark the next writer looks for itself, at
        // the pack's ends only.
        let _ = self.parts.catalog.condemn(pack);
    }

    /// Returns whether a writer may rely on a pack: no read found it damaged, it is there, its beginning is that
    /// of a pack of its name and its last segment opens, so that nothing was cut off.
    pub(crate) fn is_sound(&self, domain: &Domain, pack: &PackId) -> Result<bool, StoreError> {
        if self.parts.catalog.is_condemned(pack)? {
            return Ok(false);
        }
        let (blobs, aead) = (self.parts.blobs.clone(), self.parts.aead.clone());
        let looked = PackReader::open(blobs, *pack, &domain.keys, aead)
            .and_then(|reader| reader.trailer().map(drop));
        match looked {
            Ok(()) => Ok(true),
            Err(StoreError::Damaged { .. }) => {
                self.condemn(pack);
                Ok(false)
            }
            // Storage that does not answer is nothing to rely upon, and no reason to refuse new bytes.
            Err(_) => Ok(false),
        }
    }
}

fn damaged_chunk(id: &ChunkId, because: &str) -> StoreError {
    StoreError::Damaged {
        what: format!("chunk {id}"),
        because: because.to_owned(),
    }
}

impl Store {
    /// Puts the store together.
    pub fn new(parts: StoreDeps) -> Self {
        Self(Arc::new(Inner {
            parts,
            domains: RwLock::default(),
            open_packs: Cache::new(OPEN_PACKS),
            versions: Cache::with_weighter(VERSIONS, VERSIONS_BYTES, ByMemory),
        }))
    }

    /// Removes what an earlier process left unfinished under the packs. Staged versions are the caller's
    /// to settle, by what the ledger says.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn sweep(&self) -> Result<(), StoreError> {
        Ok(self.0.parts.blobs.sweep()?)
    }

    /// Makes a project known with its domain and keys.
    pub fn add_project(&self, project: ProjectName, id: DomainId, keys: DomainKeys) {
        let chunker = Chunker::new(&keys.chunking);
        let domain = Arc::new(Domain { id, keys, chunker });
        let mut domains = self
            .0
            .domains
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        domains.by_project.insert(project, domain.clone());
        domains.by_id.insert(id, domain);
    }

    /// Uses other keys for a project that has the domain `id`: those of before with one in a new epoch, under which packs are
    /// sealed from then on. Does nothing where the project or its domain is known no more.
    pub fn renew_project(&self, project: &ProjectName, id: DomainId, keys: DomainKeys) {
        let chunker = Chunker::new(&keys.chunking);
        let mut domains = self
            .0
            .domains
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let known = domains.by_project.get_mut(project);
        if let Some(known) = known.filter(|known| known.id == id) {
            let domain = Arc::new(Domain { id, keys, chunker });
            *known = domain.clone();
            domains.by_id.insert(id, domain);
        }
    }

    /// Lists the projects that are known.
    pub fn projects(&self) -> Vec<ProjectName> {
        let domains = self
            .0
            .domains
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        domains.by_project.keys().cloned().collect()
    }

    pub(crate) fn entropy(&self) -> Arc<dyn Entropy> {
        self.0.parts.entropy.clone()
    }

    pub(crate) fn aead(&self) -> Arc<dyn Aead> {
        self.0.parts.aead.clone()
    }

    /// Lends the catalog: who decides what is valid keeps what the ledger says in it.
    pub fn catalog(&self) -> &dyn Catalog {
        self.0.parts.catalog.as_ref()
    }

    pub(crate) fn blobs(&self) -> &dyn Blobs {
        self.0.parts.blobs.as_ref()
    }

    /// Starts taking in files and records of `project`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the project is not known.
    pub fn writer(&self, project: &ProjectName) -> Result<Writer, StoreError> {
        Ok(Writer::new(self.clone(), self.0.domain_of(project)?))
    }

    /// Returns the number after all that are staged of `artifact`.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog fails.
    pub fn next_number(&self, artifact: &ArtifactName) -> Result<VersionNumber, StoreError> {
        let highest = self.catalog().highest(artifact)?;
        Ok(VersionNumber::new(highest).map_or(VersionNumber::FIRST, VersionNumber::next))
    }

    /// Makes what the writer took in durable, with the versions of `drafts` staged. They become valid
    /// once the ledger names their records.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is a version of that name; [`StoreError`]. Nothing is staged then.
    pub fn stage(
        &self,
        mut writer: Writer,
        drafts: Vec<VersionDraft>,
    ) -> Result<Vec<Version>, StoreError> {
        let mut versions: Vec<Version> = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let record = record_of(draft);
            let bytes = SignedRecord::sign(record.clone(), &self.0.parts.signing)?;
            let record_digest = writer.put(ChunkKind::Version, &bytes)?;
            versions.push(Version {
                record,
                record_digest,
                entry: 0,
                quarantined: false,
            });
        }
        let mut staging = writer.seal()?;
        staging.versions = versions
            .iter()
            .map(|version| StagedRow {
                name: version.name(),
                record: version.record_digest,
            })
            .collect();
        self.catalog().stage(&staging)?;
        Ok(versions)
    }

    /// Lists what is staged: name, and the SHA-256 of the signed record.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog fails.
    pub fn staged(&self) -> Result<Vec<(VersionName, Digest)>, StoreError> {
        let rows = self.catalog().staged()?;
        Ok(rows.into_iter().map(|row| (row.name, row.record)).collect())
    }

    /// Forgets staged versions: the ledger names them, or never will.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog fails.
    pub fn unstage(&self, versions: &[VersionName]) -> Result<(), StoreError> {
        Ok(self.catalog().unstage(versions)?)
    }

    /// Reads the version `name`, whose record has the SHA-256 `record` by the ledger entry `entry`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no pack is known to hold the record; [`StoreError::Damaged`] when it is another's, or
    /// changed.
    pub fn version(
        &self,
        name: &VersionName,
        record: &Digest,
        entry: u64,
    ) -> Result<Version, StoreError> {
        let record_digest = *record;
        let record = self.version_record(record)?;
        if record.name() != *name {
            return Err(StoreError::Damaged {
                what: name.to_string(),
                because: format!(
                    "the record that the ledger names is that of `{}`",
                    record.name()
                ),
            });
        }
        Ok(Version {
            record,
            record_digest,
            entry,
            quarantined: false,
        })
    }

    /// Reads and checks a signed version record.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no pack is known to hold it; [`StoreError::Damaged`] when it was changed, or is
    /// not signed by this workspace.
    pub fn version_record(&self, digest: &Digest) -> Result<VersionRecord, StoreError> {
        if let Some(known) = self.0.versions.get(digest) {
            return Ok(known.record.clone());
        }
        let bytes = self.read_record(digest, ChunkKind::Version)?;
        let signed =
            SignedRecord::open(&bytes, self.0.parts.signing.public()).map_err(|because| {
                StoreError::Damaged {
                    what: format!("version record {digest}"),
                    because,
                }
            })?;
        let known = KnownVersion {
            record: signed.record.clone(),
            bytes: bytes.len() as u64,
        };
        self.0.versions.insert(*digest, Arc::new(known));
        Ok(signed.record)
    }

    /// Returns the projects whose keys seal the record with the SHA-256 `digest`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such record, or no such project any more.
    pub fn projects_of(&self, digest: &Digest) -> Result<Vec<ProjectName>, StoreError> {
        let not_found = || StoreError::NotFound {
            what: "record",
            name: digest.to_string(),
        };
        let places = self.catalog().record(digest)?;
        let domains = &self.0.domains;
        let domains = domains.read().unwrap_or_else(PoisonError::into_inner);
        let of = domains.by_project.iter();
        let of = of.filter(|(_, domain)| places.iter().any(|(id, _)| domain.id == *id));
        let of: Vec<_> = of.map(|(project, _)| project.clone()).collect();
        if of.is_empty() {
            return Err(not_found());
        }
        Ok(of)
    }

    /// Reads the record with the SHA-256 `digest`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none; [`StoreError::Damaged`] when it was changed.
    pub fn record(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        self.read_record(digest, ChunkKind::Record)
    }

    fn read_record(&self, digest: &Digest, kind: ChunkKind) -> Result<Vec<u8>, StoreError> {
        let mut read = Err(StoreError::NotFound {
            what: "record",
            name: digest.to_string(),
        });
        // It is the same in every project that has it; one of them may be damaged, or its keys gone.
        for (domain, chunk) in self.catalog().record(digest)? {
            read = self
                .0
                .domain_by_id(&domain)
                .and_then(|domain| self.0.chunk(&domain, &chunk, kind));
            if read.is_ok() {
                break;
            }
        }
        let bytes = read?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(StoreError::Damaged {
                what: format!("record {digest}"),
                because: "its bytes are others".to_owned(),
            })
        }
    }

    /// Opens the files of a version.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its manifest is.
    pub fn files(&self, version: &Version) -> Result<Arc<dyn VersionFiles>, StoreError> {
        let record = &version.record;
        let domain = self.0.domain_of(record.artifact.project())?;
        let (store, manifest) = (self.0.clone(), &record.manifest);
        let files = StoredFiles::open(store, domain, record.digest, manifest, HashMap::new())?;
        Ok(Arc::new(files))
    }
}

fn record_of(draft: VersionDraft) -> VersionRecord {
    VersionRecord {
        artifact: draft.artifact,
        number: draft.number,
        kind: draft.kind,
        digest: draft.tree.digest,
        manifest: draft.tree.manifest,
        files: draft.tree.files.len() as u64,
        size: draft.tree.size,
        classification: draft.classification,
        purposes: draft.purposes,
        created: draft.created,
        author: draft.author,
        origin: draft.origin,
        statement: draft.statement,
        run: draft.run,
        step: draft.step,
        extra: draft.extra,
    }
}
