//! The row groups of an open part: which rows may match a filter, and their batches.
//!
//! A row group has as many rows as its footer says, and every row of a table that this version knows has an id. Otherwise the file is damaged.

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ParquetRecordBatchReader, RowFilter, RowSelection,
};
use parquet::errors::ParquetError;

use super::bound::Bound;
use super::file::{PartFile, guarded};
use super::hops::TRACE_ID;
use super::schema::Mapping;
use super::{ReadError, prune};

/// Rows decoded at once.
const BATCH_ROWS: usize = 8192;

/// A part that a scan reads.
pub(super) struct OpenPart {
    pub file: PartFile,
    pub mapping: Mapping,
    /// The columns of the filter that the file has, by index.
    pub filtered: Vec<usize>,
    /// Whether `trace_id` must not be null.
    pub has_ids: bool,
}

impl OpenPart {
    pub(super) fn groups(&self) -> usize {
        self.file.metadata().num_row_groups()
    }

    pub(super) fn file(&self) -> &PartFile {
        &self.file
    }

    /// The rows of a row group. `None` if statistics show that no row satisfies the filter, or if no row does because the file lacks the
    /// columns of the filter.
    pub(super) fn group(
        &self,
        group: usize,
        filter: Option<&Bound>,
    ) -> Result<Option<GroupRows>, ReadError> {
        let mut selection = None;
        if let Some(filter) = filter {
            if self.filtered.is_empty() {
                // The file has no column of the filter, so all rows are alike.
                if !filter.evaluate(1, &|_| None).value(0) {
                    return Ok(None);
                }
            } else {
                if !prune::group_may_match(&self.file, group, filter)? {
                    return Ok(None);
                }
                let rows = prune::rows_that_may_match(&self.file, group, filter)?;
                if !rows.selects_any() {
                    return Ok(None);
                }
                selection = Some(rows);
            }
        }
        let exact = filter.filter(|_| !self.filtered.is_empty());
        let rows = u64::try_from(self.file.metadata().row_group(group).num_rows()).ok();
        let left = rows.filter(|_| selection.is_none() && exact.is_none());
        let reader = Some(self.reader(group, selection, exact)?);
        Ok(Some(GroupRows { reader, left }))
    }

    fn reader(
        &self,
        group: usize,
        selection: Option<RowSelection>,
        filter: Option<&Bound>,
    ) -> Result<ParquetRecordBatchReader, ReadError> {
        let mut reader = self
            .file
            .reader()
            .with_batch_size(BATCH_ROWS)
            .with_row_groups(vec![group])
            .with_projection(self.file.mask(&self.mapping.wanted));
        if let Some(selection) = selection {
            reader = reader.with_row_selection(selection);
        }
        if let Some(filter) = filter {
            let filter = filter.clone();
            let columns = self.file.mask(&self.filtered);
            let exact = ArrowPredicateFn::new(columns, move |batch: RecordBatch| {
                let column =
                    |name: &str| -> Option<ArrayRef> { batch.column_by_name(name).cloned() };
                Ok(BooleanArray::new(
                    filter.evaluate(batch.num_rows(), &column),
                    None,
                ))
            });
            reader = reader.with_row_filter(RowFilter::new(vec![Box::new(exact)]));
        }
        // This evaluates the filter over the whole row group.
        guarded(self.file.path(), || reader.build())
    }
}

/// The rows of a row group that satisfy a scan's filter.
pub(super) struct GroupRows {
    reader: Option<ParquetRecordBatchReader>,
    /// The rows that the reader still has to return. `None` with a filter.
    left: Option<u64>,
}

impl GroupRows {
    /// The next batch. `None` at the end and after an error.
    pub(super) fn next_batch(&mut self, part: &OpenPart) -> Result<Option<RecordBatch>, ReadError> {
        let Some(mut reader) = self.reader.take() else {
            return Ok(None);
        };
        let path = part.file.path();
        let batch = guarded(path, || {
            let batch = reader.next().transpose().map_err(parquet_error)?;
            Ok(batch.map(|batch| (reader, batch)))
        })?;
        let Some((reader, batch)) = batch else {
            // The decoder ends without an error if the pages have too few rows.
            return match self.left {
                None | Some(0) => Ok(None),
                Some(left) => Err(ReadError::damaged(path, format!("{left} rows are missing"))),
            };
        };
        let rows = batch.num_rows() as u64;
        self.left = self.left.map(|left| left.saturating_sub(rows));
        let mapped = part.mapping.apply(&batch);
        let mapped = mapped.map_err(|error| ReadError::damaged(path, error))?;
        let ids = mapped.column_by_name(TRACE_ID);
        if part.has_ids && ids.is_some_and(|ids| ids.null_count() > 0) {
            return Err(ReadError::damaged(path, "a row has no trace_id"));
        }
        self.reader = Some(reader);
        Ok(Some(mapped))
    }
}

pub(super) fn parquet_error(error: ArrowError) -> ParquetError {
    match error {
        ArrowError::ExternalError(error) => ParquetError::External(error),
        ArrowError::ParquetError(message) => ParquetError::General(message),
        error => ParquetError::General(error.to_string()),
    }
}
