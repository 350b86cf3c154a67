//! What stands beside a `SavedModel`: its fingerprint, and the index of its variables.

use crate::cursor::{Cursor, Stop};
use crate::formats::protobuf::{self, Value};
use crate::scan::{Scan, Understood};
use crate::sniff::{Format, Head};
use crate::source::Source;

/// The fingerprint of a `SavedModel`: five numbers and versions.
pub(crate) const FINGERPRINT: Format = Format {
    name: "TensorFlow fingerprint",
    recognises: |head: &Head<'_>| fingerprint(head.source).is_ok_and(|numbers| numbers >= 3),
    parse: |source, _: &mut Scan<'_>| {
        fingerprint(source)?;
        Ok(Understood {
            format: "TensorFlow fingerprint",
            bytes: source.len(),
        })
    },
};

/// The index of a checkpoint: a sorted table with a footer.
pub(crate) const INDEX: Format = Format {
    name: "TensorFlow checkpoint index",
    recognises: |head: &Head<'_>| magic(head.source),
    parse: index,
};

/// The last eight bytes of a sorted table.
const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
/// The length of a footer, in bytes.
const FOOTER: u64 = 48;
/// What follows each block: a byte and a checksum, in bytes.
const TRAILER: u64 = 5;
/// How long a fingerprint may be, in bytes.
const MAX_FINGERPRINT: u64 = 256;

/// Reads a fingerprint and returns how many numbers it has.
fn fingerprint(source: &dyn Source) -> Result<usize, Stop> {
    if source.len() > MAX_FINGERPRINT {
        return Err(Stop::limit("a fingerprint", MAX_FINGERPRINT, 0));
    }
    let mut cursor = Cursor::new(source);
    let mut numbers = 0;
    while let Some(field) = protobuf::field(&mut cursor)? {
        match (field.number, field.value) {
            (1..=5, Value::Varint(_)) => numbers += 1,
            (6, Value::Bytes(range)) => {
                let mut versions = Cursor::range(source, range.start, range.end);
                while let Some(version) = protobuf::field(&mut versions)? {
                    version.varint()?;
                }
            }
            (7, Value::Bytes(_)) => {}
            _ => return Err(field.unknown("FingerprintDef")),
        }
    }
    Ok(numbers)
}

fn magic(source: &dyn Source) -> bool {
    let mut end = [0; 8];
    source.len().checked_sub(8).is_some_and(|at| {
        source.read_at(at, &mut end).is_ok_and(|count| count == 8) && end == MAGIC
    })
}

/// Holds the blocks that the footer names against the file.
fn index(source: &dyn Source, _: &mut Scan<'_>) -> Result<Understood, Stop> {
    let start = source.len().saturating_sub(FOOTER);
    let mut cursor = Cursor::range(source, start, source.len());
    for _ in 0..2 {
        let offset = protobuf::varint(&mut cursor)?;
        let size = protobuf::varint(&mut cursor)?;
        let end = offset
            .checked_add(size)
            .and_then(|end| end.checked_add(TRAILER));
        if end.is_none_or(|end| end > start) {
            return Err(Stop::malformed("has a block beyond the file", start));
        }
    }
    Ok(Understood {
        format: "TensorFlow checkpoint index",
        bytes: source.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rules, Verdict, scan};

    #[test]
    fn the_files_beside_a_model_are_known() {
        let rules = Rules::built_in().unwrap();
        let print = [8, 1, 16, 2, 24, 3, 32, 4, 40, 5, 50, 2, 8, 1];
        assert_eq!(
            scan("fingerprint.pb", &print.to_vec(), &rules).verdict,
            Verdict::Clean
        );
        let table = |size: u8| {
            let mut bytes = vec![0; 20];
            bytes.extend([0, size, 5, 1]);
            bytes.resize(60, 0);
            bytes.extend(MAGIC);
            bytes
        };
        assert_eq!(scan("v.index", &table(3), &rules).verdict, Verdict::Clean);
        assert_eq!(
            scan("v.index", &table(99), &rules).verdict,
            Verdict::Unscannable
        );
    }
}
