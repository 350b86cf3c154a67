//! Bounds and lists of values against the columns of a table: as what they are, exactly.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use custody_stats::contract::{Decimal, Literal};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int64Type, TimeUnit,
};

use crate::parts::same;
use crate::schema::word;

/// What a value must be.
#[derive(Debug)]
pub(super) enum Values {
    /// Integers, decimals as whole numbers, dates as days, times as units: between two, both included.
    Whole(i128, i128),
    /// Doubles.
    Double(f64, f64),
    /// Singles, with bounds that mean the same single.
    Single(f32, f32),
    /// Texts that say numbers.
    Numbers(Option<Decimal>, Option<Decimal>),
    /// One of these.
    OneOfWhole(HashSet<i128>),
    /// One of these doubles, by their bits.
    OneOfDouble(HashSet<u64>),
    /// One of these texts.
    OneOfTexts(HashSet<String>),
    /// One of these truths.
    OneOfTruths(Vec<bool>),
}

/// What a value was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Good,
    Bad,
    /// It cannot be read as what the check is about.
    Unlike,
}

impl Values {
    /// Compiles a range for a column.
    ///
    /// # Errors
    /// The key of the bound that is wrong, empty for the check itself, and why.
    pub(super) fn range(
        kind: &DataType,
        min: Option<&Literal>,
        max: Option<&Literal>,
    ) -> Result<Self, (&'static str, String)> {
        let both = |read: &dyn Fn(&Literal, Edge) -> Option<i128>, example: &str| {
            let bound = |key, literal: Option<&Literal>, edge, open| {
                match literal {
                None => Ok(open),
                Some(literal) => read(literal, edge).ok_or_else(|| {
                    let kind = word(kind);
                    (key, format!("`{literal}` is no bound for a column of {kind}; write it like {example}"))
                }),
            }
            };
            let low = bound("min", min, Edge::Low, i128::MIN)?;
            let high = bound("max", max, Edge::High, i128::MAX)?;
            match (min, max) {
                (Some(min), Some(max)) if low > high => {
                    Err(("", format!("nothing is at least {min} and at most {max}")))
                }
                _ => Ok(Self::Whole(low, high)),
            }
        };
        match kind {
            kind if kind.is_integer() => both(&|literal, edge| whole(literal, 0, edge), "`10`"),
            DataType::Decimal128(_, scale) => {
                both(&|literal, edge| whole(literal, *scale, edge), "`10.5`")
            }
            DataType::Date32 => both(&|literal, _| date(literal), "`2024-12-31`"),
            DataType::Timestamp(unit, None) => both(
                &|literal, edge| Some(edge.divided(local(literal)?, *unit)),
                "`2024-12-31T23:59:59`",
            ),
            DataType::Timestamp(unit, Some(_)) => both(
                &|literal, edge| Some(edge.divided(instant(literal)?, *unit)),
                "`2024-12-31T23:59:59Z`",
            ),
            DataType::Time32(unit) | DataType::Time64(unit) => both(
                &|literal, edge| Some(edge.divided(time(literal)?, *unit)),
                "`23:59:59`",
            ),
            DataType::Float64 | DataType::Float32 => doubles(kind, min, max),
            DataType::Utf8 => {
                let number = |key, literal: Option<&Literal>| {
                    match literal {
                    None => Ok(None),
                    Some(literal) => literal.decimal().map(Some).ok_or_else(|| {
                        (key, format!("`{literal}` is no number, and a range of a column of texts is one of the numbers that they say"))
                    }),
                }
                };
                Ok(Self::Numbers(number("min", min)?, number("max", max)?))
            }
            DataType::Boolean => Err((
                "column",
                "a range has no meaning for a column of boolean: use `allowed`".to_owned(),
            )),
            other => Err((
                "column",
                format!("a range has no meaning for a column of {}", word(other)),
            )),
        }
    }

    /// Compiles a list of allowed values for a column.
    ///
    /// # Errors
    /// The position of the value that is wrong, none for the column itself, and why.
    pub(super) fn allowed(
        kind: &DataType,
        values: &[Literal],
    ) -> Result<Self, (Option<usize>, String)> {
        let unlike = |at, literal: &Literal, hint: &str| {
            let kind = word(kind);
            (
                Some(at),
                format!("`{literal}` is no value of a column of {kind}{hint}"),
            )
        };
        let whole_set = |read: &dyn Fn(&Literal) -> Option<Option<i128>>, hint: &str| {
            let mut set = HashSet::new();
            for (at, literal) in values.iter().enumerate() {
                set.extend(read(literal).ok_or_else(|| unlike(at, literal, hint))?);
            }
            Ok(Self::OneOfWhole(set))
        };
        let number =
            |literal: &Literal, scale| literal.decimal().map(|decimal| decimal.scaled(scale));
        match kind {
            kind if kind.is_integer() => whole_set(&|literal| number(literal, 0), ""),
            DataType::Decimal128(_, scale) => whole_set(&|literal| number(literal, *scale), ""),
            DataType::Date32 => whole_set(
                &|literal| date(literal).map(Some),
                "; write it like `2024-12-31`",
            ),
            DataType::Timestamp(unit, None) => whole_set(
                &|literal| Some(exactly(local(literal)?, *unit)),
                "; write it like `2024-12-31T23:59:59`",
            ),
            DataType::Timestamp(unit, Some(_)) => whole_set(
                &|literal| Some(exactly(instant(literal)?, *unit)),
                "; write it with its zone, like `2024-12-31T23:59:59Z`",
            ),
            DataType::Float64 | DataType::Float32 => {
                let mut set = HashSet::new();
                for (at, literal) in values.iter().enumerate() {
                    let Some(value) = double(literal) else {
                        return Err(unlike(at, literal, ""));
                    };
                    match literal {
                        Literal::Integer(integer) if !same(*integer, value) => {}
                        _ if *kind == DataType::Float32 => {
                            set.insert(bits(f64::from(single(value))));
                        }
                        _ => {
                            set.insert(bits(value));
                        }
                    }
                }
                Ok(Self::OneOfDouble(set))
            }
            DataType::Utf8 => {
                let mut set = HashSet::new();
                for (at, literal) in values.iter().enumerate() {
                    match literal {
                        Literal::Text(text) => set.insert(text.clone()),
                        other => {
                            let hint = format!(": a text is written in quotes, `\"{other}\"`");
                            return Err(unlike(at, literal, &hint));
                        }
                    };
                }
                Ok(Self::OneOfTexts(set))
            }
            DataType::Boolean => {
                let mut set = Vec::new();
                for (at, literal) in values.iter().enumerate() {
                    match literal {
                        Literal::Boolean(value) => set.push(*value),
                        _ => return Err(unlike(at, literal, ": it is `true` or `false`")),
                    }
                }
                Ok(Self::OneOfTruths(set))
            }
            other => Err((
                None,
                format!(
                    "a list of values has no meaning for a column of {}",
                    word(other)
                ),
            )),
        }
    }

    /// What is wrong with a value that cannot be read.
    pub(super) const fn unlike(&self) -> &'static str {
        match self {
            Self::Numbers(..) => "the text is no number",
            _ => "the value cannot be read",
        }
    }

    /// Looks at every value that is not null, and tells those that are not good.
    pub(super) fn look(&self, column: &ArrayRef, mut tell: impl FnMut(usize, Found)) -> Option<()> {
        let mut judge = |at: usize, good: bool| {
            if !good {
                tell(at, Found::Bad);
            }
        };
        match self {
            Self::Whole(low, high) => {
                if let (Some(values), Ok(low), Ok(high)) = (
                    column.as_primitive_opt::<Int64Type>(),
                    i64::try_from(*low).or(if *low < 0 { Ok(i64::MIN) } else { Err(()) }),
                    i64::try_from(*high).or(if *high > 0 { Ok(i64::MAX) } else { Err(()) }),
                ) {
                    let inside = |value: i64| low <= value && value <= high;
                    if values.null_count() == 0 && values.values().iter().copied().all(inside) {
                        return Some(());
                    }
                    for (at, value) in values.iter().enumerate() {
                        judge(at, value.is_none_or(inside));
                    }
                    return Some(());
                }
                for (at, value) in whole_values(column)?.into_iter().enumerate() {
                    judge(
                        at,
                        value.is_none_or(|value| *low <= value && value <= *high),
                    );
                }
            }
            Self::Double(low, high) => {
                let values = column.as_primitive_opt::<Float64Type>()?;
                let inside = |value: f64| *low <= value && value <= *high;
                for (at, value) in values.iter().enumerate() {
                    judge(at, value.is_none_or(inside));
                }
            }
            Self::Single(low, high) => {
                let values = column.as_primitive_opt::<Float32Type>()?;
                let inside = |value: f32| *low <= value && value <= *high;
                for (at, value) in values.iter().enumerate() {
                    judge(at, value.is_none_or(inside));
                }
            }
            Self::Numbers(low, high) => {
                let texts = column.as_any().downcast_ref::<StringArray>()?;
                for (at, text) in texts.iter().enumerate() {
                    let Some(text) = text else { continue };
                    let found = match Decimal::parse(text) {
                        None => Found::Unlike,
                        Some(value)
                            if low.as_ref().is_none_or(|low| *low <= value)
                                && high.as_ref().is_none_or(|high| value <= *high) =>
                        {
                            Found::Good
                        }
                        Some(_) => Found::Bad,
                    };
                    if found != Found::Good {
                        tell(at, found);
                    }
                }
            }
            Self::OneOfWhole(set) => {
                for (at, value) in whole_values(column)?.into_iter().enumerate() {
                    judge(at, value.is_none_or(|value| set.contains(&value)));
                }
            }
            Self::OneOfDouble(set) => {
                let values = cast(column, &DataType::Float64).ok()?;
                let values = values.as_primitive_opt::<Float64Type>()?;
                let known = |value: f64| !value.is_nan() && set.contains(&bits(value));
                for (at, value) in values.iter().enumerate() {
                    judge(at, value.is_none_or(known));
                }
            }
            Self::OneOfTexts(set) => {
                let texts = column.as_any().downcast_ref::<StringArray>()?;
                for (at, text) in texts.iter().enumerate() {
                    judge(at, text.is_none_or(|text| set.contains(text)));
                }
            }
            Self::OneOfTruths(set) => {
                let values = column.as_any().downcast_ref::<BooleanArray>()?;
                for (at, value) in values.iter().enumerate() {
                    judge(at, value.is_none_or(|value| set.contains(&value)));
                }
            }
        }
        Some(())
    }
}

/// Which end of a range is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Low,
    High,
}

impl Edge {
    /// Returns a time in nanoseconds in a coarser unit: the first that is not before it, or the last not after it.
    fn divided(self, nanoseconds: i128, unit: TimeUnit) -> i128 {
        let size = nanoseconds_of(unit);
        match self {
            Self::Low => -(-nanoseconds).div_euclid(size),
            Self::High => nanoseconds.div_euclid(size),
        }
    }
}

const fn nanoseconds_of(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// Returns a time in a coarser unit, if it is a whole number of them.
fn exactly(nanoseconds: i128, unit: TimeUnit) -> Option<i128> {
    let size = nanoseconds_of(unit);
    (nanoseconds.rem_euclid(size) == 0).then(|| nanoseconds.div_euclid(size))
}

/// Returns a bound as a whole number of units of `10^-scale`: rounded into the range where it lies between two.
fn whole(literal: &Literal, scale: i8, edge: Edge) -> Option<i128> {
    let decimal = literal.decimal()?;
    if let Some(exact) = decimal.scaled(scale) {
        return Some(exact);
    }
    // The greatest whole number that is not above it, found by halving; beyond 128 bits it is the end of them.
    let step = |number: i128| Decimal::parse(&format!("{number}e{}", -i32::from(scale)));
    let (mut low, mut high) = (i128::MIN, i128::MAX);
    if step(high)? <= decimal {
        return Some(i128::MAX);
    }
    if step(low)? >= decimal {
        return Some(i128::MIN);
    }
    while high.checked_sub(low).is_none_or(|gap| gap > 1) {
        let middle = (low & high) + ((low ^ high) >> 1);
        if step(middle)? <= decimal {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(if edge == Edge::High { low } else { high })
}

fn text(literal: &Literal) -> Option<&str> {
    match literal {
        Literal::Text(text) => Some(text),
        _ => None,
    }
}

/// Returns a date as the days since 1970.
fn date(literal: &Literal) -> Option<i128> {
    let date: NaiveDate = text(literal)?.parse().ok()?;
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    Some(i128::from(days))
}

const DAY: i128 = 86_400_000_000_000;

/// Returns a date or a time without a zone as nanoseconds since 1970.
fn local(literal: &Literal) -> Option<i128> {
    let text = text(literal)?;
    if let Some(days) = date(literal) {
        return Some(days * DAY);
    }
    let time = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ]
    .iter()
    .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    let utc = time.and_utc();
    Some(i128::from(utc.timestamp()) * 1_000_000_000 + i128::from(utc.timestamp_subsec_nanos()))
}

/// Returns a time with a zone as nanoseconds since 1970.
fn instant(literal: &Literal) -> Option<i128> {
    let time = DateTime::parse_from_rfc3339(text(literal)?).ok()?;
    Some(i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos()))
}

/// Returns a time of the day as nanoseconds since midnight.
fn time(literal: &Literal) -> Option<i128> {
    let time: NaiveTime = text(literal)?.parse().ok()?;
    Some(
        i128::from(time.num_seconds_from_midnight()) * 1_000_000_000
            + i128::from(time.nanosecond()),
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the nearest double is asked for; who calls tells whether it is exact"
)]
fn double(literal: &Literal) -> Option<f64> {
    match literal {
        Literal::Integer(number) => Some(*number as f64),
        Literal::Number(number) => Some(*number),
        Literal::Text(text) => {
            Decimal::parse(text)?;
            text.parse().ok()
        }
        Literal::Boolean(_) => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a bound is meant in the precision of the column"
)]
const fn single(value: f64) -> f32 {
    value as f32
}

fn bits(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

fn doubles(
    kind: &DataType,
    min: Option<&Literal>,
    max: Option<&Literal>,
) -> Result<Values, (&'static str, String)> {
    let bound = |key, literal: Option<&Literal>, edge, open: f64| {
        let Some(literal) = literal else {
            return Ok(open);
        };
        let Some(value) = double(literal) else {
            let kind = word(kind);
            return Err((
                key,
                format!("`{literal}` is no bound for a column of {kind}; write it like `10.5`"),
            ));
        };
        // An integer that no double is: the nearest double inside of the range.
        Ok(match (literal, edge) {
            (Literal::Integer(integer), Edge::Low) if below(value, *integer) => value.next_up(),
            (Literal::Integer(integer), Edge::High) if above(value, *integer) => value.next_down(),
            _ => value,
        })
    };
    let low = bound("min", min, Edge::Low, f64::NEG_INFINITY)?;
    let high = bound("max", max, Edge::High, f64::INFINITY)?;
    Ok(if *kind == DataType::Float32 {
        Values::Single(single(low), single(high))
    } else {
        Values::Double(low, high)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the double came from an i128; beyond it the conversion saturates"
)]
const fn below(double: f64, integer: i128) -> bool {
    (double as i128) < integer
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the double came from an i128; beyond it the conversion saturates"
)]
const fn above(double: f64, integer: i128) -> bool {
    (double as i128) > integer
}

/// Returns integers, decimals, dates and times as whole numbers.
fn whole_values(column: &ArrayRef) -> Option<Vec<Option<i128>>> {
    if let Some(values) = column.as_primitive_opt::<Decimal128Type>() {
        return Some(values.iter().collect());
    }
    if *column.data_type() == DataType::UInt64 {
        let values = cast(column, &DataType::Decimal128(20, 0)).ok()?;
        let values = values.as_primitive_opt::<Decimal128Type>()?;
        return Some(values.iter().collect());
    }
    let values = match column.data_type() {
        DataType::Time32(_) | DataType::Date32 => {
            cast(&cast(column, &DataType::Int32).ok()?, &DataType::Int64)
        }
        _ => cast(column, &DataType::Int64),
    }
    .ok()?;
    let values = values.as_primitive_opt::<Int64Type>()?;
    Some(values.iter().map(|value| value.map(i128::from)).collect())
}
