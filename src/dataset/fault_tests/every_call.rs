//! Runs in which one call after the other fails, whatever call it is.
//!
//! If all calls fail from one on, the run can change nothing more on the disk: that is what a killed run leaves, too.

use super::*;

/// Traces of the run whose calls fail. They are sealed in two steps.
const FEW: u32 = 4;

fn state(dataset: &Dataset, run_id: &str) -> Option<String> {
    let run = dataset.run(run_id)?;
    Some(run.manifest().state.as_str().to_owned())
}

/// Rows of `hops` in the parts that the manifest of a run lists.
fn hops(dataset: &Dataset, run_id: &str) -> u64 {
    let parts = dataset.run(run_id).map_or(&[][..], |run| run.parts("hops"));
    parts.iter().map(|part| part.listed().rows).sum()
}

/// Runs into a directory with an earlier run, with `times` failing calls from the call `at` on. Then runs again without faults.
/// Returns whether a call failed.
fn run_twice(at: usize, times: usize) -> bool {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    run_of(1, &output, Disk::default(), "RUN-0").unwrap();
    let disk = Disk::failing(vec![Fault::any(libc::EIO, at, times)]);
    let result = run_of(FEW, &output, disk.clone(), "RUN-1");

    let dataset = Dataset::open(root).unwrap();
    let before = state(&dataset, "RUN-1");
    assert_eq!(
        state(&dataset, "RUN-0").as_deref(),
        Some("complete"),
        "{at}"
    );
    match &result {
        Ok(_) => assert_eq!(before.as_deref(), Some("complete"), "{at}"),
        Err(error) => assert!(error.to_string().starts_with("cannot "), "{at}: {error}"),
    }
    if before.as_deref() == Some("complete") {
        assert_eq!(
            hops(&dataset, "RUN-1"),
            u64::from(FEW) * u64::from(rows::HOPS),
            "{at}"
        );
    }
    // What a manifest lists is there. What none lists belongs to a run that did not end.
    for difference in dataset.verify(Checks::ALL, |_| ()).unwrap() {
        let of_a_dead_run = matches!(&difference, Difference::Unlisted { running: true, .. });
        assert!(of_a_dead_run, "{at}: {difference}");
    }

    run_of(1, &output, Disk::default(), "RUN-2").unwrap();
    let dataset = Dataset::open(root).unwrap();
    let differences = dataset.verify(Checks::ALL, |_| ()).unwrap();
    assert!(differences.is_empty(), "{at}: {differences:?}");
    if before.as_deref() == Some("complete") {
        let left = files(&root.join("runs/date=2026-03-01/vp=id-fra/RUN-1"));
        let expected = ["_SUCCESS", "manifest.json"].map(PathBuf::from);
        assert_eq!(left, expected, "{at}");
    }
    let expected = match before.as_deref() {
        Some("running") => Some("killed"),
        other => other,
    };
    assert_eq!(state(&dataset, "RUN-1").as_deref(), expected, "{at}");
    assert_eq!(hops(&dataset, "RUN-2"), u64::from(rows::HOPS));
    assert!(files(&root.join(".partial")).is_empty(), "{at}");
    disk.total() > at
}

/// The same for a single file. Returns whether a call failed.
fn file_twice(at: usize, times: usize) -> bool {
    let directory = directory();
    let out = directory.path().join("OUT.csv");
    let output = Output::parse(out.to_str().unwrap(), None).unwrap();
    run_of(1, &output, Disk::default(), "RUN-0").unwrap();
    let disk = Disk::failing(vec![Fault::any(libc::EIO, at, times)]);
    let result = run_of(FEW, &output, disk.clone(), "RUN-1");
    // The file of one run or of the other is there, whole. The manifest, if there is one, is that of this file.
    let check = || {
        let bytes = std::fs::read(&out).unwrap();
        let hops = usize::from(rows::HOPS);
        let found = bytes.split(|byte| *byte == b'\n').count() - 2;
        assert!(
            [hops, FEW as usize * hops].contains(&found),
            "{at}: {found}"
        );
        let manifest = manifest_of(&directory.path().join("OUT.csv.manifest.json"));
        if let Some(manifest) = &manifest {
            let part = &manifest["tables"]["hops"]["parts"][0];
            assert_eq!(
                (&part["rows"], &part["bytes"]),
                (&found.into(), &bytes.len().into()),
                "{at}"
            );
        }
        manifest.is_some()
    };
    let described = check();
    assert!(described || result.is_err(), "{at}");
    run_of(1, &output, Disk::default(), "RUN-2").unwrap();
    assert!(check(), "{at}");
    disk.total() > at
}

fn every(times: usize, twice: fn(usize, usize) -> bool, least: usize) {
    let mut at = 0;
    while twice(at, times) {
        at += 1;
    }
    assert!(at > least, "only {at} calls");
}

#[test]
fn wherever_a_run_dies_its_manifest_is_true_and_the_next_run_cleans_up() {
    every(usize::MAX, run_twice, 50);
}

#[test]
fn whichever_call_fails_once_the_manifest_is_true() {
    every(1, run_twice, 50);
}

#[test]
fn wherever_a_run_to_a_file_dies_the_manifest_is_that_of_the_file() {
    every(usize::MAX, file_twice, 10);
    every(1, file_twice, 10);
}
