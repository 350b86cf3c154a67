//! HDF5 (The HDF Group, File Format Specification 3.0): the tree of groups is walked without the C
//! library; attributes and global heaps are looked through for configurations and pickles.
//!
//! Values of datasets are numbers to every loader; where they lie is checked, what they are is not.
//! INVARIANT: what cannot be walked (such as a fractal heap with filters) makes the file unscannable.

mod attribute;
mod dataset;
mod dense;
mod file;
mod group;
mod header;
mod heap;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use crate::cursor::Stop;
use crate::formats::json;
use crate::pickle;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::{Slice, Source};
use attribute::Value;
use custody_findings::Severity;
use file::{Fields, File};
use group::{Link, Target};

pub(crate) const FORMAT: Format = Format {
    name: "HDF5",
    recognises,
    parse,
};

const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
/// How far the superblock is searched, in bytes: at 0, 512 and every doubling.
const MAX_USER_BLOCK: u64 = 1 << 30;
/// How many objects one file may have.
const MAX_OBJECTS: usize = 1_000_000;
/// How many bytes of structures may be read beyond the file's own size.
const FREE_BUDGET: u64 = 64 << 20;

fn recognises(head: &Head<'_>) -> bool {
    head.starts_with(SIGNATURE) || superblock_at(head.source).is_some()
}

/// Returns where the superblock begins.
fn superblock_at(source: &dyn Source) -> Option<u64> {
    let mut at = 0;
    while at <= MAX_USER_BLOCK && at < source.len() {
        let mut start = [0; 8];
        let count = source.read_at(at, &mut start).ok()?;
        if count == start.len() && start == *SIGNATURE {
            return Some(at);
        }
        at = if at == 0 { 512 } else { at * 2 };
    }
    None
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let start = superblock_at(source).ok_or_else(|| Stop::malformed("has no superblock", 0))?;
    if start > 0 {
        user_block(source, start, scan);
    }
    let superblock = Superblock::read(source, start)?;
    let file = superblock.file(source);
    let mut walk = Walk::default();
    walk.pending.push(superblock.root);
    if let Some(extension) = superblock.extension {
        walk.pending.push(extension);
    }
    while let Some(address) = walk.pending.pop() {
        walk.object(&file, address, scan)?;
    }
    heap::look(&file, &walk.names, scan)?;
    let end = superblock.end;
    let left = source.len().saturating_sub(end.max(start));
    if end > source.len() {
        return Err(Stop::Truncated {
            what: "the file that its superblock describes",
            at: source.len(),
        });
    }
    if left > 0 {
        scan.found(
            Found::review("hdf5/appended", format!("{left} bytes follow its end"))
                .severity(Severity::High)
                .why("they belong to no object; another loader may read them as another format")
                .see(&["AML.T0074"])
                .at(end),
        );
        scan.member("appended", &Slice::new(source, end, left));
    }
    Ok(Understood {
        format: "HDF5",
        bytes: source.len(),
    })
}

/// Bytes before the superblock, which HDF5 leaves to others.
fn user_block(source: &dyn Source, len: u64, scan: &mut Scan<'_>) {
    scan.found(
        Found::review("hdf5/user-block", format!("{len} bytes stand before it"))
            .severity(Severity::High)
            .why("another loader may read them as another format")
            .see(&["AML.T0074"])
            .at(0),
    );
    let slice = Slice::new(source, 0, len);
    // What begins with the superblock of a file is none here: the search found none before.
    scan.member("user block", &slice);
}

#[derive(Debug)]
struct Superblock {
    base: u64,
    offset_size: usize,
    length_size: usize,
    /// Where the file ends, in bytes from the start of the source.
    end: u64,
    root: u64,
    extension: Option<u64>,
}

impl Superblock {
    fn read(source: &dyn Source, start: u64) -> Result<Self, Stop> {
        let mut bytes = vec![0; 128];
        let count = source.read_at(start, &mut bytes)?;
        bytes.truncate(count);
        let mut fields = Fields::new(&bytes, "a superblock", start);
        fields.expect(SIGNATURE)?;
        let version = fields.byte()?;
        if version < 2 {
            fields.take(4)?;
        }
        let offset_size = fields.size(1)?;
        let length_size = fields.size(1)?;
        if ![2, 4, 8].contains(&offset_size) || ![2, 4, 8].contains(&length_size) {
            return Err(fields.malformed("with sizes that HDF5 does not have"));
        }
        let undefined = u64::MAX >> (64 - 8 * offset_size);
        let (base, end, root, extension);
        match version {
            0 | 1 => {
                fields.take(if version == 0 { 9 } else { 13 })?;
                base = fields.number(offset_size)?;
                fields.take(offset_size)?;
                end = fields.number(offset_size)?;
                fields.take(2 * offset_size)?;
                root = fields.number(offset_size)?;
                extension = None;
            }
            2 | 3 => {
                fields.take(1)?;
                base = fields.number(offset_size)?;
                extension = Some(fields.number(offset_size)?).filter(|at| *at != undefined);
                end = fields.number(offset_size)?;
                root = fields.number(offset_size)?;
            }
            _ => return Err(fields.malformed("of no known version")),
        }
        if base != start && base != 0 {
            return Err(fields.malformed("with a base that is not where it stands"));
        }
        // With a user block the end is written relative to the base by some versions.
        let end = if end.checked_add(base) == Some(source.len()) {
            source.len()
        } else {
            end
        };
        Ok(Self {
            base,
            offset_size,
            length_size,
            end,
            root,
            extension,
        })
    }

    fn file<'a>(&self, source: &'a dyn Source) -> File<'a> {
        File {
            source,
            base: self.base,
            offset_size: self.offset_size,
            length_size: self.length_size,
            budget: Cell::new(source.len().saturating_mul(4).saturating_add(FREE_BUDGET)),
        }
    }
}

#[derive(Default)]
struct Walk {
    pending: Vec<u64>,
    seen: HashSet<u64>,
    /// The attributes whose values lie in global heaps.
    names: HashMap<(u64, u64), String>,
}

/// The messages that are looked at.
const FOLLOWED: [u64; 6] = [0x06, 0x07, 0x08, 0x0b, 0x0c, 0x11];

impl Walk {
    fn object(&mut self, file: &File<'_>, address: u64, scan: &mut Scan<'_>) -> Result<(), Stop> {
        if file.place(address).is_none() || !self.seen.insert(address) {
            return Ok(());
        }
        if self.seen.len() > MAX_OBJECTS {
            let at = file.place(address).unwrap_or_default();
            return Err(Stop::limit("the objects of the file", MAX_OBJECTS, at));
        }
        let mut external = false;
        let mut messages = header::messages(file, address)?;
        let mut more = Vec::new();
        for message in &messages {
            match message.kind {
                0x02 => more.extend(dense(file, message, 0x06)?),
                0x15 => more.extend(dense(file, message, 0x0c)?),
                _ => {}
            }
        }
        messages.append(&mut more);
        for message in messages {
            if message.shared {
                // What lies elsewhere and is not followed must be nothing but a type or a shape.
                if FOLLOWED.contains(&message.kind) {
                    return Err(Stop::malformed(
                        "keeps a part of an object among shared messages, which are not followed",
                        message.at,
                    ));
                }
                continue;
            }
            match message.kind {
                0x01 => dataset::space(file, &message, scan)?,
                0x06 => {
                    let link = group::link(file, &message.bytes, message.at)?;
                    self.follow(link, message.at, scan);
                }
                0x07 => {
                    external = true;
                    dataset::external(&message, scan);
                }
                0x08 if !external => {
                    if let Some(range) = dataset::layout(file, &message, scan)? {
                        hidden(file, range, scan);
                    }
                }
                0x0b => dataset::filters(&message, scan)?,
                0x0c => self.attribute(file, &message, scan)?,
                0x11 => {
                    for link in group::symbol_table(file, &message.bytes, message.at)? {
                        self.follow(link, message.at, scan);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn follow(&mut self, link: Link, at: u64, scan: &mut Scan<'_>) {
        match link.target {
            Target::Hard(address) => self.pending.push(address),
            // A path in the same file leads to what the walk meets anyway.
            Target::Soft(_) => {}
            Target::External(path) => scan.found(
                Found::malicious(
                    "hdf5/external-link",
                    format!(
                        "`{}` is an object of the file `{}`",
                        shown(&link.name),
                        shown(&path)
                    ),
                )
                .severity(Severity::High)
                .why("loading the model opens a file of its choice")
                .see(&["CWE-73", "CWE-610"])
                .at(at),
            ),
            Target::Custom(kind) => scan.found(
                Found::review(
                    "hdf5/custom-link",
                    format!("`{}` is a link of the kind {kind}", shown(&link.name)),
                )
                .why("a program of its own resolves it")
                .at(at),
            ),
        }
    }

    fn attribute(
        &mut self,
        file: &File<'_>,
        message: &header::Message,
        scan: &mut Scan<'_>,
    ) -> Result<(), Stop> {
        let attribute = attribute::read(file, message)?;
        match attribute.value {
            Value::Bytes(bytes) => {
                let end = bytes.iter().rposition(|byte| *byte != 0);
                let kept = bytes.get(..end.map_or(0, |end| end + 1)).unwrap_or(&bytes);
                hand_over(&attribute.name, &kept, scan);
            }
            Value::InHeap(places) => {
                for place in places {
                    self.names.insert(place, attribute.name.clone());
                }
            }
        }
        Ok(())
    }
}

/// Reads what a group or an object keeps in a fractal heap: links or attributes as messages.
fn dense(
    file: &File<'_>,
    message: &header::Message,
    kind: u64,
) -> Result<Vec<header::Message>, Stop> {
    let (order, skip) = if kind == 0x06 { (8, 4) } else { (2, 0) };
    let mut fields = Fields::new(&message.bytes, "an information message", message.at);
    fields.byte()?;
    if fields.byte()? & 1 != 0 {
        fields.take(order)?;
    }
    let heap = fields.number(file.offset_size)?;
    let names = fields.number(file.offset_size)?;
    if file.place(heap).is_none() {
        return Ok(Vec::new());
    }
    let messages = dense::messages(file, heap, names, skip)?;
    let message = |bytes| header::Message {
        kind,
        shared: false,
        bytes,
        at: message.at,
    };
    Ok(messages.into_iter().map(message).collect())
}

/// Hands over a value that some loader reads as a configuration or a pickle.
fn hand_over(name: &str, value: &dyn Source, scan: &mut Scan<'_>) {
    let mut start = [0; 2];
    if value.read_at(0, &mut start).unwrap_or_default() < 2 {
        return;
    }
    let json = matches!(start[0], b'{' | b'[' | 0xef);
    let pickled = start[0] == 0x80 && (2..=5).contains(&start[1]);
    let called = pickled || pickle::probe(value, value.len()).calls > 0;
    if name.ends_with("_config") && !called {
        // The loader reads the model from it: as JSON, whatever else it may look like.
        scan.inside(name, value, |scan| {
            (json::FORMAT.parse)(value, scan).map_err(|stop| (json::FORMAT.name, stop))
        });
    } else if json || called {
        scan.member(name, value);
    }
}

/// Looks whether a dataset's values are a pickle.
fn hidden(file: &File<'_>, (at, len): dataset::Range, scan: &mut Scan<'_>) {
    let slice = Slice::new(file.source, at, len);
    let mut start = [0; 2];
    if slice.read_at(0, &mut start).unwrap_or_default() < 2 {
        return;
    }
    let pickled = start[0] == 0x80 && (2..=5).contains(&start[1]);
    if pickled && pickle::probe(&slice, len).is_pickle() {
        scan.member("dataset", &slice);
    }
}

#[cfg(test)]
mod tests;
