//! Mean and standard deviation, the same for any division of the work.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Float64Type, Int64Type, i256};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::EngineError;

/// The first two moments of values, put together in the order of the rows.
///
/// Integers and decimals are summed exactly; doubles with Neumaier's compensation. Deviations are put together as T. F.
/// Chan, G. H. Golub and R. J. `LeVeque`, "Updating formulae and a pairwise algorithm for computing sample variances"
/// (1979), equation 2.1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    count: u64,
    nan: u64,
    /// The sum of integers, or of decimals times a power of ten.
    whole: i256,
    /// Whether there was a double.
    doubles: bool,
    total: f64,
    lost: f64,
    mean: f64,
    /// The sum of the squares of the deviations from `mean`.
    squares: f64,
    scale: i8,
}

impl Moments {
    /// Takes in a column of numbers.
    pub(crate) fn look(&mut self, values: &ArrayRef) -> Result<(), EngineError> {
        let failed = |_| EngineError::Failed("a sum does not fit into its type");
        let mut batch = Self::default();
        let doubles: Vec<f64> = match values.data_type() {
            DataType::Float32 | DataType::Float64 | DataType::Decimal256(..) => {
                batch.doubles = true;
                let values = cast(values, &DataType::Float64).map_err(failed)?;
                let values = values.as_primitive::<Float64Type>();
                values.iter().flatten().collect()
            }
            DataType::Decimal128(_, scale) => {
                batch.scale = *scale;
                let wide = cast(values, &DataType::Decimal256(76, *scale)).map_err(failed)?;
                for value in wide.as_primitive::<Decimal256Type>().iter().flatten() {
                    batch.whole = batch
                        .whole
                        .checked_add(value)
                        .ok_or(EngineError::Failed("a sum does not fit into its type"))?;
                }
                let doubles = cast(values, &DataType::Float64).map_err(failed)?;
                let doubles = doubles.as_primitive::<Float64Type>();
                doubles.iter().flatten().collect()
            }
            DataType::UInt64 => {
                let wide = cast(values, &DataType::Decimal128(20, 0)).map_err(failed)?;
                return self.look(&wide);
            }
            _ => {
                let values = cast(values, &DataType::Int64).map_err(failed)?;
                let values = values.as_primitive::<Int64Type>();
                let sum: i128 = values.iter().flatten().map(i128::from).sum();
                batch.whole = i256::from_i128(sum);
                values.iter().flatten().map(near).collect()
            }
        };
        batch.count = doubles.len() as u64;
        if batch.count == 0 {
            return Ok(());
        }
        for value in &doubles {
            batch.nan += u64::from(value.is_nan());
            batch.sum(*value);
        }
        batch.mean = (batch.total + batch.lost) / real(batch.count);
        batch.squares = doubles
            .iter()
            .map(|value| (value - batch.mean).powi(2))
            .sum();
        self.add(&batch);
        Ok(())
    }

    fn sum(&mut self, value: f64) {
        let next = self.total + value;
        self.lost += if self.total.abs() >= value.abs() {
            (self.total - next) + value
        } else {
            (value - next) + self.total
        };
        self.total = next;
    }

    pub(crate) fn add(&mut self, more: &Self) {
        if more.count == 0 {
            return;
        }
        let (before, added) = (real(self.count), real(more.count));
        let all = before + added;
        let gap = more.mean - self.mean;
        if self.count == 0 {
            (self.mean, self.squares) = (more.mean, more.squares);
        } else {
            self.mean += gap * added / all;
            self.squares += more.squares + gap * gap * before * added / all;
        }
        self.count += more.count;
        self.nan += more.nan;
        self.whole = self.whole.wrapping_add(more.whole);
        self.doubles |= more.doubles;
        self.scale = more.scale;
        self.sum(more.total);
        self.lost += more.lost;
    }

    /// How many values are NaN.
    pub(crate) const fn nan(&self) -> u64 {
        self.nan
    }

    /// The mean; `None` without values.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| {
            let sum = if self.doubles {
                self.infinite().unwrap_or(self.total + self.lost)
            } else {
                self.whole_sum()
            };
            sum / real(self.count)
        })
    }

    /// The compensation of an infinite sum is no number.
    fn infinite(&self) -> Option<f64> {
        self.total.is_infinite().then_some(self.total)
    }

    fn whole_sum(&self) -> f64 {
        let value = datafusion::common::ScalarValue::Decimal256(Some(self.whole), 76, self.scale);
        let text = value.to_array().ok().and_then(|array| {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(&array, &options).ok()?;
            Some(formatter.value(0).to_string())
        });
        text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    }

    /// The sample standard deviation, with `n - 1`; `None` for fewer than two values.
    pub(crate) fn stddev(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (real(self.count) - 1.0)).sqrt())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a deviation of integers is told in doubles"
)]
fn near(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}
