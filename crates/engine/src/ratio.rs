//! Figures of whole numbers, as exact ratios.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// A number over another, which is above zero.
#[derive(Debug, Clone)]
pub(crate) struct Ratio {
    number: BigInt,
    over: BigInt,
}

impl Ratio {
    /// Returns `number / over`; `over` is above zero.
    pub(crate) const fn new(number: BigInt, over: BigInt) -> Self {
        Self { number, over }
    }

    /// Returns a double as it is written most shortly; `None` for NaN and infinities.
    pub(crate) fn written(value: f64) -> Option<Self> {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e')?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let number: BigInt = format!("{whole}{fraction}").parse().ok()?;
        let exponent = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
        let power = BigInt::from(10).pow(exponent.unsigned_abs());
        Some(if exponent < 0 {
            Self::new(number, power)
        } else {
            Self::new(number * power, BigInt::from(1))
        })
    }

    pub(crate) fn square(&self) -> Self {
        Self::new(self.number.pow(2), self.over.pow(2))
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        (&self.number * &other.over).cmp(&(&other.number * &self.over))
    }

    /// Returns the nearest double, to a part in 2⁶⁴.
    pub(crate) fn double(&self) -> f64 {
        const BITS: i64 = 100;
        let length = |number: &BigInt| i64::try_from(number.bits()).unwrap_or(i64::MAX);
        let shift = BITS - length(&self.number) + length(&self.over);
        let magnitude = self.number.magnitude();
        let over = self.over.magnitude();
        let quotient = if shift >= 0 {
            (magnitude << shift.unsigned_abs()) / over
        } else {
            magnitude / (over << shift.unsigned_abs())
        };
        let quotient = u128::try_from(quotient).unwrap_or(u128::MAX);
        let shift = i32::try_from(-shift).unwrap_or(i32::MAX);
        // In two steps, so that neither power is out of reach where the number is not.
        let (half, rest) = (shift / 2, shift - shift / 2);
        let value = near(quotient) * 2_f64.powi(half) * 2_f64.powi(rest);
        if self.number.sign() == Sign::Minus {
            -value
        } else {
            value
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double is meant")]
const fn near(value: u128) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_the_nearest_doubles() {
        let of = |a: i128, b: i128| Ratio::new(a.into(), b.into()).double();
        assert_eq!(of(1, 3).to_bits(), (1.0_f64 / 3.0).to_bits());
        assert_eq!(of(-7, 2).to_bits(), (-3.5_f64).to_bits());
        assert_eq!(of(0, 5).to_bits(), 0.0_f64.to_bits());
        let great = (1_i128 << 53) + 1;
        assert_eq!(of(great, 1).to_bits(), 9_007_199_254_740_992_f64.to_bits());
    }

    #[test]
    fn a_bound_is_meant_as_it_is_written() {
        let tenth = Ratio::new(1.into(), 10.into());
        assert_eq!(
            Ratio::written(0.1).unwrap().compare(&tenth),
            Ordering::Equal
        );
        assert!(Ratio::written(f64::NAN).is_none() && Ratio::written(f64::INFINITY).is_none());
        let great = Ratio::new(((1_i128 << 53) + 1).into(), 1.into());
        let bound = Ratio::written(9_007_199_254_740_992.0).unwrap();
        assert_eq!(great.compare(&bound), Ordering::Greater);
        assert_eq!(
            Ratio::written(-2.5e-7).unwrap().double().to_bits(),
            (-2.5e-7_f64).to_bits()
        );
    }
}
