//! Packs in a local folder.
#![expect(clippy::disallowed_methods, reason = "this is where files are written")]

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use custody_store::{BlobError, Blobs, PackId};
use custody_types::is_no_room;

use crate::disk;

/// Packs as files: `<two digits>/<id>.pack`, and `tmp/` for those that are not published.
#[derive(Debug)]
pub struct LocalBlobs {
    root: PathBuf,
    /// Whether this file system was seen to refuse writes past its cache.
    refuses_direct: AtomicBool,
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
            refuses_direct: AtomicBool::new(false),
        })
    }

    fn temporary(&self, pack: &PackId) -> PathBuf {
        self.root.join("tmp").join(format!("{pack}.pack"))
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
                File::open(self.temporary(pack)).map_err(|_| failed(&path, error))
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

impl Blobs for LocalBlobs {
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError> {
        let path = self.temporary(pack);
        self.write(&path, bytes).map_err(|error| {
            // What was begun is of no use to anyone; the sweep would find it as well.
            let _ = fs::remove_file(&path);
            failed(&path, error)
        })
    }

    fn publish(&self, packs: &[PackId]) -> Result<(), BlobError> {
        let mut folders = std::collections::BTreeSet::from([self.root.clone()]);
        for pack in packs {
            let (from, to) = (self.temporary(pack), self.path(pack));
            if to.exists() && !from.exists() {
                continue;
            }
            let folder = to.parent().unwrap_or(&self.root).to_owned();
            disk::create_folder(&folder)
                .and_then(|()| fs::rename(&from, &to))
                .map_err(|error| failed(&to, error))?;
            folders.insert(folder);
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
            let path = self.temporary(pack);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&path, error));
                }
                _ => {}
            }
        }
        Ok(())
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

    fn list(&self) -> Result<Vec<PackId>, BlobError> {
        let mut packs = Vec::new();
        for folder in fs::read_dir(&self.root).map_err(|error| failed(&self.root, error))? {
            let folder = folder.map_err(|error| failed(&self.root, error))?.path();
            if folder.ends_with("tmp") || !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
                let path = file.map_err(|error| failed(&folder, error))?.path();
                let name = path.file_stem().and_then(|name| name.to_str());
                packs.extend(name.and_then(|name| name.parse::<PackId>().ok()));
            }
        }
        packs.sort();
        Ok(packs)
    }

    fn sweep(&self) -> Result<(), BlobError> {
        let tmp = self.root.join("tmp");
        for file in fs::read_dir(&tmp).map_err(|error| failed(&tmp, error))? {
            let path = file.map_err(|error| failed(&tmp, error))?.path();
            fs::remove_file(&path).map_err(|error| failed(&path, error))?;
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
                assert!(blobs.list().unwrap().is_empty());
                assert!(blobs.read(&pack, all.clone()).unwrap() == bytes);
                blobs.publish(&[pack]).unwrap();
                blobs.discard(&[pack]).unwrap();
                assert_eq!(blobs.list().unwrap(), [pack]);
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
