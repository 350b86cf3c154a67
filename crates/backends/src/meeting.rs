//! The socket at which the process that works in a workspace meets others of the same user.
//!
//! It lies in the folder of the ledger, which only its owner may enter. Paths of sockets are short, so it is
//! named from the folder as it is open here.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

const NAME: &str = "socket";

/// The socket's path by way of the open folder, which must live as long as the path is used.
fn path(ledger: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(ledger, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd());
    Ok((folder, PathBuf::from(path)))
}

/// Listens in the ledger's folder `ledger`. Only who holds the folder may: what an earlier process left there
/// is removed.
///
/// # Errors
/// What the system says, such as of a file system without sockets.
pub fn listen(ledger: &Path) -> io::Result<UnixListener> {
    leave(ledger);
    let (_folder, path) = path(ledger)?;
    UnixListener::bind(path)
}

/// Removes the socket; whoever is connected stays so.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the socket is removed"
)]
pub fn leave(ledger: &Path) {
    // One that cannot be removed answers nobody.
    let _ = std::fs::remove_file(ledger.join(NAME));
}

/// Connects to the process that listens in the ledger's folder `ledger`.
///
/// # Errors
/// What the system says: nobody listens, most often.
pub fn connect(ledger: &Path) -> io::Result<UnixStream> {
    let (_folder, path) = path(ledger)?;
    UnixStream::connect(path)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn processes_meet_however_long_the_path_is() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("long".repeat(50)).join("ledger");
        crate::disk::create_folder(&ledger).unwrap();
        assert!(connect(&ledger).is_err());
        for _ in 0..2 {
            // The second time over what the first left.
            let listener = listen(&ledger).unwrap();
            let mut one = connect(&ledger).unwrap();
            let (mut other, _) = listener.accept().unwrap();
            other.write_all(b"x").unwrap();
            one.read_exact(&mut [0]).unwrap();
        }
        assert!(connect(&ledger).is_err(), "nobody listens any more");
        leave(&ledger);
        assert!(!ledger.join(NAME).exists());
    }
}
