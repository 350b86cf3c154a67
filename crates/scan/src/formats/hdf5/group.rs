//! The links of a group: symbol tables (B-tree version 1, local heap) and link messages.

use super::file::{Fields, File, c_string};
use crate::cursor::Stop;

/// How many nodes one B-tree may have, and how deep it may be.
const MAX_NODES: usize = 200_000;
const MAX_LEVEL: u8 = 16;
/// How many links one group may have.
const MAX_LINKS: usize = 1_000_000;

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// To the object at an address.
    Hard(u64),
    /// To a path in this file.
    Soft(String),
    /// To an object of another file.
    External(String),
    /// To what a program of its own resolves.
    Custom(u8),
}

/// A named link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) target: Target,
}

/// Reads the links of a symbol table message.
pub(super) fn symbol_table(file: &File<'_>, message: &[u8], at: u64) -> Result<Vec<Link>, Stop> {
    let mut fields = Fields::new(message, "a symbol table", at);
    let tree = fields.number(file.offset_size)?;
    let heap = local_heap(file, fields.number(file.offset_size)?)?;
    let mut links = Vec::new();
    for node in leaves(file, tree, 0, file.length_size)? {
        symbol_node(file, node.child, &heap, &mut links)?;
        if links.len() > MAX_LINKS {
            return Err(Stop::limit("the links of a group", MAX_LINKS, at));
        }
    }
    Ok(links)
}

fn local_heap(file: &File<'_>, address: u64) -> Result<Vec<u8>, Stop> {
    let header = file.head(address, 64, "a local heap")?;
    let mut fields = Fields::new(
        &header,
        "a local heap",
        file.place(address).unwrap_or_default(),
    );
    fields.expect(b"HEAP")?;
    fields.take(4)?;
    let len = fields.number(file.length_size)?;
    fields.take(file.length_size)?;
    file.read(fields.number(file.offset_size)?, len, "a local heap")
}

/// What a leaf of a B-tree points to, with the key before it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) child: u64,
    pub(super) key: Vec<u8>,
}

/// Collects the leaves of a B-tree of version 1 whose keys have `key` bytes.
pub(super) fn leaves(file: &File<'_>, root: u64, kind: u8, key: usize) -> Result<Vec<Leaf>, Stop> {
    let mut leaves = Vec::new();
    let mut pending = vec![(root, None)];
    let mut nodes = 0;
    while let Some((address, level)) = pending.pop() {
        nodes += 1;
        let at = file.place(address).unwrap_or_default();
        if nodes > MAX_NODES || leaves.len() > MAX_LINKS {
            return Err(Stop::limit("the nodes of a B-tree", MAX_NODES, at));
        }
        let head = file.head(address, 8, "a B-tree node")?;
        let mut fields = Fields::new(&head, "a B-tree node", at);
        fields.expect(b"TREE")?;
        if fields.byte()? != kind {
            return Err(fields.malformed("of another kind"));
        }
        let own = fields.byte()?;
        // Levels go down by one: so a node that leads back to itself ends the walk.
        if own > MAX_LEVEL || level.is_some_and(|above: u8| own.checked_add(1) != Some(above)) {
            return Err(fields.malformed("of a level that is not below its parent's"));
        }
        let count = fields.size(2)?;
        let each = key + file.offset_size;
        let len = 8 + 2 * file.offset_size + count * each;
        let node = file.read(address, len as u64, "a B-tree node")?;
        let mut fields = Fields::new(&node, "a B-tree node", at);
        fields.take(8 + 2 * file.offset_size)?;
        for _ in 0..count {
            let key = fields.take(key)?.to_vec();
            let child = fields.number(file.offset_size)?;
            if own == 0 {
                leaves.push(Leaf { child, key });
            } else {
                pending.push((child, Some(own)));
            }
        }
    }
    Ok(leaves)
}

fn symbol_node(
    file: &File<'_>,
    address: u64,
    heap: &[u8],
    links: &mut Vec<Link>,
) -> Result<(), Stop> {
    let at = file.place(address).unwrap_or_default();
    let head = file.head(address, 8, "a symbol node")?;
    let mut fields = Fields::new(&head, "a symbol node", at);
    fields.expect(b"SNOD")?;
    fields.take(2)?;
    let count = fields.number(2)?;
    let each = 2 * file.offset_size as u64 + 24;
    let bytes = file.read(address.saturating_add(8), count * each, "a symbol node")?;
    let mut fields = Fields::new(&bytes, "a symbol node", at);
    let text = |offset: u64| {
        usize::try_from(offset)
            .ok()
            .and_then(|offset| heap.get(offset..))
            .map(c_string)
    };
    for _ in 0..count {
        let name = text(fields.number(file.offset_size)?);
        let name = name.ok_or_else(|| fields.malformed("with a name outside of its heap"))?;
        let object = fields.number(file.offset_size)?;
        let cache = fields.number(4)?;
        fields.take(4)?;
        let scratch = fields.take(16)?;
        let target = if cache == 2 {
            let path = Fields::new(scratch, "a soft link", at).number(4)?;
            Target::Soft(text(path).unwrap_or_default())
        } else {
            Target::Hard(object)
        };
        links.push(Link { name, target });
    }
    Ok(())
}

/// Reads a link message.
pub(super) fn link(file: &File<'_>, message: &[u8], at: u64) -> Result<Link, Stop> {
    let mut fields = Fields::new(message, "a link", at);
    if fields.byte()? != 1 {
        return Err(fields.malformed("of no known version"));
    }
    let flags = fields.byte()?;
    let kind = if flags & 8 != 0 { fields.byte()? } else { 0 };
    if flags & 4 != 0 {
        fields.take(8)?;
    }
    if flags & 16 != 0 {
        fields.take(1)?;
    }
    let len = fields.size(1 << (flags & 3))?;
    let name = c_string(fields.take(len)?);
    let target = match kind {
        0 => Target::Hard(fields.number(file.offset_size)?),
        1 => {
            let len = fields.size(2)?;
            Target::Soft(c_string(fields.take(len)?))
        }
        64 => {
            let len = fields.size(2)?;
            let value = fields.take(len)?;
            Target::External(c_string(value.get(1..).unwrap_or_default()))
        }
        kind => Target::Custom(kind),
    };
    Ok(Link { name, target })
}
