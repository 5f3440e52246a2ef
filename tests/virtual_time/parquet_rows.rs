//! Tables of a dataset, read back from their Parquet parts.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use pathsurvey::dataset::read::{Dataset, Row, Rows};

/// A whole table in memory, its parts in the order of writing.
pub struct Table(Rows);

impl Table {
    /// Reads the table `name` of the dataset in `root`.
    pub fn read(root: &Path, name: &str) -> Self {
        let dataset = Dataset::open(root).expect("a dataset");
        let batches = dataset.scan(name).batches().expect("a table");
        let schema = batches.schema().clone();
        let batches: Result<Vec<RecordBatch>, _> = batches.collect();
        let batches = batches.expect("whole parts");
        Table(Rows::new(
            concat_batches(&schema, &batches).expect("one schema"),
        ))
    }

    pub fn rows(&self) -> usize {
        self.0.len()
    }

    fn row(&self, row: usize) -> Row<'_> {
        self.0.get(row).expect("a row")
    }

    pub fn text(&self, name: &str, row: usize) -> Option<&str> {
        self.row(row).text(name).unwrap()
    }

    pub fn flag(&self, name: &str, row: usize) -> bool {
        self.row(row).bool(name).unwrap().expect("a value")
    }

    /// A number of any of the widths that tables have; a time in microseconds.
    pub fn number(&self, name: &str, row: usize) -> Option<i64> {
        let row = self.row(row);
        match row.time(name) {
            Ok(time) => time.map(|time| time.as_micros()),
            Err(_) => row.int(name).unwrap(),
        }
    }

    /// A list of texts; `None` where the column is null.
    pub fn texts(&self, name: &str, row: usize) -> Option<Vec<String>> {
        let texts = self.row(row).texts(name).unwrap()?;
        Some(
            texts
                .into_iter()
                .map(|text| text.expect("a text"))
                .collect(),
        )
    }

    /// Labels and their TTLs, top first; `None` where the column is null.
    pub fn mpls(&self, row: usize) -> Option<Vec<(i32, i16)>> {
        let stack = self.row(row).list("mpls").unwrap()?;
        let number = |label: &Row, name| label.int(name).unwrap().expect("a value");
        let labels = stack
            .iter()
            .map(|label| (number(&label, "label") as i32, number(&label, "ttl") as i16));
        Some(labels.collect())
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
