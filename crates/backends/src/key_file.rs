//! Key files on disk.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use custody_crypto::key_file::{KeyFile, KeyFileError};
use custody_types::Entropy;
use zeroize::Zeroizing;

use crate::disk;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyAccessError {
    /// There is no such file.
    #[error("there is no key file `{0}`")]
    Missing(String),
    /// There is one already, and it is never overwritten.
    #[error("there is already a key file `{0}`")]
    Exists(String),
    /// Others than the owner may read it.
    #[error("the key file `{path}` may be read by others (mode {mode:o})")]
    Loose {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to another user, who could not read it once this one wrote it.
    #[error("the key file `{0}` belongs to another user")]
    Foreign(String),
    /// It gives no key.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// It cannot be read or written.
    #[error("the key file `{path}` cannot be read or written")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Removes a key file that was just made and protects nothing.
#[expect(clippy::disallowed_methods, reason = "this is where the file was made")]
pub fn discard(path: &Path) {
    // One that stays does no harm: no workspace knows its key.
    let _ = std::fs::remove_file(path);
}

/// Writes a new key file, readable by its owner only, and durable.
///
/// # Errors
/// [`KeyAccessError::Exists`] when there is one; [`KeyAccessError::Io`].
pub fn create(path: &Path, file: &KeyFile, entropy: &dyn Entropy) -> Result<(), KeyAccessError> {
    let failed = |source: io::Error| {
        let path = path.display().to_string();
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyAccessError::Exists(path)
        } else {
            KeyAccessError::Io { path, source }
        }
    };
    let text = file.write(entropy)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    disk::create_folder(folder).map_err(failed)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| disk::sync_folder(folder))
        .map_err(|error| {
            // Half a key file protects nothing, and would be in the way of a whole one.
            discard(path);
            failed(error)
        })
}

/// A key file that was read, and can be written again.
#[derive(Debug)]
pub struct OpenKeyFile {
    path: PathBuf,
    file: KeyFile,
}

impl OpenKeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyAccessError`], a variant for each way in which it can be of no use.
    pub fn read(path: &Path, passphrase: Option<&str>) -> Result<Self, KeyAccessError> {
        let text = read_private(path)?;
        Ok(Self {
            path: path.to_owned(),
            file: KeyFile::read(&text, passphrase)?,
        })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what it held when it was read or written last.
    pub const fn file(&self) -> &KeyFile {
        &self.file
    }

    /// Reads it again, as another process may have written it.
    ///
    /// # Errors
    /// [`KeyAccessError`]; [`KeyFileError::WrongPassphrase`] in it when the passphrase is another one now.
    pub fn refresh(&mut self) -> Result<(), KeyAccessError> {
        self.file = self.file.read_again(&read_private(&self.path)?)?;
        Ok(())
    }

    /// Replaces what it holds, atomically and durably.
    ///
    /// # Errors
    /// [`KeyAccessError::Foreign`]; [`KeyAccessError::Io`]: then it holds either, and [`OpenKeyFile::refresh`] tells which.
    pub fn replace(&mut self, file: KeyFile, entropy: &dyn Entropy) -> Result<(), KeyAccessError> {
        let name = || self.path.display().to_string();
        let failed = |source: io::Error| KeyAccessError::Io {
            path: name(),
            source,
        };
        let text = file.write(entropy)?;
        // Where the path is a link, what it leads to is replaced, not the link.
        let place = std::fs::canonicalize(&self.path).map_err(failed)?;
        let owner = std::fs::metadata(&place).map_err(failed)?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(KeyAccessError::Foreign(name()));
        }
        disk::replace(&place, text.as_bytes()).map_err(failed)?;
        self.file = file;
        Ok(())
    }
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyAccessError> {
    let name = path.display().to_string();
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::NotFound {
            KeyAccessError::Missing(name.clone())
        } else {
            KeyAccessError::Io {
                path: name.clone(),
                source,
            }
        }
    };
    let mode = std::fs::metadata(path).map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyAccessError::Loose { path: name, mode });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use custody_crypto::key_file::FileKey;

    use super::*;
    use crate::machine::SystemEntropy;

    fn drawn() -> KeyFile {
        KeyFile::new(FileKey::generate(&SystemEntropy), None, &SystemEntropy).unwrap()
    }

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/a.key");
        let key = drawn();
        create(&path, &key, &SystemEntropy).unwrap();
        let read = |path: &Path| OpenKeyFile::read(path, None);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().file(), &key);
        assert!(matches!(
            create(&path, &key, &SystemEntropy),
            Err(KeyAccessError::Exists(_))
        ));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            read(&path),
            Err(KeyAccessError::Loose { mode: 0o640, .. })
        ));
        assert!(matches!(
            read(&folder.path().join("b")),
            Err(KeyAccessError::Missing(_))
        ));
    }

    #[test]
    fn what_a_link_leads_to_is_replaced_and_stays_private() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.key"), folder.path().join("link"));
        create(&path, &drawn(), &SystemEntropy).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut open = OpenKeyFile::read(&link, None).unwrap();
        let mut other = OpenKeyFile::read(&path, None).unwrap();
        let both = open.file().with_next(FileKey::generate(&SystemEntropy));
        open.replace(both.clone(), &SystemEntropy).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        other.refresh().unwrap();
        assert_eq!((open.file(), other.file()), (&both, &both));
    }
}
