//! `XGBoost` boosters in Universal Binary JSON: data alone, walked whole.

use crate::cursor::{Cursor, Stop};
use crate::scan::{Scan, Understood};
use crate::sniff::{Format, Head};
use crate::source::Source;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "XGBoost UBJSON",
    recognises: |head: &Head<'_>| {
        head.starts_with(b"{L\0\0\0\0\0\0\0") || head.starts_with(b"{l\0\0\0")
    },
    parse: |source: &dyn Source, _: &mut Scan<'_>| {
        let mut cursor = Cursor::new(source);
        let marker = cursor.u8("a value")?;
        value(&mut cursor, marker, 0)?;
        Ok(Understood {
            format: "XGBoost UBJSON",
            bytes: cursor.at(),
        })
    },
};

/// How deep values may lie in values.
const MAX_DEPTH: usize = 64;

/// Returns the size of a value of a fixed size, in bytes.
const fn size(marker: u8) -> Option<u64> {
    Some(match marker {
        b'Z' | b'N' | b'T' | b'F' => 0,
        b'i' | b'U' | b'C' => 1,
        b'I' => 2,
        b'l' | b'd' => 4,
        b'L' | b'D' => 8,
        _ => return None,
    })
}

fn length(cursor: &mut Cursor<'_>, marker: u8) -> Result<u64, Stop> {
    let at = cursor.at();
    let number = match marker {
        b'i' => i64::from(i8::from_be_bytes(cursor.array("a length")?)),
        b'U' => i64::from(cursor.u8("a length")?),
        b'I' => i64::from(i16::from_be_bytes(cursor.array("a length")?)),
        b'l' => i64::from(i32::from_be_bytes(cursor.array("a length")?)),
        b'L' => i64::from_be_bytes(cursor.array("a length")?),
        _ => return Err(Stop::malformed("has a length that is no number", at)),
    };
    u64::try_from(number).map_err(|_| Stop::malformed("has a length below zero", at))
}

fn text(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    let marker = cursor.u8("a length")?;
    let length = length(cursor, marker)?;
    cursor.skip(length, "a text")
}

fn value(cursor: &mut Cursor<'_>, marker: u8, depth: usize) -> Result<(), Stop> {
    let at = cursor.at();
    if depth > MAX_DEPTH {
        return Err(Stop::limit("values in values", MAX_DEPTH, at));
    }
    match marker {
        b'S' => text(cursor),
        b'[' => list(cursor, depth),
        b'{' => loop {
            if cursor.peek()? == Some(b'}') {
                return cursor.skip(1, "an object");
            }
            text(cursor)?;
            let marker = cursor.u8("a value")?;
            value(cursor, marker, depth + 1)?;
        },
        marker => match size(marker) {
            Some(size) => cursor.skip(size, "a value"),
            None => Err(Stop::malformed("has a value of no known kind", at)),
        },
    }
}

fn list(cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Stop> {
    let mut kind = None;
    if cursor.peek()? == Some(b'$') {
        cursor.skip(1, "a list")?;
        kind = Some(cursor.u8("a list")?);
    }
    if cursor.peek()? == Some(b'#') {
        cursor.skip(1, "a list")?;
        let marker = cursor.u8("a length")?;
        let count = length(cursor, marker)?;
        if let Some(kind) = kind {
            let bytes = size(kind).filter(|size| *size > 0);
            let bytes = bytes.and_then(|size| size.checked_mul(count));
            return match bytes {
                Some(bytes) => cursor.skip(bytes, "a list"),
                None => Err(Stop::malformed("has a list of no known kind", cursor.at())),
            };
        }
        for _ in 0..count {
            let marker = cursor.u8("a value")?;
            value(cursor, marker, depth + 1)?;
        }
        return Ok(());
    }
    loop {
        match cursor.u8("a list")? {
            b']' => return Ok(()),
            marker => value(cursor, marker, depth + 1)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Rules, Verdict, scan};

    #[test]
    fn a_booster_is_walked_whole() {
        let rules = Rules::built_in().unwrap();
        let verdict = |bytes: &[u8]| scan("m.ubj", &bytes, &rules).verdict;
        let good = b"{L\0\0\0\0\0\0\0\x01a[$d#L\0\0\0\0\0\0\0\x01\0\0\0\0}".to_vec();
        assert_eq!(verdict(&good), Verdict::Clean);
        assert_eq!(verdict(&[&good[..], b"x"].concat()), Verdict::Unscannable);
        assert_eq!(verdict(&good[..20]), Verdict::Unscannable);
    }
}
