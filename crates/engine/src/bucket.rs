//! `custody_bucket(key, n)`: the same bucket for the same key, on any machine.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use sha2::{Digest, Sha256};

/// The first 8 bytes of SHA-256 of the key's UTF-8 bytes, as a big-endian number, modulo `n`.
pub(crate) fn bucket(key: &str, n: i64) -> Option<i64> {
    let n = u64::try_from(n).ok().filter(|n| *n > 0)?;
    let hash = Sha256::digest(key.as_bytes());
    let number = u64::from_be_bytes(*hash.first_chunk::<8>()?);
    i64::try_from(number % n).ok()
}

pub(crate) fn function() -> ScalarUDF {
    create_udf(
        "custody_bucket",
        vec![DataType::Utf8, DataType::Int64],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(invoke),
    )
}

fn invoke(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let wrong = || DataFusionError::Plan("custody_bucket takes a text and a number".to_owned());
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let [keys, counts] = arrays.as_slice() else {
        return Err(wrong());
    };
    let keys = keys
        .as_any()
        .downcast_ref::<StringArray>()
        .ok_or_else(wrong)?;
    let counts = counts
        .as_any()
        .downcast_ref::<Int64Array>()
        .ok_or_else(wrong)?;
    let buckets: Int64Array = (0..keys.len())
        .map(|row| {
            if keys.is_null(row) || counts.is_null(row) {
                None
            } else {
                bucket(keys.value(row), counts.value(row))
            }
        })
        .collect();
    Ok(ColumnarValue::Array(Arc::new(buckets) as ArrayRef))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_what_sha256sum_says() {
        // printf 17 | sha256sum: 4523540f1504cd17…; python: int("4523540f1504cd17", 16) % 10
        assert_eq!(
            bucket("17", 10),
            Some(i64::try_from(0x4523_540f_1504_cd17_u64 % 10).unwrap())
        );
        assert_eq!(bucket("17", 0), None);
    }
}
