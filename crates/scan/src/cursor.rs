//! A place in a source that moves forward: the reader of every parser here.

use std::io;

use crate::source::Source;

/// Why a parser cannot go on. The part that it reads is then unscannable, whatever else was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// The bytes end before the structure does.
    #[error("ends inside {what}")]
    Truncated {
        /// Inside what.
        what: &'static str,
        /// Where it was to begin, in bytes from the start of the part.
        at: u64,
    },
    /// The structure is not one that its format has.
    #[error("{because}")]
    Malformed {
        /// In which way.
        because: String,
        /// Where, in bytes from the start of the part.
        at: u64,
    },
    /// A limit of the scanner was reached.
    #[error("{what} is more than the scanner follows ({limit})")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit with its unit.
        limit: String,
        /// Where, in bytes from the start of the part.
        at: u64,
    },
    /// The bytes could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

impl Stop {
    /// A structure that its format does not have.
    pub(crate) fn malformed(because: impl Into<String>, at: u64) -> Self {
        Self::Malformed {
            because: because.into(),
            at,
        }
    }

    /// A limit of the scanner.
    pub(crate) fn limit(what: &'static str, limit: impl ToString, at: u64) -> Self {
        Self::Limit {
            what,
            limit: limit.to_string(),
            at,
        }
    }

    /// Returns where it is, in bytes from the start of the part.
    pub(crate) fn at(&self) -> Option<u64> {
        match self {
            Self::Truncated { at, .. } | Self::Malformed { at, .. } | Self::Limit { at, .. } => {
                Some(*at)
            }
            Self::Unreadable(_) => None,
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Reads a source forward through a window of [`WINDOW`] bytes; may jump.
pub(crate) struct Cursor<'a> {
    source: &'a dyn Source,
    end: u64,
    at: u64,
    window: Vec<u8>,
    window_from: u64,
}

/// How much is read at once, in bytes.
const WINDOW: usize = 64 << 10;

impl<'a> Cursor<'a> {
    /// Starts at the beginning of `source`.
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self::range(source, 0, source.len())
    }

    /// Starts at `start` and ends at `end` (exclusive), or where `source` ends.
    pub(crate) fn range(source: &'a dyn Source, start: u64, end: u64) -> Self {
        let end = end.min(source.len());
        Self {
            source,
            end,
            at: start.min(end),
            window: Vec::new(),
            window_from: 0,
        }
    }

    /// Starts at `start` of the same source and ends at `end` (exclusive), or where this one ends.
    pub(crate) fn part(&self, start: u64, end: u64) -> Cursor<'a> {
        Self::range(self.source, start, end.min(self.end))
    }

    /// Returns the place, in bytes from the start of the source.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Returns where this cursor ends, in bytes from the start of the source.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Returns how many bytes are left.
    pub(crate) fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// Goes to `at`, at most to the end.
    pub(crate) fn seek(&mut self, at: u64) {
        self.at = at.min(self.end);
    }

    /// Returns the bytes of the window from here on, after filling it when it is used up: empty only at
    /// the end.
    fn ahead(&mut self) -> Result<&[u8], Stop> {
        let inside = self
            .at
            .checked_sub(self.window_from)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| *skip < self.window.len());
        let skip = if let Some(skip) = inside {
            skip
        } else {
            let wanted = usize::try_from(self.left()).map_or(WINDOW, |left| left.min(WINDOW));
            self.window.resize(wanted, 0);
            let count = self.source.read_at(self.at, &mut self.window)?;
            self.window.truncate(count);
            self.window_from = self.at;
            0
        };
        let ahead = self.window.get(skip..).unwrap_or_default();
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        Ok(ahead.get(..left).unwrap_or(ahead))
    }

    /// Returns the next byte, or `None` at the end.
    pub(crate) fn byte(&mut self) -> Result<Option<u8>, Stop> {
        let byte = self.ahead()?.first().copied();
        if byte.is_some() {
            self.at = self.at.saturating_add(1);
        }
        Ok(byte)
    }

    /// Returns the next byte without passing it.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, Stop> {
        Ok(self.ahead()?.first().copied())
    }

    /// Reads `N` bytes; `what` names the structure that they belong to.
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Stop> {
        let mut array = [0; N];
        self.fill(&mut array, what)?;
        Ok(array)
    }

    /// Fills `buffer`.
    pub(crate) fn fill(&mut self, buffer: &mut [u8], what: &'static str) -> Result<(), Stop> {
        let start = self.at;
        if self.left() < buffer.len() as u64 {
            return Err(Stop::Truncated { what, at: start });
        }
        let mut done = 0;
        while done < buffer.len() {
            let ahead = self.ahead()?;
            let rest = buffer.get_mut(done..).unwrap_or_default();
            let count = ahead.len().min(rest.len());
            if count == 0 {
                return Err(Stop::Truncated { what, at: start });
            }
            if let (Some(to), Some(from)) = (rest.get_mut(..count), ahead.get(..count)) {
                to.copy_from_slice(from);
            }
            done += count;
            self.at = self.at.saturating_add(count as u64);
        }
        Ok(())
    }

    /// Reads `len` bytes, at most `limit`.
    pub(crate) fn bytes(
        &mut self,
        len: u64,
        limit: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, Stop> {
        if len > self.left() {
            return Err(Stop::Truncated { what, at: self.at });
        }
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= limit)
            .ok_or_else(|| Stop::limit(what, format!("{limit} bytes"), self.at))?;
        let mut bytes = vec![0; len];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    /// Steps over `len` bytes without reading them.
    pub(crate) fn skip(&mut self, len: u64, what: &'static str) -> Result<(), Stop> {
        if len > self.left() {
            return Err(Stop::Truncated { what, at: self.at });
        }
        self.at = self.at.saturating_add(len);
        Ok(())
    }

    /// Reads a line and returns it without its line feed, with whether it had one: the last line of a
    /// source may lack it. At most `limit` bytes are kept; a longer line is read to its end and cut.
    pub(crate) fn line(&mut self, limit: usize) -> Result<Line, Stop> {
        let mut line = Line::default();
        loop {
            let ahead = self.ahead()?;
            if ahead.is_empty() {
                return Ok(line);
            }
            let feed = ahead.iter().position(|byte| *byte == b'\n');
            let part = ahead.get(..feed.unwrap_or(ahead.len())).unwrap_or(ahead);
            let room = limit.saturating_sub(line.bytes.len());
            line.bytes
                .extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
            line.cut |= part.len() > room;
            let passed = part.len() as u64 + u64::from(feed.is_some());
            self.at = self.at.saturating_add(passed);
            if feed.is_some() {
                line.ended = true;
                return Ok(line);
            }
        }
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Stop> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, Stop> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn i32(&mut self, what: &'static str) -> Result<i32, Stop> {
        Ok(i32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }
}

/// A line of text, see [`Cursor::line`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The bytes without the line feed.
    pub(crate) bytes: Vec<u8>,
    /// Whether a line feed ended it.
    pub(crate) ended: bool,
    /// Whether it was longer than what is kept.
    pub(crate) cut: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lines_and_jumps_read_what_is_there() {
        let bytes = b"\x01\x02\x03\x04\x05\x06\x07\x08first\nlast".to_vec();
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.u16("n"), Ok(0x0201));
        assert_eq!(cursor.u8("n"), Ok(3));
        cursor.skip(5, "n").unwrap();
        let line = cursor.line(100).unwrap();
        assert_eq!((line.bytes.as_slice(), line.ended), (&b"first"[..], true));
        let line = cursor.line(2).unwrap();
        assert_eq!(
            (line.bytes.as_slice(), line.ended, line.cut),
            (&b"la"[..], false, true)
        );
        assert_eq!(cursor.byte(), Ok(None));
        cursor.seek(0);
        assert_eq!(cursor.u64("n"), Ok(0x0807_0605_0403_0201));
        assert_eq!(cursor.u64("n"), Ok(u64::from_le_bytes(*b"first\nla")));
        assert_eq!(cursor.u32("n"), Err(Stop::Truncated { what: "n", at: 16 }));
    }

    #[test]
    fn a_declared_length_beyond_the_end_is_not_allocated() {
        let bytes = vec![0; 10];
        let mut cursor = Cursor::new(&bytes);
        assert!(cursor.bytes(1 << 60, usize::MAX, "b").is_err());
        assert!(cursor.skip(u64::MAX, "b").is_err());
        assert_eq!(cursor.at(), 0);
    }

    #[test]
    fn reading_across_windows_gives_the_same_bytes() {
        let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let mut cursor = Cursor::new(&bytes);
        for expected in 0..200_000u32 {
            assert_eq!(cursor.u32("n"), Ok(expected));
        }
    }
}
