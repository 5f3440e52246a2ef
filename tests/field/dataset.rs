//! A dataset directory read back as plain values.

use std::path::Path;

use pathsurvey::dataset::read::{self, Rows};
use serde_json::Value;

/// What a survey wrote.
pub struct Dataset {
    pub manifest: Value,
    pub hops: Vec<Value>,
    pub traces: Vec<Value>,
}

impl Dataset {
    pub fn read(directory: &Path) -> Self {
        let path = directory.join("manifest.json");
        let manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let dataset = read::Dataset::open(directory).expect("a dataset");
        let latest = dataset.only(|run| manifest["run_id"] == run.id());
        Dataset {
            hops: rows(&latest, "hops"),
            traces: rows(&latest, "traces"),
            manifest,
        }
    }
}

/// The rows of a table as objects; times in microseconds.
fn rows(dataset: &read::Dataset, table: &str) -> Vec<Value> {
    let batches = dataset.scan(table).batches().expect("a table");
    let rows = batches.flat_map(|batch| {
        let rows = Rows::new(batch.expect("a whole part"));
        rows.iter().map(|row| row.to_json()).collect::<Vec<_>>()
    });
    rows.collect()
}
