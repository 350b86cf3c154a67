//! Which files a model has: on disk, or known to a store.
//!
//! INVARIANT: the paths of a [`Tree`] are relative, in their shortest form, UTF-8, and stay different on
//! file systems that fold case or normalise Unicode. Symbolic links, devices and pipes are refused.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use custody_attest::oms::manifest::MAX_RESOURCES;
use custody_attest::oms::{DEFAULT_IGNORED, is_within};
use custody_types::{Digest, FileEntry, FilePath, VersionFiles};
use custody_types::{steers, visible_line};
use rustix::fs::{Mode, OFlags, openat};
use unicode_normalization::UnicodeNormalization as _;

/// How deep folders may lie in each other.
pub const MAX_DEPTH: usize = 100;

/// Why the files of a model cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The system refused.
    #[error("`{path}` cannot be read")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A symbolic link: what it points to may change without the signature noticing.
    #[error("`{0}` is a symbolic link; replace it by what it points to")]
    Link(String),
    /// Neither a file nor a folder.
    #[error("`{0}` is neither a file nor a folder")]
    Special(String),
    /// The name is not text.
    #[error("the name of `{0}` is not UTF-8; a signature cannot hold it")]
    Name(String),
    /// The name has characters that messages cannot show.
    #[error("the name of `{0}` has hidden characters; a signature does not hold such names")]
    Hidden(String),
    /// The signature would be written over the model.
    #[error("`{0}` is the model itself, not a place for its signature")]
    Signature(String),
    /// Two names are one on other systems.
    #[error("`{0}` and `{1}` are the same name on systems that fold case or normalise Unicode")]
    Collision(String, String),
    /// More than a signature can name.
    #[error(
        "there are more than {MAX_RESOURCES} files or shards, or folders more than {MAX_DEPTH} deep"
    )]
    TooMany,
    /// Nothing is there to sign.
    #[error("there is no file to sign in `{0}`")]
    Empty(String),
    /// The file was changed meanwhile.
    #[error("`{0}` changed while it was read")]
    Changed(String),
}

impl TreeError {
    pub(crate) fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io {
            path: visible_line(&path.as_ref().display().to_string()),
            source,
        }
    }
}

/// A model to sign or to verify.
#[derive(Debug, Clone, Copy)]
pub enum Model<'a> {
    /// A file or folder on disk.
    Path(&'a Path),
    /// Files of a store, whose SHA-256 are known: where that is what was signed, they are not read again.
    Stored {
        /// The name of the model.
        name: &'a str,
        /// Its files.
        files: &'a [FileEntry],
        /// Where they can be read; without it, only what the SHA-256 tell can be signed or verified.
        content: Option<&'a dyn VersionFiles>,
    },
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// The path within the model.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// The digest, where it is known.
    pub sha256: Option<Digest>,
}

/// The files of a model.
#[derive(Debug, Clone)]
pub struct Tree<'a> {
    /// The name of the model: that of the file or folder.
    pub name: String,
    /// The files, in the order of their paths.
    pub files: Vec<ModelFile>,
    /// Files and folders at the top that are never signed, of those that are there.
    pub left_out: Vec<String>,
    /// Whether the model is one file, not a folder.
    pub single: bool,
    source: Source<'a>,
}

#[derive(Debug, Clone)]
enum Source<'a> {
    Disk(PathBuf),
    Stored(&'a dyn VersionFiles),
    Nowhere,
}

impl<'a> Model<'a> {
    /// Returns the path of the signature file within the model, if it lies there. Of a stored model, that
    /// is what is given.
    ///
    /// # Errors
    /// [`TreeError::Io`] when the folder of one of the two is not there; [`TreeError::Signature`] when both
    /// are one.
    pub fn signature_path(&self, signature: &Path) -> Result<Option<String>, TreeError> {
        let Model::Path(root) = self else {
            let inside = signature.to_str().filter(|path| !path.is_empty());
            return Ok(inside.map(ToOwned::to_owned));
        };
        let root = fs::canonicalize(root).map_err(|error| TreeError::io(root, error))?;
        let folder = match signature.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = fs::canonicalize(folder).map_err(|error| TreeError::io(folder, error))?;
        let Some(name) = signature.file_name() else {
            return Ok(None);
        };
        let path = folder.join(name);
        let Ok(inside) = path.strip_prefix(&root) else {
            return Ok(None);
        };
        match inside.to_str() {
            Some("") => Err(TreeError::Signature(visible_line(
                &path.display().to_string(),
            ))),
            Some(inside) => Ok(Some(inside.to_owned())),
            None => Err(TreeError::Name(visible_line(&inside.display().to_string()))),
        }
    }

    /// Lists the files; what lies in `ignored` is left out.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn tree(&self, ignored: &[String]) -> Result<Tree<'a>, TreeError> {
        let mut tree = match self {
            Self::Path(path) => on_disk(path, ignored)?,
            Self::Stored {
                name,
                files,
                content,
            } => Tree {
                source: content.map_or(Source::Nowhere, Source::Stored),
                ..stored(name, files, ignored)
            },
        };
        if tree.files.len() > MAX_RESOURCES {
            return Err(TreeError::TooMany);
        }
        let hidden = |file: &&ModelFile| file.path.chars().any(steers);
        if let Some(file) = tree.files.iter().find(hidden) {
            return Err(TreeError::Hidden(visible_line(&file.path)));
        }
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        check_collisions(&tree.files)?;
        Ok(tree)
    }
}

/// Returns what a signer leaves out: the default, and the signature itself.
pub fn default_ignored(signature: Option<String>) -> Vec<String> {
    let mut ignored: Vec<_> = DEFAULT_IGNORED.map(ToOwned::to_owned).to_vec();
    ignored.extend(signature);
    ignored.sort();
    ignored.dedup();
    ignored
}

fn stored(name: &str, files: &[FileEntry], ignored: &[String]) -> Tree<'static> {
    let single = match files {
        [only] => !only.path.as_str().contains('/'),
        _ => false,
    };
    let mut tree = Tree {
        name: name.to_owned(),
        files: Vec::new(),
        left_out: Vec::new(),
        single,
        source: Source::Nowhere,
    };
    for file in files {
        let path = file.path.to_string();
        if let Some(rule) = ignored.iter().find(|rule| is_within(&path, rule)) {
            tree.left_out.push(rule.clone());
        } else {
            tree.files.push(ModelFile {
                path,
                size: file.size.bytes(),
                sha256: Some(file.sha256),
            });
        }
    }
    tree.left_out.sort();
    tree.left_out.dedup();
    tree
}

fn on_disk(path: &Path, ignored: &[String]) -> Result<Tree<'static>, TreeError> {
    let found = fs::symlink_metadata(path).map_err(|error| TreeError::io(path, error))?;
    let kind = found.file_type();
    let resolved = fs::canonicalize(path).map_err(|error| TreeError::io(path, error))?;
    let name = resolved
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| TreeError::Name(visible_line(&path.display().to_string())))?
        .to_owned();
    if kind.is_symlink() {
        return Err(TreeError::Link(visible_line(&path.display().to_string())));
    }
    if kind.is_file() {
        let folder = resolved.parent().map(Path::to_path_buf);
        let file = ModelFile {
            path: name.clone(),
            size: found.len(),
            sha256: None,
        };
        return Ok(Tree {
            name,
            files: vec![file],
            left_out: Vec::new(),
            single: true,
            source: folder.map_or(Source::Nowhere, Source::Disk),
        });
    }
    let mut tree = Tree {
        name,
        files: Vec::new(),
        left_out: Vec::new(),
        single: false,
        source: Source::Disk(resolved.clone()),
    };
    walk(&resolved, ignored, &mut tree)?;
    Ok(tree)
}

fn walk(root: &Path, ignored: &[String], tree: &mut Tree<'_>) -> Result<(), TreeError> {
    let mut folders = vec![(root.to_path_buf(), String::new(), 0_usize)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        if depth > MAX_DEPTH {
            return Err(TreeError::TooMany);
        }
        let entries = fs::read_dir(&folder).map_err(|error| TreeError::io(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| TreeError::io(&folder, error))?;
            if tree.files.len().max(folders.len()) > MAX_RESOURCES {
                return Err(TreeError::TooMany);
            }
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                TreeError::Name(visible_line(&entry.path().display().to_string()))
            })?;
            let path = format!("{prefix}{name}");
            if ignored.contains(&path) {
                tree.left_out.push(path);
                continue;
            }
            // Of the entry itself: a link is not followed.
            let found = entry
                .metadata()
                .map_err(|error| TreeError::io(entry.path(), error))?;
            let kind = found.file_type();
            if kind.is_symlink() {
                return Err(TreeError::Link(visible_line(&path)));
            } else if kind.is_dir() {
                folders.push((entry.path(), format!("{path}/"), depth.saturating_add(1)));
            } else if kind.is_file() {
                tree.files.push(ModelFile {
                    path,
                    size: found.len(),
                    sha256: None,
                });
            } else {
                return Err(TreeError::Special(visible_line(&path)));
            }
        }
    }
    tree.left_out.sort();
    Ok(())
}

/// Refuses files or folders whose names become one when case is folded or Unicode normalised (NFC).
fn check_collisions(files: &[ModelFile]) -> Result<(), TreeError> {
    let mut names: HashMap<String, &str> = HashMap::new();
    let mut last_folder = None;
    for file in files {
        let path = file.path.as_str();
        let folder = path.rsplit_once('/').map(|(folder, _)| folder);
        let mut prefixes = vec![path];
        if folder != last_folder {
            last_folder = folder;
            let mut rest = folder;
            while let Some(prefix) = rest {
                prefixes.push(prefix);
                rest = prefix.rsplit_once('/').map(|(folder, _)| folder);
            }
        }
        for prefix in prefixes {
            if let Some(other) = names.insert(fold(prefix), prefix)
                && other != prefix
            {
                return Err(TreeError::Collision(other.to_owned(), prefix.to_owned()));
            }
        }
    }
    Ok(())
}

/// Returns the form in which a name would collide: letters that share an upper case are one.
fn fold(name: &str) -> String {
    let upper = name.nfc().collect::<String>().to_uppercase();
    upper.to_lowercase().nfc().collect()
}

impl Tree<'_> {
    /// Returns the files by their paths.
    pub fn by_path(&self) -> BTreeMap<&str, &ModelFile> {
        self.files
            .iter()
            .map(|file| (file.path.as_str(), file))
            .collect()
    }

    /// Opens a file at the byte `start`. `None` when its bytes cannot be had.
    pub(crate) fn open(
        &self,
        file: &ModelFile,
        start: u64,
    ) -> Result<Option<Opened<'_>>, TreeError> {
        let io = |error: io::Error| TreeError::io(&file.path, error);
        match &self.source {
            Source::Disk(root) => {
                let mut found = open_on_disk(root, file)?;
                found.seek(SeekFrom::Start(start)).map_err(io)?;
                Ok(Some(Opened::Disk(found)))
            }
            Source::Stored(files) => {
                let path = file.path.parse().map_err(io::Error::other).map_err(io)?;
                Ok(Some(Opened::Stored(StoredFile {
                    files: *files,
                    path,
                    at: start,
                    end: file.size,
                })))
            }
            Source::Nowhere => Ok(None),
        }
    }
}

/// Opens a file without following a link anywhere below the model, and checks that it has still the listed
/// size.
fn open_on_disk(root: &Path, file: &ModelFile) -> Result<File, TreeError> {
    let io = |error: io::Error| TreeError::io(&file.path, error);
    let mut at = File::open(root).map_err(io)?;
    let mut parts = file.path.split('/').peekable();
    while let Some(part) = parts.next() {
        let mut flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        if parts.peek().is_some() {
            flags |= OFlags::DIRECTORY;
        }
        at = openat(&at, part, flags, Mode::empty())
            .map(File::from)
            .map_err(|error| io(error.into()))?;
    }
    let found = at.metadata().map_err(io)?;
    if found.is_file() && found.len() == file.size {
        Ok(at)
    } else {
        Err(TreeError::Changed(file.path.clone()))
    }
}

/// The bytes of a file, from some place on.
pub(crate) enum Opened<'a> {
    Disk(File),
    Stored(StoredFile<'a>),
}

impl Opened<'_> {
    /// Returns how long the whole file is now.
    pub(crate) fn length(&self) -> io::Result<u64> {
        match self {
            Self::Disk(file) => Ok(file.metadata()?.len()),
            Self::Stored(file) => Ok(file.end),
        }
    }
}

impl Read for Opened<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Disk(file) => file.read(buffer),
            Self::Stored(file) => file.read(buffer),
        }
    }
}

/// Reads a file of a store in order.
pub(crate) struct StoredFile<'a> {
    files: &'a dyn VersionFiles,
    path: FilePath,
    at: u64,
    end: u64,
}

impl Read for StoredFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let until = self.end.min(self.at.saturating_add(room));
        let bytes = self
            .files
            .read(&self.path, self.at..until)
            .map_err(io::Error::other)?;
        let part = buffer
            .get_mut(..bytes.len())
            .ok_or(io::ErrorKind::InvalidData)?;
        part.copy_from_slice(&bytes);
        self.at = until;
        Ok(bytes.len())
    }
}
