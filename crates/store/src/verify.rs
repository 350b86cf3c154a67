//! Checking everything that is stored, and rebuilding the index from it.

use std::collections::{BTreeMap, BTreeSet};

use custody_types::{Digest, VersionName};
use sha2::{Digest as _, Sha256};

use crate::error::StoreError;
use crate::files::read_manifest;
use crate::ids::PackId;
use crate::pack::{ChunkKind, PackReader, read_preamble};
use crate::ports::{RecordPlace, Staging, VersionRow, VersionState};
use crate::record::{SignedRecord, Version};
use crate::store::Store;

/// What was found about one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackCheck {
    /// How the pack is named to the user: its path.
    pub name: String,
    /// How many chunks of it were read and are what their ids say.
    pub chunks: u64,
    /// What is wrong, if anything.
    pub broken: Option<String>,
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
        for file in read_manifest(&self.0, &domain, &version.record.manifest)? {
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

    /// Reads every pack from end to end.
    ///
    /// # Errors
    /// [`StoreError`] when the packs cannot be listed; what is wrong inside one is part of the answer.
    pub fn verify_packs(&self) -> Result<Vec<PackCheck>, StoreError> {
        let listed: BTreeSet<_> = self.blobs().list()?.into_iter().collect();
        let known: BTreeSet<_> = self.catalog().packs()?.into_iter().collect();
        Ok(listed
            .union(&known)
            .map(|pack| self.check_pack(pack))
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
        PackCheck {
            name: self.blobs().name(pack),
            chunks,
            broken: result.err().map(|error| error.to_string()),
        }
    }

    fn open_pack(
        &self,
        pack: &PackId,
    ) -> Result<(PackReader, std::sync::Arc<crate::Domain>), StoreError> {
        let (domain, _) = read_preamble(self.blobs(), pack)?;
        let domain = self.0.domain_by_id(&domain)?;
        let reader =
            PackReader::open(self.0.parts.blobs.clone(), *pack, &domain.keys, self.aead())?;
        Ok((reader, domain))
    }

    /// Rebuilds the catalog from the packs. `valid` tells which version records the ledger names, and in
    /// which entry; versions that it does not name are left out. `quarantined` tells which are in quarantine
    /// from the first moment on. Returns the versions in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a pack is; the old catalog is gone by then, and the call can be
    /// repeated.
    pub fn rebuild(
        &self,
        valid: &BTreeMap<Digest, u64>,
        quarantined: &dyn Fn(&VersionName, &Digest) -> bool,
    ) -> Result<Vec<Version>, StoreError> {
        self.catalog().clear()?;
        self.0.forget();
        let mut versions = Vec::new();
        for pack in self.blobs().list()? {
            versions.extend(self.adopt(&pack, valid, quarantined)?);
        }
        versions.sort_by_key(Version::name);
        let commits: Vec<(VersionName, u64)> = versions
            .iter()
            .map(|version| (version.name(), version.entry))
            .collect();
        self.catalog().commit(&commits)?;
        Ok(versions)
    }

    fn adopt(
        &self,
        pack: &PackId,
        valid: &BTreeMap<Digest, u64>,
        quarantined: &dyn Fn(&VersionName, &Digest) -> bool,
    ) -> Result<Vec<Version>, StoreError> {
        let (reader, domain) = self.open_pack(pack)?;
        let chunks = reader.trailer()?;
        let (mut records, mut versions) = (Vec::new(), Vec::new());
        for chunk in &chunks {
            if !matches!(chunk.kind, ChunkKind::Record | ChunkKind::Version) {
                continue;
            }
            let bytes = reader.chunk(chunk, &domain.keys.id)?;
            let digest = Digest::of(&bytes);
            records.push(RecordPlace {
                digest,
                chunk: chunk.id,
            });
            if chunk.kind == ChunkKind::Version
                && let Some(entry) = valid.get(&digest)
            {
                let signed = SignedRecord::open(&bytes, self.0.parts.signing.public()).map_err(
                    |because| StoreError::Damaged {
                        what: format!("version record {digest}"),
                        because,
                    },
                )?;
                let mut version = Version {
                    record: signed.record,
                    record_digest: digest,
                    entry: *entry,
                    quarantined: false,
                };
                version.quarantined = quarantined(&version.name(), &version.record.digest);
                versions.push(version);
            }
        }
        let rows: Vec<VersionRow> = versions
            .iter()
            .map(|version| crate::store::row(version, VersionState::Staged))
            .collect();
        self.catalog().stage(&Staging {
            domain: domain.id,
            packs: vec![(*pack, chunks)],
            records,
            versions: rows,
        })?;
        Ok(versions)
    }
}
