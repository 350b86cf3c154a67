//! The types of a table: those of its files brought together, and the words for them.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit,
};

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The type in the words of contracts: `integer`, `double`, `decimal(10,2)`, `text`, `boolean`, `date`,
    /// `time`, `timestamp`, `timestamp with time zone`, `binary`, `list of …`, `struct`.
    pub data_type: String,
}

/// The columns of a table, without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout(pub(crate) SchemaRef);

impl Layout {
    /// Returns the columns of a table that will have this schema; `None` where a name stands twice.
    pub fn of(schema: &Schema) -> Option<Self> {
        let fields: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| plain_field(field))
            .collect();
        let names: HashSet<_> = fields.iter().map(|field| field.name().clone()).collect();
        (names.len() == fields.len()).then(|| Self(Arc::new(Schema::new(fields))))
    }

    /// Returns the columns.
    pub fn columns(&self) -> Vec<Column> {
        columns(&self.0)
    }
}

pub(crate) fn columns(schema: &SchemaRef) -> Vec<Column> {
    schema
        .fields()
        .iter()
        .map(|field| Column {
            name: field.name().clone(),
            data_type: word(field.data_type()),
        })
        .collect()
}

/// Returns the word for a type.
pub(crate) fn word(data_type: &DataType) -> String {
    match data_type {
        kind if kind.is_integer() => "integer".to_owned(),
        kind if kind.is_floating() => "double".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Duration(_) | DataType::Interval(_) => "interval".to_owned(),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "binary".to_owned(),
        DataType::Dictionary(_, value) => word(value),
        DataType::RunEndEncoded(_, value) => word(value.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => format!("list of {}", word(item.data_type())),
        DataType::Struct(_) => "struct".to_owned(),
        DataType::Map(..) => "map".to_owned(),
        DataType::Union(..) => "union".to_owned(),
        DataType::Null => "null".to_owned(),
        _ => "number".to_owned(),
    }
}

/// Returns the type in which values of a file's type are held: dictionaries unpacked, one type of text, one of
/// bytes, one width of decimals.
pub(crate) fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, value) => plain(value.data_type()),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date64 => DataType::Date32,
        other => other.clone(),
    }
}

/// Returns the narrowest type that holds the values of both exactly, as far as the types tell. An integer column
/// of more than 32 bits beside a double one is double: that each value fits is checked when it is read.
pub(crate) fn widest(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Decimal128, Float32, Float64, Null, Timestamp};
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        (a, b) if a.is_integer() && b.is_integer() => Some(widest_integer(a, b)),
        (Float32, Float64) | (Float64, Float32) => Some(Float64),
        (float, integer) | (integer, float) if float.is_floating() && integer.is_integer() => {
            Some(Float64)
        }
        (Decimal128(p1, s1), Decimal128(p2, s2)) => decimal((*p1, *s1), (*p2, *s2)),
        (Decimal128(p, s), integer) | (integer, Decimal128(p, s)) if integer.is_integer() => {
            decimal((*p, *s), (digits(integer), 0))
        }
        (Timestamp(u1, z1), Timestamp(u2, z2)) if z1.is_some() == z2.is_some() => {
            let zone = if z1 == z2 {
                z1.clone()
            } else {
                Some("UTC".into())
            };
            Some(Timestamp(finer(*u1, *u2), zone))
        }
        _ => None,
    }
}

fn widest_integer(a: &DataType, b: &DataType) -> DataType {
    let signed = |kind: &DataType| kind.is_signed_integer();
    let width = |kind: &DataType| kind.primitive_width().unwrap_or(8);
    let wide = match (signed(a), signed(b)) {
        (true, true) | (false, false) => {
            return if width(a) >= width(b) { a } else { b }.clone();
        }
        (true, false) => (width(a)).max(width(b) * 2),
        (false, true) => (width(b)).max(width(a) * 2),
    };
    match wide {
        2 => DataType::Int16,
        4 => DataType::Int32,
        8 => DataType::Int64,
        _ => DataType::Decimal128(20, 0),
    }
}

/// The most decimal digits of an integer type.
fn digits(integer: &DataType) -> u8 {
    match integer.primitive_width() {
        Some(1) => 3,
        Some(2) => 5,
        Some(4) => 10,
        _ => 20,
    }
}

fn decimal(a: (u8, i8), b: (u8, i8)) -> Option<DataType> {
    let whole = |(precision, scale): (u8, i8)| i16::from(precision) - i16::from(scale);
    let scale = a.1.max(b.1);
    let precision = u8::try_from(whole(a).max(whole(b)) + i16::from(scale)).ok()?;
    (precision <= DECIMAL128_MAX_PRECISION).then_some(DataType::Decimal128(precision, scale))
}

const fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match (a, b) {
        (Nanosecond, _) | (_, Nanosecond) => Nanosecond,
        (Microsecond, _) | (_, Microsecond) => Microsecond,
        (Millisecond, _) | (_, Millisecond) => Millisecond,
        (Second, Second) => Second,
    }
}

/// Returns a column of a table for a column of a file; every column may have nulls.
pub(crate) fn plain_field(field: &Field) -> FieldRef {
    Field::new(field.name(), plain(field.data_type()), true).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_types_meet_in_the_narrowest_that_holds_both() {
        use DataType::{
            Boolean, Date32, Decimal128, Float32, Float64, Int8, Int32, Int64, UInt8, UInt32,
            UInt64, Utf8,
        };
        for (a, b, expected) in [
            (Int32, Int64, Some(Int64)),
            (Int8, UInt8, Some(DataType::Int16)),
            (UInt32, Int8, Some(Int64)),
            (UInt64, Int8, Some(Decimal128(20, 0))),
            (Float32, Float64, Some(Float64)),
            (Float32, Int32, Some(Float64)),
            (Int64, Float64, Some(Float64)),
            (Decimal128(5, 2), Decimal128(10, 0), Some(Decimal128(12, 2))),
            (Decimal128(38, 10), Decimal128(38, 0), None),
            (Decimal128(5, 2), Int32, Some(Decimal128(12, 2))),
            (Utf8, Int32, None),
            (Date32, Utf8, None),
            (Boolean, Int32, None),
            (DataType::Null, Utf8, Some(Utf8)),
        ] {
            assert_eq!(widest(&a, &b), expected, "{a} and {b}");
            assert_eq!(widest(&b, &a), expected, "{b} and {a}");
        }
    }
}
