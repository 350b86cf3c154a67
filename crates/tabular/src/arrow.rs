//! Tables that Arrow and Parquet files hold.

use std::io::SeekFrom;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::dialect::unique;
use crate::error::{Refusal, TabularError};
use crate::ipc::Batches;
use crate::recognise::{Original, Packing};
use crate::types::{ColumnType, Columns};

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

/// Reads the columns, without the rows.
pub(crate) fn arrow(
    file: &mut dyn Original,
    packing: Packing,
    stream: bool,
) -> Result<Columns, TabularError> {
    Ok(columns(&Batches::open(file, packing, stream)?.schema())?)
}

/// Reads every batch as it is, and hands it out with its size.
pub(crate) fn read(
    file: &mut dyn Original,
    packing: Packing,
    stream: bool,
    mut take: impl FnMut(&SchemaRef, Vec<(RecordBatch, usize)>) -> Result<(), TabularError>,
) -> Result<(), TabularError> {
    let batches = Batches::open(file, packing, stream)?;
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
