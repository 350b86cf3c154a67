//! Unnamed files in a folder.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use custody_types::{Clock, Scratch};

/// Gives unnamed files on the disk of a folder.
#[derive(Debug, Clone)]
pub struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Takes a folder that exists. No name ever appears in it where the kernel knows `O_TMPFILE`;
    /// elsewhere the name is removed as soon as the file is open.
    pub const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }
}

impl ScratchFolder {
    /// Measures how long the disk takes to make a written record durable: the median of `RECORDS`, in
    /// milliseconds.
    ///
    /// # Errors
    /// What the system says, when the folder cannot be written.
    pub fn sync_ms(&self, clock: &dyn Clock) -> io::Result<u64> {
        const RECORDS: usize = 9;
        let mut file = self.file()?;
        let mut took = Vec::new();
        for _ in 0..RECORDS {
            let start = clock.monotonic_ms();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            took.push(clock.monotonic_ms().saturating_sub(start));
        }
        took.sort_unstable();
        Ok(took.get(RECORDS / 2).copied().unwrap_or_default())
    }
}

impl Scratch for ScratchFolder {
    fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.0)
    }
}
