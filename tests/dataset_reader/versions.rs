//! Files of several schema versions side by side.

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use pathsurvey::dataset::read::Filter;

use super::*;

/// A batch with a column replaced, added or (without values) removed.
fn with_column(batch: &RecordBatch, name: &str, values: Option<ArrayRef>) -> RecordBatch {
    let schema = batch.schema();
    let mut fields: Vec<Field> = schema.fields().iter().map(|f| Field::clone(f)).collect();
    let mut columns = batch.columns().to_vec();
    if let Ok(at) = schema.index_of(name) {
        fields.remove(at);
        columns.remove(at);
    }
    if let Some(values) = values {
        fields.insert(3, Field::new(name, values.data_type().clone(), true));
        columns.insert(3, values);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Two runs. The second has another version of hops, in which `change` was made.
fn two_versions(change: impl Fn(&RecordBatch) -> RecordBatch) -> (tempfile::TempDir, Dataset) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    run(root, "run-1", "fra-1", 0..8);
    run(root, "run-2", "fra-1", 8..16);
    for path in parts(root, "hops") {
        if path.display().to_string().contains("run-2") {
            write_part(&path, "hops", &change(&batch_of(&path)), 1000, 1000);
        }
    }
    change_manifest(root, |value| {
        value["tables"]["hops"]["schema_version"] = 99.into();
    });
    relist(root);
    let dataset = Dataset::open(root).unwrap();
    (directory, dataset)
}

fn asn(batch: &RecordBatch) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(
        (0..batch.num_rows() as i64).map(|row| 64_500 + row % 3),
    ))
}

#[test]
fn columns_are_the_union_and_missing_ones_are_null() {
    let (_directory, dataset) = two_versions(|batch| {
        let newer = with_column(batch, "responder_asn", Some(asn(batch)));
        with_column(&newer, "inferred_from", None)
    });
    let schema = dataset.scan("hops").schema().unwrap();
    assert_eq!(
        schema.index_of("responder_asn").unwrap(),
        3,
        "the newest version's order"
    );
    assert!(
        schema
            .field_with_name("responder_asn")
            .unwrap()
            .is_nullable()
    );
    assert_eq!(
        schema.fields().last().unwrap().name(),
        "inferred_from",
        "columns of older versions last"
    );
    let rows = all(dataset.scan("hops"));
    assert_eq!(rows.len(), 256);
    for row in &rows {
        let newer = row["run_id"] == "run-2";
        assert_eq!(row["responder_asn"].is_null(), !newer);
        assert_eq!(
            row["destination"]
                .as_str()
                .map(|text| text.starts_with("198.18")),
            Some(true)
        );
    }
    let few = all(dataset.scan("hops").columns(&["responder_asn", "ttl"]));
    assert_eq!(
        few.iter()
            .filter(|row| row["responder_asn"] == 64_501)
            .count(),
        42
    );
}

#[test]
fn a_filter_on_a_column_that_some_files_lack_sees_nulls_there() {
    let (_directory, dataset) =
        two_versions(|batch| with_column(batch, "responder_asn", Some(asn(batch))));
    let count = |filter| all(dataset.scan("hops").columns(&["ttl"]).filter(filter)).len();
    assert_eq!(count(Filter::is_null("responder_asn")), 128);
    assert_eq!(count(Filter::is_present("responder_asn")), 128);
    assert_eq!(count(Filter::equals("responder_asn", 64_501)), 42);
    let either =
        Filter::equals("responder_asn", 64_501).or(Filter::equals("destination", address(2)));
    assert_eq!(count(either), 42 + 16);
}

#[test]
fn types_that_disagree_are_named() {
    let (_directory, dataset) = two_versions(|batch| {
        let ttl = Int32Array::from_iter_values((0..batch.num_rows()).map(|_| 7));
        with_column(batch, "ttl", Some(Arc::new(ttl)))
    });
    let error = try_all(dataset.scan("hops")).unwrap_err();
    assert!(matches!(&error, ReadError::TypesDisagree { column, .. } if column == "ttl"));
    let error = error.to_string();
    assert!(
        error.contains("run-1") && error.contains("Int16") && error.contains("Int32"),
        "{error}"
    );
    // One version alone can be read.
    let newer = dataset.only(|run| run.id() == "run-2");
    assert_eq!(
        newer
            .scan("hops")
            .schema()
            .unwrap()
            .field_with_name("ttl")
            .unwrap()
            .data_type(),
        &DataType::Int32
    );
}

#[test]
fn a_part_unlike_the_others_of_its_run_is_named() {
    let (directory, _) = dataset(20);
    let path = parts(directory.path(), "hops").remove(1);
    let batch = batch_of(&path);
    let names = StringArray::from_iter_values((0..batch.num_rows()).map(|_| "x"));
    write_part(
        &path,
        "hops",
        &with_column(&batch, "note", Some(Arc::new(names))),
        1000,
        1000,
    );
    relist(directory.path());
    let dataset = Dataset::open(directory.path()).unwrap();
    let error = try_all(dataset.scan("hops")).unwrap_err();
    assert!(
        matches!(&error, ReadError::ColumnsDiffer { column, .. } if column == "note"),
        "{error}"
    );
    assert_eq!(all(dataset.scan("hops").columns(&["ttl"])).len(), 320);
}

#[test]
fn a_filtered_column_of_another_type_is_named_in_every_part() {
    let (directory, _) = dataset(20);
    let path = parts(directory.path(), "hops").remove(1);
    let batch = batch_of(&path);
    write_part(
        &path,
        "hops",
        &with_column(&batch, "destination", Some(asn(&batch))),
        1000,
        1000,
    );
    relist(directory.path());
    let dataset = Dataset::open(directory.path()).unwrap();
    let scan = dataset.scan("hops").columns(&["ttl"]);
    assert_eq!(all(scan.clone()).len(), 320);
    let error = try_all(scan.filter(Filter::equals("destination", address(1)))).unwrap_err();
    assert!(
        matches!(&error, ReadError::TypesDisagree { column, path: found, .. }
            if column == "destination" && *found == path),
        "{error}"
    );
}
