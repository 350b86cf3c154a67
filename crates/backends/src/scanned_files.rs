//! The user's files for the scanner: opened anywhere, read in place, nothing written.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use custody_scan::Source;

/// How many files one call may scan.
pub const MAX_FILES: usize = 1_000_000;
/// How deep folders may be nested.
const MAX_DEPTH: usize = 64;

/// Something found below the paths that were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file, or a link to one.
    File(PathBuf),
    /// Something that cannot be scanned, and why.
    Other(PathBuf, &'static str),
}

/// Lists the files at and below `paths`, in the order of their names. Links to files are followed, as
/// caches of models use them; links to folders are not.
///
/// # Errors
/// The path that cannot be read, with what the file system says.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Entry>, (PathBuf, io::Error)> {
    let mut entries = Vec::new();
    for path in paths {
        let kind = fs::metadata(path).map_err(|error| (path.clone(), error))?;
        if kind.is_dir() {
            folder(path, 0, &mut entries)?;
        } else {
            entries.push(entry(path, kind.file_type()));
        }
    }
    Ok(entries)
}

fn entry(path: &Path, kind: fs::FileType) -> Entry {
    if kind.is_file() {
        Entry::File(path.to_owned())
    } else {
        Entry::Other(path.to_owned(), "it is neither a regular file nor a folder")
    }
}

fn folder(path: &Path, depth: usize, entries: &mut Vec<Entry>) -> Result<(), (PathBuf, io::Error)> {
    let at = |error| (path.to_owned(), error);
    let mut names: Vec<_> = fs::read_dir(path)
        .map_err(at)?
        .collect::<Result<_, _>>()
        .map_err(at)?;
    names.sort_by_key(fs::DirEntry::file_name);
    for name in names {
        let inside = name.path();
        let kind = name.file_type().map_err(at)?;
        if entries.len() >= MAX_FILES {
            return Err(at(io::Error::other(format!("more than {MAX_FILES} files"))));
        }
        if kind.is_dir() && depth >= MAX_DEPTH {
            entries.push(Entry::Other(inside, "folders are nested too deep"));
        } else if kind.is_dir() {
            folder(&inside, depth + 1, entries)?;
        } else if kind.is_symlink() {
            entries.push(match fs::metadata(&inside) {
                Ok(target) if target.is_file() => Entry::File(inside),
                Ok(_) => Entry::Other(inside, "it is a link to a folder, which is not followed"),
                Err(_) => Entry::Other(inside, "it is a link to nothing"),
            });
        } else {
            entries.push(entry(&inside, kind));
        }
    }
    Ok(())
}

/// A file of the user that is read in place.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    len: u64,
}

impl OpenFile {
    /// Opens a file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

impl Source for OpenFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}
