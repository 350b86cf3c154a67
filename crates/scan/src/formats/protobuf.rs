//! Protocol buffers by a schema, as a stream: no message is held, every field is one that is known.
//!
//! Source: the encoding of Protocol Buffers, versions 2 and 3. Loaders pass over fields that they do not
//! know and let the last of two values win; a scanner that does the same overlooks what is hidden there.
//! So here an unknown field, a wrong wire type and a group make it malformed, and a single field that
//! stands there twice is reported: both are looked at, since loaders merge two messages.

use crate::cursor::{Cursor, Stop};
use crate::scan::Found;

/// How deep messages may be nested: what the reference implementation reads.
const MAX_DEPTH: usize = 100;
/// How long a text that is looked at may be, in bytes.
const MAX_TEXT: usize = 16 << 20;
/// How many bytes a variable-length number has at most.
const MAX_VARINT: u32 = 10;

/// A kind of message: its name and all its fields, at most 64.
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Clone, Copy)]
pub(super) struct Field {
    number: u32,
    kind: Kind,
    many: bool,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A number of variable length.
    Varint,
    /// Four bytes.
    Fixed32,
    /// Eight bytes.
    Fixed64,
    /// Bytes that are passed over.
    Data,
    /// Bytes that are looked at.
    Text,
    /// A message.
    Of(&'static Message),
}

/// A field that a message has once at most.
pub(super) const fn one(number: u32, kind: Kind) -> Field {
    Field {
        number,
        kind,
        many: false,
    }
}

/// A field that a message has any number of times.
pub(super) const fn many(number: u32, kind: Kind) -> Field {
    Field {
        number,
        kind,
        many: true,
    }
}

/// A value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number of variable length.
    Number(u64),
    /// This many numbers of fixed length.
    Numbers(u64),
    /// Data of this many bytes.
    Data(u64),
    /// Bytes of [`Kind::Text`].
    Text(&'a [u8]),
}

/// Sees the fields of a message in the order in which they stand.
pub(super) trait Visitor {
    /// A message begins.
    fn enter(&mut self, message: &'static Message, at: u64) -> Result<(), Stop>;
    /// The field `number` of the message that began last, which stands at `at`; of a text, `at` is where
    /// its content begins.
    fn value(
        &mut self,
        message: &'static Message,
        number: u32,
        value: Value<'_>,
        at: u64,
    ) -> Result<(), Stop>;
    /// A message ends.
    fn leave(&mut self, message: &'static Message, at: u64) -> Result<(), Stop>;
    /// A field that a message has once at most is there again.
    fn twice(&mut self, message: &'static Message, number: u32, at: u64);
}

/// What is found where a field stands there twice.
pub(super) fn found_twice(message: &'static Message, number: u32, at: u64) -> Found {
    Found::unscannable(
        "format/field-twice",
        format!("the field {number} of a {} is there twice", message.name),
    )
    .at(at)
    .see(&["CWE-436"])
    .why("which one counts is the loader's choice, and no writer does it")
}

/// Reads the rest of `cursor` as one `message`.
pub(super) fn walk(
    cursor: &mut Cursor<'_>,
    message: &'static Message,
    visitor: &mut dyn Visitor,
) -> Result<(), Stop> {
    let end = cursor.end();
    body(cursor, message, end, 0, visitor)
}

fn body(
    cursor: &mut Cursor<'_>,
    message: &'static Message,
    end: u64,
    depth: usize,
    visitor: &mut dyn Visitor,
) -> Result<(), Stop> {
    let start = cursor.at();
    if depth >= MAX_DEPTH {
        return Err(Stop::limit("the nesting of messages", MAX_DEPTH, start));
    }
    visitor.enter(message, start)?;
    let mut seen = 0u64;
    while cursor.at() < end {
        let at = cursor.at();
        let (number, wire) = tag(cursor, end)?;
        let found = message
            .fields
            .iter()
            .zip(0u32..)
            .find(|(field, _)| field.number == number);
        let Some((field, index)) = found else {
            return Err(Stop::malformed(
                format!(
                    "has the field {number} in a {}, which has none",
                    message.name
                ),
                at,
            ));
        };
        let bit = 1u64.checked_shl(index).unwrap_or(0);
        if !field.many && seen & bit != 0 {
            visitor.twice(message, number, at);
        }
        seen |= bit;
        let place = Place {
            message,
            field,
            end,
            at,
        };
        place.read(cursor, wire, depth, visitor)?;
    }
    visitor.leave(message, start)
}

/// A field that is being read.
struct Place {
    message: &'static Message,
    field: &'static Field,
    /// Where the message ends.
    end: u64,
    /// Where the field begins.
    at: u64,
}

impl Place {
    fn read(
        &self,
        cursor: &mut Cursor<'_>,
        wire: u8,
        depth: usize,
        visitor: &mut dyn Visitor,
    ) -> Result<(), Stop> {
        match (wire, self.field.kind) {
            (0, Kind::Varint) => {
                let number = varint(cursor, self.end)?;
                self.tell(visitor, Value::Number(number))
            }
            (1, Kind::Fixed64) => {
                self.within(cursor, 8)?;
                cursor.skip(8, "a number")?;
                self.tell(visitor, Value::Numbers(1))
            }
            (5, Kind::Fixed32) => {
                self.within(cursor, 4)?;
                cursor.skip(4, "a number")?;
                self.tell(visitor, Value::Numbers(1))
            }
            (2, kind) => {
                let len = varint(cursor, self.end)?;
                let end = self.within(cursor, len)?;
                match kind {
                    Kind::Of(message) => body(cursor, message, end, depth + 1, visitor),
                    Kind::Data => {
                        cursor.skip(len, "data")?;
                        self.tell(visitor, Value::Data(len))
                    }
                    Kind::Text => {
                        let start = cursor.at();
                        let text = cursor.bytes(len, MAX_TEXT, "a text")?;
                        visitor.value(self.message, self.field.number, Value::Text(&text), start)
                    }
                    packed => self.packed(cursor, packed, end, visitor),
                }
            }
            _ => Err(Stop::malformed(
                format!(
                    "has the wire type {wire} at the field {} of a {}",
                    self.field.number, self.message.name
                ),
                self.at,
            )),
        }
    }

    /// Reads numbers that stand together; a field that is there once has none.
    fn packed(
        &self,
        cursor: &mut Cursor<'_>,
        kind: Kind,
        end: u64,
        visitor: &mut dyn Visitor,
    ) -> Result<(), Stop> {
        let len = end.saturating_sub(cursor.at());
        let size = match kind {
            Kind::Fixed32 => 4,
            Kind::Fixed64 => 8,
            _ => 1,
        };
        if !self.field.many || !len.is_multiple_of(size) {
            return Err(Stop::malformed(
                format!(
                    "has {len} bytes as the number {} of a {}",
                    self.field.number, self.message.name
                ),
                self.at,
            ));
        }
        if size > 1 {
            cursor.skip(len, "numbers")?;
            return self.tell(visitor, Value::Numbers(len.checked_div(size).unwrap_or(0)));
        }
        while cursor.at() < end {
            let number = varint(cursor, end)?;
            self.tell(visitor, Value::Number(number))?;
        }
        Ok(())
    }

    fn tell(&self, visitor: &mut dyn Visitor, value: Value<'_>) -> Result<(), Stop> {
        visitor.value(self.message, self.field.number, value, self.at)
    }

    /// Returns the end of `len` bytes from here, which lie within the message.
    fn within(&self, cursor: &Cursor<'_>, len: u64) -> Result<u64, Stop> {
        if self.end == cursor.end() && len > cursor.left() {
            return Err(Stop::Truncated {
                what: self.message.name,
                at: self.at,
            });
        }
        cursor
            .at()
            .checked_add(len)
            .filter(|end| *end <= self.end)
            .ok_or_else(|| {
                Stop::malformed(
                    format!(
                        "has a field {} that is longer than the {} around it",
                        self.field.number, self.message.name
                    ),
                    self.at,
                )
            })
    }
}

/// Reads the number and the wire type of a field.
fn tag(cursor: &mut Cursor<'_>, end: u64) -> Result<(u32, u8), Stop> {
    let at = cursor.at();
    let tag = varint(cursor, end)?;
    let wire = u8::try_from(tag & 7).unwrap_or(7);
    u32::try_from(tag)
        .ok()
        .map(|tag| tag >> 3)
        .filter(|number| *number > 0)
        .map(|number| (number, wire))
        .ok_or_else(|| Stop::malformed("has a field with an impossible number", at))
}

/// Reads a number of variable length that ends at `end` at the latest.
fn varint(cursor: &mut Cursor<'_>, end: u64) -> Result<u64, Stop> {
    let at = cursor.at();
    let mut number = 0u64;
    for index in 0..MAX_VARINT {
        if cursor.at() >= end && end < cursor.end() {
            return Err(Stop::malformed("has a number beyond its message", at));
        }
        let byte = cursor.byte()?.ok_or(Stop::Truncated {
            what: "a number",
            at,
        })?;
        // The tenth byte has room for the last bit alone.
        if index + 1 == MAX_VARINT && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Stop::malformed("has a number of more than 64 bits", at))
}

/// One field as far as it tells a format from others: its number, its number or length, and where its
/// content starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glimpse {
    pub(super) number: u32,
    pub(super) value: u64,
    pub(super) start: u64,
}

/// Looks at the next field if it is one of `message`, without going into it; the content of one that
/// is longer than what is there ends at the end.
pub(super) fn glimpse(cursor: &mut Cursor<'_>, message: &'static Message) -> Option<Glimpse> {
    let end = cursor.end();
    let (number, wire) = tag(cursor, end).ok()?;
    let field = message.fields.iter().find(|field| field.number == number)?;
    let start = cursor.at();
    let (value, len) = match (wire, field.kind) {
        (0, Kind::Varint) => (varint(cursor, end).ok()?, 0),
        (1, Kind::Fixed64) => (0, 8),
        (5, Kind::Fixed32) => (0, 4),
        (2, kind) if field.many || matches!(kind, Kind::Data | Kind::Text | Kind::Of(_)) => {
            let len = varint(cursor, end).ok()?;
            (len, len)
        }
        _ => return None,
    };
    let start = if wire == 2 { cursor.at() } else { start };
    cursor.seek(cursor.at().saturating_add(len));
    Some(Glimpse {
        number,
        value,
        start,
    })
}

#[cfg(test)]
pub(super) mod build {
    //! Writes protocol buffers.

    /// Returns a number of variable length.
    pub(crate) fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        bytes.push(number.to_le_bytes()[0]);
        bytes
    }

    /// Returns a field with a number.
    pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    /// Returns a field with bytes.
    pub(crate) fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
        let value = value.as_ref();
        [
            varint(field << 3 | 2),
            varint(value.len() as u64),
            value.to_vec(),
        ]
        .concat()
    }

    /// Returns a field with a message of these fields.
    pub(crate) fn message(field: u64, fields: &[Vec<u8>]) -> Vec<u8> {
        bytes(field, fields.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::build::{bytes, message, number};
    use super::*;

    static INNER: Message = Message {
        name: "inner",
        fields: &[
            one(1, Kind::Varint),
            many(2, Kind::Varint),
            many(3, Kind::Fixed32),
            one(4, Kind::Text),
            one(5, Kind::Data),
            many(6, Kind::Of(&INNER)),
            one(7, Kind::Fixed64),
        ],
    };

    #[derive(Default)]
    struct Told(Vec<String>);

    impl Visitor for Told {
        fn enter(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
            self.0.push("(".to_owned());
            Ok(())
        }

        fn value(
            &mut self,
            _: &'static Message,
            field: u32,
            value: Value<'_>,
            _: u64,
        ) -> Result<(), Stop> {
            self.0.push(match value {
                Value::Text(text) => format!("{field}={}", String::from_utf8_lossy(text)),
                Value::Number(value) => format!("{field}={value}"),
                Value::Numbers(count) => format!("{field}*{count}"),
                Value::Data(len) => format!("{field}#{len}"),
            });
            Ok(())
        }

        fn leave(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
            self.0.push(")".to_owned());
            Ok(())
        }

        fn twice(&mut self, _: &'static Message, field: u32, _: u64) {
            self.0.push(format!("{field}!"));
        }
    }

    fn told(bytes: &[u8]) -> Result<String, Stop> {
        let mut told = Told::default();
        walk(&mut Cursor::new(&bytes), &INNER, &mut told)?;
        Ok(told.0.join(" "))
    }

    #[test]
    fn every_kind_of_field_is_read() {
        let text = [
            number(1, u64::MAX),
            number(2, 300),
            bytes(2, [1, 0x80, 2]),
            bytes(3, [0; 12]),
            bytes(4, "hello"),
            bytes(5, vec![0; 70_000]),
            message(6, &[number(1, 3), message(6, &[])]),
            vec![7 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0],
            vec![3 << 3 | 5, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(
            told(&text).unwrap(),
            "( 1=18446744073709551615 2=300 2=1 2=256 3*3 4=hello 5#70000 ( 1=3 ( ) ) 7*1 3*1 )"
        );
    }

    #[test]
    fn what_loaders_pass_over_is_refused() {
        let refused = [
            ("an unknown field", number(9, 1)),
            ("field zero", number(0, 1)),
            ("a group", vec![1 << 3 | 3, 1 << 3 | 4]),
            ("a wrong wire type", bytes(1, [1])),
            ("a single message field of numbers", bytes(7, [0; 8])),
            ("half a number", bytes(3, [0; 3])),
            ("a longer field than its message", bytes(6, [4 << 3 | 2, 9])),
            (
                "a number across the end",
                [bytes(6, [1 << 3]), number(1, 1)].concat(),
            ),
            ("eleven bytes", [vec![1 << 3], vec![0xff; 11]].concat()),
            ("65 bits", [vec![1 << 3], vec![0xff; 9], vec![2]].concat()),
            ("the end in a number", vec![1 << 3, 0x80]),
            ("the end in a text", vec![4 << 3 | 2, 5, b'a']),
            (
                "an endless length",
                [vec![5 << 3 | 2], build::varint(u64::MAX)].concat(),
            ),
        ];
        for (what, text) in refused {
            assert!(told(&text).is_err(), "{what}");
        }
    }

    #[test]
    fn a_single_field_that_is_there_twice_is_told() {
        let text = [number(1, 1), number(1, 2), number(2, 1), number(2, 1)].concat();
        assert_eq!(told(&text).unwrap(), "( 1=1 1! 1=2 2=1 2=1 )");
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |depth: usize| (0..depth).fold(Vec::new(), |inner, _| bytes(6, inner));
        assert!(told(&nested(MAX_DEPTH - 1)).is_ok());
        assert!(matches!(told(&nested(MAX_DEPTH)), Err(Stop::Limit { .. })));
    }
}
