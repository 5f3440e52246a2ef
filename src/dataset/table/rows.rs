//! Rows of a table that wait to be written.

use std::any::Any;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use rayon::slice::ParallelSliceMut;

use super::{Declared, Run, Table};
use crate::dataset::RowCounts;

/// Rows encoded at once. Their records and columns fit a core's cache.
pub(super) const BATCH_ROWS: usize = 1024;

/// With at least this many rows, a second core pays off for sorting.
const PARALLEL_FROM: usize = 100_000;

/// The order in which a buffer passes on its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataset) enum Order {
    /// As they came.
    Arrival,
    /// By the sort key of the table.
    Sorted,
}

/// A buffer of rows, without their type. Cast to `dyn Any`, it is a [`Buffer`].
pub(in crate::dataset) trait Rows: Any + Send + Sync {
    /// The number of rows.
    fn len(&self) -> usize;

    /// The memory of the rows in bytes, with everything that they point to.
    fn bytes(&self) -> usize;

    /// Counts of the rows.
    fn counts(&self) -> &RowCounts;

    /// Adds a row. Returns the row if it belongs to another table.
    fn push_any(&mut self, row: Box<dyn Any + Send>) -> Result<(), Box<dyn Any + Send>>;

    /// Moves all rows into a buffer of their own.
    fn take(&mut self) -> Box<dyn Rows>;

    /// The rows as batches. Text is in dictionaries.
    fn batches<'a>(
        &'a self,
        run: &'a Run,
        order: Order,
    ) -> Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + 'a>;
}

/// A buffer of rows of the table `T`.
pub(in crate::dataset) struct Buffer<T: Table> {
    table: Arc<Declared<T>>,
    rows: Vec<T::Row>,
    heap_bytes: usize,
    counts: RowCounts,
}

impl<T: Table> Buffer<T> {
    pub(super) fn new(table: Arc<Declared<T>>) -> Self {
        Buffer {
            table,
            rows: Vec::new(),
            heap_bytes: 0,
            counts: RowCounts::default(),
        }
    }

    #[inline]
    pub(in crate::dataset) fn push(&mut self, row: T::Row) {
        self.heap_bytes += T::heap_bytes(&row);
        T::count(&row, &mut self.counts);
        self.rows.push(row);
    }

    fn ordered(&self, order: Order) -> Vec<&T::Row> {
        match order {
            Order::Arrival => self.rows.iter().collect(),
            Order::Sorted => sorted::<T>(&self.rows),
        }
    }
}

impl<T: Table> Rows for Buffer<T> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.rows.len() * size_of::<T::Row>() + self.heap_bytes + self.counts.bytes()
    }

    fn counts(&self) -> &RowCounts {
        &self.counts
    }

    fn push_any(&mut self, row: Box<dyn Any + Send>) -> Result<(), Box<dyn Any + Send>> {
        let row = row.downcast::<T::Row>()?;
        self.push(*row);
        Ok(())
    }

    fn take(&mut self) -> Box<dyn Rows> {
        Box::new(Buffer::<T> {
            table: Arc::clone(&self.table),
            rows: std::mem::take(&mut self.rows),
            heap_bytes: std::mem::take(&mut self.heap_bytes),
            counts: std::mem::take(&mut self.counts),
        })
    }

    fn batches<'a>(
        &'a self,
        run: &'a Run,
        order: Order,
    ) -> Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + 'a> {
        let ordered = self.ordered(order);
        let table = &self.table;
        let starts = (0..ordered.len()).step_by(BATCH_ROWS);
        Box::new(starts.map(move |start| {
            let end = ordered.len().min(start + BATCH_ROWS);
            let schema = table.schema.built();
            table.columns.batch(&ordered[start..end], run, schema)
        }))
    }
}

/// References to `rows` by the sort key of the table. Rows with equal keys keep their order, so the same input gives the same output.
fn sorted<T: Table>(rows: &[T::Row]) -> Vec<&T::Row> {
    let mut keyed: Vec<(T::SortKey, u32)> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| (T::sort_key(row), at as u32))
        .collect();
    if keyed.len() >= PARALLEL_FROM {
        keyed.par_sort_unstable();
    } else {
        keyed.sort_unstable();
    }
    keyed
        .into_iter()
        .map(|(_, at)| &rows[at as usize])
        .collect()
}
