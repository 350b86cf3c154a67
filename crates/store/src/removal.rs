//! Taking the bytes of a version away for good.

use std::collections::BTreeSet;
use std::sync::Arc;

use custody_types::{ByteSize, ProjectName};

use crate::error::StoreError;
use crate::ids::{ChunkId, PackId};
use crate::pack::{ChunkKind, PackBuilder, PackChunk, PackReader, Sealing, read_preamble};
use crate::ports::{Staging, all_packs};
use crate::record::VersionRecord;
use crate::store::{Domain, Store};

/// What can be taken away of a version: the bytes of its files that no other version has.
#[derive(Debug)]
pub struct Removable {
    project: ProjectName,
    dead: BTreeSet<ChunkId>,
    /// How many bytes go.
    pub bytes: ByteSize,
    /// How many bytes of its files stay, since other versions have them too.
    pub shared: ByteSize,
}

impl Store {
    /// Finds which bytes of the files of `version` no version of `kept` has: the records of all other versions of its project
    /// whose bytes are to stay. The caller makes no version of the project until [`Store::remove`] is done.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a list of files cannot be read, so that it is not known what may go; [`StoreError`] when
    /// the storage fails.
    pub fn removable(
        &self,
        version: &VersionRecord,
        kept: &[VersionRecord],
    ) -> Result<Removable, StoreError> {
        let project = version.artifact.project().clone();
        let domain = self.0.domain_of(&project)?;
        let own = self.data_of(&domain, version)?;
        let mut dead: BTreeSet<ChunkId> = own.iter().map(|(chunk, _)| *chunk).collect();
        for record in kept {
            for (chunk, _) in self.data_of(&domain, record)? {
                dead.remove(&chunk);
            }
        }
        let bytes = |is_dead: bool| {
            let of = own.iter();
            let of = of.filter(|(chunk, _)| dead.contains(chunk) == is_dead);
            ByteSize::from_bytes(of.map(|(_, length)| u64::from(*length)).sum())
        };
        let (bytes, shared) = (bytes(true), bytes(false));
        Ok(Removable {
            project,
            dead,
            bytes,
            shared,
        })
    }

    /// Takes bytes out of all packs of their project. Records, lists of files and statements stay.
    ///
    /// Doing it again is no error. A crash in between leaves everything readable that must be; doing it again ends it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a pack of the project cannot be read: what can be found out of it stays where it is;
    /// [`StoreError`] when the storage fails.
    pub fn remove(&self, what: &Removable) -> Result<(), StoreError> {
        let domain = self.0.domain_of(&what.project)?;
        // A chunk may lie in several packs, of which the index knows the last.
        for pack in all_packs(self.blobs())? {
            self.rewrite_without(&domain, &pack, &what.dead)?;
        }
        Ok(())
    }

    /// Lists the chunks of a version's files, each with its length.
    fn data_of(
        &self,
        domain: &Domain,
        record: &VersionRecord,
    ) -> Result<BTreeSet<(ChunkId, u32)>, StoreError> {
        let files = self.manifest_files(domain, &record.manifest)?;
        let extents = files.iter().flat_map(|file| &file.extents);
        Ok(extents
            .map(|extent| (extent.chunk, extent.length))
            .collect())
    }

    /// Stores all chunks of a pack but the dead ones in a new one, and removes it; one without dead chunks stays.
    fn rewrite_without(
        &self,
        domain: &Arc<Domain>,
        pack: &PackId,
        dead: &BTreeSet<ChunkId>,
    ) -> Result<(), StoreError> {
        if read_preamble(self.blobs(), pack)?.0 != domain.id {
            return Ok(());
        }
        let (blobs, aead) = (self.0.parts.blobs.clone(), self.aead());
        let reader = PackReader::open(blobs, *pack, &domain.keys, aead)?;
        let is_dead = |chunk: &PackChunk| chunk.kind == ChunkKind::Data && dead.contains(&chunk.id);
        let (gone, stays): (Vec<_>, Vec<_>) = reader.trailer()?.into_iter().partition(is_dead);
        if gone.is_empty() {
            return Ok(());
        }
        let mut builder = PackBuilder::new(Sealing {
            domain: domain.clone(),
            aead: self.aead(),
            entropy: self.entropy(),
        });
        for chunk in &stays {
            let plain = reader.chunk(chunk, &domain.keys.id)?;
            builder.add(chunk.id, chunk.kind, &plain)?;
        }
        // CRASH: before it is published it is swept; before the old one is forgotten both have what stays; before the old
        // one is deleted nothing names it.
        if let Some((new, chunks)) = builder.seal(|id, bytes| self.blobs().put(id, bytes))? {
            self.blobs().publish(&[new])?;
            self.catalog().stage(&Staging {
                domain: domain.id,
                relied_upon: Vec::new(),
                packs: vec![(new, chunks)],
                records: Vec::new(),
                versions: Vec::new(),
            })?;
        }
        self.catalog().forget(&[*pack])?;
        self.0.forget_pack(pack);
        Ok(self.blobs().delete(&[*pack])?)
    }
}
