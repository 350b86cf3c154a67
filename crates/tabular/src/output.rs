//! Parquet that is the same for the same rows.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;

use crate::error::{Refusal, TabularError};

/// Rows in a row group of what is written, at most.
pub const GROUP_ROWS: usize = 1 << 20;
/// Text in a row group of what is written, in bytes of the file that was read, at most; a block more.
pub const GROUP_TEXT: usize = 1 << 28;

/// A Parquet file that is being written, its columns on every core.
pub(crate) struct Output<'w> {
    file: SerializedFileWriter<&'w mut (dyn Write + Send)>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    columns: Vec<Vec<ArrowColumnWriter>>,
    groups: usize,
    rows_in_group: usize,
    text_in_group: usize,
    pub(crate) rows: u64,
}

fn unheld() -> Refusal {
    Refusal::new("a column has a type or a value that Parquet cannot hold")
        .hint("write it with simpler types")
}

/// Writes with the library, which panics at some types that no program should have written.
fn caught<T>(write: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, TabularError> {
    match catch_unwind(AssertUnwindSafe(write)) {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(unheld().into()),
    }
}

fn failed(error: ParquetError) -> TabularError {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => TabularError::Write(*error),
            Err(other) => TabularError::Write(io::Error::other(other)),
        },
        ParquetError::NYI(_) | ParquetError::ArrowError(_) | ParquetError::General(_) => {
            unheld().into()
        }
        other => TabularError::Write(io::Error::other(other)),
    }
}

impl<'w> Output<'w> {
    pub(crate) fn new(
        out: &'w mut (dyn Write + Send),
        schema: SchemaRef,
    ) -> Result<Self, TabularError> {
        let properties = WriterProperties::builder()
            .set_created_by("custody".to_owned())
            .set_compression(Compression::UNCOMPRESSED)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer = caught(|| ArrowWriter::try_new(out, schema.clone(), Some(properties)))?;
        let (file, factory) = writer.into_serialized_writer().map_err(failed)?;
        Ok(Self {
            file,
            factory,
            schema,
            columns: Vec::new(),
            groups: 0,
            rows_in_group: 0,
            text_in_group: 0,
            rows: 0,
        })
    }

    /// Writes batches, each with the size of the text that it was made from.
    pub(crate) fn write(&mut self, batches: Vec<(RecordBatch, usize)>) -> Result<(), TabularError> {
        let mut group = Vec::new();
        for (batch, size) in batches {
            let mut rest = batch;
            self.text_in_group += size;
            while rest.num_rows() > 0 {
                let room = GROUP_ROWS - self.rows_in_group;
                let taken = rest.num_rows().min(room);
                group.push(rest.slice(0, taken));
                rest = rest.slice(taken, rest.num_rows() - taken);
                self.rows_in_group += taken;
                if self.rows_in_group >= GROUP_ROWS
                    || (self.text_in_group >= GROUP_TEXT && rest.num_rows() == 0)
                {
                    self.encode(&group)?;
                    group.clear();
                    self.end_group()?;
                }
            }
        }
        self.encode(&group)
    }

    fn encode(&mut self, batches: &[RecordBatch]) -> Result<(), TabularError> {
        if batches.is_empty() {
            return Ok(());
        }
        if self.columns.is_empty() {
            self.columns = self.begin_group()?;
        }
        let (schema, columns) = (&self.schema, &mut self.columns);
        caught(|| {
            columns
                .par_iter_mut()
                .enumerate()
                .try_for_each(|(number, writers)| {
                    for batch in batches {
                        let array = batch.columns().get(number);
                        let field = schema.fields().get(number);
                        let (Some(array), Some(field)) = (array, field) else {
                            continue;
                        };
                        let leaves = compute_leaves(field, array)?;
                        for (writer, leaf) in writers.iter_mut().zip(&leaves) {
                            writer.write(leaf)?;
                        }
                    }
                    Ok(())
                })
        })
    }

    /// Makes the writers of a row group: for each column as many as it has leaves.
    fn begin_group(&self) -> Result<Vec<Vec<ArrowColumnWriter>>, TabularError> {
        let mut columns: Vec<Vec<_>> = self.schema.fields().iter().map(|_| Vec::new()).collect();
        let writers = self
            .factory
            .create_column_writers(self.groups)
            .map_err(failed)?;
        let descriptor = self.file.schema_descr();
        for (leaf, writer) in writers.into_iter().enumerate() {
            if let Some(column) = columns.get_mut(descriptor.get_column_root_idx(leaf)) {
                column.push(writer);
            }
        }
        Ok(columns)
    }

    fn end_group(&mut self) -> Result<(), TabularError> {
        let columns = std::mem::take(&mut self.columns);
        let chunks = columns
            .into_par_iter()
            .flatten()
            .map(ArrowColumnWriter::close)
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let mut group = self.file.next_row_group().map_err(failed)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group).map_err(failed)?;
        }
        group.close().map_err(failed)?;
        self.groups += 1;
        self.rows += u64::try_from(self.rows_in_group).unwrap_or(u64::MAX);
        self.rows_in_group = 0;
        self.text_in_group = 0;
        Ok(())
    }

    /// Writes what is left and the footer. Returns the number of rows.
    pub(crate) fn finish(mut self) -> Result<u64, TabularError> {
        if self.rows_in_group > 0 {
            self.end_group()?;
        }
        self.file.close().map_err(failed)?;
        Ok(self.rows)
    }
}
