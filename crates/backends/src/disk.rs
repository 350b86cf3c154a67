//! Durable writing on local files.
#![expect(clippy::disallowed_methods, reason = "this is where files are written")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Creates a folder, with those above it, that only its owner may enter. No error when it is there.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file that only its owner may read, and makes its bytes durable; not its name.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// The unit of writes past the cache: memory, place and length are multiples of it.
const BLOCK: usize = custody_store::ALIGNMENT;

/// A block in memory at a multiple of its length.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// Writes like [`write_synced`], straight from `bytes` to the disk where they begin at a multiple of
/// [`BLOCK`] in memory. `false`: the file system refuses that, or what it took is not what lies there; the file
/// must then be written anew in the ordinary way.
///
/// The last block is filled up with zeros and the file then cut to its length, so that the file is never
/// written in both ways. What was written is not yet durable: the device has a cache, the file a length.
///
/// CRASH: before the end the file has a wrong length or holes; nobody may know its name yet.
pub(crate) fn write_direct(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if bytes.as_ptr().align_offset(BLOCK) != 0 {
        return Ok(false);
    }
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::DIRECT.bits().cast_signed())
        .open(path);
    let written = opened.and_then(|file| {
        let whole = bytes.len() / BLOCK * BLOCK;
        let (blocks, rest) = bytes.split_at(whole);
        file.write_all_at(blocks, 0)?;
        if !rest.is_empty() {
            let mut last = Block([0; BLOCK]);
            last.0
                .iter_mut()
                .zip(rest)
                .for_each(|(to, from)| *to = *from);
            file.write_all_at(&last.0, whole as u64)?;
        }
        file.set_len(bytes.len() as u64)?;
        file.sync_data()
    });
    match written {
        Ok(()) => lies_there(path, bytes),
        Err(error) if refuses_direct(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether an error says that the file system, or its device, does not take writes past its cache.
fn refuses_direct(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

/// Reads the first and the last block back: there are file systems that take writes past their cache and lose
/// them.
fn lies_there(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = File::open(path)?;
    if file.metadata()?.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut block = [0; BLOCK];
    for at in [0, bytes.len().saturating_sub(BLOCK)] {
        let expected = bytes.get(at..).unwrap_or_default();
        let expected = expected.get(..BLOCK).unwrap_or(expected);
        let found = block.get_mut(..expected.len()).unwrap_or_default();
        file.read_exact_at(found, at as u64)?;
        if found != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Replaces a file atomically and durably.
///
/// CRASH: before the rename the old file is whole; after it the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // On a full disk what was begun would only be in the way.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    path.parent().map_or(Ok(()), sync_folder)
}

/// Reads a file; `None` when there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates an empty file that only its owner may read; leaves one that is there.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Moves a database that cannot be read out of the way, with the files beside it.
pub(crate) fn set_aside(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let mut aside = name.clone();
        aside.push(".damaged");
        match fs::rename(&name, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `check` with `length` bytes that begin `shift` bytes behind an aligned place.
    fn with_bytes(length: usize, shift: usize, check: impl FnOnce(&[u8])) {
        let mut room: Vec<u8> = (0..length + 2 * BLOCK)
            .map(|number| u8::try_from(number % 251).unwrap())
            .collect();
        let at = room.as_ptr().align_offset(BLOCK) + shift;
        room.truncate(at + length);
        check(&room[at..]);
    }

    #[test]
    fn what_is_written_past_the_cache_is_what_was_given() {
        let folder = tempfile::tempdir().unwrap();
        for (number, length) in [1, 511, 4095, 4096, 4097, 1 << 20, (1 << 20) + 4095]
            .into_iter()
            .enumerate()
        {
            with_bytes(length, 0, |bytes| {
                let path = folder.path().join(number.to_string());
                if !write_direct(&path, bytes).unwrap() {
                    write_synced(&path, bytes).unwrap();
                }
                assert!(fs::read(&path).unwrap() == bytes, "{length}");
                // Over a longer file as well.
                with_bytes(length / 2 + 1, 0, |shorter| {
                    if !write_direct(&path, shorter).unwrap() {
                        write_synced(&path, shorter).unwrap();
                    }
                    assert!(fs::read(&path).unwrap() == shorter, "{length}");
                });
            });
        }
    }

    #[test]
    fn a_refusal_is_no_error_and_a_full_disk_is() {
        let folder = tempfile::tempdir().unwrap();
        with_bytes(10_000, 1, |bytes| {
            assert!(!write_direct(&folder.path().join("a"), bytes).unwrap());
        });
        // No device of this kind takes writes past a cache that it has not.
        with_bytes(10_000, 0, |bytes| {
            assert!(!write_direct(Path::new("/dev/null"), bytes).unwrap());
        });
        let error = write_synced(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(custody_types::is_no_room(&error), "{error}");
    }

    #[test]
    fn what_lies_there_is_compared_with_what_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        with_bytes(10_000, 0, |bytes| {
            write_synced(&path, bytes).unwrap();
            assert!(lies_there(&path, bytes).unwrap());
            let mut changed = bytes.to_vec();
            changed[9_999] ^= 1;
            write_synced(&path, &changed).unwrap();
            assert!(!lies_there(&path, bytes).unwrap());
            write_synced(&path, &bytes[..9_999]).unwrap();
            assert!(!lies_there(&path, bytes).unwrap());
        });
    }
}
