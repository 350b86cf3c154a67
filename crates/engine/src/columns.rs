//! Columns as what they are: typed values for measures and for comparing rows.

use std::fmt::Write as _;

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampNanosecondType, UInt64Type,
};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::error::EngineError;
use crate::parts::{Parts, Unit};
use crate::query::Engine;
use crate::schema::word;
use crate::table::Table;

/// The values of a column, each by row; `None` where it is null. What is not a number stays in its column: ask
/// [`Values::is_missing`].
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Yes or no.
    Booleans(Vec<Option<bool>>),
    /// Whole numbers of any width.
    Integers(Vec<Option<i128>>),
    /// Numbers in binary with a fraction.
    Doubles {
        /// The numbers.
        values: Vec<Option<f64>>,
        /// Whether they are kept in single precision or less.
        single: bool,
    },
    /// Numbers in decimal.
    Decimals {
        /// The digits.
        values: Vec<Option<i128>>,
        /// How many of them stand behind the point.
        scale: i8,
    },
    /// Texts.
    Texts(Vec<Option<String>>),
    /// Days since 1970-01-01.
    Dates(Vec<Option<i32>>),
    /// Microseconds since 1970-01-01.
    Timestamps {
        /// The microseconds.
        values: Vec<Option<i64>>,
        /// Whether they are in universal time; otherwise on some clock.
        zone: bool,
    },
}

impl Values {
    /// Returns the number of rows.
    pub const fn len(&self) -> usize {
        match self {
            Self::Booleans(values) => values.len(),
            Self::Integers(values) | Self::Decimals { values, .. } => values.len(),
            Self::Doubles { values, .. } => values.len(),
            Self::Texts(values) => values.len(),
            Self::Dates(values) => values.len(),
            Self::Timestamps { values, .. } => values.len(),
        }
    }

    /// Returns whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the type in the words of contracts.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Booleans(_) => "boolean",
            Self::Integers(_) => "integer",
            Self::Doubles { .. } => "double",
            Self::Decimals { .. } => "decimal",
            Self::Texts(_) => "text",
            Self::Dates(_) => "date",
            Self::Timestamps { .. } => "timestamp",
        }
    }

    /// Returns whether a row has no value: null, or not a number.
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Booleans(values) => at(values, row).is_none(),
            Self::Integers(values) | Self::Decimals { values, .. } => at(values, row).is_none(),
            Self::Doubles { values, .. } => at(values, row).is_none_or(f64::is_nan),
            Self::Texts(values) => values.get(row).is_none_or(Option::is_none),
            Self::Dates(values) => at(values, row).is_none(),
            Self::Timestamps { values, .. } => at(values, row).is_none(),
        }
    }

    /// Returns a row's value as a number, rounded to double precision; `None` where it is missing or no number.
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Self::Integers(values) => at(values, row).map(real),
            Self::Doubles { values, .. } => at(values, row).filter(|value| !value.is_nan()),
            Self::Decimals { values, scale } => decimal(at(values, row)?, *scale).parse().ok(),
            _ => None,
        }
    }

    /// Returns a row's value as text; `None` where it is missing. Numbers without a fraction are written as integers.
    pub fn text(&self, row: usize) -> Option<String> {
        if self.is_missing(row) {
            return None;
        }
        match self {
            Self::Booleans(values) => at(values, row).map(|value| value.to_string()),
            Self::Integers(values) => at(values, row).map(|value| value.to_string()),
            // Display writes a number without a fraction as an integer.
            Self::Doubles { values, single } => at(values, row).map(|value| shown(value, *single)),
            Self::Decimals { values, scale } => at(values, row).map(|value| decimal(value, *scale)),
            Self::Texts(values) => values.get(row).cloned().flatten(),
            Self::Dates(values) => at(values, row).map(|days| {
                let date = chrono::NaiveDate::from_epoch_days(days);
                date.map_or_else(|| days.to_string(), |date| date.to_string())
            }),
            Self::Timestamps { values, zone } => at(values, row).map(|micros| {
                let time = chrono::DateTime::from_timestamp_micros(micros);
                let text = time.map_or_else(
                    || micros.to_string(),
                    |time| time.naive_utc().format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
                );
                if *zone { text + "Z" } else { text }
            }),
        }
    }

    /// Writes what tells a row's value from every other to `out`: equal numbers are equal whatever their type (1, 1.0
    /// and decimal 1.00; -0.0 and 0.0), a text is never a number, null and what is not a number are values of their own.
    pub fn identity(&self, row: usize, out: &mut String) {
        let written = match self {
            Self::Booleans(values) => at(values, row).map(|value| write!(out, "b{value}")),
            Self::Integers(values) => at(values, row).map(|value| write!(out, "n{value}")),
            Self::Doubles { values, .. } => at(values, row).map(|value| match whole(value) {
                Some(value) => write!(out, "n{value}"),
                None if value.is_nan() => write!(out, "nan"),
                None => write!(out, "n{value:e}"),
            }),
            Self::Decimals { values, scale } => at(values, row).map(|value| {
                let text = decimal(value, *scale);
                match text.parse::<f64>() {
                    // What a double says just as shortly is that double.
                    Ok(double) if text.contains('.') && double.to_string() == text => {
                        write!(out, "n{double:e}")
                    }
                    _ => write!(out, "n{text}"),
                }
            }),
            Self::Texts(values) => values
                .get(row)
                .and_then(Option::as_ref)
                .map(|value| write!(out, "t{}:{value}", value.len())),
            Self::Dates(values) => at(values, row).map(|value| write!(out, "d{value}")),
            Self::Timestamps { values, zone } => {
                at(values, row).map(|value| write!(out, "{}{value}", if *zone { 'z' } else { 's' }))
            }
        };
        if written.is_none() {
            out.push('0');
        }
        out.push(';');
    }

    /// Returns the values of the rows at `places`, in that order.
    #[must_use]
    pub fn pick(&self, places: &[usize]) -> Self {
        fn of<T: Clone>(values: &[Option<T>], places: &[usize]) -> Vec<Option<T>> {
            places
                .iter()
                .map(|place| values.get(*place).cloned().flatten())
                .collect()
        }
        match self {
            Self::Booleans(values) => Self::Booleans(of(values, places)),
            Self::Integers(values) => Self::Integers(of(values, places)),
            Self::Doubles { values, single } => Self::Doubles {
                values: of(values, places),
                single: *single,
            },
            Self::Decimals { values, scale } => Self::Decimals {
                values: of(values, places),
                scale: *scale,
            },
            Self::Texts(values) => Self::Texts(of(values, places)),
            Self::Dates(values) => Self::Dates(of(values, places)),
            Self::Timestamps { values, zone } => Self::Timestamps {
                values: of(values, places),
                zone: *zone,
            },
        }
    }

    fn extend(&mut self, more: Self) -> Result<(), EngineError> {
        match (self, more) {
            (Self::Booleans(values), Self::Booleans(more)) => values.extend(more),
            (Self::Integers(values), Self::Integers(more)) => values.extend(more),
            (Self::Doubles { values, .. }, Self::Doubles { values: more, .. }) => {
                values.extend(more);
            }
            (Self::Decimals { values, .. }, Self::Decimals { values: more, .. }) => {
                values.extend(more);
            }
            (Self::Texts(values), Self::Texts(more)) => values.extend(more),
            (Self::Dates(values), Self::Dates(more)) => values.extend(more),
            (Self::Timestamps { values, .. }, Self::Timestamps { values: more, .. }) => {
                values.extend(more);
            }
            _ => return Err(EngineError::Failed("the files of a table differ in a type")),
        }
        Ok(())
    }
}

fn at<T: Copy>(values: &[Option<T>], row: usize) -> Option<T> {
    values.get(row).copied().flatten()
}

#[expect(clippy::cast_precision_loss, reason = "the rounding is told")]
const fn real(value: i128) -> f64 {
    value as f64
}

/// Returns a number without a fraction as an integer.
#[expect(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "a whole number below 2^120 is exact"
)]
fn whole(value: f64) -> Option<i128> {
    const MOST: f64 = 1.329_227_995_784_916e36;
    (value.trunc() == value && value.abs() < MOST).then_some(value as i128)
}

/// Writes a double as shortly as its precision allows.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the value was made of one in single precision"
)]
fn shown(value: f64, single: bool) -> String {
    let value = value + 0.0;
    if single {
        (value as f32).to_string()
    } else {
        value.to_string()
    }
}

/// Writes a decimal without zeros at its end.
pub(crate) fn decimal(value: i128, scale: i8) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    let Ok(behind) = usize::try_from(scale) else {
        let zeros = usize::from(scale.unsigned_abs());
        return format!(
            "{sign}{digits}{}",
            "0".repeat(if value == 0 { 0 } else { zeros })
        );
    };
    let padded = format!("{digits:0>width$}", width = behind + 1);
    let (front, back) = padded.split_at(padded.len() - behind);
    let back = back.trim_end_matches('0');
    let point = if back.is_empty() { "" } else { "." };
    format!("{sign}{front}{point}{back}")
}

impl Engine {
    /// Reads columns by name, all in one order of rows.
    ///
    /// # Errors
    /// [`EngineError`] when there is no such column, or it is of a type that has no values to measure or compare.
    pub fn values(&self, table: &Table, columns: &[&str]) -> Result<Vec<Values>, EngineError> {
        let parts = Parts::open(table)?;
        let mut places = Vec::new();
        for column in columns {
            let place = parts.schema.index_of(column);
            places.push(place.map_err(|_| no_column(column))?);
        }
        let fields: Vec<_> = places
            .iter()
            .map(|place| parts.schema.field(*place).data_type().clone())
            .collect();
        let of_unit = |unit: &Unit| gather(columns, &fields, parts.read(*unit, &places));
        let read: Vec<_> = self
            .pool()
            .install(|| parts.units.par_iter().map(of_unit).collect());
        let mut all = gather(columns, &fields, std::iter::empty())?;
        for found in read {
            for (values, more) in all.iter_mut().zip(found?) {
                values.extend(more)?;
            }
        }
        Ok(all)
    }
}

fn no_column(name: &str) -> EngineError {
    EngineError::Plan(format!("there is no column `{name}`"))
}

/// Reads columns of one Parquet file, in the order of its rows; of what the file says about itself nothing but its
/// schema is believed.
///
/// # Errors
/// [`EngineError`] when there is no such column, or the bytes are no such file.
pub fn file_values(file: Bytes, columns: &[&str]) -> Result<Vec<Values>, EngineError> {
    let damaged = |_| EngineError::Failed("a Parquet file could not be decoded");
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
    let schema = builder.schema().clone();
    let mut places = Vec::new();
    for column in columns {
        let place = schema.index_of(column).map_err(|_| no_column(column))?;
        places.push(place);
    }
    let fields: Vec<_> = places
        .iter()
        .map(|place| schema.field(*place).data_type().clone())
        .collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), places.iter().copied());
    let reader = builder.with_projection(mask).build().map_err(damaged)?;
    let mut sorted = places.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let picked: Vec<_> = places
        .iter()
        .filter_map(|place| sorted.binary_search(place).ok())
        .collect();
    let batches = reader.map(|batch| {
        let batch =
            batch.map_err(|_| EngineError::Failed("a Parquet file could not be decoded"))?;
        batch
            .project(&picked)
            .map_err(|_| EngineError::Failed("a Parquet file could not be decoded"))
    });
    gather(columns, &fields, batches)
}

/// Lists the columns of one Parquet file.
///
/// # Errors
/// [`EngineError`] when the bytes are no such file.
pub fn file_columns(file: Bytes) -> Result<Vec<String>, EngineError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|_| EngineError::Failed("a Parquet file could not be decoded"))?;
    let fields = builder.schema().fields().iter();
    Ok(fields.map(|field| field.name().clone()).collect())
}

fn gather(
    columns: &[&str],
    fields: &[DataType],
    batches: impl Iterator<Item = Result<RecordBatch, EngineError>>,
) -> Result<Vec<Values>, EngineError> {
    let mut found = Vec::new();
    for (column, field) in columns.iter().zip(fields) {
        let empty = datafusion::arrow::array::new_empty_array(field);
        found.push(typed(column, &empty)?);
    }
    for batch in batches {
        let batch = batch?;
        for ((values, array), column) in found.iter_mut().zip(batch.columns()).zip(columns) {
            values.extend(typed(column, array)?)?;
        }
    }
    Ok(found)
}

/// Turns an array into values of the type that it is.
fn typed(column: &str, array: &ArrayRef) -> Result<Values, EngineError> {
    let to = |target: DataType| {
        let failed = |_| EngineError::Failed("a value could not be converted or computed");
        cast(array, &target).map_err(failed)
    };
    Ok(match array.data_type() {
        DataType::Dictionary(_, value) => typed(column, &to(value.as_ref().clone())?)?,
        DataType::Boolean => Values::Booleans(array.as_boolean().iter().collect()),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().iter();
            Values::Integers(values.map(|value| value.map(i128::from)).collect())
        }
        kind if kind.is_integer() => {
            let array = to(DataType::Int64)?;
            let values = array.as_primitive::<Int64Type>().iter();
            Values::Integers(values.map(|value| value.map(i128::from)).collect())
        }
        DataType::Float16 | DataType::Float32 => {
            let array = to(DataType::Float32)?;
            let values = array.as_primitive::<Float32Type>().iter();
            Values::Doubles {
                values: values.map(|value| value.map(f64::from)).collect(),
                single: true,
            }
        }
        DataType::Float64 => Values::Doubles {
            values: array.as_primitive::<Float64Type>().iter().collect(),
            single: false,
        },
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale) => {
            let array = to(DataType::Decimal128(38, *scale))?;
            Values::Decimals {
                values: array.as_primitive::<Decimal128Type>().iter().collect(),
                scale: *scale,
            }
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let array = to(DataType::Utf8)?;
            let values = array.as_string::<i32>().iter();
            Values::Texts(values.map(|value| value.map(ToOwned::to_owned)).collect())
        }
        DataType::Date32 | DataType::Date64 => {
            let array = to(DataType::Date32)?;
            Values::Dates(array.as_primitive::<Date32Type>().iter().collect())
        }
        DataType::Timestamp(unit, zone) => Values::Timestamps {
            values: micros(array, *unit, zone.is_some())?,
            zone: zone.is_some(),
        },
        DataType::Null => Values::Texts(vec![None; array.len()]),
        other => {
            return Err(EngineError::Plan(format!(
                "the column `{column}` is of the type {}, which has no values to measure or compare",
                word(other)
            )));
        }
    })
}

/// Reads timestamps to the microsecond; finer ones are refused rather than cut.
fn micros(array: &ArrayRef, unit: TimeUnit, zone: bool) -> Result<Vec<Option<i64>>, EngineError> {
    let failed = || EngineError::Failed("a value could not be converted or computed");
    let zone = zone.then(|| "UTC".into());
    if unit == TimeUnit::Nanosecond {
        let nanos = cast(array, &DataType::Timestamp(unit, zone)).map_err(|_| failed())?;
        let nanos = nanos.as_primitive::<TimestampNanosecondType>().clone();
        return nanos
            .iter()
            .map(|value| match value {
                Some(value) if value % 1_000 != 0 => Err(failed()),
                other => Ok(other.map(|value| value / 1_000)),
            })
            .collect();
    }
    let array =
        cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone)).map_err(|_| failed())?;
    Ok(array
        .as_primitive::<TimestampMicrosecondType>()
        .iter()
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int32Array, StringArray,
        UInt64Array,
    };
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    fn identity(array: impl Array + 'static, row: usize) -> String {
        let mut out = String::new();
        typed("c", &(Arc::new(array) as ArrayRef))
            .unwrap()
            .identity(row, &mut out);
        out
    }

    #[test]
    fn equal_numbers_are_equal_whatever_their_type() {
        let decimals = || {
            Decimal128Array::from(vec![100, 50, 10_000_000_000_000_000_001])
                .with_precision_and_scale(38, 2)
                .unwrap()
        };
        let one = identity(Int32Array::from(vec![1]), 0);
        assert_eq!(one, identity(Float64Array::from(vec![1.0]), 0));
        assert_eq!(one, identity(Float32Array::from(vec![1.0]), 0));
        assert_eq!(one, identity(UInt64Array::from(vec![1]), 0));
        assert_eq!(one, identity(decimals(), 0));
        assert_eq!(
            identity(Float64Array::from(vec![0.5]), 0),
            identity(decimals(), 1)
        );
        assert_eq!(
            identity(Float64Array::from(vec![-0.0]), 0),
            identity(Int32Array::from(vec![0]), 0)
        );
        assert_ne!(one, identity(StringArray::from(vec!["1"]), 0));
        let (great, same) = (1_u64 << 53, 9_007_199_254_740_992.0);
        assert_ne!(
            identity(UInt64Array::from(vec![great + 1]), 0),
            identity(Float64Array::from(vec![same]), 0)
        );
        let long = "100000000000000000.01";
        assert_eq!(identity(decimals(), 2), format!("n{long};"));
    }

    #[test]
    fn what_is_missing_is_no_text() {
        let texts = || StringArray::from(vec![None, Some(""), Some("null"), Some("0")]);
        let all: Vec<_> = (0..4).map(|row| identity(texts(), row)).collect();
        assert_eq!(all, ["0;", "t0:;", "t4:null;", "t1:0;"]);
        let numbers = Values::Doubles {
            values: vec![None, Some(f64::NAN), Some(2.0), Some(0.1)],
            single: false,
        };
        let told: Vec<_> = (0..4).map(|row| numbers.text(row)).collect();
        assert_eq!(
            told,
            [None, None, Some("2".to_owned()), Some("0.1".to_owned())]
        );
        assert!(numbers.is_missing(1) && !numbers.is_missing(2));
    }

    #[test]
    fn a_dictionary_is_its_values() {
        let array: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
        let values = typed("c", &(Arc::new(array) as ArrayRef)).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(values, Values::Texts(vec![text("a"), text("b"), text("a")]));
    }

    #[test]
    fn decimals_are_written_without_zeros() {
        for (value, scale, expected) in [
            (1_250, 2, "12.5"),
            (-5, 2, "-0.05"),
            (100, 2, "1"),
            (0, 3, "0"),
            (12, -2, "1200"),
            (-7, 0, "-7"),
        ] {
            assert_eq!(decimal(value, scale), expected);
        }
    }
}
