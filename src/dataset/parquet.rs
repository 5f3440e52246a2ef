//! The Parquet encoder. Its settings are chosen for fast reading.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::error::copy_of;
use super::table::TableSchema;

/// The default level of zstd. In measurements, higher levels cost more time than they save space.
const ZSTD_LEVEL: i32 = 3;
/// The largest row group in bytes.
const ROW_GROUP_BYTES: usize = 256 << 20;
/// The default number of rows of a part. A part of this size is one row group.
pub(super) const ROW_GROUP_ROWS: usize = 1_000_000;
/// The most rows of a row group. It is larger than a part, because a part can exceed its limit by the rows that arrive together.
const MOST_ROW_GROUP_ROWS: usize = 2 * ROW_GROUP_ROWS;
/// The largest dictionary of an address column in a row group. The default of 1 MiB holds about 60,000 addresses.
const ADDRESS_DICTIONARY_BYTES: usize = 4 << 20;

/// The share of look-ups that a Bloom filter fails to rule out. The filters take about 1% of a dataset.
const BLOOM_ERRORS: f64 = 0.01;

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
    writer: ArrowWriter<Watched<W>>,
    last_error: LastError,
}

impl<W: Write + Send> ParquetFile<W> {
    pub(super) fn new(out: W, table: &TableSchema, footer: &Footer) -> Result<Self, ParquetError> {
        let last_error = LastError::default();
        let out = Watched {
            out,
            last_error: last_error.clone(),
        };
        let properties = properties(table, footer)?;
        let writer = ArrowWriter::try_new(out, SchemaRef::clone(table.arrow()), Some(properties));
        match writer {
            Ok(writer) => Ok(ParquetFile { writer, last_error }),
            Err(error) => Err(last_error.cause_of(error)),
        }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.writer
            .write(batch)
            .map_err(|error| self.last_error.cause_of(error))
    }

    /// Ends the row group.
    pub(super) fn end_group(&mut self) -> Result<(), ParquetError> {
        self.writer
            .flush()
            .map_err(|error| self.last_error.cause_of(error))
    }

    /// Writes the footer. Returns the underlying writer.
    pub(super) fn finish(self) -> Result<W, ParquetError> {
        match self.writer.into_inner() {
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

    /// Returns the I/O error behind an error of the encoder. If there is none, returns `error`.
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

fn properties(table: &TableSchema, footer: &Footer) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("pathsurvey version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(MOST_ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(Some(sorting_columns(table)))
        .set_key_value_metadata(Some(footer.entries(table)));
    // Numbers are consecutive, repeated or nearly unique. Deltas of such numbers are as small as a dictionary, and need no look-ups.
    let fields = table.arrow().fields();
    for field in fields.iter().filter(|field| is_number(field)) {
        let path = ColumnPath::from(field.name().as_str());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for path in table.address_leaves() {
        properties =
            properties.set_column_dictionary_page_size_limit(path, ADDRESS_DICTIONARY_BYTES);
    }
    for path in table.uncompressed_leaves() {
        properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
    }
    for name in table.looked_up {
        let path = ColumnPath::from(*name);
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path, BLOOM_ERRORS);
    }
    Ok(properties.build())
}

fn is_number(field: &Field) -> bool {
    field.data_type().is_integer() || matches!(field.data_type(), DataType::Timestamp(..))
}

/// The table's order by the index of leaf columns, as Parquet counts them.
fn sorting_columns(table: &TableSchema) -> Vec<SortingColumn> {
    let fields = table.arrow().fields();
    let order = table.sort_order.iter();
    order
        .filter_map(|name| table.arrow().index_of(name).ok())
        .map(|at| SortingColumn {
            column_idx: fields[..at].iter().map(|field| leaves(field)).sum(),
            descending: false,
            nulls_first: false,
        })
        .collect()
}

/// The number of leaf columns of a column.
fn leaves(field: &Field) -> i32 {
    match field.data_type() {
        DataType::List(child) | DataType::Map(child, _) => leaves(child),
        DataType::Struct(members) => members.iter().map(|member| leaves(member)).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{DatasetError, tables};

    /// Accepts the first bytes, and refuses the rest.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_footer_that_does_not_fit_is_named_with_its_cause() {
        let footer = Footer {
            run_id: "run".to_owned(),
            config_sha256: "0".to_owned(),
        };
        // Without rows, the file consists of the magic number and the footer.
        let file = ParquetFile::new(Full(100), tables::hops().schema(), &footer).unwrap();
        let Err(error) = file.finish() else {
            panic!("a footer within 100 bytes");
        };
        let error = DatasetError::encode("a.parquet".as_ref(), &error).to_string();
        assert!(error.contains("free space there"), "{error}");
    }
}
