//! Numbers as text.

use std::fmt::Write;

/// The digits of a number, as they are written: `-1234.50e-3`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<'a> {
    negative: bool,
    /// Digits from the first that is not zero.
    digits: u32,
    /// Their value as a whole number, where there are at most 19.
    mantissa: u64,
    /// The power of ten that the mantissa is multiplied with.
    exponent: i32,
    /// Digits before the point from the first that is not zero.
    pub(crate) whole: u32,
    /// Digits behind the point.
    pub(crate) fraction: u32,
    /// Whether there is neither a point nor an exponent, and not a zero with a sign.
    pub(crate) is_whole: bool,
    /// Whether there is no exponent, and not a zero with a sign.
    pub(crate) is_plain: bool,
    text: &'a str,
}

/// A double, and whether it gives the digits back when it is written with as many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Double {
    pub(crate) value: f64,
    pub(crate) exact: bool,
}

/// The most digits of the text of a double that mean anything.
const MAX_DIGITS: u32 = 1100;
/// The powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl<'a> Number<'a> {
    /// Scans a number: digits without needless zeros in front, a point, an exponent, a minus.
    pub(crate) fn scan(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (negative, bytes) = match bytes.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, bytes),
        };
        let mut number = Self {
            negative,
            digits: 0,
            mantissa: 0,
            exponent: 0,
            whole: 0,
            fraction: 0,
            is_whole: true,
            is_plain: true,
            text,
        };
        let mut left = bytes.iter();
        let (mut before, mut behind, mut exponent) = (0_u32, 0_u32, None);
        let mut point = false;
        for byte in left.by_ref() {
            match byte {
                b'0'..=b'9' => {
                    if point {
                        behind += 1;
                    } else {
                        before += 1;
                    }
                    if number.digits > 0 || *byte != b'0' {
                        number.digits += 1;
                        if !point {
                            number.whole += 1;
                        }
                        // Past 19 digits the value wraps and is not looked at.
                        number.mantissa = number
                            .mantissa
                            .wrapping_mul(10)
                            .wrapping_add(u64::from(byte - b'0'));
                    }
                }
                b'.' if !point => point = true,
                b'e' | b'E' => {
                    exponent = Some(exponent_of(left.as_slice())?);
                    break;
                }
                _ => return None,
            }
        }
        if before + behind == 0 || before > number.whole.max(1) || number.digits > MAX_DIGITS {
            return None;
        }
        number.fraction = behind;
        number.exponent = exponent
            .unwrap_or(0)
            .checked_sub(i32::try_from(behind).ok()?)?;
        let zero_with_sign = negative && number.digits == 0;
        number.is_plain = exponent.is_none() && !zero_with_sign;
        number.is_whole = number.is_plain && !point;
        Some(number)
    }

    /// Returns the number as an integer.
    #[inline]
    pub(crate) fn integer(&self) -> Option<i64> {
        if !self.is_whole || self.digits > 19 {
            return None;
        }
        let value = i128::from(self.mantissa);
        i64::try_from(if self.negative { -value } else { value }).ok()
    }

    /// Returns the number times ten to the `scale` as an integer, where that is exact and has at most
    /// `precision` digits.
    pub(crate) fn decimal(&self, precision: u8, scale: u8) -> Option<i128> {
        let more = u32::from(scale).checked_sub(self.fraction)?;
        if !self.is_plain || self.digits + more > u32::from(precision) && self.digits > 0 {
            return None;
        }
        let mantissa = if self.digits <= 19 {
            i128::from(self.mantissa)
        } else {
            let digits = self.text.bytes().filter(u8::is_ascii_digit);
            digits.fold(0_i128, |value, digit| {
                value
                    .wrapping_mul(10)
                    .wrapping_add(i128::from(digit - b'0'))
            })
        };
        let value = mantissa.checked_mul(10_i128.checked_pow(more)?)?;
        Some(if self.negative { -value } else { value })
    }

    /// Returns the nearest double; `None` when it is too large for one.
    #[expect(
        clippy::cast_precision_loss,
        reason = "at most 15 digits: a double holds them exactly"
    )]
    pub(crate) fn double(&self) -> Option<Double> {
        let exact = |value| Some(Double { value, exact: true });
        if self.digits <= 15
            && let Ok(power) = usize::try_from(self.exponent.unsigned_abs())
            && let Some(power) = POWERS.get(power)
        {
            // Both are exact, so that the one operation rounds correctly (Clinger 1990).
            let whole = self.mantissa as f64;
            let value = if self.exponent < 0 {
                whole / power
            } else {
                whole * power
            };
            return exact(if self.negative { -value } else { value });
        }
        let value: f64 = self.text.parse().ok()?;
        if value.is_infinite() {
            return None;
        }
        if self.digits == 0 || self.digits <= 15 && value.abs() > 1e-290 {
            return exact(value);
        }
        Some(Double {
            value,
            exact: value != 0.0 && self.is_given_back(value),
        })
    }

    /// Tells whether `value`, written with as many digits, has these digits.
    fn is_given_back(&self, value: f64) -> bool {
        let mut shortest = zmij::Buffer::new();
        if Number::scan(shortest.format_finite(value)).is_some_and(|other| self.same_digits(&other))
        {
            return true;
        }
        let digits = usize::try_from(self.digits).unwrap_or(usize::MAX);
        let mut text = String::new();
        if write!(text, "{value:.*e}", digits.saturating_sub(1)).is_err() {
            return false;
        }
        Number::scan(&text).is_some_and(|other| self.same_digits(&other)) || self.is_beside(value)
    }

    /// Tells whether `value` is just in the middle of two texts with as many digits, of which this is one.
    fn is_beside(&self, value: f64) -> bool {
        let mut exact = String::new();
        if self.digits > 17 || write!(exact, "{value:.*e}", MAX_DIGITS as usize).is_err() {
            return false;
        }
        let end = exact.find('e').unwrap_or(exact.len());
        let exact = exact.get(..end).unwrap_or_default().trim_end_matches('0');
        let Some(exact) = Number::scan(exact).filter(|exact| exact.digits == self.digits + 1)
        else {
            return false;
        };
        // One more digit, a five: the neighbours differ by five in that place.
        (u128::from(self.mantissa) * 10).abs_diff(u128::from(exact.mantissa)) == 5
    }

    /// Compares the digits that count. The magnitude is the same: one is the nearest to the other.
    fn same_digits(&self, other: &Number<'_>) -> bool {
        fn digits(number: &str) -> impl DoubleEndedIterator<Item = u8> {
            let end = number.find(['e', 'E']).unwrap_or(number.len());
            let digits = number.get(..end).unwrap_or_default();
            digits
                .trim_start_matches(['-', '0', '.'])
                .trim_end_matches(['0', '.'])
                .bytes()
                .filter(u8::is_ascii_digit)
        }
        // Zeros at the end of a whole number were trimmed on both sides alike, as were those behind a point.
        digits(self.text).eq(digits(other.text))
    }
}

fn exponent_of(bytes: &[u8]) -> Option<i32> {
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, bytes),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || digits.len() > 8 {
        return None;
    }
    let value = digits
        .iter()
        .fold(0_i32, |value, digit| value * 10 + i32::from(digit - b'0'));
    Some(if negative { -value } else { value })
}

/// Writes a number with other marks as one with a point: `1.234,5` as `1234.5`.
///
/// Groups between `thousands` have three digits, the first one to three. Returns whether it can be a number.
pub(crate) fn normalise(
    text: &str,
    decimal: char,
    thousands: Option<char>,
    out: &mut String,
) -> bool {
    out.clear();
    let mut behind = false;
    let mut grouped = false;
    let mut run = 0_usize;
    let mut exponent = false;
    for letter in text.chars() {
        if exponent {
            out.push(letter);
        } else if Some(letter) == thousands {
            if behind || run == 0 || run > 3 || grouped && run != 3 {
                return false;
            }
            grouped = true;
            run = 0;
        } else if letter == decimal && !behind {
            if grouped && run != 3 {
                return false;
            }
            behind = true;
            out.push('.');
        } else if letter.is_ascii_digit() {
            run += 1;
            out.push(letter);
        } else if letter == '-' && out.is_empty() {
            out.push('-');
        } else if matches!(letter, 'e' | 'E') && !grouped {
            exponent = true;
            out.push(letter);
        } else {
            return false;
        }
    }
    !grouped || behind || run == 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn numbers_are_what_they_say() {
        // text, integer, double with whether it is exact, decimal(38,4)
        type Row = (&'static str, Option<i64>, Option<(f64, bool)>, Option<i128>);
        let rows: &[Row] = &[
            ("0", Some(0), Some((0.0, true)), Some(0)),
            ("-0", None, Some((-0.0, true)), None),
            ("7", Some(7), Some((7.0, true)), Some(70_000)),
            ("-12", Some(-12), Some((-12.0, true)), Some(-120_000)),
            (
                "9223372036854775807",
                Some(i64::MAX),
                Some((9_223_372_036_854_775_807.0, false)),
                Some(92_233_720_368_547_758_070_000),
            ),
            (
                "-9223372036854775808",
                Some(i64::MIN),
                Some((-9_223_372_036_854_775_808.0, true)),
                Some(-92_233_720_368_547_758_080_000),
            ),
            (
                "9223372036854775808",
                None,
                Some((9_223_372_036_854_775_808.0, true)),
                Some(92_233_720_368_547_758_080_000),
            ),
            (
                "9007199254740993",
                Some(9_007_199_254_740_993),
                Some((9_007_199_254_740_992.0, false)),
                Some(90_071_992_547_409_930_000),
            ),
            ("0.1", None, Some((0.1, true)), Some(1000)),
            (".5", None, Some((0.5, true)), Some(5000)),
            ("5.", None, Some((5.0, true)), Some(50_000)),
            ("1.50", None, Some((1.5, true)), Some(15_000)),
            ("0.00001", None, Some((0.00001, true)), None),
            ("1e3", None, Some((1000.0, true)), None),
            ("1e-5", None, Some((1e-5, true)), None),
            (
                "0.1000000000000000055511151231257827",
                None,
                Some((0.1, true)),
                None,
            ),
            (
                "0.1000000000000000055511151231257820",
                None,
                Some((0.1, false)),
                None,
            ),
            (
                "0.30000000000000004",
                None,
                Some((0.300_000_000_000_000_04, true)),
                None,
            ),
            (
                "0.12345678901234567890",
                None,
                Some((0.123_456_789_012_345_68, false)),
                None,
            ),
            ("5e-324", None, Some((5e-324, true)), None),
            ("4.9406564584124654e-324", None, Some((5e-324, true)), None),
            ("6e-324", None, Some((5e-324, false)), None),
            ("1e-400", None, Some((0.0, false)), None),
            ("1e400", None, None, None),
            ("1.7976931348623157e308", None, Some((f64::MAX, true)), None),
            // In the middle of two texts: 31547309966161.0625.
            (
                "31547309966161.063",
                None,
                Some((31_547_309_966_161.062, true)),
                Some(315_473_099_661_610_630),
            ),
            (
                "31547309966161.062",
                None,
                Some((31_547_309_966_161.062, true)),
                Some(315_473_099_661_610_620),
            ),
            (
                "31547309966161.061",
                None,
                Some((31_547_309_966_161.062, false)),
                Some(315_473_099_661_610_610),
            ),
        ];
        for (text, integer, double, decimal) in rows {
            let number = Number::scan(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(number.integer(), *integer, "{text}");
            let found = number
                .double()
                .map(|double| (double.value.to_bits(), double.exact));
            let expected = double.map(|(value, exact)| (value.to_bits(), exact));
            assert_eq!(found, expected, "{text}");
            assert_eq!(number.decimal(38, 4), *decimal, "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "-.",
            "007",
            "00",
            "-01",
            "01.5",
            "+1",
            " 1",
            "1 ",
            "1,5",
            "1e",
            "1e+",
            "e5",
            "0x10",
            "1.2.3",
            "1e5.5",
            "nan",
            "inf",
            "NaN",
            "１",
            "1_000",
            "1e999999999",
        ] {
            assert!(Number::scan(text).is_none(), "{text}");
        }
    }

    #[test]
    fn marks_are_those_that_were_declared() {
        let check = |text: &str, decimal, thousands, expected: Option<&str>| {
            let mut out = String::new();
            let good = normalise(text, decimal, thousands, &mut out);
            assert_eq!(good.then_some(out.as_str()), expected, "{text}");
        };
        check("1.234.567,89", ',', Some('.'), Some("1234567.89"));
        check("-1.234", ',', Some('.'), Some("-1234"));
        check("1.23", ',', Some('.'), None);
        check("1.2345", ',', Some('.'), None);
        check("1234.567", ',', Some('.'), None);
        check(".123", ',', Some('.'), None);
        check("1..234", ',', Some('.'), None);
        check("1,5", ',', None, Some("1.5"));
        check("1.5", ',', None, None);
        check("1'234.5", '.', Some('\''), Some("1234.5"));
        check("1\u{202f}234", '.', Some('\u{202f}'), Some("1234"));
        check("1,5,6", ',', None, None);
        check("1,5e-3", ',', None, Some("1.5e-3"));
    }

    proptest! {
        #[test]
        fn a_double_comes_back_from_each_way_to_write_it(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite() && value != 0.0);
            for text in [format!("{value:e}"), format!("{value:.16e}"), format!("{value:.18e}"), format!("{value}")] {
                let number = Number::scan(&text).unwrap();
                prop_assert_eq!(number.double(), Some(Double { value, exact: true }), "{}", text);
            }
        }

        #[test]
        fn an_integer_comes_back(value: i64) {
            prop_assert_eq!(Number::scan(&value.to_string()).unwrap().integer(), Some(value));
        }

        #[test]
        fn short_decimals_are_the_nearest_double(mantissa in 0_u64..1_000_000_000_000_000, shift in -30_i32..30) {
            let text = format!("{mantissa}e{shift}");
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(Number::scan(&text).unwrap().double(), Some(Double { value: expected, exact: true }));
        }
    }
}
