//! Records of the write-ahead log.

use sha2::{Digest, Sha256};

const MAGIC: &[u8; 4] = b"CLW1";
const HEAD: usize = 20;
const SUM: usize = 32;

/// The length of the file in bytes.
pub(crate) const LENGTH: u64 = 4 << 20;

/// What one commit wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) first: u64,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) checkpoint: String,
}

impl Record {
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

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The records that are whole, in order.
    pub(crate) records: Vec<Record>,
    /// Where the next record goes.
    pub(crate) end: usize,
    /// Whether bytes other than zero follow there.
    pub(crate) rest: Rest,
}

/// What follows the last whole record.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Zeros only.
    #[default]
    Clean,
    /// Something that is not a whole record, and none follows it: a write that was cut short, or damage.
    Torn,
    /// Something that no record begins with.
    Stray,
    /// Something that is not a whole record, before one that is: damage.
    Broken,
}

/// Reads a file.
pub(crate) fn read(bytes: &[u8]) -> Content {
    let mut content = Content::default();
    while let Some((record, length)) = bytes.get(content.end..).and_then(next) {
        content.records.push(record);
        content.end += length;
    }
    let rest = bytes.get(content.end..).unwrap_or_default();
    if rest.iter().any(|byte| *byte != 0) {
        content.rest = if whole_record_in(rest) {
            Rest::Broken
        } else if rest.starts_with(MAGIC) {
            Rest::Torn
        } else {
            Rest::Stray
        };
    }
    content
}

fn next(bytes: &[u8]) -> Option<(Record, usize)> {
    let after = bytes.strip_prefix(MAGIC)?;
    let length = usize::try_from(u32::from_be_bytes(*after.first_chunk::<4>()?)).ok()?;
    if length < HEAD + SUM {
        return None;
    }
    Some((Record::decode(bytes.get(..length)?)?, length))
}

fn whole_record_in(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|at| {
        bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(MAGIC) && next(rest).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(first: u64) -> Record {
        Record {
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
            let content = read(&bytes);
            let expected = if end == whole.len() {
                2
            } else {
                usize::from(end >= first)
            };
            assert_eq!(content.records.len(), expected, "cut at {end}");
            let clean = end == 0 || end == first || end == whole.len();
            assert_eq!(content.rest == Rest::Clean, clean, "cut at {end}");
        }
    }

    #[test]
    fn a_broken_record_before_a_whole_one_is_damage() {
        let mut bytes = [record(0).encode().unwrap(), record(2).encode().unwrap()].concat();
        bytes[25] ^= 1;
        assert_eq!(read(&bytes).rest, Rest::Broken);
    }
}
