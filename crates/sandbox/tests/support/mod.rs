//! What the tests of the sandbox share.

use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use custody_types::{ByteSize, Digest, FileEntry, FilePath, ReadError, VersionFiles};

/// Names the launcher's program to the copy of these tests that runs as an ordinary user.
const LAUNCHER: &str = "CUSTODY_TEST_LAUNCHER";

#[derive(Debug)]
pub(crate) struct Memory(Vec<(FileEntry, Bytes)>, Vec<FileEntry>);

impl Memory {
    pub(crate) fn of<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Arc<dyn VersionFiles> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| {
                let bytes = Bytes::copy_from_slice(text.as_ref());
                let size = ByteSize::from_bytes(bytes.len() as u64);
                (
                    FileEntry {
                        path: path.parse().unwrap(),
                        size,
                        sha256: Digest::of(&bytes),
                        executable: false,
                    },
                    bytes,
                )
            })
            .collect();
        let entries = files.iter().map(|(entry, _)| entry.clone()).collect();
        Arc::new(Self(files, entries))
    }
}

impl VersionFiles for Memory {
    fn digest(&self) -> Digest {
        custody_types::listing_digest(&self.1)
    }

    fn files(&self) -> &[FileEntry] {
        &self.1
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        let (_, bytes) = self
            .0
            .iter()
            .find(|(entry, _)| entry.path == *path)
            .ok_or_else(|| ReadError::NoSuchFile(path.clone()))?;
        Ok(bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()))
    }
}

/// The launcher's program; a copy of it when these tests run as another user.
pub(crate) fn launcher() -> PathBuf {
    std::env::var_os(LAUNCHER).map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_custody-step-launcher")),
        PathBuf::from,
    )
}

/// Runs all tests of this file but `but` again as `nobody`. Who is not root has run them as an ordinary user
/// already.
pub(crate) fn as_nobody(but: &str, expect: &str) {
    const NOBODY: u32 = 65_534;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (tests, copy) = (folder.path().join("tests"), folder.path().join("launcher"));
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    std::fs::copy(launcher(), &copy).unwrap();
    let output = Command::new(tests)
        .args(["--skip", but])
        .env_clear()
        .env(LAUNCHER, copy)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains(expect),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
