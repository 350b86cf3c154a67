//! Mean and standard deviation, the same for any division of the work.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};
use num_bigint::BigInt;

use crate::error::EngineError;
use crate::ratio::Ratio;

/// The first two moments of values, put together in the order of the rows.
///
/// Integers and decimals and their squares are summed exactly; doubles with Neumaier's compensation, and their
/// deviations are put together as T. F. Chan, G. H. Golub and R. J. `LeVeque`, "Updating formulae and a pairwise algorithm for
/// computing sample variances" (1979), equation 2.1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    count: u64,
    nan: u64,
    /// The sum of integers, or of decimals times a power of ten.
    whole: BigInt,
    /// The sum of their squares.
    whole_squares: BigInt,
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
                let (mut sum, mut squares) = (i256::ZERO, i256::ZERO);
                for value in values.as_primitive::<Decimal128Type>().iter().flatten() {
                    batch.count += 1;
                    let value = i256::from_i128(value);
                    // Of 38 digits the square has 76: five may be more than 256 bits hold.
                    add(&mut sum, value, &mut batch.whole);
                    add(
                        &mut squares,
                        value.wrapping_mul(value),
                        &mut batch.whole_squares,
                    );
                }
                batch.whole += wide(sum);
                batch.whole_squares += wide(squares);
                self.add(&batch);
                return Ok(());
            }
            DataType::UInt64 => {
                let wide = cast(values, &DataType::Decimal128(20, 0)).map_err(failed)?;
                return self.look(&wide);
            }
            _ => {
                let values = cast(values, &DataType::Int64).map_err(failed)?;
                let (mut sum, mut squares) = (0_i128, i256::ZERO);
                for value in values.as_primitive::<Int64Type>().iter().flatten() {
                    batch.count += 1;
                    let value = i128::from(value);
                    sum += value;
                    add(
                        &mut squares,
                        i256::from_i128(value * value),
                        &mut batch.whole_squares,
                    );
                }
                batch.whole = sum.into();
                batch.whole_squares += wide(squares);
                self.add(&batch);
                return Ok(());
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
        self.whole += &more.whole;
        self.whole_squares += &more.whole_squares;
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
        (self.count > 0).then(|| match self.exact_mean() {
            Some(mean) => mean.double(),
            None => self.infinite().unwrap_or(self.total + self.lost) / real(self.count),
        })
    }

    /// The compensation of an infinite sum is no number.
    fn infinite(&self) -> Option<f64> {
        self.total.is_infinite().then_some(self.total)
    }

    /// The mean of integers or decimals; `None` of doubles.
    pub(crate) fn exact_mean(&self) -> Option<Ratio> {
        let exact = !self.doubles && self.count > 0;
        exact.then(|| self.scaled(self.whole.clone(), BigInt::from(self.count), 1))
    }

    /// The sample variance of integers or decimals; `None` of doubles, and of fewer than two values.
    pub(crate) fn exact_variance(&self) -> Option<Ratio> {
        let exact = !self.doubles && self.count > 1;
        exact.then(|| {
            let count = BigInt::from(self.count);
            let squares = &count * &self.whole_squares - self.whole.pow(2);
            let over = &count * (&count - 1);
            self.scaled(squares, over, 2)
        })
    }

    /// Undoes that decimals were taken times a power of ten, in a figure of this degree in them.
    fn scaled(&self, number: BigInt, over: BigInt, degree: u32) -> Ratio {
        let power = BigInt::from(10).pow(u32::from(self.scale.unsigned_abs()) * degree);
        if self.scale < 0 {
            Ratio::new(number * power, over)
        } else {
            Ratio::new(number, over * power)
        }
    }

    /// The sample standard deviation, with `n - 1`; `None` for fewer than two values.
    pub(crate) fn stddev(&self) -> Option<f64> {
        (self.count > 1).then(|| match self.exact_variance() {
            Some(variance) => variance.double().sqrt(),
            None => (self.squares / (real(self.count) - 1.0)).sqrt(),
        })
    }
}

/// Adds within 256 bits; what they do not hold goes over.
fn add(sum: &mut i256, value: i256, over: &mut BigInt) {
    *sum = sum.checked_add(value).unwrap_or_else(|| {
        *over += wide(*sum);
        value
    });
}

fn wide(value: i256) -> BigInt {
    BigInt::from_signed_bytes_be(&value.to_be_bytes())
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}
