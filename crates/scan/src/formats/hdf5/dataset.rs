//! Datasets: where their values lie, and what is needed to read them.

use super::file::{Fields, File};
use super::group;
use super::header::Message;
use crate::cursor::Stop;
use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;

/// The greatest number of dimensions of HDF5, with that of the element.
const MAX_DIMENSIONS: usize = 33;
/// How many elements a byte of the file can stand for: deflate packs a thousand bytes into one.
const MAX_RATIO: u64 = 1032;
/// So many elements are never too many.
const FREE_ELEMENTS: u64 = 1 << 30;
/// Filters that the library itself has; 32000 is LZF of `h5py`.
const FILTERS: [u64; 7] = [1, 2, 3, 4, 5, 6, 32_000];

/// A range of the source that holds values as they are.
pub(super) type Range = (u64, u64);

/// Judges a dataspace message: what it declares is allocated by whoever reads it, stored or not.
pub(super) fn space(file: &File<'_>, message: &Message, scan: &mut Scan<'_>) -> Result<(), Stop> {
    let mut fields = Fields::new(&message.bytes, "a dataspace", message.at);
    let version = fields.byte()?;
    let dimensions = fields.size(1)?;
    fields.take(if version == 1 { 6 } else { 2 })?;
    if dimensions > MAX_DIMENSIONS {
        return Err(fields.malformed("of no number of dimensions that HDF5 has"));
    }
    let mut elements = 1u64;
    for _ in 0..dimensions {
        elements = elements.saturating_mul(fields.number(file.length_size)?);
    }
    let most = file
        .source
        .len()
        .saturating_mul(MAX_RATIO)
        .max(FREE_ELEMENTS);
    if elements > most {
        scan.found(
            Found::unscannable(
                "hdf5/bomb",
                format!(
                    "a dataset of {elements} elements in a file of {} bytes",
                    file.source.len()
                ),
            )
            .severity(Severity::High)
            .why("reading it takes memory that the file does not hold")
            .see(&["CWE-400", "CWE-789", "AML.T0029"])
            .at(message.at),
        );
    }
    Ok(())
}

/// Judges a layout message; returns where contiguous values lie.
pub(super) fn layout(
    file: &File<'_>,
    message: &Message,
    scan: &mut Scan<'_>,
) -> Result<Option<Range>, Stop> {
    let mut fields = Fields::new(&message.bytes, "a data layout", message.at);
    let version = fields.byte()?;
    match version {
        1 | 2 => old(file, &mut fields),
        3..=5 => {
            let class = fields.byte()?;
            match class {
                0 => {
                    let len = fields.size(2)?;
                    fields.take(len)?;
                    Ok(None)
                }
                1 => {
                    let address = fields.number(file.offset_size)?;
                    let len = fields.number(file.length_size)?;
                    inside(file, address, len, &fields).map(|place| place.map(|at| (at, len)))
                }
                2 if version == 3 => {
                    let dimensions = fields.size(1)?;
                    let address = fields.number(file.offset_size)?;
                    chunks(file, address, dimensions, &fields)?;
                    Ok(None)
                }
                2 => {
                    newer_index(file, &mut fields)?;
                    Ok(None)
                }
                3 => {
                    scan.found(
                        Found::review("hdf5/virtual", "a virtual dataset maps other files")
                            .severity(Severity::High)
                            .why("reading it reads the files that it names")
                            .see(&["CWE-73"])
                            .at(message.at),
                    );
                    Ok(None)
                }
                _ => Err(fields.malformed("of no known class")),
            }
        }
        _ => Err(fields.malformed("of no known version")),
    }
}

fn old(file: &File<'_>, fields: &mut Fields<'_>) -> Result<Option<Range>, Stop> {
    let dimensions = fields.size(1)?;
    let class = fields.byte()?;
    fields.take(5)?;
    let address = match class {
        0 => return Ok(None),
        _ => fields.number(file.offset_size)?,
    };
    let mut len = 1u64;
    for _ in 0..dimensions {
        len = len.saturating_mul(fields.number(4)?);
    }
    match class {
        // The element's size is not among the dimensions: at least as many bytes as elements.
        1 => inside(file, address, len, fields).map(|place| place.map(|at| (at, len))),
        2 => chunks(file, address, dimensions, fields).map(|()| None),
        _ => Err(fields.malformed("of no known class")),
    }
}

/// Returns the place of `len` bytes at an address, which must lie in the file; `None` if none are
/// stored.
fn inside(
    file: &File<'_>,
    address: u64,
    len: u64,
    fields: &Fields<'_>,
) -> Result<Option<u64>, Stop> {
    let Some(place) = file.place(address).filter(|_| len > 0) else {
        return Ok(None);
    };
    let end = place.checked_add(len);
    if end.is_none_or(|end| end > file.source.len()) {
        return Err(fields.malformed("that reaches beyond the file"));
    }
    Ok(Some(place))
}

/// Walks the chunks of a B-tree of version 1.
fn chunks(
    file: &File<'_>,
    address: u64,
    dimensions: usize,
    fields: &Fields<'_>,
) -> Result<(), Stop> {
    if dimensions == 0 || dimensions > MAX_DIMENSIONS {
        return Err(fields.malformed("of no number of dimensions that HDF5 has"));
    }
    if file.place(address).is_none() {
        return Ok(());
    }
    for leaf in group::leaves(file, address, 1, 8 + 8 * dimensions)? {
        let len = Fields::new(&leaf.key, "a chunk", 0).number(4)?;
        inside(file, leaf.child, len, fields)?;
    }
    Ok(())
}

/// The indexes of layout version 4: what they point to is numbers, so that only their signature is
/// looked at.
fn newer_index(file: &File<'_>, fields: &mut Fields<'_>) -> Result<(), Stop> {
    let flags = fields.byte()?;
    let dimensions = fields.size(1)?;
    let size = fields.size(1)?;
    if dimensions > MAX_DIMENSIONS || size > 8 {
        return Err(fields.malformed("of no number of dimensions that HDF5 has"));
    }
    fields.take(dimensions * size)?;
    let kind = fields.byte()?;
    let signature: &[u8] = match kind {
        1 => {
            let mut len = 1;
            if flags & 2 != 0 {
                len = fields.number(file.length_size)?;
                fields.take(4)?;
            }
            let address = fields.number(file.offset_size)?;
            return inside(file, address, len, fields).map(|_| ());
        }
        2 => b"",
        3 => {
            fields.take(1)?;
            b"FAHD"
        }
        4 => {
            fields.take(5)?;
            b"EAHD"
        }
        5 => {
            fields.take(6)?;
            b"BTHD"
        }
        _ => return Err(fields.malformed("of no known index")),
    };
    let address = fields.number(file.offset_size)?;
    if file.place(address).is_some() {
        let head = file.read(address, signature.len() as u64, "a chunk index")?;
        Fields::new(
            &head,
            "a chunk index",
            file.place(address).unwrap_or_default(),
        )
        .expect(signature)?;
    }
    Ok(())
}

/// Judges a filter pipeline.
pub(super) fn filters(message: &Message, scan: &mut Scan<'_>) -> Result<(), Stop> {
    let mut fields = Fields::new(&message.bytes, "a filter pipeline", message.at);
    let version = fields.byte()?;
    let count = fields.byte()?;
    if version == 1 {
        fields.take(6)?;
    }
    for _ in 0..count {
        let id = fields.number(2)?;
        let named = version == 1 || id >= 256;
        let len = if named { fields.size(2)? } else { 0 };
        fields.take(2)?;
        let values = fields.size(2)?;
        let padded = if version == 1 {
            len.next_multiple_of(8)
        } else {
            len
        };
        let name = super::file::c_string(fields.take(padded)?);
        fields.take(4 * values)?;
        if version == 1 && values % 2 == 1 {
            fields.take(4)?;
        }
        if !FILTERS.contains(&id) {
            scan.found(
                Found::review(
                    "hdf5/filter",
                    format!("values pass the filter {id} `{}`", shown(&name)),
                )
                .why("the library loads native code from its plugin folder to read them")
                .see(&["CWE-829"])
                .at(message.at),
            );
        }
    }
    Ok(())
}

/// Judges an external file list: values that lie in other files.
pub(super) fn external(message: &Message, scan: &mut Scan<'_>) {
    scan.found(
        Found::malicious("hdf5/external-data", "a dataset lies in other files")
            .severity(Severity::High)
            .why("loading the model reads files of its choice, and can give them away")
            .see(&["CWE-73", "CWE-610"])
            .at(message.at),
    );
}
