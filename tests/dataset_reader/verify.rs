//! Verification finds every fault.

use std::sync::{Mutex, Once};

use pathsurvey::dataset::read::{Checks, Fault};

use super::*;

fn faults(root: &Path, checks: Checks) -> Vec<String> {
    let dataset = Dataset::open(root).unwrap();
    let found = dataset.verify(checks, |_| ()).unwrap();
    found.iter().map(Fault::to_string).collect()
}

#[test]
fn a_whole_dataset_has_no_fault_and_progress_reaches_its_end() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "run-1", "fra 1", 0..20);
    run(directory.path(), "run-2", "a=b/é", 0..20);
    let dataset = Dataset::open(directory.path()).unwrap();
    let seen = Mutex::new(Vec::new());
    let found = dataset.verify(Checks::ALL, |progress| seen.lock().unwrap().push(progress));
    assert!(found.unwrap().is_empty());
    let seen = seen.into_inner().unwrap();
    let last = seen.iter().max_by_key(|progress| progress.parts).unwrap();
    assert_eq!((last.parts, last.all_parts, seen.len()), (12, 12, 12));
    assert_eq!(last.bytes, last.all_bytes);
}

#[test]
fn every_fault_is_found_at_once() {
    let (directory, _) = dataset(60);
    let root = directory.path();
    let hops = parts(root, "hops");
    let traces = parts(root, "traces");
    fs::remove_file(&hops[0]).unwrap();
    let bytes = fs::read(&hops[1]).unwrap();
    fs::write(&hops[1], &bytes[..bytes.len() - 1]).unwrap();
    let mut bytes = fs::read(&hops[2]).unwrap();
    bytes[1000] ^= 1;
    fs::write(&hops[2], bytes).unwrap();
    let unknown = hops[0].with_file_name("part-other-00000.parquet");
    fs::copy(&hops[3], &unknown).unwrap();
    // A part of the other table, with the listed size and digest.
    fs::copy(&traces[0], &hops[4]).unwrap();
    change_manifest(root, |value| {
        let listed = value["tables"]["traces"]["parts"][0].clone();
        let part = &mut value["tables"]["hops"]["parts"][4];
        part["bytes"] = listed["bytes"].clone();
        part["sha256"] = listed["sha256"].clone();
        value["tables"]["hops"]["parts"][5]["rows"] = 7.into();
        let again = value["tables"]["traces"]["parts"][1].clone();
        value["tables"]["traces"]["parts"]
            .as_array_mut()
            .unwrap()
            .push(again);
    });
    let found = faults(root, Checks::ALL);
    for (word, path) in [
        ("is missing", &hops[0]),
        ("it was cut off", &hops[1]),
        ("its SHA-256", &hops[2]),
        ("holds the table traces, not the table hops", &hops[4]),
        ("its manifest says 7", &hops[5]),
        ("is in no manifest: no reader", &unknown),
        ("is listed twice", &traces[1]),
        ("counts 960 rows of hops", &run_manifest(root)),
        ("counts 60 rows of traces", &run_manifest(root)),
    ] {
        let path = path.display().to_string();
        let named = found
            .iter()
            .filter(|fault| fault.contains(word) && fault.contains(&path));
        assert_eq!(named.count(), 1, "{word} {path}: {found:#?}");
    }
    assert_eq!(found.len(), 9, "{found:#?}");
    // Sizes alone do not show what has the right size.
    assert_eq!(faults(root, Checks::default()).len(), 6);
    change_manifest(root, |value| value["state"] = "running".into());
    let found = faults(root, Checks::default());
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("a run writes here, or was killed"))
    );
}

#[test]
fn parts_of_runs_that_were_not_chosen_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "run-1", "fra-1", 0..10);
    run(directory.path(), "run-2", "fra-1", 0..10);
    let dataset = Dataset::open(directory.path()).unwrap();
    let second = dataset.only(|run| run.id() == "run-2");
    assert!(second.verify(Checks::ALL, |_| ()).unwrap().is_empty());
}

#[test]
fn the_parts_of_a_run_that_starts_meanwhile_are_no_faults() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    run(root, "run-1", "fra-1", 0..10);
    let dataset = Dataset::open(root).unwrap();
    let once = Once::new();
    let start = |_| once.call_once(|| run(root, "run-2", "fra-1", 0..10));
    let faults = dataset.verify(Checks::ALL, start).unwrap();
    assert!(once.is_completed() && faults.is_empty(), "{faults:?}");
    assert_eq!(dataset.runs().len(), 1);
    assert_eq!(Dataset::open(root).unwrap().runs().len(), 2);
}

#[test]
fn sums_of_a_manifest_that_was_changed_do_not_overflow() {
    let (directory, _) = dataset(20);
    change_manifest(directory.path(), |value| {
        for at in 0..2 {
            for member in ["rows", "bytes"] {
                value["tables"]["hops"]["parts"][at][member] = u64::MAX.into();
            }
        }
    });
    let dataset = Dataset::open(directory.path()).unwrap();
    assert_eq!(dataset.scan("hops").rows(), u64::MAX);
    let faults = faults(directory.path(), Checks::ALL);
    assert_eq!(faults.len(), 3, "{faults:?}");
}
