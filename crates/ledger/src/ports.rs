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
    /// Nothing more is taken before something is trimmed; nothing was written.
    #[error("`{file}` is full of what is not published yet")]
    Full {
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

/// Entries that become part of the log together, and the log that they make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The position of the first entry.
    pub first: u64,
    /// The entries, which follow one another; of at most 65,535 bytes each.
    pub entries: Vec<Vec<u8>>,
    /// The signed checkpoint of the log that ends with them.
    pub checkpoint: String,
}

impl Commit {
    /// Returns the position after the last entry.
    pub const fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

/// What is wrong with what a [`Sequencer`] kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// After the last commit stands the beginning of another: a write that was cut short, or damage to the last.
    CutShort,
    /// After the last commit stands something that no commit begins with.
    Stray,
    /// A commit that cannot be read stands before one that can: damage.
    Changed,
}

/// What a [`Sequencer`] kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The commits before the first flaw, in order; those that were trimmed may be among them.
    pub commits: Vec<Commit>,
    /// What is wrong after them.
    pub flaw: Option<Flaw>,
}

/// Puts what is appended into one order, and keeps it until it is published: the write-ahead log of one machine, or a table
/// that several machines share. Of two that want one position, one gets it.
pub trait Sequencer: Send + fmt::Debug {
    /// Reads what is kept. `published`: how many entries are safe elsewhere.
    ///
    /// # Errors
    /// [`PortError`].
    fn load(&mut self, published: u64) -> Result<Kept, PortError>;

    /// Appends a commit at its position; durable when it returns. The same commit again is no error: the reply of an
    /// earlier attempt may have been lost.
    ///
    /// # Errors
    /// [`PortError::Conflict`] when its position is not the next one, [`PortError::Full`] when something must be
    /// trimmed first: nothing was written then. After any other [`PortError`] it may be there or not; nothing else is
    /// appended before the same commit was taken.
    fn append(&mut self, commit: &Commit) -> Result<(), PortError>;

    /// Tells that the entries before `published` are safe elsewhere: they need not be kept. It may take its time.
    ///
    /// # Errors
    /// [`PortError`]; nothing is lost then.
    fn trim(&mut self, published: u64) -> Result<(), PortError>;

    /// Takes away what [`Sequencer::load`] found after the last commit.
    ///
    /// # Errors
    /// [`PortError`]; the commits are there as before.
    fn mend(&mut self) -> Result<(), PortError>;
}

/// The bytes of a write-ahead log: one file of fixed length, zeros where nothing was written.
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
