//! Arrow files and streams, Feather, Parquet: tables, which no loader executes, but for one kind of column. Older
//! versions of pyarrow load its type from a pickle in the schema (CVE-2023-47248).

use crate::cursor::Stop;
use crate::scan::{Found, Scan, Understood};
use crate::sniff::{Format, Head};
use crate::source::Source;

pub(crate) const FORMAT: Format = Format {
    name: "Arrow table",
    recognises: is_table,
    parse,
};

/// A stream of the first versions, whose messages begin with their length.
pub(crate) const LEGACY: Format = Format {
    name: FORMAT.name,
    recognises: |head| {
        let number = |at: usize| {
            let bytes = head.bytes.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*bytes))
        };
        // The place of a message's table, and behind it that of the table of its fields.
        matches!(number(0), Some(64..=0x00ff_ffff))
            && matches!(number(4), Some(place @ 8..=64) if place % 4 == 0)
            && head.bytes.get(8..).is_some_and(|rest| {
                rest.windows(6)
                    .any(|window| window == b"schema" || window == b"ARROW:")
            })
    },
    parse,
};

/// The type that is loaded from a pickle.
const EXTENSION: &[u8] = b"arrow.py_extension_type";
/// What Parquet keeps of an Arrow schema is in base64: the name, from the first, second and third byte of a group on,
/// without the letters that its neighbours share.
const ENCODED: [&[u8]; 3] = [
    b"YXJyb3cucHlfZXh0ZW5zaW9uX3R5cG",
    b"Fycm93LnB5X2V4dGVuc2lvbl90eXBl",
    b"hcnJvdy5weV9leHRlbnNpb25fdHlwZ",
];
/// How much is read at once, in bytes.
const PIECE: usize = 1 << 20;

fn is_table(head: &Head<'_>) -> bool {
    // A message of a stream: a mark, the length of its metadata, and in these the place of the message's table.
    let stream = head.bytes.starts_with(&[0xff; 4])
        && head
            .bytes
            .get(4..8)
            .and_then(<[u8]>::first_chunk::<4>)
            .is_some_and(|length| (16..1 << 24).contains(&u32::from_le_bytes(*length)))
        && head
            .bytes
            .get(8..12)
            .is_some_and(|place| place.ends_with(&[0; 3]));
    stream
        || [&b"ARROW1\0\0"[..], b"FEA1", b"PAR1"]
            .iter()
            .any(|magic| head.starts_with(magic))
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    if let Some(at) = find(source)? {
        scan.found(
            Found::malicious(
                "arrow/extension",
                "a column whose type pyarrow loads from a pickle in the schema",
            )
            .at(at)
            .why("versions before 14.0.1 run what the pickle says when the file is opened")
            .see(&["CVE-2023-47248", "CWE-502", "AML.T0011.000"]),
        );
    }
    Ok(Understood {
        format: FORMAT.name,
        bytes: source.len(),
    })
}

/// Finds the name of the type, plain or encoded.
fn find(source: &dyn Source) -> Result<Option<u64>, Stop> {
    let overlap = EXTENSION.len().max(ENCODED[0].len());
    let needles: Vec<_> = std::iter::once(EXTENSION)
        .chain(ENCODED)
        .map(memchr::memmem::Finder::new)
        .collect();
    let (mut piece, mut at) = (vec![0; PIECE + overlap], 0);
    loop {
        let count = source.read_at(at, &mut piece)?;
        let read = piece.get(..count).unwrap_or_default();
        if let Some(place) = needles.iter().find_map(|needle| needle.find(read)) {
            return Ok(Some(at.saturating_add(place as u64)));
        }
        if count < piece.len() {
            return Ok(None);
        }
        at = at.saturating_add(PIECE as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;
    use custody_findings::{Rules, Verdict};

    #[test]
    fn the_type_that_is_a_pickle_is_found_wherever_it_lies() {
        let rules = Rules::built_in().unwrap();
        let verdict = |bytes: &Vec<u8>| scan("t", bytes, &rules).verdict;
        for magic in [
            &b"ARROW1\0\0"[..],
            b"PAR1",
            b"FEA1",
            b"\xff\xff\xff\xff\x80\0\0\0\x10\0\0\0",
        ] {
            for places in [0, 1, 2, PIECE - 30, PIECE - 9, PIECE, 2 * PIECE + 7] {
                let filled = |needle: &[u8]| [magic, &vec![7; places], needle, &[7; 40]].concat();
                assert_eq!(verdict(&filled(b"arrow.other")), Verdict::Clean);
                assert_eq!(verdict(&filled(EXTENSION)), Verdict::Malicious);
                for encoded in ENCODED {
                    assert_eq!(verdict(&filled(encoded)), Verdict::Malicious);
                }
            }
        }
    }
}
