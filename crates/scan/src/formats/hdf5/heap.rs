//! Global heaps, which hold values of variable length: each one of the file is found by its signature,
//! so that none is missed, whichever way a dataset refers to it.

use std::collections::HashMap;

use super::file::{Fields, File};
use super::hand_over;
use crate::cursor::Stop;
use crate::scan::Scan;
use crate::source::Slice;

const SIGNATURE: &[u8; 4] = b"GCOL";
const STEP: usize = 256 << 10;
/// How many objects of heaps are looked at.
const MAX_OBJECTS: usize = 1_000_000;
/// How often the bytes of the file are looked at as objects: heaps that lie in each other have the same ones.
const MAX_TIMES: u64 = 4;
/// What a look at an object costs at least, in bytes.
const LEAST: u64 = 256;

/// Looks at every object of every global heap; `names` tells which attribute an object belongs to.
pub(super) fn look(
    file: &File<'_>,
    names: &HashMap<(u64, u64), String>,
    scan: &mut Scan<'_>,
) -> Result<(), Stop> {
    let mut step = vec![0; STEP];
    let mut at = file.base;
    let mut objects = Objects {
        count: 0,
        left: file
            .source
            .len()
            .saturating_mul(MAX_TIMES)
            .saturating_add(64 << 20),
    };
    while at < file.source.len() {
        let count = file.source.read_at(at, &mut step)?;
        let read = step.get(..count).unwrap_or_default();
        for (place, window) in read.windows(SIGNATURE.len()).enumerate() {
            if window == SIGNATURE {
                heap(
                    file,
                    at.saturating_add(place as u64),
                    names,
                    &mut objects,
                    scan,
                )?;
            }
        }
        if count < STEP {
            break;
        }
        // A signature may lie across two steps.
        at = at.saturating_add((count - SIGNATURE.len() + 1) as u64);
    }
    Ok(())
}

/// The objects that were looked at.
struct Objects {
    count: usize,
    /// How many bytes more are looked at.
    left: u64,
}

fn heap(
    file: &File<'_>,
    at: u64,
    names: &HashMap<(u64, u64), String>,
    objects: &mut Objects,
    scan: &mut Scan<'_>,
) -> Result<(), Stop> {
    let address = at.saturating_sub(file.base);
    let each = 8 + file.length_size as u64;
    let header = file.head(address, each, "a global heap")?;
    let mut fields = Fields::new(&header, "a global heap", at);
    fields.expect(SIGNATURE)?;
    // Numbers may spell the signature: what does not fit is no heap.
    if fields.left() < 4 + file.length_size || fields.byte()? != 1 {
        return Ok(());
    }
    fields.take(3)?;
    let end = at.saturating_add(fields.number(file.length_size)?);
    if end > file.source.len() {
        return Ok(());
    }
    let mut next = at.saturating_add(each);
    while next.saturating_add(each) <= end {
        let object = file.read(next.saturating_sub(file.base), each, "a heap object")?;
        let mut fields = Fields::new(&object, "a heap object", next);
        let index = fields.number(2)?;
        fields.take(6)?;
        let len = fields.number(file.length_size)?;
        let start = next.saturating_add(each);
        if index == 0 && len >= each {
            // Free space, whose size counts from its own beginning.
            next = next.saturating_add(len);
            continue;
        }
        if index == 0 || start.saturating_add(len) > end {
            return Ok(());
        }
        objects.count += 1;
        if objects.count > MAX_OBJECTS {
            return Err(Stop::limit("the objects of heaps", MAX_OBJECTS, next));
        }
        let cost = len.max(LEAST);
        let Some(left) = objects.left.checked_sub(cost) else {
            return Err(Stop::limit(
                "the bytes of heaps",
                "four times the file",
                next,
            ));
        };
        objects.left = left;
        let name = names.get(&(address, index));
        let value = Slice::new(file.source, start, trimmed(file, start, len)?);
        hand_over(name.map_or("value", String::as_str), &value, scan);
        next = start.saturating_add(len.next_multiple_of(8));
    }
    Ok(())
}

/// A text may end with NULs, which are not part of it.
fn trimmed(file: &File<'_>, start: u64, len: u64) -> Result<u64, Stop> {
    let mut last = [0; 8];
    let from = start.saturating_add(len.saturating_sub(8));
    let have = usize::try_from(len.min(8)).unwrap_or(8);
    let tail = last.get_mut(..have).unwrap_or_default();
    file.source.read_at(from.max(start), tail)?;
    let nuls = tail.iter().rev().take_while(|byte| **byte == 0).count();
    Ok(len.saturating_sub(nuls as u64))
}
