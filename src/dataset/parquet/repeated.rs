//! A text column that has had one value so far.
//!
//! The encoder of the `parquet` crate hashes and compares the text of every row. Columns such as `run_id` have one value in all rows of a
//! row group. Their rows are only counted, and [`chunk`](super::chunk) writes them at the end of the row group.
//!
//! Guarantees:
//! - The file has the same bytes as with the crate's encoder, whatever the values are. If another version of the crate writes other bytes,
//!   the tests beside this module fail.
//! - Counting takes no work per row. Each step of the encoder, which is 1,024 rows or more, takes one addition.
//!
//! It leaves out columns with nulls, Bloom filters, long values or nested values. The crate's encoder writes these.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray};
use arrow::datatypes::{Field, Int32Type};
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, ConvertedType};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::chunk::chunk;

/// The rows of a column in a row group, while all of them have the same value.
pub(super) struct Repeated {
    column: ColumnDescPtr,
    rules: Rules,
    /// `None` before the first batch.
    value: Option<String>,
    /// The rows of each full page.
    pages: Vec<usize>,
    /// The rows of the page that is not full.
    rest: usize,
}

/// The settings by which the crate's encoder ends pages and shortens values.
#[derive(Clone, Copy)]
struct Rules {
    compression: Compression,
    /// A page with this number of rows is full.
    page_rows: usize,
    /// After this number of rows of a batch, the encoder looks whether the page is full.
    step_rows: usize,
    /// Statistics and indexes hold values up to this length whole.
    value_bytes: usize,
}

impl Rules {
    /// Returns `None` if the column needs what [`chunk`] cannot write.
    fn of(column: &ColumnDescriptor, properties: &WriterProperties) -> Option<Self> {
        let path = column.path();
        let compression = properties.compression(path);
        let fits = column.converted_type() == ConvertedType::UTF8
            && column.max_rep_level() == 0
            && column.max_def_level() <= 1
            && matches!(compression, Compression::ZSTD(_))
            && properties.dictionary_enabled(path)
            && properties.bloom_filter_properties(path).is_none()
            && properties.statistics_enabled(path) == EnabledStatistics::Page
            && properties.writer_version() == WriterVersion::PARQUET_1_0;
        let page_rows = properties.column_data_page_row_count_limit(path);
        let lengths = [
            properties.column_index_truncate_length(),
            properties.statistics_truncate_length(),
        ];
        fits.then(|| Rules {
            compression,
            page_rows,
            // The encoder takes the rows of a nullable column in larger steps, if none of them is null.
            step_rows: match column.max_def_level() {
                0 => properties.write_batch_size(),
                _ => page_rows,
            },
            value_bytes: lengths.into_iter().flatten().min().unwrap_or(usize::MAX),
        })
    }
}

impl Repeated {
    /// Starts without rows. Returns `None` if the column cannot be counted.
    pub(super) fn new(column: &ColumnDescPtr, properties: &WriterProperties) -> Option<Self> {
        Some(Repeated {
            rules: Rules::of(column, properties)?,
            column: ColumnDescPtr::clone(column),
            value: None,
            pages: Vec::new(),
            rest: 0,
        })
    }

    /// Counts the rows of `array` if all of them have the value of the rows before. Otherwise returns false, and counts nothing.
    pub(super) fn count(&mut self, array: &ArrayRef) -> bool {
        let Some(value) = only_value(array) else {
            return false;
        };
        match &self.value {
            Some(known) if known == value => {}
            None if value.len() <= self.rules.value_bytes => self.value = Some(value.to_owned()),
            _ => return false,
        }
        let mut rows = array.len();
        while rows > 0 {
            let step = rows.min(self.rules.step_rows);
            rows -= step;
            self.rest += step;
            if self.rest >= self.rules.page_rows {
                self.pages.push(self.rest);
                self.rest = 0;
            }
        }
        true
    }

    /// Writes the counted rows with the crate's encoder, which ends its pages at the same rows.
    pub(super) fn replay(
        &self,
        field: &Field,
        encoder: &mut ArrowColumnWriter,
    ) -> Result<(), ParquetError> {
        let Some(value) = &self.value else {
            return Ok(());
        };
        for rows in self.page_rows() {
            // The first piece is one row short of a full page. The second one is a single step, so the page ends after it or not at all.
            let first = rows.min(self.rules.page_rows - 1);
            for piece in [first, rows - first].into_iter().filter(|rows| *rows > 0) {
                for leaf in compute_leaves(field, &same_text(piece, value))? {
                    encoder.write(&leaf)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the bytes of the column in the row group, and their metadata. Returns `None` if there are no rows.
    pub(super) fn chunk(&self) -> Result<Option<(Bytes, ColumnCloseResult)>, ParquetError> {
        let Some(value) = &self.value else {
            return Ok(None);
        };
        let compression = self.rules.compression;
        chunk(&self.column, compression, value, self.page_rows()).map(Some)
    }

    /// The rows of each page.
    fn page_rows(&self) -> impl Iterator<Item = usize> {
        let rest = (self.rest > 0).then_some(self.rest);
        self.pages.iter().copied().chain(rest)
    }
}

/// Returns the value of all rows if it is visible at once: a dictionary with one value, and no nulls.
fn only_value(array: &ArrayRef) -> Option<&str> {
    let array = array.as_dictionary_opt::<Int32Type>()?;
    let values = array.values().as_string_opt::<i32>()?;
    let is_only = values.len() == 1 && array.null_count() == 0 && values.null_count() == 0;
    is_only.then(|| values.value(0))
}

fn same_text(rows: usize, text: &str) -> ArrayRef {
    let keys = Int32Array::from(vec![0; rows]);
    let texts = Arc::new(StringArray::from(vec![text]));
    Arc::new(DictionaryArray::new(keys, texts))
}
