//! Values that a contract states, exactly as they are written.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Integers beyond this are written as texts where every number is a double: in JSON.
const EXACT: u128 = 1 << 53;

/// A value: a number, a text, `true` or `false`. A date or timestamp is a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A whole number.
    Integer(i128),
    /// Another number.
    Number(f64),
    /// A text.
    Text(String),
    /// `true` or `false`.
    Boolean(bool),
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Boolean(value) => write!(f, "{value}"),
        }
    }
}

impl Literal {
    /// Returns the number that it is, or that it says as a text; none for NaN and infinities.
    pub fn decimal(&self) -> Option<Decimal> {
        match self {
            Self::Integer(number) => Decimal::parse(&number.to_string()),
            Self::Number(number) => Decimal::parse(&number.to_string()),
            Self::Text(text) => Decimal::parse(text),
            Self::Boolean(_) => None,
        }
    }
}

impl Serialize for Literal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) if number.unsigned_abs() <= EXACT => {
                match i64::try_from(*number) {
                    Ok(number) => serializer.serialize_i64(number),
                    Err(_) => serializer.serialize_str(&number.to_string()),
                }
            }
            Self::Integer(number) => serializer.serialize_str(&number.to_string()),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Boolean(value) => serializer.serialize_bool(*value),
        }
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;

        impl Visitor<'_> for Values {
            type Value = Literal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text, `true` or `false`")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Literal, E> {
                Ok(Literal::Boolean(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Literal, E> {
                Ok(Literal::Integer(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Literal, E> {
                Ok(Literal::Integer(value.into()))
            }

            fn visit_i128<E: Error>(self, value: i128) -> Result<Literal, E> {
                Ok(Literal::Integer(value))
            }

            fn visit_u128<E: Error>(self, value: u128) -> Result<Literal, E> {
                i128::try_from(value)
                    .map(Literal::Integer)
                    .map_err(|_| E::custom("the number is too large: put it in quotes"))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Literal, E> {
                Ok(Literal::Number(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Literal, E> {
                Ok(Literal::Text(value.to_owned()))
            }
        }

        deserializer.deserialize_any(Values)
    }
}

impl JsonSchema for Literal {
    fn schema_name() -> Cow<'static, str> {
        "Literal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value: a number, a text, `true` or `false`. A date or timestamp is a text.",
            "type": ["number", "string", "boolean"]
        })
    }
}

/// A number as it is written in decimal digits, of any size: `sign · 0.digits · 10^exponent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// The digits from the first that is not 0 to the last that is not 0, each from 0 to 9; none for 0.
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// Reads a number: digits with or without a sign, a point and an exponent, and nothing else. `None` for other texts.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] | rest => (false, rest),
        };
        let split = rest.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match split {
            Some(at) => {
                let (mantissa, exponent) = rest.split_at_checked(at)?;
                let exponent = std::str::from_utf8(exponent.get(1..)?).ok()?;
                (mantissa, exponent.parse::<i32>().ok()?)
            }
            None => (rest, 0),
        };
        let point = mantissa.iter().position(|byte| *byte == b'.');
        let (whole, fraction) = match point {
            Some(at) => (mantissa.get(..at)?, mantissa.get(at + 1..)?),
            None => (mantissa, &[][..]),
        };
        let all = || whole.iter().chain(fraction);
        if all().next().is_none() || !all().all(u8::is_ascii_digit) {
            return None;
        }
        let mut digits: Vec<u8> = all().map(|byte| byte - b'0').collect();
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let length = |count: usize| i64::try_from(count).ok();
        let exponent = if digits.is_empty() {
            0
        } else {
            i64::from(exponent) + length(whole.len())? - length(zeros)?
        };
        Some(Self {
            negative: negative && !digits.is_empty(),
            digits,
            exponent,
        })
    }

    /// Returns `value · 10^scale` as a whole number, if it is one that fits.
    pub fn scaled(&self, scale: i8) -> Option<i128> {
        let zeros = self.exponent + i64::from(scale) - i64::try_from(self.digits.len()).ok()?;
        if self.digits.is_empty() {
            return Some(0);
        }
        let mut number: i128 = 0;
        for digit in &self.digits {
            number = number.checked_mul(10)?.checked_add(i128::from(*digit))?;
        }
        let zeros = u32::try_from(zeros).ok()?;
        number = number.checked_mul(10_i128.checked_pow(zeros)?)?;
        Some(if self.negative { -number } else { number })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let magnitude = || {
            self.exponent
                .cmp(&other.exponent)
                .then_with(|| self.digits.cmp(&other.digits))
        };
        sign(self)
            .cmp(&sign(other))
            .then_with(|| match (sign(self), self.negative) {
                (0, _) => Ordering::Equal,
                (_, true) => magnitude().reverse(),
                (_, false) => magnitude(),
            })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn a_number_is_what_its_digits_say() {
        for equal in [
            ["1", "01"],
            ["1", "1.0"],
            ["1", "10e-1"],
            ["0", "-0.00e7"],
            ["-120", "-1.2e2"],
            [".5", "0.5"],
        ] {
            assert_eq!(decimal(equal[0]), decimal(equal[1]), "{equal:?}");
        }
        for less in [
            ["9007199254740992", "9007199254740993"],
            ["-1", "-0.5"],
            ["-1", "0"],
            ["0", "1e-300"],
            ["9", "10"],
            ["0.09", "0.1"],
            ["1e2147483646", "1e2147483647"],
        ] {
            assert!(decimal(less[0]) < decimal(less[1]), "{less:?}");
        }
        for none in [
            "", "-", ".", "1 ", "0x1", "1e", "1e1.5", "NaN", "inf", "1_000", "1,5",
        ] {
            assert_eq!(Decimal::parse(none), None, "{none}");
        }
        assert_eq!(decimal("1.25").scaled(2), Some(125));
        assert_eq!(decimal("1.25").scaled(1), None);
        assert_eq!(decimal("-3").scaled(2), Some(-300));
        assert_eq!(decimal("1e40").scaled(0), None);
    }

    #[test]
    fn a_large_integer_keeps_its_digits_in_json() {
        let text = |literal: Literal| serde_json::to_string(&literal).unwrap();
        assert_eq!(text(Literal::Integer(7)), "7");
        assert_eq!(
            text(Literal::Integer(9_007_199_254_740_993)),
            "\"9007199254740993\""
        );
        let back: Literal = serde_json::from_str("9007199254740993").unwrap();
        assert_eq!(back, Literal::Integer(9_007_199_254_740_993));
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_as_integers_and_doubles_are(a in any::<i64>(), b in any::<i64>(), x in -1e300..1e300_f64, y in -1e300..1e300_f64) {
            prop_assert_eq!(decimal(&a.to_string()).cmp(&decimal(&b.to_string())), a.cmp(&b));
            let text = |number: f64| format!("{number:e}");
            prop_assert_eq!(decimal(&text(x)).cmp(&decimal(&text(y))), x.total_cmp(&y));
        }
    }
}
