//! Many runs, and what others put into a dataset's directory.

use std::process::Command;

use pathsurvey::dataset::read::{Checks, Fault};

use super::*;

/// The directory that a child process reads.
const MANY_RUNS: &str = "PATHSURVEY_TEST_MANY_RUNS";

#[test]
fn more_runs_than_a_process_may_open_files_are_read() {
    if let Some(root) = std::env::var_os(MANY_RUNS) {
        let dataset = Dataset::open(root).unwrap();
        assert_eq!(dataset.runs().len(), 100);
        assert_eq!(
            all(dataset.scan("traces").columns(&["trace_id"])).len(),
            400
        );
        assert_eq!(dataset.traces_to(address(2)).unwrap().len(), 100);
        assert_eq!(
            dataset.traces().iter().unwrap().map(Result::unwrap).count(),
            400
        );
        return;
    }
    let (directory, _) = dataset(4);
    let root = directory.path();
    let mut value = manifest(root);
    for number in 2..=100 {
        value["run_id"] = format!("run-{number}").into();
        fs::write(
            root.join(format!("manifest-run-{number}.json")),
            value.to_string(),
        )
        .unwrap();
    }
    let this = std::thread::current();
    let child = Command::new("sh")
        .args(["-c", r#"ulimit -n 64 && exec "$0" --exact "$1""#])
        .arg(std::env::current_exe().unwrap())
        .arg(this.name().unwrap())
        .env(MANY_RUNS, root)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn a_fifo_in_place_of_a_file_is_refused_at_once() {
    let (directory, _) = dataset(20);
    let root = directory.path();
    let part = parts(root, "hops").remove(1);
    fs::remove_file(&part).unwrap();
    fifo(&part);
    let dataset = Dataset::open(root).unwrap();
    let error = try_all(dataset.scan("hops")).unwrap_err().to_string();
    let named = |error: &str| {
        error.contains("not a regular file") && error.contains(&part.display().to_string())
    };
    assert!(named(&error), "{error}");
    for checks in [Checks::ALL, Checks::default()] {
        let faults = dataset.verify(checks, |_| ()).unwrap();
        let [fault] = &faults[..] else {
            panic!("{faults:?}");
        };
        assert!(named(&Fault::to_string(fault)), "{fault}");
    }
    fifo(&root.join("manifest-old.json"));
    let error = Dataset::open(root).unwrap_err().to_string();
    assert!(
        error.contains("manifest-old.json") && error.contains("not a regular file"),
        "{error}"
    );
}

#[test]
fn a_table_outside_of_the_directory_is_refused() {
    let (directory, _) = dataset(4);
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let inside = directory.path().join("inside");
    run(&inside, "run-1", "fra-1", 0..4);
    change_manifest(&inside, |value| {
        value["tables"]["../outside"] = value["tables"]["traces"].clone();
    });
    let error = Dataset::open(&inside).unwrap_err();
    assert!(
        matches!(&error, ReadError::TableName { table, .. } if table == "../outside"),
        "{error}"
    );
}

#[test]
fn the_manifest_of_another_program_is_no_dataset_around_a_file() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("manifest.json"), r#"{"name": "a page"}"#).unwrap();
    let inner = home.path().join("data");
    fs::create_dir(&inner).unwrap();
    let error = Dataset::open(&inner).unwrap_err();
    assert!(
        matches!(&error, ReadError::NoManifest { nearby: None, .. }),
        "{error}"
    );
}
