//! Runs whose wall clock was stepped between sessions.

use super::resuming::{begin, check_complete, interrupt, resumable};
use super::*;
use crate::dataset::Resumable;
use crate::model::Time;

const TARGETS: u32 = 7;
const HOUR: Duration = Duration::from_secs(3600);

/// Goes on with the newest unfinished run at `now`.
fn go_on_at(root: &Path, disk: Disk, now: Time) -> Result<DatasetWriter, DatasetError> {
    let found = Resumable::find(root, &Chosen::default())?;
    let mut run = new_run(&found.manifest().run_id);
    run.meta.started_at = found.manifest().started_at.unwrap();
    let unfinished = found.lock_on(disk)?;
    DatasetWriter::resume(unfinished, run, now, &RunFigures::default())
}

/// A run that started an hour too late by the clock, and was interrupted.
fn started_in_the_future(root: &Path) {
    let mut run = resumable("RUN-1");
    run.meta.started_at = rows::START + HOUR;
    let output = Output::Directory(root.to_owned());
    let (now, figures) = (rows::START + HOUR, RunFigures::default());
    let writer = DatasetWriter::create_on(Disk::default(), &output, run, now, &figures);
    let mut writer = writer.unwrap();
    feed_each(&mut writer, 0..4).unwrap();
    let (hops, _) = rows::trace(4);
    for row in hops {
        writer.push_interrupted::<Hops>(row, now).unwrap();
    }
    let ending = Ending::Interrupted("SIGINT".to_owned());
    writer.finish(&ending, now, &figures).unwrap();
}

#[test]
fn a_run_is_resumed_by_a_session_that_starts_before_it() {
    let directory = directory();
    let root = directory.path();
    started_in_the_future(root);
    let writer = go_on_at(root, Disk::default(), rows::START).unwrap();
    resuming::end(writer, 4..TARGETS).unwrap();
    check_complete(root, "RUN-1", TARGETS, "resumed");
    let manifest = manifest_of(&root.join("manifest.json")).unwrap();
    let started = |session: usize| manifest["sessions"][session]["started_at"].as_str();
    assert_eq!(started(0), Some("2026-03-01T01:00:00.000000Z"));
    assert_eq!(started(1), Some("2026-03-01T00:00:00.000000Z"));
    assert_eq!(manifest["started_at"], "2026-03-01T01:00:00.000000Z");
}

/// The manifest of the directory is older than that of the run, and has a later time.
#[test]
fn the_manifest_of_the_run_counts_if_that_of_the_directory_has_a_later_time() {
    let directory = directory();
    let root = directory.path();
    started_in_the_future(root);
    // It dies after the manifest in its folder, and before that of the directory.
    let fault = Fault::always(Call::Lock, ".manifest.lock", libc::EIO);
    let died = go_on_at(root, Disk::failing(vec![fault]), rows::START);
    assert!(died.is_err());
    let dataset = Dataset::open(root).unwrap();
    let run = dataset.run("RUN-1").unwrap().manifest();
    assert_eq!((run.state.as_str(), run.sessions.len()), ("running", 2));
    let writer = go_on_at(root, Disk::default(), rows::START).unwrap();
    resuming::end(writer, 4..TARGETS).unwrap();
    check_complete(root, "RUN-1", TARGETS, "resumed");
}

/// By the clock, the newest run is the one with the latest start. A later run does not hide it, and has all its rows.
#[test]
fn a_run_after_one_that_started_in_the_future_is_whole() {
    let directory = directory();
    let root = directory.path();
    started_in_the_future(root);
    let writer = go_on_at(root, Disk::default(), rows::START).unwrap();
    resuming::end(writer, 4..TARGETS).unwrap();
    let writer = begin(root, Disk::default(), "RUN-2").unwrap();
    resuming::end(writer, 0..TARGETS).unwrap();
    check_complete(root, "RUN-1", TARGETS, "the first");
    check_complete(root, "RUN-2", TARGETS, "the second");
    let dataset = Dataset::open(root).unwrap();
    let order: Vec<&str> = dataset.runs().iter().map(|run| run.id()).collect();
    assert_eq!(order, ["RUN-2", "RUN-1"]);
    let newest = manifest_of(&root.join("manifest.json")).unwrap();
    assert_eq!(newest["run_id"], "RUN-1");
}

#[test]
fn a_run_is_resumed_by_a_session_an_hour_later() {
    let directory = directory();
    let root = directory.path();
    let writer = begin(root, Disk::default(), "RUN-1").unwrap();
    interrupt(writer, 0..4).unwrap();
    let writer = go_on_at(root, Disk::default(), rows::START + HOUR * 24 * 365).unwrap();
    resuming::end(writer, 4..TARGETS).unwrap();
    check_complete(root, "RUN-1", TARGETS, "resumed");
}
