//! Tables that Arrow and Parquet files hold.

use std::io::{BufReader, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::dialect::unique;
use crate::error::{Refusal, TabularError};
use crate::recognise::{Original, Packing, reading, unpack};
use crate::types::{ColumnType, Columns};

fn damaged(error: &ArrowError) -> TabularError {
    let refusal = match error {
        ArrowError::NotYetImplemented(_) => {
            Refusal::new("it uses a part of Arrow that is not read here")
        }
        _ => Refusal::new("it is damaged or cut off, or no Arrow at all"),
    };
    refusal.hint("write it again, or as Parquet").into()
}

/// Returns the columns of a schema, each once.
fn columns(schema: &SchemaRef) -> Result<Columns, Refusal> {
    let columns = schema.fields().iter().map(|field| {
        (
            field.name().clone(),
            ColumnType::of(field.data_type()).into(),
        )
    });
    let columns: Vec<_> = columns.collect();
    unique(columns.iter().map(|(name, _)| name))?;
    if columns.is_empty() {
        return Err(Refusal::new("it has no column"));
    }
    Ok(Columns(columns))
}

/// Reads the columns and the number of rows of a Parquet file.
pub(crate) fn parquet(file: &mut dyn Original) -> Result<(Columns, u64), TabularError> {
    let broken = || Refusal::new("its Parquet footer is damaged").hint("write it again");
    let size = file.seek(SeekFrom::End(0)).map_err(TabularError::Read)?;
    // The last eight bytes say how long the footer is.
    let tail = usize::try_from(size.min(8)).unwrap_or(8);
    let mut end = vec![0; tail];
    file.seek(SeekFrom::End(-i64::try_from(tail).unwrap_or(8)))
        .and_then(|_| std::io::Read::read_exact(file, &mut end))
        .map_err(TabularError::Read)?;
    let [a, b, c, d, ..] = end.as_slice() else {
        return Err(broken().into());
    };
    let length = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
    if length + 12 > size {
        return Err(broken().into());
    }
    let mut footer = vec![0; usize::try_from(length).map_err(|_| broken())?];
    file.seek(SeekFrom::Start(size - 8 - length))
        .and_then(|_| std::io::Read::read_exact(file, &mut footer))
        .map_err(TabularError::Read)?;
    let metadata = ParquetMetaDataReader::decode_metadata(&footer).map_err(|_| broken())?;
    let about = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(about.schema_descr(), about.key_value_metadata())
        .map_err(|_| broken())?;
    let rows = u64::try_from(about.num_rows()).map_err(|_| broken())?;
    Ok((columns(&schema.into())?, rows))
}

/// Where batches come from.
enum Batches<'a> {
    File(Box<FileReader<BufReader<&'a mut dyn Original>>>),
    Stream(Box<StreamReader<BufReader<Box<dyn std::io::Read + Send + 'a>>>>),
}

/// Opens an Arrow file or stream.
fn open(
    file: &mut dyn Original,
    packing: Packing,
    stream: bool,
) -> Result<Batches<'_>, TabularError> {
    if stream {
        let from = unpack(file, packing).map_err(|error| reading(error, packing))?;
        let from = caught(|| StreamReader::try_new(BufReader::new(from), None))?;
        return Ok(Batches::Stream(Box::new(from)));
    }
    file.seek(SeekFrom::Start(0)).map_err(TabularError::Read)?;
    let from = caught(|| FileReader::try_new(BufReader::new(file), None))?;
    Ok(Batches::File(Box::new(from)))
}

impl Batches<'_> {
    fn schema(&self) -> SchemaRef {
        match self {
            Self::File(from) => from.schema(),
            Self::Stream(from) => from.schema(),
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, TabularError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = caught(|| match self {
            Self::File(from) => from.next().transpose(),
            Self::Stream(from) => from.next().transpose(),
        });
        next.transpose()
    }
}

/// Reads with the library, which panics where an offset of a broken file lies outside of it.
fn caught<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, TabularError> {
    let broken = |_| ArrowError::IpcError("an offset lies outside".to_owned());
    catch_unwind(AssertUnwindSafe(read))
        .map_err(broken)
        .flatten()
        .map_err(|error| damaged(&error))
}

/// Reads the columns, without the rows.
pub(crate) fn arrow(
    file: &mut dyn Original,
    packing: Packing,
    stream: bool,
) -> Result<Columns, TabularError> {
    Ok(columns(&open(file, packing, stream)?.schema())?)
}

/// Reads every batch as it is, and hands it out with its size.
pub(crate) fn read(
    file: &mut dyn Original,
    packing: Packing,
    stream: bool,
    mut take: impl FnMut(&SchemaRef, Vec<(RecordBatch, usize)>) -> Result<(), TabularError>,
) -> Result<(), TabularError> {
    let batches = open(file, packing, stream)?;
    let schema = batches.schema();
    // A file without a batch has columns all the same.
    take(&schema, Vec::new())?;
    for batch in batches {
        let batch = batch?;
        let size = batch.get_array_memory_size();
        take(&schema, vec![(batch, size)])?;
    }
    Ok(())
}
