//! The user's files for the scanner: opened anywhere, read in place, nothing written.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use custody_scan::{FileKind, Files, Source};

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

/// Says of each of `entries` what lies there: what a model says of another file is held against it.
pub fn listed(entries: &[Entry]) -> Files {
    let mut files = Files::default();
    for entry in entries {
        let (path, kind) = match entry {
            Entry::File(path) => (path, kind(path)),
            Entry::Other(path, _) => (path, FileKind::Other),
        };
        files.add(path.display().to_string(), kind);
    }
    files
}

fn kind(path: &Path) -> FileKind {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if is_link && !is_cached(path) {
        return FileKind::Link;
    }
    fs::metadata(path).map_or(FileKind::Other, |metadata| FileKind::File {
        size: metadata.len(),
    })
}

/// Whether a link is one of the cache of Hugging Face, whose files are links to `../../blobs/DIGEST`.
fn is_cached(link: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| {
        let mut parts = target
            .components()
            .skip_while(|part| *part == Component::ParentDir)
            .map(|part| part.as_os_str().to_string_lossy().into_owned());
        let folder = parts.next();
        let digest = parts.next().unwrap_or_default();
        target.is_relative()
            && folder.as_deref() == Some("blobs")
            && matches!(digest.len(), 40 | 64)
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            && parts.next().is_none()
    })
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make files to look at")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_told_from_files_and_from_those_of_a_cache() {
        let folder = tempfile::tempdir().unwrap();
        let digest = "0".repeat(40);
        let snapshot = folder.path().join("snapshots/one");
        let blobs = folder.path().join("blobs");
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(&digest), "four").unwrap();
        fs::write(snapshot.join("plain"), "abc").unwrap();
        symlink("plain", snapshot.join("link")).unwrap();
        symlink(format!("../../blobs/{digest}"), snapshot.join("cached")).unwrap();
        symlink(blobs.join(&digest), snapshot.join("absolute")).unwrap();
        symlink("nothing", snapshot.join("broken")).unwrap();
        let entries = find(std::slice::from_ref(&snapshot)).unwrap();
        let mut expected = Files::default();
        for (name, kind) in [
            ("absolute", FileKind::Link),
            ("broken", FileKind::Other),
            ("cached", FileKind::File { size: 4 }),
            ("link", FileKind::Link),
            ("plain", FileKind::File { size: 3 }),
        ] {
            expected.add(snapshot.join(name).display().to_string(), kind);
        }
        assert_eq!(listed(&entries), expected);
    }
}
