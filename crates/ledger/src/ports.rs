//! What the ledger needs of the world.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why the storage did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PortError {
    /// The disk is full.
    #[error("there is no room left for `{file}`")]
    NoSpace {
        /// The file.
        file: String,
    },
    /// What is there is not what was expected: somebody else wrote it.
    #[error("`{file}` is not what this process left there")]
    Conflict {
        /// The file.
        file: String,
    },
    /// Anything else.
    #[error("`{file}` could not be read or written")]
    Failed {
        /// The file.
        file: String,
        /// What the storage said.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
}

/// The write-ahead log: one file of fixed length, zeros where nothing was written.
pub trait Wal: Send + fmt::Debug {
    /// Reads the whole file; empty when there is none.
    ///
    /// # Errors
    /// [`PortError`].
    fn load(&mut self) -> Result<Vec<u8>, PortError>;

    /// Overwrites bytes inside the file; durable when it returns.
    ///
    /// # Errors
    /// [`PortError`]; what reached the disk is unknown then.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), PortError>;

    /// Puts a file of `length` bytes, `beginning` and then zeros, in the place of the old one, atomically;
    /// durable when it returns.
    ///
    /// # Errors
    /// [`PortError`]; the old file or the new one is there then, whole.
    fn renew(&mut self, beginning: &[u8], length: u64) -> Result<(), PortError>;
}

/// Tiles and bundles: files that are written once, or again with the same bytes.
pub trait Tiles: Send + Sync + fmt::Debug {
    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// [`PortError`].
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, PortError>;

    /// Writes files; all of them are durable when it returns.
    ///
    /// # Errors
    /// [`PortError`]; any of them may be there then.
    fn write(&self, files: &[(String, Vec<u8>)]) -> Result<(), PortError>;

    /// Removes files that newer ones took the place of. What cannot be removed stays; it does no harm.
    fn remove(&self, paths: &[String]);
}

/// The published checkpoint.
pub trait CheckpointStore: Send + Sync + fmt::Debug {
    /// Reads it; `None` before the first.
    ///
    /// # Errors
    /// [`PortError`].
    fn load(&self) -> Result<Option<String>, PortError>;

    /// Puts `new` in the place of `old` (`None`: of nothing), atomically; durable when it returns. Of several at once
    /// that expect the same, one is done. Where `new` is there already it is no error: the reply of an earlier attempt
    /// may have been lost.
    ///
    /// # Errors
    /// [`PortError::Conflict`] when something else is there than `old`: it stays. Any other [`PortError`]: `old` or `new`
    /// is there then, whole.
    fn replace(&self, old: Option<&str>, new: &str) -> Result<(), PortError>;
}
