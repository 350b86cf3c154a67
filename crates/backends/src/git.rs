//! The commit that a project's folder stands at, for provenance: what git itself would say, or nothing.
//!
//! Identity and branch are read from git's files; whether anything differs from the commit is asked of `git`, where
//! there is one.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the adapter to git's files and program"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The longest file of git that is read, in bytes.
const MOST_BYTES: u64 = 16 << 20;
/// How many references may lead to one another.
const MOST_STEPS: usize = 5;

/// Where a folder stands in its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The identity of the commit, in hexadecimal.
    pub id: String,
    /// The branch, unless none is checked out.
    pub branch: Option<String>,
    /// Whether files below the folder differ from the commit; `None`: nobody could tell.
    pub dirty: Option<bool>,
}

/// Tells the commit of the repository that `folder` lies in. `None`: it lies in none, or the repository has no
/// commit, or it cannot be read.
pub fn commit(folder: &Path) -> Option<Commit> {
    let (git, common) = repository(&fs::canonicalize(folder).ok()?)?;
    let head = small(&git.join("HEAD"))?;
    let (id, branch) = match head.strip_prefix("ref: ") {
        None => (identity(&head)?, None),
        Some(name) => {
            let branch = name.strip_prefix("refs/heads/").unwrap_or(name);
            (
                resolve(&git, &common, name, MOST_STEPS)?,
                Some(branch.to_owned()),
            )
        }
    };
    Some(Commit {
        id,
        branch,
        dirty: dirty(&fs::canonicalize(folder).ok()?, &git, &common, &head),
    })
}

/// Finds the folder `.git` of the repository, and the one that it shares with other work trees.
fn repository(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let found = folder
        .ancestors()
        .map(|above| above.join(".git"))
        .find(|path| path.exists())?;
    let git = if found.is_dir() {
        found
    } else {
        let text = small(&found)?;
        found.parent()?.join(text.strip_prefix("gitdir: ")?)
    };
    let common = match small(&git.join("commondir")) {
        Some(path) => git.join(path),
        None => git.clone(),
    };
    Some((git, common))
}

fn resolve(git: &Path, common: &Path, name: &str, steps: usize) -> Option<String> {
    let plain = name.starts_with("refs/") && !name.split('/').any(|part| part == "..");
    if !plain || steps == 0 {
        return None;
    }
    let loose = small(&git.join(name)).or_else(|| small(&common.join(name)));
    match loose {
        Some(text) => match text.strip_prefix("ref: ") {
            Some(next) => resolve(git, common, next, steps - 1),
            None => identity(&text),
        },
        None => small(&common.join("packed-refs"))?
            .lines()
            .find_map(|line| {
                let (id, packed) = line.split_once(' ')?;
                (packed == name).then(|| identity(id)).flatten()
            }),
    }
}

fn small(path: &Path) -> Option<String> {
    let text = crate::user_files::read_text(path, MOST_BYTES).ok()?;
    Some(text.trim_end().to_owned())
}

fn identity(text: &str) -> Option<String> {
    let whole = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| text.to_owned())
}

/// Asks git whether anything below the folder differs. Git runs programs that the settings of a repository name (filters,
/// watchers, hooks, transports), and a repository may come from anywhere. So it is asked under settings of ours: a folder that
/// has the commit, and the objects and the index of the repository, but none of its settings. It writes nothing.
///
/// What differs by a filter alone, such as large files kept elsewhere, is told to differ where git looks into it.
fn dirty(folder: &Path, git: &Path, common: &Path, head: &str) -> Option<bool> {
    let own = tempfile::tempdir().ok()?;
    let write = |name: &str, text: &[u8]| fs::write(own.path().join(name), text).ok();
    let objects = common.join("objects");
    let id = match head.strip_prefix("ref: ") {
        None => identity(head)?,
        Some(name) => resolve(git, common, name, MOST_STEPS)?,
    };
    write("HEAD", format!("{id}\n").as_bytes())?;
    let format = if id.len() == 64 {
        "[core]\nrepositoryformatversion = 1\n[extensions]\nobjectformat = sha256\n"
    } else {
        "[core]\nrepositoryformatversion = 0\n"
    };
    write("config", format.as_bytes())?;
    fs::create_dir(own.path().join("refs")).ok()?;
    fs::create_dir(own.path().join("objects")).ok()?;
    let tree = folder
        .ancestors()
        .find(|above| above.join(".git").exists())?;
    let answer = Command::new("git")
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
        .env("GIT_DIR", own.path())
        .env("GIT_WORK_TREE", tree)
        .env("GIT_OBJECT_DIRECTORY", objects)
        .env("GIT_INDEX_FILE", git.join("index"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .arg("--no-optional-locks")
        .arg("-C")
        .arg(folder)
        .args([
            "status",
            "--porcelain",
            "--ignore-submodules=all",
            "--",
            ".",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    answer.status.success().then_some(!answer.stdout.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn told(folder: &Path) -> Option<(String, Option<String>)> {
        commit(folder).map(|commit| (commit.id, commit.branch))
    }

    #[test]
    fn a_commit_is_found_wherever_git_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        let expected = Some((ID.to_owned(), Some("topic/x".to_owned())));
        write(root, ".git/HEAD", "ref: refs/heads/topic/x\n");
        assert_eq!(told(root), None, "no commit yet");
        write(
            root,
            ".git/packed-refs",
            &format!("# pack-refs\n{ID} refs/heads/topic/x\n"),
        );
        assert_eq!(told(&root.join("a/b")), expected);
        write(root, ".git/packed-refs", "");
        write(root, ".git/refs/heads/topic/x", &format!("{ID}\n"));
        assert_eq!(told(root), expected);
        write(root, ".git/HEAD", &format!("{ID}\n"));
        assert_eq!(told(root), Some((ID.to_owned(), None)));
        // Another work tree of the same repository.
        write(root, "tree/.git", "gitdir: ../.git/worktrees/tree\n");
        write(
            root,
            ".git/worktrees/tree/HEAD",
            "ref: refs/heads/topic/x\n",
        );
        write(root, ".git/worktrees/tree/commondir", "../..\n");
        assert_eq!(told(&root.join("tree")), expected);
    }

    #[test]
    fn a_repository_from_elsewhere_runs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let git = |arguments: &[&str]| {
            let done = Command::new("git")
                .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
                .arg("-C")
                .arg(root)
                .args(arguments)
                .output()
                .unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        git(&["init", "--quiet"]);
        write(root, "a.txt", "text\n");
        write(root, "below/b.txt", "text\n");
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message", "first"]);
        let dirty = |folder: &Path| commit(folder).unwrap().dirty;
        assert_eq!(dirty(root), Some(false));
        let ran = root.join("ran");
        let program = format!("touch {}; cat", ran.display());
        for (name, value) in [
            ("filter.x.clean", program.as_str()),
            ("filter.x.process", &program),
            ("core.fsmonitor", &program),
            ("core.hooksPath", "."),
        ] {
            git(&["config", name, value]);
        }
        write(root, ".git/info/attributes", "* filter=x\n");
        write(root, "a.txt", "text \n");
        assert_eq!(dirty(root), Some(true));
        assert_eq!(dirty(&root.join("below")), Some(false));
        write(root, ".gitattributes", "* filter=x\n");
        write(root, "below/b.txt", "other\n");
        assert_eq!(dirty(&root.join("below")), Some(true));
        assert!(!ran.exists());
    }

    #[test]
    fn what_is_no_repository_has_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(told(root), None);
        for head in [
            "",
            "no commit",
            "ref: ../../etc/passwd",
            "ref: refs/heads/../../../x",
            "ref: refs/heads/a",
        ] {
            write(root, ".git/HEAD", head);
            write(root, ".git/refs/heads/a", "ref: refs/heads/a");
            assert_eq!(told(root), None, "{head}");
        }
    }
}
