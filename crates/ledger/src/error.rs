//! What can go wrong in the ledger.

use std::error::Error;
use std::sync::Arc;

use custody_tlog::tile::TileError;

use crate::ports::PortError;

/// Why the ledger cannot do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Another process works in the workspace.
    #[error("another process works in this workspace (process {pid})")]
    Busy {
        /// Its process id.
        pid: String,
    },
    /// The disk is full.
    #[error("there is no room left for the ledger")]
    NoSpace,
    /// The entry is too large.
    #[error("the entry has {0} bytes; at most 65,535 are possible")]
    TooLarge(usize),
    /// A write failed, and nobody can know what reached the disk: no further entry is taken.
    #[error("the ledger stopped since a write failed: {0}")]
    Stopped(String),
    /// The log is shorter than something that was acknowledged.
    #[error(
        "the ledger has {found} entries, but at least {acknowledged} were acknowledged: it was cut off or put back to an older state"
    )]
    RolledBack {
        /// How many there are.
        found: u64,
        /// How many there were.
        acknowledged: u64,
    },
    /// A file is not what was written.
    #[error("`{file}` is damaged: {because}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        because: String,
    },
    /// There is no such entry.
    #[error("the ledger has no entry {0}")]
    NoEntry(u64),
    /// The storage failed.
    #[error("`{file}` could not be read or written")]
    Storage {
        /// The file.
        file: String,
        /// What the storage said.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl From<TileError> for LedgerError {
    fn from(error: TileError) -> Self {
        let because = error.to_string();
        match error {
            TileError::Missing(file) | TileError::Malformed(file) | TileError::Forged(file) => {
                Self::Damaged { file, because }
            }
            TileError::Failed { path, source } => Self::Storage { file: path, source },
            TileError::OutOfRange => Self::Damaged {
                file: "tile".to_owned(),
                because,
            },
        }
    }
}

impl From<PortError> for LedgerError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::NoSpace { .. } => Self::NoSpace,
            PortError::Conflict { ref file } | PortError::Full { ref file } => Self::Storage {
                file: file.clone(),
                source: Arc::new(error),
            },
            PortError::Failed { file, source } => Self::Storage { file, source },
        }
    }
}
