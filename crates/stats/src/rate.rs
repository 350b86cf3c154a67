//! A rate with its counts and its confidence interval, and the interval of a difference of two.

use serde::{Deserialize, Serialize};

use crate::sum::{real, share};

/// The 97.5 % quantile of the standard normal distribution: two-sided intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// A range that holds the true value with a probability of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How many of how many, as a share in `0..=1` with its Wilson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub hits: u64,
    /// Of how many.
    pub of: u64,
    /// `hits / of`; `None` for 0/0, which is not the worst rate but no rate.
    pub value: Option<f64>,
    /// The Wilson score interval of 95 %; `None` for 0/0.
    pub interval: Option<Interval>,
}

impl Rate {
    /// Makes the rate `hits / of`.
    pub fn new(hits: u64, of: u64) -> Self {
        let value = share(hits, of);
        Self {
            hits,
            of,
            value,
            interval: value.map(|p| wilson(hits, of, p)),
        }
    }
}

/// Wilson score interval: `(p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)`.
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
/// (1927). The ends for none and for all are exactly 0 and 1.
fn wilson(hits: u64, of: u64, p: f64) -> Interval {
    let n = real(of);
    let z2 = Z * Z;
    let middle = p + z2 / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    let low = if hits == 0 {
        0.0
    } else {
        (middle - reach) / scale
    };
    let high = if hits == of {
        1.0
    } else {
        (middle + reach) / scale
    };
    Interval { low, high }
}

/// Interval of `a − b` for two independent rates: Newcombe's hybrid score interval, from the Wilson
/// intervals of both.
///
/// R. G. Newcombe, "Interval estimation for the difference between independent proportions", Stat.
/// Med. 17 (1998), method 10. `None` when one of them is 0/0.
pub(crate) fn difference(a: &Rate, b: &Rate) -> Option<Interval> {
    let (pa, ia) = (a.value?, a.interval?);
    let (pb, ib) = (b.value?, b.interval?);
    let gap = pa - pb;
    Some(Interval {
        low: gap - (pa - ia.low).hypot(ib.high - pb),
        high: gap + (ia.high - pa).hypot(pb - ib.low),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-5, "{found} is not {expected}");
    }

    /// Table I of Newcombe's companion paper on single proportions (1998), method 3.
    #[test]
    fn wilson_intervals_agree_with_the_published_table() {
        for (hits, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = Rate::new(hits, of).interval.unwrap();
            near(interval.low, low);
            near(interval.high, high);
        }
    }

    /// Table II of the paper, row (k).
    #[test]
    fn the_interval_of_a_difference_agrees_with_the_published_table() {
        for (a, b, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((10, 10), (0, 10), 0.6075, 1.0),
        ] {
            let interval = difference(&Rate::new(a.0, a.1), &Rate::new(b.0, b.1)).unwrap();
            near(interval.low, low);
            near(interval.high, high);
        }
    }

    #[test]
    fn none_and_all_have_exact_ends() {
        for n in [1, 7, 1_000_003] {
            assert_eq!(Rate::new(0, n).interval.map(|i| i.low), Some(0.0));
            assert_eq!(Rate::new(n, n).interval.map(|i| i.high), Some(1.0));
        }
    }

    #[test]
    fn nothing_of_nothing_has_neither_value_nor_interval() {
        let rate = Rate::new(0, 0);
        assert_eq!((rate.value, rate.interval), (None, None));
        assert_eq!(difference(&rate, &Rate::new(1, 2)), None);
    }
}
