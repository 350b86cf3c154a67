//! The arrays of joblib: their bytes lie in the file, between opcodes of the pickle; and the types of NumPy, which say
//! how many.
//!
//! Source: joblib `numpy_pickle.py` (`NumpyArrayWrapper`), formats of joblib 0.10 and later.

use super::value::{Content, Heap, Kind, Value};

/// The bytes of an array in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Array {
    /// Whether a byte with the length of a padding, and the padding, come first.
    pub(super) padded: bool,
    /// How many bytes; `None` for an array of objects, which is a pickle of its own.
    pub(super) bytes: Option<u64>,
}

/// Returns what follows a wrapper with this state; `None` where the state does not tell.
pub(super) fn array(heap: &Heap, state: Value) -> Option<Array> {
    let shape = heap.entry(state, "shape")?;
    heap.items(shape, Kind::Tuple)?;
    let count = product(heap, shape)?;
    let padded = heap
        .entry(state, "numpy_array_alignment_bytes")
        .is_some_and(|value| value != Value::None);
    let element = element(heap, heap.entry(state, "dtype")?)?;
    if element.objects {
        return Some(Array {
            padded: false,
            bytes: None,
        });
    }
    Some(Array {
        padded,
        bytes: Some(count.checked_mul(element.size)?),
    })
}

/// An element of an array.
struct Element {
    /// In bytes.
    size: u64,
    /// Whether it holds references to objects.
    objects: bool,
}

/// The flag of a type that holds references (`NPY_ITEM_REFCOUNT`).
const REFERENCES: i64 = 1;
/// How deep types may lie in fields.
const MAX_FIELDS: u32 = 8;

/// Whether a state that is given to a `numpy.dtype` agrees with the code that it was made from: NumPy believes it.
pub(super) fn is_sound(heap: &Heap, dtype: Value, state: Value) -> bool {
    arguments(heap, dtype).is_some_and(|arguments| of(heap, arguments, state, 0).is_some())
}

/// Returns how many bytes an element takes that is no object.
pub(super) fn size_of(heap: &Heap, dtype: Value) -> Option<u64> {
    let element = element(heap, dtype)?;
    (!element.objects).then_some(element.size)
}

/// Returns the fields of a type: a dictionary of names and pairs of a type and an offset.
pub(super) fn fields(heap: &Heap, dtype: Value) -> Option<Value> {
    heap.items(state(heap, dtype)?, Kind::Tuple)?
        .get(4)
        .copied()
}

/// Returns the kind and the bytes of a plain number, and whether the greatest byte comes first.
pub(super) fn number(heap: &Heap, dtype: Value) -> Option<(char, usize, bool)> {
    let code = heap.as_text(*heap.items(arguments(heap, dtype)?, Kind::Tuple)?.first()?)?;
    let (kind, size) = code_of(code)?;
    let order = heap.items(state(heap, dtype)?, Kind::Tuple)?.get(1)?;
    let big = heap.as_text(*order) == Some(">");
    Some((kind, usize::try_from(size?).ok()?, big))
}

fn state(heap: &Heap, dtype: Value) -> Option<Value> {
    let Value::Node(id) = dtype else {
        return None;
    };
    match heap.node(id)?.content {
        Content::Made { state, .. } => Some(state),
        _ => None,
    }
}

/// Reads a symbolic `numpy.dtype`.
fn element(heap: &Heap, dtype: Value) -> Option<Element> {
    nested(heap, dtype, 0)
}

fn nested(heap: &Heap, dtype: Value, depth: u32) -> Option<Element> {
    let Value::Node(id) = dtype else {
        return None;
    };
    match heap.node(id)?.content {
        Content::Made {
            arguments, state, ..
        } => of(heap, arguments, state, depth),
        _ => None,
    }
}

fn arguments(heap: &Heap, dtype: Value) -> Option<Value> {
    let Value::Node(id) = dtype else {
        return None;
    };
    match heap.node(id)?.content {
        Content::Made { arguments, .. } => Some(arguments),
        _ => None,
    }
}

/// Reads the code and the state of a type; `None` where they do not tell its size for sure, or contradict each other.
fn of(heap: &Heap, arguments: Value, state: Value, depth: u32) -> Option<Element> {
    let (kind, size) = match *heap.items(arguments, Kind::Tuple)?.first()? {
        // A record says its size in its state alone.
        Value::Global(class) if heap.full_name(class).ends_with(":record") => ('V', None),
        code => code_of(heap.as_text(code)?)?,
    };
    let mut element = Element {
        size: size.unwrap_or_default(),
        objects: kind == 'O',
    };
    if state == Value::None {
        return size.map(|_| element);
    }
    // Version, byte order, subarray, names, fields, size, alignment, flags.
    let [
        Value::Int(_),
        _,
        part,
        _,
        fields,
        Value::Int(claimed),
        Value::Int(_),
        Value::Int(flags),
        ..,
    ] = heap.items(state, Kind::Tuple)?
    else {
        return None;
    };
    if matches!(kind, 'S' | 'V' | 'a' | 'U') {
        let claimed = u64::try_from(*claimed).ok()?;
        if size.is_some_and(|size| size != claimed) {
            return None;
        }
        element.size = claimed;
    } else if *claimed != -1 {
        return None;
    }
    element.objects |= flags & REFERENCES != 0;
    if depth >= MAX_FIELDS {
        return None;
    }
    if *part != Value::None {
        let [of, shape] = heap.items(*part, Kind::Tuple)? else {
            return None;
        };
        let part = nested(heap, *of, depth + 1)?;
        let size = product(heap, *shape)?.checked_mul(part.size)?;
        if size != element.size || part.objects && !element.objects {
            return None;
        }
    }
    if *fields == Value::None {
        return Some(element);
    }
    for pair in heap.items(*fields, Kind::Dict)?.chunks(2) {
        let [_, field] = pair else {
            return None;
        };
        let [dtype, Value::Int(offset), ..] = heap.items(*field, Kind::Tuple)? else {
            return None;
        };
        let field = nested(heap, *dtype, depth + 1)?;
        let end = u64::try_from(*offset).ok()?.checked_add(field.size)?;
        if end > element.size || field.objects && !element.objects || kind != 'V' {
            return None;
        }
    }
    Some(element)
}

/// Multiplies the lengths of a shape, or takes the one length that stands for it.
pub(super) fn product(heap: &Heap, shape: Value) -> Option<u64> {
    let length = |value: &Value| match value {
        Value::Int(length) => u64::try_from(*length).ok(),
        _ => None,
    };
    match heap.items(shape, Kind::Tuple) {
        Some(shape) => shape
            .iter()
            .try_fold(1_u64, |count, value| count.checked_mul(length(value)?)),
        None => length(&shape),
    }
}

/// Reads a code such as `<f8`: the kind, and the bytes of an element where it says them.
fn code_of(code: &str) -> Option<(char, Option<u64>)> {
    let code = code.trim_start_matches(['<', '>', '=', '|']);
    let mut characters = code.chars();
    let kind = characters.next()?;
    let digits = characters.as_str();
    let size = match (kind, digits.parse::<u64>().ok()) {
        (
            'b' | 'i' | 'u' | 'f' | 'c',
            Some(size @ (1 | 2 | 4 | 8 | 10 | 12 | 16 | 20 | 24 | 32)),
        )
        | ('S' | 'V' | 'a', Some(size))
        | ('O', Some(size @ 8)) => size,
        ('U', Some(letters)) => letters.checked_mul(4)?,
        ('O', None) if digits.is_empty() => 8,
        ('M' | 'm', _) if digits == "8" || digits.starts_with("8[") && digits.ends_with(']') => 8,
        ('?', None) if digits.is_empty() => 1,
        _ => return None,
    };
    Some((kind, Some(size)))
}
