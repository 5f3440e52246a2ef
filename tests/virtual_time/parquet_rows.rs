//! Tables of a dataset, read back from their Parquet parts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A whole table in memory, its parts in the order of their names.
pub struct Table(RecordBatch);

impl Table {
    /// Reads the table `name` of the dataset in `root`.
    pub fn read(root: &Path, name: &str) -> Self {
        let mut parts = files(&root.join(name));
        parts.sort();
        let batches: Vec<RecordBatch> = parts
            .iter()
            .flat_map(|part| {
                let file = File::open(part).expect("a part");
                let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
                let reader = builder.build().expect("a reader");
                reader
                    .map(|batch| batch.expect("a batch"))
                    .collect::<Vec<_>>()
            })
            .collect();
        let schema = batches.first().expect("rows").schema();
        Table(concat_batches(&schema, &batches).expect("one schema"))
    }

    pub fn rows(&self) -> usize {
        self.0.num_rows()
    }

    fn column(&self, name: &str) -> &dyn Array {
        let column = self.0.column_by_name(name);
        column.unwrap_or_else(|| panic!("no column {name}"))
    }

    pub fn text(&self, name: &str, row: usize) -> Option<&str> {
        let column = self.column(name).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row))
    }

    pub fn flag(&self, name: &str, row: usize) -> bool {
        self.column(name).as_boolean().value(row)
    }

    /// A number of any of the widths that tables have; a time in microseconds.
    pub fn number(&self, name: &str, row: usize) -> Option<i64> {
        let column = self.column(name);
        column.is_valid(row).then(|| {
            if let Some(column) = column.as_primitive_opt::<Int16Type>() {
                i64::from(column.value(row))
            } else if let Some(column) = column.as_primitive_opt::<Int32Type>() {
                i64::from(column.value(row))
            } else if let Some(column) = column.as_primitive_opt::<Int64Type>() {
                column.value(row)
            } else {
                column.as_primitive::<TimestampMicrosecondType>().value(row)
            }
        })
    }

    /// A list of texts; `None` where the column is null.
    pub fn texts(&self, name: &str, row: usize) -> Option<Vec<String>> {
        let column = self.column(name).as_list::<i32>();
        column.is_valid(row).then(|| {
            let list = column.value(row);
            let texts = list.as_string::<i32>().iter();
            texts.map(|text| text.expect("a text").to_owned()).collect()
        })
    }

    /// Labels and their TTLs, top first; `None` where the column is null.
    pub fn mpls(&self, row: usize) -> Option<Vec<(i32, i16)>> {
        let column = self.column("mpls").as_list::<i32>();
        column.is_valid(row).then(|| {
            let stack = column.value(row);
            let stack = stack.as_struct();
            let labels = stack.column_by_name("label").expect("labels");
            let ttls = stack.column_by_name("ttl").expect("TTLs");
            let labels = labels.as_primitive::<Int32Type>().values().iter();
            let ttls = ttls.as_primitive::<Int16Type>().values().iter();
            labels.copied().zip(ttls.copied()).collect()
        })
    }
}

/// Every file below `root`.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
