//! The index of a TensorFlow checkpoint (`variables.index`): a sorted table of tensors.
//!
//! Source: the table format of `LevelDB`, which TensorFlow's tensor bundles use: data blocks, a block of
//! meta data, a block that lists the data blocks, and a footer of 48 bytes. Every byte must belong to a
//! block. What the entries say (types, shapes, places in the data files) is numbers alone.

use crate::cursor::{Cursor, Stop};
use crate::scan::{Scan, Understood};
use crate::sniff::{Format, Head};
use crate::source::Source;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "TensorFlow checkpoint index",
    recognises,
    parse,
};

const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
/// The length of the footer, in bytes.
const FOOTER: u64 = 48;
/// What follows a block: how it is compressed and a checksum, in bytes.
const TRAILER: u64 = 5;
/// How many blocks a table may have.
const MAX_BLOCKS: usize = 1 << 20;
/// How long the key of a block may be, in bytes.
const MAX_KEY: u64 = 64 << 10;

fn recognises(head: &Head<'_>) -> bool {
    let mut end = [0; 8];
    head.source
        .len()
        .checked_sub(8)
        .filter(|start| *start >= FOOTER - 8)
        .is_some_and(|start| {
            head.source
                .read_at(start, &mut end)
                .is_ok_and(|count| count == 8)
                && end == MAGIC
        })
}

/// Where a block is, without its trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Handle {
    start: u64,
    len: u64,
}

impl Handle {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Stop> {
        Ok(Self {
            start: varint(cursor)?,
            len: varint(cursor)?,
        })
    }

    /// Returns where its trailer ends.
    fn end(self) -> Option<u64> {
        self.start.checked_add(self.len)?.checked_add(TRAILER)
    }
}

fn parse(source: &dyn Source, _: &mut Scan<'_>) -> Result<Understood, Stop> {
    let at = source.len().saturating_sub(FOOTER);
    let mut footer = Cursor::range(source, at, source.len());
    let meta = Handle::read(&mut footer)?;
    let index = Handle::read(&mut footer)?;
    let padding = footer.end().saturating_sub(8);
    while footer.at() < padding {
        if footer.byte()? != Some(0) {
            return Err(Stop::malformed("has a footer with more than it has", at));
        }
    }
    let mut blocks = listed(source, index, at)?;
    blocks.extend([meta, index]);
    blocks.sort_unstable();
    let mut reached = 0;
    for block in blocks {
        let end = block.end().filter(|_| block.start == reached);
        reached = end.ok_or_else(|| {
            Stop::malformed("has bytes between its blocks, or one twice", reached)
        })?;
    }
    if reached != at {
        return Err(Stop::malformed("has bytes before its footer", reached));
    }
    Ok(Understood {
        format: FORMAT.name,
        bytes: source.len(),
    })
}

/// Returns the blocks that the block of `index` lists; `limit` is where the footer begins.
fn listed(source: &dyn Source, index: Handle, limit: u64) -> Result<Vec<Handle>, Stop> {
    let wrong = |because: &str| Stop::malformed(format!("has an index {because}"), index.start);
    let inside = index.end().filter(|end| *end <= limit);
    let end = inside
        .and_then(|_| index.start.checked_add(index.len))
        .ok_or_else(|| wrong("outside of the file"))?;
    if Cursor::range(source, end, limit).u8("the kind of a block")? != 0 {
        return Err(wrong("that is compressed"));
    }
    let count_at = end
        .checked_sub(4)
        .filter(|at| *at >= index.start)
        .ok_or_else(|| wrong("without restarts"))?;
    let restarts = u64::from(Cursor::range(source, count_at, end).u32("restarts")?);
    let entries_end = restarts
        .checked_mul(4)
        .and_then(|len| count_at.checked_sub(len))
        .filter(|at| *at >= index.start)
        .ok_or_else(|| wrong("with impossible restarts"))?;
    let mut cursor = Cursor::range(source, index.start, entries_end);
    let mut handles = Vec::new();
    while cursor.left() > 0 {
        let (_, own, value) = (
            varint(&mut cursor)?,
            varint(&mut cursor)?,
            varint(&mut cursor)?,
        );
        if own > MAX_KEY {
            return Err(wrong("with an endless key"));
        }
        cursor.skip(own, "a key")?;
        let after = cursor.at().saturating_add(value);
        handles.push(Handle::read(&mut cursor)?);
        if cursor.at() != after {
            return Err(wrong("with an entry that is no place"));
        }
        if handles.len() > MAX_BLOCKS {
            return Err(Stop::limit("the number of blocks", MAX_BLOCKS, cursor.at()));
        }
    }
    Ok(handles)
}

/// Reads a number of variable length.
fn varint(cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
    let at = cursor.at();
    let mut number = 0u64;
    for shift in (0..63).step_by(7) {
        let byte = cursor.u8("a number")?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Stop::malformed("has an endless number", at))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::report::{Report, Verdict};
    use crate::{Rules, scan};

    static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::built_in().unwrap());

    fn report(bytes: &[u8]) -> Report {
        scan("variables.index", &bytes, &RULES)
    }

    /// Writes a table with one data block of `data`.
    fn table(data: &[u8], padding: &[u8]) -> Vec<u8> {
        let byte = |len: usize| u8::try_from(len).unwrap();
        let trailer = [0; 5];
        let mut file = [data, &trailer].concat();
        let meta_at = file.len();
        let empty = [0, 0, 0, 0, 1, 0, 0, 0];
        file.extend_from_slice(&empty);
        file.extend_from_slice(&trailer);
        let index_at = file.len();
        // One entry: nothing shared, the key `k`, the place of the data block.
        let index = [0, 1, 2, b'k', 0, byte(data.len()), 0, 0, 0, 0, 1, 0, 0, 0];
        file.extend_from_slice(&index);
        file.extend_from_slice(&trailer);
        file.extend_from_slice(padding);
        let footer = [byte(meta_at), 8, byte(index_at), byte(index.len())];
        file.extend_from_slice(&footer);
        file.extend_from_slice(&[0; 36]);
        file.extend_from_slice(&MAGIC);
        file
    }

    #[test]
    fn a_table_is_accounted_for_whole() {
        let file = table(b"twenty bytes of data", b"");
        let report = report(&file);
        assert_eq!(report.verdict, Verdict::Clean, "{report:?}");
        assert_eq!(report.parts[0].format, FORMAT.name);
        assert_eq!(report.parts[0].understood, file.len() as u64);
    }

    #[test]
    fn bytes_outside_of_blocks_are_never_clean() {
        let good = table(b"data", b"");
        assert_eq!(
            report(&table(b"data", b"hidden")).verdict,
            Verdict::Unscannable
        );
        let before = [b"hidden".to_vec(), good.clone()].concat();
        assert_eq!(report(&before).verdict, Verdict::Unscannable);
        let mut footer = good.clone();
        let at = footer.len() - 20;
        footer[at] = 1;
        assert_eq!(report(&footer).verdict, Verdict::Unscannable);
    }

    #[test]
    fn every_changed_byte_ends_without_a_panic() {
        let good = table(b"data", b"");
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = good.clone();
                file[at] = byte;
                assert!(report(&file).parts[0].understood <= file.len() as u64);
            }
        }
    }
}
