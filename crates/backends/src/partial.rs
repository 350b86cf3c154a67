//! Folders that are not whole yet: nobody else can enter them, and what a killed program left of them is removed.
//!
//! A partial folder holds a file `lock`, which its maker has locked as long as it lives, and a folder `content`, which
//! is moved to its place when it is whole. The next one that is made beside it removes those whose lock is free.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the adapter to the user's files"
)]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

/// How the names of partial folders begin.
const PREFIX: &str = ".custody-partial-";
/// What a maker holds locked.
const LOCK: &str = "lock";
/// What is in the file of that name.
const MARK: &[u8] = b"a folder that custody is writing, or was killed while writing\n";
/// What becomes the folder.
const CONTENT: &str = "content";
/// How often another one is made because somebody took this one for a left one.
const ATTEMPTS: usize = 8;

/// A folder that is being written. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Partial {
    folder: tempfile::TempDir,
    content: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Partial {
    /// Makes one in the folder `parent`, and removes what others left there.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        for _ in 0..ATTEMPTS {
            let folder = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(parent)?;
            let mut lock = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(folder.path().join(LOCK))?;
            io::Write::write_all(&mut lock, MARK)?;
            // Where nothing can be locked, nobody finds a lock that is free.
            let _ = rustix::fs::flock(&lock, FlockOperation::LockExclusive);
            if lock.metadata()?.nlink() == 0 {
                continue;
            }
            let content = folder.path().join(CONTENT);
            fs::DirBuilder::new().mode(0o700).create(&content)?;
            return Ok(Self {
                folder,
                content,
                _lock: lock,
            });
        }
        Err(io::Error::other("partial folders are removed by others"))
    }

    /// Makes a file in it, which is the user's alone until [`whole`] is said of it.
    pub(crate) fn file(&self, path: &Path, mode: u32) -> io::Result<(File, Permissions)> {
        let host = self.content.join(path);
        if let Some(folder) = host.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(host)?;
        // What the user's mask leaves of the mode.
        let later = file.metadata()?.permissions();
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok((file, later))
    }

    /// Puts what was filled in the place `target`.
    pub(crate) fn finish(self, target: &Path) -> io::Result<()> {
        fs::set_permissions(&self.content, Permissions::from_mode(0o755))?;
        // CRASH: before the rename a partial folder is left, never a part of the target; after it an empty one.
        // Both are removed by the next one that is made beside it.
        fs::rename(&self.content, target)?;
        let _ = self.folder.close();
        Ok(())
    }
}

/// Says that a file is whole.
pub(crate) fn whole(file: &File, later: Permissions) -> io::Result<()> {
    file.sync_all()?;
    file.set_permissions(later)
}

/// Removes what killed programs of this user left in `parent`. What cannot be removed stays.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(PREFIX) {
            let _ = remove_left(parent, Path::new(&name));
        }
    }
}

/// Removes a partial folder whose maker is gone. What looks otherwise is not touched; every removal is done below
/// the descriptor of what was looked at.
fn remove_left(parent: &Path, name: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let above = rustix::fs::open(parent, flags - OFlags::NOFOLLOW, Mode::empty())?;
    let folder = File::from(rustix::fs::openat(&above, name, flags, Mode::empty())?);
    let me = rustix::process::geteuid().as_raw();
    let about = folder.metadata()?;
    if about.uid() != me || about.mode() & 0o7777 != 0o700 {
        return Ok(());
    }
    let here = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    for entry in fs::read_dir(&here)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let ours = match entry.file_name().to_str() {
            Some(LOCK) => kind.is_file(),
            Some(CONTENT) => kind.is_dir(),
            _ => false,
        };
        if !ours {
            return Ok(());
        }
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut lock = File::from(rustix::fs::openat(&folder, LOCK, flags, Mode::empty())?);
    let mut mark = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(&mut lock, 1 << 10), &mut mark)?;
    if mark != MARK || rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    match fs::remove_dir_all(here.join(CONTENT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    rustix::fs::unlinkat(&folder, LOCK, AtFlags::empty())?;
    Ok(rustix::fs::unlinkat(&above, name, AtFlags::REMOVEDIR)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Leaves a partial folder, as a killed program does.
    fn left(parent: &Path) -> PathBuf {
        let partial = Partial::new(parent).unwrap();
        let (_, _) = partial.file(Path::new("sub/secret"), 0o644).unwrap();
        let Partial { folder, .. } = partial;
        folder.keep()
    }

    #[test]
    fn nobody_else_enters_what_is_not_whole() {
        let parent = tempfile::tempdir().unwrap();
        let partial = Partial::new(parent.path()).unwrap();
        let (file, later) = partial.file(Path::new("sub/a"), 0o755).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(partial.folder.path()), 0o700);
        assert_eq!(mode(&partial.content), 0o700);
        assert_eq!(mode(&partial.content.join("sub/a")), 0o600);
        whole(&file, later).unwrap();
        let target = parent.path().join("target");
        partial.finish(&target).unwrap();
        assert_eq!(names(parent.path()), ["target"]);
        assert_eq!(mode(&target), 0o755);
        assert_eq!(mode(&target.join("sub/a")) & 0o700, 0o700);
    }

    #[test]
    fn what_a_killed_one_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let at_work = Partial::new(parent.path()).unwrap();
        let stays = |name: &str| parent.path().join(format!("{PREFIX}{name}"));
        // Folders of the user's that somebody gave such a name, a link to one, and a file.
        for (name, mode) in [("empty", 0o700), ("data", 0o700), ("open", 0o755)] {
            fs::create_dir(stays(name)).unwrap();
            fs::write(stays(name).join("thesis"), "years of work").unwrap();
            fs::set_permissions(stays(name), Permissions::from_mode(mode)).unwrap();
        }
        fs::remove_file(stays("empty").join("thesis")).unwrap();
        fs::create_dir_all(stays("alike").join(CONTENT)).unwrap();
        fs::write(stays("alike").join(LOCK), "other words").unwrap();
        fs::set_permissions(stays("alike"), Permissions::from_mode(0o700)).unwrap();
        fs::write(stays("file"), "").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let linked = left(elsewhere.path());
        symlink(&linked, stays("link")).unwrap();
        let before = names(parent.path());
        let first = left(parent.path());
        let second = left(parent.path());
        assert!(!first.exists() && second.exists());
        drop(Partial::new(parent.path()).unwrap());
        assert_eq!(names(parent.path()), before);
        assert!(at_work.content.exists() && linked.join(CONTENT).exists());
    }
}
