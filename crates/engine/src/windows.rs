//! Sums, means and deviations of doubles over a window that moves, computed anew for each row.
//!
//! The engine subtracts what leaves the window: infinity, NaN and the digits that a large number took stay in it.

use std::collections::VecDeque;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::stddev::{stddev_pop_udaf, stddev_udaf};
use datafusion::functions_aggregate::variance::{var_pop_udaf, var_samp_udaf};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF};

use crate::aggregate::{Groups, Own, replaced};

/// What is told of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Figure {
    Sum,
    Mean,
    /// The sum of squared deviations over the count less `ddof`; its root where it says so.
    Variance {
        ddof: u8,
        root: bool,
    },
}

/// Returns the functions, under the names of those that they replace.
pub(crate) fn functions() -> [AggregateUDF; 5] {
    let variance = |ddof, root| Figure::Variance { ddof, root };
    [
        replaced(avg_udaf(), Figure::Mean),
        replaced(stddev_udaf(), variance(1, true)),
        replaced(stddev_pop_udaf(), variance(0, true)),
        replaced(var_samp_udaf(), variance(1, false)),
        replaced(var_pop_udaf(), variance(0, false)),
    ]
}

impl Own for Figure {
    fn whole(&self, _: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
        None
    }

    fn moving(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
        let double = *args.return_field.data_type() == DataType::Float64;
        (double && !args.is_distinct).then(|| Window::boxed(*self))
    }

    fn groups(&self, _: &AccumulatorArgs<'_>) -> Groups {
        Groups::Engine
    }
}

/// The values of a window that are not null, in their order.
#[derive(Debug)]
pub(crate) struct Window {
    figure: Figure,
    values: VecDeque<f64>,
}

impl Window {
    pub(crate) fn boxed(figure: Figure) -> Box<dyn Accumulator> {
        Box::new(Self {
            figure,
            values: VecDeque::new(),
        })
    }

    fn figure(&self) -> Option<f64> {
        let sum: f64 = self.values.iter().sum();
        let count = real(self.values.len());
        match self.figure {
            _ if self.values.is_empty() => None,
            Figure::Sum => Some(sum),
            Figure::Mean => Some(sum / count),
            Figure::Variance { ddof, root } => {
                let over = count - f64::from(ddof);
                let mean = sum / count;
                let squares: f64 = self.values.iter().map(|value| (value - mean).powi(2)).sum();
                let variance = squares / over;
                (over > 0.0).then(|| if root { variance.sqrt() } else { variance })
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "windows have far fewer rows than 2^53"
)]
const fn real(count: usize) -> f64 {
    count as f64
}

fn doubles(values: &[ArrayRef]) -> Result<Vec<f64>> {
    let Some(values) = values.first() else {
        return Ok(Vec::new());
    };
    let values = cast(values, &DataType::Float64)?;
    Ok(values
        .as_primitive::<Float64Type>()
        .iter()
        .flatten()
        .collect())
}

impl Accumulator for Window {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(doubles(values)?);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let gone = doubles(values)?.len();
        self.values.drain(..gone.min(self.values.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.figure()))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(apart())
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(apart())
    }
}

/// A window is never put together of parts.
fn apart() -> DataFusionError {
    DataFusionError::Internal("a window has no parts".to_owned())
}
