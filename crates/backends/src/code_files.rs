//! The code of a step: files and folders of the project, without what is no code.
//!
//! What is left out is said in the syntax of `.gitignore`: first [`USUAL`], then the project's own `.custodyignore`,
//! whose lines may take something back in. A file that the pipeline names itself is always taken.

use std::path::{Path, PathBuf};

use custody_types::{ByteSize, FilePath};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::beneath::{Beneath, Links, Standing};
use crate::user_files::{self, UserFilesError, io_at, version_path};

/// The file with the project's own lines.
pub const IGNORE_FILE: &str = ".custodyignore";
/// The most files that the code of a step may have.
pub const MOST_FILES: usize = 10_000;
/// The most bytes that the code of a step may have.
pub const MOST_BYTES: ByteSize = ByteSize::from_mebibytes(64);
/// The longest `.custodyignore`, in bytes.
const IGNORE_BYTES: u64 = 1 << 20;

/// What is left out without being told: secrets, environments, caches, what other programs keep for themselves.
pub const USUAL: &[&str] = &[
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa",
    "id_ed25519",
    ".venv/",
    "venv/",
    "node_modules/",
    ".git",
    ".hg/",
    ".svn/",
    ".custody/",
    "__pycache__/",
    "*.pyc",
    ".ipynb_checkpoints/",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".tox/",
    ".DS_Store",
];
/// What is no code either, and needs no word.
const SILENT: &[&str] = &[IGNORE_FILE, "custody.yaml"];

/// The content of a code file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeFile {
    /// Its path below the project's folder.
    pub path: FilePath,
    /// Whether it may be executed.
    pub executable: bool,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The code below a path, and what was left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Code {
    /// The files in the order of their paths.
    pub files: Vec<CodeFile>,
    /// What was left out, in order; of a folder its name alone, with `/` at its end.
    pub left_out: Vec<String>,
}

/// Why code could not be gathered.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// A file or folder is missing, special, or cannot be read.
    #[error(transparent)]
    Files(#[from] UserFilesError),
    /// A link leads to a folder that it stands in.
    #[error("`{0}` is a link to a folder that it stands in")]
    Circle(PathBuf),
    /// A line of `.custodyignore` cannot be understood.
    #[error("`{IGNORE_FILE}`: {0}")]
    Ignore(String),
    /// There are too many files, or they are too large.
    #[error("the code in `{0}` is larger than {MOST_BYTES} or has more than {MOST_FILES} files")]
    TooLarge(String),
}

/// Gathers the files at `path`, a file or folder below `root`, `.` for all of it. Links are followed as far as they
/// stay below `root`, and to nothing that would be left out.
///
/// # Errors
/// [`CodeError`]
pub fn gather(root: &Path, path: &str) -> Result<Code, CodeError> {
    let inside = path.trim_end_matches('/');
    let inside = inside.strip_prefix("./").unwrap_or(inside);
    let below = if inside == "." || inside.is_empty() {
        PathBuf::new()
    } else {
        PathBuf::from(version_path(&root.join(inside), "", inside.as_ref())?.as_str())
    };
    let root = Beneath::open(root, Links::Inside)?;
    let mut walk = Walk {
        ignore: rules(&root)?,
        root,
        named: path,
        bytes: 0,
        code: Code::default(),
        open: Vec::new(),
    };
    if walk.root.behind(&below)? == Standing::Folder {
        let prefix = if below.as_os_str().is_empty() {
            String::new()
        } else {
            format!("{inside}/")
        };
        walk.folder(&below, &prefix)?;
    } else {
        let host = walk.root.path().join(&below);
        walk.file(&below, inside.parse().map_err(|error| name(&host, &error))?)?;
    }
    let mut code = walk.code;
    code.files.sort_by(|a, b| a.path.cmp(&b.path));
    code.left_out.sort();
    Ok(code)
}

fn name(host: &Path, error: &custody_types::NameError) -> UserFilesError {
    UserFilesError::Name {
        path: host.to_owned(),
        because: error.to_string(),
    }
}

fn rules(root: &Beneath) -> Result<Gitignore, CodeError> {
    let wrong = |error: ignore::Error| CodeError::Ignore(error.to_string());
    let mut builder = GitignoreBuilder::new("");
    for line in USUAL {
        builder.add_line(None, line).map_err(wrong)?;
    }
    let host = root.path().join(IGNORE_FILE);
    match root.file(Path::new(IGNORE_FILE)) {
        Ok((file, _)) => {
            let bytes = user_files::read_small(file, &host, IGNORE_BYTES)?;
            for line in user_files::text_of(bytes, &host)?.lines() {
                builder.add_line(None, line).map_err(wrong)?;
            }
        }
        Err(UserFilesError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    builder.build().map_err(wrong)
}

struct Walk<'a> {
    root: Beneath,
    ignore: Gitignore,
    named: &'a str,
    bytes: u64,
    code: Code,
    /// The folders in which the walk stands, behind all links.
    open: Vec<(u64, u64)>,
}

impl Walk<'_> {
    fn folder(&mut self, below: &Path, prefix: &str) -> Result<(), CodeError> {
        let identity = self.root.identity(below)?;
        if self.open.contains(&identity) {
            return Err(CodeError::Circle(self.root.path().join(below)));
        }
        self.open.push(identity);
        for (name, standing) in self.root.list(below)? {
            self.entry(&below.join(&name), prefix, &name, standing)?;
        }
        self.open.pop();
        Ok(())
    }

    fn entry(
        &mut self,
        place: &Path,
        prefix: &str,
        name: &std::ffi::OsStr,
        standing: Standing,
    ) -> Result<(), CodeError> {
        let below = format!("{prefix}{}", name.to_string_lossy());
        if SILENT.contains(&below.as_str()) {
            return Ok(());
        }
        // What is left out may be a link to anywhere, or have any name.
        let is_folder = standing == Standing::Folder;
        if self.is_left_out(Path::new(&below), is_folder) {
            let mark = if is_folder { "/" } else { "" };
            self.code.left_out.push(format!("{below}{mark}"));
            return Ok(());
        }
        let path = version_path(&self.root.path().join(place), prefix, name)?;
        let is_folder = self.root.behind(place)? == Standing::Folder;
        if standing == Standing::Link
            && self.is_left_out_with_parents(&self.root.target(place)?, is_folder)
        {
            self.code.left_out.push(below);
            return Ok(());
        }
        if is_folder {
            self.folder(place, &format!("{path}/"))
        } else {
            self.file(place, path)
        }
    }

    fn file(&mut self, below: &Path, path: FilePath) -> Result<(), CodeError> {
        let host = self.root.path().join(below);
        let (opened, executable) = self.root.file(below)?;
        let size = opened.metadata().map_err(io_at(&host))?.len();
        let left = MOST_BYTES.bytes().saturating_sub(self.bytes);
        if size > left || self.code.files.len() >= MOST_FILES {
            return Err(CodeError::TooLarge(self.named.to_owned()));
        }
        let bytes = user_files::read_small(opened, &host, left)?;
        self.bytes += bytes.len() as u64;
        self.code.files.push(CodeFile {
            path,
            executable,
            bytes,
        });
        Ok(())
    }

    fn is_left_out(&self, path: &Path, is_folder: bool) -> bool {
        // A workspace is never code, whatever the lines say.
        path.file_name() == Some(crate::workspace::FOLDER.as_ref())
            || self.ignore.matched(path, is_folder).is_ignore()
    }

    fn is_left_out_with_parents(&self, path: &Path, is_folder: bool) -> bool {
        self.is_left_out(path, is_folder)
            || path
                .ancestors()
                .skip(1)
                .any(|above| !above.as_os_str().is_empty() && self.is_left_out(above, true))
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test writes the project's files"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let host = folder.path().join(file);
            fs::create_dir_all(host.parent().unwrap()).unwrap();
            fs::write(host, file).unwrap();
        }
        folder
    }

    fn names(code: &Code) -> Vec<&str> {
        code.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn a_folder_is_taken_without_the_usual_suspects() {
        let folder = project(&[
            "src/train.py",
            "src/a/b.py",
            "src/a/__pycache__/b.cpython-311.pyc",
            "src/.env",
            "src/.env.production",
            "src/.venv/bin/python",
            "src/venv/x",
            "src/.git/config",
            "src/node_modules/x/y.js",
            "src/.ipynb_checkpoints/n.ipynb",
            "src/.DS_Store",
            "src/server.pem",
            "src/server.key",
            "src/.custody/workspace.json",
            "src/keys.py",
            "other.py",
        ]);
        let run = folder.path().join("src/run.sh");
        fs::write(&run, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        for path in ["src", "src/", "./src"] {
            let code = gather(folder.path(), path).unwrap();
            assert_eq!(
                names(&code),
                ["src/a/b.py", "src/keys.py", "src/run.sh", "src/train.py"]
            );
            let executable = code.files.iter().map(|file| file.executable);
            assert_eq!(executable.collect::<Vec<_>>(), [false, false, true, false]);
            assert_eq!(
                code.left_out,
                [
                    "src/.DS_Store",
                    "src/.custody/",
                    "src/.env",
                    "src/.env.production",
                    "src/.git/",
                    "src/.ipynb_checkpoints/",
                    "src/.venv/",
                    "src/a/__pycache__/",
                    "src/node_modules/",
                    "src/server.key",
                    "src/server.pem",
                    "src/venv/"
                ]
            );
        }
        // What is named itself is taken.
        assert_eq!(
            names(&gather(folder.path(), "src/.env").unwrap()),
            ["src/.env"]
        );
        assert!(names(&gather(folder.path(), ".").unwrap()).contains(&"other.py"));
    }

    #[test]
    fn a_project_leaves_out_more_or_less_by_lines_of_its_own() {
        let folder = project(&[
            "src/a.py",
            "src/b.log",
            "src/data/big.bin",
            "src/data/data/x",
            "src/.env.example",
            "src/logs/keep.log",
            "custody.yaml",
        ]);
        let lines = "# comment\n*.log\n!src/logs/keep.log\n/src/data/\n!.env.example\n!.custody/\n";
        fs::write(folder.path().join(IGNORE_FILE), lines).unwrap();
        let code = gather(folder.path(), ".").unwrap();
        assert_eq!(
            names(&code),
            ["src/.env.example", "src/a.py", "src/logs/keep.log"]
        );
        assert_eq!(code.left_out, ["src/b.log", "src/data/"]);
        fs::write(folder.path().join(IGNORE_FILE), "a{b\n").unwrap();
        assert!(matches!(
            gather(folder.path(), "src"),
            Err(CodeError::Ignore(_))
        ));
    }

    #[test]
    fn links_are_followed_inside_of_the_project_only() {
        let folder = project(&["src/a.py", "common/b.py", ".env"]);
        let src = folder.path().join("src");
        symlink("../common", src.join("common")).unwrap();
        symlink("a.py", src.join("c.py")).unwrap();
        symlink("../.env", src.join("settings")).unwrap();
        let code = gather(folder.path(), "src").unwrap();
        assert_eq!(names(&code), ["src/a.py", "src/c.py", "src/common/b.py"]);
        assert_eq!(code.left_out, ["src/settings"]);
        symlink("..", src.join("up")).unwrap();
        assert!(gather(folder.path(), "src").is_err());
        fs::remove_file(src.join("up")).unwrap();
        symlink(".", src.join("self")).unwrap();
        assert!(matches!(
            gather(folder.path(), "src"),
            Err(CodeError::Circle(_))
        ));
        fs::remove_file(src.join("self")).unwrap();
        symlink("/etc/passwd", src.join("passwd")).unwrap();
        for path in ["src", "src/passwd"] {
            assert!(matches!(
                gather(folder.path(), path),
                Err(CodeError::Files(UserFilesError::Outside { .. }))
            ));
        }
        for path in ["../x", "/etc", "src/../../x", "none"] {
            assert!(gather(folder.path(), path).is_err(), "{path}");
        }
    }

    #[test]
    fn too_much_code_is_refused() {
        let folder = project(&["src/a.py"]);
        let large = fs::File::create(folder.path().join("src/large.bin")).unwrap();
        large.set_len(MOST_BYTES.bytes()).unwrap();
        assert!(matches!(
            gather(folder.path(), "src"),
            Err(CodeError::TooLarge(_))
        ));
    }
}
