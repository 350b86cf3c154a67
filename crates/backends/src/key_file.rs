//! Key files on disk.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use custody_crypto::key_file::{FileKey, KeyFileError};
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
pub fn create(
    path: &Path,
    key: &FileKey,
    passphrase: Option<&str>,
    entropy: &dyn Entropy,
) -> Result<(), KeyAccessError> {
    let failed = |source: io::Error| {
        let path = path.display().to_string();
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyAccessError::Exists(path)
        } else {
            KeyAccessError::Io { path, source }
        }
    };
    let text = Zeroizing::new(key.write(passphrase, entropy)?);
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

/// Reads a key file.
///
/// # Errors
/// [`KeyAccessError`], a variant for each way in which it can be of no use.
pub fn read(path: &Path, passphrase: Option<&str>) -> Result<FileKey, KeyAccessError> {
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
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    Ok(FileKey::read(&text, passphrase)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::machine::SystemEntropy;

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/a.key");
        let key = FileKey::generate(&SystemEntropy);
        create(&path, &key, None, &SystemEntropy).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path, None).unwrap(), key);
        assert!(matches!(
            create(&path, &key, None, &SystemEntropy),
            Err(KeyAccessError::Exists(_))
        ));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            read(&path, None),
            Err(KeyAccessError::Loose { mode: 0o640, .. })
        ));
        assert!(matches!(
            read(&folder.path().join("b"), None),
            Err(KeyAccessError::Missing(_))
        ));
    }
}
