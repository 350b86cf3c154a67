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
        dirty: dirty(folder),
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

/// Asks git whether anything below the folder differs. It runs no program that the repository's settings name for
/// watching files, and writes nothing.
fn dirty(folder: &Path) -> Option<bool> {
    let answer = Command::new("git")
        .arg("--no-optional-locks")
        .args(["-c", "core.fsmonitor=false"])
        .arg("-C")
        .arg(folder)
        .args(["status", "--porcelain", "--ignore-submodules", "--", "."])
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
