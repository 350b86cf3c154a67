//! The user's own files and folders: read for adding, written on taking out.
//!
//! A tree travels as a tar stream of regular files. Reading follows no symbolic link inside a folder
//! and takes nothing but regular files; writing makes a new folder, complete or not at all.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the adapter to the user's files"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use custody_types::FilePath;

/// Why the user's files could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum UserFilesError {
    /// Nothing is there.
    #[error("there is no file or folder `{0}`")]
    Missing(PathBuf),
    /// It is neither a regular file nor a folder.
    #[error("`{0}` is neither a regular file nor a folder")]
    Special(PathBuf),
    /// Its name cannot be the name of a file in a version.
    #[error("the name of `{path}` cannot be stored: {because}")]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with the name.
        because: String,
    },
    /// Two of the paths would have the same name in the version.
    #[error("two files would have the name `{0}`")]
    Twice(FilePath),
    /// Something is there already.
    #[error("`{0}` exists already")]
    Exists(PathBuf),
    /// The stream of files is not what it should be.
    #[error("the stream of files is damaged: {0}")]
    Stream(String),
    /// The file system refused.
    #[error("`{path}`: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        #[source]
        error: io::Error,
    },
}

pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> UserFilesError + '_ {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => UserFilesError::Missing(path.to_owned()),
        io::ErrorKind::AlreadyExists => UserFilesError::Exists(path.to_owned()),
        _ => UserFilesError::Io {
            path: path.to_owned(),
            error,
        },
    }
}

/// A file on the user's disk and the path that it will have in a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFile {
    /// Where it stands.
    pub host: PathBuf,
    /// Its path in the version.
    pub path: FilePath,
}

/// Finds the files of `paths`: a file has its own name in the version, of a folder the content is
/// taken with its paths below the folder.
///
/// # Errors
/// [`UserFilesError`] for what is missing, special, unnameable or named twice.
pub fn find(paths: &[PathBuf]) -> Result<Vec<UserFile>, UserFilesError> {
    let mut found = Vec::new();
    for path in paths {
        let kind = fs::metadata(path).map_err(io_at(path))?.file_type();
        if kind.is_dir() {
            find_below(path, "", &mut found)?;
        } else if kind.is_file() {
            let name = path.file_name().unwrap_or_default();
            found.push(UserFile {
                host: path.clone(),
                path: version_path(path, "", name)?,
            });
        } else {
            return Err(UserFilesError::Special(path.clone()));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    for pair in found.windows(2) {
        if let [first, second] = pair
            && first.path == second.path
        {
            return Err(UserFilesError::Twice(first.path.clone()));
        }
    }
    Ok(found)
}

fn find_below(
    folder: &Path,
    prefix: &str,
    found: &mut Vec<UserFile>,
) -> Result<(), UserFilesError> {
    for entry in fs::read_dir(folder).map_err(io_at(folder))? {
        let entry = entry.map_err(io_at(folder))?;
        let host = entry.path();
        let path = version_path(&host, prefix, &entry.file_name())?;
        let kind = entry.file_type().map_err(io_at(&host))?;
        if kind.is_dir() && entry.file_name() == crate::workspace::FOLDER {
            // A workspace is no content: its packs and wrapped keys stay where they are.
        } else if kind.is_dir() {
            find_below(&host, &format!("{path}/"), found)?;
        } else if kind.is_file() {
            found.push(UserFile { host, path });
        } else {
            return Err(UserFilesError::Special(host));
        }
    }
    Ok(())
}

pub(crate) fn version_path(
    host: &Path,
    prefix: &str,
    name: &std::ffi::OsStr,
) -> Result<FilePath, UserFilesError> {
    let name = name.to_str().ok_or_else(|| UserFilesError::Name {
        path: host.to_owned(),
        because: "it is not UTF-8".to_owned(),
    })?;
    format!("{prefix}{name}")
        .parse()
        .map_err(|error: custody_types::NameError| UserFilesError::Name {
            path: host.to_owned(),
            because: error.to_string(),
        })
}

/// Opens a regular file for reading, and tells whether it may be executed.
///
/// # Errors
/// [`UserFilesError`] when it is missing, is no regular file, or may not be read.
pub fn open(path: &Path) -> Result<(File, bool), UserFilesError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(io_at(path))?;
    let metadata = file.metadata().map_err(io_at(path))?;
    if !metadata.is_file() {
        return Err(UserFilesError::Special(path.to_owned()));
    }
    Ok((file, metadata.permissions().mode() & 0o111 != 0))
}

/// Writes `files` as a tar stream; `about`: extended attributes of the first of them.
///
/// # Errors
/// When a file cannot be read, changes its length meanwhile, or nobody takes the stream.
pub fn write_tar(
    files: &[UserFile],
    about: &[(&str, &[u8])],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    if !about.is_empty() {
        archive.append_pax_extensions(about.iter().copied())?;
    }
    for file in files {
        let (content, executable) = open(&file.host).map_err(io::Error::other)?;
        let size = content.metadata()?.len();
        append(&mut archive, &file.path, size, executable, content)?;
    }
    archive.finish()
}

/// Appends one file to a tar stream.
///
/// # Errors
/// When `content` has fewer than `size` bytes, cannot be read, or nobody takes the stream.
pub fn append(
    archive: &mut tar::Builder<impl Write>,
    path: &FilePath,
    size: u64,
    executable: bool,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_entry_type(tar::EntryType::Regular);
    let mut counted = CountedReader {
        inner: content.take(size),
        left: size,
    };
    archive.append_data(&mut header, path.as_str(), &mut counted)?;
    if counted.left > 0 {
        return Err(io::Error::other(format!(
            "`{path}` became shorter while it was read"
        )));
    }
    Ok(())
}

struct CountedReader<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for CountedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

/// Hands each file of a tar stream to `take`: its path, whether it may be executed, its content.
///
/// # Errors
/// When the stream holds anything but regular files with storable names, is damaged, or `take` fails.
pub fn read_tar(
    stream: impl Read,
    mut take: impl FnMut(FilePath, bool, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(damaged(
                "it holds something that is no regular file".to_owned(),
            ));
        }
        let bytes = entry.path_bytes().into_owned();
        let text = String::from_utf8(bytes)
            .map_err(|_| damaged("a name in it is not UTF-8".to_owned()))?;
        let path: FilePath = text
            .parse()
            .map_err(|error: custody_types::NameError| damaged(error.to_string()))?;
        let executable = entry.header().mode()? & 0o111 != 0;
        take(path, executable, &mut entry)?;
    }
    Ok(())
}

/// Writes a tar stream into the new folder `target`, which appears only when all of it is there.
///
/// Returns the number of files and of bytes.
///
/// # Errors
/// [`UserFilesError::Exists`] when `target` is there already; otherwise what went wrong. The
/// unfinished folder is removed then.
pub fn write_folder(stream: impl Read, target: &Path) -> Result<(u64, u64), UserFilesError> {
    if target.symlink_metadata().is_ok() {
        return Err(UserFilesError::Exists(target.to_owned()));
    }
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let partial = tempfile::Builder::new()
        .prefix(".custody-partial-")
        .tempdir_in(parent)
        .map_err(io_at(parent))?;
    let (mut count, mut bytes) = (0, 0);
    read_tar(stream, |path, executable, content| {
        let host = partial.path().join(path.as_str());
        if let Some(folder) = host.parent() {
            fs::create_dir_all(folder)?;
        }
        let mode = if executable { 0o755 } else { 0o644 };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&host)?;
        bytes += io::copy(content, &mut file)?;
        count += 1;
        file.sync_all()
    })
    .map_err(|error| UserFilesError::Stream(error.to_string()))?;
    let made = partial.keep();
    fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).map_err(io_at(&made))?;
    // CRASH: before the rename a folder `.custody-partial-…` is left, never a part of the target.
    fs::rename(&made, target).map_err(|error| {
        let _best_effort = fs::remove_dir_all(&made);
        io_at(target)(error)
    })?;
    Ok((count, bytes))
}

/// Writes one new file with `content`, complete or not at all.
///
/// # Errors
/// [`UserFilesError`] when the folder cannot be written to.
pub fn write_file(target: &Path, content: &[u8]) -> Result<(), UserFilesError> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(io_at(parent))?;
    file.write_all(content).map_err(io_at(target))?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))
        .map_err(io_at(target))?;
    file.as_file().sync_all().map_err(io_at(target))?;
    file.persist(target)
        .map_err(|error| io_at(target)(error.error))?;
    Ok(())
}

/// Reads a small text file.
///
/// # Errors
/// [`UserFilesError`] when it is missing, larger than `limit` bytes, or not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, UserFilesError> {
    String::from_utf8(read_bytes(path, limit)?)
        .map_err(|error| io_at(path)(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Reads a small file.
///
/// # Errors
/// [`UserFilesError`] when it is missing, or larger than `limit` bytes.
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, UserFilesError> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(io_at(path))?;
    if bytes.len() as u64 > limit {
        let error = io::Error::other(format!("it is larger than {limit} bytes"));
        return Err(io_at(path)(error));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("in/sub")).unwrap();
        fs::write(folder.path().join("in/a.txt"), "alpha").unwrap();
        fs::write(folder.path().join("in/sub/run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(
            folder.path().join("in/sub/run"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        folder
    }

    #[test]
    fn a_folder_goes_through_a_stream_and_comes_back_the_same() {
        let folder = tree();
        let files = find(&[folder.path().join("in")]).unwrap();
        assert_eq!(
            files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
            ["a.txt", "sub/run"]
        );
        let mut stream = Vec::new();
        write_tar(&files, &[], &mut stream).unwrap();
        let target = folder.path().join("out");
        assert_eq!(write_folder(stream.as_slice(), &target).unwrap(), (2, 15));
        assert_eq!(fs::read_to_string(target.join("a.txt")).unwrap(), "alpha");
        assert!(open(&target.join("sub/run")).unwrap().1);
        assert!(matches!(
            write_folder(stream.as_slice(), &target),
            Err(UserFilesError::Exists(_))
        ));
    }

    #[test]
    fn links_pipes_and_double_names_are_refused() {
        let folder = tree();
        let a = folder.path().join("in/a.txt");
        assert!(matches!(
            find(&[a.clone(), a.clone()]),
            Err(UserFilesError::Twice(_))
        ));
        assert!(matches!(
            find(&[folder.path().join("none")]),
            Err(UserFilesError::Missing(_))
        ));
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("in/link")).unwrap();
        assert!(matches!(
            find(&[folder.path().join("in")]),
            Err(UserFilesError::Special(_))
        ));
    }

    #[test]
    fn a_hostile_stream_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hostile = |kind, name: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
            header.set_cksum();
            let mut bytes = header.as_bytes().to_vec();
            bytes.resize(2048, 0);
            bytes
        };
        for stream in [
            hostile(tar::EntryType::Regular, b"../escape"),
            hostile(tar::EntryType::Regular, b"/absolute"),
            hostile(tar::EntryType::Symlink, b"link"),
            hostile(tar::EntryType::Fifo, b"pipe"),
            b"no tar at all".repeat(100),
        ] {
            let target = folder.path().join("out");
            assert!(write_folder(stream.as_slice(), &target).is_err());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_broken_stream_leaves_no_folder() {
        let folder = tree();
        let mut stream = Vec::new();
        write_tar(
            &find(&[folder.path().join("in")]).unwrap(),
            &[],
            &mut stream,
        )
        .unwrap();
        stream.truncate(700);
        let target = folder.path().join("out");
        assert!(write_folder(stream.as_slice(), &target).is_err());
        assert!(!target.exists());
    }
}
