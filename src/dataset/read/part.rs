//! The rows of one part, for programs that put parts together.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::file::{Indexes, PartFile, guarded};
use super::group::parquet_error;
use super::schema::Mapping;
use super::{Part, ReadError};

/// The rows of a part in the order of its file.
pub(in crate::dataset) struct PartRows {
    file: PartFile,
    mapping: Mapping,
    /// `None` at the end and after an error.
    reader: Option<ParquetRecordBatchReader>,
    /// The rows that the reader still has to return.
    left: u64,
}

impl PartRows {
    /// Opens a part of `table`. Every batch has the columns `schema` and at most `batch_rows` rows. Nullable columns that the file lacks are
    /// null.
    ///
    /// # Errors
    /// [`ReadError::ColumnsDiffer`] if the file has a column that `schema` lacks, [`ReadError::TypesDisagree`], and errors of the file.
    pub(in crate::dataset) fn open(
        part: &Part,
        table: &str,
        schema: &SchemaRef,
        batch_rows: usize,
    ) -> Result<Self, ReadError> {
        let file = PartFile::open(part, table, &Indexes::default())?;
        let mut columns = file.schema().fields().iter();
        if let Some(unknown) = columns.find(|field| schema.index_of(field.name()).is_err()) {
            return Err(ReadError::ColumnsDiffer {
                path: part.path().to_owned(),
                column: unknown.name().clone(),
            });
        }
        let mapping = Mapping::new(schema, &file)?;
        let builder = file
            .reader()
            .with_batch_size(batch_rows)
            .with_projection(file.mask(&mapping.wanted));
        let reader = guarded(file.path(), || builder.build())?;
        Ok(PartRows {
            file,
            mapping,
            reader: Some(reader),
            left: part.listed().rows,
        })
    }

    /// The file.
    pub(in crate::dataset) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The next batch, which is not empty. `None` at the end and after an error.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] and [`ReadError::File`].
    pub(in crate::dataset) fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        let path = self.file.path();
        while let Some(mut reader) = self.reader.take() {
            let batch = guarded(path, || {
                let batch = reader.next().transpose().map_err(parquet_error)?;
                Ok(batch.map(|batch| (reader, batch)))
            })?;
            let Some((reader, batch)) = batch else {
                // The decoder ends without an error if the pages have too few rows.
                return match self.left {
                    0 => Ok(None),
                    left => Err(ReadError::damaged(path, format!("{left} rows are missing"))),
                };
            };
            self.reader = Some(reader);
            if batch.num_rows() > 0 {
                self.left = self.left.saturating_sub(batch.num_rows() as u64);
                let mapped = self.mapping.apply(&batch);
                return mapped
                    .map(Some)
                    .map_err(|error| ReadError::damaged(path, error));
            }
        }
        Ok(None)
    }
}
