//! Finished runs that were not closed, replaced runs, and damaged manifests beside other nights.

use chrono::NaiveDate;

use super::resuming::{check_complete, end, go_on, interrupt, resumable};
use super::*;
use crate::dataset::{Resumable, compact};
use crate::model::{IfExists, Time};

const TARGETS: u32 = 5;
const HOUR: Duration = Duration::from_secs(3600);

/// A run of a night of March 2026 that can be resumed.
fn begin(
    root: &Path,
    run_id: &str,
    (day, rule): (u32, IfExists),
    (disk, start): (Disk, Time),
) -> Result<DatasetWriter, DatasetError> {
    let mut run = resumable(run_id);
    run.if_exists = rule;
    run.meta.date = NaiveDate::from_ymd_opt(2026, 3, day);
    run.meta.started_at = start;
    let output = Output::Directory(root.to_owned());
    DatasetWriter::create_on(disk, &output, run, start, &RunFigures::default())
}

fn now() -> (Disk, Time) {
    (Disk::default(), rows::START)
}

fn of_night(day: u32) -> Chosen {
    Chosen {
        date: NaiveDate::from_ymd_opt(2026, 3, day),
        vantage: Some("fra".to_owned()),
    }
}

fn manifest_file(root: &Path, day: u32, run_id: &str) -> PathBuf {
    root.join(format!(
        "runs/date=2026-03-0{day}/vp=id-fra/{run_id}/manifest.json"
    ))
}

/// The files whose paths name a run.
fn files_of(root: &Path, run_id: &str) -> Vec<PathBuf> {
    let mut found = files(root);
    found.retain(|path| path.to_string_lossy().contains(run_id));
    found
}

fn of_directory(root: &Path) -> Value {
    manifest_of(&root.join("manifest.json")).unwrap()
}

/// A complete run that dies after its last manifest, at a step of closing it.
fn not_closed(root: &Path, run_id: &str, rule: IfExists, fault: Fault) {
    let writer = begin(root, run_id, (1, rule), now()).unwrap();
    interrupt(writer, 0..2).unwrap();
    let unfinished = Resumable::find(root, &Chosen::default()).unwrap();
    let unfinished = unfinished.lock_on(Disk::failing(vec![fault])).unwrap();
    let run = new_run(run_id);
    let writer = DatasetWriter::resume(unfinished, run, rows::START, &RunFigures::default());
    end(writer.unwrap(), 2..TARGETS).unwrap_err();
    let state = &manifest_of(&manifest_file(root, 1, run_id)).unwrap()["state"];
    assert_eq!(state, "complete");
}

#[test]
fn a_complete_run_that_died_before_it_was_closed_is_closed_when_it_is_to_be_resumed() {
    let faults = [
        Fault::always(Call::Remove, "checkpoint.json", libc::EIO),
        Fault::always(Call::Rename, "_SUCCESS", libc::EIO),
    ];
    for (at, fault) in faults.into_iter().enumerate() {
        let directory = directory();
        let root = directory.path();
        not_closed(root, "RUN-1", IfExists::Append, fault);
        assert!(
            !root
                .join("runs/date=2026-03-01/vp=id-fra/RUN-1/_SUCCESS")
                .exists()
        );
        if at == 0 {
            // It died before the copy in the directory.
            let mut copy = of_directory(root);
            copy["state"] = "running".into();
            std::fs::write(root.join("manifest.json"), copy.to_string()).unwrap();
        }
        let refused = go_on(root, Disk::default()).err().unwrap();
        assert!(
            matches!(refused, DatasetError::NotResumable { .. }),
            "{at}: {refused}"
        );
        for chosen in [Chosen::default(), of_night(1)] {
            let closed = close_finished(root, &chosen).unwrap();
            let first = chosen == Chosen::default();
            assert_eq!(closed.is_some(), first, "{at}: {closed:?}");
            assert!(
                root.join("runs/date=2026-03-01/vp=id-fra/RUN-1/_SUCCESS")
                    .exists()
            );
            assert_eq!(of_directory(root)["state"], "complete", "{at}");
            assert!(files_of(root, "checkpoint").is_empty(), "{at}");
        }
        check_complete(root, "RUN-1", TARGETS, "closed");
    }
}

#[test]
fn a_run_that_is_closed_later_removes_the_runs_that_it_replaces() {
    let directory = directory();
    let root = directory.path();
    end(
        begin(root, "RUN-1", (1, IfExists::Append), now()).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    let fault = Fault::always(Call::Remove, "part-RUN-1", libc::EIO);
    not_closed(root, "RUN-2", IfExists::Replace, fault);
    assert!(!files_of(root, "RUN-1").is_empty());
    assert!(close_finished(root, &of_night(1)).unwrap().is_some());
    assert!(
        files_of(root, "RUN-1").is_empty(),
        "{:?}",
        files_of(root, "RUN-1")
    );
    check_complete(root, "RUN-2", TARGETS, "closed");
}

#[test]
fn a_run_that_is_written_is_not_closed_and_an_unfinished_one_stays_as_it_is() {
    let directory = directory();
    let root = directory.path();
    let writer = begin(root, "RUN-1", (1, IfExists::Append), now()).unwrap();
    assert!(close_finished(root, &Chosen::default()).unwrap().is_none());
    interrupt(writer, 0..2).unwrap();
    let before = files(root);
    assert!(close_finished(root, &Chosen::default()).unwrap().is_none());
    assert_eq!(files(root), before);
}

/// Its clock was ahead, so by their starts it is the newest run.
#[test]
fn a_replaced_run_that_started_in_the_future_is_not_the_newest_any_more() {
    let directory = directory();
    let root = directory.path();
    let ahead = (Disk::default(), rows::START + HOUR * 48);
    end(
        begin(root, "RUN-1", (1, IfExists::Append), ahead).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    let other = (Disk::default(), rows::START + HOUR);
    end(
        begin(root, "RUN-X", (2, IfExists::Append), other).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    assert_eq!(of_directory(root)["run_id"], "RUN-1");
    end(
        begin(root, "RUN-2", (1, IfExists::Replace), now()).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    assert_eq!(
        of_directory(root)["run_id"],
        "RUN-X",
        "it started after RUN-2"
    );
    assert!(
        files_of(root, "RUN-1").is_empty(),
        "{:?}",
        files_of(root, "RUN-1")
    );
    check_complete(root, "RUN-2", TARGETS, "the other run");
}

/// Somebody removed the newest run, but for the copy of its manifest.
#[test]
fn the_manifest_of_a_run_that_is_gone_gives_way() {
    for ahead in [true, false] {
        let directory = directory();
        let root = directory.path();
        let start = if ahead { HOUR } else { Duration::ZERO };
        let first = (Disk::default(), rows::START + start);
        end(
            begin(root, "RUN-1", (1, IfExists::Append), first).unwrap(),
            0..TARGETS,
        )
        .unwrap();
        for folder in ["runs", "hops", "traces"] {
            std::fs::remove_dir_all(root.join(folder)).unwrap();
        }
        let next = (Disk::default(), rows::START + HOUR / 2);
        let writer = begin(root, "RUN-2", (1, IfExists::Fail), next);
        end(writer.unwrap(), 0..TARGETS).unwrap();
        assert_eq!(of_directory(root)["run_id"], "RUN-2", "{ahead}");
        assert!(
            files_of(root, "RUN-1").is_empty(),
            "{:?}",
            files_of(root, "RUN-1")
        );
        check_complete(root, "RUN-2", TARGETS, "the next run");
    }
}

/// A run of a version without the folder `runs`, whose only manifest is that of the directory.
#[test]
fn a_run_of_an_earlier_version_is_replaced() {
    let directory = directory();
    let root = directory.path();
    end(
        begin(root, "RUN-1", (1, IfExists::Append), now()).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    let mut manifest = of_directory(root);
    let members = manifest.as_object_mut().unwrap();
    members.retain(|name, _| !["date", "sessions", "replaces"].contains(&name.as_str()));
    std::fs::write(root.join("manifest.json"), manifest.to_string()).unwrap();
    std::fs::remove_dir_all(root.join("runs")).unwrap();
    end(
        begin(root, "RUN-2", (1, IfExists::Replace), now()).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    assert_eq!(of_directory(root)["run_id"], "RUN-2");
    assert!(
        files_of(root, "RUN-1").is_empty(),
        "{:?}",
        files_of(root, "RUN-1")
    );
    check_complete(root, "RUN-2", TARGETS, "the new run");
}

#[test]
fn a_damaged_manifest_concerns_only_its_night() {
    let directory = directory();
    let root = directory.path();
    let damaged = manifest_file(root, 1, "RUN-1");
    end(
        begin(root, "RUN-1", (1, IfExists::Append), now()).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    let writer = begin(root, "RUN-2", (2, IfExists::Append), now()).unwrap();
    interrupt(writer, 0..2).unwrap();
    std::fs::write(&damaged, "{").unwrap();
    let named = damaged.to_str().unwrap();

    for rule in [IfExists::Fail, IfExists::Skip, IfExists::Replace] {
        let error = begin(root, "RUN-3", (1, rule), now())
            .err()
            .unwrap()
            .to_string();
        for words in [named, "restore the file from a copy", "--if-exists append"] {
            assert!(error.contains(words), "{rule:?}: {error}");
        }
        let run_id = format!("RUN-4-{rule:?}");
        let writer = begin(root, &run_id, (3, rule), now());
        match rule {
            // The run before is finished by then.
            IfExists::Fail | IfExists::Replace => {
                end(writer.unwrap(), 0..TARGETS).unwrap();
            }
            _ => assert!(matches!(writer, Err(DatasetError::NightDone { .. }))),
        }
    }
    let found = Resumable::find(root, &of_night(2)).unwrap();
    assert_eq!(found.manifest().run_id, "RUN-2");
    let error = Resumable::find(root, &of_night(1)).unwrap_err().to_string();
    assert!(error.contains(named), "{error}");
}

#[test]
fn the_newest_run_is_resumed_if_a_manifest_of_an_older_night_is_damaged() {
    let directory = directory();
    let root = directory.path();
    end(
        begin(root, "RUN-1", (1, IfExists::Append), now()).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    let writer = begin(root, "RUN-2", (2, IfExists::Append), now()).unwrap();
    interrupt(writer, 0..2).unwrap();
    let damaged = manifest_file(root, 1, "RUN-1");
    std::fs::write(&damaged, "{").unwrap();
    let unfinished = Resumable::find(root, &Chosen::default()).unwrap();
    let mut run = new_run("RUN-2");
    run.meta.date = unfinished.manifest().date;
    let unfinished = unfinished.lock().unwrap();
    let writer = DatasetWriter::resume(unfinished, run, rows::START, &RunFigures::default());
    end(writer.unwrap(), 2..TARGETS).unwrap();
    assert_eq!(
        manifest_of(&manifest_file(root, 2, "RUN-2")).unwrap()["state"],
        "complete"
    );
}

#[test]
fn no_run_is_resumed_if_a_newer_one_cannot_be_read() {
    let directory = directory();
    let root = directory.path();
    let writer = begin(root, "RUN-1", (1, IfExists::Append), now()).unwrap();
    interrupt(writer, 0..2).unwrap();
    end(
        begin(root, "RUN-2", (2, IfExists::Append), now()).unwrap(),
        0..TARGETS,
    )
    .unwrap();
    let damaged = manifest_file(root, 2, "RUN-2");
    std::fs::write(&damaged, "{").unwrap();
    std::fs::remove_file(root.join("manifest.json")).unwrap();
    let error = Resumable::find(root, &Chosen::default())
        .unwrap_err()
        .to_string();
    for words in [damaged.to_str().unwrap(), "--date and --vantage"] {
        assert!(error.contains(words), "{error}");
    }
    assert!(Resumable::find(root, &of_night(1)).is_ok());
}

#[test]
fn a_run_whose_parts_were_merged_is_not_resumed_and_the_message_says_why() {
    let directory = directory();
    let root = directory.path();
    let writer = begin(root, "RUN-1", (1, IfExists::Append), now()).unwrap();
    interrupt(writer, 0..4).unwrap();
    let options = compact::Options {
        unfinished: true,
        ..compact::Options::default()
    };
    compact::compact(root, &options, |_| ()).unwrap();
    let before = files(root);
    let error = go_on(root, Disk::default()).err().unwrap().to_string();
    for words in [
        "datasets compact --unfinished",
        "RUN-1",
        "start a new run",
        "--if-exists",
    ] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(files(root), before);
}
