//! What remains if a disk becomes full during a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::files::Disk;
use super::*;
use crate::model::{Protocol, Vary};

const LIMITS: PartLimits = PartLimits {
    rows: 100,
    bytes: usize::MAX,
    age: Duration::from_secs(3600),
};

fn create(output: &Output, disk: Disk) -> DatasetWriter {
    let meta = RunMeta {
        run_id: "run-1".to_owned(),
        survey_id: "night-1".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage {
            id: "fra".to_owned(),
            ..Vantage::default()
        },
        seed: 7,
        started_at: rows::START,
        date: None,
        method: "trace".to_owned(),
        protocol: Protocol::Udp,
        base_src_port: None,
        vary: Vary::SourcePort,
        dst_port: None,
        attempts: 2,
        gap_limit: None,
        probe_sizes: [None; 2],
        config: Value::Null,
    };
    let run = NewRun {
        limits: LIMITS,
        ..NewRun::new(meta, Arc::new(rows::SampleTargets::new()))
    };
    DatasetWriter::create_on(disk, output, run, rows::START, &RunFigures::default())
        .expect("room for the first manifest")
}

/// Writes traces from `from` on, until the writer returns an error.
fn feed_until_full(writer: &mut DatasetWriter, from: u32) -> DatasetError {
    for target in from..10_000 {
        for row in rows::trace(target).0 {
            writer
                .push::<Hops>(row, rows::START)
                .expect("a table of hops");
        }
        let sealed = writer.seal_if_due(rows::START);
        // Without the wait, the error would come with a later row.
        if let Err(error) = sealed.and_then(|()| writer.wait()) {
            return error;
        }
    }
    panic!("the disk never filled up");
}

fn parts(root: &Path) -> Vec<PathBuf> {
    let directory = root.join("hops/date=2026-03-01/vp=id-fra");
    let entries = fs::read_dir(directory).expect("a partition");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// The manifest in the folder of the run. It is written before its copy in the directory, for which a full disk may lack the room.
fn manifest(root: &Path) -> Value {
    let of_run = root.join("runs/date=2026-03-01/vp=id-fra/run-1/manifest.json");
    let text = fs::read(of_run).expect("a manifest");
    serde_json::from_slice(&text).expect("a whole manifest")
}

#[test]
fn what_was_sealed_stays_and_the_error_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _room) = Disk::of_size(100_000);
    let mut writer = create(&Output::Directory(dir.path().into()), disk);
    let error = feed_until_full(&mut writer, 0).to_string();
    let sealed = parts(dir.path());
    let expected = format!("part-run-1-{:05}.parquet", sealed.len());
    assert!(sealed.len() > 1, "{sealed:?}");
    assert!(error.contains(&expected), "{error}");
    assert!(error.contains("free space there"), "{error}");
    let run = dir.path().join("runs/date=2026-03-01/vp=id-fra/run-1");
    let partial = fs::read_dir(run.join(".partial")).unwrap();
    assert_eq!(partial.count(), 0, "the unfinished part is removed");

    // The space of the unfinished part is free again. It is too small for the rows, and large enough for the manifest.
    let facts = RunFigures::default();
    let ended = writer.finish(&Ending::Complete, rows::START, &facts);
    assert!(matches!(ended, Err(DatasetError::BrokenOff { .. })));
    let manifest = manifest(dir.path());
    assert_eq!(manifest["state"], "failed");
    let reason = manifest["exit_reason"].as_str().unwrap();
    assert!(reason.contains(&expected), "{reason}");
    let listed = manifest["tables"]["hops"]["parts"].as_array().unwrap();
    assert_eq!(listed.len(), sealed.len());
    assert_eq!(parts(dir.path()), sealed);
}

#[test]
fn a_disk_that_stays_full_leaves_the_manifest_of_the_last_seal() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, room) = Disk::of_size(100_000);
    let mut writer = create(&Output::Directory(dir.path().into()), disk);
    feed_until_full(&mut writer, 0);
    room.store(0, Ordering::Relaxed);
    let facts = RunFigures::default();
    let ended = writer.finish(&Ending::Complete, rows::START, &facts);
    assert!(matches!(ended, Err(DatasetError::BrokenOff { .. })));
    let manifest = manifest(dir.path());
    assert_eq!(manifest["state"], "running");
    let listed = manifest["tables"]["hops"]["parts"].as_array().unwrap();
    assert_eq!(listed.len(), parts(dir.path()).len());
    assert!(listed.len() > 1);
}

#[test]
fn a_run_can_go_on_when_space_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, room) = Disk::of_size(100_000);
    let mut writer = create(&Output::Directory(dir.path().into()), disk);
    feed_until_full(&mut writer, 0);
    room.store(1 << 40, Ordering::Relaxed);
    let facts = RunFigures::default();
    let finished = writer
        .finish(&Ending::Complete, rows::START, &facts)
        .unwrap();
    assert_eq!(manifest(dir.path())["state"], "complete");
    // All rows were sealed, or kept and sealed now.
    assert!(finished.hops.is_multiple_of(u64::from(rows::HOPS)));
    assert_eq!(finished.parts, parts(dir.path()).len() + 1);
}

/// Rows in the rest of a single file, which must end after a whole row.
fn rows_left(name: &str, bytes: &[u8]) -> usize {
    match name {
        "x.csv" => {
            let records = ::csv::Reader::from_reader(bytes).into_records();
            records
                .inspect(|record| assert!(record.is_ok(), "torn"))
                .count()
        }
        "x.jsonl" => {
            assert_eq!(bytes.last(), Some(&b'\n'));
            let lines = bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty());
            lines
                .inspect(|line| assert!(serde_json::from_slice::<Value>(line).is_ok(), "torn"))
                .count()
        }
        _ => {
            let reader =
                arrow::ipc::reader::StreamReader::try_new(&bytes[arrow_ipc::STREAM_AT..], None);
            let batches = reader.expect("a schema").map(|batch| batch.expect("whole"));
            batches.map(|batch| batch.num_rows()).sum()
        }
    }
}

#[test]
fn a_single_file_that_does_not_fit_leaves_its_whole_rows() {
    for name in ["x.csv", "x.jsonl", "x.arrow"] {
        let dir = tempfile::tempdir().unwrap();
        let output = Output::parse(dir.path().join(name).to_str().unwrap(), None).unwrap();
        let (disk, room) = Disk::of_size(400_000);
        let mut writer = create(&output, disk);
        let error = feed_until_full(&mut writer, 0).to_string();
        let partial = dir.path().join(format!(".{name}.partial"));
        assert!(error.contains(partial.to_str().unwrap()), "{error}");
        assert!(error.contains("free space there"), "{error}");
        assert!(!error.contains("parts"), "{error}");
        let left = fs::read(&partial).unwrap();
        let rows = rows_left(name, &left);
        assert!(
            rows > 0 && rows.is_multiple_of(rows::HOPS as usize),
            "{rows}"
        );

        // If space becomes free again, the incomplete batch is not written a second time.
        room.store(1 << 40, Ordering::Relaxed);
        let ended = writer.finish(&Ending::Complete, rows::START, &RunFigures::default());
        assert!(matches!(ended, Err(DatasetError::Over(_))), "{ended:?}");
        assert_eq!(fs::read(&partial).unwrap(), left);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn of_a_parquet_file_that_does_not_fit_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let output = Output::parse(dir.path().join("x.parquet").to_str().unwrap(), None).unwrap();
    let (disk, _room) = Disk::of_size(40_000);
    let mut writer = create(&output, disk);
    let error = feed_until_full(&mut writer, 0).to_string();
    for words in [
        "x.parquet",
        "free space there",
        "nothing is kept",
        "a directory",
    ] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(writer);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_file_without_room_for_its_manifest_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.csv");
    let output = Output::parse(path.to_str().unwrap(), None).unwrap();
    let (disk, room) = Disk::of_size(400_000);
    let mut writer = create(&output, disk);
    // The last row seals the rows before it, and is written at the end. The space suffices for it, but for no more.
    let traces = (0..8).flat_map(|target| rows::trace(target).0);
    for row in traces.take(7 * rows::HOPS as usize + 1) {
        writer.hop(row, rows::START).unwrap();
    }
    writer.wait().unwrap();
    room.store(1_000, Ordering::Relaxed);
    let ended = writer.finish(&Ending::Complete, rows::START, &RunFigures::default());
    let error = ended.expect_err("no room").to_string();
    assert!(
        error.contains("x.csv.manifest.json") && error.contains("is whole"),
        "{error}"
    );
    assert_eq!(rows_left("x.csv", &fs::read(&path).unwrap()), 113);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
