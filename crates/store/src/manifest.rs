//! Manifests: which chunks make the files of a version.

use custody_types::{ByteSize, Digest, FileEntry};

use crate::ids::ChunkId;

const FILES: &[u8; 4] = b"CSM1";
const INDEX: &[u8; 4] = b"CSI1";
/// The longest manifest, or piece of one, that is one chunk.
pub(crate) const PIECE: usize = 256 << 10;

/// A run of bytes that is one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) chunk: ChunkId,
    pub(crate) length: u32,
}

impl Extent {
    /// Describes a chunk of `length` bytes.
    pub(crate) fn new(chunk: ChunkId, length: usize) -> Result<Self, Malformed> {
        let length = u32::try_from(length).map_err(|_| Malformed)?;
        Ok(Self { chunk, length })
    }
}

/// A file and its chunks in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileExtents {
    pub(crate) entry: FileEntry,
    pub(crate) extents: Vec<Extent>,
}

/// What a chunk of kind manifest holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The files.
    Files(Vec<FileExtents>),
    /// The chunks whose bytes, joined, are the next level.
    Index(Vec<Extent>),
}

/// The bytes do not have the form of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not have the form of a manifest")]
pub(crate) struct Malformed;

fn number32(value: usize) -> Result<[u8; 4], Malformed> {
    u32::try_from(value)
        .map(u32::to_be_bytes)
        .map_err(|_| Malformed)
}

fn write_extents(out: &mut Vec<u8>, extents: &[Extent]) {
    for extent in extents {
        out.extend_from_slice(extent.chunk.as_bytes());
        out.extend_from_slice(&extent.length.to_be_bytes());
    }
}

/// Writes the files, which are in the order of their paths.
pub(crate) fn encode_files(files: &[FileExtents]) -> Result<Vec<u8>, Malformed> {
    let mut out = FILES.to_vec();
    out.extend(number32(files.len())?);
    for FileExtents { entry, extents } in files {
        let path = entry.path.as_str().as_bytes();
        out.extend(
            u16::try_from(path.len())
                .map_err(|_| Malformed)?
                .to_be_bytes(),
        );
        out.extend(path);
        out.push(u8::from(entry.executable));
        out.extend(entry.size.bytes().to_be_bytes());
        out.extend(entry.sha256.as_bytes());
        out.extend(number32(extents.len())?);
        write_extents(&mut out, extents);
    }
    Ok(out)
}

/// Writes the index over the pieces of a long manifest.
pub(crate) fn encode_index(pieces: &[Extent]) -> Result<Vec<u8>, Malformed> {
    let mut out = INDEX.to_vec();
    out.extend(number32(pieces.len())?);
    write_extents(&mut out, pieces);
    Ok(out)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(u32::from_be_bytes(self.take()?)).map_err(|_| Malformed)
    }

    fn extents(&mut self) -> Result<Vec<Extent>, Malformed> {
        let count = self.count()?;
        // Checked before anything is allocated: a forged count cannot exhaust the memory.
        if count
            .checked_mul(36)
            .is_none_or(|bytes| bytes > self.0.len())
        {
            return Err(Malformed);
        }
        (0..count)
            .map(|_| {
                Ok(Extent {
                    chunk: ChunkId(self.take()?),
                    length: u32::from_be_bytes(self.take()?),
                })
            })
            .collect()
    }

    fn file(&mut self) -> Result<FileExtents, Malformed> {
        let length = usize::from(u16::from_be_bytes(self.take()?));
        let path = std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed)?;
        let path = path.parse().map_err(|_| Malformed)?;
        let [flags] = self.take::<1>()?;
        let size = u64::from_be_bytes(self.take()?);
        let sha256 = Digest::from_bytes(self.take()?);
        let extents = self.extents()?;
        let sum: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
        if flags > 1 || sum != size {
            return Err(Malformed);
        }
        let entry = FileEntry {
            path,
            size: ByteSize::from_bytes(size),
            sha256,
            executable: flags == 1,
        };
        Ok(FileExtents { entry, extents })
    }
}

/// Reads what a manifest chunk, or the joined pieces of one level, hold.
pub(crate) fn decode(bytes: &[u8]) -> Result<Piece, Malformed> {
    let mut reader = Reader(bytes);
    let magic = reader.take::<4>()?;
    let piece = if &magic == INDEX {
        Piece::Index(reader.extents()?)
    } else if &magic == FILES {
        let count = reader.count()?;
        let mut files = Vec::new();
        for _ in 0..count {
            files.push(reader.file()?);
        }
        let sorted = files.is_sorted_by(|a, b| a.entry.path < b.entry.path);
        if !sorted {
            return Err(Malformed);
        }
        Piece::Files(files)
    } else {
        return Err(Malformed);
    };
    if reader.0.is_empty() {
        Ok(piece)
    } else {
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, lengths: &[u32]) -> FileExtents {
        let extents = lengths
            .iter()
            .map(|length| Extent {
                chunk: ChunkId([7; 32]),
                length: *length,
            })
            .collect();
        let size = ByteSize::from_bytes(lengths.iter().map(|length| u64::from(*length)).sum());
        let entry = FileEntry {
            path: path.parse().unwrap(),
            size,
            sha256: Digest::of(b""),
            executable: false,
        };
        FileExtents { entry, extents }
    }

    #[test]
    fn a_length_that_does_not_fit_is_never_written() {
        let chunk = ChunkId([7; 32]);
        assert_eq!(Extent::new(chunk, 5), Ok(Extent { chunk, length: 5 }));
        assert_eq!(Extent::new(chunk, 1 << 32), Err(Malformed));
    }

    #[test]
    fn files_read_back() {
        let files = vec![file("a", &[]), file("b/c", &[5, 6])];
        let bytes = encode_files(&files).unwrap();
        assert_eq!(decode(&bytes), Ok(Piece::Files(files)));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Err(Malformed), "cut at {end}");
        }
        let unsorted = encode_files(&[file("b", &[]), file("a", &[])]).unwrap();
        assert_eq!(decode(&unsorted), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = decode(&[FILES.as_slice(), &bytes].concat());
            let _ = decode(&[INDEX.as_slice(), &bytes].concat());
        }
    }
}
