//! Python environments: made once from a lock file, kept as a folder that steps see read-only.
//!
//! An environment is complete in itself: the interpreter, its standard library and the packages of
//! the lock file, compiled to byte code. The same lock file and interpreter give the same bytes: the
//! folder's listing digest is the identity of the environment's version.
//!
//! The folder is a cache outside the workspace; it holds public packages and no governed data. Beside
//! it stands an inventory with the digest of every file and what the file system said about it, so
//! that a folder that nobody touched is recognised without reading it again, and a touched one is
//! hashed anew. The inventory is sealed under a key of the workspace that installed it, and serves no
//! other one: what another workspace, or anybody else, says of the folder is not believed. Where
//! there is no key, every file is read again at each use.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the adapter to the interpreter and the package installer"
)]

mod install;
mod inventory;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use custody_crypto::Secret;
use custody_types::{ByteSize, Digest, FileEntry, FilePath, is_no_room, listing_digest};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use install::{compile, copy_interpreter, install_packages};
use inventory::{Inventory, Known, hash_file, list, same, take_inventory};

/// The version of the recipe below; a change of it makes other environments.
const RECIPE: u32 = 1;

/// How the names of unfinished environments begin.
const PARTIAL: &str = "partial-";

/// Why an environment could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// No interpreter of the wanted version was found.
    #[error("no Python {wanted} was found on the search path")]
    NoInterpreter {
        /// The version asked for, such as `3.11`.
        wanted: String,
    },
    /// The interpreter cannot install packages.
    #[error("`{python}` has no pip")]
    NoPip {
        /// The interpreter.
        python: PathBuf,
    },
    /// The installer refused.
    #[error("the packages could not be installed: {0}")]
    Install(String),
    /// A package has no file that could be installed as it is: only its source, which would have to be built.
    #[error(
        "`{package}` is there as a source distribution only, or built for other machines than {platform} with Python {python}"
    )]
    NoWheel {
        /// The package and its version.
        package: String,
        /// The platform: `linux-x86_64`.
        platform: String,
        /// The version of Python.
        python: String,
        /// The files that there are, at most a few.
        files: Vec<String>,
    },
    /// The disk is full.
    #[error("there is no room left for `{path}`")]
    NoRoom {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file of the folder is not what was installed.
    #[error("`{path}` of the environment was changed, added or removed since it was installed")]
    Changed {
        /// The file.
        path: PathBuf,
    },
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

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> EnvironmentError + '_ {
    |error| {
        let path = path.to_owned();
        if is_no_room(&error) {
            EnvironmentError::NoRoom { path }
        } else {
            EnvironmentError::Io { path, error }
        }
    }
}

/// An interpreter found on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// The program file itself, behind all links and wrappers.
    pub executable: PathBuf,
    /// The full version: `3.11.7`.
    pub version: String,
    /// The standard library.
    pub stdlib: PathBuf,
    /// The shared library of the interpreter, where it has one.
    pub library: Option<PathBuf>,
    /// The platform: `linux-x86_64`.
    pub platform: String,
}

const DESCRIBE: &str = r"
import json, os, sys, sysconfig
library = sysconfig.get_config_var('INSTSONAME') if sysconfig.get_config_var('Py_ENABLE_SHARED') else None
folders = [sysconfig.get_config_var('LIBDIR') or '', sysconfig.get_config_var('LIBPL') or '']
multiarch = sysconfig.get_config_var('MULTIARCH') or ''
folders += [os.path.join(folders[0], multiarch), '/usr/lib/' + multiarch]
paths = [os.path.join(f, library) for f in folders] if library else []
print(json.dumps({
    'executable': os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable),
    'version': '.'.join(map(str, sys.version_info[:3])),
    'stdlib': os.path.realpath(sysconfig.get_path('stdlib', vars={'installed_base': sys.base_prefix})),
    'library': next((os.path.realpath(p) for p in paths if os.path.exists(p)), None),
    'platform': sysconfig.get_platform(),
}))
";

/// Finds a Python whose version starts with `wanted` (`3.11`) in the folders of `search_path`.
///
/// # Errors
/// [`EnvironmentError::NoInterpreter`] when there is none.
pub fn find_interpreter(wanted: &str, search_path: &str) -> Result<Interpreter, EnvironmentError> {
    let names = [
        format!("python{wanted}"),
        "python3".to_owned(),
        "python".to_owned(),
    ];
    let candidates = names
        .iter()
        .flat_map(|name| {
            search_path
                .split(':')
                .filter(|f| !f.is_empty())
                .map(move |f| Path::new(f).join(name))
        })
        .filter(|path| path.is_file());
    for candidate in candidates {
        let answer = Command::new(&candidate)
            .args(["-I", "-S", "-c", DESCRIBE])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        if let Ok(answer) = answer
            && let Ok(found) = serde_json::from_slice::<Interpreter>(&answer.stdout)
            && (found.version == wanted || found.version.starts_with(&format!("{wanted}.")))
        {
            return Ok(found);
        }
    }
    Err(EnvironmentError::NoInterpreter {
        wanted: wanted.to_owned(),
    })
}

/// What an environment is made of.
#[derive(Debug, Clone)]
pub struct EnvironmentSpec {
    /// The interpreter.
    pub interpreter: Interpreter,
    /// The text of the lock file, in the format of pip, with a hash for every package.
    pub lock: String,
}

impl EnvironmentSpec {
    /// Returns the key of the environment: the digest of the lock file, the interpreter and the recipe.
    ///
    /// # Errors
    /// When the interpreter's program file cannot be read.
    pub fn key(&self) -> Result<Digest, EnvironmentError> {
        let program = hash_file(&self.interpreter.executable)?;
        let text = format!(
            "custody-environment/{RECIPE}\npython {} {} {program}\nlock {}\n",
            self.interpreter.version,
            self.interpreter.platform,
            Digest::of(self.lock.as_bytes()),
        );
        Ok(Digest::of(text.as_bytes()))
    }

    /// Returns the path of the interpreter below the environment's folder, `bin/python`.
    pub const fn python(&self) -> &'static str {
        "bin/python"
    }

    fn library_folder(&self) -> String {
        let mut parts = self.interpreter.version.split('.');
        let (major, minor) = (parts.next().unwrap_or("3"), parts.next().unwrap_or("0"));
        format!("lib/python{major}.{minor}")
    }
}

/// An environment's folder and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The folder.
    pub folder: PathBuf,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// Its identity.
    pub digest: Digest,
}

/// The folder in which environments are kept, one below the other.
#[derive(Debug)]
pub struct Environments {
    root: PathBuf,
    /// What inventories are sealed with.
    key: Option<Secret<32>>,
    /// The environments that were found or made, locked against their removal as long as this lives.
    in_use: Mutex<Vec<File>>,
}

/// An environment in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// Its folder.
    pub folder: PathBuf,
    /// The number of its files.
    pub files: u64,
    /// Their sizes.
    pub size: ByteSize,
    /// Whether a running program uses it.
    pub in_use: bool,
}

impl Environments {
    /// Keeps environments below `root`, which is made when it is needed. `key`: what inventories are sealed with;
    /// without one they are only a beginning, and all files are read.
    pub fn new(root: PathBuf, key: Option<Secret<32>>) -> Self {
        Self {
            root,
            key,
            in_use: Mutex::default(),
        }
    }

    /// Lists what is in the cache, unfinished ones too, in the order of their names.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn cached(&self) -> Result<Vec<Cached>, EnvironmentError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_at(&self.root))?,
        };
        let mut cached = Vec::new();
        for entry in entries {
            let folder = entry.map_err(io_at(&self.root))?.path();
            if !is_environment(&folder) {
                continue;
            }
            let mut one = Cached {
                files: 0,
                size: ByteSize::from_bytes(0),
                in_use: lock(&folder, FlockOperation::NonBlockingLockExclusive).is_err(),
                folder,
            };
            let mut bytes = 0;
            each(&one.folder, &mut |_, metadata| {
                one.files += 1;
                bytes += metadata.len();
                Ok(())
            })?;
            one.size = ByteSize::from_bytes(bytes);
            cached.push(one);
        }
        cached.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(cached)
    }

    /// Removes an environment from the cache with all that is known of it; says whether it did: one in use stays.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, cached: &Cached) -> Result<bool, EnvironmentError> {
        let Ok(_lock) = lock(&cached.folder, FlockOperation::NonBlockingLockExclusive) else {
            return Ok(false);
        };
        let name = cached
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        // CRASH: a folder without an inventory is no environment.
        for entry in fs::read_dir(&self.root).map_err(io_at(&self.root))? {
            let path = entry.map_err(io_at(&self.root))?.path();
            let of_it = path.file_name().is_some_and(|file| {
                let file = file.to_string_lossy();
                file.strip_prefix(name.as_ref())
                    .is_some_and(|rest| rest.starts_with('.'))
            });
            if of_it {
                fs::remove_file(&path).map_err(io_at(&path))?;
            }
        }
        fs::remove_dir_all(&cached.folder).map_err(io_at(&cached.folder))?;
        Ok(true)
    }

    /// Finds the environment with the key `name`, untouched since it was made. `None` when it was
    /// never made here, or not to its end.
    ///
    /// With `hash_all` every file is read again, otherwise only those that the file system says were
    /// touched.
    ///
    /// # Errors
    /// [`EnvironmentError::Changed`] when a file is not what was installed.
    pub fn find(
        &self,
        name: &Digest,
        hash_all: bool,
    ) -> Result<Option<Environment>, EnvironmentError> {
        let folder = self.root.join(name.to_hex());
        let Some(inventory) = self.read(name)? else {
            return Ok(None);
        };
        // Whoever removes it meanwhile waits, or was first.
        if !self.hold(&folder) {
            return Ok(None);
        }
        let hash_all = hash_all || self.key.is_none();
        let present = list(&folder)?;
        if let Some(path) = inventory.keys().find(|path| !present.contains_key(*path)) {
            return Err(EnvironmentError::Changed {
                path: folder.join(path.as_str()),
            });
        }
        for (path, stamp) in &present {
            let host = folder.join(path.as_str());
            let known = inventory
                .get(path)
                .filter(|known| known.executable == stamp.executable());
            let same = match known {
                Some(known) if !hash_all && known.stamp == *stamp => true,
                Some(known) => hash_file(&host)? == known.sha256,
                None => false,
            };
            if !same {
                return Err(EnvironmentError::Changed { path: host });
            }
        }
        Ok(Some(environment(folder, inventory)))
    }

    /// Makes the environment `name` from a lock file by the installer of the interpreter; the one
    /// act that reaches the package registry. `progress` gets a line for each stage.
    ///
    /// # Errors
    /// [`EnvironmentError`]; nothing is left of an unfinished environment.
    pub fn install(
        &self,
        name: &Digest,
        spec: &EnvironmentSpec,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Environment, EnvironmentError> {
        self.make(name, |folder| {
            progress("copying the interpreter");
            copy_interpreter(spec, folder)?;
            progress("installing the packages of the lock file");
            install_packages(spec, folder)?;
            progress("compiling to byte code");
            compile(spec, folder)
        })
    }

    /// Makes the environment `name` from files that are already known, such as those of a version.
    ///
    /// # Errors
    /// [`EnvironmentError`]; nothing is left of an unfinished environment.
    pub fn restore(
        &self,
        name: &Digest,
        files: &[FileEntry],
        mut open: impl FnMut(&FileEntry) -> io::Result<Box<dyn Read>>,
    ) -> Result<Environment, EnvironmentError> {
        self.make(name, |folder| {
            for file in files {
                let host = folder.join(file.path.as_str());
                if let Some(parent) = host.parent() {
                    fs::create_dir_all(parent).map_err(io_at(parent))?;
                }
                let mut out = File::create_new(&host).map_err(io_at(&host))?;
                let mut content = open(file).map_err(io_at(&host))?;
                io::copy(&mut content, &mut out).map_err(io_at(&host))?;
                set_mode(&host, file.executable)?;
            }
            Ok(())
        })
    }

    /// Returns the file of an inventory; each workspace has its own.
    fn inventory(&self, name: &Digest) -> PathBuf {
        let whose = match &self.key {
            Some(key) => {
                let hash = blake3::keyed_hash(key.expose(), b"whose inventory");
                let hash = hash.to_hex();
                format!(".{}", hash.get(..16).unwrap_or_default())
            }
            None => String::new(),
        };
        self.root.join(format!("{}{whose}.json", name.to_hex()))
    }

    fn seal(&self, name: &Digest, text: &[u8]) -> Option<blake3::Hash> {
        let mut hasher = blake3::Hasher::new_keyed(self.key.as_ref()?.expose());
        hasher.update(name.to_hex().as_bytes()).update(text);
        Some(hasher.finalize())
    }

    /// Reads an inventory: the seal in a line, and the files.
    fn read(&self, name: &Digest) -> Result<Option<Inventory>, EnvironmentError> {
        let path = self.inventory(name);
        let Ok(text) = fs::read(&path) else {
            return Ok(None);
        };
        let changed = || EnvironmentError::Changed { path: path.clone() };
        let end = text.iter().position(|byte| *byte == b'\n');
        let (seal, text) = text.split_at(end.ok_or_else(changed)?);
        let text = text.get(1..).unwrap_or_default();
        // Compared in constant time.
        let holds = match self.seal(name, text) {
            Some(own) => blake3::Hash::from_hex(seal).is_ok_and(|seal| seal == own),
            None => true,
        };
        if !holds {
            return Err(changed());
        }
        serde_json::from_slice(text)
            .map(Some)
            .map_err(|_| changed())
    }

    fn write(&self, name: &Digest, inventory: &Inventory) -> Result<(), EnvironmentError> {
        let failed = |error| io_at(&self.root)(error);
        let text = serde_json::to_vec(inventory).map_err(|error| failed(error.into()))?;
        let seal = self.seal(name, &text).map(|seal| seal.to_hex().to_string());
        let mut out = tempfile::NamedTempFile::new_in(&self.root).map_err(failed)?;
        out.write_all(seal.unwrap_or_default().as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.write_all(&text))
            .map_err(failed)?;
        out.persist(self.inventory(name))
            .map(drop)
            .map_err(|error| failed(error.error))
    }

    /// Locks a folder against its removal; `false` where it is being removed, or gone.
    fn hold(&self, folder: &Path) -> bool {
        let Ok(file) = lock(folder, FlockOperation::NonBlockingLockShared) else {
            return false;
        };
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.push(file);
        true
    }

    /// Fills a new folder, takes its inventory and puts both in place. Where a folder with the same files is there
    /// already, made by another workspace, that one is kept; any other is replaced.
    fn make(
        &self,
        name: &Digest,
        fill: impl FnOnce(&Path) -> Result<(), EnvironmentError>,
    ) -> Result<Environment, EnvironmentError> {
        fs::create_dir_all(&self.root).map_err(io_at(&self.root))?;
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(&self.root)
            .map_err(io_at(&self.root))?;
        // Against its removal as one that was never finished.
        let _lock = lock(partial.path(), FlockOperation::NonBlockingLockShared);
        fill(partial.path())?;
        open_to_all(partial.path())?;
        let mut inventory = take_inventory(partial.path())?;
        let folder = self.root.join(name.to_hex());
        let there = match fs::symlink_metadata(&folder) {
            Ok(_) => take_inventory(&folder).ok(),
            Err(_) => None,
        };
        match there {
            Some(there) if same(&there, &inventory) => inventory = there,
            _ => {
                if folder.symlink_metadata().is_ok() {
                    fs::remove_dir_all(&folder).map_err(io_at(&folder))?;
                }
                // CRASH: a folder without an inventory is no environment; the next call makes it anew.
                fs::rename(partial.keep(), &folder).map_err(io_at(&folder))?;
            }
        }
        self.hold(&folder);
        self.write(name, &inventory)?;
        Ok(environment(folder, inventory))
    }
}

/// Whether the name is that of an environment's folder, or of one that was never finished.
fn is_environment(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let named = name.starts_with(PARTIAL)
        || (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    named
        && folder
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
}

fn lock(folder: &Path, how: FlockOperation) -> io::Result<File> {
    let file = File::open(folder)?;
    rustix::fs::flock(&file, how)?;
    Ok(file)
}

fn environment(folder: PathBuf, inventory: BTreeMap<FilePath, Known>) -> Environment {
    let files: Vec<_> = inventory
        .into_iter()
        .map(|(path, known)| FileEntry {
            path,
            size: ByteSize::from_bytes(known.stamp.size),
            sha256: known.sha256,
            executable: known.executable,
        })
        .collect();
    let digest = listing_digest(&files);
    Environment {
        folder,
        files,
        digest,
    }
}

/// Shows all that is below a folder but folders.
fn each(
    folder: &Path,
    show: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<(), EnvironmentError>,
) -> Result<(), EnvironmentError> {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(io_at(&next))? {
            let host = entry.map_err(io_at(&next))?.path();
            let metadata = fs::symlink_metadata(&host).map_err(io_at(&host))?;
            if metadata.is_dir() {
                folders.push(host);
            } else {
                show(&host, &metadata)?;
            }
        }
    }
    Ok(())
}

fn set_mode(path: &Path, executable: bool) -> Result<(), EnvironmentError> {
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_at(path))
}

/// Lets every user read what is in `folder`: a step runs as another user.
fn open_to_all(folder: &Path) -> Result<(), EnvironmentError> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(io_at(folder))?;
    for entry in fs::read_dir(folder).map_err(io_at(folder))? {
        let host = entry.map_err(io_at(folder))?.path();
        let metadata = fs::symlink_metadata(&host).map_err(io_at(&host))?;
        if metadata.is_dir() {
            open_to_all(&host)?;
        } else if metadata.is_file() {
            set_mode(&host, metadata.mode() & 0o111 != 0)?;
        } else {
            fs::remove_file(&host).map_err(io_at(&host))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Secret<32> {
        Secret::from_bytes([number; 32])
    }

    fn make(environments: &Environments) -> Environment {
        let entry = |path: &str, bytes: &[u8], executable| FileEntry {
            path: path.parse().unwrap(),
            size: ByteSize::from_bytes(bytes.len() as u64),
            sha256: Digest::of(bytes),
            executable,
        };
        let files = [
            entry("bin/python", b"program", true),
            entry("lib/a.py", b"a = 1", false),
        ];
        let made = environments
            .restore(&Digest::of(b"key"), &files, |file| {
                let bytes: &[u8] = if file.executable {
                    b"program"
                } else {
                    b"a = 1"
                };
                Ok(Box::new(bytes))
            })
            .unwrap();
        assert_eq!(made.digest, listing_digest(&files));
        made
    }

    fn made() -> (tempfile::TempDir, Environments, Environment) {
        let root = tempfile::tempdir().unwrap();
        let environments = Environments::new(root.path().join("environments"), Some(key(1)));
        let made = make(&environments);
        (root, environments, made)
    }

    /// Somebody changes a file and the inventory beside the folder so that both fit.
    #[test]
    fn a_forged_inventory_is_refused() {
        let name = Digest::of(b"key");
        for own in [Some(key(1)), None] {
            let root = tempfile::tempdir().unwrap();
            let environments = Environments::new(root.path().join("environments"), own.clone());
            let made = make(&environments);
            fs::write(made.folder.join("lib/a.py"), "a = 2").unwrap();
            let text = fs::read_to_string(environments.inventory(&name)).unwrap();
            let (seal, text) = text.split_once('\n').unwrap();
            let mut forged: Inventory = serde_json::from_str(text).unwrap();
            let stamps = list(&made.folder).unwrap();
            for (path, known) in &mut forged {
                known.stamp = stamps[path].clone();
            }
            let forged = format!("{seal}\n{}", serde_json::to_string(&forged).unwrap());
            fs::write(environments.inventory(&name), forged).unwrap();
            assert!(
                matches!(
                    environments.find(&name, false),
                    Err(EnvironmentError::Changed { .. })
                ),
                "{own:?}"
            );
        }
    }

    #[test]
    fn what_another_workspace_says_of_an_environment_is_not_believed() {
        let (root, _first, made) = made();
        let name = Digest::of(b"key");
        let second = Environments::new(root.path().join("environments"), Some(key(2)));
        assert_eq!(second.find(&name, false).unwrap(), None);
        // Made again, it is the same folder; what was put into it meanwhile is gone.
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        let before = inode(&made.folder);
        assert_eq!(make(&second), made);
        assert_eq!(inode(&made.folder), before);
        fs::write(made.folder.join("lib/a.py"), "a = 2").unwrap();
        let third = Environments::new(root.path().join("environments"), Some(key(3)));
        assert_eq!(make(&third), made);
        assert_eq!(third.find(&name, true).unwrap(), Some(made.clone()));
        assert_eq!(second.find(&name, false).unwrap(), Some(made));
    }

    #[test]
    fn the_cache_is_listed_and_cleaned_but_for_what_is_in_use() {
        let (root, environments, made) = made();
        let cache = root.path().join("environments");
        fs::create_dir(cache.join("partial-left")).unwrap();
        fs::create_dir(cache.join("thesis")).unwrap();
        fs::write(cache.join("partial-left/x"), "x").unwrap();
        let other = Environments::new(cache.clone(), None);
        let listed = other.cached().unwrap();
        let facts: Vec<_> = listed
            .iter()
            .map(|one| (one.files, one.size.bytes(), one.in_use))
            .collect();
        assert_eq!(facts, [(2, 12, true), (1, 1, false)]);
        assert!(!other.remove(&listed[0]).unwrap());
        assert!(other.remove(&listed[1]).unwrap());
        drop(environments);
        assert!(other.remove(&listed[0]).unwrap());
        assert!(!made.folder.exists());
        let left: Vec<_> = fs::read_dir(&cache).unwrap().flatten().collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].file_name(), "thesis");
        assert!(
            Environments::new(root.path().join("none"), None)
                .cached()
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn an_untouched_environment_is_found() {
        let (_root, environments, made) = made();
        for hash_all in [false, true] {
            assert_eq!(
                environments.find(&Digest::of(b"key"), hash_all).unwrap(),
                Some(made.clone())
            );
        }
        assert_eq!(
            environments.find(&Digest::of(b"other"), false).unwrap(),
            None
        );
    }

    #[test]
    fn a_touched_environment_is_refused() {
        let damages: [fn(&Path); 4] = [
            |folder| fs::write(folder.join("lib/a.py"), "a = 2").unwrap(),
            |folder| fs::write(folder.join("lib/b.py"), "").unwrap(),
            |folder| fs::remove_file(folder.join("lib/a.py")).unwrap(),
            |folder| std::os::unix::fs::symlink("/etc/passwd", folder.join("lib/c.py")).unwrap(),
        ];
        for damage in damages {
            let (_root, environments, made) = made();
            damage(&made.folder);
            assert!(matches!(
                environments.find(&Digest::of(b"key"), false),
                Err(EnvironmentError::Changed { .. })
            ));
        }
    }

    #[test]
    fn a_half_made_environment_is_none() {
        let (_root, environments, _made) = made();
        fs::remove_file(environments.inventory(&Digest::of(b"key"))).unwrap();
        assert_eq!(environments.find(&Digest::of(b"key"), false).unwrap(), None);
    }

    #[test]
    fn an_interpreter_is_found_by_its_version_or_not_at_all() {
        let path = std::env::var("PATH").unwrap_or_default();
        let found = find_interpreter("3.11", &path).unwrap();
        assert!(
            found.version.starts_with("3.11.")
                && found.stdlib.is_dir()
                && found.executable.is_file()
        );
        assert!(matches!(
            find_interpreter("9.9", &path),
            Err(EnvironmentError::NoInterpreter { .. })
        ));
    }
}
