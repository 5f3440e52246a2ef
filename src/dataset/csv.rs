//! Comma-separated values: a header, then one line per row. An absent value is an empty cell. A list or a map is JSON in one cell.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;

use super::cells::{push_json, push_scalar};
use super::sink::{Sink, SinkError, Target};
use super::table::TableSchema;

/// The encoder of CSV. The header is passed on with the first batch.
pub(super) struct CsvSink {
    writer: csv::Writer<Target>,
    /// The text of the current cell. The buffer is reused.
    cell: String,
}

impl CsvSink {
    pub(super) fn new(target: Target, table: &TableSchema) -> Result<Self, SinkError> {
        let mut writer = csv::Writer::from_writer(target);
        writer
            .write_record(table.columns.iter().map(|column| column.name))
            .map_err(cause)?;
        Ok(CsvSink {
            writer,
            cell: String::new(),
        })
    }
}

impl Sink for CsvSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                self.cell.clear();
                match column.data_type() {
                    DataType::List(_) | DataType::Map(..) if column.is_null(row) => {}
                    DataType::List(_) | DataType::Map(..) => push_json(&mut self.cell, column, row),
                    _ => push_scalar(&mut self.cell, column, row),
                }
                self.writer.write_field(&self.cell).map_err(cause)?;
            }
            self.writer.write_record(None::<&[u8]>).map_err(cause)?;
        }
        Ok(self.writer.flush()?)
    }

    fn finish(self: Box<Self>) -> Result<Target, SinkError> {
        self.writer
            .into_inner()
            .map_err(|error| error.into_error().into())
    }
}

/// Returns the I/O error inside the encoder's error. The encoder's error does not return it as its source.
fn cause(error: csv::Error) -> SinkError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => format!("{other:?}").into(),
    }
}
