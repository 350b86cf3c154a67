//! The tar stream in which files travel, as both sides read it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::rc::Rc;

use custody_types::{FilePath, NameError};
use tar::{Archive, EntryType};

/// The most bytes that stand before a file's content: its header, a long name, and attributes, the largest of which is a
/// signature ([`SIGNATURE_KEY`](crate::SIGNATURE_KEY)) over some hundred thousand files. They are held in memory.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;

/// A file of the stream.
pub struct Member<'a> {
    /// Its path.
    pub path: FilePath,
    /// Whether it may be executed.
    pub executable: bool,
    /// Its extended attributes (the records of a pax header).
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Its content.
    pub content: &'a mut dyn Read,
}

impl std::fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Hands each file of a tar stream to `take`, in order.
///
/// # Errors
/// When the stream holds anything but regular files with storable names, has more than [`MAX_HEADER_BYTES`] before a
/// file's content, is damaged, or `take` fails.
pub fn read_tar(
    stream: impl Read,
    mut take: impl FnMut(Member<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let room = Rc::new(Cell::new(Some(MAX_HEADER_BYTES)));
    let mut archive = Archive::new(Bounded {
        stream,
        room: Rc::clone(&room),
    });
    for entry in archive.entries()? {
        let mut entry = entry?;
        room.set(None);
        if entry.header().entry_type() != EntryType::Regular {
            return Err(damaged("it holds something that is no regular file"));
        }
        let attributes = entry
            .pax_extensions()?
            .into_iter()
            .flatten()
            .map(|one| one.map(|one| (one.key_bytes().to_vec(), one.value_bytes().to_vec())))
            .collect::<io::Result<_>>()?;
        take(Member {
            path: path(&entry.path_bytes())?,
            executable: entry.header().mode()? & 0o111 != 0,
            attributes,
            content: &mut entry,
        })?;
        io::copy(&mut entry, &mut io::sink())?;
        room.set(Some(MAX_HEADER_BYTES));
    }
    Ok(())
}

fn path(bytes: &[u8]) -> io::Result<FilePath> {
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("a name in it is not UTF-8"))?;
    text.parse()
        .map_err(|error: NameError| damaged(&error.to_string()))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A stream that ends with an error once there is no room left; `None`: without a limit.
struct Bounded<R> {
    stream: R,
    room: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        if let Some(room) = self.room.get() {
            let left = u64::try_from(count)
                .ok()
                .and_then(|count| room.checked_sub(count));
            let left =
                left.ok_or_else(|| damaged("what stands before a file in it is too long"))?;
            self.room.set(Some(left));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<(String, bool, Vec<u8>, usize)>;

    fn read(bytes: &[u8]) -> Result<Found, String> {
        let mut found = Vec::new();
        read_tar(bytes, |member| {
            let mut content = Vec::new();
            member.content.read_to_end(&mut content)?;
            let path = member.path.to_string();
            found.push((path, member.executable, content, member.attributes.len()));
            Ok(())
        })
        .map_err(|error| error.to_string())?;
        Ok(found)
    }

    fn header(kind: EntryType, path: &str, mode: u32, size: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(path).unwrap();
        header.set_mode(mode);
        header.set_size(size);
        header.set_cksum();
        header
    }

    fn stream(entries: &[(EntryType, &str, u32, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (kind, path, mode, content) in entries {
            archive
                .append_pax_extensions([("a", b"1".as_slice())])
                .unwrap();
            let header = header(*kind, path, *mode, content.len() as u64);
            archive.append(&header, *content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn files_are_read_whether_or_not_their_content_is() {
        let bytes = stream(&[
            (EntryType::Regular, "a", 0o644, b"one"),
            (EntryType::Regular, "b/c", 0o755, &[7; 3_000]),
        ]);
        let found = read(&bytes).unwrap();
        assert_eq!(found[0], ("a".to_owned(), false, b"one".to_vec(), 1));
        assert_eq!(found[1], ("b/c".to_owned(), true, vec![7; 3_000], 1));
        let mut names = Vec::new();
        read_tar(bytes.as_slice(), |member| {
            names.push(member.path.to_string());
            Ok(())
        })
        .unwrap();
        assert_eq!(names, ["a", "b/c"]);
    }

    #[test]
    fn other_things_than_files_are_refused() {
        for (kind, path, because) in [
            (EntryType::Symlink, "a", "no regular file"),
            (EntryType::Directory, "a", "no regular file"),
            (EntryType::Char, "a", "no regular file"),
            (EntryType::Link, "a", "no regular file"),
        ] {
            let error = read(&stream(&[(kind, path, 0o644, b"")])).unwrap_err();
            assert!(error.contains(because), "{kind:?}: {error}");
        }
        let mut outside = stream(&[(EntryType::Regular, "aa/b", 0o644, b"x")]);
        let at = outside.windows(4).position(|part| part == b"aa/b").unwrap();
        outside[at..at + 4].copy_from_slice(b"../b");
        assert!(read(&outside).is_err());
        let whole = stream(&[(EntryType::Regular, "a", 0o644, &[1; 2_000])]);
        assert!(read(&whole[..whole.len() / 2]).is_err());
    }

    /// A name as long as the client pleases would be held in memory.
    #[test]
    fn an_endless_name_is_refused() {
        let mut name = header(EntryType::GNULongName, "././@LongLink", 0o644, 8 << 30);
        name.set_cksum();
        let mut read = 0;
        let endless = name.as_bytes().chain(io::repeat(b'a')).take(8 << 30);
        let counted = Counted(endless, &mut read);
        let error = read_tar(counted, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
        assert!(read <= MAX_HEADER_BYTES + (64 << 10), "{read}");
    }

    struct Counted<'a, R>(R, &'a mut u64);

    impl<R: Read> Read for Counted<'_, R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            *self.1 += count as u64;
            Ok(count)
        }
    }
}
