//! Values as they are shown: see [`custody_wire::HeadReply`].

use std::sync::Arc;

use custody_wire::ColumnView;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, UInt64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

use crate::columns::decimal;
use crate::error::EngineError;
use crate::gather::exactly;
use crate::parts::Parts;
use crate::query::Engine;
use crate::schema::columns;
use crate::table::Table;

/// The columns and first rows of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The columns.
    pub columns: Vec<ColumnView>,
    /// How many rows the table has.
    pub rows: u64,
    /// The first rows, each with a value for each column.
    pub head: Vec<Vec<Value>>,
}

impl Engine {
    /// Reads the first rows of a table; with 0 nothing but its structure is read.
    ///
    /// # Errors
    /// [`EngineError`] when its files cannot be read.
    pub fn head(&self, table: &Table, rows: usize) -> Result<Head, EngineError> {
        let parts = Parts::open(table)?;
        let all: Vec<usize> = (0..parts.schema.fields().len()).collect();
        let mut head = Vec::new();
        for unit in &parts.units {
            if head.len() >= rows {
                break;
            }
            for batch in parts.read(*unit, &all) {
                let batch = batch?;
                for row in 0..batch.num_rows().min(rows - head.len()) {
                    let values = batch.columns().iter();
                    head.push(
                        values
                            .map(|column| shown(column, row))
                            .collect::<Result<Vec<_>, _>>()?,
                    );
                }
                if head.len() >= rows {
                    break;
                }
            }
        }
        Ok(Head {
            columns: views(&parts.schema),
            rows: parts.rows(),
            head,
        })
    }
}

pub(crate) fn views(schema: &SchemaRef) -> Vec<ColumnView> {
    columns(schema)
        .into_iter()
        .map(|column| ColumnView {
            name: column.name,
            data_type: column.data_type,
        })
        .collect()
}

/// Returns a row's value.
pub(crate) fn shown(column: &ArrayRef, row: usize) -> Result<Value, EngineError> {
    let valid = column.logical_nulls();
    if valid.is_some_and(|valid| valid.is_null(row)) {
        return Ok(Value::Null);
    }
    let one = column.slice(row, 1);
    Ok(match one.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => one.as_boolean().value(0).into(),
        DataType::UInt64 => one.as_primitive::<UInt64Type>().value(0).into(),
        kind if kind.is_integer() => {
            let whole = exactly(&one, &DataType::Int64)?;
            whole.as_primitive::<Int64Type>().value(0).into()
        }
        DataType::Float32 | DataType::Float64 => {
            let double = exactly(&one, &DataType::Float64)?;
            number(double.as_primitive::<Float64Type>().value(0))
        }
        DataType::Utf8 => one.as_string::<i32>().value(0).into(),
        _ => {
            let options = FormatOptions::default();
            let failed = |_| EngineError::Failed("a value could not be written as text");
            let text = ArrayFormatter::try_new(&one, &options).map_err(failed)?;
            text.value(0).try_to_string().map_err(failed)?.into()
        }
    })
}

/// Returns a double: as a number where JSON has it.
pub(crate) fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

/// Returns a value of at most 64 bits that is no double.
pub(crate) fn narrow(key: i64, kind: &DataType) -> Result<Value, EngineError> {
    let own: ArrayRef = match kind {
        DataType::Boolean => return Ok((key != 0).into()),
        kind if kind.is_integer() => return Ok(key.into()),
        DataType::Date32 | DataType::Time32(_) => {
            let days = i32::try_from(key);
            Arc::new(Int32Array::from(vec![days.map_err(|_| {
                EngineError::Failed("a value could not be written as text")
            })?]))
        }
        _ => Arc::new(Int64Array::from(vec![key])),
    };
    // What no calendar has is shown by its number.
    Ok(exactly(&own, kind)
        .and_then(|value| shown(&value, 0))
        .unwrap_or_else(|_| key.to_string().into()))
}

/// Returns a value of more than 64 bits.
pub(crate) fn wide(key: i128, kind: &DataType) -> Value {
    match kind {
        DataType::Decimal128(_, scale) => decimal(key, *scale).into(),
        _ => u64::try_from(key).map_or_else(|_| key.to_string().into(), Value::from),
    }
}
