//! A dataset directory read back as plain values.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

/// What a survey wrote.
pub struct Dataset {
    pub manifest: Value,
    pub hops: Vec<Value>,
    pub traces: Vec<Value>,
}

impl Dataset {
    pub fn read(directory: &Path) -> Self {
        let text = std::fs::read(directory.join("manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&text).unwrap();
        let rows = |table: &str| {
            let parts = manifest["tables"][table]["parts"].as_array().unwrap();
            let paths = parts
                .iter()
                .map(|part| directory.join(part["path"].as_str().unwrap()));
            paths.flat_map(|path| rows_of(&path)).collect()
        };
        Dataset {
            hops: rows("hops"),
            traces: rows("traces"),
            manifest,
        }
    }
}

fn rows_of(path: &Path) -> Vec<Value> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| object(&row.unwrap())).collect()
}

fn object(row: &Row) -> Value {
    let columns = row.get_column_iter();
    Value::Object(
        columns
            .map(|(name, field)| (name.clone(), value(field)))
            .collect::<Map<String, Value>>(),
    )
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) | Field::TimestampMicros(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.as_str().into(),
        Field::Bytes(value) => value.data().into(),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter();
            entries
                .map(|(key, of)| (key.to_string(), value(of)))
                .collect()
        }
        other => panic!("no reader for {other:?}"),
    }
}
