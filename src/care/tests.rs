//! Listing and verifying.

use std::fs;

use super::samples::Sample;
use super::*;
use crate::dataset::read::Checks;

fn listed(entries: &[Entry]) -> Vec<&Listed> {
    let mut runs = Vec::new();
    for entry in entries {
        if let Entry::Run(run) = entry {
            runs.push(&**run);
        }
    }
    runs
}

#[test]
fn runs_are_listed_by_night_then_by_vantage_point() {
    let sample = Sample::new();
    sample.run("late", "b", "2026-03-02");
    sample.run("early", "b", "2026-03-01");
    sample.run("other", "a", "2026-03-02");
    let entries = list(sample.root()).unwrap();
    let ids: Vec<&str> = listed(&entries)
        .iter()
        .map(|run| run.run_id.as_str())
        .collect();
    assert_eq!(ids, ["early", "other", "late"]);
    let run = listed(&entries)[0];
    assert_eq!(run.date, "2026-03-01".parse().ok());
    assert_eq!((run.hops, run.traces), (320, Some(20)));
    assert_eq!((run.state.as_str(), run.is_written), ("complete", false));
    assert_eq!(
        (run.method.as_str(), run.protocol.as_str()),
        ("trace", "udp")
    );
    let dataset = crate::dataset::read::Dataset::open(sample.root()).unwrap();
    let parts = dataset.run("early").unwrap();
    let parts = [parts.parts("hops"), parts.parts("traces")].concat();
    assert_eq!(run.parts, parts.len() as u64);
    let bytes = parts
        .iter()
        .map(|part| fs::metadata(part.path()).unwrap().len());
    assert_eq!(run.bytes, bytes.sum::<u64>());
}

#[test]
fn a_damaged_manifest_is_an_entry_and_hides_no_other_run() {
    let sample = Sample::nights();
    let damaged = sample.manifest("f2");
    fs::write(&damaged, "{\"tool\": {\"name\": ").unwrap();
    let entries = list(sample.root()).unwrap();
    assert_eq!(listed(&entries).len(), 6);
    let Some(Entry::Damaged(error)) = entries.last() else {
        panic!("{entries:?}");
    };
    let named = damaged.to_string_lossy();
    assert!(error.to_string().contains(&*named), "{error}");
    let found = verify(sample.root(), Checks::default(), |_| {}).unwrap();
    assert_eq!(found[0].kind, Kind::Manifest);
    let unlisted = found.iter().filter(|found| found.kind == Kind::Unlisted);
    assert!(
        unlisted.clone().count() > 0,
        "the parts of the damaged manifest"
    );
    assert!({ unlisted }.all(|found| found.remedy.contains("restore the damaged manifest first")));
}

#[test]
fn a_run_that_is_written_is_told_from_one_that_was_killed() {
    let sample = Sample::new();
    let writer = sample.begin("now", "fra", "2026-03-01");
    let entries = list(sample.root()).unwrap();
    assert_eq!(
        (
            listed(&entries)[0].state.as_str(),
            listed(&entries)[0].is_written
        ),
        ("running", true)
    );
    drop(writer);
    let entries = list(sample.root()).unwrap();
    assert!(!listed(&entries)[0].is_written);
}

#[test]
fn a_whole_dataset_has_no_findings() {
    let sample = Sample::nights();
    let found = verify(sample.root(), Checks::ALL, |_| {}).unwrap();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_kind_of_fault_is_found_with_a_remedy() {
    let sample = Sample::nights();
    let dataset = crate::dataset::read::Dataset::open(sample.root()).unwrap();
    let part = |run: &str, at: usize| dataset.run(run).unwrap().parts("hops")[at].path();
    fs::remove_file(part("f1", 0)).unwrap();
    let mut bytes = fs::read(part("f2", 0)).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(part("f2", 0), bytes).unwrap();
    let mut bytes = fs::read(part("a2", 0)).unwrap();
    bytes[100] ^= 1;
    fs::write(part("a2", 0), bytes).unwrap();
    let stray = part("f3", 0).with_file_name("part-x-00000.parquet");
    fs::copy(part("f3", 0), stray).unwrap();
    let text = fs::read_to_string(sample.manifest("f1b")).unwrap();
    let text = text.replacen("\"rows\": 320", "\"rows\": 321", 1);
    fs::write(sample.manifest("f1b"), text).unwrap();
    let partial = sample.manifest("f3").with_file_name(".partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("hops-part-x-00000.parquet.tmp"), "x").unwrap();
    let found = verify(sample.root(), Checks::ALL, |_| {}).unwrap();
    let kinds: Vec<Kind> = found.iter().map(|found| found.kind).collect();
    let expected = [
        Kind::Sum,
        Kind::Part,
        Kind::Checksum,
        Kind::Part,
        Kind::Unlisted,
        Kind::Leftover,
    ];
    let mut sorted = (kinds.clone(), expected.to_vec());
    sorted.0.sort_by_key(|kind| *kind as u8);
    sorted.1.sort_by_key(|kind| *kind as u8);
    assert_eq!(sorted.0, sorted.1, "{found:?}");
    assert!(found.iter().all(|found| !found.remedy.is_empty()));
    assert_eq!(found.iter().filter(|found| found.is_fault()).count(), 5);
    let quick = Checks {
        checksums: false,
        rows: true,
    };
    let found = verify(sample.root(), quick, |_| {}).unwrap();
    assert!(found.iter().all(|found| found.kind != Kind::Checksum));
}

#[test]
fn a_part_that_a_run_has_not_listed_yet_is_no_fault() {
    let sample = Sample::nights();
    let dataset = crate::dataset::read::Dataset::open(sample.root()).unwrap();
    let known = dataset.run("f3").unwrap().parts("hops")[0]
        .path()
        .to_owned();
    let writer = sample.begin("f4", "fra", "2026-03-03");
    fs::copy(&known, known.with_file_name("part-f4-00077.parquet")).unwrap();
    let found = verify(sample.root(), Checks::default(), |_| {}).unwrap();
    let stray = found
        .iter()
        .filter(|found| found.message.contains("part-f4-00077"));
    assert!({ stray.clone() }.all(|found| found.kind == Kind::BeingWritten && !found.is_fault()));
    assert_eq!(stray.count(), 1, "{found:?}");
    drop(writer);
    let found = verify(sample.root(), Checks::default(), |_| {}).unwrap();
    let fault = found
        .iter()
        .find(|found| found.message.contains("part-f4-00077"));
    assert_eq!(fault.unwrap().kind, Kind::Unlisted);
}
