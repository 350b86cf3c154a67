//! What is in the folder of an environment, and what the file system says of each file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use custody_types::{Digest, FilePath};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{EnvironmentError, each, io_at};

/// The files of an environment.
pub(super) type Inventory = BTreeMap<FilePath, Known>;

pub(super) fn take_inventory(folder: &Path) -> Result<Inventory, EnvironmentError> {
    let mut inventory = BTreeMap::new();
    for (path, stamp) in list(folder)? {
        let known = Known {
            sha256: hash_file(&folder.join(path.as_str()))?,
            executable: stamp.executable(),
            stamp,
        };
        inventory.insert(path, known);
    }
    Ok(inventory)
}

/// Whether two folders hold the same, whatever the file system says of it.
pub(super) fn same(one: &Inventory, other: &Inventory) -> bool {
    let facts = |known: &Known| (known.sha256, known.executable);
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((path, known), (other_path, other_known))| {
                path == other_path && facts(known) == facts(other_known)
            })
}

/// What the inventory knows of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) sha256: Digest,
    pub(super) executable: bool,
    pub(super) stamp: Stamp,
}

/// What the file system says of a file; a change of the content changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) size: u64,
    inode: u64,
    modified_ns: i128,
    changed_ns: i128,
    mode: u32,
}

impl Stamp {
    pub(super) const fn executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

pub(super) fn list(folder: &Path) -> Result<BTreeMap<FilePath, Stamp>, EnvironmentError> {
    let mut found = BTreeMap::new();
    each(folder, &mut |host, metadata| {
        let relative = host.strip_prefix(folder).ok().and_then(Path::to_str);
        let path = relative
            .and_then(|text| text.parse::<FilePath>().ok())
            .filter(|_| metadata.is_file());
        let Some(path) = path else {
            return Err(EnvironmentError::Changed {
                path: host.to_owned(),
            });
        };
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        found.insert(
            path,
            Stamp {
                size: metadata.len(),
                inode: metadata.ino(),
                modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
                changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
                mode: metadata.mode(),
            },
        );
        Ok(())
    })?;
    Ok(found)
}

pub(super) fn hash_file(path: &Path) -> Result<Digest, EnvironmentError> {
    let mut file = File::open(path).map_err(io_at(path))?;
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher).map_err(io_at(path))?;
    Ok(Digest::from_bytes(hasher.finalize().into()))
}
