//! Pruning, also if it is cut short at any step.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::remove::Hand;
use super::*;
use crate::care::samples::Sample;
use crate::dataset::compact;
use crate::dataset::read::{Checks, Dataset, Fault};

fn rule(before: &str) -> Rule {
    Rule {
        before: before.parse().unwrap(),
        vantage: None,
    }
}

fn doomed(plan: &Plan) -> Vec<&str> {
    plan.doomed.iter().map(|run| run.run_id.as_str()).collect()
}

fn kept(plan: &Plan) -> Vec<(&str, Why)> {
    let kept = plan.kept.iter();
    kept.map(|run| (run.run_id.as_str(), run.why)).collect()
}

fn prune(sample: &Sample, before: &str) -> Removed {
    let plan = plan(sample.root(), &rule(before)).unwrap();
    plan.carry_out(|_| {}).unwrap()
}

fn ids(root: &Path) -> Vec<String> {
    let dataset = Dataset::open(root).unwrap();
    let mut ids: Vec<String> = dataset
        .runs()
        .iter()
        .map(|run| run.id().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn whole_nights_before_a_date_are_removed_and_nothing_else() {
    let sample = Sample::nights();
    let before = sample.tree();
    let removed = prune(&sample, "2026-03-02");
    assert_eq!(removed.runs, 3);
    assert!(
        removed.foreign.is_empty() && removed.kept.is_empty(),
        "{removed:?}"
    );
    assert_eq!(ids(sample.root()), ["a2", "a3", "f2", "f3"]);
    let dataset = Dataset::open(sample.root()).unwrap();
    assert!(dataset.verify(Checks::ALL, |_| {}).unwrap().is_empty());
    let mut expected = before;
    expected.retain(|path, _| {
        let text = path.to_str().unwrap();
        let is_manifest = ["-f1.json", "-f1b.json", "-a1.json"]
            .iter()
            .any(|end| text.ends_with(end));
        !text.contains("date=2026-03-01") && !is_manifest
    });
    assert!(
        sample.tree() == expected,
        "the files of the other nights are as they were"
    );
    assert_eq!(prune(&sample, "2026-03-02"), Removed::default(), "again");
}

#[test]
fn a_plan_changes_nothing() {
    let sample = Sample::nights();
    let before = sample.tree();
    let plan = plan(sample.root(), &rule("2026-03-03")).unwrap();
    assert_eq!(doomed(&plan), ["f1", "f1b", "a1", "f2", "a2"]);
    assert!(plan.kept.is_empty());
    assert!(sample.tree() == before);
}

#[test]
fn a_vantage_point_is_chosen_by_its_exact_name() {
    let sample = Sample::nights();
    for (vantage, expected) in [("東京/*", vec!["a1", "a2"]), ("*", vec![]), ("fr", vec![])] {
        let rule = Rule {
            vantage: Some(vantage.to_owned()),
            ..rule("2026-03-03")
        };
        assert_eq!(
            doomed(&plan(sample.root(), &rule).unwrap()),
            expected,
            "{vantage}"
        );
    }
}

#[test]
fn the_newest_night_of_each_vantage_point_stays() {
    let sample = Sample::nights();
    sample.run("gone", "retired", "2026-01-01");
    sample.run("last", "fra", "2026-03-04");
    let plan = plan(sample.root(), &rule("2027-01-01")).unwrap();
    assert_eq!(doomed(&plan), ["f1", "f1b", "a1", "f2", "a2", "f3"]);
    let newest = [
        ("gone", Why::Newest),
        ("a3", Why::Newest),
        ("last", Why::Newest),
    ];
    assert_eq!(kept(&plan), newest);
}

#[test]
fn a_night_that_a_run_writes_stays_and_a_killed_run_does_not() {
    let sample = Sample::nights();
    let writer = sample.begin("f0", "fra", "2026-03-01");
    let written = plan(sample.root(), &rule("2026-03-03")).unwrap();
    assert_eq!(doomed(&written), ["a1", "f2", "a2"]);
    let night = ["f0", "f1", "f1b"].map(|id| (id, Why::Written));
    assert_eq!(kept(&written), night);
    drop(writer);
    let killed = plan(sample.root(), &rule("2026-03-03")).unwrap();
    assert!(doomed(&killed).contains(&"f0"), "{:?}", killed.kept);
}

#[test]
fn a_run_that_began_after_the_plan_keeps_its_night() {
    let sample = Sample::nights();
    let early = plan(sample.root(), &rule("2026-03-02")).unwrap();
    let writer = sample.begin("f0", "fra", "2026-03-01");
    let removed = early.carry_out(|_| {}).unwrap();
    drop(writer);
    assert_eq!(removed.runs, 1, "a1");
    let kept: Vec<_> = { removed.kept.iter() }
        .map(|run| (run.run_id.as_str(), run.why))
        .collect();
    assert_eq!(kept, [("f1", Why::Written), ("f1b", Why::Written)]);
    let faults = dataset_faults(&sample);
    let is_unlisted = |fault: &Fault| matches!(fault, Fault::Unlisted { .. });
    assert!(faults.iter().all(is_unlisted), "{faults:?}");
}

#[test]
fn the_run_that_started_last_stays_with_its_old_night() {
    let sample = Sample::nights();
    let again = sample.begin_for("again", "fra", "2026-03-05", Some("2026-03-01"));
    drop(again);
    let plan = plan(sample.root(), &rule("2026-03-03")).unwrap();
    assert_eq!(doomed(&plan), ["a1", "f2", "a2"]);
    let night = [
        ("f1", Why::Night),
        ("f1b", Why::Night),
        ("again", Why::Last),
    ];
    assert_eq!(kept(&plan), night);
}

#[test]
fn with_a_damaged_manifest_nothing_is_removed() {
    let sample = Sample::nights();
    let damaged = sample.manifest("f3");
    fs::write(&damaged, "{").unwrap();
    let error = plan(sample.root(), &rule("2026-03-02")).unwrap_err();
    assert!(matches!(error, PruneError::Damaged(_)));
    let text = error.to_string();
    assert!(
        text.contains(&*damaged.to_string_lossy()) && text.contains("nothing was removed"),
        "{text}"
    );
}

#[test]
fn files_that_no_run_has_stay_and_are_reported() {
    let sample = Sample::nights();
    let dataset = Dataset::open(sample.root()).unwrap();
    let part = dataset.run("f1").unwrap().parts("hops")[0]
        .path()
        .to_owned();
    let names = [
        "notes.txt",
        "part-f1x-00000.parquet",
        "part-f1-00000.parquet.bak",
    ];
    let foreign = names.map(|name| part.with_file_name(name));
    for path in &foreign {
        fs::write(path, "mine").unwrap();
    }
    let own = part.with_file_name("part-f1-00077.parquet");
    fs::write(&own, "sealed, but listed by no manifest").unwrap();
    let removed = prune(&sample, "2026-03-02");
    let mut expected = foreign.to_vec();
    expected.sort();
    assert_eq!(removed.foreign, expected);
    assert!(foreign.iter().all(|path| path.exists()) && !own.exists() && !part.exists());
}

#[test]
fn a_run_with_parts_behind_a_link_stays() {
    let sample = Sample::nights();
    let elsewhere = tempfile::tempdir().unwrap();
    let night = sample.path("hops/date=2026-03-01");
    let moved = elsewhere.path().join("night");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([&night, &moved])
        .status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(&night).unwrap();
    symlink(&moved, &night).unwrap();
    let plan = plan(sample.root(), &rule("2026-03-03")).unwrap();
    assert_eq!(doomed(&plan), ["f2", "a2"]);
    assert!(plan.kept.iter().all(|kept| kept.why == Why::Link));
    plan.carry_out(|_| {}).unwrap();
    assert!(fs::read_dir(&moved).unwrap().count() > 0);
}

#[test]
fn a_part_that_two_runs_list_stays() {
    let sample = Sample::nights();
    let text = fs::read_to_string(sample.manifest("f1")).unwrap();
    let copy = text.replace("\"run_id\": \"f1\"", "\"run_id\": \"copy\"");
    assert_ne!(copy, text);
    fs::write(sample.path("manifest-copy.json"), copy).unwrap();
    let plan = plan(sample.root(), &rule("2026-03-02")).unwrap();
    assert_eq!(doomed(&plan), ["a1"]);
    assert!(kept(&plan).contains(&("f1", Why::Shared)));
}

/// Cuts the removal short before every change of the disk, then lets another prune finish.
#[test]
fn a_prune_that_is_cut_short_at_any_step_leaves_no_manifest_with_missing_parts_and_is_finished_later()
 {
    let whole = two_nights();
    let steps = Cell::new(0);
    let count = |_: &Path| {
        steps.set(steps.get() + 1);
        Ok(())
    };
    let all = plan(whole.root(), &rule("2026-03-02")).unwrap();
    all.carry_out_by(&Hand(&count), |_| {}).unwrap();
    let expected = relative(&whole);
    assert!(steps.get() > 10, "{} steps", steps.get());
    let mut hidden = 0;
    for last in 0..steps.get() {
        let sample = two_nights();
        let left = Cell::new(last);
        let until = |_: &Path| match left.get() {
            0 => Err(io::Error::other("cut short")),
            _ => {
                left.set(left.get() - 1);
                Ok(())
            }
        };
        let cut = plan(sample.root(), &rule("2026-03-02")).unwrap();
        let error = cut.carry_out_by(&Hand(&until), |_| {}).unwrap_err();
        assert!(error.to_string().contains("cut short"), "{error}");
        let dataset = Dataset::open(sample.root()).unwrap();
        for fault in dataset.verify(Checks::ALL, |_| {}).unwrap() {
            assert!(
                matches!(fault, Fault::Unlisted { .. }),
                "step {last}: {fault}"
            );
            hidden += 1;
        }
        // A rule that covers nothing finishes what was begun, and the old rule does the rest.
        prune(&sample, "2020-01-01");
        let found = dataset_faults(&sample);
        assert!(found.is_empty(), "step {last}: {found:?}");
        prune(&sample, "2026-03-02");
        assert!(relative(&sample) == expected, "step {last}");
    }
    assert!(
        hidden > 0,
        "no step left parts of a run that readers do not see"
    );
}

/// One old run and a new one.
fn two_nights() -> Sample {
    let sample = Sample::new();
    sample.run("f1", "fra", "2026-03-01");
    sample.run("f2", "fra", "2026-03-02");
    sample
}

fn dataset_faults(sample: &Sample) -> Vec<Fault> {
    let dataset = Dataset::open(sample.root()).unwrap();
    dataset.verify(Checks::ALL, |_| {}).unwrap()
}

/// The files and folders by their names.
fn relative(sample: &Sample) -> Vec<PathBuf> {
    let tree = sample.tree().into_keys();
    tree.map(|path| path.strip_prefix(sample.root()).unwrap().to_owned())
        .collect()
}

#[test]
fn two_prunes_at_once_do_not_meet() {
    let sample = Sample::nights();
    let first = plan(sample.root(), &rule("2026-03-02")).unwrap();
    fs::create_dir(sample.path(RECORDS)).unwrap();
    let lock = fs::File::create(sample.path(".pruning/.lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(first.carry_out(|_| {}), Err(PruneError::Busy(_))));
    drop(lock);
    assert_eq!(prune(&sample, "2026-03-02").runs, 3);
}

#[test]
fn a_record_with_paths_elsewhere_removes_nothing() {
    let sample = Sample::nights();
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, "x").unwrap();
    fs::create_dir(sample.path(RECORDS)).unwrap();
    for path in [precious.to_str().unwrap(), "../x", "hops/../../x", ""] {
        let record = serde_json::json!({
            "run_id": "x", "night": "2026-03-01", "locked": null, "manifests": [], "files": [path], "folders": [],
        });
        fs::write(sample.path(".pruning/x.json"), record.to_string()).unwrap();
        let error = plan(sample.root(), &rule("2026-03-02")).unwrap_err();
        assert!(matches!(error, PruneError::Record(_)), "{path}");
    }
    assert!(precious.exists());
}

/// The plan knows only the parts before the compaction.
#[test]
fn the_parts_of_a_compaction_after_the_plan_are_removed_with_the_run() {
    let sample = two_nights();
    let listed = |run: &str| {
        let dataset = Dataset::open(sample.root()).unwrap();
        dataset.run(run).unwrap().manifest().parts().count()
    };
    let early = plan(sample.root(), &rule("2026-03-02")).unwrap();
    let before = listed("f1");
    compact::compact(sample.root(), &compact::Options::default(), |_| ()).unwrap();
    assert!(listed("f1") < before);
    let mut parts = Vec::new();
    let removed = early.carry_out(|run| parts.push(run.parts)).unwrap();
    assert_eq!((removed.runs, parts), (1, vec![2]));
    let left: Vec<PathBuf> = { relative(&sample).into_iter() }
        .filter(|path| path.to_string_lossy().contains("f1"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(dataset_faults(&sample).is_empty());
}

#[test]
fn a_run_that_was_removed_after_the_plan_is_no_error() {
    let sample = two_nights();
    let plans = [(), ()].map(|()| plan(sample.root(), &rule("2026-03-02")).unwrap());
    let runs = plans.map(|plan| plan.carry_out(|_| {}).unwrap().runs);
    assert_eq!(runs, [1, 0]);
}

#[test]
fn the_record_of_a_compaction_that_was_cut_short_is_removed_with_the_run() {
    let sample = two_nights();
    let record = sample.manifest("f1").with_file_name("compact.json");
    fs::write(&record, r#"{"new": [], "old": []}"#).unwrap();
    let removed = prune(&sample, "2026-03-02");
    assert!(removed.foreign.is_empty(), "{removed:?}");
    assert!(!record.exists() && !record.parent().unwrap().exists());
}

#[test]
fn a_run_is_refused_during_a_prune_and_names_it() {
    let sample = two_nights();
    let early = plan(sample.root(), &rule("2026-03-02")).unwrap();
    let told = std::cell::RefCell::new(None);
    let look = |_: &Path| {
        let mut told = told.borrow_mut();
        if told.is_none() && sample.path(".pruning/f1.json").exists() {
            *told = Some(sample.try_begin("late", "fra", "2026-03-01").err());
        }
        Ok(())
    };
    early.carry_out_by(&Hand(&look), |_| {}).unwrap();
    let refused = told.take().flatten().expect("a refusal").to_string();
    assert!(refused.contains("`pathsurvey datasets prune`"), "{refused}");
}

#[test]
fn a_full_disk_is_an_error_with_a_remedy() {
    let error = |code| {
        let error = PruneError::file("write", "d/.pruning/f1.json");
        error(io::Error::from_raw_os_error(code)).to_string()
    };
    let full = error(libc::ENOSPC);
    for words in ["d/.pruning/f1.json", "kilobytes", "the next prune goes on"] {
        assert!(full.contains(words), "{full}");
    }
    assert!(!error(libc::EIO).contains("kilobytes"));
}
