//! The content of a directory.

use std::fs::{self, File};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int16Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::ParquetMetaData;
use sha2::{Digest, Sha256};

use super::*;

/// A part's metadata and rows.
pub fn read(path: &Path) -> (Arc<ParquetMetaData>, Vec<RecordBatch>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let metadata = Arc::clone(builder.metadata());
    let batches = builder.build().unwrap().collect::<Result<_, _>>().unwrap();
    (metadata, batches)
}

pub fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a dyn Array {
    batch.column_by_name(name).expect(name).as_ref()
}

#[test]
fn every_row_is_written_and_counted_in_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("out");
    let finished = run(&Output::Directory(root.clone()), "run-1", 50);
    let manifest = read_json(&finished.manifest.unwrap());

    assert_eq!((finished.hops, finished.traces), (800, 50));
    assert_eq!(manifest["state"], "complete");
    assert_eq!(manifest["started_at"], "2026-03-01T00:00:00.000000Z");
    assert_eq!(manifest["ended_at"], "2026-03-01T00:01:00.000000Z");
    assert_eq!(manifest["probes"]["total"], 800);
    let mut listed = Vec::new();
    for table in ["hops", "traces"] {
        let section = &manifest["tables"][table];
        let mut rows = 0;
        for part in section["parts"].as_array().unwrap() {
            let path = root.join(part["path"].as_str().unwrap());
            let content = fs::read(&path).unwrap();
            assert_eq!(part["bytes"], content.len());
            let digest = Sha256::digest(&content);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(part["sha256"], digest);
            let (_, batches) = read(&path);
            assert_eq!(part["rows"], count(&batches));
            rows += count(&batches);
            listed.push(path);
        }
        assert_eq!(section["rows"], rows);
    }
    listed.sort();
    assert_eq!(parts(&root), listed);
    assert_eq!(finished.parts, listed.len());
    let first = root.join("hops/date=2026-03-01/vp=id-fra%201/part-run-1-00000.parquet");
    assert!(listed.contains(&first), "{listed:?}");
    let of_run = root.join("runs/date=2026-03-01/vp=id-fra%201/run-1");
    let names: Vec<_> = files(&of_run)
        .iter()
        .map(|path| path.strip_prefix(&of_run).unwrap().to_owned())
        .collect();
    assert_eq!(names, ["_SUCCESS", "manifest.json"].map(PathBuf::from));
    let copies = [root.join("manifest.json"), of_run.join("manifest.json")];
    let [one, other] = copies.map(|path| fs::read(path).unwrap());
    assert_eq!(one, other);
}

#[test]
fn absent_values_are_null_and_others_equal_the_records() {
    let dir = tempfile::tempdir().unwrap();
    run(&Output::Directory(dir.path().into()), "run-1", 5);
    let (_, batches) = read(&parts(&dir.path().join("hops"))[0]);
    let (expected, _) = rows::trace(0);
    let batch = &batches[0];
    for (at, row) in expected.iter().enumerate() {
        let ttl = column(batch, "ttl").as_primitive::<Int16Type>().value(at);
        assert_eq!(ttl, i16::from(row.ttl.unwrap().0));
        let responder = column(batch, "responder").as_string::<i32>();
        let shown = (!responder.is_null(at)).then(|| responder.value(at).to_owned());
        assert_eq!(shown, row.responder().map(|address| address.to_string()));
        for name in [
            "received_at",
            "rtt_us",
            "reply_kind",
            "quoted_ttl",
            "evidence",
        ] {
            assert_eq!(
                column(batch, name).is_null(at),
                row.reply.is_none(),
                "{name}"
            );
        }
        let labelled = row
            .reply
            .as_ref()
            .is_some_and(|reply| !reply.mpls.is_empty());
        assert_eq!(column(batch, "mpls").is_null(at), !labelled);
    }
    for name in [
        "icmp_id",
        "flow_label",
        "reason",
        "interface_info",
        "icmp_extensions",
    ] {
        assert_eq!(
            column(batch, name).logical_null_count(),
            batch.num_rows(),
            "{name}"
        );
    }
}

#[test]
fn labels_are_written_without_empty_cells() {
    let dir = tempfile::tempdir().unwrap();
    run(&Output::Directory(dir.path().into()), "run-1", 4);
    let (_, batches) = read(&parts(&dir.path().join("traces"))[0]);
    let labels = column(&batches[0], "labels").as_map();
    assert!(labels.is_null(0), "a target without labels");
    let entries = |at: usize| -> Vec<(String, String)> {
        let entries = labels.value(at);
        let text = |column: usize, at: usize| {
            entries
                .column(column)
                .as_string::<i32>()
                .value(at)
                .to_owned()
        };
        (0..entries.len())
            .map(|at| (text(0, at), text(1, at)))
            .collect()
    };
    assert_eq!(entries(1), [("site".into(), "ams".into())]);
    let both = [
        ("site".into(), "fra \"1\"".into()),
        ("note".into(), "a, b\nc".into()),
    ];
    assert_eq!(entries(3), both);
}

#[test]
fn a_part_is_sorted_as_its_footer_says_for_any_order_of_input() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, traces: &[(Vec<HopRecord>, TraceRecord)]| {
        let root = dir.path().join(name);
        let limits = PartLimits {
            rows: 10_000,
            ..SMALL
        };
        let mut writer = create(&Output::Directory(root.clone()), "run-1", limits).unwrap();
        feed(&mut writer, traces, rows::START);
        let facts = facts_of(traces);
        writer
            .finish(&Ending::Complete, rows::START, &facts)
            .unwrap();
        root
    };
    let traces: Vec<_> = (0..40).map(rows::trace).collect();
    let mut backwards = traces.clone();
    backwards.reverse();
    backwards.iter_mut().for_each(|(hops, _)| hops.reverse());
    let (forwards, backwards) = (write("a", &traces), write("b", &backwards));
    for table in ["hops", "traces"] {
        let content = |root: &Path| fs::read(&parts(&root.join(table))[0]).unwrap();
        assert_eq!(content(&forwards), content(&backwards), "{table}");
    }

    let (metadata, batches) = read(&parts(&forwards.join("hops"))[0]);
    let schema = metadata.file_metadata().schema_descr();
    for group in metadata.row_groups() {
        let sorting = group.sorting_columns().expect("a stated order");
        let names: Vec<_> = sorting
            .iter()
            .map(|by| schema.column(by.column_idx as usize).path().string())
            .collect();
        assert_eq!(
            names,
            ["trace_id", "ttl", "attempt", "reply_index", "probe_id"]
        );
    }
    let keys: Vec<(i64, i16)> = batches
        .iter()
        .flat_map(|batch| {
            let traces = column(batch, "trace_id").as_primitive::<Int64Type>();
            let ttls = column(batch, "ttl").as_primitive::<Int16Type>();
            traces
                .values()
                .iter()
                .copied()
                .zip(ttls.values().iter().copied())
        })
        .collect();
    assert!(keys.is_sorted());
}

#[test]
fn the_footer_names_schema_run_and_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&Output::Directory(dir.path().into()), "run-1", 1);
    let manifest = read_json(&finished.manifest.unwrap());
    let (metadata, _) = read(&parts(&dir.path().join("hops"))[0]);
    let entries = metadata.file_metadata().key_value_metadata().unwrap();
    let entry = |key: &str| {
        let found = entries
            .iter()
            .find(|entry| entry.key == format!("pathsurvey.{key}"));
        found.and_then(|entry| entry.value.clone()).expect(key)
    };
    assert_eq!(entry("table"), "hops");
    assert_eq!(entry("schema_version"), "2");
    assert_eq!(entry("run_id"), "run-1");
    assert_eq!(entry("tool_version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["config_sha256"], entry("config_sha256"));
    assert_eq!(manifest["config"]["rate"], 1000);
}

#[test]
fn columns_are_encoded_as_intended() {
    let dir = tempfile::tempdir().unwrap();
    run(&Output::Directory(dir.path().into()), "run-1", 4);
    for part in parts(dir.path()) {
        let (metadata, batches) = read(&part);
        for field in batches[0].schema().fields() {
            assert!(
                !matches!(field.data_type(), DataType::Dictionary(..)),
                "{field}"
            );
        }
        for column in metadata.row_group(0).columns() {
            let name = column.column_path().string();
            let deltas = ["trace_id", "sent_at", "rtt_us", "started_at"];
            let delta = column
                .encodings()
                .any(|e| e == Encoding::DELTA_BINARY_PACKED);
            let dictionary = column.dictionary_page_offset().is_some();
            if deltas.contains(&name.as_str()) {
                assert!(delta && !dictionary, "{name}");
            }
            if name == "destination" {
                assert!(dictionary, "{name}");
            }
            assert!(
                column.offset_index_offset().is_some(),
                "{name} has no page index"
            );
            assert!(
                column.column_index_offset().is_some(),
                "{name} has no page index"
            );
            let random = ["probe_ip_id", "probe_checksum", "reply_ip_id"];
            let quoted_random = ["quoted_ip_id", "quoted_checksum"];
            assert_eq!(
                column.compression() == Compression::UNCOMPRESSED,
                random.contains(&name.as_str()) || quoted_random.contains(&name.as_str()),
                "{name}"
            );
            let is_looked_up = match part.starts_with(dir.path().join("hops")) {
                true => name == "trace_id",
                false => name == "destination",
            };
            assert_eq!(
                column.bloom_filter_offset().is_some(),
                is_looked_up,
                "{name}"
            );
        }
    }
}

#[test]
fn a_run_without_rows_still_shows_its_columns() {
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&Output::Directory(dir.path().into()), "run-1", 0);
    assert_eq!((finished.hops, finished.traces, finished.parts), (0, 0, 2));
    for (table, columns) in [("hops", 56), ("traces", 34)] {
        let (metadata, batches) = read(&parts(&dir.path().join(table))[0]);
        assert_eq!(count(&batches), 0);
        let schema = metadata.file_metadata().schema();
        assert_eq!(schema.get_fields().len(), columns);
    }
}
