//! Columns from text.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder, TimestampNanosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::error::Refusal;
use crate::moment::{self, Moment, Pattern};
use crate::types::{Column, ColumnType, Columns};
use crate::value::Style;

/// Why a value does not fit.
#[derive(Debug, Clone)]
pub(crate) struct Misfit {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) because: String,
    pub(crate) hint: Option<&'static str>,
    pub(crate) data: String,
}

/// A column, ready to be read.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) data_type: ColumnType,
    pattern: Option<Pattern>,
    zone: bool,
}

impl Reader {
    pub(crate) fn new(column: &Column) -> Result<Self, Refusal> {
        let pattern = column.format.as_deref().map(Pattern::new).transpose();
        let pattern = pattern.map_err(Refusal::new)?;
        if let (Some(pattern), ColumnType::Timestamp { zone, .. }) = (&pattern, &column.data_type)
            && pattern.has_zone != *zone
        {
            return Err(Refusal::new(format!(
                "the pattern `{}` and the type `{}` disagree about the zone",
                pattern.text, column.data_type
            )));
        }
        Ok(Self {
            zone: matches!(column.data_type, ColumnType::Timestamp { zone: true, .. }),
            data_type: column.data_type.clone(),
            pattern,
        })
    }

    pub(crate) fn integer(text: &str, style: &Style, scratch: &mut String) -> Option<i64> {
        style.number(text, scratch)?.integer()
    }

    pub(crate) fn double(text: &str, style: &Style, scratch: &mut String) -> Option<f64> {
        match style.number(text, scratch) {
            Some(number) => number.double().map(|double| double.value),
            None => style.special(text),
        }
    }

    pub(crate) fn date(&self, text: &str) -> Option<i32> {
        match &self.pattern {
            Some(pattern) => pattern.date(text),
            None => moment::date(text.as_bytes()),
        }
    }

    pub(crate) fn moment(&self, text: &str) -> Option<Moment> {
        let found = match &self.pattern {
            Some(pattern) => pattern.timestamp(text),
            None => moment::timestamp(text.as_bytes()),
        };
        found.filter(|moment| moment.zone == self.zone)
    }

    /// Builds an array of the fields.
    pub(crate) fn array<'a>(
        &self,
        values: impl Iterator<Item = (&'a str, bool)>,
        count: usize,
        style: &Style,
    ) -> Result<ArrayRef, Misfit> {
        let mut scratch = String::new();
        /// Appends null, or the value where there is one.
        macro_rules! filled {
            ($builder:expr, $read:expr) => {{
                let mut builder = $builder;
                let read = $read;
                for (row, (text, quoted)) in values.enumerate() {
                    if style.is_null(text, quoted) {
                        builder.append_null();
                        continue;
                    }
                    match read(text, &mut scratch) {
                        Some(value) => builder.append_value(value),
                        None => return Err(self.misfit(row, text, quoted)),
                    }
                }
                Ok(Arc::new(builder.finish()))
            }};
        }
        let no_type = || Misfit {
            row: 0,
            column: 0,
            because: format!("text is not read as `{}`", self.data_type),
            hint: None,
            data: String::new(),
        };
        match &self.data_type {
            ColumnType::Text => {
                let mut builder = StringBuilder::with_capacity(count, count * 8);
                for (text, quoted) in values {
                    if style.is_null(text, quoted) {
                        builder.append_null();
                    } else {
                        builder.append_value(text);
                    }
                }
                Ok(Arc::new(builder.finish()))
            }
            ColumnType::Integer => filled!(
                Int64Builder::with_capacity(count),
                |text: &str, scratch: &mut String| { Self::integer(text, style, scratch) }
            ),
            ColumnType::Double => filled!(
                Float64Builder::with_capacity(count),
                |text: &str, scratch: &mut String| { Self::double(text, style, scratch) }
            ),
            ColumnType::Boolean => filled!(
                BooleanBuilder::with_capacity(count),
                |text: &str, _: &mut String| style.boolean(text)
            ),
            ColumnType::Decimal { precision, scale } => {
                let builder = Decimal128Builder::with_capacity(count)
                    .with_data_type(self.data_type.arrow().unwrap_or(DataType::Null));
                filled!(builder, |text: &str, scratch: &mut String| {
                    style.number(text, scratch)?.decimal(*precision, *scale)
                })
            }
            ColumnType::Date => filled!(
                Date32Builder::with_capacity(count),
                |text: &str, _: &mut String| self.date(text)
            ),
            ColumnType::Timestamp {
                nanoseconds: true,
                zone,
            } => {
                let builder = TimestampNanosecondBuilder::with_capacity(count)
                    .with_timezone_opt(zone.then_some("UTC"));
                filled!(builder, |text: &str, _: &mut String| self
                    .moment(text)?
                    .nanoseconds())
            }
            ColumnType::Timestamp {
                nanoseconds: false,
                zone,
            } => {
                let builder = TimestampMicrosecondBuilder::with_capacity(count)
                    .with_timezone_opt(zone.then_some("UTC"));
                filled!(builder, |text: &str, _: &mut String| self
                    .moment(text)?
                    .microseconds())
            }
            ColumnType::List(_) | ColumnType::Struct(_) | ColumnType::Other(_) => Err(no_type()),
        }
    }

    /// Says why a value does not fit.
    pub(crate) fn misfit(&self, row: usize, text: &str, quoted: bool) -> Misfit {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let kind = &self.data_type;
        let (because, hint) = if text.is_empty() && quoted {
            (
                "the quoted empty field is the empty text, not null".to_owned(),
                Some("declare `csv: {quoted_nulls: true}` if it is null"),
            )
        } else if text.is_empty() {
            (
                "the empty field is not declared to be null".to_owned(),
                Some("declare `csv: {nulls: [\"\", …]}` with every spelling of null"),
            )
        } else if text.trim().len() < text.len() {
            (
                format!("blanks stand around a value that should be `{kind}`"),
                Some("declare `csv: {trim: true}`"),
            )
        } else if matches!(
            kind,
            ColumnType::Integer | ColumnType::Decimal { .. } | ColumnType::Double
        ) && whole
            && digits.starts_with('0')
            && digits.len() > 1
        {
            (
                format!("a number with zeros in front is no `{kind}`: it would lose them"),
                Some("declare the column as `text`"),
            )
        } else if matches!(kind, ColumnType::Integer) && whole && digits != "0" {
            (
                "a whole number beyond 64 bits is no `integer`".to_owned(),
                Some("declare the column as `decimal(38,0)` or `text`"),
            )
        } else if matches!(kind, ColumnType::Decimal { .. })
            && crate::number::Number::scan(text).is_some()
        {
            (format!("a number with more digits than `{kind}` has"), None)
        } else {
            (format!("a value that is no `{kind}`"), None)
        };
        Misfit {
            row,
            column: 0,
            because,
            hint,
            data: text.to_owned(),
        }
    }
}

/// Returns the columns as Arrow has them.
pub(crate) fn schema(columns: &Columns) -> Result<SchemaRef, Refusal> {
    let fields = columns.0.iter().map(|(name, column)| {
        let data_type = column.data_type.arrow();
        let data_type = data_type.ok_or_else(|| {
            Refusal::new(format!(
                "the column `{name}` cannot be read as `{}`",
                column.data_type
            ))
        })?;
        Ok(Field::new(name, data_type, true))
    });
    Ok(Arc::new(Schema::new(
        fields.collect::<Result<Vec<_>, Refusal>>()?,
    )))
}

/// Puts columns of one length together.
pub(crate) fn batch(schema: &SchemaRef, arrays: Vec<ArrayRef>) -> Result<RecordBatch, Refusal> {
    RecordBatch::try_new(schema.clone(), arrays)
        .map_err(|_| Refusal::new("its columns do not have one length"))
}
