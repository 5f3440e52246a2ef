//! Compactions of several runs: copies that are brought up to date, locked nights, and runs with errors.

use chrono::NaiveDate;

use super::*;
use crate::dataset::directory::NightLock;
use crate::model::IfExists;

/// A whole run of a night of March 2026, with eight parts.
fn write_in(root: &Path, run_id: &str, day: u32, rule: IfExists) {
    let mut writer = start_in(root, run_id, day, rule);
    for at in 0..TRACES {
        let (hops, trace) = rows::trace(at);
        for row in hops {
            writer.push::<Hops>(row, rows::START).unwrap();
        }
        writer.push::<Traces>(trace, rows::START).unwrap();
        writer.seal_if_due(rows::START).unwrap();
    }
    let finished = writer.finish(&Ending::Complete, rows::START, &RunFigures::default());
    assert_eq!(finished.unwrap().parts, 8);
}

fn start_in(root: &Path, run_id: &str, day: u32, rule: IfExists) -> DatasetWriter {
    let run = NewRun {
        limits: PartLimits {
            rows: 3 * usize::from(rows::HOPS),
            bytes: usize::MAX,
            age: Duration::from_secs(3600),
        },
        if_exists: rule,
        ..NewRun::new(
            RunMeta {
                date: NaiveDate::from_ymd_opt(2026, 3, day),
                ..meta(run_id)
            },
            Arc::new(rows::SampleTargets::new()),
        )
    };
    let output = Output::Directory(root.to_owned());
    DatasetWriter::create(&output, run, rows::START, &RunFigures::default()).unwrap()
}

fn copying(to: &Path) -> Options {
    Options {
        to: Some(to.to_owned()),
        ..options()
    }
}

fn is_merged(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Merged { .. })
}

/// The number of parts of a run.
fn parts_of(root: &Path, run_id: &str) -> usize {
    let (dataset, _) = Dataset::open_readable(root).unwrap();
    dataset.run(run_id).unwrap().manifest().parts().count()
}

#[track_caller]
fn has_no_file_of(root: &Path, run_id: &str) {
    for file in files_below(root) {
        assert!(!file.to_string_lossy().contains(run_id), "{file:?}");
    }
}

#[test]
fn a_copy_drops_a_run_that_was_replaced_in_the_dataset() {
    let directory = tempfile::tempdir().unwrap();
    let (root, to) = (directory.path().join("root"), directory.path().join("to"));
    write_in(&root, "RUN-1", 1, IfExists::Append);
    write_in(&root, "OTHER", 2, IfExists::Append);
    assert!(compacted(&root, &copying(&to)).iter().all(is_merged));
    write_in(&root, "RUN-2", 1, IfExists::Replace);
    compacted(&root, &copying(&to));
    has_no_file_of(&to, "RUN-1");
    is_whole(&to);
    assert_eq!(content(&to), content(&root));

    // Two replacements between two compactions: the copy has never seen RUN-3.
    write_in(&root, "RUN-3", 1, IfExists::Replace);
    write_in(&root, "RUN-4", 1, IfExists::Replace);
    compacted(&root, &copying(&to));
    has_no_file_of(&to, "RUN-2");
    is_whole(&to);
    assert_eq!(content(&to), content(&root));
}

/// The compaction died after the new run was in the copy, and before the replaced one was removed there.
#[test]
fn a_copy_that_is_up_to_date_still_drops_a_replaced_run() {
    let directory = tempfile::tempdir().unwrap();
    let (root, to) = (directory.path().join("root"), directory.path().join("to"));
    write_in(&root, "RUN-1", 1, IfExists::Append);
    compacted(&root, &copying(&to));
    write_in(&root, "RUN-2", 1, IfExists::Replace);
    let stuck = Fault::always(crate::dataset::files::Call::Remove, "RUN-1", libc::EIO);
    let disk = Disk::failing(vec![stuck]);
    compact_on(&disk, &root, &copying(&to), |_| ()).unwrap_err();
    assert_eq!(
        compacted(&root, &copying(&to)),
        [Outcome::Kept(Reason::Copied)]
    );
    has_no_file_of(&to, "RUN-1");
    is_whole(&to);
}

#[test]
fn a_night_that_a_run_writes_stays_and_the_others_are_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let (root, to) = (directory.path().join("root"), directory.path().join("to"));
    for (run_id, day) in [("A", 1), ("B", 2), ("D", 3)] {
        write_in(&root, run_id, day, IfExists::Append);
    }
    let writer = start_in(&root, "C", 2, IfExists::Append);
    let running = || Outcome::Kept(Reason::Unfinished("running".to_owned()));
    for options in [copying(&to), options()] {
        let outcomes = compacted(&root, &options);
        let [a, b, c, d] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        assert!(is_merged(a) && is_merged(d), "{outcomes:?}");
        assert_eq!((b, c), (&Outcome::Kept(Reason::Written), &running()));
        let waits = |outcome: &Outcome| matches!(outcome, Outcome::Kept(why) if why.is_for_now());
        assert_eq!(
            outcomes.iter().map(waits).collect::<Vec<_>>(),
            [false, true, false, false]
        );
    }
    drop(writer);
    let outcomes = compacted(&root, &options());
    assert!(is_merged(&outcomes[1]), "{outcomes:?}");
}

#[test]
fn a_night_that_another_compaction_has_locked_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_in(root, "A", 1, IfExists::Append);
    let night = Night::named("date=2026-03-01", "vp=id-fra").unwrap();
    let lock = NightLock::take_for(COMMAND, root, &night, &Disk::default()).unwrap();
    let busy = Reason::Busy(COMMAND.to_owned());
    assert!(busy.is_for_now());
    assert_eq!(compacted(root, &options()), [Outcome::Kept(busy)]);
    drop(lock);
    assert!(is_merged(&compacted(root, &options())[0]));
}

#[test]
fn a_run_with_a_damaged_part_does_not_keep_others_from_being_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (run_id, day) in [("A", 1), ("B", 2), ("C", 3)] {
        write_in(root, run_id, day, IfExists::Append);
    }
    let cut = |run_id: &str| {
        let dataset = Dataset::open(root).unwrap();
        let part = dataset.run(run_id).unwrap().parts("traces")[1].path();
        let bytes = std::fs::read(part).unwrap();
        std::fs::write(part, &bytes[..bytes.len() - 1]).unwrap();
    };
    cut("A");
    let mut failed = Vec::new();
    let mut note = |event: Event<'_>| {
        if let Event::Failed(error) = event {
            failed.push(error.to_string());
        }
    };
    let error = compact(root, &options(), &mut note).unwrap_err();
    assert!(error.to_string().contains("part-A-00001"), "{error}");
    assert_eq!(failed, [error.to_string()]);
    let parts = ["A", "B", "C"].map(|run| parts_of(root, run));
    assert_eq!(parts, [8, 4, 4]);

    write_in(root, "D", 4, IfExists::Append);
    cut("D");
    let error = compact(root, &options(), |_| ()).unwrap_err();
    assert!(
        matches!(error, CompactError::Several { count: 2, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("part-A-00001"), "{error}");
}

#[test]
fn a_damaged_manifest_does_not_keep_other_runs_from_being_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (run_id, day) in [("A", 1), ("B", 2)] {
        write_in(root, run_id, day, IfExists::Append);
    }
    let manifest = root.join("runs/date=2026-03-01/vp=id-fra/A/manifest.json");
    std::fs::write(&manifest, "{").unwrap();
    let error = compact(root, &options(), |_| ()).unwrap_err();
    let named = manifest.to_string_lossy();
    assert!(error.to_string().contains(&*named), "{error}");
    assert_eq!(parts_of(root, "B"), 4);

    // The copy in the directory is replaced by each compaction of its run.
    let named = root.join("manifest.json");
    std::fs::write(&named, "{").unwrap();
    let files = files_below(root);
    let smaller = Options {
        part_rows: 1,
        ..options()
    };
    let error = compact(root, &smaller, |_| ()).unwrap_err();
    assert!(
        error.to_string().contains(&*named.to_string_lossy()),
        "{error}"
    );
    assert_eq!(files_below(root), files);
}

/// A run that died after its last manifest left the run that it replaces, and has no mark.
#[test]
fn a_complete_run_that_was_not_closed_is_closed_before_it_is_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_in(root, "RUN-1", 1, IfExists::Append);
    let stuck = Fault::always(crate::dataset::files::Call::Remove, "part-RUN-1", libc::EIO);
    let output = Output::Directory(root.to_owned());
    let run = NewRun {
        if_exists: IfExists::Replace,
        ..NewRun::new(meta("RUN-2"), Arc::new(rows::SampleTargets::new()))
    };
    let figures = RunFigures::default();
    let disk = Disk::failing(vec![stuck]);
    let writer = DatasetWriter::create_on(disk, &output, run, rows::START, &figures).unwrap();
    writer
        .finish(&Ending::Complete, rows::START, &figures)
        .unwrap_err();
    assert!(
        files_below(root)
            .iter()
            .any(|file| file.to_string_lossy().contains("part-RUN-1"))
    );
    compacted(root, &options());
    has_no_file_of(root, "RUN-1");
    is_whole(root);
}

#[test]
fn a_link_to_a_directory_and_a_slash_behind_its_name_make_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    let (root, link) = (directory.path().join("root"), directory.path().join("link"));
    write_in(&root, "A", 1, IfExists::Append);
    let before = content(&root);
    std::os::unix::fs::symlink(&root, &link).unwrap();
    let error = compact(&link, &copying(&root), |_| ()).unwrap_err();
    assert!(matches!(error, CompactError::SamePlace(_)), "{error}");
    let slash = PathBuf::from(format!("{}/", link.display()));
    assert!(is_merged(&compacted(&slash, &options())[0]));
    assert_eq!(content(&root), before);
    is_whole(&root);
}

#[test]
fn a_read_only_directory_is_an_error_with_the_option_of_this_command() {
    let error = DatasetError::file("create", Path::new("d/.lock"));
    let error = CompactError::from(error(io::Error::from_raw_os_error(libc::EROFS)));
    let text = error.to_string();
    assert!(text.contains("cannot create d/.lock"), "{text}");
    assert!(text.contains("--to") && !text.contains("with -o"), "{text}");
}
