//! The arrays of joblib: their bytes lie in the file, between opcodes of the pickle.
//!
//! Source: joblib `numpy_pickle.py` (`NumpyArrayWrapper`), formats of joblib 0.10 and later.

use super::value::{Content, Heap, Kind, Node, Value};

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
    let shape = heap.items(heap.entry(state, "shape")?, Kind::Tuple)?;
    let count = shape.iter().try_fold(1u64, |count, length| match length {
        Value::Int(length) => count.checked_mul(u64::try_from(*length).ok()?),
        _ => None,
    })?;
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

struct Element {
    /// In bytes.
    size: u64,
    /// Whether it holds references to objects.
    objects: bool,
}

/// The flag of a type that holds references (`NPY_ITEM_REFCOUNT`).
const REFERENCES: i64 = 1;

/// Reads a symbolic `numpy.dtype`.
fn element(heap: &Heap, dtype: Value) -> Option<Element> {
    let Value::Node(id) = dtype else {
        return None;
    };
    let Some(Node {
        content: Content::Made {
            arguments, state, ..
        },
        ..
    }) = heap.node(id)
    else {
        return None;
    };
    let code = heap.as_text(*heap.items(*arguments, Kind::Tuple)?.first()?)?;
    let code = code.trim_start_matches(['<', '>', '=', '|']);
    let mut characters = code.chars();
    let kind = characters.next()?;
    let digits = characters.as_str();
    let number: u64 = if digits.is_empty() {
        0
    } else {
        digits.parse().ok()?
    };
    let flags = heap
        .items(*state, Kind::Tuple)
        .and_then(|state| state.get(7))
        .map_or(0, |flags| match flags {
            Value::Int(flags) => *flags,
            _ => 0,
        });
    let size = match kind {
        'b' | 'i' | 'u' | 'f' | 'c' | 'S' | 'V' | 'a' | 'O' => number,
        'M' | 'm' => 8,
        'U' => number.checked_mul(4)?,
        '?' => 1,
        _ => return None,
    };
    Some(Element {
        size,
        objects: kind == 'O' || flags & REFERENCES != 0,
    })
}
