//! Bytes that are scanned: random access without holding them.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};

/// Bytes of a known length that can be read anywhere.
pub trait Source {
    /// Returns the length in bytes.
    fn len(&self) -> u64;

    /// Returns whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads at `offset` into `buffer` and returns how many bytes were read: fewer than asked only at
    /// the end.
    ///
    /// # Errors
    /// What the medium says; content that cannot be decompressed is [`io::ErrorKind::InvalidData`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).map_or(&[][..], |at| self.get(at..).unwrap_or(&[]));
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

impl Source for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.as_slice()).read_at(offset, buffer)
    }
}

/// A part of another source.
#[derive(Clone, Copy)]
pub(crate) struct Slice<'a> {
    source: &'a dyn Source,
    start: u64,
    len: u64,
}

impl fmt::Debug for Slice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice")
            .field("start", &self.start)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl<'a> Slice<'a> {
    /// Takes `len` bytes from `start`; what lies beyond the end of `source` is cut off.
    pub(crate) fn new(source: &'a dyn Source, start: u64, len: u64) -> Self {
        let start = start.min(source.len());
        let len = len.min(source.len().saturating_sub(start));
        Self { source, start, len }
    }
}

impl Source for Slice<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(rest) = self.len.checked_sub(offset) else {
            return Ok(0);
        };
        let count = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let Some(buffer) = buffer.get_mut(..count) else {
            return Ok(0);
        };
        self.source
            .read_at(self.start.saturating_add(offset), buffer)
    }
}

/// The sequential bytes of a source, for a decompressor.
pub(crate) struct Sequence<'a> {
    source: Slice<'a>,
    at: u64,
}

impl<'a> Sequence<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self::owned(Slice::new(source, 0, u64::MAX))
    }

    pub(crate) fn owned(source: Slice<'a>) -> Self {
        Self { source, at: 0 }
    }

    /// Returns how many bytes were read.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }
}

impl Read for Sequence<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(self.at, buffer)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

/// Decompressed bytes with random access in bounded memory: what was read last is kept, a look further
/// back starts the decompression again.
///
/// INVARIANT: the work is linear as long as the readers go forward save for a fixed number of looks
/// back; [`MAX_RESTARTS`] holds them to it.
pub(crate) struct Unpacked<'a> {
    open: Box<dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a>,
    len: u64,
    state: RefCell<State<'a>>,
}

struct State<'a> {
    reader: Option<Box<dyn Read + 'a>>,
    /// Where `reader` stands.
    at: u64,
    /// The last bytes that `reader` gave, ending at `at`.
    kept: Vec<u8>,
    restarts: u32,
}

/// How often one compressed part may be decompressed from its start.
const MAX_RESTARTS: u32 = 48;
/// How many of the last bytes stay in memory, in bytes.
const KEPT: usize = 1 << 20;
/// Content up to this size is held whole, in bytes.
const HELD: u64 = 4 << 20;
const STEP: usize = 64 << 10;

impl fmt::Debug for Unpacked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacked")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Decompressed bytes: held whole when small, otherwise read through.
#[derive(Debug)]
pub(crate) enum Opened<'a> {
    Held(Vec<u8>),
    Through(Unpacked<'a>),
}

impl Opened<'_> {
    pub(crate) fn source(&self) -> &dyn Source {
        match self {
            Self::Held(bytes) => bytes,
            Self::Through(unpacked) => unpacked,
        }
    }
}

/// Why content could not be decompressed.
#[derive(Debug)]
pub(crate) enum Unpack {
    /// It is damaged or not of its kind.
    Damaged(io::Error),
    /// It is longer than `limit` bytes.
    TooLong,
}

/// Decompresses with `open`, at most `limit` bytes: one pass tells the length and whether all of it
/// decompresses.
pub(crate) fn unpack<'a>(
    limit: u64,
    open: impl Fn() -> io::Result<Box<dyn Read + 'a>> + 'a,
) -> Result<Opened<'a>, Unpack> {
    let mut reader = open().map_err(Unpack::Damaged)?;
    let mut step = vec![0; STEP];
    let mut held = Vec::new();
    let mut len = 0u64;
    loop {
        let count = match reader.read(&mut step) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Unpack::Damaged(error)),
        };
        len = len.saturating_add(count as u64);
        if len > limit {
            return Err(Unpack::TooLong);
        }
        if len <= HELD {
            held.extend_from_slice(step.get(..count).unwrap_or_default());
        } else {
            held = Vec::new();
        }
    }
    if len <= HELD {
        return Ok(Opened::Held(held));
    }
    Ok(Opened::Through(Unpacked {
        open: Box::new(open),
        len,
        state: RefCell::new(State {
            reader: None,
            at: 0,
            kept: Vec::new(),
            restarts: 0,
        }),
    }))
}

impl State<'_> {
    /// Reads on until at least `end` or the end of the content.
    fn forward(&mut self, end: u64) -> io::Result<()> {
        let mut step = vec![0; STEP];
        while self.at < end {
            let Some(reader) = self.reader.as_mut() else {
                return Ok(());
            };
            let count = reader.read(&mut step)?;
            if count == 0 {
                return Ok(());
            }
            self.at = self.at.saturating_add(count as u64);
            self.kept
                .extend_from_slice(step.get(..count).unwrap_or_default());
            if self.kept.len() > 2 * KEPT {
                let surplus = self.kept.len() - KEPT;
                self.kept.drain(..surplus);
            }
        }
        Ok(())
    }
}

impl Source for Unpacked<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.state.borrow_mut();
        let kept_from = state.at.saturating_sub(state.kept.len() as u64);
        if state.reader.is_none() || offset < kept_from {
            state.restarts = state.restarts.saturating_add(1);
            if state.restarts > MAX_RESTARTS {
                return Err(io::Error::other(
                    "the compressed content is read back and forth too often",
                ));
            }
            state.reader = Some((self.open)()?);
            state.at = 0;
            state.kept.clear();
        }
        // Only what still lies in the window can be handed out: take small bites of a large buffer.
        let wanted = buffer.len().min(KEPT);
        let end = offset.saturating_add(wanted as u64).min(self.len);
        state.forward(end)?;
        let kept_from = state.at.saturating_sub(state.kept.len() as u64);
        let from = usize::try_from(offset.saturating_sub(kept_from)).unwrap_or(usize::MAX);
        let rest = state.kept.get(from..).unwrap_or_default();
        let count = rest.len().min(wanted);
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(bytes, flate2::Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        packed
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len)
            .map(|i| u8::try_from(i * 31 % 251).unwrap())
            .collect()
    }

    #[test]
    fn unpacked_content_reads_the_same_anywhere() {
        for len in [0, 1, 100, 4 << 20, (4 << 20) + 1, 9 << 20] {
            let plain = content(len);
            let gzip = packed(&plain);
            let opened = unpack(1 << 30, || {
                Ok(Box::new(GzDecoder::new(Sequence::new(&gzip))) as Box<dyn Read>)
            })
            .unwrap();
            let source = opened.source();
            assert_eq!(source.len(), len as u64);
            for offset in [0, len / 2, len.saturating_sub(10), 3, len / 3, len] {
                let mut buffer = vec![0; 5000];
                let count = source.read_at(offset as u64, &mut buffer).unwrap();
                assert_eq!(
                    buffer[..count],
                    plain[offset.min(len)..(offset + 5000).min(len)]
                );
            }
        }
    }

    #[test]
    fn content_past_its_limit_is_not_read_on() {
        let gzip = packed(&content(1 << 20));
        let result = unpack(1000, || {
            Ok(Box::new(GzDecoder::new(Sequence::new(&gzip))) as Box<dyn Read>)
        });
        assert!(matches!(result, Err(Unpack::TooLong)));
    }

    #[test]
    fn reading_back_and_forth_ends() {
        let gzip = packed(&content(9 << 20));
        let opened = unpack(1 << 30, || {
            Ok(Box::new(GzDecoder::new(Sequence::new(&gzip))) as Box<dyn Read>)
        })
        .unwrap();
        let mut buffer = [0; 1];
        let mut refused = false;
        for _ in 0..=MAX_RESTARTS {
            refused |= opened.source().read_at(8 << 20, &mut buffer).is_err();
            refused |= opened.source().read_at(0, &mut buffer).is_err();
        }
        assert!(refused);
    }
}
