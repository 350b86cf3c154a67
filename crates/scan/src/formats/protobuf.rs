//! The wire format of protocol buffers, walked forward: fields, never messages. What a field means is
//! the business of its format; long bytes are stepped over.

use crate::cursor::{Cursor, Stop};

/// How deep messages may lie in messages.
pub(crate) const MAX_DEPTH: usize = 64;
/// The highest number that a field may have.
const MAX_FIELD: u64 = (1 << 29) - 1;

/// What stands in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number of at most ten bytes.
    Varint(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Eight bytes.
    Fixed64(u64),
    /// A range of the source: text, bytes, a message or packed numbers.
    Bytes(Range),
}

/// A range of the source, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Range {
    pub(crate) fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) number: u64,
    pub(crate) value: Value,
    /// Where its key stands, in bytes from the start of the source.
    pub(crate) at: u64,
}

impl Field {
    /// Returns the range, or says that the field is of another wire type.
    pub(crate) fn range(self) -> Result<Range, Stop> {
        match self.value {
            Value::Bytes(range) => Ok(range),
            _ => Err(self.wrong("length-delimited")),
        }
    }

    /// Returns the number, or says that the field is of another wire type.
    pub(crate) fn varint(self) -> Result<u64, Stop> {
        match self.value {
            Value::Varint(number) => Ok(number),
            _ => Err(self.wrong("a varint")),
        }
    }

    fn wrong(self, wanted: &str) -> Stop {
        Stop::malformed(format!("field {} is not {wanted}", self.number), self.at)
    }

    /// Says that `message` has no such field.
    pub(crate) fn unknown(self, message: &str) -> Stop {
        Stop::malformed(
            format!("message `{message}` has no field {}", self.number),
            self.at,
        )
    }
}

/// Reads a varint: at most ten bytes, within 64 bits.
pub(crate) fn varint(cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
    let start = cursor.at();
    let mut number = 0u64;
    for index in 0..10u32 {
        let byte = cursor.u8("a varint")?;
        if index == 9 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Stop::malformed("a varint has more than 64 bits", start))
}

/// Reads the next field, or `None` where the cursor ends.
pub(crate) fn field(cursor: &mut Cursor<'_>) -> Result<Option<Field>, Stop> {
    let at = cursor.at();
    if cursor.left() == 0 {
        return Ok(None);
    }
    let key = varint(cursor)?;
    let number = key >> 3;
    if number == 0 || number > MAX_FIELD {
        return Err(Stop::malformed(
            format!("{number} is no number of a field"),
            at,
        ));
    }
    let value = match key & 7 {
        0 => Value::Varint(varint(cursor)?),
        1 => Value::Fixed64(cursor.u64("a fixed number")?),
        2 => {
            let len = varint(cursor)?;
            let start = cursor.at();
            cursor.skip(len, "a length-delimited field")?;
            Value::Bytes(Range {
                start,
                end: cursor.at(),
            })
        }
        5 => Value::Fixed32(cursor.u32("a fixed number")?),
        wire => {
            return Err(Stop::malformed(
                format!("wire type {wire} of field {number} is a group or none"),
                at,
            ));
        }
    };
    Ok(Some(Field { number, value, at }))
}

/// Counts the numbers of a packed or single field whose elements are varints.
pub(crate) fn count_varints(cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
    let mut count = 0u64;
    while cursor.left() > 0 {
        varint(cursor)?;
        count = count.saturating_add(1);
    }
    Ok(count)
}

#[cfg(test)]
pub(crate) mod build {
    //! Writes messages for tests.

    pub(crate) fn number(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = u8::try_from(number & 0x7f).unwrap();
            number >>= 7;
            if number == 0 {
                bytes.push(low);
                return bytes;
            }
            bytes.push(low | 0x80);
        }
    }

    pub(crate) fn int(field: u64, value: u64) -> Vec<u8> {
        [number(field << 3), number(value)].concat()
    }

    pub(crate) fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
        let value = value.as_ref();
        [
            number(field << 3 | 2),
            number(value.len() as u64),
            value.to_vec(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8]) -> Result<Option<Field>, Stop> {
        field(&mut Cursor::new(&bytes))
    }

    #[test]
    fn fields_of_every_wire_type_are_read() {
        assert_eq!(first(&[]), Ok(None));
        assert_eq!(
            first(&build::int(3, 300)).unwrap().unwrap().value,
            Value::Varint(300)
        );
        let text = first(&build::bytes(2, "abc")).unwrap().unwrap();
        assert_eq!(text.range().unwrap().len(), 3);
        assert!(text.varint().is_err());
        assert_eq!(
            first(&[0x0d, 1, 0, 0, 0]).unwrap().unwrap().value,
            Value::Fixed32(1)
        );
        assert_eq!(
            first(&[0x09, 1, 0, 0, 0, 0, 0, 0, 0])
                .unwrap()
                .unwrap()
                .value,
            Value::Fixed64(1)
        );
    }

    #[test]
    fn what_no_writer_writes_is_refused() {
        let long = [&[0x08][..], &[0xff; 9], &[0x7f]].concat();
        for bytes in [
            &[0x00, 0x00][..],
            &[0x0b],
            &[0x0e],
            &[0x0a, 0x05, 1],
            &[0x08],
            &long,
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
        ] {
            assert!(first(bytes).is_err(), "{bytes:?}");
        }
    }
}
