//! How the bytes of one version are read.

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Digest, FileEntry, FilePath};

/// The files of one version, readable in ranges. Whoever holds one was let through the door.
///
/// Every byte that it returns was checked against the version's manifest. Safe to use from several
/// threads at once; a read blocks.
pub trait VersionFiles: Send + Sync + std::fmt::Debug {
    /// Returns the version's identity.
    fn digest(&self) -> Digest;

    /// Returns the files in the order of their paths.
    fn files(&self) -> &[FileEntry];

    /// Reads the bytes of `range` of the file at `path`.
    ///
    /// # Errors
    /// [`ReadError`] when there is no such file, the range goes past its end, or the stored bytes are
    /// not those that were written.
    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError>;
}

/// Why the bytes of a version could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The version has no such file.
    #[error("there is no file `{0}` in this version")]
    NoSuchFile(FilePath),
    /// The range ends past the end of the file.
    #[error("bytes {start} to {end} of `{path}` were asked for; it has {size}")]
    OutOfRange {
        /// The file.
        path: FilePath,
        /// The first byte asked for.
        start: u64,
        /// The byte after the last one asked for.
        end: u64,
        /// The length of the file.
        size: u64,
    },
    /// The stored bytes were changed, are missing, or do not belong here.
    #[error("`{path}` is damaged: {because}")]
    Damaged {
        /// The file of the version.
        path: String,
        /// What is wrong with which stored thing.
        because: String,
    },
    /// The storage did not answer.
    #[error("the storage failed while reading `{path}`")]
    Storage {
        /// The file of the version.
        path: String,
        /// What the storage said.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
}
