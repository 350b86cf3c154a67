//! Numbers of an array that native code takes for places, unchecked: the children and features of trees, the columns of
//! sparse matrices. What the stream keeps of such an array is read again, once the stream was read.
//!
//! Source: `sklearn/tree/_tree.pyx`, `sklearn/ensemble/_hist_gradient_boosting/common.pyx`, `scipy/sparse`.

use super::joblib;
use super::value::{Content, Heap, Kind, Text, Value};
use crate::cursor::Stop;
use crate::scan::{Found, Scan, shown};
use crate::source::Source;
use custody_findings::Severity;

/// Trees with more nodes are not followed.
const MAX_NODES: u64 = 1 << 26;
/// How many arrays of one stream are read again.
pub(super) const MAX_CHECKS: usize = 100_000;
/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// The bytes of an array in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bytes {
    at: u64,
    len: u64,
    /// They are the letters of a text, as old protocols keep bytes: those from 128 on take two.
    latin1: bool,
    /// The text, where it is a short one that is kept.
    kept: Option<Text>,
}

/// An array as far as it is known.
#[derive(Debug, Clone, Copy)]
struct Array {
    bytes: Bytes,
    count: u64,
    size: u64,
    dtype: Value,
}

impl Array {
    fn check(self, owner: &str, rule: Rule) -> Check {
        Check {
            owner: owner.to_owned(),
            bytes: self.bytes,
            count: self.count,
            size: self.size,
            rule,
        }
    }
}

/// The classes of trees of neighbours.
const TREES: [&str; 6] = [
    "BallTree",
    "BallTree32",
    "BallTree64",
    "KDTree",
    "KDTree32",
    "KDTree64",
];

/// A whole number in an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number {
    offset: usize,
    width: usize,
    big: bool,
    signed: bool,
}

/// What must hold of the elements of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Nodes of a tree: children come after their parents, and lie within it. A leaf has none on the left, or says so.
    Nodes {
        left: Number,
        right: Number,
        feature: Number,
        leaf: Option<Number>,
        features: Option<u64>,
        /// Whether a node divides by a set of categories, which set, and how many there are.
        sets: Option<(Number, Number, u64)>,
    },
    /// Each number lies below this.
    Below(Number, u64),
    /// A node that is no leaf has the two children of its place, as in a heap.
    Halves(Number),
    /// The numbers ascend from 0 up to no more than this.
    Ascending(Number, u64),
}

/// A look at an array that is still to be taken.
#[derive(Debug, Clone)]
pub(super) struct Check {
    owner: String,
    bytes: Bytes,
    count: u64,
    size: u64,
    rule: Rule,
}

/// Lists the looks that the state of an instance asks for. `None`: the class has arrays of places, and they cannot be
/// found.
pub(super) fn checks(heap: &Heap, owner: &str, on: Value, state: Value) -> Option<Vec<Check>> {
    let class = owner.rsplit(':').next().unwrap_or_default();
    let (rule, nodes): (Rule, Array) = match owner {
        "sklearn.tree._tree:Tree" => {
            let array = array(heap, heap.entry(state, "nodes")?)?;
            if !is_count(heap.entry(state, "node_count")?, array.count) {
                return None;
            }
            let rule = Rule::Nodes {
                left: field(heap, array.dtype, "left_child")?,
                right: field(heap, array.dtype, "right_child")?,
                feature: field(heap, array.dtype, "feature")?,
                leaf: None,
                features: features(heap, on),
                sets: None,
            };
            (rule, array)
        }
        "sklearn.ensemble._hist_gradient_boosting.predictor:TreePredictor" => {
            let array = array(heap, heap.entry(state, "nodes")?)?;
            let rule = Rule::Nodes {
                left: field(heap, array.dtype, "left")?,
                right: field(heap, array.dtype, "right")?,
                feature: field(heap, array.dtype, "feature_idx")?,
                leaf: Some(field(heap, array.dtype, "is_leaf")?),
                features: None,
                sets: sets(heap, array.dtype, state),
            };
            (rule, array)
        }
        _ if owner.starts_with("sklearn.neighbors.") && TREES.contains(&class) => {
            return neighbours(heap, owner, state);
        }
        _ if owner.starts_with("scipy.sparse.") && matches!(class, "coo_matrix" | "coo_array") => {
            return coordinates(heap, owner, state);
        }
        _ if owner.starts_with("scipy.sparse.")
            && matches!(
                class,
                "csr_matrix" | "csr_array" | "csc_matrix" | "csc_array"
            ) =>
        {
            return compressed(heap, owner, state, class.starts_with("csr"));
        }
        _ => return Some(Vec::new()),
    };
    Some(vec![nodes.check(owner, rule)])
}

/// The sets of categories of a tree of histograms, which versions before 1.0 have not.
fn sets(heap: &Heap, dtype: Value, state: Value) -> Option<(Number, Number, u64)> {
    let sets = rows(heap, heap.entry(state, "raw_left_cat_bitsets")?)?;
    let (divides, set) = (
        field(heap, dtype, "is_categorical")?,
        field(heap, dtype, "bitset_idx")?,
    );
    Some((divides, set, sets))
}

/// The first argument of a tree is how many features it splits by.
fn features(heap: &Heap, tree: Value) -> Option<u64> {
    let Value::Node(id) = tree else {
        return None;
    };
    let Content::Made { arguments, .. } = heap.node(id)?.content else {
        return None;
    };
    match heap.items(arguments, Kind::Tuple)?.first()? {
        Value::Int(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}

fn is_count(value: Value, count: u64) -> bool {
    matches!(value, Value::Int(value) if u64::try_from(value) == Ok(count))
}

/// A tree of neighbours: its points in an order, and which of them lie in each node.
fn neighbours(heap: &Heap, owner: &str, state: Value) -> Option<Vec<Check>> {
    let [points, order, nodes, _, _, levels, count, ..] = heap.items(state, Kind::Tuple)? else {
        return None;
    };
    let (order, nodes) = (array(heap, *order)?, array(heap, *nodes)?);
    // All nodes of so many levels.
    let whole = match levels {
        Value::Int(levels @ 1..=62) => (1_u64 << levels) - 1,
        _ => return None,
    };
    if nodes.count != whole || !is_count(*count, whole) {
        return None;
    }
    let count = rows(heap, *points)?;
    if order.count != count {
        return None;
    }
    let end = count.checked_add(1)?;
    let (first, last) = (
        field(heap, nodes.dtype, "idx_start")?,
        field(heap, nodes.dtype, "idx_end")?,
    );
    let check = |array: Array, rule: Rule| array.check(owner, rule);
    Some(vec![
        check(order, Rule::Below(plain(heap, order.dtype)?, count)),
        check(nodes, Rule::Below(first, end)),
        check(nodes, Rule::Below(last, end)),
        check(nodes, Rule::Halves(field(heap, nodes.dtype, "is_leaf")?)),
    ])
}

/// The rows and columns of a sparse matrix, one for each value.
fn coordinates(heap: &Heap, owner: &str, state: Value) -> Option<Vec<Check>> {
    let lengths = heap.items(heap.entry(state, "_shape")?, Kind::Tuple)?;
    let axes: Vec<Value> = match heap.entry(state, "coords") {
        Some(axes) => heap.items(axes, Kind::Tuple)?.to_vec(),
        None => vec![heap.entry(state, "row")?, heap.entry(state, "col")?],
    };
    if axes.len() != lengths.len() {
        return None;
    }
    let checks = axes.into_iter().zip(lengths).map(|(axis, length)| {
        let axis = array(heap, axis)?;
        let Value::Int(length) = length else {
            return None;
        };
        let below = Rule::Below(plain(heap, axis.dtype)?, u64::try_from(*length).ok()?);
        Some(axis.check(owner, below))
    });
    checks.collect()
}

/// Returns the length of the first axis of an array.
fn rows(heap: &Heap, value: Value) -> Option<u64> {
    let Value::Node(id) = value else {
        return None;
    };
    let Content::Made {
        global,
        arguments,
        state,
    } = heap.node(id)?.content
    else {
        return None;
    };
    let shape = if heap.full_name(global).ends_with(":_frombuffer") {
        *heap.items(arguments, Kind::Tuple)?.get(2)?
    } else {
        *heap.items(state, Kind::Tuple)?.get(1)?
    };
    match heap.items(shape, Kind::Tuple)?.first()? {
        Value::Int(rows) => u64::try_from(*rows).ok(),
        _ => None,
    }
}

fn compressed(heap: &Heap, owner: &str, state: Value, rows: bool) -> Option<Vec<Check>> {
    let (indices, pointers) = (
        array(heap, heap.entry(state, "indices")?)?,
        array(heap, heap.entry(state, "indptr")?)?,
    );
    let shape = heap.items(heap.entry(state, "_shape")?, Kind::Tuple)?;
    let [Value::Int(height), Value::Int(width)] = shape else {
        return None;
    };
    let (major, minor) = if rows {
        (height, width)
    } else {
        (width, height)
    };
    if pointers.count != u64::try_from(*major).ok()?.checked_add(1)? {
        return None;
    }
    let check = |array: Array, rule: Rule| array.check(owner, rule);
    let below = Rule::Below(plain(heap, indices.dtype)?, u64::try_from(*minor).ok()?);
    let ascending = Rule::Ascending(plain(heap, pointers.dtype)?, indices.count);
    Some(vec![check(indices, below), check(pointers, ascending)])
}

/// Finds the bytes, shape and type of an array.
fn array(heap: &Heap, value: Value) -> Option<Array> {
    let Value::Node(id) = value else {
        return None;
    };
    let Content::Made {
        global,
        arguments,
        state,
    } = heap.node(id)?.content
    else {
        return None;
    };
    let (shape, dtype, bytes) = if heap.full_name(global).ends_with(":_frombuffer") {
        let [bytes, dtype, shape, ..] = heap.items(arguments, Kind::Tuple)? else {
            return None;
        };
        (*shape, *dtype, *bytes)
    } else {
        let [_, shape, dtype, _, bytes] = heap.items(state, Kind::Tuple)? else {
            return None;
        };
        (*shape, *dtype, *bytes)
    };
    let element = joblib::size_of(heap, dtype)?;
    let count = joblib::product(heap, shape)?;
    let bytes = located(heap, bytes)?;
    let fits = bytes.latin1 || count.checked_mul(element)? == bytes.len;
    (fits && count <= MAX_NODES).then_some(Array {
        bytes,
        count,
        size: element,
        dtype,
    })
}

fn located(heap: &Heap, value: Value) -> Option<Bytes> {
    match value {
        Value::Bytes { at, len } | Value::LongText { at, len } if value != Value::LONG => {
            Some(Bytes {
                at,
                len: u64::from(len),
                latin1: matches!(value, Value::LongText { .. }),
                kept: None,
            })
        }
        Value::Text(text) => Some(Bytes {
            at: 0,
            len: u64::try_from(heap.text_bytes(text).len()).ok()?,
            latin1: true,
            kept: Some(text),
        }),
        Value::Node(id) => {
            let Content::Made {
                global, arguments, ..
            } = heap.node(id)?.content
            else {
                return None;
            };
            let [text @ (Value::LongText { .. } | Value::Text(_)), codec] =
                heap.items(arguments, Kind::Tuple)?
            else {
                return None;
            };
            let latin1 = heap.full_name(global) == "_codecs:encode"
                && matches!(heap.as_text(*codec), Some("latin1" | "latin-1"));
            latin1.then(|| located(heap, *text))?
        }
        _ => None,
    }
}

/// Finds a whole number among the fields of a type.
fn field(heap: &Heap, dtype: Value, name: &str) -> Option<Number> {
    let field = heap.entry(joblib::fields(heap, dtype)?, name)?;
    let [dtype, Value::Int(offset), ..] = heap.items(field, Kind::Tuple)? else {
        return None;
    };
    let number = plain(heap, *dtype)?;
    Some(Number {
        offset: usize::try_from(*offset).ok()?,
        ..number
    })
}

fn plain(heap: &Heap, dtype: Value) -> Option<Number> {
    let (kind, width, big) = joblib::number(heap, dtype)?;
    (matches!(kind, 'i' | 'u') && width <= 8).then_some(Number {
        offset: 0,
        width,
        big,
        signed: kind == 'i',
    })
}

impl Number {
    fn of(self, element: &[u8]) -> Option<i128> {
        let bytes = element.get(self.offset..self.offset.checked_add(self.width)?)?;
        let mut number = 0_u64;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        number = if self.big {
            bytes.iter().fold(number, add)
        } else {
            bytes.iter().rev().fold(number, add)
        };
        let bits = u32::try_from(self.width * 8).ok()?;
        let negative = self.signed && number >> (bits - 1) & 1 == 1;
        let whole = i128::from(number);
        Some(if negative {
            whole - (1_i128 << bits)
        } else {
            whole
        })
    }
}

/// Takes the looks, in the order of the stream.
pub(super) fn look(
    source: &dyn Source,
    mut checks: Vec<Check>,
    scan: &mut Scan<'_>,
) -> Result<(), Stop> {
    checks.sort_by_key(|check| check.bytes.at);
    for check in checks {
        if !check.holds(source)? {
            scan.found(check.found().at(check.bytes.at));
        }
    }
    Ok(())
}

impl Check {
    /// Takes the look at once where the bytes are kept; gives it back where it is still to be taken.
    pub(super) fn at_once(self, heap: &Heap) -> Result<Option<Found>, Self> {
        let Some(text) = self.bytes.kept else {
            return Err(self);
        };
        let holds = self.holds(&heap.text_bytes(text)).unwrap_or(false);
        Ok((!holds).then(|| self.found()))
    }

    fn found(&self) -> Found {
        let owner = shown(&self.owner);
        let what = format!("gives `{owner}` an array with places that it has not");
        Found::malicious("pickle/place", what)
            .severity(Severity::High)
            .why("native code reads and writes its memory at such places unchecked")
            .see(&["CWE-125", "CWE-787", "AML.T0011.000"])
    }

    fn holds(&self, source: &dyn Source) -> Result<bool, Stop> {
        let Ok(size) = usize::try_from(self.size) else {
            return Ok(false);
        };
        let (mut reader, mut element) = (Reader::new(source, self.bytes), vec![0; size]);
        let mut before = 0;
        for index in 0..i128::from(self.count) {
            if !reader.fill(&mut element)? {
                return Ok(false);
            }
            let holds = self
                .rule
                .holds(&element, index, i128::from(self.count), &mut before);
            if !holds.unwrap_or(false) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Rule {
    fn holds(self, element: &[u8], index: i128, count: i128, before: &mut i128) -> Option<bool> {
        Some(match self {
            Self::Nodes {
                left,
                right,
                feature,
                leaf,
                features,
                sets,
            } => {
                let (left, right) = (left.of(element)?, right.of(element)?);
                let is_leaf = match leaf {
                    Some(leaf) => leaf.of(element)? != 0,
                    None => left == -1,
                };
                let within = |child: i128| (index + 1..count).contains(&child);
                let feature = feature.of(element)?;
                let known = feature >= 0 && features.is_none_or(|most| feature < i128::from(most));
                let known = known
                    && match sets {
                        Some((divides, set, count)) if divides.of(element)? != 0 => {
                            set.of(element)? < i128::from(count)
                        }
                        _ => true,
                    };
                is_leaf || within(left) && within(right) && known
            }
            Self::Halves(leaf) => leaf.of(element)? != 0 || index * 2 + 2 < count,
            Self::Below(number, end) => (0..i128::from(end)).contains(&number.of(element)?),
            Self::Ascending(number, end) => {
                let number = number.of(element)?;
                let from = if index == 0 { 0 } else { *before };
                let to = if index == 0 { 0 } else { i128::from(end) };
                *before = number;
                (from..=to).contains(&number)
            }
        })
    }
}

/// Reads the bytes of an array piece by piece.
struct Reader<'s> {
    source: &'s dyn Source,
    bytes: Bytes,
    at: u64,
    piece: Vec<u8>,
    next: usize,
}

impl<'s> Reader<'s> {
    fn new(source: &'s dyn Source, bytes: Bytes) -> Self {
        Self {
            source,
            bytes,
            at: bytes.at,
            piece: Vec::new(),
            next: 0,
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, Stop> {
        if self.next >= self.piece.len() {
            let left = self
                .bytes
                .at
                .saturating_add(self.bytes.len)
                .saturating_sub(self.at);
            let want = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            self.piece.resize(want, 0);
            let count = self.source.read_at(self.at, &mut self.piece)?;
            self.piece.truncate(count);
            self.at = self.at.saturating_add(count as u64);
            self.next = 0;
        }
        let byte = self.piece.get(self.next).copied();
        self.next += 1;
        Ok(byte)
    }

    /// Reads an element; `false` where the bytes end.
    fn fill(&mut self, element: &mut [u8]) -> Result<bool, Stop> {
        for place in element {
            let Some(byte) = self.byte()? else {
                return Ok(false);
            };
            *place = match byte {
                // A letter from 128 to 255 is two bytes of UTF-8.
                0xc2 | 0xc3 if self.bytes.latin1 => match self.byte()? {
                    Some(second) => (byte & 3) << 6 | second & 0x3f,
                    None => return Ok(false),
                },
                byte => byte,
            };
        }
        Ok(true)
    }
}
