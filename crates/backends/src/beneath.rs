//! A folder from which files are opened without ever leaving it.
//!
//! The kernel resolves each name below the folder's descriptor and refuses what leads out of it (`openat2`,
//! `RESOLVE_BENEATH`), so that it does not matter what stood there when somebody looked, or which folder above is a
//! link by now. What was opened is read from its descriptor.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::user_files::{UserFilesError, io_at};

/// How often a name is looked up again because a folder was moved meanwhile.
const ATTEMPTS: usize = 16;

/// Which links below the folder are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Those that stay inside of it.
    Inside,
    /// None.
    Refused,
}

/// An open folder, and what may be reached from it.
#[derive(Debug)]
pub struct Beneath {
    folder: OwnedFd,
    path: PathBuf,
    /// The folder behind all links, to see where an absolute link leads.
    real: PathBuf,
    links: Links,
}

/// What stands in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A socket, a pipe or a device.
    Special,
}

impl From<FileType> for Standing {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Special,
        }
    }
}

impl Beneath {
    /// Opens the folder `path`, wherever links lead to it.
    ///
    /// # Errors
    /// [`UserFilesError`] when there is no such folder, or it cannot be entered.
    pub fn open(path: &Path, links: Links) -> Result<Self, UserFilesError> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let real = fs::canonicalize(path).map_err(io_at(path))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| io_at(path)(error.into()))?;
        Ok(Self {
            folder,
            path: path.to_owned(),
            real,
            links,
        })
    }

    /// Returns the folder's path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file for reading, and tells whether it may be executed.
    ///
    /// # Errors
    /// [`UserFilesError`] when it is missing, no regular file, outside of the folder, or may not be read.
    pub fn file(&self, below: &Path) -> Result<(File, bool), UserFilesError> {
        let path = self.path.join(below);
        let opened = self.at(below, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let file = File::from(opened);
        let metadata = file.metadata().map_err(io_at(&path))?;
        if !metadata.is_file() {
            return Err(UserFilesError::Special(path));
        }
        Ok((file, metadata.permissions().mode() & 0o111 != 0))
    }

    /// Says what a name leads to, links followed as far as they may be.
    pub(crate) fn behind(&self, below: &Path) -> Result<Standing, UserFilesError> {
        let opened = self.at(below, OFlags::PATH)?;
        let stat = rustix::fs::fstat(&opened)
            .map_err(|error| io_at(&self.path.join(below))(error.into()))?;
        Ok(FileType::from_raw_mode(stat.st_mode).into())
    }

    /// Lists a folder: what stands in it, links not followed, in the order of the names.
    pub(crate) fn list(
        &self,
        below: &Path,
    ) -> Result<Vec<(std::ffi::OsString, Standing)>, UserFilesError> {
        use std::os::unix::ffi::OsStrExt;
        let path = self.path.join(below);
        let failed = |error: Errno| io_at(&path)(error.into());
        let opened = self.at(below, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut found = Vec::new();
        for entry in Dir::read_from(&opened).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW);
                    FileType::from_raw_mode(stat.map_err(failed)?.st_mode)
                }
                known => known,
            };
            let name = std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned();
            found.push((name, kind.into()));
        }
        found.sort();
        Ok(found)
    }

    /// Returns what tells a folder from every other one.
    pub(crate) fn identity(&self, below: &Path) -> Result<(u64, u64), UserFilesError> {
        let path = self.path.join(below);
        let opened = File::from(self.at(below, OFlags::PATH | OFlags::DIRECTORY)?);
        let metadata = opened.metadata().map_err(io_at(&path))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Returns where a name leads, as a path below the folder: what it is called behind all links.
    pub(crate) fn target(&self, below: &Path) -> Result<PathBuf, UserFilesError> {
        let path = self.path.join(below);
        let real = fs::canonicalize(&path).map_err(io_at(&path))?;
        match real.strip_prefix(&self.real) {
            Ok(inside) => Ok(inside.to_owned()),
            Err(_) => Err(self.outside(below)),
        }
    }

    fn outside(&self, below: &Path) -> UserFilesError {
        let path = self.path.join(below);
        UserFilesError::Outside {
            to: fs::canonicalize(&path).ok(),
            path,
            folder: self.path.clone(),
        }
    }

    fn at(&self, below: &Path, flags: OFlags) -> Result<OwnedFd, UserFilesError> {
        let below = if below.as_os_str().is_empty() {
            Path::new(".")
        } else {
            below
        };
        let path = self.path.join(below);
        let opened = match self.links {
            Links::Refused => self.resolve(below, flags, ResolveFlags::NO_SYMLINKS),
            Links::Inside => match self.resolve(below, flags, ResolveFlags::empty()) {
                // An absolute link may lead back inside; what it leads to is then opened from here, without links.
                Err(Errno::XDEV) => match self.target(below) {
                    Ok(inside) if inside.as_os_str().is_empty() => {
                        self.resolve(Path::new("."), flags, ResolveFlags::NO_SYMLINKS)
                    }
                    Ok(inside) => self.resolve(&inside, flags, ResolveFlags::NO_SYMLINKS),
                    Err(_) => return Err(self.outside(below)),
                },
                other => other,
            },
        };
        opened.map_err(|error| match error {
            Errno::XDEV => self.outside(below),
            Errno::LOOP if self.links == Links::Refused => UserFilesError::Link(path),
            Errno::NOSYS => io_at(&path)(io::Error::other(
                "this kernel cannot open a file below a folder (`openat2`, Linux 5.6)",
            )),
            // A socket, or a device that nobody serves.
            Errno::NXIO => UserFilesError::Special(path),
            error => io_at(&path)(error.into()),
        })
    }

    fn resolve(&self, below: &Path, flags: OFlags, more: ResolveFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
        let flags = flags | OFlags::CLOEXEC;
        let mut opened = Err(Errno::AGAIN);
        for _ in 0..ATTEMPTS {
            opened = rustix::fs::openat2(&self.folder, below, flags, Mode::empty(), resolve);
            if !matches!(opened, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        opened
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes the user's files")]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn text(folder: &Beneath, below: &str) -> Result<String, UserFilesError> {
        let (mut file, _) = folder.file(Path::new(below))?;
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    /// `project` with a file, beside a folder with a secret.
    fn world() -> tempfile::TempDir {
        let world = tempfile::tempdir().unwrap();
        for folder in ["project/data", "outside"] {
            fs::create_dir_all(world.path().join(folder)).unwrap();
        }
        fs::write(world.path().join("project/data/a.csv"), "ours").unwrap();
        fs::write(world.path().join("outside/a.csv"), "secret").unwrap();
        world
    }

    #[test]
    fn links_inside_are_followed_and_no_other() {
        let world = world();
        let project = world.path().join("project");
        let link = |to: &Path, name: &str| symlink(to, project.join(name)).unwrap();
        link(Path::new("data/a.csv"), "file");
        link(Path::new("data"), "folder");
        link(Path::new("file"), "again");
        link(&project.join("data"), "absolute");
        link(Path::new("../outside/a.csv"), "out");
        link(Path::new("/etc/passwd"), "passwd");
        link(Path::new("out"), "twice");
        link(Path::new("../outside"), "up");
        link(Path::new("/proc/self/root/etc/passwd"), "magic");
        link(Path::new("loop"), "loop");
        let inside = Beneath::open(&project, Links::Inside).unwrap();
        for below in [
            "file",
            "folder/a.csv",
            "again",
            "absolute/a.csv",
            "data/../data/a.csv",
        ] {
            assert_eq!(text(&inside, below).unwrap(), "ours", "{below}");
        }
        for below in [
            "out",
            "passwd",
            "twice",
            "up/a.csv",
            "magic",
            "../outside/a.csv",
            "/etc/passwd",
        ] {
            assert!(
                matches!(text(&inside, below), Err(UserFilesError::Outside { .. })),
                "{below}"
            );
        }
        assert!(text(&inside, "loop").is_err());
        let none = Beneath::open(&project, Links::Refused).unwrap();
        assert_eq!(text(&none, "data/a.csv").unwrap(), "ours");
        for below in ["file", "folder/a.csv", "out", "up/a.csv"] {
            assert!(
                matches!(text(&none, below), Err(UserFilesError::Link(_))),
                "{below}"
            );
        }
    }

    /// Somebody exchanges the folder for a link and back, as fast as can be.
    #[test]
    fn a_link_that_is_swapped_in_is_never_followed() {
        let world = world();
        let (project, done) = (world.path().join("project"), AtomicBool::new(false));
        let inside = Beneath::open(&project, Links::Inside).unwrap();
        symlink("../outside", project.join("link")).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (data, link) = (project.join("data"), project.join("link"));
                while !done.load(Ordering::Relaxed) {
                    rustix::fs::renameat_with(
                        rustix::fs::CWD,
                        &data,
                        rustix::fs::CWD,
                        &link,
                        rustix::fs::RenameFlags::EXCHANGE,
                    )
                    .unwrap();
                }
            });
            let (mut ours, mut refused) = (0, 0);
            while ours < 200 || refused < 200 {
                match text(&inside, "data/a.csv") {
                    Ok(text) => {
                        assert_eq!(text, "ours");
                        ours += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
