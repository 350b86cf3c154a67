//! The tamper-evident log (`docs/formats/ledger.md`).
//!
//! Enter at [`Ledger`]. [`Ledger::append`] returns a [`Receipt`] once the entry outlives a loss of
//! power; nothing else can make one, so that code which asks for a receipt runs only after its entry
//! was written. Whoever reads takes a [`Snapshot`].
//!
//! INVARIANT: the log grows only; what was acknowledged is in it for ever. Where that cannot be shown at
//! start, it refuses to work.
//!
//! Deliberately absent: what entries mean (the door's business), witnesses, erasure.
#![forbid(unsafe_code)]

mod entry;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ledger;
mod log;
mod ports;
mod snapshot;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod verify;
mod wal;

pub use entry::{
    DecisionFact, Effect, Entry, EntryDraft, Lineage, Object, Outcome, Phase, Subject, ToldFact,
};
pub use error::LedgerError;
pub use ledger::{Ledger, LedgerDeps, Receipt};
pub use ports::{CheckpointStore, Commit, Flaw, Kept, PortError, Sequencer, Tiles, Wal};
pub use snapshot::Snapshot;
pub use verify::LedgerCheck;
pub use wal::WriteAheadLog;
