//! Telling rows apart: an identity of 128 bits for the values of a row.
//!
//! A number is its own identity, since tables have one zero and one NaN. For everything else it is SipHash-1-3 of the values, column by column with their
//! lengths, under a key that nobody knows beforehand: that two of 10⁹ rows are taken for one by chance has a probability
//! below 10⁻²⁰.

use std::collections::HashSet;
use std::hash::Hasher;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::row::{RowConverter, SortField};
use rayon::slice::ParallelSliceMut;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::error::EngineError;

/// The columns whose values make the identity of a row.
#[derive(Debug)]
pub(crate) struct Identity {
    columns: Vec<usize>,
}

/// How many identities are kept of those that stand more than once: they serve to name some rows.
const KEPT: usize = 1 << 20;

/// A part of all identities, so that those of a large table are counted one part after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) number: u64,
    pub(crate) of: u64,
}

impl Pass {
    /// Whether an identity is counted in this pass.
    pub(crate) const fn takes(self, identity: u128) -> bool {
        // Numbers are their own identities: their bits are spread before they are divided.
        let spread = identity.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) >> 64;
        spread % (self.of as u128) == self.number as u128
    }
}

/// How many values there are, and what stands more than once.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    /// The different values.
    pub(crate) different: u64,
    /// The rows that agree with one before them.
    pub(crate) rows: u64,
    values: HashSet<u128>,
}

impl Repeated {
    pub(crate) fn add(&mut self, more: Self) {
        self.different += more.different;
        self.rows += more.rows;
        let room = KEPT.saturating_sub(self.values.len());
        self.values.extend(more.values.into_iter().take(room));
    }

    pub(crate) fn holds(&self, value: u128) -> bool {
        self.values.contains(&value)
    }
}

impl Identity {
    pub(crate) const fn new(columns: Vec<usize>) -> Self {
        Self { columns }
    }

    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Returns the same for columns at other places.
    pub(crate) fn placed(&self, place: &dyn Fn(usize) -> usize) -> Self {
        Self {
            columns: self.columns.iter().map(|column| place(*column)).collect(),
        }
    }

    /// Returns the identity of each row; `None` where a column is null.
    pub(crate) fn of_rows(
        &self,
        batch: &RecordBatch,
        secret: &[u8; 16],
    ) -> Result<Vec<Option<u128>>, EngineError> {
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .filter_map(|place| batch.columns().get(*place).cloned())
            .collect();
        let failed = |_| EngineError::Failed("values could not be compared");
        if let [column] = columns.as_slice() {
            if let Some(values) = whole(column).map_err(failed)? {
                return Ok(values);
            }
            if let Some(texts) = column.as_any().downcast_ref::<StringArray>() {
                let hash = |text: &str| hashed(secret, text.as_bytes());
                return Ok(texts.iter().map(|text| text.map(hash)).collect());
            }
        }
        let fields = columns
            .iter()
            .map(|column| SortField::new(column.data_type().clone()))
            .collect();
        let converter = RowConverter::new(fields).map_err(failed)?;
        let rows = converter.convert_columns(&columns).map_err(failed)?;
        let identities = rows.iter().enumerate().map(|(at, row)| {
            let complete = columns.iter().all(|column| column.is_valid(at));
            complete.then(|| hashed(secret, row.as_ref()))
        });
        Ok(identities.collect())
    }
}

pub(crate) fn hashed(secret: &[u8; 16], bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new_with_key(secret);
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

/// Returns the identity of several, in their order.
pub(crate) fn together(secret: &[u8; 16], first: u128, more: impl Iterator<Item = u128>) -> u128 {
    let mut hasher = SipHasher13::new_with_key(secret);
    for identity in std::iter::once(first).chain(more) {
        hasher.write(&identity.to_le_bytes());
    }
    hasher.finish128().as_u128()
}

/// Returns numbers, dates and times by their bits, where they have at most 64.
fn whole(
    column: &ArrayRef,
) -> Result<Option<Vec<Option<u128>>>, datafusion::arrow::error::ArrowError> {
    let values = match column.data_type() {
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            let bits = values
                .iter()
                .map(|value| Some(u128::from(value?.to_bits())));
            return Ok(Some(bits.collect()));
        }
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::Date32
        | DataType::Timestamp(..) => cast(column, &DataType::Int64)?,
        _ => return Ok(None),
    };
    let values = values.as_primitive::<Int64Type>().iter();
    let bits = values.map(|value| Some(u128::from(value?.cast_unsigned())));
    Ok(Some(bits.collect()))
}

/// Counts identities.
pub(crate) fn count(mut values: Vec<u128>) -> Repeated {
    values.par_sort_unstable();
    let mut counted = Repeated::default();
    for same in values.chunk_by(|a, b| a == b) {
        counted.different += 1;
        let more = same.len() as u64 - 1;
        if more > 0 {
            counted.rows += more;
            if counted.values.len() < KEPT {
                counted.values.extend(same.first());
            }
        }
    }
    counted
}
