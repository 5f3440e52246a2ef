//! A directory that a run writes into at the same time.

use std::sync::atomic::{AtomicBool, Ordering};

use pathsurvey::dataset::manifest::RunState;
use pathsurvey::dataset::read::{Checks, Fault};

use super::*;

/// Rows of a table in the manifests of the chosen runs.
fn listed(dataset: &Dataset, table: &str) -> u64 {
    let sections = dataset
        .runs()
        .iter()
        .filter_map(|run| run.manifest().tables.get(table));
    sections.map(|section| section.rows).sum()
}

#[test]
fn a_growing_dataset_shows_whole_parts_only() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    run(root, "run-0", "fra-1", 0..10);
    let done = AtomicBool::new(false);
    let (mut opened, mut while_running) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..4 {
                run(root, &format!("run-{number}"), "fra-1", 0..120);
            }
            done.store(true, Ordering::Release);
        });
        let mut most = 0;
        loop {
            let last = done.load(Ordering::Acquire);
            let dataset = Dataset::open(root).unwrap();
            let rows = |table: &str| {
                let scan = dataset.scan(table).columns(&["trace_id"]);
                scan.fold(
                    || 0,
                    |rows, _, batch| {
                        *rows += batch.num_rows() as u64;
                        Ok(())
                    },
                    |a, b| a + b,
                )
            };
            let traces = rows("traces").unwrap();
            assert_eq!(traces, listed(&dataset, "traces"));
            assert_eq!(rows("hops").unwrap(), listed(&dataset, "hops"));
            assert_eq!(
                rows("hops").unwrap(),
                traces * 16,
                "a trace is sealed with its hops"
            );
            assert!(traces >= most, "{traces} after {most}");
            most = traces;
            opened += 1;
            let running = dataset
                .runs()
                .iter()
                .any(|run| run.manifest().state == RunState::Running);
            while_running += usize::from(running);
            let faults = dataset.verify(Checks::default(), |_| ()).unwrap();
            for fault in faults {
                assert!(matches!(fault, Fault::Unlisted { .. }), "{fault}");
            }
            if last {
                break;
            }
        }
        assert_eq!(most, 370);
    });
    assert!(
        while_running > 0,
        "{opened} times opened, never while a run wrote"
    );
}

#[test]
fn a_part_that_vanishes_after_opening_is_named() {
    let (directory, dataset) = dataset(20);
    let gone = parts(directory.path(), "hops").remove(1);
    let mut batches = dataset.scan("hops").batches().unwrap();
    assert!(batches.next().unwrap().is_ok());
    fs::remove_file(&gone).unwrap();
    let error = batches.next().unwrap().unwrap_err();
    assert!(
        matches!(&error, ReadError::PartMissing(path) if *path == gone),
        "{error}"
    );
    assert!(error.to_string().contains("open it again"), "{error}");
    assert!(batches.next().is_none(), "the iterator ends with its error");
    let fold = dataset
        .scan("hops")
        .fold(|| (), |(), _, _| Ok(()), |(), ()| ());
    assert!(matches!(fold, Err(ReadError::PartMissing(_))));
    let traces: Vec<_> = dataset.traces().iter().unwrap().collect();
    assert!(matches!(
        traces.last().unwrap(),
        Err(ReadError::PartMissing(_))
    ));
    assert!(matches!(
        dataset.traces_to(address(1)),
        Err(ReadError::PartMissing(_))
    ));
}

/// A killed run's part that reached its name, but not the manifest.
#[test]
fn a_part_in_no_manifest_is_never_read() {
    let (directory, _) = dataset(20);
    let first = parts(directory.path(), "hops").remove(0);
    fs::write(
        first.with_file_name("part-run-9-00000.parquet"),
        "no Parquet",
    )
    .unwrap();
    let dataset = Dataset::open(directory.path()).unwrap();
    assert_eq!(all(dataset.scan("hops")).len(), 320);
}

#[test]
fn a_directory_is_written_while_a_run_holds_its_lock() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    let writer = create(&output, meta("run-1", "fra-1"), SMALL);
    let dataset = Dataset::open(root).unwrap();
    assert!(dataset.is_written().unwrap());
    assert!(dataset.is_written().unwrap(), "asking changes nothing");
    finish(writer);
    assert!(!dataset.is_written().unwrap());
    // Asking leaves no lock behind.
    run(root, "run-2", "fra-1", 0..4);
    let lock = root.join("runs/date=2026-03-01/vp=id-fra-1/.lock");
    fs::remove_file(&lock).unwrap();
    assert!(!dataset.is_written().unwrap());
    assert!(!lock.exists());
}
