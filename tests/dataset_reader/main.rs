//! Datasets read with [`pathsurvey::dataset::read`]: whole ones, growing ones, damaged ones, and ones of several versions.

use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use pathsurvey::dataset::read::{Dataset, ReadError, Rows, Scan};
use pathsurvey::dataset::{
    DatasetWriter, Ending, Finished, NewRun, Output, PartLimits, RunFigures, RunMeta, Vantage,
};
use pathsurvey::model::{self, HopRecord, Protocol, Targets, Time, TraceRecord, Vary};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[path = "../../benches/rows/mod.rs"]
mod rows;

mod damage;
mod filters;
mod growing;
mod hostile;
mod opening;
mod order;
mod single;
mod traces;
mod verify;
mod version_1;
mod versions;

/// Small parts, so that a few traces make several parts: seven traces each.
const SMALL: PartLimits = PartLimits {
    rows: 100,
    bytes: usize::MAX,
    age: Duration::MAX,
};

fn meta(run_id: &str, vantage: &str) -> RunMeta {
    RunMeta {
        run_id: run_id.to_owned(),
        survey_id: "night-1".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage {
            id: vantage.to_owned(),
            ..Vantage::default()
        },
        seed: 7,
        started_at: rows::START,
        date: None,
        method: "trace".to_owned(),
        protocol: Protocol::Udp,
        base_src_port: Some(24_000),
        vary: Vary::SourcePort,
        dst_port: Some(33_434),
        attempts: 2,
        gap_limit: Some(5),
        probe_sizes: [None; 2],
        config: json!({"rate": 1000}),
    }
}

fn create(output: &Output, meta: RunMeta, limits: PartLimits) -> DatasetWriter {
    let run = NewRun {
        limits,
        ..NewRun::new(meta, Arc::new(rows::SampleTargets::new()))
    };
    DatasetWriter::create(output, run, rows::START, &RunFigures::default()).unwrap()
}

fn feed(writer: &mut DatasetWriter, traces: &[(Vec<HopRecord>, TraceRecord)]) {
    for (hops, trace) in traces {
        for hop in hops {
            writer.hop(hop.clone(), rows::START).unwrap();
        }
        writer.trace(trace.clone(), rows::START).unwrap();
    }
}

fn finish(writer: DatasetWriter) -> Finished {
    let end = rows::START + Duration::from_secs(60);
    writer
        .finish(&Ending::Complete, end, &RunFigures::default())
        .unwrap()
}

/// The rows of some targets.
fn traces_of(targets: impl IntoIterator<Item = u32>) -> Vec<(Vec<HopRecord>, TraceRecord)> {
    targets.into_iter().map(rows::trace).collect()
}

/// A whole run of these targets into a directory.
fn run(root: &Path, run_id: &str, vantage: &str, targets: impl IntoIterator<Item = u32>) {
    let output = Output::Directory(root.to_owned());
    let mut writer = create(&output, meta(run_id, vantage), SMALL);
    feed(&mut writer, &traces_of(targets));
    finish(writer);
}

/// A dataset of one run of `count` targets.
fn dataset(count: u32) -> (tempfile::TempDir, Dataset) {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "run-1", "fra 1", 0..count);
    let dataset = Dataset::open(directory.path()).unwrap();
    (directory, dataset)
}

fn address(target: u32) -> IpAddr {
    rows::SampleTargets::new().address(model::TargetId(target))
}

/// All rows of a scan as JSON objects.
fn all(scan: Scan) -> Vec<Value> {
    try_all(scan).unwrap()
}

fn try_all(scan: Scan) -> Result<Vec<Value>, ReadError> {
    let mut found = Vec::new();
    for batch in scan.batches()? {
        found.extend(Rows::new(batch?).iter().map(|row| row.to_json()));
    }
    Ok(found)
}

/// The parts of a table by their path.
fn parts(root: &Path, table: &str) -> Vec<PathBuf> {
    let dataset = Dataset::open(root).unwrap();
    let parts = dataset.runs().iter().flat_map(|run| run.parts(table));
    parts.map(|part| part.path().to_owned()).collect()
}

fn manifest(root: &Path) -> Value {
    serde_json::from_slice(&fs::read(root.join("manifest.json")).unwrap()).unwrap()
}

/// The manifest in the folder of the newest run. That of the directory is a copy of it.
fn run_manifest(root: &Path) -> PathBuf {
    let value = manifest(root);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let part = text(&value["tables"]["hops"]["parts"][0]["path"]);
    let partition = Path::new(&part).parent().unwrap();
    let night = root
        .join("runs")
        .join(partition.strip_prefix("hops").unwrap());
    night.join(text(&value["run_id"])).join("manifest.json")
}

/// Replaces the manifest of the newest run and its copy.
fn write_manifests(root: &Path, text: impl AsRef<[u8]>) {
    let of_run = run_manifest(root);
    for path in [of_run, root.join("manifest.json")] {
        fs::write(path, &text).unwrap();
    }
}

/// Changes the manifest.
fn change_manifest(root: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = manifest(root);
    change(&mut value);
    write_manifests(root, value.to_string());
}

/// Makes the manifest describe the parts as they are now: bytes and digests.
fn relist(root: &Path) {
    change_manifest(root, |value| {
        for table in ["hops", "traces"] {
            for part in value["tables"][table]["parts"].as_array_mut().unwrap() {
                let bytes = fs::read(root.join(part["path"].as_str().unwrap())).unwrap();
                part["bytes"] = bytes.len().into();
                let digest = Sha256::digest(&bytes);
                let hex = digest.iter().map(|byte| format!("{byte:02x}"));
                part["sha256"] = hex.collect::<String>().into();
            }
        }
    });
}

/// The rows of a Parquet file, read without the reader under test.
fn batch_of(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

/// Writes a part of `table` anew, with small pages and row groups.
fn write_part(path: &Path, table: &str, batch: &RecordBatch, page_rows: usize, group_rows: usize) {
    let key = KeyValue::new("pathsurvey.table".to_owned(), table.to_owned());
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(vec![key]))
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(page_rows)
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}
