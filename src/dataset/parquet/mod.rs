//! The Parquet encoder.
//!
//! Guarantees:
//! - Equal rows in equal batches give equal bytes.
//! - If the output fails, the error is the one that the output returned.
//!
//! It leaves out when a row group ends, but for limits that keep memory bounded. Its callers end row groups.

mod chunk;
mod group;
mod properties;
mod repeated;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use group::RowGroup;
use properties::properties;

use super::error::copy_of;
use super::table::TableSchema;

/// The largest row group in bytes, as far as they are encoded. The last batch can exceed it.
const ROW_GROUP_BYTES: usize = 256 << 20;
/// The default number of rows of a part. A part of this size is one row group.
pub(super) const ROW_GROUP_ROWS: usize = 1_000_000;
/// The most rows of a row group. It is larger than a part, because a part can exceed its limit by the rows that arrive together.
const MOST_ROW_GROUP_ROWS: usize = 2 * ROW_GROUP_ROWS;

/// Footer entries that identify a file. Their order is fixed, so that equal content gives equal bytes.
#[derive(Clone, Debug)]
pub(super) struct Footer {
    pub run_id: String,
    pub config_sha256: String,
}

impl Footer {
    fn entries(&self, table: &TableSchema) -> Vec<KeyValue> {
        let entry = |key: &str, value: String| KeyValue::new(format!("pathsurvey.{key}"), value);
        vec![
            entry("table", table.name.to_owned()),
            entry("schema_version", table.version.to_string()),
            entry("run_id", self.run_id.clone()),
            entry("tool_version", env!("CARGO_PKG_VERSION").to_owned()),
            entry("config_sha256", self.config_sha256.clone()),
        ]
    }
}

/// Writes one file. `W` receives the bytes in order, without seeking. Batches may have dictionaries in place of text. The file's schema has
/// plain text.
pub(super) struct ParquetFile<W: Write + Send> {
    file: SerializedFileWriter<Watched<W>>,
    encoders: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// The row group that is not in the file yet. It has rows.
    group: Option<RowGroup>,
    last_error: LastError,
}

impl<W: Write + Send> ParquetFile<W> {
    pub(super) fn new(out: W, table: &TableSchema, footer: &Footer) -> Result<Self, ParquetError> {
        Self::with(out, table.arrow(), properties(table, footer)?)
    }

    fn with(
        out: W,
        schema: &SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, ParquetError> {
        let last_error = LastError::default();
        let out = Watched {
            out,
            last_error: last_error.clone(),
        };
        // The crate's own writer prepares the file: it stores the Arrow schema.
        let parts = ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties))
            .and_then(ArrowWriter::into_serialized_writer);
        let (file, encoders) = parts.map_err(|error| last_error.cause_of(error))?;
        Ok(ParquetFile {
            file,
            encoders,
            schema: SchemaRef::clone(schema),
            group: None,
            last_error,
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.add(batch)
            .map_err(|error| self.last_error.cause_of(error))
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let properties = Arc::clone(self.file.properties());
        let most_rows = properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let most_bytes = properties.max_row_group_bytes().unwrap_or(usize::MAX);
        let mut start = 0;
        while start < batch.num_rows() {
            let group = match &mut self.group {
                Some(group) => group,
                none => none.insert(RowGroup::new(&self.file, &self.encoders, &self.schema)?),
            };
            let rows = (batch.num_rows() - start).min(most_rows - group.rows());
            match rows == batch.num_rows() {
                true => group.write(batch)?,
                false => group.write(&batch.slice(start, rows))?,
            }
            start += rows;
            if group.rows() >= most_rows || group.bytes() >= most_bytes {
                self.append_group()?;
            }
        }
        Ok(())
    }

    /// Ends the row group.
    pub(super) fn end_group(&mut self) -> Result<(), ParquetError> {
        self.append_group()
            .map_err(|error| self.last_error.cause_of(error))
    }

    fn append_group(&mut self) -> Result<(), ParquetError> {
        match self.group.take() {
            Some(group) => group.append_to(&mut self.file),
            None => Ok(()),
        }
    }

    /// Writes the footer. Returns the underlying writer.
    pub(super) fn finish(mut self) -> Result<W, ParquetError> {
        self.end_group()?;
        match self.file.into_inner() {
            Ok(watched) => Ok(watched.out),
            Err(error) => Err(self.last_error.cause_of(error)),
        }
    }
}

/// The last I/O error of a file. The encoder buffers its output. If a flush fails, the encoder returns only the text of the error, so the
/// error is kept here.
#[derive(Clone, Default)]
struct LastError(Arc<Mutex<Option<io::Error>>>);

impl LastError {
    fn remember(&self, error: &io::Error) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(copy_of(error));
    }

    /// Returns the last I/O error, which is why the encoder failed. Without an I/O error, returns `error`.
    fn cause_of(&self, error: ParquetError) -> ParquetError {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last.take() {
            Some(cause) => ParquetError::External(Box::new(cause)),
            None => error,
        }
    }
}

/// A writer that remembers its last error.
struct Watched<W> {
    out: W,
    last_error: LastError,
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out
            .write(bytes)
            .inspect_err(|error| self.last_error.remember(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out
            .flush()
            .inspect_err(|error| self.last_error.remember(error))
    }
}

#[cfg(test)]
mod tests;
