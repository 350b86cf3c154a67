//! Encrypted, deduplicated, versioned storage in the format CSF1 (`docs/formats/store.md`).
//!
//! Enter at [`Store`]. A [`Writer`] takes files, cuts them into chunks, and puts those that are new into
//! packs; [`Store::stage`] makes them a version that is valid once the ledger names its record.
//! [`Store::files`] reads a version in ranges.
//!
//! INVARIANT: no plaintext leaves this crate but through [`custody_types::VersionFiles`] and
//! [`Store::record`]; every chunk that is read is checked against its id.
//!
//! Deliberately absent: which versions there are and deciding who may do what (the door's business), rotation.
#![forbid(unsafe_code)]

mod chunker;
mod error;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ids;
mod manifest;
mod memory_rows;
mod pack;
mod ports;
mod record;
mod removal;
mod shredding;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod verify;
mod writer;

pub use error::StoreError;
pub use ids::{ChunkId, DomainId, PackId};
pub use memory_rows::MemoryRows;
pub use pack::{ChunkKind, PackChunk};
pub use ports::{
    ALIGNMENT, BlobError, Blobs, Catalog, CatalogError, ChunkPlace, RecordPlace, StagedRow,
    Staging, ViewRow, ViewRows, all_packs,
};
pub use record::{SignedRecord, Version, VersionRecord};
pub use removal::Removable;
pub use store::{Domain, Store, StoreDeps};
pub use verify::{PackCheck, Rebuilt};
pub use writer::{Tree, VersionDraft, Writer};
