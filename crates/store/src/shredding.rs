//! Taking a whole domain away. Its keys are destroyed by whoever keeps them; here go its packs and what is known of them.

use std::collections::BTreeSet;

use custody_types::{ByteSize, ProjectName};

use crate::error::StoreError;
use crate::ids::{ChunkId, DomainId, PackId};
use crate::pack::read_preamble;
use crate::ports::{BlobError, CatalogError, all_packs};
use crate::store::Store;

/// How many places are looked at at once.
const PAGE: usize = 4096;
/// Before all chunks of a domain.
const FIRST: ChunkId = ChunkId([0; 32]);

impl Store {
    /// Returns the domain of a project whose keys are at hand.
    pub fn domain(&self, project: &ProjectName) -> Option<DomainId> {
        self.0.domain_of(project).ok().map(|domain| domain.id)
    }

    /// Returns whether anything of a domain is known here: its keys, or where something of it lies.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    pub fn knows(&self, domain: &DomainId) -> Result<bool, StoreError> {
        let first = match self.catalog().places(Some((domain, &FIRST)), 1) {
            Ok(first) => first,
            Err(CatalogError::Damaged { .. }) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let lies = first.iter().any(|(of, _)| of == domain);
        Ok(lies || self.0.domain_by_id(domain).is_ok())
    }

    /// Forgets a domain's keys, and deletes its packs and all that is known of them. Returns how many bytes the packs had.
    ///
    /// Doing it again is no error, and ends what a crash left.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails; its keys are forgotten then, and some of the packs may be there.
    pub fn shred(&self, domain: &DomainId) -> Result<ByteSize, StoreError> {
        self.0.forget_domain(domain);
        let mut packs: BTreeSet<PackId> = self.packs_of(domain)?;
        let mut bytes = 0;
        for pack in &packs {
            bytes += match self.blobs().size(pack) {
                Ok(size) => size,
                Err(BlobError::Missing { .. }) => 0,
                Err(error) => return Err(error.into()),
            };
        }
        packs.extend(self.known_packs_of(domain)?);
        let packs: Vec<_> = packs.into_iter().collect();
        // CRASH: what is known of packs that are gone says at the next start that this is not ended.
        self.blobs().delete(&packs)?;
        self.catalog().forget(&packs)?;
        Ok(ByteSize::from_bytes(bytes))
    }

    /// Lists the packs that say that they are of a domain.
    fn packs_of(&self, domain: &DomainId) -> Result<BTreeSet<PackId>, StoreError> {
        let mut packs = BTreeSet::new();
        for pack in all_packs(self.blobs())? {
            match read_preamble(self.blobs(), &pack) {
                Ok((of, _)) if of == *domain => {
                    packs.insert(pack);
                }
                // One whose beginning is damaged is told by the index, and by `verify`.
                Ok(_) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(packs)
    }

    /// Lists the packs in which a chunk of a domain is known to lie.
    fn known_packs_of(&self, domain: &DomainId) -> Result<BTreeSet<PackId>, StoreError> {
        let mut packs = BTreeSet::new();
        let mut after = FIRST;
        loop {
            let page = match self.catalog().places(Some((domain, &after)), PAGE) {
                Ok(page) => page,
                // A place that was changed is some pack's, which says itself whose it is.
                Err(CatalogError::Damaged { .. }) => return Ok(packs),
                Err(error) => return Err(error.into()),
            };
            let of: Vec<_> = page.into_iter().filter(|(of, _)| of == domain).collect();
            let more = of.len() == PAGE;
            if let Some((_, last)) = of.last() {
                after = last.chunk.id;
            }
            packs.extend(of.into_iter().map(|(_, place)| place.pack));
            if !more {
                return Ok(packs);
            }
        }
    }
}
