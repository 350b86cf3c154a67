//! Object headers, versions 1 and 2, with their continuations (HDF5 File Format, section IV.A).

use super::file::{Fields, File};
use crate::cursor::Stop;

/// How many messages and blocks one object may have.
const MAX_MESSAGES: usize = 100_000;
const MAX_BLOCKS: usize = 4096;
/// The message that says where the header goes on.
const CONTINUATION: u64 = 0x10;

/// One message of a header.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u64,
    /// Whether its bytes only say where the message is.
    pub(super) shared: bool,
    pub(super) bytes: Vec<u8>,
    /// Where its block is, for reports.
    pub(super) at: u64,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    version: u8,
    ordered: bool,
}

/// Reads all messages of the object at `address`.
pub(super) fn messages(file: &File<'_>, address: u64) -> Result<Vec<Message>, Stop> {
    let start = file.head(address, 64, "an object header")?;
    let at = file.place(address).unwrap_or_default();
    let mut fields = Fields::new(&start, "an object header", at);
    let mut all = Vec::new();
    let (shape, block) = if start.starts_with(b"OHDR") {
        second(file, address, &mut fields, start.len())?
    } else {
        first(file, address, &mut fields)?
    };
    let mut pending = Vec::new();
    split(&block, shape, at, file, &mut all, &mut pending)?;
    let mut blocks = 0;
    while let Some((address, len)) = pending.pop() {
        blocks += 1;
        if blocks > MAX_BLOCKS {
            return Err(Stop::limit(
                "the blocks of an object header",
                MAX_BLOCKS,
                at,
            ));
        }
        let block = file.read(address, len, "a block of an object header")?;
        let at = file.place(address).unwrap_or_default();
        let mut fields = Fields::new(&block, "a block of an object header", at);
        let body = if shape.version == 1 {
            fields.rest()
        } else {
            fields.expect(b"OCHK")?;
            fields.take(fields.left().saturating_sub(4))?
        };
        split(body, shape, at, file, &mut all, &mut pending)?;
    }
    Ok(all)
}

fn first(file: &File<'_>, address: u64, fields: &mut Fields<'_>) -> Result<(Shape, Vec<u8>), Stop> {
    if fields.byte()? != 1 {
        return Err(fields.malformed("of no known version"));
    }
    fields.take(7)?;
    let len = fields.number(4)?;
    let block = file.read(address.saturating_add(16), len, "an object header")?;
    let shape = Shape {
        version: 1,
        ordered: false,
    };
    Ok((shape, block))
}

fn second(
    file: &File<'_>,
    address: u64,
    fields: &mut Fields<'_>,
    available: usize,
) -> Result<(Shape, Vec<u8>), Stop> {
    fields.expect(b"OHDR")?;
    if fields.byte()? != 2 {
        return Err(fields.malformed("of no known version"));
    }
    let flags = fields.byte()?;
    if flags & 0x20 != 0 {
        fields.take(16)?;
    }
    if flags & 0x10 != 0 {
        fields.take(4)?;
    }
    let len = fields.number(1 << (flags & 3))?;
    let skip = available.saturating_sub(fields.left()) as u64;
    let block = file.read(address.saturating_add(skip), len, "an object header")?;
    let shape = Shape {
        version: 2,
        ordered: flags & 4 != 0,
    };
    Ok((shape, block))
}

fn split(
    block: &[u8],
    shape: Shape,
    at: u64,
    file: &File<'_>,
    all: &mut Vec<Message>,
    pending: &mut Vec<(u64, u64)>,
) -> Result<(), Stop> {
    let mut fields = Fields::new(block, "a header message", at);
    let least = if shape.version == 1 { 8 } else { 4 };
    // Version 2 may leave a gap that is too small for a message.
    while fields.left() >= least + usize::from(shape.ordered) * 2 {
        let (kind, len, flags);
        if shape.version == 1 {
            kind = fields.number(2)?;
            len = fields.size(2)?;
            flags = fields.byte()?;
            fields.take(3)?;
        } else {
            kind = fields.number(1)?;
            len = fields.size(2)?;
            flags = fields.byte()?;
            if shape.ordered {
                fields.take(2)?;
            }
        }
        let bytes = fields.take(len)?;
        if kind == CONTINUATION {
            let mut fields = Fields::new(bytes, "a continuation", at);
            let address = fields.number(file.offset_size)?;
            pending.push((address, fields.number(file.length_size)?));
        } else if kind != 0 {
            all.push(Message {
                kind,
                shared: flags & 2 != 0,
                bytes: bytes.to_vec(),
                at,
            });
        }
        if all.len() > MAX_MESSAGES {
            return Err(Stop::limit("the messages of an object", MAX_MESSAGES, at));
        }
    }
    Ok(())
}
