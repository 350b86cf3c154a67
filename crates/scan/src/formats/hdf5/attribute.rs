//! Attributes: names with values, among them the configuration of a Keras model.

use super::file::{Fields, File, c_string};
use super::header::Message;
use crate::cursor::Stop;

/// How many elements of variable length one attribute is read for.
const MAX_ELEMENTS: usize = 4096;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Its bytes as they lie in the header.
    Bytes(Vec<u8>),
    /// Values in global heaps: the address of a heap and the index in it.
    InHeap(Vec<(u64, u64)>),
}

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: Value,
}

/// Reads an attribute message of version 1, 2 or 3.
pub(super) fn read(file: &File<'_>, message: &Message) -> Result<Attribute, Stop> {
    let mut fields = Fields::new(&message.bytes, "an attribute", message.at);
    let version = fields.byte()?;
    if !(1..=3).contains(&version) {
        return Err(fields.malformed("of no known version"));
    }
    let flags = fields.byte()?;
    let mut sizes = [0; 3];
    for size in &mut sizes {
        *size = fields.size(2)?;
    }
    if version == 3 {
        fields.take(1)?;
    }
    if version == 1 {
        sizes = sizes.map(|size: usize| size.next_multiple_of(8));
    }
    let [name, kind, space] = sizes;
    let name = c_string(fields.take(name)?);
    let kind = fields.take(kind)?;
    fields.take(space)?;
    let bytes = fields.rest();
    // A shared type is read elsewhere; its values are taken as bytes.
    let shared = version > 1 && flags & 1 != 0;
    let class = kind.first().map_or(0, |byte| byte & 0x0f);
    if class == 9 && !shared {
        return in_heap(file, bytes, message.at).map(|value| Attribute { name, value });
    }
    Ok(Attribute {
        name,
        value: Value::Bytes(bytes.to_vec()),
    })
}

fn in_heap(file: &File<'_>, bytes: &[u8], at: u64) -> Result<Value, Stop> {
    let mut fields = Fields::new(bytes, "a value of variable length", at);
    let mut places = Vec::new();
    while fields.left() >= 8 + file.offset_size && places.len() < MAX_ELEMENTS {
        let len = fields.number(4)?;
        let heap = fields.number(file.offset_size)?;
        let index = fields.number(4)?;
        if len > 0 {
            places.push((heap, index));
        }
    }
    Ok(Value::InHeap(places))
}
