//! The Parquet encoder, tuned for fast reading.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::error::copy_of;
use super::schema::Table;

/// The default of zstd. By measurement, higher levels cost more than they save.
const ZSTD_LEVEL: i32 = 3;
/// The largest row group in bytes, whatever its rows hold.
const ROW_GROUP_BYTES: usize = 256 << 20;
/// Most rows of a row group. By default, parts are cut at the same number.
pub(super) const ROW_GROUP_ROWS: usize = 1_000_000;
/// Room for the distinct addresses of a row group. The default of 1 MiB suffices for about 60,000.
const ADDRESS_DICTIONARY_BYTES: usize = 4 << 20;

/// The share of look-ups that a Bloom filter fails to rule out. The filters take about 1% of a dataset.
const BLOOM_ERRORS: f64 = 0.01;

const ADDRESS_COLUMNS: [&str; 3] = ["destination", "responder", "quoted_destination"];

/// Footer entries that identify a file. Their order is fixed, so that equal content gives equal bytes.
#[derive(Clone, Debug)]
pub(super) struct Footer {
    pub run_id: String,
    pub config_sha256: String,
}

impl Footer {
    fn entries(&self, table: Table) -> Vec<KeyValue> {
        let entry = |key: &str, value: String| KeyValue::new(format!("pathsurvey.{key}"), value);
        vec![
            entry("table", table.as_str().to_owned()),
            entry("schema_version", table.version().to_string()),
            entry("run_id", self.run_id.clone()),
            entry("tool_version", env!("CARGO_PKG_VERSION").to_owned()),
            entry("config_sha256", self.config_sha256.clone()),
        ]
    }
}

/// Writes one file. `W` receives bytes in order, without seeking. Batches may have dictionaries in place of text; the file has the
/// schema's text.
pub(super) struct ParquetFile<W: Write + Send> {
    writer: ArrowWriter<Watched<W>>,
    trouble: LastError,
}

impl<W: Write + Send> ParquetFile<W> {
    pub(super) fn new(out: W, table: Table, footer: &Footer) -> Result<Self, ParquetError> {
        let trouble = LastError::default();
        let out = Watched {
            out,
            trouble: trouble.clone(),
        };
        let properties = properties(table, footer)?;
        let writer = ArrowWriter::try_new(out, table.arrow_schema(), Some(properties));
        match writer {
            Ok(writer) => Ok(ParquetFile { writer, trouble }),
            Err(error) => Err(trouble.behind(error)),
        }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.writer
            .write(batch)
            .map_err(|error| self.trouble.behind(error))
    }

    /// Ends the row group.
    pub(super) fn end_group(&mut self) -> Result<(), ParquetError> {
        self.writer
            .flush()
            .map_err(|error| self.trouble.behind(error))
    }

    /// Writes the footer. Returns the underlying writer.
    pub(super) fn finish(self) -> Result<W, ParquetError> {
        match self.writer.into_inner() {
            Ok(watched) => Ok(watched.out),
            Err(error) => Err(self.trouble.behind(error)),
        }
    }
}

/// The last I/O error of a file, kept outside of its writer. The encoder buffers, and for an error while it flushes (at the latest in the
/// footer) it passes on only the text.
#[derive(Clone, Default)]
struct LastError(Arc<Mutex<Option<io::Error>>>);

impl LastError {
    fn remember(&self, error: &io::Error) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(copy_of(error));
    }

    /// The I/O error inside an encoder's error, if there is one. Otherwise the error itself.
    fn behind(&self, error: ParquetError) -> ParquetError {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last.take() {
            Some(cause) => ParquetError::External(Box::new(cause)),
            None => error,
        }
    }
}

struct Watched<W> {
    out: W,
    trouble: LastError,
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out
            .write(bytes)
            .inspect_err(|error| self.trouble.remember(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out
            .flush()
            .inspect_err(|error| self.trouble.remember(error))
    }
}

fn properties(table: Table, footer: &Footer) -> Result<WriterProperties, ParquetError> {
    let schema = table.arrow_schema();
    let present = |name: &&&str| schema.index_of(name).is_ok();
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("pathsurvey version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(Some(sorting_columns(table)))
        .set_key_value_metadata(Some(footer.entries(table)));
    // Numbers are consecutive, repeated or nearly unique. Deltas are as small as a dictionary, and need no look-ups.
    for field in schema.fields().iter().filter(|field| is_number(field)) {
        let path = ColumnPath::from(field.name().as_str());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for name in ADDRESS_COLUMNS.iter().filter(present) {
        let path = ColumnPath::from(*name);
        properties =
            properties.set_column_dictionary_page_size_limit(path, ADDRESS_DICTIONARY_BYTES);
    }
    for name in looked_up(table) {
        let path = ColumnPath::from(*name);
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path, BLOOM_ERRORS);
    }
    Ok(properties.build())
}

/// Columns in which readers look up single values. In a survey in permuted order, their statistics rule out no part.
fn looked_up(table: Table) -> &'static [&'static str] {
    match table {
        Table::Hops => &["trace_id"],
        Table::Traces => &["destination"],
    }
}

fn is_number(field: &Field) -> bool {
    field.data_type().is_integer() || matches!(field.data_type(), DataType::Timestamp(..))
}

/// The table's order by the index of leaf columns, as Parquet counts them. No column of the order follows a nested column, so leaves and
/// columns have the same index.
fn sorting_columns(table: Table) -> Vec<SortingColumn> {
    let schema = table.arrow_schema();
    table
        .sort_order()
        .iter()
        .filter_map(|name| schema.index_of(name).ok())
        .map(|at| SortingColumn {
            column_idx: at as i32,
            descending: false,
            nulls_first: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::DatasetError;

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
        let file = ParquetFile::new(Full(100), Table::Hops, &footer).unwrap();
        let Err(error) = file.finish() else {
            panic!("a footer within 100 bytes");
        };
        let error = DatasetError::encode("a.parquet".as_ref(), &error).to_string();
        assert!(error.contains("free space there"), "{error}");
    }
}
