//! The writer's thread, its hook, and the agreement of manifests and parts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use serde_json::Value;

use super::*;
use crate::dataset::manifest::Manifest;
use crate::dataset::{RunMeta, SealedPart, tables};
use crate::dataset::{Vantage, rows};
use crate::model::{self, Protocol, Status, Vary};

fn new_run() -> NewRun {
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
    NewRun {
        limits: PartLimits {
            rows: 100,
            bytes: usize::MAX,
            age: Duration::from_secs(3600),
        },
        ..NewRun::new(meta, Arc::new(rows::SampleTargets::new()))
    }
}

fn open(disk: Disk, root: &Path, run: NewRun) -> DatasetWriter {
    let output = Output::Directory(root.to_owned());
    let figures = RunFigures::default();
    DatasetWriter::create_on(disk, &output, run, rows::START, &figures).expect("a directory")
}

/// Adds the rows of these traces.
fn feed(writer: &mut DatasetWriter, traces: std::ops::Range<u32>) {
    for (hops, trace) in traces.map(rows::trace) {
        for row in hops {
            writer.push::<Hops>(row, rows::START).expect("a table");
        }
        writer.push::<Traces>(trace, rows::START).expect("a table");
        writer.seal_if_due(rows::START).expect("no error");
    }
}

fn manifest(root: &Path) -> Manifest {
    let text = fs::read(root.join("manifest.json")).expect("a manifest");
    Manifest::parse(&text).expect("a whole manifest")
}

fn listed(manifest: &Manifest, table: &str) -> Vec<u64> {
    let parts = &manifest.tables.get(table).expect("a table").parts;
    parts.iter().map(|part| part.rows).collect()
}

/// Parts of `hops` are due at the seventh trace of 16 rows.
const TRACES_A_PART: u32 = 7;

#[test]
fn rows_are_taken_while_a_part_is_being_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Arc::new(Mutex::new(()));
    let mut writer = open(Disk::held_by(&lock), dir.path(), new_run());
    let held = lock.lock().unwrap();
    // The worker cannot write the first part. If the writer waited for it, this would never return.
    feed(&mut writer, 0..2 * TRACES_A_PART - 1);
    assert_eq!(listed(&manifest(dir.path()), "hops"), [0_u64; 0]);
    drop(held);
    writer.wait().unwrap();
    assert_eq!(listed(&manifest(dir.path()), "hops"), [112]);
    let end = writer.finish(&Ending::Complete, rows::START, &RunFigures::default());
    assert_eq!(end.unwrap().hops, u64::from(13 * rows::HOPS));
    assert_eq!(listed(&manifest(dir.path()), "hops"), [112, 96]);
    assert_eq!(listed(&manifest(dir.path()), "traces"), [7, 6]);
}

#[test]
fn the_hook_is_called_once_a_part_when_a_manifest_lists_it_and_figures_and_parts_agree_then() {
    let dir = tempfile::tempdir().unwrap();
    let (told, parts) = mpsc::channel();
    let root = dir.path().to_owned();
    let run = NewRun {
        on_sealed: Some(Box::new(move |part| {
            let manifest = manifest(&root);
            told.send((part.clone(), manifest)).expect("a receiver");
        })),
        ..new_run()
    };
    let mut writer = open(Disk::default(), dir.path(), run);
    feed(&mut writer, 0..20);
    let figures = RunFigures::default();
    let end = writer
        .finish(&Ending::Complete, rows::START, &figures)
        .unwrap();
    let told: Vec<(SealedPart, Manifest)> = parts.into_iter().collect();
    assert_eq!(told.len(), 6);
    let distinct: BTreeSet<_> = told.iter().map(|(part, _)| part.path.clone()).collect();
    assert_eq!(distinct.len(), 6);
    for (part, manifest) in &told {
        assert_eq!(fs::metadata(&part.path).unwrap().len(), part.bytes);
        let section = manifest.tables.get(part.table).expect("its table");
        let entry = section
            .parts
            .iter()
            .find(|entry| dir.path().join(&entry.path) == part.path)
            .expect("a manifest that lists it");
        let facts = (entry.rows, entry.bytes, &entry.sha256, entry.sealing);
        assert_eq!(
            facts,
            (part.rows, part.bytes, &part.sha256, Some(part.sealing))
        );
        agrees_with_its_parts(manifest);
    }
    assert_eq!(end.counted.statistics.probes_sent(), 320);
    agrees_with_its_parts(&manifest(dir.path()));
}

/// The sample has one row per probe, and every trace has all its rows in the parts of one sealing.
fn agrees_with_its_parts(manifest: &Manifest) {
    let rows = |table| listed(manifest, table).iter().sum::<u64>();
    assert_eq!(manifest.probes.total, rows("hops"));
    let by_status = manifest.probes.by_status.iter();
    assert_eq!(by_status.map(|(_, count)| count).sum::<u64>(), rows("hops"));
    assert_eq!(manifest.run["traces_ended"], rows("traces"));
    assert_eq!(rows("hops"), rows("traces") * u64::from(rows::HOPS));
    let replied = manifest.probes.by_status.get(Status::Replied.as_str());
    let evidence = manifest.evidence.iter().map(|(_, count)| count);
    assert_eq!(replied.copied(), Some(evidence.sum()));
}

#[test]
fn parts_of_one_sealing_have_one_number_and_hold_whole_traces() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = open(Disk::default(), dir.path(), new_run());
    feed(&mut writer, 0..TRACES_A_PART);
    // A late reply: rows of hops without a trace.
    let (late, _) = rows::trace(3);
    writer.push::<Hops>(late[0].clone(), rows::START).unwrap();
    let later = rows::START + Duration::from_secs(3600);
    writer.seal_if_due(later).unwrap();
    feed(&mut writer, TRACES_A_PART..TRACES_A_PART + 1);
    let figures = RunFigures::default();
    writer.finish(&Ending::Complete, later, &figures).unwrap();
    let manifest = manifest(dir.path());
    let numbers = |table| -> Vec<Option<u64>> {
        let parts = &manifest.tables.get(table).expect("a table").parts;
        parts.iter().map(|part| part.sealing).collect()
    };
    assert_eq!(numbers("hops"), [Some(0), Some(1), Some(2)]);
    assert_eq!(numbers("traces"), [Some(0), Some(2)]);
    let second = &manifest.tables.get("traces").unwrap().parts[1].path;
    assert!(second.ends_with("part-run-1-00002.parquet"), "{second}");
}

#[test]
fn a_row_without_a_table_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = open(Disk::default(), dir.path(), new_run());
    let row = TableRow::new(model::TargetId(0), "a text");
    let error = writer.row(row, rows::START).unwrap_err();
    assert!(
        matches!(error, DatasetError::NoTable { rows: "&str", .. }),
        "{error}"
    );
    let run = NewRun {
        tables: tables::all()[..1].to_vec(),
        ..new_run()
    };
    drop(writer);
    let mut writer = open(Disk::default(), &dir.path().join("hops only"), run);
    let (_, trace) = rows::trace(0);
    let error = writer.trace(trace, rows::START).unwrap_err().to_string();
    assert!(error.contains("traces"), "{error}");
}

#[test]
fn a_hook_that_panics_is_an_error_and_costs_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let run = NewRun {
        on_sealed: Some(Box::new(|_| panic!("a fault of the hook"))),
        ..new_run()
    };
    let mut writer = open(Disk::default(), dir.path(), run);
    feed(&mut writer, 0..TRACES_A_PART - 1);
    for row in rows::trace(TRACES_A_PART - 1).0 {
        writer.push::<Hops>(row, rows::START).unwrap();
    }
    let sealed = writer.seal_if_due(rows::START);
    // The group is tried again while the writer waits. That success does not hide the panic.
    let error = sealed.and_then(|()| writer.wait()).unwrap_err();
    assert!(matches!(error, DatasetError::HookPanicked(_)), "{error}");
    feed(&mut writer, TRACES_A_PART..TRACES_A_PART + 2);
    let end = writer.finish(&Ending::Complete, rows::START, &RunFigures::default());
    assert_eq!(end.unwrap().hops, 144);
}
