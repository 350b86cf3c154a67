//! Storage that tells what is read and written: ports in front of the same ports.

use std::ops::Range;

use custody_ledger::{Commit, Kept, PortError, Sequencer};
use custody_observe::{Done, Observer, Work};
use custody_store::{BlobError, Blobs, PackId};

/// A place for packs that tells how much is read and written.
#[derive(Debug)]
pub(crate) struct WatchedBlobs<B> {
    blobs: B,
    observer: Observer,
}

impl<B: Blobs> WatchedBlobs<B> {
    pub(crate) const fn new(blobs: B, observer: Observer) -> Self {
        Self { blobs, observer }
    }
}

impl<B: Blobs> Blobs for WatchedBlobs<B> {
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError> {
        self.observer.watch(
            || self.blobs.put(pack, bytes),
            |put| Done {
                work: Work::StoreWrite {
                    bytes: bytes.len() as u64,
                },
                ok: put.is_ok(),
            },
        )
    }

    fn publish(&self, packs: &[PackId]) -> Result<(), BlobError> {
        self.blobs.publish(packs)
    }

    fn discard(&self, packs: &[PackId]) -> Result<(), BlobError> {
        self.blobs.discard(packs)
    }

    fn delete(&self, packs: &[PackId]) -> Result<(), BlobError> {
        self.blobs.delete(packs)
    }

    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        self.observer.watch(
            || self.blobs.read(pack, range),
            |read| Done {
                work: Work::StoreRead {
                    bytes: read.as_ref().map_or(0, Vec::len) as u64,
                },
                ok: read.is_ok(),
            },
        )
    }

    fn size(&self, pack: &PackId) -> Result<u64, BlobError> {
        self.blobs.size(pack)
    }

    fn list(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, BlobError> {
        self.blobs.list(after, limit)
    }

    fn sweep(&self) -> Result<(), BlobError> {
        self.blobs.sweep()
    }

    fn name(&self, pack: &PackId) -> String {
        self.blobs.name(pack)
    }
}

/// A sequencer that tells what is appended.
#[derive(Debug)]
pub(crate) struct WatchedSequencer {
    sequencer: Box<dyn Sequencer>,
    observer: Observer,
}

impl WatchedSequencer {
    pub(crate) const fn new(sequencer: Box<dyn Sequencer>, observer: Observer) -> Self {
        Self {
            sequencer,
            observer,
        }
    }
}

impl Sequencer for WatchedSequencer {
    fn load(&mut self, published: u64) -> Result<Kept, PortError> {
        self.sequencer.load(published)
    }

    fn append(&mut self, commit: &Commit) -> Result<(), PortError> {
        self.observer.watch(
            || self.sequencer.append(commit),
            |appended| Done {
                work: Work::Append {
                    entries: commit.entries.len() as u64,
                },
                // That something must be trimmed first is no failure.
                ok: matches!(appended, Ok(()) | Err(PortError::Full { .. })),
            },
        )
    }

    fn trim(&mut self, published: u64) -> Result<(), PortError> {
        self.sequencer.trim(published)
    }

    fn mend(&mut self) -> Result<(), PortError> {
        self.sequencer.mend()
    }
}
