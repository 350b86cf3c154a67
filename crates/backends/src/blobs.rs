//! Packs in a local folder.
#![expect(clippy::disallowed_methods, reason = "this is where files are written")]

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use custody_store::{BlobError, Blobs, PackId};

use crate::disk;

/// Packs as files: `<two digits>/<id>.pack`, and `tmp/` for those that are not published.
#[derive(Debug)]
pub struct LocalBlobs {
    root: PathBuf,
}

fn failed(path: &Path, error: &io::Error) -> BlobError {
    let name = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound => BlobError::Missing { name },
        io::ErrorKind::UnexpectedEof => BlobError::Short { name },
        _ if disk::is_full(error) => BlobError::NoSpace { name },
        _ => BlobError::Failed {
            name,
            because: error.to_string(),
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
        disk::create_folder(&tmp).map_err(|error| failed(&tmp, &error))?;
        Ok(Self {
            root: root.to_owned(),
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

impl Blobs for LocalBlobs {
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError> {
        let path = self.temporary(pack);
        disk::write_synced(&path, bytes).map_err(|error| {
            // What was begun is of no use to anyone; the sweep would find it as well.
            let _ = fs::remove_file(&path);
            failed(&path, &error)
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
                .map_err(|error| failed(&to, &error))?;
            folders.insert(folder);
        }
        if packs.is_empty() {
            return Ok(());
        }
        folders.iter().try_for_each(|folder| {
            disk::sync_folder(folder).map_err(|error| failed(folder, &error))
        })
    }

    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let path = self.path(pack);
        let file = File::open(&path).map_err(|error| failed(&path, &error))?;
        let length = file
            .metadata()
            .map_err(|error| failed(&path, &error))?
            .len();
        if range.end > length {
            return Err(BlobError::Short {
                name: path.display().to_string(),
            });
        }
        let mut bytes =
            vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
        file.read_exact_at(&mut bytes, range.start)
            .map_err(|error| failed(&path, &error))?;
        Ok(bytes)
    }

    fn size(&self, pack: &PackId) -> Result<u64, BlobError> {
        let path = self.path(pack);
        fs::metadata(&path)
            .map(|metadata| metadata.len())
            .map_err(|error| failed(&path, &error))
    }

    fn list(&self) -> Result<Vec<PackId>, BlobError> {
        let mut packs = Vec::new();
        for folder in fs::read_dir(&self.root).map_err(|error| failed(&self.root, &error))? {
            let folder = folder.map_err(|error| failed(&self.root, &error))?.path();
            if folder.ends_with("tmp") || !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(&folder).map_err(|error| failed(&folder, &error))? {
                let path = file.map_err(|error| failed(&folder, &error))?.path();
                let name = path.file_stem().and_then(|name| name.to_str());
                packs.extend(name.and_then(|name| name.parse::<PackId>().ok()));
            }
        }
        packs.sort();
        Ok(packs)
    }

    fn sweep(&self) -> Result<(), BlobError> {
        let tmp = self.root.join("tmp");
        for file in fs::read_dir(&tmp).map_err(|error| failed(&tmp, &error))? {
            let path = file.map_err(|error| failed(&tmp, &error))?.path();
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }

    fn name(&self, pack: &PackId) -> String {
        self.path(pack).display().to_string()
    }
}
