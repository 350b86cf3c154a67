//! Figures of sorted values.

use custody_wire::{ColumnProfile, HistogramBin, Quantile, TopValue};
use datafusion::arrow::datatypes::DataType;
use serde_json::Value;

use super::TOP;
use crate::columns::decimal;
use crate::error::EngineError;
use crate::gather::{double, is_number};
use crate::value::{narrow, number, wide};

/// The quantiles that are told, in percent.
const PERCENTS: [u8; 7] = [1, 5, 25, 50, 75, 95, 99];
/// The bins of a histogram.
const BINS: u8 = 10;

/// What sorted integers stand for.
pub(super) trait Meaning<K> {
    /// The value as it is shown.
    fn shown(&self, key: K) -> Result<Value, EngineError>;
    /// The value as a number, where it is one.
    fn number(&self, key: K) -> Option<f64>;
    /// The place of dates and times in their unit; `None` for what has no places between its values.
    fn tick(&self, key: K) -> Option<i64>;
    /// The value of a place.
    fn of_tick(&self, tick: i64) -> Result<Value, EngineError>;
}

/// Doubles, in order.
pub(super) struct Doubles;
/// Integers, booleans, dates and times.
pub(super) struct Narrow<'a>(pub(super) &'a DataType);
/// Decimals and unsigned integers.
pub(super) struct Wide<'a>(pub(super) &'a DataType);

impl Meaning<i64> for Doubles {
    fn shown(&self, key: i64) -> Result<Value, EngineError> {
        Ok(number(double(key)))
    }

    fn number(&self, key: i64) -> Option<f64> {
        Some(double(key))
    }

    fn tick(&self, _: i64) -> Option<i64> {
        None
    }

    fn of_tick(&self, _: i64) -> Result<Value, EngineError> {
        Ok(Value::Null)
    }
}

impl Meaning<i64> for Narrow<'_> {
    fn shown(&self, key: i64) -> Result<Value, EngineError> {
        narrow(key, self.0)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a quantile of integers is told in doubles"
    )]
    fn number(&self, key: i64) -> Option<f64> {
        is_number(self.0).then_some(key as f64)
    }

    fn tick(&self, key: i64) -> Option<i64> {
        self.0.is_temporal().then_some(key)
    }

    fn of_tick(&self, tick: i64) -> Result<Value, EngineError> {
        narrow(tick, self.0)
    }
}

impl Meaning<i128> for Wide<'_> {
    fn shown(&self, key: i128) -> Result<Value, EngineError> {
        Ok(wide(key, self.0))
    }

    fn number(&self, key: i128) -> Option<f64> {
        let scale = match self.0 {
            DataType::Decimal128(_, scale) => *scale,
            _ => 0,
        };
        decimal(key, scale).parse().ok()
    }

    fn tick(&self, _: i128) -> Option<i64> {
        None
    }

    fn of_tick(&self, _: i64) -> Result<Value, EngineError> {
        Ok(Value::Null)
    }
}

/// Fills in what sorted values tell.
pub(super) fn figures<K: Copy + Ord>(
    profile: &mut ColumnProfile,
    sorted: &[K],
    meaning: &impl Meaning<K>,
) -> Result<(), EngineError> {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return Ok(());
    };
    profile.min = Some(meaning.shown(*first)?);
    profile.max = Some(meaning.shown(*last)?);
    let mut often: Vec<(u64, K)> = Vec::new();
    for same in sorted.chunk_by(|a, b| a == b) {
        profile.distinct += 1;
        let (count, Some(key)) = (same.len() as u64, same.first()) else {
            continue;
        };
        let full = often.len() == TOP;
        if full && often.last().is_none_or(|(least, _)| count <= *least) {
            continue;
        }
        let at = often.partition_point(|(known, _)| *known >= count);
        often.insert(at, (count, *key));
        often.truncate(TOP);
    }
    for (count, key) in often {
        profile.top.push(TopValue {
            value: meaning.shown(key)?,
            count,
        });
    }
    for percent in PERCENTS {
        if let Some(value) = quantile(sorted, percent, meaning)? {
            profile.quantiles.push(Quantile { percent, value });
        }
    }
    profile.histogram = histogram(sorted, meaning)?;
    Ok(())
}

/// Type 7 of R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages" (1996): between the values around
/// `(n - 1) p`.
fn quantile<K: Copy>(
    sorted: &[K],
    percent: u8,
    meaning: &impl Meaning<K>,
) -> Result<Option<Value>, EngineError> {
    let place = (sorted.len() as u128 - 1) * u128::from(percent);
    let at = usize::try_from(place / 100).unwrap_or(usize::MAX);
    let part = i128::try_from(place % 100).unwrap_or_default();
    let Some(low) = sorted.get(at) else {
        return Ok(None);
    };
    let high = sorted.get(at + 1).unwrap_or(low);
    if let (Some(low), Some(high)) = (meaning.tick(*low), meaning.tick(*high)) {
        let gap = i128::from(high) - i128::from(low);
        let tick = i128::from(low) + gap * part / 100;
        let tick = i64::try_from(tick).unwrap_or(low);
        return meaning.of_tick(tick).map(Some);
    }
    let (Some(low), Some(high)) = (meaning.number(*low), meaning.number(*high)) else {
        return Ok(None);
    };
    let part = f64::from(u8::try_from(part).unwrap_or_default()) / 100.0;
    let value = if part == 0.0 || same(low, high) {
        low
    } else {
        between(low, high, part)
    };
    Ok((!value.is_nan()).then(|| number(value)))
}

fn same(low: f64, high: f64) -> bool {
    low.to_bits() == high.to_bits()
}

/// The value at a part of the way; it is computed from the end that is nearer. Between the infinite ends there is none:
/// NaN.
fn between(low: f64, high: f64, part: f64) -> f64 {
    if low.is_infinite() && high.is_finite() {
        return low;
    }
    if high.is_infinite() && low.is_finite() {
        return high;
    }
    let gap = high - low;
    if gap.is_infinite() && low.is_finite() && high.is_finite() {
        low * (1.0 - part) + high * part
    } else if part < 0.5 {
        low + gap * part
    } else {
        high - gap * (1.0 - part)
    }
}

fn histogram<K: Copy>(
    sorted: &[K],
    meaning: &impl Meaning<K>,
) -> Result<Vec<HistogramBin>, EngineError> {
    let ends = sorted.first().zip(sorted.last());
    if let Some((low, high)) = ends
        && let (Some(low), Some(high)) = (meaning.tick(*low), meaning.tick(*high))
    {
        let gap = i128::from(high) - i128::from(low);
        let mut edges: Vec<i64> = (0..=i128::from(BINS))
            .map(|bin| i128::from(low) + gap * bin / i128::from(BINS))
            .map(|edge| i64::try_from(edge).unwrap_or(high))
            .collect();
        edges.dedup();
        let place = |key: K| meaning.tick(key).unwrap_or(high);
        return bins(sorted, &edges, &place, &|edge| meaning.of_tick(edge));
    }
    let value = |key: K| meaning.number(key).unwrap_or(f64::INFINITY);
    let from = sorted.partition_point(|key| value(*key) == f64::NEG_INFINITY);
    let to = sorted.partition_point(|key| value(*key) < f64::INFINITY);
    let finite = sorted.get(from..to).unwrap_or_default();
    let (Some(low), Some(high)) = (finite.first(), finite.last()) else {
        return Ok(Vec::new());
    };
    let (low, high) = (value(*low), value(*high));
    let mut edges: Vec<f64> = (0..BINS)
        .map(|bin| match f64::from(bin) / f64::from(BINS) {
            part if (high - low).is_infinite() => low * (1.0 - part) + high * part,
            part => low + (high - low) * part,
        })
        .map(|edge| edge.clamp(low, high))
        .collect();
    edges.push(high);
    edges.dedup();
    bins(finite, &edges, &value, &|edge| Ok(number(edge)))
}

/// Counts what is in the bins between edges.
fn bins<K: Copy, E: Copy + PartialOrd>(
    sorted: &[K],
    edges: &[E],
    value: &dyn Fn(K) -> E,
    shown: &dyn Fn(E) -> Result<Value, EngineError>,
) -> Result<Vec<HistogramBin>, EngineError> {
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else {
        return Ok(Vec::new());
    };
    let bin = |from: E, to: E, count: usize| -> Result<HistogramBin, EngineError> {
        Ok(HistogramBin {
            from: shown(from)?,
            to: shown(to)?,
            count: count as u64,
        })
    };
    if edges.len() == 1 {
        return Ok(vec![bin(*first, *last, sorted.len())?]);
    }
    let (mut made, mut before) = (Vec::new(), 0);
    for (from, to) in edges.iter().zip(edges.iter().skip(1)) {
        let until = if made.len() + 2 == edges.len() {
            sorted.len()
        } else {
            sorted.partition_point(|key| value(*key) < *to)
        };
        made.push(bin(*from, *to, until - before)?);
        before = until;
    }
    Ok(made)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}
