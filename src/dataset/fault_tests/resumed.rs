//! Runs that die wherever they can, and are resumed.
//!
//! If all calls fail from one on, the run can change nothing more on the disk: that is what a killed run leaves, too.

use super::resuming::{begin, check_complete, check_sound, complete, end, interrupt};
use super::*;

/// Targets of a run. They are sealed in two steps.
const TARGETS: u32 = 5;

/// A disk whose calls fail, `times` of them, from the call `at` on.
fn failing(at: usize, times: usize) -> Disk {
    Disk::failing(vec![Fault::any(libc::EIO, at, times)])
}

fn state(root: &Path) -> Option<String> {
    let dataset = match Dataset::open(root) {
        Ok(dataset) => dataset,
        Err(ReadError::NoManifest { .. } | ReadError::NotFound(_)) => return None,
        Err(error) => panic!("{error}"),
    };
    let run = dataset.run("RUN-1")?;
    Some(run.manifest().state.as_str().to_owned())
}

/// Checks what a dead run left, resumes it, and checks that it has everything once.
fn resume(root: &Path, at: &str) {
    let before = state(root);
    if before.is_some() {
        check_sound(root, &Dataset::open(root).unwrap(), at);
    }
    match (before.as_deref(), complete(root, Disk::default(), TARGETS)) {
        (Some("complete"), Err(DatasetError::NotResumable { .. })) => {}
        (Some(state), Ok(_)) if state != "complete" => {}
        // It died before its first manifest.
        (None, Err(DatasetError::NotResumable { .. })) => {
            let writer = begin(root, Disk::default(), "RUN-1").unwrap();
            end(writer, 0..TARGETS).unwrap();
        }
        (state, result) => panic!("{at}: {state:?}, {result:?}"),
    }
    check_complete(root, "RUN-1", TARGETS, at);
}

/// Calls `die` for every number of calls that succeed before. It returns whether a call failed.
fn every(least: usize, mut die: impl FnMut(usize) -> bool) {
    let mut at = 0;
    while die(at) {
        at += 1;
    }
    assert!(at > least, "only {at} calls");
}

/// A run whose calls fail.
fn first_session(at: usize, times: usize) -> bool {
    let directory = directory();
    let root = directory.path().join("OUT");
    let disk = failing(at, times);
    if let Ok(writer) = begin(&root, disk.clone(), "RUN-1") {
        let ended = end(writer, 0..TARGETS);
        if ended.is_ok() {
            assert_eq!(state(&root).as_deref(), Some("complete"), "{at}");
        }
    }
    resume(&root, &format!("call {at}, {times} times"));
    disk.total() > at
}

#[test]
fn wherever_a_run_dies_it_can_be_resumed() {
    every(50, |at| first_session(at, usize::MAX));
}

#[test]
fn whichever_call_of_a_run_fails_once_it_can_be_resumed() {
    every(50, |at| first_session(at, 1));
}

/// A run with the rows of an interrupted target.
fn interrupted(root: &Path) {
    let writer = begin(root, Disk::default(), "RUN-1").unwrap();
    interrupt(writer, 0..1).unwrap();
}

#[test]
fn wherever_a_resumed_run_dies_it_can_be_resumed() {
    for times in [usize::MAX, 1] {
        every(50, |at| {
            let directory = directory();
            let root = directory.path().join("OUT");
            interrupted(&root);
            let disk = failing(at, times);
            let _ = complete(&root, disk.clone(), TARGETS);
            resume(&root, &format!("call {at}, {times} times"));
            disk.total() > at
        });
    }
}

#[test]
fn a_run_that_dies_twice_while_it_is_resumed_can_be_resumed() {
    every(50, |at| {
        let directory = directory();
        let root = directory.path().join("OUT");
        interrupted(&root);
        let first = failing(at, usize::MAX);
        let _ = complete(&root, first.clone(), TARGETS);
        // The second death comes early, in the middle or late.
        let _ = complete(&root, failing(at * 7 % 60, usize::MAX), TARGETS);
        resume(&root, &format!("call {at}"));
        first.total() > at
    });
}

/// The part of `hops` has its final name, and that of `traces` has not.
#[test]
fn a_sealing_of_which_one_part_was_placed_is_finished() {
    let directory = directory();
    let root = directory.path().join("OUT");
    let fault = Fault::always(Call::Rename, "traces/date", libc::EIO);
    // The rename back fails as well, as in a process that is killed.
    let back = Fault::always(Call::Rename, ".partial", libc::EIO);
    let writer = begin(&root, Disk::failing(vec![fault, back]), "RUN-1").unwrap();
    end(writer, 0..TARGETS).unwrap_err();
    let placed = resuming::parts(&root);
    assert_eq!(placed.len(), 1, "{placed:?}");
    assert!(placed[0].starts_with("date=2026-03-01"), "{placed:?}");
    resume(&root, "one part was placed");
}
