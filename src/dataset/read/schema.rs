//! One schema for files of several versions.
//!
//! The columns of the newest version come first, in its order. Columns that only older versions have follow, then those that this program
//! declares and no file has. A column that a file lacks is nullable, and null in its rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::ReadError;
use super::error::nearest;
use super::file::PartFile;

/// A file's columns, with the version of its schema.
pub(super) struct Version {
    pub version: u32,
    pub path: PathBuf,
    pub schema: SchemaRef,
}

/// The union of the files' columns.
pub(super) fn union(mut files: Vec<Version>) -> Result<Schema, ReadError> {
    files.sort_by_key(|file| std::cmp::Reverse(file.version));
    let mut fields: Vec<Field> = Vec::new();
    for (at, Version { path, schema, .. }) in files.iter().enumerate() {
        for field in &mut fields {
            if schema.index_of(field.name()).is_err() {
                *field = field.clone().with_nullable(true);
            }
        }
        for field in schema.fields() {
            match fields.iter_mut().find(|known| known.name() == field.name()) {
                Some(known) => {
                    check_type(known, field, path)?;
                    let nullable = known.is_nullable() || field.is_nullable();
                    *known = known.clone().with_nullable(nullable);
                }
                None => {
                    let nullable = field.is_nullable() || at > 0;
                    fields.push(Field::clone(field).with_nullable(nullable));
                }
            }
        }
    }
    Ok(Schema::new(fields))
}

/// Adds the columns that this version declares and no file has. They are null in all rows, so code for the newest version reads old files.
pub(super) fn with_declared(found: Schema, declared: &Schema) -> Schema {
    let missing: Vec<Field> = declared
        .fields()
        .iter()
        .filter(|field| found.index_of(field.name()).is_err())
        .map(|field| Field::clone(field).with_nullable(true))
        .collect();
    let mut fields: Vec<Field> = found.fields().iter().map(|f| Field::clone(f)).collect();
    fields.extend(missing);
    Schema::new(fields)
}

/// Compares the type of a column in the file `path` with the expected one.
pub(super) fn check_type(expected: &Field, found: &Field, path: &Path) -> Result<(), ReadError> {
    if expected.data_type() == found.data_type() {
        return Ok(());
    }
    Err(ReadError::TypesDisagree {
        column: found.name().clone(),
        path: path.to_owned(),
        found: found.data_type().to_string(),
        expected: expected.data_type().to_string(),
    })
}

/// The index of a column.
pub(super) fn column(table: &str, schema: &Schema, name: &str) -> Result<usize, ReadError> {
    schema.index_of(name).map_err(|_| ReadError::NoColumn {
        table: table.to_owned(),
        column: name.to_owned(),
        nearest: nearest(
            name,
            schema.fields().iter().map(|field| field.name().as_str()),
        ),
    })
}

/// The places of some columns among the leaves of a schema, as Parquet counts them.
pub(super) fn places(schema: &Schema, names: &[&str]) -> Vec<usize> {
    let mut next = 0;
    let mut places = Vec::new();
    for field in schema.fields() {
        if names.contains(&field.name().as_str()) {
            places.push(next);
        }
        next += leaves(field.data_type());
    }
    places
}

fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(members) => members.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(child) | DataType::Map(child, _) => leaves(child.data_type()),
        _ => 1,
    }
}

/// How a file's columns become those of a scan.
pub(super) struct Mapping {
    schema: SchemaRef,
    /// The columns to read from the file, by index.
    pub wanted: Vec<usize>,
    /// For every column of the scan: its place among the wanted ones, in the order of the file.
    sources: Vec<Option<usize>>,
}

impl Mapping {
    /// The columns `schema` of a scan, out of `file`.
    pub(super) fn new(schema: &SchemaRef, file: &PartFile) -> Result<Self, ReadError> {
        let mut found = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let at = file.schema().index_of(field.name()).ok();
            if let Some(at) = at {
                check_type(field, file.schema().field(at), file.path())?;
            }
            found.push(at);
        }
        let mut wanted: Vec<usize> = found.iter().flatten().copied().collect();
        wanted.sort_unstable();
        // A scan may name a column twice. The file's batches have it once.
        wanted.dedup();
        let place = |at: usize| wanted.binary_search(&at).ok();
        Ok(Mapping {
            schema: Arc::clone(schema),
            sources: found.into_iter().map(|at| at.and_then(place)).collect(),
            wanted,
        })
    }

    /// The rows of a file as rows of the scan.
    pub(super) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        let fields = self.schema.fields().iter();
        let columns = fields
            .zip(&self.sources)
            .map(|(field, source)| match source {
                Some(at) => Arc::clone(batch.column(*at)),
                None => new_null_array(field.data_type(), rows),
            });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect(), &options)
    }
}
