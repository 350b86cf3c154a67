//! What a run needs of the machine.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use custody_guard::Version;
use custody_tabular::Original;
use custody_types::{Digest, FileEntry, FilePath, Problem, VersionFiles};
pub use custody_wire::Commit;

/// The folder of a project, where the pipeline file lies.
pub trait Folder: Send + Sync + fmt::Debug {
    /// Returns where it is, if it is on this machine.
    fn root(&self) -> Option<&Path>;

    /// Opens a file below the folder.
    ///
    /// # Errors
    /// A [`Problem`] when there is none, or it is no plain file below the folder.
    fn open(&self, path: &str) -> Result<Box<dyn Read>, Problem>;

    /// Gathers the code at `path`, a file or a folder.
    ///
    /// # Errors
    /// A [`Problem`] when there is none, when it leads out of the folder, or is too large.
    fn gather(&self, path: &str) -> Result<Code, Problem>;

    /// Tells the commit that the folder stands at, where git keeps it.
    fn commit(&self) -> Option<Commit>;

    /// Finds what a source names: a file, the files of a folder, or those that fit a pattern; in the order of their
    /// paths. They lie below the folder, unless the source says that they do not, by `..` or a whole path.
    ///
    /// # Errors
    /// A [`Problem`] when there is nothing, something that is no plain file, or a link that leads elsewhere.
    fn find(&self, what: &str) -> Result<Vec<FoundFile>, Problem>;
}

/// A file where it stands.
pub trait Standing: Send + Sync + fmt::Debug {
    /// Opens it, and tells whether it may be executed. What was put in its place meanwhile is opened only where
    /// it lies in the folder in which the file was found.
    ///
    /// # Errors
    /// A [`Problem`] when it is no plain file any more.
    fn open(&self) -> Result<(Box<dyn Original>, bool), Problem>;

    /// Returns the version that it is a file of, and what it is there; `None` for a file that can change.
    fn kept(&self) -> Option<(&Version, &FileEntry)> {
        None
    }
}

/// Code of the project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Code {
    /// The files in the order of their paths.
    pub files: Vec<CodeFile>,
    /// The names of what was left out.
    pub left_out: Vec<String>,
}

/// A file of the project's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeFile {
    /// Its path below the folder.
    pub path: FilePath,
    /// Whether it may be executed.
    pub executable: bool,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A file that a source names.
#[derive(Debug, Clone)]
pub struct FoundFile {
    /// Where it stands.
    pub standing: Arc<dyn Standing>,
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

/// An environment as this machine would make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its key: equal keys give equal environments.
    pub key: Digest,
    /// The whole version of the interpreter: `3.11.7`.
    pub python: String,
    /// The platform: `linux-x86_64`.
    pub platform: String,
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
    /// Tells what the environment would be.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such interpreter.
    fn describe(&self, environment: &LockedEnvironment) -> Result<Described, Problem>;

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
