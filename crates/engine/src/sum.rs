//! `sum` that knows overflow.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowNativeTypeOp, ArrowPrimitiveType, DataType, Decimal128Type, Decimal256Type, Int64Type,
    UInt64Type, i256,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF, EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

use crate::aggregate::{Groups, Own, replaced};
use crate::windows::{Figure, Window};

/// Returns the function, under the name of the one that wraps around.
pub(crate) fn function() -> AggregateUDF {
    replaced(sum_udaf(), Sum)
}

/// Sums integers and decimals with checks; moving sums of doubles are made anew for each row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum;

/// Whether a sum of this type can overflow.
fn counts(kind: &DataType) -> bool {
    kind.is_integer() || kind.is_decimal()
}

fn overflow() -> DataFusionError {
    ArrowError::ArithmeticOverflow("sum".to_owned()).into()
}

impl Own for Sum {
    fn whole(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
        let kind = args.return_field.data_type().clone();
        if !counts(&kind) {
            return None;
        }
        Some(if args.is_distinct {
            Box::new(Distinct {
                kind,
                values: HashSet::new(),
            })
        } else {
            Box::new(Checked {
                kind,
                total: i256::ZERO,
                values: 0,
            })
        })
    }

    fn moving(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            _ if args.is_distinct => None,
            DataType::Float64 => Some(Window::boxed(Figure::Sum)),
            _ => self.whole(args),
        }
    }

    fn groups(&self, args: &AccumulatorArgs<'_>) -> Groups {
        Groups::Own(match args.return_field.data_type() {
            kind @ DataType::Int64 => Totals::<Int64Type>::boxed(kind, None),
            kind @ DataType::UInt64 => Totals::<UInt64Type>::boxed(kind, None),
            kind @ DataType::Decimal128(precision, _) => {
                Totals::<Decimal128Type>::boxed(kind, Some(*precision))
            }
            kind @ DataType::Decimal256(..) => Totals::<Decimal256Type>::boxed(kind, None),
            kind if counts(kind) => return Groups::Single,
            _ => return Groups::Engine,
        })
    }
}

/// Returns integers and decimals as whole numbers of 256 bits, without nulls.
fn whole(values: &ArrayRef) -> Result<Vec<i256>> {
    let scale = match values.data_type() {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    };
    let wide = cast(values, &DataType::Decimal256(76, scale))?;
    let wide = wide.as_primitive::<Decimal256Type>();
    Ok(wide.iter().flatten().collect())
}

/// Returns a total in the type of the sum.
fn fitted(total: i256, kind: &DataType) -> Result<ScalarValue> {
    let scale = match kind {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    };
    // The conversion of a whole number of 256 bits to an integer wraps around: it is made by way of 128.
    let narrow = total.to_i128().ok_or_else(overflow);
    match kind {
        DataType::Int64 => i64::try_from(narrow?)
            .map(ScalarValue::from)
            .map_err(|_| overflow()),
        DataType::UInt64 => u64::try_from(narrow?)
            .map(ScalarValue::from)
            .map_err(|_| overflow()),
        kind => ScalarValue::Decimal256(Some(total), 76, scale)
            .cast_to(kind)
            .map_err(|_| overflow()),
    }
}

/// One sum.
#[derive(Debug)]
struct Checked {
    kind: DataType,
    total: i256,
    /// How many values that are not null it is over.
    values: u64,
}

impl Accumulator for Checked {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values.first().map(whole).transpose()?.unwrap_or_default() {
            self.total = self.total.checked_add(value).ok_or_else(overflow)?;
            self.values += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values.first().map(whole).transpose()?.unwrap_or_default() {
            self.total = self.total.checked_sub(value).ok_or_else(overflow)?;
            self.values = self.values.saturating_sub(1);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.values == 0 {
            return ScalarValue::try_from(&self.kind);
        }
        fitted(self.total, &self.kind)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// The sum of different values.
#[derive(Debug)]
struct Distinct {
    kind: DataType,
    values: HashSet<i256>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values.first().map(whole).transpose()?;
        self.values.extend(values.unwrap_or_default());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.values.is_empty() {
            return ScalarValue::try_from(&self.kind);
        }
        let mut total = i256::ZERO;
        for value in &self.values {
            total = total.checked_add(*value).ok_or_else(overflow)?;
        }
        fitted(total, &self.kind)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<i256>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut values: Vec<_> = self.values.iter().copied().collect();
        values.sort_unstable();
        let values = values.into_iter().map(|value| fitted(value, &self.kind));
        let values: Vec<_> = values.collect::<Result<_>>()?;
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(
            &values, &self.kind,
        ))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in states {
            for values in state.as_list::<i32>().iter().flatten() {
                self.update_batch(&[values])?;
            }
        }
        Ok(())
    }
}

/// The sums of many groups. An overflow is noted where it happens and told after the batch.
struct Totals<T: ArrowPrimitiveType> {
    inner: Box<dyn GroupsAccumulator>,
    overflow: Arc<AtomicBool>,
    /// The most digits, where the type has fewer than its bits allow.
    precision: Option<u8>,
    kind: std::marker::PhantomData<T>,
}

impl<T> Totals<T>
where
    T: ArrowPrimitiveType + Send,
    T::Native: ArrowNativeTypeOp,
{
    fn boxed(kind: &DataType, precision: Option<u8>) -> Box<dyn GroupsAccumulator>
    where
        T: 'static,
    {
        let overflow = Arc::new(AtomicBool::new(false));
        let note = overflow.clone();
        let add = move |total: &mut T::Native, value: T::Native| match total.add_checked(value) {
            Ok(sum) => *total = sum,
            Err(_) => note.store(true, Ordering::Relaxed),
        };
        Box::new(Self {
            inner: Box::new(PrimitiveGroupsAccumulator::<T, _>::new(kind, add)),
            overflow,
            precision,
            kind: std::marker::PhantomData,
        })
    }

    fn checked(&self) -> Result<()> {
        if self.overflow.load(Ordering::Relaxed) {
            Err(overflow())
        } else {
            Ok(())
        }
    }

    fn fitting(&self, values: ArrayRef) -> Result<ArrayRef> {
        let decimals: Option<&PrimitiveArray<Decimal128Type>> = values.as_primitive_opt();
        if let (Some(precision), Some(decimals)) = (self.precision, decimals) {
            decimals
                .validate_decimal_precision(precision)
                .map_err(|_| overflow())?;
        }
        Ok(values)
    }
}

impl<T> GroupsAccumulator for Totals<T>
where
    T: ArrowPrimitiveType + Send,
    T::Native: ArrowNativeTypeOp,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(values, groups, filter, total)?;
        self.checked()
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let values = self.inner.evaluate(emit)?;
        self.fitting(values)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(values, groups, total)?;
        self.checked()
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
