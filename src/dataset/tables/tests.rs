//! The schemas of the tables, compared with `schemas/*.json`, and with the promise that versions only add columns.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

fn file(table: &str, version: u64) -> PathBuf {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    schemas.join(format!("{table}.v{version}.json"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Set `PATHSURVEY_WRITE_SCHEMAS=1` to write the files.
#[test]
fn the_files_are_what_the_program_prints() {
    for table in of(true) {
        let schema = table.schema();
        let path = file(schema.name, schema.version.into());
        if std::env::var_os("PATHSURVEY_WRITE_SCHEMAS").is_some() {
            std::fs::write(&path, schema.json()).expect("a writable checkout");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == schema.json(),
            "{} differs from the code: set PATHSURVEY_WRITE_SCHEMAS=1 and run this test again",
            path.display()
        );
    }
}

#[test]
fn a_new_version_only_adds_nullable_columns_or_lifts_a_ban_on_nulls() {
    let mut compared = 0;
    for table in of(true) {
        let now = json(&table.schema().json());
        for version in 1..u64::from(table.schema().version) {
            let text = std::fs::read_to_string(file(table.schema().name, version));
            let before = json(&text.expect("the schema of every version is kept"));
            let columns = |schema: &Value| schema["columns"].as_array().cloned().expect("columns");
            let (before, now) = (columns(&before), columns(&now));
            for (old, new) in before.iter().zip(&now) {
                assert_eq!(old["name"], new["name"], "the order of columns stays");
                assert_eq!(old["type"], new["type"], "{}", old["name"]);
                assert_eq!(old["unit"], new["unit"], "{}", old["name"]);
                let may_be_null = |column: &Value| column["nullable"] == true;
                assert!(may_be_null(new) || !may_be_null(old), "{}", old["name"]);
                let values = |column: &Value| column["values"].as_array().cloned();
                for value in values(old).unwrap_or_default() {
                    assert!(
                        values(new).is_some_and(|all| all.contains(&value)),
                        "{value}"
                    );
                }
                compared += 1;
            }
            for added in &now[before.len()..] {
                assert_eq!(added["nullable"], true, "{}", added["name"]);
            }
        }
    }
    assert!(compared >= 85, "{compared} columns");
}

/// Code that joins tables, and that cuts their parts at the same traces, counts on it.
#[test]
fn every_row_has_a_run_and_a_trace_and_is_sorted_by_traces() {
    for table in of(true) {
        let schema = table.schema();
        for name in ["run_id", "trace_id"] {
            let column = schema.columns.iter().find(|column| column.name == name);
            assert_eq!(column.map(|column| column.nullable), Some(false), "{name}");
        }
        assert_eq!(schema.sort_order.first(), Some(&"trace_id"));
    }
}

/// Parts are sealed in this order.
#[test]
fn every_run_has_hops_and_traces_and_a_multipath_run_four_more() {
    let names = |multipath| -> Vec<&str> {
        let tables = of(multipath).iter();
        tables.map(|table| table.schema().name).collect()
    };
    assert_eq!(names(false), ["hops", "traces"]);
    let all = ["hops", "traces", "graphs", "nodes", "links", "diamonds"];
    assert_eq!(names(true), all);
    for name in all {
        assert_eq!(named(name).map(|table| table.schema().name), Some(name));
    }
}

#[test]
fn every_column_is_described_and_every_key_is_a_column() {
    for table in of(true) {
        let schema = table.schema();
        let names: Vec<&str> = schema.columns.iter().map(|column| column.name).collect();
        for name in schema.key.iter().chain(schema.sort_order) {
            assert!(names.contains(name), "{name}");
        }
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len(), "{}", schema.name);
        for column in &schema.columns {
            assert!(column.description.ends_with('.'), "{}", column.name);
        }
    }
}
