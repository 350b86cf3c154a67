//! Gathering a column: its values in a form that can be sorted, and who is who by row.
//!
//! What the units of a table give is put together in their order. A number takes 8 bytes (16 where it has more than 64
//! bits), anything else an identity of 16 ([`crate::identity`]); an identity for each row comes on top. Texts
//! themselves are not kept.

use custody_stats::personal::{self, Hits};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::EngineError;
use crate::identity::hashed;
use crate::moments::Moments;
use crate::parts::{Parts, Unit};

/// What is gathered of a column.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) nulls: u64,
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
    /// Of the values that are neither null nor NaN.
    pub(crate) keys: Keys,
    /// Who is who, by row; [`NULL`] where there is no value.
    pub(crate) cells: Vec<u128>,
    /// Of numbers.
    pub(crate) moments: Moments,
    /// Of texts.
    pub(crate) texts: Texts,
}

/// Values in a form that can be sorted.
#[derive(Debug)]
pub(crate) enum Keys {
    /// Numbers, dates, times and booleans of at most 64 bits; doubles by [`ordered`].
    Narrow(Vec<i64>),
    /// Wider ones.
    Wide(Vec<i128>),
    /// What has no order here: the identities of the values.
    Hashed(Vec<u128>),
}

/// What is counted of texts.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) shortest: Option<u64>,
    pub(crate) longest: u64,
    pub(crate) characters: u64,
    pub(crate) empty: u64,
    pub(crate) least: Option<String>,
    pub(crate) greatest: Option<String>,
    pub(crate) hits: Hits,
}

/// How the values of a type are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Narrow,
    Double,
    Wide,
    Text,
    Other,
}

impl Form {
    pub(crate) const fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Date32
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..) => Self::Narrow,
            DataType::Float32 | DataType::Float64 => Self::Double,
            DataType::UInt64 | DataType::Decimal128(..) => Self::Wide,
            DataType::Utf8 => Self::Text,
            _ => Self::Other,
        }
    }

    const fn nothing(self) -> Keys {
        match self {
            Self::Narrow | Self::Double => Keys::Narrow(Vec::new()),
            Self::Wide => Keys::Wide(Vec::new()),
            Self::Text | Self::Other => Keys::Hashed(Vec::new()),
        }
    }
}

/// Whether values of a type have a mean.
pub(crate) fn is_number(kind: &DataType) -> bool {
    kind.is_integer() || kind.is_floating() || matches!(kind, DataType::Decimal128(..))
}

/// Returns an integer for a double, in the same order, NaN last (IEEE 754-2019, 5.10). Tables have one zero and one NaN.
pub(crate) const fn ordered(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// Undoes [`ordered`].
pub(crate) const fn double(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

/// The most rows of a unit that room is made for beforehand.
const ROOM: usize = 1 << 20;
/// What NaN is by row.
pub(crate) const NAN: u128 = 0x7ff8_0000_0000_0000;
/// What null is by row: no number of 38 digits is, and an identity of 128 bits no sooner than any other.
pub(crate) const NULL: u128 = 1 << 127;

impl Gathered {
    pub(crate) fn nothing(kind: &DataType) -> Self {
        Self {
            nulls: 0,
            nan: 0,
            infinite: 0,
            keys: Form::of(kind).nothing(),
            cells: Vec::new(),
            moments: Moments::default(),
            texts: Texts::default(),
        }
    }

    /// Makes room for so many rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.cells.reserve_exact(rows);
        match &mut self.keys {
            Keys::Narrow(keys) => keys.reserve_exact(rows),
            Keys::Wide(keys) => keys.reserve_exact(rows),
            Keys::Hashed(keys) => keys.reserve_exact(rows),
        }
    }

    /// Puts what comes after it to it.
    pub(crate) fn add(&mut self, more: Self) {
        self.nulls += more.nulls;
        self.nan += more.nan;
        self.infinite += more.infinite;
        match (&mut self.keys, more.keys) {
            (Keys::Narrow(keys), Keys::Narrow(more)) => keys.extend(more),
            (Keys::Wide(keys), Keys::Wide(more)) => keys.extend(more),
            (Keys::Hashed(keys), Keys::Hashed(more)) => keys.extend(more),
            _ => {}
        }
        self.cells.extend(more.cells);
        self.moments.add(&more.moments);
        self.texts.add(more.texts);
    }

    /// Takes in some rows.
    fn look(&mut self, column: &ArrayRef, secret: &[u8; 16]) -> Result<(), EngineError> {
        self.nulls += column.logical_null_count() as u64;
        let kind = column.data_type();
        match (Form::of(kind), &mut self.keys) {
            (Form::Double, Keys::Narrow(keys)) => {
                let values = exactly(column, &DataType::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                let mut numbers = Vec::with_capacity(values.len());
                for value in values {
                    let cell = value.map(|value| {
                        if value.is_nan() {
                            self.nan += 1;
                            return NAN;
                        }
                        self.infinite += u64::from(value.is_infinite());
                        numbers.push(value);
                        keys.push(ordered(value));
                        u128::from(value.to_bits())
                    });
                    self.cells.push(cell.unwrap_or(NULL));
                }
                let numbers: ArrayRef = std::sync::Arc::new(Float64Array::from(numbers));
                return self.moments.look(&numbers);
            }
            (Form::Narrow, Keys::Narrow(keys)) => {
                let values = whole(column)?;
                for value in values.as_primitive::<Int64Type>() {
                    keys.extend(value);
                    let cell = value.map(|value| u128::from(value.cast_unsigned()));
                    self.cells.push(cell.unwrap_or(NULL));
                }
            }
            (Form::Wide, Keys::Wide(keys)) => {
                let values = match kind {
                    DataType::UInt64 => exactly(column, &DataType::Decimal128(20, 0))?,
                    _ => column.clone(),
                };
                let values = values.as_primitive::<Decimal128Type>();
                // What else is null, no number may be.
                if values.iter().flatten().any(|value| value == i128::MIN) {
                    return Err(EngineError::Failed(
                        "a decimal has more digits than its type",
                    ));
                }
                for value in values {
                    keys.extend(value);
                    self.cells.push(value.map_or(NULL, i128::cast_unsigned));
                }
            }
            (Form::Text, Keys::Hashed(keys)) => {
                for text in column.as_string::<i32>() {
                    let cell = text.map(|text| {
                        self.texts.look(text);
                        hashed(secret, text.as_bytes())
                    });
                    keys.extend(cell);
                    self.cells.push(cell.unwrap_or(NULL));
                }
            }
            (_, Keys::Hashed(keys)) => {
                let cells = others(column, secret)?;
                keys.extend(cells.iter().flatten());
                self.cells
                    .extend(cells.into_iter().map(|cell| cell.unwrap_or(NULL)));
            }
            _ => return Err(EngineError::Failed("a column is not of its type")),
        }
        if is_number(kind) {
            self.moments.look(column)?;
        }
        Ok(())
    }
}

impl Texts {
    fn look(&mut self, text: &str) {
        let characters = text.chars().count() as u64;
        self.shortest = Some(
            self.shortest
                .map_or(characters, |known| known.min(characters)),
        );
        self.longest = self.longest.max(characters);
        self.characters += characters;
        self.empty += u64::from(text.is_empty());
        if self.least.as_deref().is_none_or(|known| text < known) {
            self.least = Some(text.to_owned());
        }
        if self.greatest.as_deref().is_none_or(|known| text > known) {
            self.greatest = Some(text.to_owned());
        }
        if let Some(kind) = personal::kind_of(text) {
            self.hits.note(kind);
        }
    }

    fn add(&mut self, more: Self) {
        self.shortest = match (self.shortest, more.shortest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.longest = self.longest.max(more.longest);
        self.characters += more.characters;
        self.empty += more.empty;
        self.least = match (self.least.take(), more.least) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.greatest = self.greatest.take().max(more.greatest);
        self.hits.add(&more.hits);
    }
}

/// Gathers a column of a unit, as values of another type where one is given.
pub(crate) fn gather(
    parts: &Parts,
    unit: Unit,
    column: usize,
    kind: &DataType,
    secret: &[u8; 16],
) -> Result<Gathered, EngineError> {
    let mut gathered = Gathered::nothing(kind);
    // What the file claims is believed as far as a batch goes.
    gathered.reserve(usize::try_from(unit.rows).unwrap_or_default().min(ROOM));
    for batch in parts.read(unit, &[column]) {
        let batch = batch?;
        let values = batch.column(0);
        if values.data_type() == kind {
            gathered.look(values, secret)?;
        } else {
            gathered.look(&exactly(values, kind)?, secret)?;
        }
    }
    Ok(gathered)
}

/// Converts values, all of them or none.
pub(crate) fn exactly(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef, EngineError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, kind, &options)
        .map_err(|_| EngineError::Failed("a value could not be converted"))
}

/// Returns what has at most 64 bits as integers.
fn whole(column: &ArrayRef) -> Result<ArrayRef, EngineError> {
    let column = match column.data_type() {
        DataType::Date32 | DataType::Time32(_) => &exactly(column, &DataType::Int32)?,
        _ => column,
    };
    exactly(column, &DataType::Int64)
}

/// Returns the identities of values that are no plain ones.
fn others(column: &ArrayRef, secret: &[u8; 16]) -> Result<Vec<Option<u128>>, EngineError> {
    let failed = |_| EngineError::Failed("values could not be compared");
    let valid = column.logical_nulls();
    let present = |row: usize| valid.as_ref().is_none_or(|valid| valid.is_valid(row));
    let field = SortField::new(column.data_type().clone());
    if RowConverter::supports_fields(std::slice::from_ref(&field)) {
        let converter = RowConverter::new(vec![field]).map_err(failed)?;
        let rows = converter
            .convert_columns(std::slice::from_ref(column))
            .map_err(failed)?;
        let rows = rows.iter().enumerate();
        return Ok(rows
            .map(|(at, row)| present(at).then(|| hashed(secret, row.as_ref())))
            .collect());
    }
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(column, &options).map_err(failed)?;
    (0..column.len())
        .map(|row| {
            if !present(row) {
                return Ok(None);
            }
            let text = shown.value(row).try_to_string().map_err(failed)?;
            Ok(Some(hashed(secret, text.as_bytes())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_keep_their_order_and_come_back() {
        let sorted = [
            f64::NEG_INFINITY,
            -1e300,
            -1.0,
            -5e-324,
            0.0,
            5e-324,
            0.1,
            1.0,
            1e300,
            f64::INFINITY,
        ];
        for pair in sorted.windows(2) {
            assert!(ordered(pair[0]) < ordered(pair[1]), "{pair:?}");
        }
        for value in sorted {
            assert_eq!(double(ordered(value)).to_bits(), value.to_bits());
        }
    }
}
