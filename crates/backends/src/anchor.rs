//! The checkpoint that was seen last, outside the workspace.
//!
//! It is replaced atomically and not synced, for it advances with every grant. After a loss of power the older one
//! may be there, which holds as well, or an empty file, or one of zeros: that is as if it had been removed.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where the file is written"
)]

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::disk;

/// Reads it; `None` when there is none, or what a loss of power left of it. What is no text is read as a text that is no checkpoint.
///
/// # Errors
/// What the system says.
pub fn load(path: &Path) -> io::Result<Option<String>> {
    let bytes = disk::read(path)?;
    let bytes = bytes.filter(|bytes| bytes.iter().any(|byte| *byte != 0));
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Replaces it, with its folder made where there is none, unless `may` says no to the one that is there.
/// Callers follow one another, in other processes too: copies of a workspace have one checkpoint.
///
/// # Errors
/// What the system says.
pub fn keep(path: &Path, checkpoint: &str, may: &dyn Fn(&str) -> bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        disk::create_folder(folder)?;
    }
    let lock = path.with_extension("lock");
    disk::create_private(&lock)?;
    let lock = fs::File::open(&lock)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if load(path)?.is_some_and(|kept| kept != checkpoint && !may(&kept)) {
        return Ok(());
    }
    let temporary = path.with_extension("new");
    let kept = fs::write(&temporary, checkpoint).and_then(|()| fs::rename(&temporary, path));
    if kept.is_err() {
        // On a full disk what was begun would only be in the way.
        let _ = fs::remove_file(&temporary);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_on_from_the_kept_one_does_not_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/one.checkpoint");
        assert_eq!(load(&path).unwrap(), None);
        // Checkpoints of one line of the ledger here: `a`, `aa`, …; of a fork: `ab`.
        let write = |checkpoint: &str| {
            keep(&path, checkpoint, &|kept| checkpoint.starts_with(kept)).unwrap();
            load(&path).unwrap().unwrap()
        };
        assert_eq!(write("a"), "a");
        assert_eq!(write("aa"), "aa");
        assert_eq!(write("a"), "aa");
        assert_eq!(write("ab"), "aa");
        assert_eq!(write("aaa"), "aaa");
        keep(&path, "ab", &|_| true).unwrap();
        assert_eq!(load(&path).unwrap().unwrap(), "ab");
        fs::write(&path, b"\xff").unwrap();
        assert_ne!(write("a"), "a");
        for lost in [b"".as_slice(), b"\0\0"] {
            fs::write(&path, lost).unwrap();
            assert_eq!(write("a"), "a");
        }
    }

    #[test]
    fn of_many_that_keep_at_once_none_hides_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.checkpoint");
        std::thread::scope(|scope| {
            for length in 1..=16 {
                let path = &path;
                scope.spawn(move || {
                    let checkpoint = "a".repeat(length);
                    keep(path, &checkpoint, &|kept| checkpoint.starts_with(kept)).unwrap();
                });
            }
        });
        assert_eq!(load(&path).unwrap().unwrap().len(), 16);
    }
}
