//! The write-ahead log: a [`Sequencer`] in one file. Each commit is a record, one after the other.
//!
//! INVARIANT: no record is written after one whose writing failed, nor over one whose entries are not safe elsewhere. A
//! fresh file takes the place of the old one, in one step, where either would happen.

use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::ports::{Commit, Flaw, Kept, PortError, Sequencer, Wal};

const MAGIC: &[u8; 4] = b"CLW1";
const HEAD: usize = 20;
const SUM: usize = 32;

/// The length of the file in bytes.
pub(crate) const LENGTH: u64 = 4 << 20;

impl Commit {
    /// Writes the record; `None` when something in it is too long.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        out.extend([0; 4]);
        out.extend(self.first.to_be_bytes());
        out.extend(u32::try_from(self.entries.len()).ok()?.to_be_bytes());
        for entry in self
            .entries
            .iter()
            .map(Vec::as_slice)
            .chain([self.checkpoint.as_bytes()])
        {
            out.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
            out.extend(entry);
        }
        let length = u32::try_from(out.len() + SUM).ok()?;
        for (target, source) in out.iter_mut().skip(4).zip(length.to_be_bytes()) {
            *target = source;
        }
        let sum = Sha256::digest(&out);
        out.extend(sum);
        Some(out)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<SUM>()?;
        if Sha256::digest(body)[..] != sum[..] {
            return None;
        }
        let rest = body.get(8..)?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut texts = Vec::new();
        for _ in 0..=u32::from_be_bytes(*count) {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (text, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            texts.push(text.to_vec());
            rest = after;
        }
        let checkpoint = String::from_utf8(texts.pop()?).ok()?;
        rest.is_empty().then_some(Self {
            first: u64::from_be_bytes(*first),
            entries: texts,
            checkpoint,
        })
    }
}

/// Reads a file: what it holds, and where the next record goes.
pub(crate) fn read(bytes: &[u8]) -> (Kept, usize) {
    let (mut kept, mut end) = (Kept::default(), 0);
    while let Some((commit, length)) = bytes.get(end..).and_then(next) {
        kept.commits.push(commit);
        end += length;
    }
    let rest = bytes.get(end..).unwrap_or_default();
    if rest.iter().any(|byte| *byte != 0) {
        kept.flaw = Some(if whole_record_in(rest) {
            Flaw::Changed
        } else if rest.starts_with(MAGIC) {
            Flaw::CutShort
        } else {
            Flaw::Stray
        });
    }
    (kept, end)
}

fn next(bytes: &[u8]) -> Option<(Commit, usize)> {
    let after = bytes.strip_prefix(MAGIC)?;
    let length = usize::try_from(u32::from_be_bytes(*after.first_chunk::<4>()?)).ok()?;
    if length < HEAD + SUM {
        return None;
    }
    Some((Commit::decode(bytes.get(..length)?)?, length))
}

fn whole_record_in(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|at| {
        bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(MAGIC) && next(rest).is_some())
    })
}

/// A [`Sequencer`] over the bytes of a file.
#[derive(Debug)]
pub struct WriteAheadLog {
    wal: Box<dyn Wal>,
    /// The length of the file.
    length: u64,
    /// Where the next record goes.
    at: u64,
    /// Whether it may go there; otherwise a fresh file takes the place of this one.
    whole: bool,
    /// The position of the next entry.
    next: u64,
    /// How many entries are safe elsewhere.
    trimmed: u64,
    /// The sum of the record that was written last.
    last: Option<[u8; SUM]>,
}

impl WriteAheadLog {
    /// Begins with a file that is not loaded yet.
    pub fn new(wal: Box<dyn Wal>) -> Self {
        Self {
            wal,
            length: 0,
            at: 0,
            whole: false,
            next: 0,
            trimmed: 0,
            last: None,
        }
    }

    /// Puts a fresh file with one record, or none, in the place of this one.
    fn renew(&mut self, record: &[u8]) -> Result<(), PortError> {
        self.whole = false;
        self.wal.renew(record, LENGTH)?;
        self.length = LENGTH;
        self.at = record.len() as u64;
        self.whole = true;
        Ok(())
    }

    fn file_name() -> String {
        "wal".to_owned()
    }
}

impl Sequencer for WriteAheadLog {
    fn load(&mut self, published: u64) -> Result<Kept, PortError> {
        let bytes = self.wal.load()?;
        let (kept, end) = read(&bytes);
        self.length = bytes.len() as u64;
        self.at = end as u64;
        self.whole = self.length == LENGTH && kept.flaw.is_none();
        let reached = kept.commits.last().map_or(0, Commit::end);
        self.next = reached.max(published);
        self.trimmed = published;
        self.last = bytes
            .get(..end)
            .and_then(<[u8]>::last_chunk::<SUM>)
            .filter(|_| reached == self.next)
            .copied();
        Ok(kept)
    }

    fn append(&mut self, commit: &Commit) -> Result<(), PortError> {
        let record = commit.encode().ok_or_else(|| PortError::Failed {
            file: Self::file_name(),
            source: Arc::new(io::Error::from(io::ErrorKind::InvalidInput)),
        })?;
        let sum = record.last_chunk::<SUM>().copied();
        if commit.end() == self.next && sum.is_some() && sum == self.last {
            return Ok(());
        }
        if commit.first != self.next {
            return Err(PortError::Conflict {
                file: Self::file_name(),
            });
        }
        let length = record.len() as u64;
        if self.whole && self.at + length <= LENGTH {
            // What reached the disk after a failure is not known, and a second `fdatasync` would not tell.
            self.whole = false;
            self.wal.write(self.at, &record)?;
            self.whole = true;
            self.at += length;
        } else if self.next > self.trimmed {
            return Err(PortError::Full {
                file: Self::file_name(),
            });
        } else {
            self.renew(&record)?;
        }
        self.next = commit.end();
        self.last = sum;
        Ok(())
    }

    fn trim(&mut self, published: u64) -> Result<(), PortError> {
        // The file is used again when it is full.
        self.trimmed = self.trimmed.max(published);
        Ok(())
    }

    fn mend(&mut self) -> Result<(), PortError> {
        if self.next <= self.trimmed {
            return self.renew(&[]);
        }
        let zeros = vec![0; usize::try_from(self.length - self.at).unwrap_or(0)];
        self.whole = false;
        self.wal.write(self.at, &zeros)?;
        self.whole = self.length == LENGTH;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(first: u64) -> Commit {
        Commit {
            first,
            entries: vec![b"one".to_vec(), b"two".to_vec()],
            checkpoint: "note".to_owned(),
        }
    }

    #[test]
    fn records_read_back_and_a_cut_one_is_torn() {
        let (one, two) = (record(0), record(2));
        let whole = [one.encode().unwrap(), two.encode().unwrap()].concat();
        let first = one.encode().unwrap().len();
        for end in 0..=whole.len() {
            let mut bytes = whole[..end].to_vec();
            bytes.resize(whole.len() + 100, 0);
            let (kept, _) = read(&bytes);
            let expected = if end == whole.len() {
                2
            } else {
                usize::from(end >= first)
            };
            assert_eq!(kept.commits.len(), expected, "cut at {end}");
            let clean = end == 0 || end == first || end == whole.len();
            assert_eq!(kept.flaw.is_none(), clean, "cut at {end}");
        }
    }

    #[test]
    fn a_broken_record_before_a_whole_one_is_damage() {
        let mut bytes = [record(0).encode().unwrap(), record(2).encode().unwrap()].concat();
        bytes[25] ^= 1;
        assert_eq!(read(&bytes).0.flaw, Some(Flaw::Changed));
    }
}
