//! The user's own files and folders: read for adding, written on taking out.
//!
//! A tree travels as a tar stream of regular files. Reading takes nothing but regular files. What a project names is
//! opened beneath the project's folder, and follows the links that stay inside; what somebody names elsewhere is
//! opened beneath the folder that they named, and follows no link. Writing makes a new folder, complete or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use custody_types::{FilePath, is_no_room};
use custody_wire::archive::read_tar;

use crate::beneath::{Beneath, Links, Standing};
use crate::partial::{Partial, whole};

/// How much of a file is read in one piece.
const READ: usize = 1 << 20;
/// How much of a file is written in one piece: what stays near the processor between two copies.
const WRITE: usize = 128 << 10;
/// What members of a tar stream are filled up to.
const TAR_BLOCK: usize = 512;

/// Why the user's files could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum UserFilesError {
    /// Nothing is there.
    #[error("there is no file or folder `{0}`")]
    Missing(PathBuf),
    /// It is neither a regular file nor a folder.
    #[error("`{0}` is neither a regular file nor a folder")]
    Special(PathBuf),
    /// It is a symbolic link, where none is followed.
    #[error("`{0}` is a symbolic link, or leads through one")]
    Link(PathBuf),
    /// A link leads out of the folder in which files are looked for.
    #[error("`{path}` leads out of `{folder}`{}", to.as_ref().map(|to| format!(", to `{}`", to.display())).unwrap_or_default())]
    Outside {
        /// The file that was named.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
        /// Where it leads, if that could be seen.
        to: Option<PathBuf>,
    },
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
    /// The disk is full.
    #[error("there is no room left for `{0}`")]
    NoRoom(PathBuf),
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
        _ if is_no_room(&error) => UserFilesError::NoRoom(path.to_owned()),
        _ => UserFilesError::Io {
            path: path.to_owned(),
            error,
        },
    }
}

/// A file on the user's disk and the path that it will have in a version.
#[derive(Debug, Clone)]
pub struct UserFile {
    /// Its path in the version.
    pub path: FilePath,
    within: Arc<Beneath>,
    below: PathBuf,
}

impl UserFile {
    /// Returns where it stands.
    pub fn host(&self) -> PathBuf {
        self.within.path().join(&self.below)
    }

    /// Opens it, and tells whether it may be executed. Nothing outside of the folder in which it was found is ever
    /// opened, whatever was put in its place meanwhile.
    ///
    /// # Errors
    /// [`UserFilesError`] when it is missing, no regular file any more, or may not be read.
    pub fn open(&self) -> Result<(File, bool), UserFilesError> {
        self.within.file(&self.below)
    }

    /// Reads it as a small text.
    ///
    /// # Errors
    /// [`UserFilesError`] when it is missing, larger than `limit` bytes, or not UTF-8.
    pub fn text(&self, limit: u64) -> Result<String, UserFilesError> {
        let host = self.host();
        let bytes = read_small(self.open()?.0, &host, limit)?;
        text_of(bytes, &host)
    }
}

/// Finds the files of `paths`: a file has its own name in the version, of a folder the content is
/// taken with its paths below the folder. No link is followed, but those in the folders above what is named.
///
/// # Errors
/// [`UserFilesError`] for what is missing, a link, special, unnameable or named twice.
pub fn find(paths: &[PathBuf]) -> Result<Vec<UserFile>, UserFilesError> {
    let mut found = Vec::new();
    for path in paths {
        find_named(path, &mut found)?;
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

/// Finds what somebody named by its whole path.
fn find_named(path: &Path, found: &mut Vec<UserFile>) -> Result<(), UserFilesError> {
    // `.`, `..` and `/` are folders without a name of their own.
    let Some(name) = path.file_name() else {
        let within = Arc::new(Beneath::open(path, Links::Refused)?);
        return find_below(&within, Path::new(""), "", found);
    };
    let above = path.parent().unwrap_or_else(|| Path::new(""));
    let within = Arc::new(
        Beneath::open(above, Links::Refused).map_err(|error| match error {
            UserFilesError::Missing(_) => UserFilesError::Missing(path.to_owned()),
            error => error,
        })?,
    );
    find_in(&within, Path::new(name), found)
}

/// Finds a file, or what is in a folder.
fn find_in(
    within: &Arc<Beneath>,
    below: &Path,
    found: &mut Vec<UserFile>,
) -> Result<(), UserFilesError> {
    let host = within.path().join(below);
    match within.behind(below)? {
        Standing::Folder => find_below(within, below, "", found),
        Standing::File => {
            found.push(UserFile {
                path: version_path(&host, "", below.file_name().unwrap_or_default())?,
                within: Arc::clone(within),
                below: below.to_owned(),
            });
            Ok(())
        }
        Standing::Link => Err(UserFilesError::Link(host)),
        Standing::Special => Err(UserFilesError::Special(host)),
    }
}

/// Finds the files of a source: of a file its name, of a folder its content, of a pattern (`data/*.csv`,
/// `data/**/*.csv`) what fits, with paths below the last folder without a sign of the pattern. `what` is taken from
/// `root`; it stays below it, unless it says itself that it does not, by `..` or a whole path. A file or folder that
/// bears the signs of a pattern in its name is found too.
///
/// # Errors
/// [`UserFilesError`] for what is missing, special or unnameable, and for links out of `root`.
pub fn find_source(root: &Path, what: &str) -> Result<Vec<UserFile>, UserFilesError> {
    const SIGNS: [char; 3] = ['*', '?', '['];
    let whole = root.join(what);
    let inside = Path::new(what)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let within = inside
        .then(|| Beneath::open(root, Links::Inside).map(Arc::new))
        .transpose()?;
    if !what.contains(SIGNS) || whole.symlink_metadata().is_ok() {
        let Some(within) = within else {
            return find(&[whole]);
        };
        let mut found = Vec::new();
        find_in(&within, Path::new(what), &mut found)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        return Ok(found);
    }
    let mut above = PathBuf::new();
    for part in Path::new(what) {
        if part.to_string_lossy().contains(SIGNS) {
            break;
        }
        above.push(part);
    }
    let pattern = what.get(above.as_os_str().len()..).unwrap_or(what);
    let base = root.join(&above);
    let mut found = Vec::new();
    let hosts = matches(&base, pattern).map_err(|error| match error {
        UserFilesError::Name { because, .. } => UserFilesError::Name {
            path: PathBuf::from(what),
            because,
        },
        error => error,
    })?;
    let within = match within {
        Some(within) => within,
        None if hosts.is_empty() => return Err(UserFilesError::Missing(whole)),
        None => Arc::new(Beneath::open(&base, Links::Refused)?),
    };
    for host in hosts {
        let inner = host.strip_prefix(&base).unwrap_or(&host);
        let below = if inside {
            above.join(inner)
        } else {
            inner.to_owned()
        };
        match within.behind(&below)? {
            Standing::Folder => {}
            // What fits a pattern is not named one by one, so that links are not taken for what they lead to.
            Standing::File if host.is_symlink() => return Err(UserFilesError::Link(host)),
            Standing::File => found.push(UserFile {
                path: version_path(&host, "", inner.as_os_str())?,
                within: Arc::clone(&within),
                below,
            }),
            Standing::Link => return Err(UserFilesError::Link(host)),
            Standing::Special => return Err(UserFilesError::Special(host)),
        }
    }
    if found.is_empty() {
        return Err(UserFilesError::Missing(whole));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Lists what below `base` fits `pattern`.
fn matches(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, UserFilesError> {
    let bad = |because: String| UserFilesError::Name {
        path: base.to_owned(),
        because,
    };
    let text = base
        .to_str()
        .ok_or_else(|| bad("it is not UTF-8".to_owned()))?;
    let full = format!(
        "{}/{}",
        glob::Pattern::escape(text.trim_end_matches('/')),
        pattern.trim_start_matches('/')
    );
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(&full, options).map_err(|error| bad(error.msg.to_owned()))?;
    let found = found.map(|host| {
        host.map_err(|error| UserFilesError::Io {
            path: error.path().to_owned(),
            error: error.into(),
        })
    });
    found.collect()
}

fn find_below(
    within: &Arc<Beneath>,
    folder: &Path,
    prefix: &str,
    found: &mut Vec<UserFile>,
) -> Result<(), UserFilesError> {
    for (name, standing) in within.list(folder)? {
        let below = folder.join(&name);
        let host = within.path().join(&below);
        let path = version_path(&host, prefix, &name)?;
        match standing {
            // A workspace is no content: its packs and wrapped keys stay where they are.
            Standing::Folder if name == crate::workspace::FOLDER => {}
            Standing::Folder => find_below(within, &below, &format!("{path}/"), found)?,
            Standing::File => found.push(UserFile {
                path,
                within: Arc::clone(within),
                below,
            }),
            Standing::Link => return Err(UserFilesError::Link(host)),
            Standing::Special => return Err(UserFilesError::Special(host)),
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

/// Opens a file to which lines are added at its end, for its owner alone where it is made.
///
/// # Errors
/// [`UserFilesError`] when it cannot be made or written.
pub fn open_log(path: &Path) -> Result<File, UserFilesError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(io_at(path))
}

/// Takes a stream in pieces.
pub trait Pieces: Write {
    /// Takes over a large piece without copying it.
    ///
    /// # Errors
    /// When nobody takes the stream.
    fn give(&mut self, piece: Vec<u8>) -> io::Result<()>;
}

/// Writes `files` as a tar stream; `about`: extended attributes of the first of them.
///
/// # Errors
/// When a file cannot be read, changes its length meanwhile, or nobody takes the stream.
pub fn write_tar(
    files: &[UserFile],
    about: &[(&str, &[u8])],
    out: &mut dyn Pieces,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    if !about.is_empty() {
        archive.append_pax_extensions(about.iter().copied())?;
    }
    for file in files {
        append_file(&mut archive, &file.path, file.open())?;
    }
    archive.finish()
}

/// Appends a file of the disk to a tar stream: what was opened, and whether it may be executed.
///
/// # Errors
/// When it could not be opened, cannot be read, changes its length meanwhile, or nobody takes the stream.
pub fn append_file(
    archive: &mut tar::Builder<&mut dyn Pieces>,
    path: &FilePath,
    opened: Result<(File, bool), UserFilesError>,
) -> io::Result<()> {
    let (content, executable) = opened.map_err(io::Error::other)?;
    let size = content.metadata()?.len();
    append(archive, path, size, executable, &mut |out| {
        if send(&content, size, out)? < size {
            return Err(shorter(path));
        }
        Ok(())
    })
}

/// Appends the `size` bytes of a reader to a tar stream as a file.
///
/// # Errors
/// When there are fewer bytes, they cannot be read, or nobody takes the stream.
pub fn append_reader(
    archive: &mut tar::Builder<&mut dyn Pieces>,
    path: &FilePath,
    content: &mut dyn Read,
    size: u64,
    executable: bool,
) -> io::Result<()> {
    append(archive, path, size, executable, &mut |out| {
        let mut piece = vec![0; WRITE];
        if copy(&mut content.take(size), out, &mut piece)? < size {
            return Err(shorter(path));
        }
        Ok(())
    })
}

fn shorter(path: &FilePath) -> io::Error {
    io::Error::other(format!("`{path}` became shorter while it was read"))
}

/// Appends bytes to a tar stream as a file.
///
/// # Errors
/// When nobody takes the stream.
pub fn append_bytes(
    archive: &mut tar::Builder<&mut dyn Pieces>,
    path: &FilePath,
    bytes: &[u8],
) -> io::Result<()> {
    append(archive, path, bytes.len() as u64, false, &mut |out| {
        out.write_all(bytes)
    })
}

/// Appends a file whose `size` bytes `content` writes.
fn append(
    archive: &mut tar::Builder<&mut dyn Pieces>,
    path: &FilePath,
    size: u64,
    executable: bool,
    content: &mut dyn FnMut(&mut dyn Pieces) -> io::Result<()>,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_entry_type(tar::EntryType::Regular);
    // The library writes the header; it would copy the content in pieces of 8 KiB.
    archive.append_data(&mut header, path.as_str(), io::empty())?;
    let out = archive.get_mut();
    content(*out)?;
    let padding = usize::try_from(size.next_multiple_of(TAR_BLOCK as u64) - size).unwrap_or(0);
    out.write_all([0; TAR_BLOCK].get(..padding).unwrap_or_default())
}

/// Sends the first `size` bytes of a file, and returns how many there were.
fn send(content: &File, size: u64, out: &mut dyn Pieces) -> io::Result<u64> {
    let mut left = size;
    while left > 0 {
        let whole = usize::try_from(left).map_or(READ, |left| left.min(READ));
        let mut piece = Vec::with_capacity(whole);
        while piece.len() < whole {
            match rustix::io::read(content, rustix::buffer::spare_capacity(&mut piece)) {
                Ok(0) => break,
                Err(rustix::io::Errno::INTR) | Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // A file that grows meanwhile is taken as it was found.
        piece.truncate(whole);
        let count = piece.len();
        if count == READ {
            out.give(piece)?;
        } else {
            out.write_all(&piece)?;
        }
        left -= count as u64;
        if count < whole {
            break;
        }
    }
    Ok(size - left)
}

/// Copies all of `from` and returns how many bytes there were.
fn copy(from: &mut dyn Read, to: &mut dyn Write, piece: &mut [u8]) -> io::Result<u64> {
    let mut copied = 0;
    loop {
        let count = match from.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(copied);
        };
        to.write_all(bytes)?;
        copied += bytes.len() as u64;
    }
}

/// Writes a tar stream into the new folder `target`, which appears only when all of it is there; before, nobody else
/// can enter it. What a killed program left of such a folder beside `target` is removed.
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
    let partial = Partial::new(parent).map_err(io_at(parent))?;
    let (mut count, mut bytes) = (0, 0);
    let mut piece = vec![0; WRITE];
    read_tar(stream, |member| {
        let mode = if member.executable { 0o755 } else { 0o644 };
        let (mut file, later) = partial.file(Path::new(member.path.as_str()), mode)?;
        bytes += copy(member.content, &mut file, &mut piece)?;
        count += 1;
        whole(&file, later)
    })
    .map_err(|error| {
        if is_no_room(&error) {
            UserFilesError::NoRoom(target.to_owned())
        } else {
            UserFilesError::Stream(error.to_string())
        }
    })?;
    partial.finish(target).map_err(io_at(target))?;
    Ok((count, bytes))
}

/// Writes a file beside `target`, durable, that its owner alone may read, or everybody.
fn beside(
    target: &Path,
    content: &[u8],
    private: bool,
) -> Result<tempfile::NamedTempFile, UserFilesError> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // It is its owner's alone from the beginning.
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(io_at(parent))?;
    file.write_all(content).map_err(io_at(target))?;
    if !private {
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))
            .map_err(io_at(target))?;
    }
    file.as_file().sync_all().map_err(io_at(target))?;
    Ok(file)
}

fn replaces(file: tempfile::NamedTempFile, target: &Path) -> Result<(), UserFilesError> {
    let put = file.persist(target).map(drop);
    put.map_err(|error| io_at(target)(error.error))
}

// CRASH: before this nothing is there but a file with a name of its own; after it the file is whole.
fn is_new(file: tempfile::NamedTempFile, target: &Path) -> Result<(), UserFilesError> {
    let put = file.persist_noclobber(target).map(drop);
    put.map_err(|error| io_at(target)(error.error))
}

/// Writes one new file with `content`, complete or not at all.
///
/// # Errors
/// [`UserFilesError`] when the folder cannot be written to.
pub fn write_file(target: &Path, content: &[u8]) -> Result<(), UserFilesError> {
    replaces(beside(target, content, false)?, target)
}

/// Writes one file where there is none, complete or not at all.
///
/// # Errors
/// [`UserFilesError`] when there is something of that name, or the folder cannot be written to.
pub fn write_new_file(target: &Path, content: &[u8]) -> Result<(), UserFilesError> {
    is_new(beside(target, content, false)?, target)
}

/// Writes one file that its owner alone may read, complete or not at all.
///
/// # Errors
/// [`UserFilesError`] when the folder cannot be written to.
pub fn write_private_file(target: &Path, content: &[u8]) -> Result<(), UserFilesError> {
    replaces(beside(target, content, true)?, target)
}

/// Writes one file where there is none, which its owner alone may read, complete or not at all.
///
/// # Errors
/// [`UserFilesError`] when there is something of that name, or the folder cannot be written to.
pub fn write_new_private_file(target: &Path, content: &[u8]) -> Result<(), UserFilesError> {
    is_new(beside(target, content, true)?, target)
}

/// Tells when a file was changed last, if it is there.
pub fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}

/// Removes one file.
///
/// # Errors
/// [`UserFilesError`] when it is not there, or cannot be removed.
#[expect(
    clippy::disallowed_methods,
    reason = "this module is the adapter to the user's files"
)]
pub fn remove_file(path: &Path) -> Result<(), UserFilesError> {
    fs::remove_file(path).map_err(io_at(path))
}

/// Makes a folder, and those above it, where it is not there.
///
/// # Errors
/// [`UserFilesError`] when it cannot be made.
pub fn make_folder(folder: &Path) -> Result<(), UserFilesError> {
    fs::create_dir_all(folder).map_err(io_at(folder))
}

/// Reads a small text file.
///
/// # Errors
/// [`UserFilesError`] when it is missing, larger than `limit` bytes, or not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, UserFilesError> {
    text_of(read_bytes(path, limit)?, path)
}

/// Reads a small file.
///
/// # Errors
/// [`UserFilesError`] when it is missing, or larger than `limit` bytes.
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, UserFilesError> {
    read_small(open(path)?.0, path, limit)
}

pub(crate) fn text_of(bytes: Vec<u8>, path: &Path) -> Result<String, UserFilesError> {
    String::from_utf8(bytes)
        .map_err(|error| io_at(path)(io::Error::new(io::ErrorKind::InvalidData, error)))
}

pub(crate) fn read_small(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, UserFilesError> {
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
#[allow(clippy::disallowed_methods, reason = "a test writes the user's files")]
mod tests {
    use super::*;

    impl Pieces for Vec<u8> {
        fn give(&mut self, piece: Vec<u8>) -> io::Result<()> {
            self.extend(piece);
            Ok(())
        }
    }

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
    fn files_of_any_length_come_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let lengths = [
            0,
            1,
            511,
            512,
            513,
            READ - 1,
            READ,
            READ + 1,
            3 * READ,
            3 * READ + 700,
        ];
        for length in lengths {
            let bytes: Vec<u8> = (0..length)
                .map(|number| u8::try_from((number * 7 + length) % 251).unwrap())
                .collect();
            fs::write(folder.path().join("in").join(length.to_string()), bytes).unwrap();
        }
        let mut stream = Vec::new();
        let files = find(&[folder.path().join("in")]).unwrap();
        write_tar(&files, &[], &mut stream).unwrap();
        let target = folder.path().join("out");
        let (count, bytes) = write_folder(stream.as_slice(), &target).unwrap();
        assert_eq!(count, lengths.len() as u64);
        assert_eq!(bytes, lengths.iter().sum::<usize>() as u64);
        for file in files {
            let back = fs::read(target.join(file.path.as_str())).unwrap();
            assert!(back == fs::read(file.host()).unwrap(), "{}", file.path);
        }
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
        for path in ["in", "in/link", "in/link/"] {
            assert!(
                matches!(
                    find(&[folder.path().join(path)]),
                    Err(UserFilesError::Link(_))
                ),
                "{path}"
            );
        }
        fs::remove_file(folder.path().join("in/link")).unwrap();
        std::os::unix::net::UnixListener::bind(folder.path().join("in/socket")).unwrap();
        for path in ["in", "in/socket"] {
            assert!(matches!(
                find(&[folder.path().join(path)]),
                Err(UserFilesError::Special(_))
            ));
        }
    }

    #[test]
    fn what_was_found_is_not_exchanged_for_something_outside() {
        let folder = tree();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let swap = |path: &str| {
            let host = folder.path().join(path);
            fs::rename(&host, folder.path().join("away")).unwrap();
            std::os::unix::fs::symlink(folder.path().join("secret"), &host).unwrap();
        };
        let named = find(&[folder.path().join("in/a.txt")]).unwrap();
        let below = find(&[folder.path().join("in")]).unwrap();
        let source = find_source(&folder.path().join("in"), "*.txt").unwrap();
        swap("in/a.txt");
        assert!(matches!(named[0].open(), Err(UserFilesError::Link(_))));
        assert!(matches!(below[0].open(), Err(UserFilesError::Link(_))));
        assert!(matches!(
            source[0].open(),
            Err(UserFilesError::Outside { .. })
        ));
        let mut stream = Vec::new();
        assert!(write_tar(&below, &[], &mut stream).is_err());
        assert!(!stream.windows(6).any(|bytes| bytes == b"secret"));
    }

    #[test]
    fn a_source_leads_out_of_the_project_only_where_it_says_so() {
        let folder = tree();
        let project = folder.path().join("in");
        fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, project.join(name)).unwrap();
        };
        link("../secret.txt", "out.csv");
        link("out.csv", "twice.csv");
        link("..", "up");
        link("a.txt", "inside.csv");
        link("sub", "folder");
        for what in [
            "out.csv",
            "twice.csv",
            "up/secret.txt",
            "up",
            "up/*.txt",
            "*/secret.txt",
        ] {
            assert!(
                matches!(
                    find_source(&project, what),
                    Err(UserFilesError::Outside { .. })
                ),
                "{what}"
            );
        }
        let names = |what: &str| -> Vec<String> {
            let found = find_source(&project, what).unwrap();
            found.iter().map(|file| file.path.to_string()).collect()
        };
        assert_eq!(names("inside.csv"), ["inside.csv"]);
        assert_eq!(names("folder"), ["run"]);
        assert_eq!(names("folder/r*"), ["run"]);
        assert_eq!(names("../secret.txt"), ["secret.txt"]);
        link("/etc/passwd", "sub/passwd");
        assert!(matches!(
            find_source(&project, "../in/sub"),
            Err(UserFilesError::Link(_))
        ));
    }

    #[test]
    fn a_source_is_a_file_a_folder_or_a_pattern_from_anywhere() {
        let folder = tree();
        let root = folder.path().join("project");
        fs::create_dir(&root).unwrap();
        let place = |path: &str| fs::write(folder.path().join(path), "x").unwrap();
        place("in/b[1].txt");
        place("in/.hidden.txt");
        let inside = folder.path().join("in");
        let inside = inside.to_str().unwrap();
        let check = |what: &str, expected: &[&str]| {
            let found = find_source(&root, what).unwrap();
            let paths: Vec<_> = found.iter().map(|file| file.path.as_str()).collect();
            assert_eq!(paths, expected, "{what}");
        };
        check("../in/a.txt", &["a.txt"]);
        check("../in", &[".hidden.txt", "a.txt", "b[1].txt", "sub/run"]);
        check("../in/*.txt", &["a.txt", "b[1].txt"]);
        check("../in/b[1].txt", &["b[1].txt"]);
        check("../**/run", &["in/sub/run"]);
        check("../in/**/*", &["a.txt", "b[1].txt", "sub/run"]);
        check(&format!("{inside}/a.txt"), &["a.txt"]);
        check(&format!("{inside}/?.txt"), &["a.txt"]);
        for what in ["../in/*.csv", "none", "../none/*"] {
            assert!(
                matches!(find_source(&root, what), Err(UserFilesError::Missing(_))),
                "{what}"
            );
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("in/link.txt")).unwrap();
        assert!(matches!(
            find_source(&root, "../in/*.txt"),
            Err(UserFilesError::Link(_))
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
