//! Checking everything that is stored, and rebuilding the index from it.

use std::collections::BTreeSet;

use custody_types::{Digest, causes};
use sha2::{Digest as _, Sha256};

use crate::error::StoreError;
use crate::files::read_manifest;
use crate::ids::{ChunkId, DomainId, PackId};
use crate::manifest::FileExtents;
use crate::pack::{ChunkKind, PackChunk, PackReader, read_preamble};
use crate::ports::{CatalogError, RecordPlace, Staging, all_packs, known_packs};
use crate::record::Version;
use crate::store::{Domain, Store};

/// What was found about one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackCheck {
    /// How the pack is named to the user: its path.
    pub name: String,
    /// How many chunks of it were read and are what their ids say.
    pub chunks: u64,
    /// What is wrong, if anything.
    pub broken: Option<String>,
    /// Whether it is of a domain that was shredded: nothing opens it, and it may go.
    pub shredded: bool,
}

/// A catalog that was made anew.
#[derive(Debug)]
pub struct Rebuilt {
    /// The records that the ledger names and no pack holds.
    pub lacking: Vec<Digest>,
    /// The first damaged pack, where something that the ledger names is not whole without it.
    pub damaged: Option<StoreError>,
}

impl Store {
    /// Reads every byte of a version and checks chunks, files and identity. Returns the bytes read.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], which names the file that is.
    pub fn verify_version(&self, version: &Version) -> Result<u64, StoreError> {
        let domain = self.0.domain_of(version.record.artifact.project())?;
        // Opening compares the files' list with the identity.
        self.files(version)?;
        let mut read = 0;
        for file in self.manifest_files(&domain, &version.record.manifest)? {
            let mut hasher = Sha256::new();
            for extent in &file.extents {
                let bytes = self.0.chunk(&domain, &extent.chunk, ChunkKind::Data)?;
                read += bytes.len() as u64;
                hasher.update(&bytes);
            }
            if Digest::from_bytes(hasher.finalize().into()) != file.entry.sha256 {
                return Err(StoreError::Damaged {
                    what: format!("{}:{}", version.name(), file.entry.path),
                    because: "its bytes do not have the SHA-256 of its manifest".to_owned(),
                });
            }
        }
        Ok(read)
    }

    pub(crate) fn manifest_files(
        &self,
        domain: &Domain,
        manifest: &ChunkId,
    ) -> Result<Vec<FileExtents>, StoreError> {
        read_manifest(manifest, |id| self.0.chunk(domain, id, ChunkKind::Manifest))
    }

    /// Reads every pack from end to end. `shredded`: the domains whose keys were destroyed.
    ///
    /// # Errors
    /// [`StoreError`] when the packs cannot be listed; what is wrong inside one is part of the answer.
    pub fn verify_packs(
        &self,
        shredded: &BTreeSet<DomainId>,
    ) -> Result<Vec<PackCheck>, StoreError> {
        let listed: BTreeSet<_> = all_packs(self.blobs())?.into_iter().collect();
        let known: BTreeSet<_> = known_packs(self.catalog())?.into_iter().collect();
        Ok(listed
            .union(&known)
            .map(|pack| {
                if self.is_of(shredded, pack) {
                    return PackCheck {
                        name: self.blobs().name(pack),
                        chunks: 0,
                        broken: None,
                        shredded: true,
                    };
                }
                self.check_pack(pack)
            })
            .collect())
    }

    fn check_pack(&self, pack: &PackId) -> PackCheck {
        let mut chunks = 0;
        let result = self.open_pack(pack).and_then(|(reader, domain)| {
            for chunk in reader.trailer()? {
                reader.chunk(&chunk, &domain.keys.id)?;
                chunks += 1;
            }
            reader.check_padding()
        });
        match &result {
            Err(StoreError::Damaged { .. }) => self.0.condemn(pack),
            // One that was put back from a copy may be relied upon again.
            Ok(()) => self.absolve(pack),
            Err(_) => {}
        }
        PackCheck {
            name: self.blobs().name(pack),
            chunks,
            broken: result.err().map(|error| causes(&error)),
            shredded: false,
        }
    }

    /// Returns whether a pack says that it is of one of these domains.
    fn is_of(&self, domains: &BTreeSet<DomainId>, pack: &PackId) -> bool {
        let of = || read_preamble(self.blobs(), pack).ok();
        !domains.is_empty() && of().is_some_and(|(of, _)| domains.contains(&of))
    }

    fn absolve(&self, pack: &PackId) {
        if self.catalog().is_condemned(pack).unwrap_or(false) {
            // A mark that stays costs room at most: its chunks are stored again when they come again.
            let _ = self.catalog().absolve(pack);
        }
    }

    fn open_pack(&self, pack: &PackId) -> Result<(PackReader, std::sync::Arc<Domain>), StoreError> {
        let (domain, _) = read_preamble(self.blobs(), pack)?;
        let domain = self.0.domain_by_id(&domain)?;
        let reader =
            PackReader::open(self.0.parts.blobs.clone(), *pack, &domain.keys, self.aead())?;
        Ok((reader, domain))
    }

    /// Learns from the packs where everything lies. `valid`: the version records that the ledger names; `removed`: those of
    /// them whose bytes were taken away; `shredded`: the domains whose keys were destroyed, whose packs are deleted. What is
    /// read meanwhile is found: a place is corrected where it is wrong, and what a pack that is damaged or gone held is
    /// forgotten at the end.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails; the call can be repeated.
    pub fn rebuild(
        &self,
        valid: &[Digest],
        removed: &BTreeSet<Digest>,
        shredded: &BTreeSet<DomainId>,
    ) -> Result<Rebuilt, StoreError> {
        // A pack that comes meanwhile tells its places itself.
        let mut gone: BTreeSet<_> = known_packs(self.catalog())?.into_iter().collect();
        self.0.forget();
        let mut damaged = None;
        for pack in all_packs(self.blobs())? {
            if self.is_of(shredded, &pack) {
                self.blobs().delete(&[pack])?;
                continue;
            }
            match self.adopt(&pack) {
                Ok(()) => {
                    gone.remove(&pack);
                }
                Err(error @ StoreError::Damaged { .. }) => {
                    self.0.condemn(&pack);
                    damaged.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        self.catalog()
            .forget(&gone.into_iter().collect::<Vec<_>>())?;
        let mut lacking = Vec::new();
        for record in valid {
            if self.catalog().record(record)?.is_empty() {
                lacking.push(*record);
            }
        }
        self.catalog().set_lacking(&lacking)?;
        if damaged.is_some() && lacking.is_empty() && self.is_whole(valid, removed)? {
            damaged = None;
        }
        Ok(Rebuilt { lacking, damaged })
    }

    /// Learns where everything lies in packs that were put back from a copy: they are not known, or were damaged before and
    /// are sound now. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn regain(&self) -> Result<bool, StoreError> {
        let known: BTreeSet<_> = known_packs(self.catalog())?.into_iter().collect();
        let mut regained = false;
        for pack in all_packs(self.blobs())? {
            if known.contains(&pack) && !self.catalog().is_condemned(&pack)? {
                continue;
            }
            match self.adopt(&pack) {
                Ok(()) => {
                    self.absolve(&pack);
                    regained = true;
                }
                // One that nothing opens is of no project that there is.
                Err(StoreError::Damaged { .. } | StoreError::KeyMissing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if regained {
            self.0.forget();
        }
        Ok(regained)
    }

    /// Returns whether places are known for all that the version records name.
    fn is_whole(&self, valid: &[Digest], removed: &BTreeSet<Digest>) -> Result<bool, StoreError> {
        for digest in valid {
            let Ok(record) = self.version_record(digest) else {
                return Ok(false);
            };
            for digest in record.statement.iter().chain(record.extra.values()) {
                if self.catalog().record(digest)?.is_empty() {
                    return Ok(false);
                }
            }
            let domain = self.0.domain_of(record.artifact.project())?;
            let Ok(files) = self.manifest_files(&domain, &record.manifest) else {
                return Ok(false);
            };
            for file in files.iter().filter(|_| !removed.contains(digest)) {
                let chunks: Vec<_> = file.extents.iter().map(|extent| extent.chunk).collect();
                let places = self.catalog().chunks(&domain.id, &chunks)?;
                if places.iter().any(Option::is_none) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Returns the chunks of a pack that are not known yet, and those whose known place is elsewhere and cannot be read:
    /// they were stored again because of that, or the place is wrong.
    fn better(
        &self,
        domain: &Domain,
        pack: &PackId,
        chunks: Vec<PackChunk>,
    ) -> Result<Vec<PackChunk>, StoreError> {
        let mut better = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let known = self.catalog().chunk(&domain.id, &chunk.id);
            let is_known = match known {
                Ok(Some(known)) => {
                    known.pack == *pack && known.chunk == chunk
                        || self.0.chunk_at(domain, &known, chunk.kind).is_ok()
                }
                Ok(None) | Err(CatalogError::Damaged { .. }) => false,
                Err(error) => return Err(error.into()),
            };
            if !is_known {
                better.push(chunk);
            }
        }
        Ok(better)
    }

    fn adopt(&self, pack: &PackId) -> Result<(), StoreError> {
        let (reader, domain) = self.open_pack(pack)?;
        let chunks = reader.trailer()?;
        let mut records = Vec::new();
        for chunk in &chunks {
            if matches!(chunk.kind, ChunkKind::Record | ChunkKind::Version) {
                records.push(RecordPlace {
                    digest: Digest::of(&reader.chunk(chunk, &domain.keys.id)?),
                    chunk: chunk.id,
                });
            }
        }
        let chunks = self.better(&domain, pack, chunks)?;
        self.catalog().stage(&Staging {
            domain: domain.id,
            relied_upon: Vec::new(),
            packs: vec![(*pack, chunks)],
            records,
            versions: Vec::new(),
        })?;
        Ok(())
    }
}
