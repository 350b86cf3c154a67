//! The index of a TensorFlow checkpoint (`variables.index`): a sorted table of tensors.
//!
//! Source: the table format of `LevelDB`, which TensorFlow's tensor bundles use: data blocks, a block of
//! meta data, a block that lists the data blocks, and a footer of 48 bytes. Every byte must belong to a
//! block and every entry of a block of tensors be one of a bundle: types, shapes, places in the data files.

use super::protobuf::{self, Kind, Message, Value, Visitor, many, one};
use super::saved_model_schema::{TENSOR_SHAPE_PROTO, VERSION_DEF};
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
/// How long a key may be, in bytes.
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
    for block in &blocks {
        tensors(source, *block, at)?;
    }
    entries(source, meta, at, |_, value| {
        Err(Stop::malformed(
            "has meta data, which no bundle has",
            value.at(),
        ))
    })?;
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
    let mut handles = Vec::new();
    entries(source, index, limit, |_, value| {
        handles.push(Handle::read(value)?);
        if handles.len() > MAX_BLOCKS {
            return Err(Stop::limit("the number of blocks", MAX_BLOCKS, value.at()));
        }
        Ok(())
    })?;
    Ok(handles)
}

/// Reads the entries of a block of tensors.
fn tensors(source: &dyn Source, block: Handle, limit: u64) -> Result<(), Stop> {
    entries(source, block, limit, |is_first, value| {
        let message = if is_first { &HEADER } else { &ENTRY };
        protobuf::walk(value, message, &mut Numbers)
    })
}

/// Reads the entries of a block: `take` receives a value, which it must read whole, and whether its key
/// is empty.
fn entries(
    source: &dyn Source,
    block: Handle,
    limit: u64,
    mut take: impl FnMut(bool, &mut Cursor<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let wrong = |because: &str| Stop::malformed(format!("has a block {because}"), block.start);
    let inside = block.end().filter(|end| *end <= limit);
    let end = inside
        .and_then(|_| block.start.checked_add(block.len))
        .ok_or_else(|| wrong("outside of the file"))?;
    if Cursor::range(source, end, limit).u8("the kind of a block")? != 0 {
        return Err(wrong("that is compressed"));
    }
    let count_at = end
        .checked_sub(4)
        .filter(|at| *at >= block.start)
        .ok_or_else(|| wrong("without restarts"))?;
    let restarts = u64::from(Cursor::range(source, count_at, end).u32("restarts")?);
    let entries_end = restarts
        .checked_mul(4)
        .and_then(|len| count_at.checked_sub(len))
        .filter(|at| *at >= block.start)
        .ok_or_else(|| wrong("with impossible restarts"))?;
    let mut cursor = Cursor::range(source, block.start, entries_end);
    let mut key = 0u64;
    while cursor.left() > 0 {
        let shared = varint(&mut cursor)?;
        let own = varint(&mut cursor)?;
        let value = varint(&mut cursor)?;
        if shared > key || own > MAX_KEY || value > cursor.left() {
            return Err(wrong("with a key or a value that is longer than it can be"));
        }
        key = shared.saturating_add(own);
        cursor.skip(own, "a key")?;
        let after = cursor.at().saturating_add(value);
        let mut content = cursor.part(cursor.at(), after);
        take(key == 0, &mut content)?;
        if content.left() > 0 || cursor.left() < value {
            return Err(wrong("with an entry that is longer than what it says"));
        }
        cursor.seek(after);
    }
    Ok(())
}

/// What the whole bundle says of itself, under the empty key.
static HEADER: Message = Message {
    name: "BundleHeaderProto",
    fields: &[
        one(1, Kind::Varint),
        one(2, Kind::Varint),
        one(3, Kind::Of(&VERSION_DEF)),
    ],
};

/// A tensor: its type and shape, and where it is.
static ENTRY: Message = Message {
    name: "BundleEntryProto",
    fields: &[
        one(1, Kind::Varint),
        one(2, Kind::Of(&TENSOR_SHAPE_PROTO)),
        one(3, Kind::Varint),
        one(4, Kind::Varint),
        one(5, Kind::Varint),
        one(6, Kind::Fixed32),
        many(7, Kind::Of(&SLICE)),
    ],
};

static SLICE: Message = Message {
    name: "TensorSliceProto",
    fields: &[many(1, Kind::Of(&EXTENT))],
};

static EXTENT: Message = Message {
    name: "Extent",
    fields: &[one(1, Kind::Varint), one(2, Kind::Varint)],
};

/// Takes numbers as they are: a tensor outside of its file is one that TensorFlow refuses.
struct Numbers;

impl Visitor for Numbers {
    fn enter(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn value(&mut self, _: &'static Message, _: u32, _: Value<'_>, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn leave(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn twice(&mut self, _: &'static Message, _: u32, _: u64) {}
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
    use crate::scan;
    use custody_findings::{Report, Rules, Verdict};

    static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::built_in().unwrap());

    fn report(bytes: &[u8]) -> Report {
        scan("variables.index", &bytes, &RULES)
    }

    /// Writes a block of entries: how much of the key before, the rest of the key, the value.
    fn block(entries: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (shared, key, value) in entries {
            let len = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
            bytes.extend([*shared, len(key), len(value)]);
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        bytes.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0]);
        bytes
    }

    fn bundle() -> Vec<u8> {
        // A tensor of floats with two elements, at 0, of 8 bytes, and its checksum.
        let tensor = [8, 1, 18, 4, 18, 2, 8, 2, 40, 8, 53, 1, 2, 3, 4];
        block(&[
            (0, b"", &[8, 1, 26, 2, 8, 1]),
            (0, b"a/kernel", &tensor),
            (2, b"bias", &[]),
        ])
    }

    /// Writes a table with one data block.
    fn table(data: &[u8], padding: &[u8]) -> Vec<u8> {
        let byte = |len: usize| u8::try_from(len).unwrap();
        let trailer = [0; 5];
        let mut file = [data, &trailer].concat();
        let meta_at = file.len();
        file.extend_from_slice(&block(&[]));
        file.extend_from_slice(&trailer);
        let index_at = file.len();
        let index = block(&[(0, b"k", &[0, byte(data.len())])]);
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
        let file = table(&bundle(), b"");
        let report = report(&file);
        assert_eq!(report.verdict, Verdict::Clean, "{report:?}");
        assert_eq!(report.parts[0].format, FORMAT.name);
        assert_eq!(report.parts[0].understood, file.len() as u64);
    }

    #[test]
    fn what_is_no_entry_is_never_clean() {
        for (what, data) in [
            ("bytes", b"twenty bytes of data".to_vec()),
            ("nothing", Vec::new()),
            ("a field", block(&[(0, b"", &[]), (0, b"a", &[66, 1, 0])])),
            ("a share of no key", block(&[(1, b"a", &[])])),
            ("half a number", block(&[(0, b"a", &[8])])),
        ] {
            assert_eq!(
                report(&table(&data, b"")).verdict,
                Verdict::Unscannable,
                "{what}"
            );
        }
        let mut compressed = table(&bundle(), b"");
        compressed[bundle().len()] = 1;
        assert_eq!(report(&compressed).verdict, Verdict::Unscannable);
    }

    #[test]
    fn bytes_outside_of_blocks_are_never_clean() {
        let good = table(&bundle(), b"");
        assert_eq!(
            report(&table(&bundle(), b"hidden")).verdict,
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
        let good = table(&bundle(), b"");
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = good.clone();
                file[at] = byte;
                assert!(report(&file).parts[0].understood <= file.len() as u64);
            }
        }
    }
}
