//! A tensor of ONNX: whether it holds as much data as its shape and type say.

use super::path;
use super::protobuf::Value;
use crate::files::{Beside, FileKind};
use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;

/// What is seen of a tensor.
#[derive(Debug, Default)]
pub(super) struct Tensor {
    dims: Vec<u64>,
    too_many_dims: bool,
    data_type: u64,
    raw: Option<u64>,
    /// How many elements stand in the typed fields 4 to 11, by their number less four.
    typed: [u64; 8],
    /// Whether it says that its data is in another file.
    outside: bool,
    location: String,
    offset: u64,
    length: Option<u64>,
    /// Where the first entry stands that says in which file.
    at: Option<u64>,
}

/// How many dimensions are counted; no runtime has so many.
const MAX_DIMS: usize = 64;

impl Tensor {
    /// Takes in a field of the tensor.
    pub(super) fn field(&mut self, number: u32, value: Value<'_>) {
        match (number, value) {
            (1, Value::Number(length)) if self.dims.len() < MAX_DIMS => self.dims.push(length),
            (1, _) => self.too_many_dims = true,
            (2, Value::Number(code)) => self.data_type = code,
            (9, Value::Data(len)) => self.raw = Some(len),
            (14, Value::Number(1)) => self.outside = true,
            (4..=7 | 10..=11, value) => {
                let count = match value {
                    Value::Numbers(count) => count,
                    _ => 1,
                };
                let index = usize::try_from(number.saturating_sub(4)).unwrap_or(usize::MAX);
                if let Some(sum) = self.typed.get_mut(index) {
                    *sum = sum.saturating_add(count);
                }
            }
            _ => {}
        }
    }

    /// Its data is in another file, as an entry at `at` says.
    pub(super) fn names_a_file(&mut self, at: u64) {
        self.at = self.at.or(Some(at));
    }

    /// Takes in an entry that says where its data is.
    pub(super) fn external(&mut self, key: &str, value: &str) {
        match key {
            "location" => value.clone_into(&mut self.location),
            "offset" => self.offset = value.parse().unwrap_or_default(),
            "length" => self.length = value.parse().ok(),
            _ => {}
        }
    }

    /// Holds what the tensor at `at` says of another file against that file, if it is known what lies
    /// beside the model.
    pub(super) fn check_file(&self, at: u64, scan: &mut Scan<'_>) {
        if !self.outside || self.location.is_empty() || path::escape(&self.location).is_some() {
            return;
        }
        let file = shown(&self.location);
        let found = match scan.beside(&self.location) {
            Beside::Unknown => return,
            Beside::There(FileKind::File { size }) => {
                let len = self.length.or_else(|| self.own_bytes()).unwrap_or_default();
                if self.offset.checked_add(len).is_some_and(|end| end <= size) {
                    return;
                }
                Found::malicious(
                    "onnx/external-beyond",
                    format!(
                        "a tensor has {len} bytes at {} of the file `{file}`, which has {size}",
                        self.offset
                    ),
                )
                .severity(Severity::High)
                .at(at)
                .see(&["CWE-125", "CWE-1284"])
                .why("a loader that maps the file reads beyond its end")
            }
            Beside::There(FileKind::Link | FileKind::Other) => Found::review(
                "onnx/external-link",
                format!("the data is in `{file}`, which is a link or no plain file"),
            )
            .severity(Severity::High)
            .see(&["CWE-59", "CWE-61"])
            .why("loaders read into the model whatever it leads to")
            .advice("put a copy of the file in its place"),
            Beside::Missing => Found::review(
                "onnx/external-missing",
                format!("the data is in `{file}`, which is not among the files that are scanned"),
            )
            .why("the model is no more than what is scanned")
            .advice("scan the whole folder of the model"),
        };
        scan.found(found);
    }

    /// Returns how many bytes the tensor has by its shape and type.
    fn own_bytes(&self) -> Option<u64> {
        Layout::of(self.data_type)?.bytes(self.elements()?)
    }

    /// Returns what is wrong with the tensor at `at`.
    pub(super) fn check(&self, at: u64) -> Option<Found> {
        let held: u64 = self.typed.iter().sum();
        let empty = held == 0 && self.raw.is_none();
        if self.outside != self.at.is_some() {
            return Some(odd(
                "names data of another file and does not use it, or the other way round",
                at,
            ));
        }
        if empty && self.dims.is_empty() && !self.outside && self.data_type == 0 {
            return None;
        }
        let shape = || shown(&format!("{:?}", self.dims));
        let Some(elements) = self.elements() else {
            return Some(wrong(format!("has the impossible shape {}", shape()), at));
        };
        let Some(layout) = Layout::of(self.data_type) else {
            return Some(odd(
                format!(
                    "has the element type {}, which is not known",
                    self.data_type
                ),
                at,
            ));
        };
        let bytes = layout.bytes(elements);
        let fits = if self.outside {
            empty
                && self
                    .length
                    .is_none_or(|length| bytes.is_none_or(|bytes| bytes == length))
        } else if let Some(raw) = self.raw {
            held == 0 && bytes.is_none_or(|bytes| bytes == raw)
        } else {
            let own = self.typed.get(layout.field).copied();
            own == Some(held) && layout.typed(elements).is_none_or(|typed| typed == held)
        };
        (!fits).then(|| {
            wrong(
                format!(
                    "has the shape {} and the element type {} and not as much data",
                    shape(),
                    self.data_type
                ),
                at,
            )
        })
    }

    fn elements(&self) -> Option<u64> {
        let sane = |length: &&u64| i64::try_from(**length).is_ok();
        if self.too_many_dims || self.dims.iter().filter(sane).count() < self.dims.len() {
            return None;
        }
        self.dims
            .iter()
            .try_fold(1u64, |product, length| product.checked_mul(*length))
    }
}

fn wrong(what: impl Into<String>, at: u64) -> Found {
    Found::malicious("onnx/tensor-length", format!("a tensor {}", what.into()))
        .severity(Severity::High)
        .at(at)
        .see(&["CWE-125", "CWE-1284", "AML.T0076"])
        .why("a loader that trusts the shape reads or allocates beyond the data")
}

fn odd(what: impl Into<String>, at: u64) -> Found {
    Found::unscannable("onnx/tensor-odd", format!("a tensor {}", what.into()))
        .at(at)
        .see(&["AML.T0076"])
}

/// How elements of a type are laid out.
struct Layout {
    /// How many bits an element has in raw data; `None` where that is not fixed.
    bits: Option<u64>,
    /// Which typed field it may stand in: its number less four.
    field: usize,
    /// How many numbers of that field make up one element, or how many elements share one.
    numbers: u64,
    shared: u64,
}

impl Layout {
    fn of(data_type: u64) -> Option<Self> {
        let plain = |bits, field| (Some(bits), field, 1, 1);
        let (bits, field, numbers, shared) = match data_type {
            1 => plain(32, 0),
            2 | 3 | 9 | 17..=20 | 24 => plain(8, 1),
            4 | 5 | 10 | 16 => plain(16, 1),
            6 => plain(32, 1),
            7 => plain(64, 3),
            8 => (None, 2, 1, 1),
            11 => plain(64, 6),
            12 => plain(32, 7),
            13 => plain(64, 7),
            14 => (Some(64), 0, 2, 1),
            15 => (Some(128), 6, 2, 1),
            21..=23 => (Some(4), 1, 1, 2),
            25 | 26 => (Some(2), 1, 1, 4),
            // How floats of six bits are packed is not settled: their length is not checked.
            27 | 28 => (None, 1, 1, 0),
            _ => return None,
        };
        Some(Self {
            bits,
            field,
            numbers,
            shared,
        })
    }

    fn bytes(&self, elements: u64) -> Option<u64> {
        let bits = self.bits?;
        // A product beyond 64 bits is no length that a file has.
        Some(
            elements
                .checked_mul(bits)
                .map_or(u64::MAX, |bits| bits.div_ceil(8)),
        )
    }

    fn typed(&self, elements: u64) -> Option<u64> {
        (self.shared > 0).then(|| {
            elements
                .saturating_mul(self.numbers)
                .div_ceil(self.shared.max(1))
        })
    }
}
