//! Small files in memory, for the sandbox.

use std::ops::Range;

use bytes::Bytes;
use custody_types::{
    ByteSize, Digest, FileEntry, FilePath, Problem, ReadError, VersionFiles, code, listing_digest,
};

/// Texts by name, in the order in which they were given.
#[derive(Debug)]
pub struct Texts {
    entries: Vec<FileEntry>,
    texts: Vec<Bytes>,
}

impl Texts {
    /// Takes texts by name.
    ///
    /// # Errors
    /// A [`Problem`] when a name is none of a file.
    pub fn new(files: &[(&str, &str)]) -> Result<Self, Problem> {
        let entry = |(name, text): &(&str, &str)| {
            Ok(FileEntry {
                path: name.parse()?,
                size: ByteSize::from_bytes(text.len() as u64),
                sha256: Digest::of(text.as_bytes()),
                executable: false,
            })
        };
        let entries = files.iter().map(entry);
        let entries = entries.collect::<Result<_, custody_types::NameError>>();
        let texts = files
            .iter()
            .map(|(_, text)| Bytes::from((*text).to_owned()));
        Ok(Self {
            entries: entries.map_err(|error| {
                Problem::new(code::CLI_039, "a file of the program has no good name").because(error)
            })?,
            texts: texts.collect(),
        })
    }
}

impl VersionFiles for Texts {
    fn digest(&self) -> Digest {
        listing_digest(&self.entries)
    }

    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        let mut files = self.entries.iter().zip(&self.texts);
        let found = files.find(|(entry, _)| entry.path == *path);
        let (entry, text) = found.ok_or_else(|| ReadError::NoSuchFile(path.clone()))?;
        let start = usize::try_from(range.start).unwrap_or(usize::MAX);
        let end = usize::try_from(range.end).unwrap_or(usize::MAX);
        if start <= end && end <= text.len() {
            return Ok(text.slice(start..end));
        }
        Err(ReadError::OutOfRange {
            path: path.clone(),
            start: range.start,
            end: range.end,
            size: entry.size.bytes(),
        })
    }
}
