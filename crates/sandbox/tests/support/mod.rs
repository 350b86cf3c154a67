//! What the tests of the sandbox share.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use custody_types::{ByteSize, Digest, FileEntry, FilePath, ReadError, VersionFiles};

/// Names the launcher's program to the copy of these tests that runs as an ordinary user.
pub(crate) const LAUNCHER: &str = "CUSTODY_TEST_LAUNCHER";

#[derive(Debug)]
pub(crate) struct Memory(Vec<(FileEntry, Bytes)>, Vec<FileEntry>);

impl Memory {
    pub(crate) fn of<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Arc<dyn VersionFiles> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| {
                let bytes = Bytes::copy_from_slice(text.as_ref());
                let size = ByteSize::from_bytes(bytes.len() as u64);
                (
                    FileEntry {
                        path: path.parse().unwrap(),
                        size,
                        sha256: Digest::of(&bytes),
                        executable: false,
                    },
                    bytes,
                )
            })
            .collect();
        let entries = files.iter().map(|(entry, _)| entry.clone()).collect();
        Arc::new(Self(files, entries))
    }
}

impl VersionFiles for Memory {
    fn digest(&self) -> Digest {
        custody_types::listing_digest(&self.1)
    }

    fn files(&self) -> &[FileEntry] {
        &self.1
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        let (_, bytes) = self
            .0
            .iter()
            .find(|(entry, _)| entry.path == *path)
            .ok_or_else(|| ReadError::NoSuchFile(path.clone()))?;
        Ok(bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()))
    }
}

/// The launcher's program; a copy of it when these tests run as another user.
pub(crate) fn launcher() -> PathBuf {
    std::env::var_os(LAUNCHER).map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_custody-step-launcher")),
        PathBuf::from,
    )
}
