//! What a step wrote: looked over as a whole, then sent. Every process of the step is gone by then, so that nothing
//! changes between the look and the reading.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::spec::{Limits, Over};
use crate::wire::{self, Report};

/// The longest path that the kernel takes, in bytes, without the zero at its end.
const PATH: usize = 4095;
/// How much of a path that is too long is told, in characters.
const TOLD: usize = 60;

/// Looks over the output `name` in the folder `all`: returns what to say where it cannot be taken. Nothing of it is
/// held in memory.
pub(crate) fn survey(all: &Path, name: &str, limits: &Limits) -> io::Result<Option<Report>> {
    let mut survey = Survey {
        output: name,
        limits,
        files: 0,
        bytes: 0,
    };
    survey.folder(&all.join(name), "")
}

struct Survey<'a> {
    output: &'a str,
    limits: &'a Limits,
    files: u32,
    bytes: u64,
}

impl Survey<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str) -> io::Result<Option<Report>> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            self.files = self.files.saturating_add(1);
            if self.files > self.limits.files {
                return Ok(Some(self.over(Over::Files)));
            }
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().as_os_str().len() > PATH {
                let told: String = path.chars().take(TOLD).collect();
                return Ok(Some(self.bad(
                    format!("{told}…"),
                    "lies too deep: its path is longer than 4,095 bytes",
                )));
            }
            if entry.file_name().to_str().is_none() {
                return Ok(Some(self.bad(path, "has a name that is no text")));
            }
            let metadata = fs::symlink_metadata(entry.path())?;
            let because = if metadata.is_dir() {
                let refused = self.folder(&entry.path(), &format!("{path}/"))?;
                if refused.is_some() {
                    return Ok(refused);
                }
                continue;
            } else if metadata.is_symlink() {
                "is a symbolic link"
            } else if !metadata.is_file() {
                "is no plain file"
            } else if metadata.nlink() > 1 {
                "is a hard link"
            } else {
                // What is read, holes too, and not what it takes in memory.
                self.bytes = self.bytes.saturating_add(metadata.len());
                if self.bytes > self.limits.output.bytes() {
                    return Ok(Some(self.over(Over::Size)));
                }
                continue;
            };
            return Ok(Some(self.bad(path, because)));
        }
        Ok(None)
    }

    fn bad(&self, path: String, because: &str) -> Report {
        Report::BadOutput {
            output: self.output.to_owned(),
            path,
            because: because.to_owned(),
        }
    }

    fn over(&self, over: Over) -> Report {
        Report::OverLimit {
            output: self.output.to_owned(),
            over,
        }
    }
}

/// Sends the files of the output `name` in the folder `all`, which was looked over.
pub(crate) fn send(socket: &mut UnixStream, all: &Path, name: &str) -> io::Result<()> {
    send_folder(socket, name, &all.join(name), "")
}

fn send_folder(
    socket: &mut UnixStream,
    output: &str,
    folder: &Path,
    prefix: &str,
) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = fs::symlink_metadata(entry.path())?;
        if metadata.is_dir() {
            send_folder(socket, output, &entry.path(), &format!("{path}/"))?;
        } else {
            send_file(socket, output, path, &entry.path(), &metadata)?;
        }
    }
    Ok(())
}

fn send_file(
    socket: &mut UnixStream,
    output: &str,
    path: String,
    from: &Path,
    metadata: &fs::Metadata,
) -> io::Result<()> {
    let executable = metadata.permissions().mode() & 0o111 != 0;
    let report = Report::File {
        output: output.to_owned(),
        path,
        executable,
        size: metadata.len(),
    };
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(from)?;
    wire::tell(socket, &report)?;
    let sent = io::copy(&mut Read::by_ref(&mut file).take(metadata.len()), socket)?;
    if sent == metadata.len() {
        Ok(())
    } else {
        Err(io::Error::other("an output changed while it was read"))
    }
}

#[cfg(test)]
mod tests {
    use custody_types::ByteSize;

    use super::*;

    #[test]
    fn what_is_too_much_is_seen_before_anything_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("made/sub")).unwrap();
        let check = |files, bytes| {
            let limits = Limits {
                files,
                output: ByteSize::from_bytes(bytes),
                ..Limits::default()
            };
            survey(folder.path(), "made", &limits).unwrap()
        };
        for name in ["a", "sub/b"] {
            let path = folder.path().join("made").join(name);
            let file = fs::File::create_new(path).unwrap();
            file.set_len(1 << 30).unwrap();
        }
        assert!(check(3, 2 << 30).is_none());
        for (files, bytes, expected) in [(2, 2 << 30, Over::Files), (3, (2 << 30) - 1, Over::Size)]
        {
            match check(files, bytes) {
                Some(Report::OverLimit { output, over }) => {
                    assert_eq!((output.as_str(), over), ("made", expected));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
