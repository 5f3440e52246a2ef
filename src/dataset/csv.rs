//! Comma-separated values: a header, then one line per row. An absent value is an empty cell. A list or a map is JSON in one cell.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};

use super::cells::push_scalar;
use super::json;
use super::sink::{Sink, SinkError, Target};
use super::table::TableSchema;

/// The encoder of CSV. The header is passed on with the first batch.
pub(super) struct CsvSink {
    writer: csv::Writer<Target>,
    /// The text of the current cell. The buffers are reused.
    text: String,
    json: Vec<u8>,
    options: EncoderOptions,
}

impl CsvSink {
    pub(super) fn new(target: Target, table: &TableSchema) -> Result<Self, SinkError> {
        let mut writer = csv::Writer::from_writer(target);
        writer
            .write_record(table.columns.iter().map(|column| column.name))
            .map_err(cause)?;
        Ok(CsvSink {
            writer,
            text: String::new(),
            json: Vec::new(),
            options: json::options(),
        })
    }
}

/// A column of a batch, as its cells are written.
enum Cells<'a> {
    Plain(&'a dyn Array),
    Json(NullableEncoder<'a>),
}

impl<'a> Cells<'a> {
    fn of(
        field: &'a FieldRef,
        column: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        Ok(match column.data_type() {
            DataType::List(_) | DataType::Map(..) => {
                Cells::Json(make_encoder(field, column, options)?)
            }
            _ => Cells::Plain(column),
        })
    }
}

impl Sink for CsvSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let schema = batch.schema_ref();
        let columns = schema.fields().iter().zip(batch.columns());
        let mut columns = columns
            .map(|(field, column)| Cells::of(field, column, &self.options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            for column in &mut columns {
                self.text.clear();
                self.json.clear();
                let cell = match column {
                    Cells::Json(encoder) => {
                        if !encoder.is_null(row) {
                            encoder.encode(row, &mut self.json);
                        }
                        &self.json
                    }
                    Cells::Plain(column) => {
                        push_scalar(&mut self.text, *column, row);
                        self.text.as_bytes()
                    }
                };
                self.writer.write_field(cell).map_err(cause)?;
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
