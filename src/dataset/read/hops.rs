//! Joins the hops of a trace, in their order.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, PrimitiveArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{ArrowPrimitiveType, Int16Type, Int32Type, Int64Type, Schema, SchemaRef};

use super::row::{RowError, Rows};

/// The column that joins hops and traces.
pub(super) const TRACE_ID: &str = "trace_id";

/// The columns that order the rows of a trace.
pub(super) const ORDER: [&str; 5] = ["ttl", "round", "attempt", "reply_index", "probe_id"];

/// Rows of a batch that belong together.
pub(super) type Slice = (Arc<RecordBatch>, Range<usize>);

/// Adds the columns that `names` lacks of `needed`.
pub(super) fn with_columns(names: &[&str], needed: &[&str]) -> Vec<String> {
    let missing = needed.iter().filter(|name| !names.contains(name));
    let all = names.iter().chain(missing);
    all.map(|name| (*name).to_owned()).collect()
}

/// Joins rows of hops, and sorts them by (ttl, round, attempt, reply_index, probe_id) with nulls last. Files have the same order without
/// `round`. A further round counts attempts from 1 again, so its rows stand between those of the first round there.
pub(super) struct Joiner {
    schema: SchemaRef,
    order: [usize; 5],
}

impl Joiner {
    /// For batches with these columns.
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, RowError> {
        let mut order = [0; 5];
        for (at, name) in order.iter_mut().zip(ORDER) {
            *at = index(schema, name)?;
        }
        Ok(Joiner {
            schema: Arc::clone(schema),
            order,
        })
    }

    /// All rows of the slices in order.
    pub(super) fn join(&self, mut slices: Vec<Slice>) -> Result<Rows, RowError> {
        let rows = match slices.len() {
            0 => Rows::new(RecordBatch::new_empty(Arc::clone(&self.schema))),
            1 => {
                let (batch, range) = slices.remove(0);
                Rows::within(&batch, range)
            }
            _ => {
                let parts = slices
                    .iter()
                    .map(|(batch, range)| batch.slice(range.start, range.len()));
                let parts: Vec<RecordBatch> = parts.collect();
                let joined = concat_batches(&self.schema, &parts);
                // Texts of one column may be longer together than a batch can hold.
                Rows::new(joined.map_err(|error| RowError::CannotJoin(error.to_string()))?)
            }
        };
        self.sorted(rows)
    }

    fn sorted(&self, rows: Rows) -> Result<Rows, RowError> {
        let (batch, range) = rows.slice();
        let [ttl, round, attempt, reply_index, probe_id] = self.order;
        let ttl = typed::<Int16Type>(batch, ttl)?;
        let round = typed::<Int32Type>(batch, round)?;
        let attempt = typed::<Int16Type>(batch, attempt)?;
        let reply_index = typed::<Int16Type>(batch, reply_index)?;
        let probe_id = typed::<Int64Type>(batch, probe_id)?;
        let key = |row: usize| {
            (
                (ttl.is_null(row), ttl.value(row)),
                round.value(row),
                attempt.value(row),
                reply_index.value(row),
                (probe_id.is_null(row), probe_id.value(row)),
            )
        };
        if range.clone().is_sorted_by_key(key) {
            return Ok(rows);
        }
        let mut order: Vec<usize> = range.clone().collect();
        order.sort_by_key(|row| key(*row));
        let order: UInt32Array = order.into_iter().map(|row| row as u32).collect();
        let sorted = take_record_batch(batch, &order);
        let sorted = sorted.map_err(|error| RowError::CannotJoin(error.to_string()))?;
        Ok(Rows::new(sorted))
    }
}

/// The column `trace_id` of a batch.
pub(in crate::dataset) fn trace_ids(batch: &RecordBatch) -> Result<&Int64Array, RowError> {
    typed::<Int64Type>(batch, index(batch.schema_ref(), TRACE_ID)?)
}

fn index(schema: &Schema, name: &str) -> Result<usize, RowError> {
    schema
        .index_of(name)
        .map_err(|_| RowError::NoColumn(name.to_owned()))
}

fn typed<T: ArrowPrimitiveType>(
    batch: &RecordBatch,
    at: usize,
) -> Result<&PrimitiveArray<T>, RowError> {
    let column = batch.column(at);
    column
        .as_primitive_opt::<T>()
        .ok_or_else(|| RowError::OtherKind {
            column: batch.schema_ref().field(at).name().clone(),
            data_type: column.data_type().to_string(),
            wanted: "of the type in the schema",
        })
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int16Array, Int32Array};

    use super::*;

    fn rows(further: ArrayRef) -> RecordBatch {
        let column = |name| match name {
            "round" => Arc::new(Int32Array::from(vec![0])) as ArrayRef,
            "probe_id" => Arc::new(Int64Array::from(vec![1])),
            _ => Arc::new(Int16Array::from(vec![1])),
        };
        let columns = ORDER.map(|name| (name, column(name)));
        RecordBatch::try_from_iter(columns.into_iter().chain([("further", further)])).unwrap()
    }

    /// Texts of more than 2 GiB fail in the same way, but take that memory.
    #[test]
    fn rows_that_cannot_be_joined_are_an_error() {
        let first = rows(Arc::new(Int16Array::from(vec![1])));
        let second = rows(Arc::new(Int32Array::from(vec![1])));
        let joiner = Joiner::new(first.schema_ref()).unwrap();
        let slices = [first, second].map(|batch| (Arc::new(batch), 0..1));
        let error = joiner.join(slices.into()).unwrap_err();
        assert!(matches!(error, RowError::CannotJoin(_)), "{error}");
    }
}
