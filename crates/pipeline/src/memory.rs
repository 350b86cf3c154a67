//! Files that are in memory.

use std::ops::Range;

use bytes::Bytes;
use custody_types::{
    ByteSize, Digest, FileEntry, FilePath, Problem, ReadError, VersionFiles, listing_digest,
};

use crate::outputs::{Fill, Outputs};

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MadeFile {
    pub(crate) path: FilePath,
    pub(crate) executable: bool,
    pub(crate) bytes: Vec<u8>,
}

impl MadeFile {
    pub(crate) fn entry(&self) -> FileEntry {
        FileEntry {
            path: self.path.clone(),
            size: ByteSize::from_bytes(self.bytes.len() as u64),
            sha256: Digest::of(&self.bytes),
            executable: self.executable,
        }
    }
}

/// What a program made of which the step needs all at once.
#[derive(Debug, Default)]
pub(crate) struct Made(pub(crate) Vec<MadeFile>);

impl Outputs for Made {
    fn file(
        &mut self,
        _: &str,
        path: FilePath,
        executable: bool,
        fill: &mut Fill<'_>,
    ) -> Result<(), Problem> {
        let mut bytes = Vec::new();
        fill(&mut bytes)?;
        self.0.push(MadeFile {
            path,
            executable,
            bytes,
        });
        Ok(())
    }
}

/// Computes the identity that a version of these files has.
pub(crate) fn digest(files: &[MadeFile]) -> Digest {
    let entries: Vec<_> = files.iter().map(MadeFile::entry).collect();
    listing_digest(&entries)
}

/// Files in memory, readable as a version.
#[derive(Debug)]
pub(crate) struct InMemory {
    entries: Vec<FileEntry>,
    bytes: Vec<Bytes>,
}

impl InMemory {
    pub(crate) fn new(mut files: Vec<MadeFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let entries = files.iter().map(MadeFile::entry).collect();
        Self {
            entries,
            bytes: files
                .into_iter()
                .map(|file| Bytes::from(file.bytes))
                .collect(),
        }
    }
}

impl VersionFiles for InMemory {
    fn digest(&self) -> Digest {
        listing_digest(&self.entries)
    }

    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        let found = self
            .entries
            .iter()
            .zip(&self.bytes)
            .find(|(entry, _)| entry.path == *path);
        let (entry, bytes) = found.ok_or_else(|| ReadError::NoSuchFile(path.clone()))?;
        let size = entry.size.bytes();
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        match (start, end) {
            (Ok(start), Ok(end)) if start <= end && range.end <= size => {
                Ok(bytes.slice(start..end))
            }
            _ => Err(ReadError::OutOfRange {
                path: path.clone(),
                start: range.start,
                end: range.end,
                size,
            }),
        }
    }
}
