//! Sums and counts as numbers, in a fixed order, so that the same rows give the same bytes.

/// A sum that carries the rounding error of its additions along.
///
/// Neumaier's variant of Kahan summation: A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur
/// Summation endlicher Summen", ZAMM 54 (1974). The error of the result is that of one rounding plus
/// `n · ε²` of the sum of magnitudes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        let next = self.total + value;
        self.lost += if self.total.abs() >= value.abs() {
            (self.total - next) + value
        } else {
            (value - next) + self.total
        };
        self.total = next;
    }

    pub(crate) fn value(self) -> f64 {
        self.total + self.lost
    }
}

impl Extend<f64> for Sum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for value in values {
            self.add(value);
        }
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = Self::default();
        sum.extend(values);
        sum
    }
}

/// Returns a count as a number.
#[expect(
    clippy::cast_precision_loss,
    reason = "a count of rows in memory is far below 2^53"
)]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

/// Returns `part / whole`, `None` for 0/0.
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| real(part) / real(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plain_sum_loses_is_kept() {
        let values = [1.0, 1e100, 1.0, -1e100];
        assert!(values.iter().sum::<f64>().abs() < f64::EPSILON);
        let sum: Sum = values.into_iter().collect();
        assert!((sum.value() - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_share_of_nothing_is_no_number() {
        assert_eq!(share(0, 0), None);
        assert_eq!(share(0, 4), Some(0.0));
        assert_eq!(share(1, 4), Some(0.25));
    }
}
