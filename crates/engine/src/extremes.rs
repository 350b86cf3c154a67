//! `min` and `max` that know NaN: it is greater than every number, whatever row comes first.
//!
//! The engine's own functions compare doubles of groups and of moving windows one by one, and stay with NaN where they
//! began with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF, EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

use crate::aggregate::{Groups, Own, replaced};
use crate::gather::{double, ordered};

/// Returns both functions, under the names of those that they replace.
pub(crate) fn functions() -> [AggregateUDF; 2] {
    [
        replaced(min_udaf(), Extreme { greatest: false }),
        replaced(max_udaf(), Extreme { greatest: true }),
    ]
}

/// Finds the least or the greatest double; leaves everything else to the engine.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    greatest: bool,
}

impl Extreme {
    fn counted(&self, args: &AccumulatorArgs<'_>, moving: bool) -> Option<Box<dyn Accumulator>> {
        let kind = args.return_field.data_type().clone();
        kind.is_floating().then(|| -> Box<dyn Accumulator> {
            Box::new(Counted {
                kind,
                greatest: self.greatest,
                values: BTreeMap::new(),
                moving,
            })
        })
    }
}

impl Own for Extreme {
    fn whole(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
        self.counted(args, false)
    }

    fn moving(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
        self.counted(args, true)
    }

    fn groups(&self, args: &AccumulatorArgs<'_>) -> Groups {
        let kind = args.return_field.data_type().clone();
        if !kind.is_floating() {
            return Groups::Engine;
        }
        let inner: Box<dyn GroupsAccumulator> = if self.greatest {
            let keep = |best: &mut i64, value: i64| *best = value.max(*best);
            let inner = PrimitiveGroupsAccumulator::<Int64Type, _>::new(&DataType::Int64, keep);
            Box::new(inner.with_starting_value(i64::MIN))
        } else {
            let keep = |best: &mut i64, value: i64| *best = value.min(*best);
            let inner = PrimitiveGroupsAccumulator::<Int64Type, _>::new(&DataType::Int64, keep);
            Box::new(inner.with_starting_value(i64::MAX))
        };
        Groups::Own(Box::new(Best { kind, inner }))
    }
}

fn keys(values: &ArrayRef) -> Result<ArrayRef> {
    let values = cast(values, &DataType::Float64)?;
    let keys: Int64Array = values.as_primitive::<Float64Type>().unary(ordered);
    Ok(Arc::new(keys))
}

fn doubles(keys: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let doubles: Float64Array = keys.as_primitive::<Int64Type>().unary(double);
    let doubles: ArrayRef = Arc::new(doubles);
    Ok(cast(&doubles, kind)?)
}

/// One extreme, with all that is in a moving window, or with the best alone.
#[derive(Debug)]
struct Counted {
    kind: DataType,
    greatest: bool,
    /// How often each value is there, by its key.
    values: BTreeMap<i64, u64>,
    moving: bool,
}

impl Counted {
    fn best(&self) -> Option<i64> {
        let end = if self.greatest {
            self.values.last_key_value()
        } else {
            self.values.first_key_value()
        };
        end.map(|(key, _)| *key)
    }
}

impl Accumulator for Counted {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values.iter().take(1) {
            let keys = keys(values)?;
            let keys = keys.as_primitive::<Int64Type>().iter().flatten();
            if self.moving {
                for key in keys {
                    *self.values.entry(key).or_default() += 1;
                }
            } else {
                let all = keys.chain(self.best());
                let best = if self.greatest { all.max() } else { all.min() };
                self.values = best.map(|best| (best, 1)).into_iter().collect();
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values.iter().take(1) {
            for key in keys(values)?.as_primitive::<Int64Type>().iter().flatten() {
                if let Some(count) = self.values.get_mut(&key) {
                    *count -= 1;
                    if *count == 0 {
                        self.values.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        self.moving
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.best() {
            Some(best) => ScalarValue::from(double(best)).cast_to(&self.kind),
            None => ScalarValue::try_from(&self.kind),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.len() * size_of::<(i64, u64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// The extremes of many groups.
struct Best {
    kind: DataType,
    inner: Box<dyn GroupsAccumulator>,
}

impl Best {
    fn keyed(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        values.iter().map(keys).collect()
    }

    fn shown(&self, values: Vec<ArrayRef>) -> Result<Vec<ArrayRef>> {
        let shown = values.iter().map(|keys| doubles(keys, &self.kind));
        shown.collect()
    }
}

impl GroupsAccumulator for Best {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner
            .update_batch(&Self::keyed(values)?, groups, filter, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let keys = self.inner.evaluate(emit)?;
        doubles(&keys, &self.kind)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let keys = self.inner.state(emit)?;
        self.shown(keys)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(&Self::keyed(values)?, groups, total)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let keys = self.inner.convert_to_state(&Self::keyed(values)?, filter)?;
        self.shown(keys)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_doubles_with_nan_last() {
        let all = [
            f64::NEG_INFINITY,
            -1.5,
            -5e-324,
            0.0,
            5e-324,
            1.0,
            f64::INFINITY,
            f64::NAN,
        ];
        assert!(all.map(ordered).is_sorted());
        for value in all {
            assert_eq!(double(ordered(value)).to_bits(), value.to_bits());
        }
    }
}
