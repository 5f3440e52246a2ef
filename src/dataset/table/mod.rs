//! A table of the dataset, declared once.
//!
//! A table is a type that implements [`Table`], in one file. It states its name, its order and its columns. Everything else follows
//! from that: the Arrow schema, `schemas/*.json`, the batches, the CSV header, the parts and their place in the manifest, and the
//! output of `pathsurvey schema`.
//!
//! [`AnyTable::of`] turns the type into a value, which the writer handles without knowing the type of its rows.

mod arrays;
mod cell;
mod column;
mod nested;
mod rows;
mod schema;

use std::any::TypeId;
use std::sync::Arc;

use super::{RowCounts, RunMeta};
use crate::model::Targets;

pub(super) use arrays::{plain, push_address};
pub use cell::Cell;
pub use column::{Columns, Described};
pub(super) use rows::{Buffer, Order, Rows};
pub use schema::{ColumnSchema, ColumnType, TableSchema};

/// A table of the dataset: its row, its order and its columns.
pub trait Table: Sized + Send + Sync + 'static {
    /// A row. A getter of a column gets its value from it.
    type Row: Send + Sync + 'static;

    /// The value by which the rows of a part are sorted. It must give the order of [`SORT_ORDER`](Table::SORT_ORDER).
    type SortKey: Ord + Copy + Send;

    /// The name, which is also the directory of the parts.
    const NAME: &'static str;

    /// The version of the schema. A new version only adds nullable columns, or makes a column nullable.
    const VERSION: u32;

    /// Says in a few sentences for users what a row is.
    const DESCRIPTION: &'static str;

    /// The columns that identify a row.
    const KEY: &'static [&'static str];

    /// The columns by which the rows of a part are sorted, ascending, with nulls last.
    const SORT_ORDER: &'static [&'static str];

    /// The columns in which readers look up single values, such as a destination. A survey in permuted order spreads their values over
    /// all parts, so statistics rule out no part. Parquet files get Bloom filters for them.
    const LOOKED_UP: &'static [&'static str] = &[];

    /// Declares the columns in their order.
    fn columns(columns: &mut Columns<Self::Row>);

    /// Returns the sort key of a row. Rows with equal keys keep their order.
    fn sort_key(row: &Self::Row) -> Self::SortKey;

    /// Counts a row in the figures of the manifest that rows determine.
    fn count(_row: &Self::Row, _counts: &mut RowCounts) {}

    /// Returns the memory in bytes that a row uses besides its own size.
    fn heap_bytes(_row: &Self::Row) -> usize {
        0
    }
}

/// The facts that all rows of a run share. Getters of columns read them.
pub struct Run {
    /// The facts of the run.
    pub meta: RunMeta,
    /// The run's targets.
    pub targets: Arc<dyn Targets>,
}

/// A [`Table`] as a value, without the type of its rows.
#[derive(Clone)]
pub struct AnyTable(Arc<dyn Erased>);

impl AnyTable {
    /// The table `T`.
    pub fn of<T: Table>() -> Self {
        let mut columns = Columns::default();
        T::columns(&mut columns);
        let schema = TableSchema::new::<T>(columns.schemas());
        AnyTable(Arc::new(Declared::<T> { schema, columns }))
    }

    /// Its schema.
    pub fn schema(&self) -> &TableSchema {
        self.0.schema()
    }

    /// Whether the other table has the same name, or rows of the same type.
    pub(super) fn is_like(&self, other: &AnyTable) -> bool {
        self.schema().name == other.schema().name || self.0.row_type() == other.0.row_type()
    }

    /// An empty buffer for its rows.
    pub(super) fn buffer(&self) -> Box<dyn Rows> {
        Arc::clone(&self.0).buffer()
    }
}

impl std::fmt::Debug for AnyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AnyTable")
            .field(&self.schema().name)
            .finish()
    }
}

trait Erased: Send + Sync {
    fn schema(&self) -> &TableSchema;
    fn row_type(&self) -> TypeId;
    fn buffer(self: Arc<Self>) -> Box<dyn Rows>;
}

/// A table with its columns.
struct Declared<T: Table> {
    schema: TableSchema,
    columns: Columns<T::Row>,
}

impl<T: Table> Erased for Declared<T> {
    fn schema(&self) -> &TableSchema {
        &self.schema
    }

    fn row_type(&self) -> TypeId {
        TypeId::of::<T::Row>()
    }

    fn buffer(self: Arc<Self>) -> Box<dyn Rows> {
        Box::new(Buffer::<T>::new(self))
    }
}
