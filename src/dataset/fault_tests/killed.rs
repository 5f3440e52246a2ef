//! The next run after one that was killed.

use super::*;
use crate::dataset::manifest::RunState;

/// A run that is killed after its parts of sealing 1 have their final names, and before its manifest lists them.
fn killed(output: &Output, run_id: &str) {
    let mut fault = Fault::always(Call::Rename, "manifest.json", libc::EIO);
    // The first manifest, and that of sealing 0.
    fault.after = 2;
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
fn the_next_run_marks_it_and_moves_what_no_manifest_lists() {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    killed(&output, "RUN-1");
    let before = manifest_of(&root.join("manifest.json")).unwrap();
    assert_eq!(before["state"], "running");
    let unlisted = |table: &str| {
        let name = format!("{table}/date=2026-03-01/vp=id-fra/part-RUN-1-00001.parquet");
        assert!(root.join(&name).exists());
        (std::fs::read(root.join(&name)).unwrap(), name)
    };
    let unlisted = [unlisted("hops"), unlisted("traces")];

    let (_, notices) = run(&output, Disk::default(), "RUN-2").unwrap();
    let [notice] = &notices[..] else {
        panic!("{notices:?}");
    };
    for words in [
        "run RUN-1 was killed",
        "48 rows of hops",
        "sealed parts: 2",
        "; 2 more",
        &unlisted[0].1,
    ] {
        assert!(notice.contains(words), "{notice}");
    }
    let mut expected = before;
    expected["state"] = "killed".into();
    expected["exit_reason"] = "the process ended without its last manifest".into();
    assert_eq!(
        manifest_of(&root.join("manifest-RUN-1.json")).unwrap(),
        expected
    );

    // A reader of all files sees the rows that the manifests list, and nothing is lost.
    let dataset = Dataset::open(root).unwrap();
    assert_eq!(
        dataset.run("RUN-1").unwrap().manifest().state,
        RunState::Killed
    );
    let differences = dataset.verify(Checks::ALL, |_| ()).unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    for (bytes, name) in unlisted {
        assert!(!root.join(&name).exists(), "{name}");
        assert_eq!(
            std::fs::read(root.join(".unlisted").join(&name)).unwrap(),
            bytes
        );
    }

    let (_, notices) = run(&output, Disk::default(), "RUN-3").unwrap();
    assert!(notices.is_empty(), "told once: {notices:?}");
    assert_eq!(state_of(&root.join("manifest-RUN-1.json")), "killed");
    assert_eq!(state_of(&root.join("manifest-RUN-2.json")), "complete");
}

#[test]
fn a_run_that_dies_while_it_marks_another_leaves_that_to_the_next() {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    killed(&output, "RUN-1");
    // It dies when the manifest is marked, or when the manifest is renamed.
    for (call, on) in [
        (Call::Sync, "manifest.json"),
        (Call::Rename, "manifest.json"),
        (Call::Rename, "manifest-RUN-1.json"),
    ] {
        let disk = Disk::failing(vec![Fault::always(call, on, libc::EIO)]);
        assert!(create(&output, disk, "RUN-2").is_err(), "{on}");
        let runs = Dataset::open(root).unwrap();
        assert!(runs.run("RUN-1").is_some(), "{on}");
    }
    run(&output, Disk::default(), "RUN-3").unwrap();
    assert_eq!(state_of(&root.join("manifest-RUN-1.json")), "killed");
    let differences = Dataset::open(root)
        .unwrap()
        .verify(Checks::ALL, |_| ())
        .unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn parts_that_cannot_be_moved_stay_and_the_run_goes_on() {
    let directory = directory();
    let output = Output::Directory(directory.path().to_owned());
    killed(&output, "RUN-1");
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

/// Versions before this one renamed the manifest of a killed run, and left its state.
#[test]
fn runs_that_an_earlier_version_did_not_mark_are_marked() {
    let directory = directory();
    let root = directory.path();
    let output = Output::Directory(root.to_owned());
    killed(&output, "RUN-1");
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
