//! A row group that is being encoded.
//!
//! Guarantees:
//! - The columns have the bytes that `ArrowWriter` of the `parquet` crate would write.
//! - A text that all rows share takes no work per row: see [`repeated`](super::repeated).
//!
//! It leaves out the limits of a row group. The file compares them with [`rows`](RowGroup::rows) and [`bytes`](RowGroup::bytes).

use std::io::Write;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::repeated::Repeated;

/// The rows of a row group.
pub(super) struct RowGroup {
    schema: SchemaRef,
    /// One for each field of the schema.
    columns: Vec<Column>,
    rows: usize,
}

/// A column, which is a field of the schema.
struct Column {
    /// One for each leaf column.
    encoders: Vec<ArrowColumnWriter>,
    /// All rows so far, while they are only counted. The encoders have no rows yet.
    repeated: Option<Repeated>,
}

impl RowGroup {
    /// Starts the next row group of `file`, without rows.
    pub(super) fn new<W: Write + Send>(
        file: &SerializedFileWriter<W>,
        factory: &ArrowRowGroupWriterFactory,
        schema: &SchemaRef,
    ) -> Result<Self, ParquetError> {
        let encoders = factory.create_column_writers(file.flushed_row_groups().len())?;
        let leaves = file.schema_descr();
        let mut columns: Vec<Column> = Vec::with_capacity(schema.fields().len());
        for (leaf, encoder) in encoders.into_iter().enumerate() {
            match columns.get_mut(leaves.get_column_root_idx(leaf)) {
                Some(column) => {
                    column.encoders.push(encoder);
                    column.repeated = None;
                }
                None => columns.push(Column {
                    encoders: vec![encoder],
                    repeated: Repeated::new(&leaves.column(leaf), file.properties()),
                }),
            }
        }
        Ok(RowGroup {
            schema: SchemaRef::clone(schema),
            columns,
            rows: 0,
        })
    }

    /// Adds the rows of a batch.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let fields = self.schema.fields().iter();
        let arrays = fields.zip(batch.columns());
        for (column, (field, array)) in self.columns.iter_mut().zip(arrays) {
            column.write(field, array)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The number of bytes in the file, as far as it is known. Columns that are only counted take next to nothing.
    pub(super) fn bytes(&self) -> usize {
        let encoders = self.columns.iter().flat_map(|column| &column.encoders);
        encoders
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum()
    }

    /// The fields whose rows are only counted so far.
    #[cfg(test)]
    pub(super) fn counted(&self) -> impl Iterator<Item = &Field> {
        let columns = self.schema.fields().iter().zip(&self.columns);
        let counted = columns.filter(|(_, column)| column.repeated.is_some());
        counted.map(|(field, _)| field.as_ref())
    }

    /// Appends the row group to the file.
    pub(super) fn append_to<W: Write + Send>(
        self,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<(), ParquetError> {
        let mut group = file.next_row_group()?;
        for column in self.columns {
            let counted = column.repeated.map(|rows| rows.chunk()).transpose()?;
            match counted.flatten() {
                Some((bytes, facts)) => group.append_column(&bytes, facts)?,
                None => {
                    for encoder in column.encoders {
                        encoder.close()?.append_to_row_group(&mut group)?;
                    }
                }
            }
        }
        group.close()?;
        Ok(())
    }
}

impl Column {
    fn write(&mut self, field: &Field, array: &ArrayRef) -> Result<(), ParquetError> {
        if let Some(repeated) = &mut self.repeated {
            if repeated.count(array) {
                return Ok(());
            }
            for encoder in &mut self.encoders {
                repeated.replay(field, encoder)?;
            }
            self.repeated = None;
        }
        for (encoder, leaf) in self.encoders.iter_mut().zip(compute_leaves(field, array)?) {
            encoder.write(&leaf)?;
        }
        Ok(())
    }
}
