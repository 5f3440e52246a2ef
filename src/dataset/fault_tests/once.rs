//! Calls that fail once.

use super::*;

/// After a failed fsync, the kernel may drop pages that it could not write, and report success the next time.
#[test]
fn a_part_that_could_not_be_synced_is_written_again_to_a_new_file() {
    let directory = directory();
    let out = directory.path().join("OUT");
    let mut fault = Fault::always(Call::Sync, "hops/", libc::EIO);
    fault.times = 1;
    // The file of the failed fsync cannot be removed, either.
    let mut stuck = Fault::always(Call::Remove, ".parquet.tmp", libc::EIO);
    stuck.times = 1;
    let disk = Disk::failing(vec![fault, stuck]);
    let (finished, _) = run(&Output::Directory(out.clone()), disk.clone(), "RUN").unwrap();
    let mut synced = disk.synced();
    let files_synced = synced.len();
    synced.sort_unstable();
    synced.dedup();
    assert_eq!(synced.len(), files_synced, "a file was synced twice");
    assert_eq!(finished.hops, u64::from(TRACES) * u64::from(rows::HOPS));
    let differences = Dataset::open(&out)
        .unwrap()
        .verify(Checks::ALL, |_| ())
        .unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    assert!(files(&out.join(".partial")).is_empty());
}

#[test]
fn a_part_whose_directory_cannot_be_synced_is_not_there_twice() {
    let directory = directory();
    let out = directory.path().join("OUT");
    let mut fault = Fault::always(Call::SyncDirectory, "hops/date", libc::EIO);
    // Creating the partition syncs its parents. The part's own directory comes after.
    fault.after = 1;
    let error = run(
        &Output::Directory(out.clone()),
        Disk::failing(vec![fault]),
        "RUN",
    )
    .unwrap_err();
    assert!(error.to_string().contains("cannot sync "), "{error}");
    assert!(files(&out.join("hops")).is_empty(), "{:?}", files(&out));
    assert_eq!(
        manifest_of(&out.join("manifest.json")).unwrap()["state"],
        "failed"
    );
}

/// Two runs on a file system without locks.
#[test]
fn without_locks_the_second_run_is_refused_and_the_first_leaves_no_lock_file() {
    let directory = directory();
    let disk = || Disk::failing(vec![Fault::always(Call::Lock, "", libc::ENOLCK)]);
    for name in ["OUT", "OUT.csv"] {
        let output = Output::parse(directory.path().join(name).to_str().unwrap(), None).unwrap();
        let first = create(&output, disk(), "RUN-1").unwrap();
        let [notice] = first.notices() else {
            panic!("{:?}", first.notices());
        };
        assert!(notice.contains("has no locks"), "{notice}");
        // With locks or without: the file of the first run counts.
        for second in [disk(), Disk::default()] {
            let refused = create(&output, second, "RUN-2");
            assert!(matches!(refused, Err(DatasetError::InUse(_))), "{name}");
        }
        if name == "OUT" {
            assert!(Dataset::open(output.path()).unwrap().is_written().unwrap());
        }
        drop(first);
        let left = files(directory.path());
        assert!(
            left.iter()
                .all(|path| !path.to_string_lossy().ends_with(".owner")),
            "{left:?}"
        );
        assert!(
            left.iter()
                .all(|path| !path.to_string_lossy().ends_with(".csv.lock")),
            "{left:?}"
        );
        run(&output, disk(), "RUN-2").unwrap();
        if name == "OUT" {
            assert!(!Dataset::open(output.path()).unwrap().is_written().unwrap());
        }
    }
}

#[test]
fn a_directory_of_many_files_that_cannot_be_synced_is_named_once() {
    let directory = directory();
    for (name, errno) in [("OUT", libc::EINVAL), ("OUT.csv", libc::ENOSYS)] {
        let output = Output::parse(directory.path().join(name).to_str().unwrap(), None).unwrap();
        let disk = Disk::failing(vec![Fault::always(Call::SyncDirectory, "", errno)]);
        let (finished, notices) = run(&output, disk.clone(), "RUN").unwrap();
        assert!(disk.calls(Call::SyncDirectory) > 1);
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(
            notices[0].contains("cannot sync directories"),
            "{notices:?}"
        );
        let manifest = manifest_of(&finished.manifest.unwrap()).unwrap();
        assert_eq!(manifest["warnings"], serde_json::json!(notices), "{name}");
    }
}

#[test]
fn the_manifest_of_a_replaced_file_does_not_stay_beside_the_new_one() {
    let directory = directory();
    let out = directory.path().join("OUT.csv");
    let output = Output::parse(out.to_str().unwrap(), None).unwrap();
    let (finished, _) = run(&output, Disk::default(), "RUN-1").unwrap();
    let fault = Fault::always(Call::Rename, "manifest.json", libc::EIO);
    run(&output, Disk::failing(vec![fault]), "RUN-2").unwrap_err();
    assert!(out.exists());
    assert!(!finished.manifest.unwrap().exists(), "it is that of RUN-1");
}
