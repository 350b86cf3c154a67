//! Running tests as an ordinary user.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::support::{LAUNCHER, launcher};

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
