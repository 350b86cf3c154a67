//! The machine as runs need it: the project's folder, environments.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use custody_backends::anchor;
use custody_backends::beneath::{Beneath, Links};
use custody_backends::code_files::{self, CodeError};
use custody_backends::environment::{self, Environment, EnvironmentError, EnvironmentSpec};
use custody_backends::user_files::{UserFile, UserFilesError};
use custody_backends::{git, user_files};
use custody_crypto::Secret;
use custody_guard::LastSeenCheckpoint;
use custody_pipeline::{
    Code, CodeFile, Commit, Described, Environments, Folder, FoundFile, Installed,
    LockedEnvironment, Standing,
};
use custody_tabular::Original;
use custody_types::{Digest, FilePath, Problem, ProblemKind, VersionFiles, code};

use crate::problems::user_files_problem;

/// The folder in which the pipeline file lies.
#[derive(Debug)]
pub struct LocalFolder(PathBuf);

/// What a server has in the place of a project's folder: it reads none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoFolder;

fn reads_none() -> Problem {
    Problem::new(code::PIPE_032, "the server reads no folder of a project")
        .hint("name a snapshot in the request: `custody run` and `custody status` do")
}

impl Folder for NoFolder {
    fn root(&self) -> Option<&Path> {
        None
    }

    fn open(&self, _: &str) -> Result<Box<dyn Read>, Problem> {
        Err(reads_none())
    }

    fn gather(&self, _: &str) -> Result<Code, Problem> {
        Err(reads_none())
    }

    fn commit(&self) -> Option<Commit> {
        None
    }

    fn find(&self, _: &str) -> Result<Vec<FoundFile>, Problem> {
        Err(reads_none())
    }
}

/// Makes a file that was found on the disk known to the pipeline.
pub fn found_file(file: UserFile) -> FoundFile {
    FoundFile {
        path: file.path.clone(),
        standing: Arc::new(OnDisk(file)),
    }
}

#[derive(Debug)]
struct OnDisk(UserFile);

impl Standing for OnDisk {
    fn open(&self) -> Result<(Box<dyn Original>, bool), Problem> {
        let (file, executable) = self.0.open().map_err(|error| user_files_problem(&error))?;
        Ok((Box::new(file), executable))
    }
}

impl LocalFolder {
    /// Names the folder.
    pub const fn new(root: PathBuf) -> Self {
        Self(root)
    }
}

impl Folder for LocalFolder {
    fn root(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read>, Problem> {
        let inside: FilePath = path.parse().map_err(|error: custody_types::NameError| {
            Problem::new(code::PIPE_005, error.to_string())
                .hint("name files by their path below the pipeline file")
        })?;
        let opened = Beneath::open(&self.0, Links::Inside)
            .and_then(|folder| folder.file(Path::new(inside.as_str())));
        let (file, _) = opened.map_err(|error| {
            let problem = user_files_problem(&error);
            if matches!(error, UserFilesError::Outside { .. }) {
                problem.hint("nothing was read; copy what it leads to into the project")
            } else if problem.kind() == ProblemKind::NotFound {
                problem.hint(format!(
                    "files of a pipeline are named from `{}`, the folder with the workspace; a pipeline begins with a file `custody.yaml` there",
                    self.0.display()
                ))
            } else {
                problem
            }
        })?;
        Ok(Box::new(file))
    }

    fn gather(&self, path: &str) -> Result<Code, Problem> {
        let code = code_files::gather(&self.0, path).map_err(|error| self.code_problem(&error))?;
        let files = code.files.into_iter().map(|file| CodeFile {
            path: file.path,
            executable: file.executable,
            bytes: file.bytes,
        });
        Ok(Code {
            files: files.collect(),
            left_out: code.left_out,
        })
    }

    fn commit(&self) -> Option<Commit> {
        git::commit(&self.0).map(|commit| Commit {
            id: commit.id,
            branch: commit.branch,
            dirty: commit.dirty,
        })
    }

    fn find(&self, what: &str) -> Result<Vec<FoundFile>, Problem> {
        let found = user_files::find_source(&self.0, what).map_err(|error| {
            let problem = user_files_problem(&error);
            if problem.kind() == ProblemKind::NotFound {
                problem.hint(format!(
                    "sources are named from `{}`, the folder with the workspace, or by their whole path",
                    self.0.display()
                ))
            } else {
                problem
            }
        })?;
        Ok(found.into_iter().map(found_file).collect())
    }
}

impl LocalFolder {
    fn code_problem(&self, error: &CodeError) -> Problem {
        let (code, hint) = match error {
            CodeError::Files(error) => {
                let problem = user_files_problem(error);
                let named = format!(
                    "files of a pipeline are named from `{}`, the folder with the workspace",
                    self.0.display()
                );
                return match error {
                    UserFilesError::Outside { .. } => Problem::new(
                        code::PIPE_021,
                        error.to_string(),
                    )
                    .hint("copy what it leads to into the project, or leave the link out by `.custodyignore`"),
                    UserFilesError::Name { .. } => problem.hint(format!(
                        "{named}, and lie below it: that tells them apart wherever the project stands. Move the code there, or `custody init` in the folder above both"
                    )),
                    _ if problem.kind() == ProblemKind::NotFound => problem.hint(named),
                    _ => problem,
                };
            }
            CodeError::Circle(_) => (
                code::PIPE_022,
                "remove the link, or leave it out by `.custodyignore`",
            ),
            CodeError::Ignore(_) => (
                code::PIPE_023,
                "correct the line; the syntax is that of `.gitignore`",
            ),
            CodeError::TooLarge(_) => (
                code::PIPE_024,
                "leave out by `.custodyignore` what is no code; data goes in as a `source`, by `custody put` and `inputs`",
            ),
        };
        Problem::new(code, error.to_string()).hint(hint)
    }
}

/// The checkpoint of a workspace's ledger, in the user's own folder.
#[derive(Debug)]
pub(crate) struct LocalAnchor(PathBuf);

impl LocalAnchor {
    pub(crate) const fn new(file: PathBuf) -> Self {
        Self(file)
    }
}

impl LastSeenCheckpoint for LocalAnchor {
    fn load(&self) -> Result<Option<String>, Problem> {
        anchor::load(&self.0).map_err(|error| {
            Problem::new(
                code::LEDGER_007,
                format!("`{}` cannot be read", self.place()),
            )
            .because(error)
            .hint("see that the file is yours")
        })
    }

    fn keep(&self, checkpoint: &str, goes_on: &dyn Fn(&str) -> bool) {
        // A folder that cannot be written leaves the older checkpoint, which still holds.
        let _ = anchor::keep(&self.0, checkpoint, goes_on);
    }

    fn replace(&self, checkpoint: &str) -> Result<(), Problem> {
        anchor::keep(&self.0, checkpoint, &|_| true).map_err(|error| {
            Problem::new(
                code::LEDGER_010,
                format!("`{}` cannot be written", self.place()),
            )
            .because(error)
            .hint("see that the file is yours and the disk has room, then repeat the command")
        })
    }

    fn place(&self) -> String {
        self.0.display().to_string()
    }
}

/// Environments in the user's cache.
#[derive(Debug)]
pub struct LocalEnvironments {
    kept: environment::Environments,
    search_path: String,
    /// Environments described before: finding an interpreter starts it.
    described: Mutex<BTreeMap<(String, Digest), Described>>,
}

impl LocalEnvironments {
    /// Finds environments below `root`, and interpreters by `search_path`. `key`: what is known of environments is sealed with it.
    pub fn new(root: PathBuf, search_path: String, key: Option<Secret<32>>) -> Self {
        Self {
            kept: environment::Environments::new(root, key),
            search_path,
            described: Mutex::default(),
        }
    }

    fn spec(&self, wanted: &LockedEnvironment) -> Result<EnvironmentSpec, Problem> {
        let interpreter = environment::find_interpreter(&wanted.python, &self.search_path)
            .map_err(|error| environment_problem(&error))?;
        Ok(EnvironmentSpec {
            interpreter,
            lock: wanted.lock.clone(),
        })
    }
}

/// Tells why an environment cannot be found, described or made.
pub fn environment_problem(error: &EnvironmentError) -> Problem {
    let (code, hint) = match error {
        EnvironmentError::NoRoom { path } => {
            return Problem::no_room(format!("the environment in `{}`", path.display()));
        }
        EnvironmentError::NoInterpreter { .. } => (
            code::ENV_001,
            "install it, or name another version under `environment.python`",
        ),
        EnvironmentError::NoPip { .. } => (
            code::ENV_002,
            "install pip for it: `python3 -m ensurepip` or the package python3-pip",
        ),
        EnvironmentError::Install(_) => (
            code::ENV_003,
            "see that the lock file names every package with its hash, and that the registry can be reached",
        ),
        EnvironmentError::NoWheel { .. } => (
            code::ENV_008,
            "nothing was installed, for building one runs programs of the package on this machine; lock a version that is built for this Python: `uv pip compile --generate-hashes --only-binary :all: …`",
        ),
        EnvironmentError::Changed { .. } => (
            code::ENV_004,
            "the environment's folder holds packages alone and nothing of yours: look at it, then `custody cache clean`, and the next run installs it again from the lock file and the package registry",
        ),
        EnvironmentError::Io { .. } => (
            code::ENV_005,
            "see that the disk has room and that you may write there",
        ),
    };
    let problem = Problem::new(code, error.to_string()).hint(hint);
    match error {
        EnvironmentError::NoWheel { files, .. } => {
            problem.because(format!("there is {}", files.join(", ")))
        }
        _ => problem,
    }
}

fn installed(environment: Environment) -> Installed {
    Installed {
        folder: environment.folder,
        digest: environment.digest,
        files: environment.files,
    }
}

impl Environments for LocalEnvironments {
    fn describe(&self, wanted: &LockedEnvironment) -> Result<Described, Problem> {
        let asked = (wanted.python.clone(), Digest::of(wanted.lock.as_bytes()));
        let mut known = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(described) = known.get(&asked) {
            return Ok(described.clone());
        }
        let spec = self.spec(wanted)?;
        let described = Described {
            key: spec.key().map_err(|error| environment_problem(&error))?,
            python: spec.interpreter.version,
            platform: spec.interpreter.platform,
        };
        known.insert(asked, described.clone());
        Ok(described)
    }

    fn find(&self, key: &Digest) -> Result<Option<Installed>, Problem> {
        let found = self
            .kept
            .find(key, false)
            .map_err(|error| environment_problem(&error))?;
        Ok(found.map(installed))
    }

    fn install(&self, key: &Digest, wanted: &LockedEnvironment) -> Result<Installed, Problem> {
        let spec = self.spec(wanted)?;
        self.kept
            .install(key, &spec, &mut |_| {})
            .map(installed)
            .map_err(|error| environment_problem(&error))
    }

    fn restore(&self, key: &Digest, files: &dyn VersionFiles) -> Result<Installed, Problem> {
        let open = |entry: &custody_types::FileEntry| {
            let bytes = files
                .read(&entry.path, 0..entry.size.bytes())
                .map_err(std::io::Error::other)?;
            Ok(Box::new(std::io::Cursor::new(bytes)) as Box<dyn Read>)
        };
        self.kept
            .restore(key, files.files(), open)
            .map(installed)
            .map_err(|error| environment_problem(&error))
    }
}
