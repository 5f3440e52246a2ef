//! The next run after one that was killed.

use super::*;
use crate::dataset::manifest::RunState;

/// The folder of a run in these tests.
fn folder(root: &Path, run_id: &str) -> PathBuf {
    root.join("runs/date=2026-03-01/vp=id-fra").join(run_id)
}

/// A run that is killed after its parts of sealing 1 have their final names, and before its manifest lists them.
fn killed(output: &Output, run_id: &str) {
    let mut fault = Fault::always(Call::Rename, "manifest.json", libc::EIO);
    // The first manifests of the run and of the directory, and those of sealing 0.
    fault.after = 4;
    let mut writer = create(output, Disk::failing(vec![fault]), run_id).unwrap();
    feed(&mut writer, TRACES).unwrap_err();
}

fn state_of(path: &Path) -> String {
    manifest_of(path).unwrap()["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_next_run_marks_it_and_lists_what_its_checkpoint_has() {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    killed(&output, "RUN-1");
    let manifest = folder(root, "RUN-1").join("manifest.json");
    let before = manifest_of(&manifest).unwrap();
    assert_eq!(before["state"], "running");
    assert_eq!(before["tables"]["hops"]["rows"], 48);
    for table in ["hops", "traces"] {
        let name = format!("{table}/date=2026-03-01/vp=id-fra/part-RUN-1-00001.parquet");
        assert!(root.join(&name).exists());
    }

    let (_, notices) = run(&output, Disk::default(), "RUN-2").unwrap();
    let [notice] = &notices[..] else {
        panic!("{notices:?}");
    };
    for words in ["run RUN-1 was killed", "96 rows of hops", "sealed parts: 4"] {
        assert!(notice.contains(words), "{notice}");
    }
    let after = manifest_of(&manifest).unwrap();
    assert_eq!(after["state"], "killed");
    assert_eq!(
        after["exit_reason"],
        "the process ended without its last manifest"
    );
    assert_eq!(after["probes"]["total"], 96);
    assert_eq!(after["run"]["traces_ended"], 6);
    assert_eq!(after["sessions"][0]["state"], "killed");

    // A reader of all files sees the rows that the manifests list.
    let dataset = Dataset::open(root).unwrap();
    let run_1 = dataset.run("RUN-1").unwrap();
    assert_eq!(run_1.manifest().state, RunState::Killed);
    assert_eq!(run_1.parts("hops").len(), 2);
    let differences = dataset.verify(Checks::ALL, |_| ()).unwrap();
    assert!(differences.is_empty(), "{differences:?}");

    let (_, notices) = run(&output, Disk::default(), "RUN-3").unwrap();
    assert!(notices.is_empty(), "told once: {notices:?}");
    assert_eq!(state_of(&manifest), "killed");
    assert_eq!(
        state_of(&folder(root, "RUN-2").join("manifest.json")),
        "complete"
    );
    assert_eq!(
        manifest_of(&root.join("manifest.json")).unwrap()["run_id"],
        "RUN-3"
    );
}

#[test]
fn a_run_that_dies_while_it_marks_another_leaves_that_to_the_next() {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    killed(&output, "RUN-1");
    for (call, on) in [
        (Call::Sync, "manifest.json"),
        (Call::Rename, "manifest.json"),
    ] {
        let disk = Disk::failing(vec![Fault::always(call, on, libc::EIO)]);
        assert!(create(&output, disk, "RUN-2").is_err(), "{on}");
        let runs = Dataset::open(root).unwrap();
        assert!(runs.run("RUN-1").is_some(), "{on}");
    }
    run(&output, Disk::default(), "RUN-3").unwrap();
    assert_eq!(
        state_of(&folder(root, "RUN-1").join("manifest.json")),
        "killed"
    );
    let differences = Dataset::open(root)
        .unwrap()
        .verify(Checks::ALL, |_| ())
        .unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

/// What a killed run of a version before the folder `runs` leaves: sealing 1 is in no manifest.
pub(super) fn killed_before(root: &Path, run_id: &str) {
    run(&Output::Directory(root.to_owned()), Disk::default(), run_id).unwrap();
    let path = root.join("manifest.json");
    let mut manifest = manifest_of(&path).unwrap();
    let members = manifest.as_object_mut().unwrap();
    members.retain(|name, _| !["date", "sessions", "replaces"].contains(&name.as_str()));
    members["state"] = "running".into();
    members["ended_at"] = Value::Null;
    for table in ["hops", "traces"] {
        let section = &mut members["tables"][table];
        section["rows"] = section["parts"][0]["rows"].clone();
        section["bytes"] = section["parts"][0]["bytes"].clone();
        section["parts"].as_array_mut().unwrap().truncate(1);
        for sealing in 2.. {
            let name =
                format!("{table}/date=2026-03-01/vp=id-fra/part-{run_id}-{sealing:05}.parquet");
            if std::fs::remove_file(root.join(name)).is_err() {
                break;
            }
        }
    }
    std::fs::write(&path, manifest.to_string()).unwrap();
    std::fs::remove_dir_all(root.join("runs")).unwrap();
    std::fs::write(root.join(".lock"), "").unwrap();
    std::fs::create_dir(root.join(".partial")).unwrap();
}

#[test]
fn what_no_manifest_lists_moves_away_if_an_earlier_version_left_it() {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    killed_before(root, "RUN-1");
    let unlisted = ["hops", "traces"].map(|table| {
        let name = format!("{table}/date=2026-03-01/vp=id-fra/part-RUN-1-00001.parquet");
        (std::fs::read(root.join(&name)).unwrap(), name)
    });
    let (_, notices) = run(&output, Disk::default(), "RUN-2").unwrap();
    let [notice] = &notices[..] else {
        panic!("{notices:?}");
    };
    for words in [
        "run RUN-1 was killed",
        "48 rows of hops",
        "; 2 more",
        &unlisted[0].1,
    ] {
        assert!(notice.contains(words), "{notice}");
    }
    assert_eq!(state_of(&root.join("manifest-RUN-1.json")), "killed");
    let dataset = Dataset::open(root).unwrap();
    let differences = dataset.verify(Checks::ALL, |_| ()).unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    for (bytes, name) in unlisted {
        assert!(!root.join(&name).exists(), "{name}");
        let moved = std::fs::read(root.join(".unlisted").join(&name)).unwrap();
        assert_eq!(moved, bytes);
    }
    let left = [".lock", ".partial"].map(|name| root.join(name).exists());
    assert_eq!(left, [false; 2], "files of the earlier version");
    let (_, notices) = run(&output, Disk::default(), "RUN-3").unwrap();
    assert!(notices.is_empty(), "told once: {notices:?}");
}

#[test]
fn parts_that_cannot_be_moved_stay_and_the_run_goes_on() {
    let directory = directory();
    let output = Output::Directory(directory.path().to_owned());
    killed_before(directory.path(), "RUN-1");
    let disk = Disk::failing(vec![Fault::always(Call::Rename, ".unlisted", libc::EXDEV)]);
    let (_, notices) = run(&output, disk, "RUN-2").unwrap();
    assert!(
        notices[0].contains("2 more, which no manifest lists, were left in place"),
        "{notices:?}"
    );
    let left = directory
        .path()
        .join("hops/date=2026-03-01/vp=id-fra/part-RUN-1-00001.parquet");
    assert!(left.exists());
}

/// The first versions renamed the manifest of a killed run, and left its state.
#[test]
fn runs_that_an_earlier_version_did_not_mark_are_marked() {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    killed_before(root, "RUN-1");
    std::fs::rename(root.join("manifest.json"), root.join("manifest-RUN-1.json")).unwrap();
    std::fs::write(root.join("manifest-notes.json"), "of somebody else").unwrap();
    std::fs::create_dir(root.join("manifest-old.json")).unwrap();
    let (_, notices) = run(&output, Disk::default(), "RUN-2").unwrap();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(state_of(&root.join("manifest-RUN-1.json")), "killed");
    assert_eq!(
        std::fs::read(root.join("manifest-notes.json")).unwrap(),
        b"of somebody else"
    );
}
