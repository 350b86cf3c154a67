//! The ledger's files in a local folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use custody_ledger::{
    CheckpointStore, LedgerError, PortError, Sequencer, Tiles, Wal, WriteAheadLog,
};
use custody_types::is_no_room;
use rustix::fs::{FlockOperation, flock};

use crate::disk;

/// Holds the folder of a ledger for this process alone, as long as it lives.
#[derive(Debug)]
pub struct LedgerFolder {
    root: PathBuf,
    _lock: File,
    replacing: Arc<Mutex<()>>,
}

/// The write-ahead log.
#[derive(Debug)]
struct WalFile {
    path: PathBuf,
    file: Option<File>,
}

/// Tiles and bundles.
#[derive(Debug)]
struct Files(PathBuf);

/// The checkpoint.
#[derive(Debug)]
struct CheckpointFile {
    path: PathBuf,
    /// Held while it is replaced; other processes are kept out by the folder's lock.
    replacing: Arc<Mutex<()>>,
}

fn failed(path: &Path, error: io::Error) -> PortError {
    let file = path.display().to_string();
    if is_no_room(&error) {
        PortError::NoSpace { file }
    } else {
        PortError::Failed {
            file,
            source: Arc::new(error),
        }
    }
}

impl LedgerFolder {
    /// Takes the folder, which is created where there is none.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] when another process has it; [`LedgerError::Storage`].
    pub fn take(root: &Path) -> Result<Self, LedgerError> {
        disk::create_folder(root).map_err(|error| failed(root, error))?;
        let path = root.join("lock");
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut lock = open.map_err(|error| failed(&path, error))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            // Who holds it is only told where it can be read: it may be about to write it.
            let _ = lock.read_to_string(&mut pid);
            let pid = Some(pid.trim()).filter(|pid| !pid.is_empty());
            return Err(LedgerError::Busy {
                pid: pid.unwrap_or("unknown").to_owned(),
            });
        }
        let pid = format!("{}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.seek(SeekFrom::Start(0)))
            .and_then(|_| lock.write_all(pid.as_bytes()))
            .map_err(|error| failed(&path, error))?;
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
            replacing: Arc::default(),
        })
    }

    /// Returns where entries get their positions: the write-ahead log.
    pub fn sequencer(&self) -> Box<dyn Sequencer> {
        Box::new(WriteAheadLog::new(self.wal()))
    }

    /// Returns the bytes of the write-ahead log.
    pub fn wal(&self) -> Box<dyn Wal> {
        Box::new(WalFile {
            path: self.root.join("wal"),
            file: None,
        })
    }

    /// Returns tiles and bundles.
    pub fn tiles(&self) -> Arc<dyn Tiles> {
        Arc::new(Files(self.root.clone()))
    }

    /// Returns the checkpoint.
    pub fn head(&self) -> Arc<dyn CheckpointStore> {
        Arc::new(CheckpointFile {
            path: self.root.join("checkpoint"),
            replacing: self.replacing.clone(),
        })
    }
}

impl WalFile {
    fn open(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().read(true).write(true).open(&self.path)?,
        };
        Ok(self.file.insert(file))
    }
}

impl Wal for WalFile {
    fn load(&mut self) -> Result<Vec<u8>, PortError> {
        disk::read(&self.path)
            .map(Option::unwrap_or_default)
            .map_err(|error| failed(&self.path, error))
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), PortError> {
        let path = self.path.clone();
        let file = self.open().map_err(|error| failed(&path, error))?;
        file.write_all_at(bytes, at)
            .and_then(|()| file.sync_data())
            .map_err(|error| failed(&path, error))
    }

    fn renew(&mut self, beginning: &[u8], length: u64) -> Result<(), PortError> {
        self.file = None;
        let mut content = beginning.to_vec();
        content.resize(usize::try_from(length).unwrap_or(content.len()), 0);
        disk::replace(&self.path, &content).map_err(|error| failed(&self.path, error))
    }
}

impl Tiles for Files {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, PortError> {
        let path = self.0.join(path);
        disk::read(&path).map_err(|error| failed(&path, error))
    }

    fn write(&self, files: &[(String, Vec<u8>)]) -> Result<(), PortError> {
        let mut folders = std::collections::BTreeSet::new();
        for (name, bytes) in files {
            let path = self.0.join(name);
            let folder = path.parent().unwrap_or(&self.0);
            disk::create_folder(folder)
                .and_then(|()| disk::write_synced(&path, bytes))
                .map_err(|error| failed(&path, error))?;
            // The folder may be new, and so may those above it.
            folders.extend(
                folder
                    .ancestors()
                    .take_while(|above| above.starts_with(&self.0))
                    .map(Path::to_path_buf),
            );
        }
        folders
            .iter()
            .try_for_each(|folder| disk::sync_folder(folder).map_err(|error| failed(folder, error)))
    }

    #[expect(clippy::disallowed_methods, reason = "this is where files are removed")]
    fn remove(&self, paths: &[String]) {
        for path in paths {
            let path = self.0.join(path);
            let _ = std::fs::remove_file(&path);
            // The folder of partial tiles, once it is empty.
            if let Some(folder) = path.parent() {
                let _ = std::fs::remove_dir(folder);
            }
        }
    }
}

impl CheckpointStore for CheckpointFile {
    fn load(&self) -> Result<Option<String>, PortError> {
        let path = &self.path;
        let bytes = disk::read(path).map_err(|error| failed(path, error))?;
        bytes
            .map(|bytes| {
                String::from_utf8(bytes).map_err(|error| PortError::Failed {
                    file: path.display().to_string(),
                    source: Arc::new(error),
                })
            })
            .transpose()
    }

    fn replace(&self, old: Option<&str>, new: &str) -> Result<(), PortError> {
        let path = &self.path;
        let _one = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let there = self.load()?;
        if there.as_deref() != old && there.as_deref() != Some(new) {
            return Err(PortError::Conflict {
                file: path.display().to_string(),
            });
        }
        disk::replace(path, new.as_bytes()).map_err(|error| failed(path, error))
    }
}

#[cfg(test)]
mod tests {
    use custody_ledger::testing::{
        check_checkpoint_store, check_sequencer, check_tiles, check_wal,
    };

    use super::*;

    #[test]
    fn files_do_what_every_implementation_must() {
        let folder = tempfile::tempdir().unwrap();
        let files = LedgerFolder::take(folder.path()).unwrap();
        check_checkpoint_store(&|| files.head());
        check_tiles(&|| files.tiles());
        check_wal(&|| files.wal());
        let fresh = tempfile::tempdir().unwrap();
        let others = LedgerFolder::take(fresh.path()).unwrap();
        check_sequencer(&|| others.sequencer());
        assert!(matches!(
            LedgerFolder::take(folder.path()),
            Err(LedgerError::Busy { .. })
        ));
    }
}
