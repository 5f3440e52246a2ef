//! Runs that cannot be resumed: the message says why, and nothing is changed.

use std::collections::BTreeMap;

use super::resuming::{begin, check_complete, complete, go_on, interrupt, resumable};
use super::*;
use crate::dataset::Resumable;

const TARGETS: u32 = 7;
const FOLDER: &str = "runs/date=2026-03-01/vp=id-fra/RUN-1";

/// An interrupted run.
fn unfinished() -> tempfile::TempDir {
    let directory = directory();
    let writer = begin(directory.path(), Disk::default(), "RUN-1").unwrap();
    interrupt(writer, 0..4).unwrap();
    directory
}

fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = files(root).into_iter();
    paths
        .map(|path| (path.clone(), std::fs::read(root.join(path)).unwrap()))
        .collect()
}

/// Checks that the run is refused, that the message holds `words`, and that no file is changed.
#[track_caller]
fn check(root: &Path, words: &[&str]) {
    let before = contents(root);
    let error = go_on(root, Disk::default()).err().expect("a refusal");
    let told = error.to_string();
    for word in words {
        assert!(told.contains(word), "`{word}` is not in: {told}");
    }
    assert!(contents(root) == before, "a file was changed");
}

fn change(root: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let path = root.join(FOLDER).join(name);
    let mut value = manifest_of(&path).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

#[test]
fn a_complete_run_is_not_resumed() {
    let directory = unfinished();
    complete(directory.path(), Disk::default(), TARGETS).unwrap();
    check(
        directory.path(),
        &["RUN-1", "complete", "nothing is left to do"],
    );
}

#[test]
fn a_run_that_a_process_still_writes_is_not_resumed() {
    let directory = directory();
    let mut writer = begin(directory.path(), Disk::default(), "RUN-1").unwrap();
    check(directory.path(), &["is being written by another run"]);
    // The first one goes on.
    feed(&mut writer, TARGETS).unwrap();
    resuming::end(writer, 0..0).unwrap();
    check_complete(directory.path(), "RUN-1", TARGETS, "the first run");
}

#[test]
fn a_second_resume_is_refused_while_the_first_goes_on() {
    let directory = unfinished();
    let (writer, there) = go_on(directory.path(), Disk::default()).unwrap();
    check(directory.path(), &["is being written by another run"]);
    resuming::end(
        writer,
        (0..TARGETS).filter(|target| !there.contains(target)),
    )
    .unwrap();
    check_complete(directory.path(), "RUN-1", TARGETS, "the first resume");
}

#[test]
fn a_second_resume_that_found_the_run_before_the_first_ended_is_refused() {
    let directory = unfinished();
    let late = Resumable::find(directory.path(), &Chosen::default()).unwrap();
    complete(directory.path(), Disk::default(), TARGETS).unwrap();
    let before = contents(directory.path());
    let told = late.lock().unwrap_err().to_string();
    assert!(
        told.contains("another process has resumed run RUN-1"),
        "{told}"
    );
    assert!(contents(directory.path()) == before, "a file was changed");
}

#[test]
fn a_run_whose_manifest_cannot_be_read_is_not_resumed() {
    let directory = unfinished();
    let path = directory.path().join(FOLDER).join("manifest.json");
    std::fs::write(&path, "{\"tool\": {").unwrap();
    check(
        directory.path(),
        &[path.to_str().unwrap(), "restore the file from a copy"],
    );
}

#[test]
fn a_run_without_its_targets_is_not_resumed() {
    let directory = unfinished();
    let path = directory.path().join(FOLDER).join("targets.bin");
    std::fs::remove_file(&path).unwrap();
    check(
        directory.path(),
        &[
            "the targets of run RUN-1 are missing",
            path.to_str().unwrap(),
        ],
    );
}

#[test]
fn a_run_whose_checkpoint_is_missing_or_of_another_version_is_not_resumed() {
    let directory = unfinished();
    let path = directory.path().join(FOLDER).join("checkpoint.json");
    let named = path.to_str().unwrap().to_owned();
    change(directory.path(), "checkpoint.json", |it| {
        it["checkpoint_version"] = 99.into()
    });
    check(directory.path(), &[&named, "checkpoint_version is 99"]);
    std::fs::write(&path, "{\"checkpoint_version\": 1, \"sealings\": 3}").unwrap();
    check(directory.path(), &[&named]);
    std::fs::remove_file(&path).unwrap();
    check(
        directory.path(),
        &[&named, "the checkpoint of run RUN-1 is missing"],
    );
}

#[test]
fn a_run_of_another_version_of_the_format_or_of_a_table_is_not_resumed() {
    let directory = unfinished();
    let set = |at: &str, version: u32| {
        change(directory.path(), "manifest.json", |it| {
            *it.pointer_mut(at).unwrap() = version.into();
        });
    };
    let current = manifest_of(&directory.path().join(FOLDER).join("manifest.json")).unwrap();
    let hops = current["tables"]["hops"]["schema_version"]
        .as_u64()
        .unwrap() as u32;
    set("/tables/hops/schema_version", hops + 1);
    check(
        directory.path(),
        &["RUN-1", "of the table hops", "resume it with pathsurvey"],
    );
    set("/tables/hops/schema_version", hops);
    set("/manifest_version", 0);
    check(
        directory.path(),
        &["the manifest_version of run RUN-1 is 0"],
    );
    set("/manifest_version", 99);
    check(
        directory.path(),
        &["its manifest_version is 99", "install a newer"],
    );
}

#[test]
fn a_run_of_a_version_that_could_not_resume_is_not_resumed() {
    let directory = directory();
    killed::killed_before(directory.path(), "RUN-1");
    check(
        directory.path(),
        &["RUN-1", "could not resume runs: start a new run"],
    );
}

#[test]
fn of_two_unfinished_vantage_points_one_must_be_named() {
    let directory = unfinished();
    let root = directory.path();
    let mut other = resumable("RUN-2");
    other.meta.vantage.id = "ams".to_owned();
    other.meta.started_at = rows::START + Duration::from_secs(60);
    let output = Output::Directory(root.to_owned());
    let figures = RunFigures::default();
    let writer = DatasetWriter::create_on(Disk::default(), &output, other, rows::START, &figures);
    interrupt(writer.unwrap(), 0..2).unwrap();
    check(root, &["name one with --vantage", "ams, fra"]);
    let newest = || manifest_of(&root.join("manifest.json")).unwrap()["run_id"].clone();
    assert_eq!(newest(), "RUN-2");

    let chosen = Chosen {
        vantage: Some("fra".to_owned()),
        ..Chosen::default()
    };
    let found = Resumable::find(root, &chosen).unwrap();
    assert_eq!(found.manifest().run_id, "RUN-1");
    let unfinished = found.lock().unwrap();
    let writer = DatasetWriter::resume(unfinished, new_run("RUN-1"), rows::START, &figures);
    resuming::end(writer.unwrap(), 4..TARGETS).unwrap();
    check_complete(root, "RUN-1", TARGETS, "the named one");
    assert_eq!(newest(), "RUN-2", "the run that started last");
}
