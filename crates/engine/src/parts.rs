//! The files of a table: every one is read, or the table is refused and the file named.
//!
//! INVARIANT: what a file claims about its values (minimum, maximum, nulls, indexes, filters) is not even parsed. Its
//! structure is believed as far as decoding confirms it: a row group with another number of rows than it claims is an
//! error. Doubles have one zero and one NaN: -0.0 is read as 0.0.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use custody_types::{FilePath, VersionFiles};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType, UInt64Type,
};
use datafusion::common::ScalarValue;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::basic::Type as PhysicalType;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{
    PageIndexPolicy, ParquetStatisticsPolicy, RowGroupMetaData,
};
use datafusion::parquet::file::reader::{ChunkReader, Length};

use crate::error::EngineError;
use crate::exact::normal;
use crate::schema::{plain_field, widest, word};
use crate::table::Table;

/// The rows of a batch.
pub(crate) const BATCH_ROWS: usize = 8192;
/// The marker that Spark and Hadoop leave beside their files. It is passed over where it is empty.
const MARKER: &str = "_SUCCESS";
/// The value of a partition whose column is null, as Hive writes it.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";
/// Ranges of a file that are nearer than this are read at once, in bytes.
const GAP: u64 = 64 << 10;

/// A table whose files were opened and brought together.
#[derive(Debug)]
pub(crate) struct Parts {
    name: String,
    files: Arc<dyn VersionFiles>,
    pub(crate) schema: SchemaRef,
    pub(crate) parts: Vec<Part>,
    pub(crate) units: Vec<Unit>,
}

/// One file of a table.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) path: FilePath,
    pub(crate) rows: u64,
    metadata: ArrowReaderMetadata,
    /// Where each column of the table comes from.
    sources: Vec<Source>,
    /// The columns of the file that hold timestamps of 96 bits.
    old_timestamps: BTreeSet<usize>,
}

/// Where the values of a column come from.
#[derive(Debug, Clone)]
enum Source {
    /// A column of the file, by its place.
    File(usize),
    /// The name of a folder, the same for all rows of the file.
    Folder(ScalarValue),
}

/// What is read at once: a row group of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) part: usize,
    group: usize,
    pub(crate) rows: u64,
    /// The rows of the file before it.
    pub(crate) before: u64,
}

impl Parts {
    /// Opens the files of a table.
    ///
    /// # Errors
    /// [`EngineError::Table`] when there is none, one is no Parquet file, or they do not fit together.
    pub(crate) fn open(table: &Table) -> Result<Self, EngineError> {
        let refuse = |because: String| EngineError::Table {
            name: table.name.clone(),
            because,
        };
        let mut opened = Vec::new();
        for file in table.files.files() {
            let size = file.size.bytes();
            if file.path.file_name() == MARKER && size == 0 {
                continue;
            }
            let open = open(table.files.as_ref(), &file.path, size)
                .map_err(|because| refuse(format!("the file `{}` {because}", file.path)))?;
            opened.push((file.path.clone(), open));
        }
        if opened.is_empty() {
            return Err(refuse("it has no Parquet file".to_owned()));
        }
        let folders = Folders::of(opened.iter().map(|(path, _)| path)).map_err(refuse)?;
        let fields = unify(&opened, &folders).map_err(refuse)?;
        let schema = Arc::new(Schema::new(fields));
        let (mut parts, mut units) = (Vec::new(), Vec::new());
        for (number, (path, metadata)) in opened.into_iter().enumerate() {
            let part = Part::new(path, metadata, &schema, &folders, number);
            let mut before = 0;
            for (group, claimed) in part.metadata.metadata().row_groups().iter().enumerate() {
                let rows = u64::try_from(claimed.num_rows()).unwrap_or_default();
                units.push(Unit {
                    part: number,
                    group,
                    rows,
                    before,
                });
                before += rows;
            }
            parts.push(Part {
                rows: before,
                ..part
            });
        }
        Ok(Self {
            name: table.name.clone(),
            files: table.files.clone(),
            schema,
            parts,
            units,
        })
    }

    /// Returns the rows that the files claim.
    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Reads some columns of a unit, by their places, in batches of [`BATCH_ROWS`] rows; without columns the
    /// batches have rows alone.
    pub(crate) fn read(&self, unit: Unit, columns: &[usize]) -> Batches {
        match self.start(unit, columns) {
            Ok(reading) => Batches(Some(reading)),
            Err(error) => Batches(Some(Reading::Failed(error))),
        }
    }

    fn start(&self, unit: Unit, columns: &[usize]) -> Result<Reading, EngineError> {
        let Some(part) = self.parts.get(unit.part) else {
            return Err(EngineError::Failed("a part of a table is not there"));
        };
        let schema = self
            .schema
            .project(columns)
            .map_err(|_| EngineError::Failed("a column of a table is not there"))?;
        let mut wanted: BTreeSet<usize> = columns
            .iter()
            .filter_map(|column| match part.sources.get(*column) {
                Some(Source::File(place)) => Some(*place),
                _ => None,
            })
            .collect();
        if wanted.is_empty() {
            // The number of rows is what some column has, not what the file says.
            wanted.extend(part.cheapest(unit.group));
        }
        let refuse = |because: String| EngineError::Table {
            name: self.name.clone(),
            because: format!("the file `{}` {because}", part.path),
        };
        let group = part
            .metadata
            .metadata()
            .row_groups()
            .get(unit.group)
            .ok_or(EngineError::Failed("a part of a table is not there"))?;
        let bytes = fetch(self.files.as_ref(), part, group, &wanted).map_err(refuse)?;
        let reader = decoder(&bytes, unit.group, &wanted, part.metadata.clone());
        let reader = reader.map_err(|error| refuse(undecodable(&error)))?;
        let old: BTreeSet<_> = part.old_timestamps.intersection(&wanted).copied().collect();
        let exact = if old.is_empty() {
            None
        } else {
            let metadata = part
                .nanoseconds()
                .map_err(|error| refuse(undecodable(&error)))?;
            let reader = decoder(&bytes, unit.group, &old, metadata);
            Some(reader.map_err(|error| refuse(undecodable(&error)))?)
        };
        let sources = columns.iter().map(|column| {
            let source = part.sources.get(*column).cloned();
            source.ok_or(EngineError::Failed("a column of a table is not there"))
        });
        Ok(Reading::Open(Box::new(Open {
            table: self.name.clone(),
            path: part.path.clone(),
            schema: Arc::new(schema),
            sources: sources.collect::<Result<_, _>>()?,
            places: wanted.into_iter().collect(),
            old: old.into_iter().collect(),
            reader,
            exact,
            left: unit.rows,
        })))
    }
}

impl Part {
    fn new(
        path: FilePath,
        (metadata, old_timestamps): (ArrowReaderMetadata, BTreeSet<usize>),
        schema: &Schema,
        folders: &Folders,
        number: usize,
    ) -> Self {
        let own = metadata.schema();
        let source = |field: &Arc<Field>| match own.index_of(field.name()) {
            Ok(place) => Source::File(place),
            Err(_) => Source::Folder(folders.value(field.name(), number)),
        };
        Self {
            path,
            rows: 0,
            sources: schema.fields().iter().map(source).collect(),
            old_timestamps,
            metadata,
        }
    }

    /// Returns the column of the file that takes the fewest bytes in a row group.
    fn cheapest(&self, group: usize) -> Option<usize> {
        let descriptor = self.metadata.parquet_schema();
        let group = self.metadata.metadata().row_groups().get(group)?;
        let sizes = group.columns().iter().enumerate();
        sizes
            .min_by_key(|(_, column)| column.compressed_size())
            .map(|(leaf, _)| descriptor.get_column_root_idx(leaf))
    }

    /// Returns how the file is read where its old timestamps are taken for nanoseconds, as they are written.
    fn nanoseconds(&self) -> Result<ArrowReaderMetadata, ParquetError> {
        read_as(&self.metadata, &self.old_timestamps, TimeUnit::Nanosecond)
    }
}

fn decoder(
    bytes: &Ranges,
    group: usize,
    columns: &BTreeSet<usize>,
    metadata: ArrowReaderMetadata,
) -> Result<ParquetRecordBatchReader, ParquetError> {
    let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
    ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata)
        .with_row_groups(vec![group])
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
}

fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new()
        .with_page_index_policy(PageIndexPolicy::Skip)
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
}

/// Tells that bytes are no Parquet, without a value of them.
fn undecodable(error: &ParquetError) -> String {
    match error {
        ParquetError::External(error) => match error.downcast_ref::<Unreadable>() {
            Some(Unreadable(because)) => because.clone(),
            None => "could not be decoded as Parquet".to_owned(),
        },
        ParquetError::NYI(_) => "uses a feature of Parquet that is not supported".to_owned(),
        _ => "could not be decoded as Parquet".to_owned(),
    }
}

/// Opens a file; also lists its columns of old timestamps.
fn open(
    files: &dyn VersionFiles,
    path: &FilePath,
    size: u64,
) -> Result<(ArrowReaderMetadata, BTreeSet<usize>), String> {
    if size == 0 {
        return Err("is empty: it is no Parquet file".to_owned());
    }
    let tail = Tail { files, path, size };
    let magic = |start| {
        tail.get_bytes(start, 4)
            .map_err(|error| undecodable(&error))
    };
    if size < 12 || *magic(0)? != *b"PAR1" || *magic(size - 4)? != *b"PAR1" {
        return Err("is no Parquet file".to_owned());
    }
    let metadata =
        ArrowReaderMetadata::load(&tail, options()).map_err(|error| undecodable(&error))?;
    let mut names = BTreeSet::new();
    for field in metadata.schema().fields() {
        if !names.insert(field.name()) {
            return Err(format!("has two columns `{}`", field.name()));
        }
    }
    for group in metadata.metadata().row_groups() {
        if group
            .columns()
            .iter()
            .any(|column| column.file_path().is_some())
        {
            return Err("keeps its columns in other files".to_owned());
        }
        if group.num_rows() < 0 {
            return Err("claims a negative number of rows".to_owned());
        }
    }
    old_timestamps(metadata)
}

/// Reads timestamps of 96 bits as microseconds: nanoseconds overflow before 1677 and after 2262.
fn old_timestamps(
    metadata: ArrowReaderMetadata,
) -> Result<(ArrowReaderMetadata, BTreeSet<usize>), String> {
    let descriptor = metadata.parquet_schema();
    let leaves = descriptor.columns().iter().enumerate();
    let mut found = BTreeSet::new();
    for (leaf, column) in leaves {
        if column.physical_type() == PhysicalType::INT96 {
            let place = descriptor.get_column_root_idx(leaf);
            match metadata
                .schema()
                .fields()
                .get(place)
                .map(|field| field.data_type())
            {
                Some(DataType::Timestamp(..)) => found.insert(place),
                _ => {
                    return Err(format!(
                        "has timestamps of 96 bits inside of the column `{}`, which are not supported",
                        column.path().parts().first().map_or("", String::as_str)
                    ));
                }
            };
        }
    }
    if found.is_empty() {
        return Ok((metadata, found));
    }
    let metadata = read_as(&metadata, &found, TimeUnit::Microsecond);
    Ok((metadata.map_err(|error| undecodable(&error))?, found))
}

/// Has columns of old timestamps read in a unit, whatever the file says of their type.
fn read_as(
    metadata: &ArrowReaderMetadata,
    columns: &BTreeSet<usize>,
    unit: TimeUnit,
) -> Result<ArrowReaderMetadata, ParquetError> {
    let schema = metadata.schema();
    let fields = schema.fields().iter().enumerate().map(|(place, field)| {
        if columns.contains(&place) {
            let kind = DataType::Timestamp(unit, None);
            Arc::new(field.as_ref().clone().with_data_type(kind))
        } else {
            field.clone()
        }
    });
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    ArrowReaderMetadata::try_new(
        metadata.metadata().clone(),
        options().with_schema(Arc::new(schema)),
    )
}

type Opened = (FilePath, (ArrowReaderMetadata, BTreeSet<usize>));

/// Brings the columns of all files together: the same names, each of a type that holds the values of all.
fn unify(opened: &[Opened], folders: &Folders) -> Result<Vec<Arc<Field>>, String> {
    let mut files = opened.iter();
    let Some((first_path, (first, _))) = files.next() else {
        return Ok(Vec::new());
    };
    let mut fields: Vec<Arc<Field>> = first
        .schema()
        .fields()
        .iter()
        .map(|field| plain_field(field))
        .collect();
    for (path, (metadata, _)) in files {
        let own = metadata.schema();
        if let Some(more) = own
            .fields()
            .iter()
            .find(|field| !fields.iter().any(|known| known.name() == field.name()))
        {
            return Err(format!(
                "the file `{path}` has a column `{}`, which `{first_path}` does not have",
                more.name()
            ));
        }
        for field in &mut fields {
            let name = field.name().clone();
            let Ok(other) = own.field_with_name(&name) else {
                return Err(format!(
                    "the file `{path}` has no column `{name}`, which `{first_path}` has"
                ));
            };
            let other = plain_field(other);
            let Some(kind) = widest(field.data_type(), other.data_type()) else {
                return Err(format!(
                    "the column `{name}` is {} in `{first_path}` and {} in `{path}`",
                    word(field.data_type()),
                    word(other.data_type())
                ));
            };
            *field = Arc::new(Field::new(&name, kind, true));
        }
    }
    for (name, kind) in &folders.columns {
        if fields.iter().any(|field| field.name() == name) {
            return Err(format!(
                "the column `{name}` stands in the files and in the names of their folders"
            ));
        }
        fields.push(Arc::new(Field::new(name, kind.clone(), true)));
    }
    Ok(fields)
}

/// The columns that the names of folders give: `year=2024/month=03/part.parquet`.
struct Folders {
    columns: Vec<(String, DataType)>,
    values: Vec<BTreeMap<String, Option<String>>>,
}

impl Folders {
    fn of<'a>(paths: impl Iterator<Item = &'a FilePath>) -> Result<Self, String> {
        let mut names: Option<Vec<String>> = None;
        let mut values = Vec::new();
        for path in paths {
            let mut own = Vec::new();
            let mut by_name = BTreeMap::new();
            let folders = path
                .as_str()
                .rsplit_once('/')
                .map_or("", |(folders, _)| folders);
            for (name, value) in folders.split('/').filter_map(|part| part.split_once('=')) {
                let name = unescaped(name);
                let value = unescaped(value);
                own.push(name.clone());
                if by_name
                    .insert(name.clone(), (value != HIVE_NULL).then_some(value))
                    .is_some()
                {
                    return Err(format!(
                        "the folders of `{path}` give the column `{name}` twice"
                    ));
                }
            }
            match &names {
                Some(known) if *known != own => {
                    return Err(format!(
                        "the folders of `{path}` give {}, those of other files {}",
                        columns_of(&own),
                        columns_of(known)
                    ));
                }
                Some(_) => {}
                None => names = Some(own),
            }
            values.push(by_name);
        }
        let columns = names.unwrap_or_default().into_iter().map(|name| {
            let known: Vec<_> = values
                .iter()
                .filter_map(|values| values.get(&name)?.as_deref())
                .collect();
            let kind = folder_type(&known);
            (name, kind)
        });
        Ok(Self {
            columns: columns.collect(),
            values,
        })
    }

    fn value(&self, column: &str, file: usize) -> ScalarValue {
        let kind = self
            .columns
            .iter()
            .find(|(name, _)| name == column)
            .map_or(DataType::Null, |(_, kind)| kind.clone());
        let text = self
            .values
            .get(file)
            .and_then(|values| values.get(column).cloned())
            .flatten();
        match text {
            Some(text) => {
                ScalarValue::try_from_string(text, &kind).unwrap_or(ScalarValue::Utf8(None))
            }
            None => ScalarValue::try_from(&kind).unwrap_or(ScalarValue::Null),
        }
    }
}

fn columns_of(names: &[String]) -> String {
    match names {
        [] => "no column".to_owned(),
        [name] => format!("the column `{name}`"),
        _ => format!("the columns `{}`", names.join("`, `")),
    }
}

/// Integers where all values are such as they are written; dates likewise; else texts.
fn folder_type(values: &[&str]) -> DataType {
    let integer = |value: &&str| {
        value
            .parse::<i64>()
            .is_ok_and(|number| number.to_string() == **value)
    };
    let date = |value: &&str| {
        value.len() == 10
            && value
                .parse::<chrono::NaiveDate>()
                .is_ok_and(|date| date.to_string() == **value)
    };
    if values.is_empty() {
        DataType::Utf8
    } else if values.iter().all(integer) {
        DataType::Int64
    } else if values.iter().all(date) {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

/// Undoes `%3A`, by which Hive writes what a folder's name may not have.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| after.split_at_checked(2))
            .flatten()
            .and_then(|(hex, after)| {
                let byte = u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?;
                Some((byte, after))
            });
        let (byte, after) = escaped.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Why the bytes behind a reader could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreadable(String);

fn unreadable(error: &custody_types::ReadError) -> ParquetError {
    let because = match error {
        custody_types::ReadError::OutOfRange { .. } => {
            "says of itself what lies outside of it".to_owned()
        }
        _ => "could not be read; see `custody verify`".to_owned(),
    };
    ParquetError::External(Box::new(Unreadable(because)))
}

/// A file whose end is read: where its structure is told.
struct Tail<'a> {
    files: &'a dyn VersionFiles,
    path: &'a FilePath,
    size: u64,
}

impl Length for Tail<'_> {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Tail<'_> {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let bytes = self.files.read(self.path, start..self.size);
        bytes.map(Buf::reader).map_err(|error| unreadable(&error))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length as u64);
        self.files
            .read(self.path, start..end)
            .map_err(|error| unreadable(&error))
    }
}

/// The bytes of some columns of a row group, by where they start.
#[derive(Debug, Clone)]
struct Ranges {
    size: u64,
    bytes: Arc<BTreeMap<u64, Bytes>>,
}

impl Ranges {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let outside = || ParquetError::EOF("outside of its columns".to_owned());
        let (first, bytes) = self.bytes.range(..=start).next_back().ok_or_else(outside)?;
        let skip = usize::try_from(start - first).map_err(|_| outside())?;
        if skip > bytes.len() {
            return Err(outside());
        }
        Ok(bytes.slice(skip..))
    }
}

impl Length for Ranges {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Ranges {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.from(start).map(Buf::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("outside of its columns".to_owned()));
        }
        Ok(bytes.slice(..length))
    }
}

/// Fetches the bytes of the columns with these places.
fn fetch(
    files: &dyn VersionFiles,
    part: &Part,
    group: &RowGroupMetaData,
    wanted: &BTreeSet<usize>,
) -> Result<Ranges, String> {
    let outside = || "says of itself what lies outside of it".to_owned();
    let descriptor = part.metadata.parquet_schema();
    let size = files
        .files()
        .iter()
        .find(|file| file.path == part.path)
        .map_or(0, |file| file.size.bytes());
    let mut ranges = Vec::new();
    for (leaf, column) in group.columns().iter().enumerate() {
        if !wanted.contains(&descriptor.get_column_root_idx(leaf)) {
            continue;
        }
        let start = match column.dictionary_page_offset() {
            Some(start) if start > 0 => start.min(column.data_page_offset()),
            _ => column.data_page_offset(),
        };
        let start = u64::try_from(start).map_err(|_| outside())?;
        let length = u64::try_from(column.compressed_size()).map_err(|_| outside())?;
        let end = start.checked_add(length).filter(|end| *end <= size);
        ranges.push(start..end.ok_or_else(outside)?);
    }
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<std::ops::Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    let mut bytes = BTreeMap::new();
    for range in joined {
        let read = files.read(&part.path, range.clone());
        let read = read.map_err(|error| undecodable(&unreadable(&error)))?;
        bytes.insert(range.start, read);
    }
    Ok(Ranges {
        size,
        bytes: Arc::new(bytes),
    })
}

/// The batches of a unit, in the order of its rows; after an error there are no more.
pub(crate) struct Batches(Option<Reading>);

enum Reading {
    Open(Box<Open>),
    Failed(EngineError),
}

struct Open {
    table: String,
    path: FilePath,
    schema: SchemaRef,
    /// Of each column.
    sources: Vec<Source>,
    /// The places in the file of the columns that `reader` gives, in its order.
    places: Vec<usize>,
    /// Those of them that are old timestamps, as `exact` gives them.
    old: Vec<usize>,
    reader: ParquetRecordBatchReader,
    exact: Option<ParquetRecordBatchReader>,
    /// The rows that the unit claims and did not give yet.
    left: u64,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.take()? {
            Reading::Failed(error) => Some(Err(error)),
            Reading::Open(mut open) => match open.batch() {
                Ok(Some(batch)) => {
                    self.0 = Some(Reading::Open(open));
                    Some(Ok(batch))
                }
                Ok(None) => None,
                Err(because) => Some(Err(EngineError::Table {
                    name: open.table.clone(),
                    because: format!("the file `{}` {because}", open.path),
                })),
            },
        }
    }
}

impl Open {
    fn batch(&mut self) -> Result<Option<RecordBatch>, String> {
        let decode = "could not be decoded as Parquet";
        // The library panics on some broken files; the reader is not used again then.
        let next = catch_unwind(AssertUnwindSafe(|| self.reader.next()));
        let Some(batch) = next.map_err(|_| decode.to_owned())? else {
            return if self.left == 0 {
                Ok(None)
            } else {
                Err("has fewer rows than it claims".to_owned())
            };
        };
        let batch = batch.map_err(|_| decode.to_owned())?;
        let rows = batch.num_rows();
        self.left = self
            .left
            .checked_sub(rows as u64)
            .ok_or("has more rows than it claims")?;
        if let Some(exact) = &mut self.exact {
            let exact = exact.next().and_then(Result::ok).ok_or(decode)?;
            for (place, nanoseconds) in self.old.iter().zip(exact.columns()) {
                let at = self.places.iter().position(|known| known == place);
                let microseconds = at.and_then(|at| batch.columns().get(at)).ok_or(decode)?;
                check_precision(microseconds, nanoseconds)?;
            }
        }
        let mut columns = Vec::with_capacity(self.sources.len());
        for (source, field) in self.sources.iter().zip(self.schema.fields()) {
            let column = match source {
                Source::Folder(value) if value.is_null() => new_null_array(field.data_type(), rows),
                Source::Folder(value) => value
                    .to_array_of_size(rows)
                    .map_err(|_| "has a folder whose name cannot be read".to_owned())?,
                Source::File(place) => {
                    let at = self.places.iter().position(|known| known == place);
                    let column = at.and_then(|at| batch.columns().get(at)).ok_or(decode)?;
                    converted(column, field)?
                }
            };
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map(Some)
            .map_err(|_| decode.to_owned())
    }
}

/// Refuses times finer than a microsecond, which would be cut.
fn check_precision(microseconds: &ArrayRef, nanoseconds: &ArrayRef) -> Result<(), String> {
    let (Some(coarse), Some(fine)) = (
        microseconds.as_primitive_opt::<TimestampMicrosecondType>(),
        nanoseconds.as_primitive_opt::<TimestampNanosecondType>(),
    ) else {
        return Err("could not be decoded as Parquet".to_owned());
    };
    let cut = coarse
        .iter()
        .zip(fine.iter())
        .filter_map(|(coarse, fine)| Some((coarse?.checked_mul(1000)?, fine?)))
        .any(|(coarse, fine)| coarse != fine);
    if cut {
        Err(
            "has timestamps of 96 bits that are finer than a microsecond, which are not supported"
                .to_owned(),
        )
    } else {
        Ok(())
    }
}

/// Converts a column of a file to its type in the table, exactly or not at all.
fn converted(column: &ArrayRef, field: &Field) -> Result<ArrayRef, String> {
    let kind = field.data_type();
    if column.data_type() == kind {
        return Ok(normal(column));
    }
    let lossy = || {
        format!(
            "has a value in the column `{}` that {} cannot hold exactly",
            field.name(),
            word(kind)
        )
    };
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let cast = |column: &ArrayRef, kind: &DataType| cast_with_options(column, kind, &options);
    let converted = cast(column, kind).map_err(|_| lossy())?;
    if column.data_type().is_integer() && *kind == DataType::Float64 {
        let exact = match column.data_type() {
            DataType::Int64 => back::<Int64Type>(column, &converted),
            DataType::UInt64 => back::<UInt64Type>(column, &converted),
            _ => true,
        };
        if !exact {
            return Err(lossy());
        }
    }
    Ok(normal(&converted))
}

/// Whether every integer is a double as it stands.
fn back<T>(integers: &ArrayRef, doubles: &ArrayRef) -> bool
where
    T: datafusion::arrow::datatypes::ArrowPrimitiveType,
    i128: From<T::Native>,
{
    let (Some(integers), Some(doubles)) = (
        integers.as_primitive_opt::<T>(),
        doubles.as_primitive_opt::<Float64Type>(),
    ) else {
        return false;
    };
    integers
        .iter()
        .zip(doubles.iter())
        .all(|(integer, double)| match (integer, double) {
            (Some(integer), Some(double)) => same(i128::from(integer), double),
            (None, None) => true,
            _ => false,
        })
}

/// Whether a double is this integer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "beyond i128 the conversion saturates, and then is not equal"
)]
pub(crate) fn same(integer: i128, double: f64) -> bool {
    double as i128 == integer && double.fract() == 0.0
}
