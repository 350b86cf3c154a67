//! Packs in a local folder.
#![expect(clippy::disallowed_methods, reason = "this is where files are written")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use custody_store::{BlobError, Blobs, PackId};
use custody_types::is_no_room;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::disk;

/// Packs as files: `<two digits>/<id>.pack`, and below `tmp/`, in a folder for each process, those that are not
/// published. A process holds the lock of its folder as long as it lives.
#[derive(Debug)]
pub struct LocalBlobs {
    root: PathBuf,
    /// What this process put and did not publish yet.
    own: Mutex<Option<Own>>,
    /// Whether this file system was seen to refuse writes past its cache.
    refuses_direct: AtomicBool,
}

/// The folder of this process.
#[derive(Debug)]
struct Own {
    folder: PathBuf,
    _lock: File,
    packs: BTreeSet<PackId>,
}

impl Own {
    /// Makes a folder that nobody else has, and takes its lock.
    fn begin(tmp: &Path) -> io::Result<Self> {
        loop {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            let folder = tmp.join(format!("{:016x}", u64::from_be_bytes(random)));
            disk::create_folder(&folder)?;
            let lock = match File::open(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            // A sweep may come between.
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
                Ok(()) if is_there(&folder, &lock) => {
                    return Ok(Self {
                        folder,
                        _lock: lock,
                        packs: BTreeSet::new(),
                    });
                }
                Ok(()) => {}
            }
        }
    }

    fn path(&self, pack: &PackId) -> PathBuf {
        self.folder.join(format!("{pack}.pack"))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // With something in it, it is left to a sweep.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Whether the open file is what the path leads to.
fn is_there(path: &Path, file: &File) -> bool {
    let both = fs::metadata(path).and_then(|there| Ok((there, file.metadata()?)));
    both.is_ok_and(|(there, held)| (there.dev(), there.ino()) == (held.dev(), held.ino()))
}

/// The shortest pack that is written past the cache.
const DIRECT_BYTES: usize = 1 << 20;

fn failed(path: &Path, error: io::Error) -> BlobError {
    let name = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound => BlobError::Missing { name },
        io::ErrorKind::UnexpectedEof => BlobError::Short { name },
        _ if is_no_room(&error) => BlobError::NoSpace { name },
        _ => BlobError::Failed {
            name,
            source: error,
        },
    }
}

impl LocalBlobs {
    /// Uses the folder `root`, which is created where there is none.
    ///
    /// # Errors
    /// [`BlobError::Failed`] when it cannot be created.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        let tmp = root.join("tmp");
        disk::create_folder(&tmp).map_err(|error| failed(&tmp, error))?;
        Ok(Self {
            root: root.to_owned(),
            own: Mutex::default(),
            refuses_direct: AtomicBool::new(false),
        })
    }

    fn own(&self) -> MutexGuard<'_, Option<Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where this process puts a pack, if it put one.
    fn temporary(&self, pack: &PackId) -> Option<PathBuf> {
        Some(self.own().as_ref()?.path(pack))
    }

    /// Takes an id for this process. Returns where its pack goes; `None`: it was taken before.
    fn reserve(&self, pack: &PackId) -> Result<Option<PathBuf>, BlobError> {
        let mut own = self.own();
        let own = match own.as_mut() {
            Some(own) => own,
            None => {
                let tmp = self.root.join("tmp");
                own.insert(Own::begin(&tmp).map_err(|error| failed(&tmp, error))?)
            }
        };
        Ok(own.packs.insert(*pack).then(|| own.path(pack)))
    }

    fn release(&self, pack: &PackId) {
        if let Some(own) = self.own().as_mut() {
            own.packs.remove(pack);
        }
    }

    /// Answers for an id that has a pack already: the same one again is no error.
    fn there(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError> {
        let same = self.size(pack)? == bytes.len() as u64
            && self.read(pack, 0..bytes.len() as u64)? == bytes;
        same.then_some(()).ok_or_else(|| BlobError::Exists {
            name: self.name(pack),
        })
    }

    fn path(&self, pack: &PackId) -> PathBuf {
        let name = pack.to_string();
        let folder: String = name.chars().take(2).collect();
        self.root.join(folder).join(format!("{name}.pack"))
    }
}

impl LocalBlobs {
    /// Opens a pack where it is: published or not.
    fn find(&self, pack: &PackId) -> Result<File, BlobError> {
        let path = self.path(pack);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let own = self.temporary(pack).map(File::open);
                own.and_then(Result::ok).ok_or_else(|| failed(&path, error))
            }
            opened => opened.map_err(|error| failed(&path, error)),
        }
    }

    /// Writes past the cache where the file system takes that, and the ordinary way where it does not: a pack is
    /// read rarely soon after it was written, and the copy into the cache costs more than all the rest.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let refused = self.refuses_direct.load(Ordering::Relaxed);
        if bytes.len() < DIRECT_BYTES || refused {
            return disk::write_synced(path, bytes);
        }
        match disk::write_direct(path, bytes) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.refuses_direct.store(true, Ordering::Relaxed);
                disk::write_synced(path, bytes)
            }
            Err(error) => Err(error),
        }
    }
}

/// Gives a file its name unless something has it.
///
/// CRASH: where the file system has no such renaming, the file may have both names: the first is removed by the next
/// sweep.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to).and_then(|()| fs::remove_file(from))
        }
        done => Ok(done?),
    }
}

impl Blobs for LocalBlobs {
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError> {
        if self.path(pack).exists() {
            return self.there(pack, bytes);
        }
        let Some(path) = self.reserve(pack)? else {
            return self.there(pack, bytes);
        };
        self.write(&path, bytes).map_err(|error| {
            // What was begun is of no use to anyone; the sweep would find it as well.
            let _ = fs::remove_file(&path);
            self.release(pack);
            failed(&path, error)
        })
    }

    fn publish(&self, packs: &[PackId]) -> Result<(), BlobError> {
        let mut folders = BTreeSet::from([self.root.clone()]);
        for pack in packs {
            let to = self.path(pack);
            let folder = to.parent().unwrap_or(&self.root).to_owned();
            // Also of one that is published: whoever did it may not have come to make that durable.
            folders.insert(folder.clone());
            let Some(from) = self.temporary(pack).filter(|from| from.exists()) else {
                if to.exists() {
                    continue;
                }
                return Err(BlobError::Missing {
                    name: to.display().to_string(),
                });
            };
            disk::create_folder(&folder).map_err(|error| failed(&folder, error))?;
            match rename_new(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // Somebody else published it meanwhile.
                    let bytes = fs::read(&from).map_err(|error| failed(&from, error))?;
                    self.there(pack, &bytes)?;
                    self.discard(&[*pack])?;
                }
                renamed => renamed.map_err(|error| failed(&to, error))?,
            }
            self.release(pack);
        }
        if packs.is_empty() {
            return Ok(());
        }
        folders
            .iter()
            .try_for_each(|folder| disk::sync_folder(folder).map_err(|error| failed(folder, error)))
    }

    fn discard(&self, packs: &[PackId]) -> Result<(), BlobError> {
        for pack in packs {
            let Some(path) = self.temporary(pack) else {
                continue;
            };
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&path, error));
                }
                _ => self.release(pack),
            }
        }
        Ok(())
    }

    fn delete(&self, packs: &[PackId]) -> Result<(), BlobError> {
        let mut folders = BTreeSet::new();
        for pack in packs {
            let path = self.path(pack);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&path, error));
                }
                _ => folders.extend(path.parent().map(Path::to_owned)),
            }
        }
        folders
            .iter()
            .filter(|folder| folder.exists())
            .try_for_each(|folder| disk::sync_folder(folder).map_err(|error| failed(folder, error)))
    }

    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let path = self.path(pack);
        let file = self.find(pack)?;
        let length = file.metadata().map_err(|error| failed(&path, error))?.len();
        if range.end > length {
            return Err(BlobError::Short {
                name: path.display().to_string(),
            });
        }
        let mut bytes =
            vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
        file.read_exact_at(&mut bytes, range.start)
            .map_err(|error| failed(&path, error))?;
        Ok(bytes)
    }

    fn size(&self, pack: &PackId) -> Result<u64, BlobError> {
        let path = self.path(pack);
        self.find(pack)?
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(|error| failed(&path, error))
    }

    fn list(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, BlobError> {
        let names = |folder: &Path| -> Result<Vec<PathBuf>, BlobError> {
            let read = fs::read_dir(folder).map_err(|error| failed(folder, error))?;
            let paths = read.map(|file| Ok(file.map_err(|error| failed(folder, error))?.path()));
            paths.collect()
        };
        let first = after.and_then(|after| self.path(after).parent().map(Path::to_path_buf));
        let mut folders = names(&self.root)?;
        folders.retain(|folder| {
            !folder.ends_with("tmp") && folder.is_dir() && first.as_ref() <= Some(folder)
        });
        folders.sort();
        let mut packs = Vec::new();
        for folder in folders {
            if packs.len() >= limit {
                break;
            }
            let files = names(&folder)?.into_iter();
            let ids = files.filter_map(|path| path.file_stem()?.to_str()?.parse::<PackId>().ok());
            let mut ids: Vec<_> = ids
                .filter(|id| after.is_none_or(|after| id > after))
                .collect();
            ids.sort();
            packs.extend(ids);
        }
        packs.truncate(limit);
        Ok(packs)
    }

    fn sweep(&self) -> Result<(), BlobError> {
        let tmp = self.root.join("tmp");
        for file in fs::read_dir(&tmp).map_err(|error| failed(&tmp, error))? {
            let path = file.map_err(|error| failed(&tmp, error))?.path();
            // Before each process had its folder, they lay here.
            let removed = if path.is_dir() {
                let held = File::open(&path).map(|folder| {
                    let held = flock(&folder, FlockOperation::NonBlockingLockExclusive);
                    (held, folder)
                });
                match held {
                    Ok((Ok(()), _lock)) => fs::remove_dir_all(&path),
                    Ok((Err(Errno::WOULDBLOCK), _)) => continue,
                    Ok((Err(error), _)) => Err(error.into()),
                    Err(error) => Err(error),
                }
            } else {
                fs::remove_file(&path)
            };
            match removed {
                // It was done by somebody else, or by its own process.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|error| failed(&path, error))?,
            }
        }
        Ok(())
    }

    fn name(&self, pack: &PackId) -> String {
        self.path(pack).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use custody_store::ALIGNMENT;

    use super::*;

    #[test]
    fn files_do_what_every_implementation_must() {
        let folder = tempfile::tempdir().unwrap();
        custody_store::testing::check_blobs(&|| LocalBlobs::open(folder.path()).unwrap());
        // What lay there in the form of before is removed, and nothing is left of processes that ended.
        let tmp = folder.path().join("tmp");
        fs::write(tmp.join("old.pack"), "old").unwrap();
        LocalBlobs::open(folder.path()).unwrap().sweep().unwrap();
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
    }

    #[test]
    fn a_pack_is_the_same_however_it_is_written_and_is_read_before_it_is_published() {
        for refuses in [false, true] {
            for (shift, length) in [(0, 1 << 20), (0, (1 << 20) + 17), (1, 1 << 20), (0, 17)] {
                let folder = tempfile::tempdir().unwrap();
                let blobs = LocalBlobs::open(folder.path()).unwrap();
                blobs.refuses_direct.store(refuses, Ordering::Relaxed);
                let mut room = vec![7_u8; length + 2 * ALIGNMENT];
                let at = room.as_ptr().align_offset(ALIGNMENT) + shift;
                room.truncate(at + length);
                let bytes = &room[at..];
                let pack = PackId::from_bytes([1; 16]);
                blobs.put(&pack, bytes).unwrap();
                let all = 0..length as u64;
                assert!(blobs.list(None, 9).unwrap().is_empty());
                assert!(blobs.read(&pack, all.clone()).unwrap() == bytes);
                blobs.publish(&[pack]).unwrap();
                blobs.discard(&[pack]).unwrap();
                assert_eq!(blobs.list(None, 9).unwrap(), [pack]);
                assert_eq!(blobs.size(&pack).unwrap(), length as u64);
                assert!(blobs.read(&pack, all.clone()).unwrap() == bytes);
                let other = PackId::from_bytes([2; 16]);
                blobs.put(&other, bytes).unwrap();
                blobs.discard(&[other, other]).unwrap();
                let gone = blobs.read(&other, all);
                assert!(matches!(gone, Err(BlobError::Missing { .. })), "{gone:?}");
            }
        }
    }
}
