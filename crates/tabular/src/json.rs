//! Tables of JSON lines: an object on each line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder, TimestampNanosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, SchemaRef};
use memchr::memrchr;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::block::{Block, Blocks, Cut, Text, each_block};
use crate::build::{Reader, batch, schema};
use crate::error::{Place, Refusal, TabularError};
use crate::evidence::Guess;
use crate::options::Csv;
use crate::recognise::{Original, Packing, reading, unpack};
use crate::types::{Column, ColumnType, Columns, MAX_DEPTH};
use crate::value::Style;

/// The most keys that the objects of a column may have.
const MAX_KEYS: usize = 1 << 14;

/// What stands between quotes; borrowed where nothing is escaped in it.
struct Quoted<'a>(Cow<'a, str>);

/// An object with its keys in order, its values still as text.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A value of JSON; numbers as they are written.
enum Value<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'de> Deserialize<'de> for Quoted<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Quoted<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Quoted<'de>, E> {
                Ok(Quoted(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quoted<'de>, E> {
                Ok(Quoted(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visit)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Object<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((Quoted(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// Why a line is not read: at which character, where that is known.
struct Wrong {
    character: Option<usize>,
    because: String,
    data: Option<String>,
}

fn wrong(because: impl Into<String>) -> Wrong {
    Wrong {
        character: None,
        because: because.into(),
        data: None,
    }
}

fn no_json(error: &serde_json::Error) -> Wrong {
    Wrong {
        character: Some(error.column()),
        ..wrong("it is no JSON")
    }
}

fn value(raw: &str, depth: usize) -> Result<Value<'_>, Wrong> {
    if depth > MAX_DEPTH {
        return Err(wrong(format!(
            "lists and objects are nested deeper than {MAX_DEPTH}"
        )));
    }
    let parsed = |error: serde_json::Error| no_json(&error);
    Ok(match raw.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'"') => Value::Text(serde_json::from_str::<Quoted<'_>>(raw).map_err(parsed)?.0),
        Some(b'{') => Value::Object(object(raw, depth)?),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(parsed)?;
            let items = items.into_iter().map(|item| value(item.get(), depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        _ => Value::Number(raw),
    })
}

fn object(raw: &str, depth: usize) -> Result<Vec<(Cow<'_, str>, Value<'_>)>, Wrong> {
    let Object(entries) = serde_json::from_str(raw).map_err(|error| {
        if error.is_data() {
            wrong("it is no object: each line must be one, `{\"name\": value}`")
        } else {
            no_json(&error)
        }
    })?;
    let mut seen = std::collections::HashSet::new();
    if let Some((key, _)) = entries.iter().find(|(key, _)| !seen.insert(key.clone())) {
        return Err(wrong(format!("the key `{key}` stands twice in one object")));
    }
    let values = entries
        .into_iter()
        .map(|(key, raw)| Ok((key, value(raw.get(), depth + 1)?)));
    values.collect()
}

/// The kinds of values that have no common type.
const KINDS: [&str; 5] = ["true or false", "numbers", "text", "lists", "objects"];

/// What the values of a key can be.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The first line with each kind.
    lines: [Option<u64>; 5],
    pub(crate) nulls: u64,
    guess: Guess,
    item: Option<Box<Node>>,
    fields: Vec<(String, Node)>,
}

impl Node {
    fn new() -> Self {
        Self {
            lines: [None; 5],
            nulls: 0,
            guess: Guess::new(&Style::plain()),
            item: None,
            fields: Vec::new(),
        }
    }

    fn see(
        &mut self,
        value: &Value<'_>,
        line: u64,
        style: &Style,
        scratch: &mut String,
    ) -> Result<(), Wrong> {
        let kind = match value {
            Value::Null => {
                self.nulls += 1;
                return Ok(());
            }
            Value::Boolean(_) => 0,
            Value::Number(text) => {
                self.guess.see_number(text, style, scratch);
                1
            }
            Value::Text(text) => {
                self.guess.see_text(text, style);
                2
            }
            Value::List(items) => {
                let item = self.item.get_or_insert_with(|| Box::new(Self::new()));
                items
                    .iter()
                    .try_for_each(|value| item.see(value, line, style, scratch))?;
                3
            }
            Value::Object(entries) => {
                self.see_object(entries, line, style, scratch)?;
                4
            }
        };
        if let Some(first) = self.lines.get_mut(kind) {
            first.get_or_insert(line);
        }
        Ok(())
    }

    fn see_object(
        &mut self,
        entries: &[(Cow<'_, str>, Value<'_>)],
        line: u64,
        style: &Style,
        scratch: &mut String,
    ) -> Result<(), Wrong> {
        for (number, (key, value)) in entries.iter().enumerate() {
            // Keys mostly stand in the same order in every object.
            let here = self.fields.get(number).is_some_and(|(name, _)| name == key);
            let place = if here {
                Some(number)
            } else {
                self.fields.iter().position(|(name, _)| name == key)
            };
            let place = match place {
                Some(place) => place,
                None if self.fields.len() >= MAX_KEYS => {
                    return Err(wrong(format!(
                        "the objects have more than {MAX_KEYS} different keys"
                    )));
                }
                None => {
                    self.fields.push((key.clone().into_owned(), Self::new()));
                    self.fields.len() - 1
                }
            };
            if let Some((_, node)) = self.fields.get_mut(place) {
                node.see(value, line, style, scratch)?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (line, other) in self.lines.iter_mut().zip(other.lines) {
            *line = line.or(other);
        }
        self.nulls += other.nulls;
        self.guess.merge(&other.guess);
        match (&mut self.item, other.item) {
            (Some(item), Some(other)) => item.merge(*other),
            (item @ None, other) => *item = other,
            (Some(_), None) => {}
        }
        for (name, node) in other.fields {
            match self.fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => known.merge(node),
                None => self.fields.push((name, node)),
            }
        }
    }

    fn settle(&self, path: &str) -> Result<ColumnType, Refusal> {
        let mut kinds = self.lines.iter().zip(KINDS).enumerate();
        let mut kinds = kinds
            .by_ref()
            .filter_map(|(kind, (line, word))| line.map(|line| (kind, line, word)));
        let Some((kind, line, word)) = kinds.next() else {
            return Ok(ColumnType::Text);
        };
        if let Some((_, other, second)) = kinds.next() {
            return Err(Refusal::new(format!("the column `{path}` holds {word} (line {line}) and {second} (line {other})"))
                .hint("values of one column have one type; declare it as `text` to keep numbers as they are written, if there are neither lists nor objects in it"));
        }
        match kind {
            0 => Ok(ColumnType::Boolean),
            3 => {
                let item = self.item.as_ref().map_or(Ok(ColumnType::Text), |item| {
                    item.settle(&format!("{path}[]"))
                })?;
                Ok(ColumnType::List(Box::new(item)))
            }
            4 if self.fields.is_empty() => Err(Refusal::new(format!(
                "the column `{path}` holds empty objects only (line {line})"
            ))
            .hint("leave the key out: a table has no type for it")),
            4 => {
                let fields = self.fields.iter().map(|(name, node)| {
                    Ok((name.clone(), node.settle(&format!("{path}.{name}"))?))
                });
                Ok(ColumnType::Struct(fields.collect::<Result<_, Refusal>>()?))
            }
            _ => Ok(self.guess.settle(&Csv::default()).data_type),
        }
    }
}

/// What all lines of a file show.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) rows: u64,
    root: Node,
}

impl Seen {
    pub(crate) fn merge(&mut self, other: Self) {
        self.root.merge(other.root);
    }

    /// Settles the type of each column that is not declared.
    pub(crate) fn settle(&self, declared: &Columns) -> Result<(Columns, Vec<String>), Refusal> {
        let mut notes = Vec::new();
        let mut columns = Vec::new();
        for (name, node) in &self.root.fields {
            let column = match declared.find(name) {
                Some(column) => column.clone(),
                None => {
                    if node.lines == [None; 5] {
                        notes.push(format!(
                            "column `{name}` is null in every row: taken as text"
                        ));
                    }
                    node.settle(name)?.into()
                }
            };
            columns.push((name.clone(), column));
        }
        if columns.is_empty() {
            return Err(Refusal::new("its objects have no key"));
        }
        if let Some((name, _)) = declared
            .0
            .iter()
            .find(|(name, _)| !columns.iter().any(|(other, _)| other == name))
        {
            return Err(Refusal::new(format!(
                "the declared column `{name}` is in no line"
            )));
        }
        Ok((Columns(columns), notes))
    }
}

/// Lines are rows.
struct Lines;

impl Cut for Lines {
    fn cut(&self, text: &[u8]) -> Option<usize> {
        memrchr(b'\n', text).map(|end| end + 1)
    }

    fn line_end(&self) -> u8 {
        b'\n'
    }
}

struct Open<'a> {
    blocks: Blocks<'a, 'static>,
    ascii: bool,
    encoding: &'static str,
}

fn open(file: &mut dyn Original, packing: Packing) -> Result<Open<'_>, TabularError> {
    let from = unpack(file, packing).map_err(|error| reading(error, packing))?;
    let text = Text::new(from, packing, None)?;
    Ok(Open {
        ascii: text.is_ascii(),
        encoding: text.encoding,
        blocks: Blocks::new(text, &Lines),
    })
}

/// Hands each object of a block to `take`, with its line. Blank lines are nothing.
fn each_line<'b>(
    block: &'b Block,
    ascii: bool,
    encoding: &'static str,
    mut take: impl FnMut(Vec<(Cow<'b, str>, Value<'b>)>, u64) -> Result<(), Wrong>,
) -> Result<(), Refusal> {
    let text = block.checked(ascii, encoding, b'\n')?;
    for (line, text) in (block.line..).zip(text.split('\n')) {
        let text = text.trim_matches([' ', '\t', '\r']);
        if text.is_empty() {
            continue;
        }
        object(text, 0)
            .and_then(|entries| take(entries, line))
            .map_err(|wrong| {
                let mut refusal = Refusal::new(wrong.because);
                refusal.place = Some(Place {
                    line,
                    column: None,
                    character: wrong
                        .character
                        .and_then(|character| u64::try_from(character).ok())
                        .filter(|character| *character > 0),
                });
                refusal.data = wrong.data;
                refusal
            })?;
    }
    Ok(())
}

/// Looks at every line.
pub(crate) fn see(file: &mut dyn Original, packing: Packing) -> Result<Seen, TabularError> {
    let Open {
        mut blocks,
        ascii,
        encoding,
    } = open(file, packing)?;
    let mut seen = Seen {
        rows: 0,
        root: Node::new(),
    };
    let style = Style::plain();
    let look = |block: &Block| -> Result<Seen, Refusal> {
        let mut seen = Seen {
            rows: 0,
            root: Node::new(),
        };
        let mut scratch = String::new();
        each_line(block, ascii, encoding, |entries, line| {
            seen.rows += 1;
            seen.root.see_object(&entries, line, &style, &mut scratch)
        })?;
        Ok(seen)
    };
    each_block(&mut blocks, look, |looked| {
        for (result, _) in looked {
            let part = result?;
            seen.rows += part.rows;
            seen.root.merge(part.root);
        }
        Ok(())
    })?;
    if seen.rows == 0 {
        return Err(Refusal::new("there is no line in it").into());
    }
    Ok(seen)
}

/// A column that is being made.
enum Maker {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, u8),
    Date(Date32Builder),
    Microseconds(TimestampMicrosecondBuilder),
    Nanoseconds(TimestampNanosecondBuilder),
    Text(StringBuilder),
    List {
        item: Box<Making>,
        offsets: Vec<i32>,
        count: i32,
        valid: NullBufferBuilder,
    },
    Struct {
        fields: Vec<(String, Making)>,
        valid: NullBufferBuilder,
    },
}

struct Making {
    reader: Reader,
    maker: Maker,
    style: Style,
}

impl Making {
    fn new(column: &Column) -> Result<Self, Refusal> {
        let reader = Reader::new(column)?;
        let maker = match &column.data_type {
            ColumnType::Boolean => Maker::Boolean(BooleanBuilder::new()),
            ColumnType::Integer => Maker::Integer(Int64Builder::new()),
            ColumnType::Double => Maker::Double(Float64Builder::new()),
            ColumnType::Decimal { precision, scale } => Maker::Decimal(
                Decimal128Builder::new()
                    .with_data_type(column.data_type.arrow().unwrap_or(DataType::Null)),
                *precision,
                *scale,
            ),
            ColumnType::Date => Maker::Date(Date32Builder::new()),
            ColumnType::Timestamp {
                zone,
                nanoseconds: false,
            } => Maker::Microseconds(
                TimestampMicrosecondBuilder::new().with_timezone_opt(zone.then_some("UTC")),
            ),
            ColumnType::Timestamp {
                zone,
                nanoseconds: true,
            } => Maker::Nanoseconds(
                TimestampNanosecondBuilder::new().with_timezone_opt(zone.then_some("UTC")),
            ),
            ColumnType::Text => Maker::Text(StringBuilder::new()),
            ColumnType::List(item) => Maker::List {
                item: Box::new(Self::new(&(**item).clone().into())?),
                offsets: vec![0],
                count: 0,
                valid: NullBufferBuilder::new(0),
            },
            ColumnType::Struct(fields) => Maker::Struct {
                fields: fields
                    .iter()
                    .map(|(name, field)| Ok((name.clone(), Self::new(&field.clone().into())?)))
                    .collect::<Result<_, Refusal>>()?,
                valid: NullBufferBuilder::new(0),
            },
            ColumnType::Other(word) => {
                return Err(Refusal::new(format!("JSON is not read as `{word}`")));
            }
        };
        Ok(Self {
            reader,
            maker,
            style: Style::plain(),
        })
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a line for each kind of column and value"
    )]
    fn push(
        &mut self,
        path: &dyn fmt::Display,
        value: &Value<'_>,
        scratch: &mut String,
    ) -> Result<(), Wrong> {
        let Self {
            reader,
            maker,
            style,
        } = self;
        let unfit = |what: &str, data: &str| Wrong {
            character: None,
            because: format!("{path}: {what} where `{}` is declared", reader.data_type),
            data: Some(data.to_owned()),
        };
        let misfit = |text: &str| {
            let misfit = reader.misfit(0, text, true);
            Wrong {
                character: None,
                because: format!("{path}: {}", misfit.because),
                data: Some(text.to_owned()),
            }
        };
        match (maker, value) {
            (Maker::Boolean(builder), Value::Null) => builder.append_null(),
            (Maker::Boolean(builder), Value::Boolean(value)) => builder.append_value(*value),
            (Maker::Integer(builder), Value::Null) => builder.append_null(),
            (Maker::Integer(builder), Value::Number(text)) => {
                builder.append_value(
                    Reader::integer(text, style, scratch).ok_or_else(|| misfit(text))?,
                );
            }
            (Maker::Double(builder), Value::Null) => builder.append_null(),
            (Maker::Double(builder), Value::Number(text)) => {
                builder.append_value(
                    Reader::double(text, style, scratch).ok_or_else(|| misfit(text))?,
                );
            }
            (Maker::Decimal(builder, ..), Value::Null) => builder.append_null(),
            (Maker::Decimal(builder, precision, scale), Value::Number(text)) => {
                let number = style.number(text, scratch);
                let number = number.and_then(|number| number.decimal(*precision, *scale));
                builder.append_value(number.ok_or_else(|| misfit(text))?);
            }
            (Maker::Date(builder), Value::Null) => builder.append_null(),
            (Maker::Date(builder), Value::Text(text)) => {
                builder.append_value(reader.date(text).ok_or_else(|| misfit(text))?);
            }
            (Maker::Microseconds(builder), Value::Null) => builder.append_null(),
            (Maker::Microseconds(builder), Value::Text(text)) => {
                let moment = reader
                    .moment(text)
                    .and_then(super::moment::Moment::microseconds);
                builder.append_value(moment.ok_or_else(|| misfit(text))?);
            }
            (Maker::Nanoseconds(builder), Value::Null) => builder.append_null(),
            (Maker::Nanoseconds(builder), Value::Text(text)) => {
                let moment = reader
                    .moment(text)
                    .and_then(super::moment::Moment::nanoseconds);
                builder.append_value(moment.ok_or_else(|| misfit(text))?);
            }
            (Maker::Text(builder), Value::Null) => builder.append_null(),
            (Maker::Text(builder), Value::Text(text)) => builder.append_value(text),
            (Maker::Text(builder), Value::Number(text)) => builder.append_value(text),
            (Maker::Text(builder), Value::Boolean(value)) => {
                builder.append_value(value.to_string());
            }
            (
                Maker::List {
                    offsets,
                    count,
                    valid,
                    ..
                },
                Value::Null,
            ) => {
                valid.append_null();
                offsets.push(*count);
            }
            (
                Maker::List {
                    item,
                    offsets,
                    count,
                    valid,
                },
                Value::List(items),
            ) => {
                for value in items {
                    item.push(&format_args!("{path}[]"), value, scratch)?;
                }
                let more = i32::try_from(items.len())
                    .ok()
                    .and_then(|more| count.checked_add(more));
                *count = more.ok_or_else(|| unfit("too many items", ""))?;
                valid.append_non_null();
                offsets.push(*count);
            }
            (Maker::Struct { fields, valid }, Value::Null) => {
                valid.append_null();
                for (name, field) in fields {
                    field.push(name, &Value::Null, scratch)?;
                }
            }
            (Maker::Struct { fields, valid }, Value::Object(entries)) => {
                valid.append_non_null();
                if let Some((key, _)) = entries
                    .iter()
                    .find(|(key, _)| !fields.iter().any(|(name, _)| name == key))
                {
                    return Err(wrong(format!("{path}: the key `{key}` is not declared")));
                }
                for (name, field) in fields {
                    let value = entries
                        .iter()
                        .find(|(key, _)| key == name)
                        .map_or(&Value::Null, |(_, value)| value);
                    field.push(&format_args!("{path}.{name}"), value, scratch)?;
                }
            }
            (_, Value::Boolean(value)) => return Err(unfit("true or false", &value.to_string())),
            (_, Value::Number(text)) => return Err(unfit("a number", text)),
            (_, Value::Text(text)) => return Err(unfit("text", text)),
            (_, Value::List(_)) => return Err(unfit("a list", "")),
            (_, Value::Object(_)) => return Err(unfit("an object", "")),
        }
        Ok(())
    }

    fn finish(self) -> Result<ArrayRef, Refusal> {
        let data_type = self.reader.data_type.arrow();
        let odd = || Refusal::new("its lists or objects cannot be put together");
        Ok(match self.maker {
            Maker::Boolean(mut builder) => Arc::new(builder.finish()),
            Maker::Integer(mut builder) => Arc::new(builder.finish()),
            Maker::Double(mut builder) => Arc::new(builder.finish()),
            Maker::Decimal(mut builder, ..) => Arc::new(builder.finish()),
            Maker::Date(mut builder) => Arc::new(builder.finish()),
            Maker::Microseconds(mut builder) => Arc::new(builder.finish()),
            Maker::Nanoseconds(mut builder) => Arc::new(builder.finish()),
            Maker::Text(mut builder) => Arc::new(builder.finish()),
            Maker::List {
                item,
                offsets,
                mut valid,
                ..
            } => {
                let Some(DataType::List(field)) = data_type else {
                    return Err(odd());
                };
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(
                    ListArray::try_new(field, offsets, item.finish()?, valid.finish())
                        .map_err(|_| odd())?,
                )
            }
            Maker::Struct { fields, mut valid } => {
                let Some(DataType::Struct(types)) = data_type else {
                    return Err(odd());
                };
                let arrays = fields.into_iter().map(|(_, field)| field.finish());
                let arrays = arrays.collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new(types, arrays, valid.finish()).map_err(|_| odd())?)
            }
        })
    }
}

/// Reads every line as declared columns, and hands out batches with the size of their text.
pub(crate) fn read(
    file: &mut dyn Original,
    packing: Packing,
    columns: &Columns,
    mut take: impl FnMut(&SchemaRef, Vec<(RecordBatch, usize)>) -> Result<(), TabularError>,
) -> Result<(), TabularError> {
    let schema = schema(columns)?;
    let places: HashMap<&str, usize> = columns
        .0
        .iter()
        .enumerate()
        .map(|(place, (name, _))| (name.as_str(), place))
        .collect();
    let Open {
        mut blocks,
        ascii,
        encoding,
    } = open(file, packing)?;
    let build = |block: &Block| -> Result<RecordBatch, Refusal> {
        let makers = columns.0.iter().map(|(_, column)| Making::new(column));
        let mut makers = makers.collect::<Result<Vec<_>, _>>()?;
        let mut scratch = String::new();
        each_line(block, ascii, encoding, |entries, _| {
            let mut row: Vec<&Value<'_>> = vec![&Value::Null; makers.len()];
            for (key, value) in &entries {
                let place = places
                    .get(key.as_ref())
                    .and_then(|place| row.get_mut(*place));
                *place.ok_or_else(|| wrong(format!("the key `{key}` is not declared")))? = value;
            }
            for ((maker, value), (name, _)) in makers.iter_mut().zip(row).zip(&columns.0) {
                maker.push(&format_args!("column `{name}`"), value, &mut scratch)?;
            }
            Ok(())
        })?;
        let arrays = makers
            .into_iter()
            .map(Making::finish)
            .collect::<Result<_, _>>()?;
        batch(&schema, arrays)
    };
    each_block(&mut blocks, build, |built| {
        let batches = built
            .into_iter()
            .map(|(batch, block)| Ok((batch?, block.text.len())));
        take(&schema, batches.collect::<Result<_, Refusal>>()?)
    })
}
