//! What a run needs of the machine.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use custody_tabular::Original;
use custody_types::{Digest, FileEntry, FilePath, Problem, VersionFiles};

/// The folder of a project, where the pipeline file lies.
pub trait Folder: Send + Sync + fmt::Debug {
    /// Returns where it is on this machine.
    fn root(&self) -> &Path;

    /// Opens a file below the folder.
    ///
    /// # Errors
    /// A [`Problem`] when there is none, or it is no plain file below the folder.
    fn open(&self, path: &str) -> Result<Box<dyn Read>, Problem>;

    /// Finds what a source names, anywhere on the machine: a file, the files of a folder, or those that fit a
    /// pattern; in the order of their paths.
    ///
    /// # Errors
    /// A [`Problem`] when there is nothing, or something that is no plain file.
    fn find(&self, what: &str) -> Result<Vec<FoundFile>, Problem>;

    /// Opens a file that was found, and tells whether it may be executed.
    ///
    /// # Errors
    /// A [`Problem`] when it is no plain file any more.
    fn original(&self, host: &Path) -> Result<(Box<dyn Original>, bool), Problem>;
}

/// A file that a source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Where it stands.
    pub host: PathBuf,
    /// The path that it has below what was named.
    pub path: FilePath,
}

/// An environment as it is declared: what names it, before it was ever installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedEnvironment {
    /// The version of Python that was asked for.
    pub python: String,
    /// The text of the lock file.
    pub lock: String,
}

/// An environment on this machine.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The folder that steps see at `/env`.
    pub folder: PathBuf,
    /// The identity of its files.
    pub digest: Digest,
    /// Its files.
    pub files: Vec<FileEntry>,
}

impl Installed {
    /// Returns the environment variables with which its interpreter finds its libraries in the sandbox.
    pub fn variables(&self) -> BTreeMap<String, String> {
        // The interpreter's own library, not one of the same name that the system has.
        let mut variables = BTreeMap::from([
            ("PYTHONHOME".to_owned(), "/env".to_owned()),
            ("LD_LIBRARY_PATH".to_owned(), "/env/lib".to_owned()),
        ]);
        let packages = self.packages();
        variables.extend(packages.map(|packages| ("PYTHONPATH".to_owned(), packages)));
        variables
    }

    /// Returns where steps see the installed packages. Some interpreters look elsewhere by themselves.
    fn packages(&self) -> Option<String> {
        const FOLDER: &str = "/site-packages/";
        let inside = self.files.iter().find_map(|file| {
            file.path
                .as_str()
                .split_once(FOLDER)
                .map(|(before, _)| before)
        })?;
        Some(format!("/env/{inside}/site-packages"))
    }
}

/// Installs environments.
pub trait Environments: Send + Sync + fmt::Debug {
    /// Returns the key of the environment: equal keys give equal environments.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such interpreter.
    fn key(&self, environment: &LockedEnvironment) -> Result<Digest, Problem>;

    /// Finds it where it was installed before and not touched since.
    ///
    /// # Errors
    /// A [`Problem`] when it was touched.
    fn find(&self, key: &Digest) -> Result<Option<Installed>, Problem>;

    /// Installs it from the package registry.
    ///
    /// # Errors
    /// A [`Problem`] when a package is missing or has another hash.
    fn install(&self, key: &Digest, environment: &LockedEnvironment) -> Result<Installed, Problem>;

    /// Installs it from a stored version.
    ///
    /// # Errors
    /// A [`Problem`] when the version cannot be read.
    fn restore(&self, key: &Digest, files: &dyn VersionFiles) -> Result<Installed, Problem>;
}
