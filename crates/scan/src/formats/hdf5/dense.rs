//! Dense storage: links and attributes in a fractal heap, found through a B-tree of version 2 (HDF5
//! File Format, sections III.A.2 and III.G).

use super::file::{Fields, File};
use crate::cursor::Stop;

/// How many records one tree may have, and how many blocks one heap.
const MAX_RECORDS: usize = 1_000_000;
const MAX_BLOCKS: usize = 100_000;
const MAX_DEPTH: usize = 16;

/// A direct block of a heap.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// Where it begins in the heap's own space.
    from: u64,
    len: u64,
    address: u64,
}

/// A fractal heap as far as its objects need it.
#[derive(Debug)]
struct Heap {
    address: u64,
    id_len: usize,
    /// How many bytes an offset in its space has.
    offset_len: usize,
    width: u64,
    first: u64,
    greatest: u64,
    blocks: Vec<Block>,
}

/// Returns the messages that the records of a tree stand for; `skip` bytes of a record precede the id
/// of its object.
pub(super) fn messages(
    file: &File<'_>,
    heap: u64,
    tree: u64,
    skip: usize,
) -> Result<Vec<Vec<u8>>, Stop> {
    let mut heap = Heap::read(file, heap)?;
    heap.blocks.sort_by_key(|block| block.from);
    let records = records(file, tree)?;
    let mut messages = Vec::with_capacity(records.len());
    for record in &records {
        let id = record.get(skip..).unwrap_or_default();
        messages.push(heap.object(file, id)?);
    }
    Ok(messages)
}

impl Heap {
    fn read(file: &File<'_>, address: u64) -> Result<Self, Stop> {
        let bytes = file.head(address, 256, "a fractal heap")?;
        let at = file.place(address).unwrap_or_default();
        let mut fields = Fields::new(&bytes, "a fractal heap", at);
        fields.expect(b"FRHP")?;
        fields.take(1)?;
        let id_len = fields.size(2)?;
        if fields.number(2)? != 0 {
            return Err(fields.malformed("with filters, which are not followed"));
        }
        fields.take(5 + 2 * file.offset_size + 10 * file.length_size)?;
        let width = fields.number(2)?;
        let first = fields.number(file.length_size)?;
        let greatest = fields.number(file.length_size)?;
        let bits = fields.size(2)?;
        fields.take(2)?;
        let root = fields.number(file.offset_size)?;
        let rows = fields.number(2)?;
        let sound = first.is_power_of_two() && greatest.is_power_of_two() && width > 0;
        if !sound || bits > 64 {
            return Err(fields.malformed("with sizes that HDF5 does not have"));
        }
        let mut heap = Self {
            address,
            id_len,
            offset_len: bits.div_ceil(8),
            width,
            first,
            greatest,
            blocks: Vec::new(),
        };
        if file.place(root).is_none() {
            return Ok(heap);
        }
        if rows == 0 {
            heap.blocks.push(Block {
                from: 0,
                len: first,
                address: root,
            });
        } else {
            heap.indirect(file, root, rows, 0)?;
        }
        Ok(heap)
    }

    /// Returns how long a block of a row is.
    fn row(&self, row: u64) -> u64 {
        let doublings = u32::try_from(row.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.checked_shl(doublings).unwrap_or(u64::MAX)
    }

    /// Collects the direct blocks below an indirect block.
    fn indirect(
        &mut self,
        file: &File<'_>,
        address: u64,
        rows: u64,
        depth: usize,
    ) -> Result<(), Stop> {
        let at = file.place(address).unwrap_or_default();
        if depth > MAX_DEPTH || rows > 64 {
            return Err(Stop::limit("the depth of a fractal heap", MAX_DEPTH, at));
        }
        let head = 5 + file.offset_size + self.offset_len;
        let entries = rows.saturating_mul(self.width);
        let len = entries.saturating_mul(file.offset_size as u64);
        let bytes = file.read(address, len.saturating_add(head as u64), "a heap block")?;
        let mut fields = Fields::new(&bytes, "a heap block", at);
        fields.expect(b"FHIB")?;
        fields.take(1)?;
        if fields.number(file.offset_size)? != self.address {
            return Err(fields.malformed("of another heap"));
        }
        let mut from = fields.number(self.offset_len)?;
        for row in 0..rows {
            let len = self.row(row);
            for _ in 0..self.width {
                let child = fields.number(file.offset_size)?;
                if file.place(child).is_some() {
                    if len <= self.greatest {
                        self.blocks.push(Block {
                            from,
                            len,
                            address: child,
                        });
                    } else {
                        let own = len / self.first.saturating_mul(self.width).max(1);
                        let rows = u64::from(own.checked_ilog2().unwrap_or(0)) + 1;
                        self.indirect(file, child, rows, depth + 1)?;
                    }
                }
                if self.blocks.len() > MAX_BLOCKS {
                    return Err(Stop::limit("the blocks of a heap", MAX_BLOCKS, at));
                }
                from = from.saturating_add(len);
            }
        }
        Ok(())
    }

    /// Reads the object of an id: a managed one, or one that lies in its id.
    fn object(&self, file: &File<'_>, id: &[u8]) -> Result<Vec<u8>, Stop> {
        let at = file.place(self.address).unwrap_or_default();
        let id = id.get(..self.id_len).unwrap_or(id);
        let mut fields = Fields::new(id, "a heap id", at);
        let kind = fields.byte()?;
        match kind >> 4 {
            0 => {}
            2 => return Ok(fields.take(usize::from(kind & 0x0f) + 1)?.to_vec()),
            _ => return Err(fields.malformed("of an object that lies outside of its heap")),
        }
        let offset = fields.number(self.offset_len)?;
        let len = fields.number(fields.left())?;
        let index = self.blocks.partition_point(|block| block.from <= offset);
        let block = index
            .checked_sub(1)
            .and_then(|index| self.blocks.get(index))
            .ok_or_else(|| fields.malformed("of no block"))?;
        let inside = offset.saturating_sub(block.from);
        if inside.checked_add(len).is_none_or(|end| end > block.len) {
            return Err(fields.malformed("of no block"));
        }
        file.read(block.address.saturating_add(inside), len, "a heap object")
    }
}

/// The sizes of the nodes of a tree at one depth.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// How many bytes the sum of records below takes.
    sum_len: usize,
}

/// Collects all records of a B-tree of version 2.
fn records(file: &File<'_>, address: u64) -> Result<Vec<Vec<u8>>, Stop> {
    let bytes = file.head(address, 64, "a B-tree")?;
    let at = file.place(address).unwrap_or_default();
    let mut fields = Fields::new(&bytes, "a B-tree", at);
    fields.expect(b"BTHD")?;
    fields.take(2)?;
    let node = fields.number(4)?;
    let record = fields.number(2)?;
    let depth = fields.size(2)?;
    fields.take(2)?;
    let root = fields.number(file.offset_size)?;
    let count = fields.number(2)?;
    if record == 0 || node < 32 || depth > MAX_DEPTH {
        return Err(fields.malformed("with sizes that HDF5 does not have"));
    }
    let most = node.saturating_sub(10) / record;
    let count_len = encoded(most);
    let mut levels = vec![Level { sum_len: 0 }];
    let mut sum = most;
    for _ in 0..depth {
        let below = levels.last().map_or(0, |level| level.sum_len);
        let pointer = (file.offset_size + count_len + below) as u64;
        let most = node.saturating_sub(10 + pointer) / (record + pointer);
        sum = sum.saturating_mul(most + 1).saturating_add(most);
        levels.push(Level {
            sum_len: encoded(sum),
        });
    }
    let mut pending = vec![(root, count, depth)];
    let mut all = Vec::new();
    while let Some((address, count, depth)) = pending.pop() {
        if file.place(address).is_none() {
            continue;
        }
        let at = file.place(address).unwrap_or_default();
        let bytes = file.read(address, node, "a B-tree node")?;
        let mut fields = Fields::new(&bytes, "a B-tree node", at);
        fields.expect(if depth == 0 { b"BTLF" } else { b"BTIN" })?;
        fields.take(2)?;
        for _ in 0..count {
            let len = usize::try_from(record).unwrap_or(usize::MAX);
            all.push(fields.take(len)?.to_vec());
        }
        if all.len() > MAX_RECORDS || pending.len() > MAX_RECORDS {
            return Err(Stop::limit("the records of a B-tree", MAX_RECORDS, at));
        }
        let Some(below) = depth.checked_sub(1) else {
            continue;
        };
        let sum_len = levels.get(below).map_or(0, |level| level.sum_len);
        for _ in 0..=count {
            let child = fields.number(file.offset_size)?;
            let count = fields.number(count_len)?;
            fields.take(sum_len)?;
            pending.push((child, count, below));
        }
    }
    Ok(all)
}

/// Returns how many bytes a number up to `limit` takes.
fn encoded(limit: u64) -> usize {
    limit
        .checked_ilog2()
        .map_or(1, |bits| usize::try_from(bits).unwrap_or(64) / 8 + 1)
}
