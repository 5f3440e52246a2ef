//! Merges sorted parts of a table into one sorted stream of rows.
//!
//! Guarantees:
//! - Every row of every part comes once. Rows with equal keys come in the order of the parts.
//! - A part that is not in the table's order is an error. Nothing is sorted here.
//! - Memory: a batch of [`BATCH_ROWS`] rows and its pages for each part, and a batch of [`MERGED_ROWS`] rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{SortOptions, interleave_record_batch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use super::CompactError;
use super::job::Job;
use crate::dataset::read::{Part, PartRows, ReadError};
use crate::dataset::table::TableSchema;

/// Rows read from a part at once.
pub(super) const BATCH_ROWS: usize = 1024;
/// Rows of a merged batch.
const MERGED_ROWS: usize = 4096;

/// The merged rows of some parts.
pub(super) struct Merge<'j> {
    job: &'j Job<'j>,
    table: &'static TableSchema,
    sources: Vec<Source>,
    keys: Keys,
}

/// Turns the columns of a table's order into keys that compare as bytes.
struct Keys {
    converter: RowConverter,
    columns: Vec<usize>,
}

/// A part, with the rows that come next.
struct Source {
    rows: PartRows,
    /// `None` at the end of the part.
    batch: Option<Keyed>,
    /// The next row of the batch.
    at: usize,
}

struct Keyed {
    batch: RecordBatch,
    keys: Rows,
}

impl<'j> Merge<'j> {
    /// Opens the parts.
    pub(super) fn open(
        job: &'j Job<'j>,
        table: &'static TableSchema,
        parts: &[Part],
    ) -> Result<Self, CompactError> {
        let schema = Arc::clone(table.arrow());
        let keys = Keys::new(table).map_err(|source| job.cannot_merge(table, source))?;
        let mut sources = Vec::with_capacity(parts.len());
        for part in parts {
            let mut source = Source {
                rows: PartRows::open(part, table.name, &schema, BATCH_ROWS)?,
                batch: None,
                at: 0,
            };
            source
                .refill(&keys)?
                .map_err(|source| job.cannot_merge(table, source))?;
            sources.push(source);
        }
        Ok(Merge {
            job,
            table,
            sources,
            keys,
        })
    }

    /// The next rows. `None` at the end.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, CompactError> {
        let mut taken = Taken::default();
        while taken.rows.len() < MERGED_ROWS {
            let Some((first, second)) = self.least() else {
                break;
            };
            let room = MERGED_ROWS - taken.rows.len();
            let count = self.sources[first].leading(second.map(|at| &self.sources[at]), room);
            let source = &mut self.sources[first];
            if let Some(keyed) = &source.batch {
                taken.add(first, &keyed.batch, source.at, count);
                source.at += count;
                if source.at == keyed.batch.num_rows() {
                    taken.forget(first);
                    source
                        .refill(&self.keys)?
                        .map_err(|source| self.job.cannot_merge(self.table, source))?;
                }
            }
        }
        taken
            .joined()
            .map_err(|source| self.job.cannot_merge(self.table, source))
    }

    /// The source with the least row, and the one with the least row of the others. Of equal rows, that of the earlier source is less.
    fn least(&self) -> Option<(usize, Option<usize>)> {
        let mut found: Option<(usize, Option<usize>)> = None;
        for (at, source) in self.sources.iter().enumerate() {
            let Some(key) = source.key() else {
                continue;
            };
            let less = |than: usize| self.sources[than].key().is_none_or(|other| key < other);
            found = match found {
                None => Some((at, None)),
                Some((first, _)) if less(first) => Some((at, Some(first))),
                Some((first, second)) if second.is_none_or(less) => Some((first, Some(at))),
                known => known,
            };
        }
        found
    }
}

impl Keys {
    fn new(table: &TableSchema) -> Result<Self, ArrowError> {
        let options = SortOptions {
            descending: false,
            nulls_first: false,
        };
        let schema = table.arrow();
        let order = table.sort_order.iter();
        let columns = order
            .map(|name| schema.index_of(name))
            .collect::<Result<Vec<_>, _>>()?;
        let fields = columns
            .iter()
            .map(|at| SortField::new_with_options(schema.field(*at).data_type().clone(), options));
        Ok(Keys {
            converter: RowConverter::new(fields.collect())?,
            columns,
        })
    }

    fn of(&self, batch: &RecordBatch) -> Result<Rows, ArrowError> {
        let columns = self.columns.iter().map(|at| Arc::clone(batch.column(*at)));
        self.converter
            .convert_columns(&columns.collect::<Vec<ArrayRef>>())
    }
}

impl Source {
    /// The key of the next row.
    fn key(&self) -> Option<arrow::row::Row<'_>> {
        let keyed = self.batch.as_ref()?;
        Some(keyed.keys.row(self.at))
    }

    /// Reads the next batch, and checks that its rows are in order.
    fn refill(&mut self, keys: &Keys) -> Result<Result<(), ArrowError>, ReadError> {
        let before = self.batch.take();
        self.at = 0;
        let Some(batch) = self.rows.next_batch()? else {
            return Ok(Ok(()));
        };
        let next = match keys.of(&batch) {
            Ok(next) => next,
            Err(error) => return Ok(Err(error)),
        };
        let last = before
            .as_ref()
            .map(|before| before.keys.row(before.keys.num_rows() - 1));
        let follows = last.is_none_or(|last| last <= next.row(0));
        if !follows || !next.iter().is_sorted() {
            return Err(ReadError::NotSorted(self.rows.path().to_owned()));
        }
        self.batch = Some(Keyed { batch, keys: next });
        Ok(Ok(()))
    }

    /// How many of the next rows come before the next row of `other`: at least 1, at most `room`. `self` has the least row of all.
    fn leading(&self, other: Option<&Source>, room: usize) -> usize {
        let Some(keyed) = &self.batch else {
            return 0;
        };
        let most = room.min(keyed.keys.num_rows() - self.at);
        let Some(limit) = other.and_then(Source::key) else {
            return most;
        };
        let further = (1..most).take_while(|next| keyed.keys.row(self.at + next) < limit);
        1 + further.count()
    }
}

/// Rows of some batches, in their new order.
#[derive(Default)]
struct Taken {
    batches: Vec<RecordBatch>,
    /// The batch of each source in `batches`.
    of_source: Vec<Option<usize>>,
    /// Batch and row.
    rows: Vec<(usize, usize)>,
}

impl Taken {
    fn add(&mut self, source: usize, batch: &RecordBatch, start: usize, count: usize) {
        if self.of_source.len() <= source {
            self.of_source.resize(source + 1, None);
        }
        let at = *self.of_source[source].get_or_insert_with(|| {
            self.batches.push(batch.clone());
            self.batches.len() - 1
        });
        self.rows
            .extend((start..start + count).map(|row| (at, row)));
    }

    /// The next rows of this source are in another batch.
    fn forget(&mut self, source: usize) {
        self.of_source[source] = None;
    }

    fn joined(self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        interleave_record_batch(&batches, &self.rows).map(Some)
    }
}
