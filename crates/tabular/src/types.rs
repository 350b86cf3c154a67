//! The types of columns in the words of contracts.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// How deep lists and structures may be nested.
pub(crate) const MAX_DEPTH: usize = 32;
/// The most digits that a decimal has.
pub(crate) const MAX_PRECISION: u8 = 38;

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// True or false.
    Boolean,
    /// Whole numbers of 64 bits.
    Integer,
    /// Floating-point numbers of 64 bits.
    Double,
    /// Decimal numbers: digits in all, and behind the point.
    Decimal {
        /// Digits in all, at most 38.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// Days.
    Date,
    /// Points in time.
    Timestamp {
        /// Whether they were given with a zone: then they are in UTC.
        zone: bool,
        /// Whether they are in nanoseconds rather than microseconds.
        nanoseconds: bool,
    },
    /// Text.
    Text,
    /// Lists of values of one type.
    List(Box<ColumnType>),
    /// Named values.
    Struct(Vec<(String, ColumnType)>),
    /// A type that only Parquet and Arrow files have, in its own words.
    Other(String),
}

/// A declared column: its type and, for dates and timestamps that are not ISO 8601, their pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The type.
    pub data_type: ColumnType,
    /// The pattern, in the letters of `strptime`.
    pub format: Option<String>,
}

/// The columns of a table by name, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns(pub Vec<(String, Column)>);

impl From<ColumnType> for Column {
    fn from(data_type: ColumnType) -> Self {
        Self {
            data_type,
            format: None,
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => out.write_str("boolean"),
            Self::Integer => out.write_str("integer"),
            Self::Double => out.write_str("double"),
            Self::Decimal { precision, scale } => write!(out, "decimal({precision},{scale})"),
            Self::Date => out.write_str("date"),
            Self::Timestamp { zone, nanoseconds } => {
                out.write_str("timestamp")?;
                if *nanoseconds {
                    out.write_str("(9)")?;
                }
                if *zone {
                    out.write_str(" with time zone")?;
                }
                Ok(())
            }
            Self::Text => out.write_str("text"),
            Self::List(item) => write!(out, "list({item})"),
            Self::Struct(fields) => {
                out.write_str("struct(")?;
                for (number, (name, field)) in fields.iter().enumerate() {
                    if number > 0 {
                        out.write_str(", ")?;
                    }
                    write!(out, "{} {field}", quoted(name))?;
                }
                out.write_str(")")
            }
            Self::Other(word) => out.write_str(word),
        }
    }
}

/// Returns a name as YAML and the words of types write it: bare where that is safe.
pub(crate) fn quoted(name: &str) -> Cow<'_, str> {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off"];
    let mut bytes = name.bytes();
    let bare = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !WORDS.contains(&name.to_ascii_lowercase().as_str());
    if bare {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(serde_json::Value::from(name).to_string())
    }
}

impl fmt::Display for Columns {
    /// Writes the columns as they are pasted into a file: `{name: type, …}`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("{")?;
        for (number, (name, column)) in self.0.iter().enumerate() {
            if number > 0 {
                out.write_str(", ")?;
            }
            let word = column.data_type.to_string();
            let word = if word.contains([',', '"', '{', '[', ':', '#']) {
                serde_json::Value::from(word).to_string()
            } else {
                word
            };
            match &column.format {
                None => write!(out, "{}: {word}", quoted(name))?,
                Some(format) => write!(
                    out,
                    "{}: {{type: {word}, format: {}}}",
                    quoted(name),
                    serde_json::Value::from(format.as_str())
                )?,
            }
        }
        out.write_str("}")
    }
}

impl ColumnType {
    /// Returns the type as Arrow has it; `None` for a type that cannot be declared.
    pub(crate) fn arrow(&self) -> Option<DataType> {
        Some(match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => {
                DataType::Decimal128(*precision, i8::try_from(*scale).ok()?)
            }
            Self::Date => DataType::Date32,
            Self::Timestamp { zone, nanoseconds } => DataType::Timestamp(
                if *nanoseconds {
                    TimeUnit::Nanosecond
                } else {
                    TimeUnit::Microsecond
                },
                zone.then(|| Arc::from("UTC")),
            ),
            Self::Text => DataType::Utf8,
            Self::List(item) => DataType::List(Arc::new(Field::new("item", item.arrow()?, true))),
            Self::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, field)| Some(Field::new(name, field.arrow()?, true)))
                    .collect::<Option<Fields>>()?;
                DataType::Struct(fields)
            }
            Self::Other(_) => return None,
        })
    }

    /// Returns what Arrow's type is called here.
    pub(crate) fn of(data_type: &DataType) -> Self {
        match data_type {
            kind if kind.is_integer() => Self::Integer,
            kind if kind.is_floating() => Self::Double,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Boolean => Self::Boolean,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(unit, zone) => Self::Timestamp {
                zone: zone.is_some(),
                nanoseconds: *unit == TimeUnit::Nanosecond,
            },
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => match u8::try_from(*scale) {
                Ok(scale) if *precision <= MAX_PRECISION => Self::Decimal {
                    precision: *precision,
                    scale,
                },
                _ => Self::Other("decimal".to_owned()),
            },
            DataType::Dictionary(_, value) => Self::of(value),
            DataType::RunEndEncoded(_, value) => Self::of(value.data_type()),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item) => Self::List(Box::new(Self::of(item.data_type()))),
            DataType::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|field| (field.name().clone(), Self::of(field.data_type())))
                    .collect(),
            ),
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Other("binary".to_owned()),
            DataType::Time32(_) | DataType::Time64(_) => Self::Other("time".to_owned()),
            DataType::Interval(_) | DataType::Duration(_) => Self::Other("duration".to_owned()),
            DataType::Map(..) => Self::Other("map".to_owned()),
            _ => Self::Other("null".to_owned()),
        }
    }
}

/// Why a word is no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no type: there are boolean, integer, double, decimal(DIGITS,BEHIND THE POINT), date, timestamp, timestamp with time zone, text, list(TYPE) and struct(NAME TYPE, …)"
)]
pub struct TypeError(String);

impl FromStr for ColumnType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let mut words = Words { rest: text };
        match words.data_type(0) {
            Some(found) if words.rest.trim().is_empty() => Ok(found),
            _ => Err(TypeError(text.to_owned())),
        }
    }
}

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn take(&mut self, sign: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(sign)?;
        Some(())
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest.trim_start();
        let end = rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Takes a phrase if it stands here.
    fn phrase(&mut self, phrase: &[&str]) -> bool {
        let before = self.rest;
        let found = phrase
            .iter()
            .all(|expected| self.word().eq_ignore_ascii_case(expected));
        if !found {
            self.rest = before;
        }
        found
    }

    fn number(&mut self) -> Option<u8> {
        self.word().parse().ok()
    }

    fn name(&mut self) -> Option<String> {
        let rest = self.rest.trim_start();
        if !rest.starts_with('"') {
            let word = self.word();
            return (!word.is_empty()).then(|| word.to_owned());
        }
        let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let name = names.next()?.ok()?;
        self.rest = rest.get(names.byte_offset()..)?;
        Some(name)
    }

    fn data_type(&mut self, depth: usize) -> Option<ColumnType> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(match self.word().to_ascii_lowercase().as_str() {
            "boolean" => ColumnType::Boolean,
            "integer" => ColumnType::Integer,
            "double" => ColumnType::Double,
            "date" => ColumnType::Date,
            "text" => ColumnType::Text,
            "decimal" => {
                self.take('(')?;
                let precision = self.number()?;
                self.take(',')?;
                let scale = self.number()?;
                self.take(')')?;
                if precision == 0 || precision > MAX_PRECISION || scale > precision {
                    return None;
                }
                ColumnType::Decimal { precision, scale }
            }
            "timestamp" => {
                let nanoseconds = if self.rest.trim_start().starts_with('(') {
                    self.take('(')?;
                    let digits = self.number()?;
                    self.take(')')?;
                    match digits {
                        6 => false,
                        9 => true,
                        _ => return None,
                    }
                } else {
                    false
                };
                ColumnType::Timestamp {
                    zone: self.phrase(&["with", "time", "zone"]),
                    nanoseconds,
                }
            }
            "list" => {
                self.take('(')?;
                let item = self.data_type(depth + 1)?;
                self.take(')')?;
                ColumnType::List(Box::new(item))
            }
            "struct" => {
                self.take('(')?;
                let mut fields: Vec<(String, ColumnType)> = Vec::new();
                loop {
                    let name = self.name()?;
                    if fields.iter().any(|(other, _)| *other == name) {
                        return None;
                    }
                    fields.push((name, self.data_type(depth + 1)?));
                    if self.take(',').is_none() {
                        break;
                    }
                }
                self.take(')')?;
                ColumnType::Struct(fields)
            }
            _ => return None,
        })
    }
}

impl Serialize for Column {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.format {
            None => serializer.collect_str(&self.data_type),
            Some(format) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", &self.data_type.to_string())?;
                map.serialize_entry("format", format)?;
                map.end()
            }
        }
    }
}

struct ColumnVisitor;

impl<'de> Visitor<'de> for ColumnVisitor {
    type Value = Column;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a type, or `{type: …, format: …}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Column, E> {
        let data_type: ColumnType = text.parse().map_err(E::custom)?;
        Ok(data_type.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Column, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parts {
            r#type: String,
            #[serde(default)]
            format: Option<String>,
        }
        let parts = Parts::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let data_type: ColumnType = parts.r#type.parse().map_err(de::Error::custom)?;
        if let Some(format) = &parts.format {
            if !matches!(data_type, ColumnType::Date | ColumnType::Timestamp { .. }) {
                return Err(de::Error::custom(
                    "only dates and timestamps have a `format`",
                ));
            }
            crate::moment::Pattern::new(format).map_err(de::Error::custom)?;
        }
        Ok(Column {
            data_type,
            format: parts.format,
        })
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ColumnVisitor)
    }
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, column)| (name, column)))
    }
}

struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the types of columns by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
        let mut columns: Vec<(String, Column)> = Vec::new();
        while let Some((name, column)) = map.next_entry::<String, Column>()? {
            if columns.iter().any(|(other, _)| *other == name) {
                return Err(de::Error::custom(format!(
                    "the column `{name}` stands twice"
                )));
            }
            columns.push((name, column));
        }
        Ok(Columns(columns))
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ColumnsVisitor)
    }
}

impl JsonSchema for Columns {
    fn schema_name() -> Cow<'static, str> {
        "Columns".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "The types of columns by name: boolean, integer, double, decimal(10,2), date, timestamp, timestamp with time zone, text, list(TYPE), struct(NAME TYPE, …).",
            "additionalProperties": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": {"type": {"type": "string"}, "format": {"type": "string"}},
                        "required": ["type"],
                        "additionalProperties": false
                    }
                ]
            }
        })
    }
}

impl Columns {
    /// Returns whether no column is declared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Column> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, column)| column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_as_it_is_written() {
        for word in [
            "boolean",
            "integer",
            "double",
            "decimal(38,0)",
            "date",
            "timestamp",
            "timestamp(9)",
            "timestamp with time zone",
            "timestamp(9) with time zone",
            "text",
            "list(list(decimal(10,2)))",
            "struct(a integer, \"b c\\\"\" list(timestamp with time zone), c struct(d text))",
        ] {
            let parsed: ColumnType = word.parse().unwrap();
            assert_eq!(parsed.to_string(), word);
        }
        for word in [
            "",
            "int",
            "decimal",
            "decimal(39,0)",
            "decimal(3,4)",
            "decimal(0,0)",
            "text text",
            "list()",
            "list(text",
            "struct()",
            "struct(a text, a text)",
            "timestamp with zone",
            "timestamp(3)",
        ] {
            assert!(word.parse::<ColumnType>().is_err(), "{word}");
        }
    }

    #[test]
    fn columns_are_pasted_as_they_are_shown() {
        let text = "{id: integer, \"a b\": text, \"no\": \"decimal(10,2)\", born: {type: date, format: \"%d.%m.%Y\"}, s: \"struct(a integer, b text)\"}";
        let columns: Columns = serde_saphyr::from_str(text).unwrap();
        assert_eq!(columns.to_string(), text);
        let json = serde_json::to_string(&columns).unwrap();
        assert_eq!(serde_json::from_str::<Columns>(&json).unwrap(), columns);
        for wrong in [
            "{a: int}",
            "{a: text, a: text}",
            "{a: {type: text, format: \"%Y\"}}",
            "{a: {type: date, format: \"%Q\"}}",
        ] {
            assert!(serde_saphyr::from_str::<Columns>(wrong).is_err(), "{wrong}");
        }
    }
}
