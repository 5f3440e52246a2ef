//! Runs in which one call after the other fails, whatever call it is.
//!
//! If all calls fail from one on, the run can change nothing more on the disk: that is what a killed run leaves, too.

use super::*;

/// Runs into a directory with an earlier run, with `times` failing calls from the call `at` on. Then runs again without faults.
/// Returns whether a call failed.
fn run_twice(at: usize, times: usize) -> bool {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    run(&output, Disk::default(), "RUN-0").unwrap();
    let disk = Disk::failing(vec![Fault::any(libc::EIO, at, times)]);
    let result = run(&output, disk.clone(), "RUN-1");

    let dataset = Dataset::open(root).unwrap();
    let differences = dataset.verify(Checks::ALL, |_| ()).unwrap();
    let state = |dataset: &Dataset, id: &str| {
        dataset
            .run(id)
            .map(|run| run.manifest().state.as_str().to_owned())
    };
    let first = state(&dataset, "RUN-1");
    let all = i64::from(TRACES) * i64::from(rows::HOPS);
    let rows = |dataset: &Dataset, id: &str| {
        dataset.run(id).map_or(0, |run| {
            run.parts("hops")
                .iter()
                .map(|part| part.listed().rows as i64)
                .sum()
        })
    };
    assert_eq!(
        state(&dataset, "RUN-0").as_deref(),
        Some("complete"),
        "{at}"
    );
    match &result {
        Ok(_) => assert_eq!(
            (first.as_deref(), rows(&dataset, "RUN-1")),
            (Some("complete"), all),
            "{at}"
        ),
        // The last manifest may be in its place already, and its directory could not be synced.
        Err(error) => assert!(error.to_string().contains("cannot "), "{at}: {error}"),
    }
    if first.as_deref() == Some("complete") {
        assert_eq!(rows(&dataset, "RUN-1"), all, "{at}");
    }
    // What a manifest lists is there. What none lists belongs to a run that did not end.
    for difference in differences {
        assert!(
            matches!(&difference, Difference::Unlisted { running: true, .. }),
            "{at}: {difference}"
        );
    }

    run(&output, Disk::default(), "RUN-2").unwrap();
    let dataset = Dataset::open(root).unwrap();
    let differences = dataset.verify(Checks::ALL, |_| ()).unwrap();
    assert!(differences.is_empty(), "{at}: {differences:?}");
    let after = state(&dataset, "RUN-1");
    let expected = match first.as_deref() {
        Some("running") => Some("killed"),
        other => other,
    };
    assert_eq!(after.as_deref(), expected, "{at}");
    assert_eq!(rows(&dataset, "RUN-2"), all);
    assert!(files(&root.join(".partial")).is_empty(), "{at}");
    disk.total() > at
}

fn every(times: usize) {
    let mut at = 0;
    while run_twice(at, times) {
        at += 1;
    }
    assert!(at > 50, "only {at} calls");
}

#[test]
fn wherever_a_run_dies_its_manifest_is_true_and_the_next_run_cleans_up() {
    every(usize::MAX);
}

#[test]
fn whichever_call_fails_once_the_manifest_is_true() {
    every(1);
}
