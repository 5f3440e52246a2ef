//! `pathsurvey datasets`: what users and scripts see.

use std::sync::Arc;
use std::time::Duration;

use pathsurvey::dataset::{
    DatasetWriter, Ending, NewRun, Output as Destination, RunFigures, RunMeta, Vantage,
};
use pathsurvey::model::{Protocol, Time, Vary};

use super::*;

#[path = "../../benches/rows/mod.rs"]
mod rows;
use pathsurvey::model;

/// A day in nanoseconds.
const DAY: u64 = 86_400_000_000_000;

/// A whole run, some days after 2026-03-01.
fn night(root: &Path, id: &str, vantage: &str, days: u64) {
    let started_at = Time::from_nanos(rows::START.as_nanos() + days * DAY);
    let meta = RunMeta {
        run_id: id.to_owned(),
        survey_id: "survey".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage {
            id: vantage.to_owned(),
            ..Vantage::default()
        },
        seed: 7,
        started_at,
        date: None,
        method: "trace".to_owned(),
        protocol: Protocol::Udp,
        base_src_port: Some(24_000),
        vary: Vary::SourcePort,
        dst_port: Some(33_434),
        attempts: 2,
        gap_limit: Some(5),
        probe_sizes: [None; 2],
        config: serde_json::json!({}),
    };
    let run = NewRun::new(meta, Arc::new(rows::SampleTargets::new()));
    let figures = RunFigures::default();
    let output = Destination::Directory(root.to_owned());
    let mut writer = DatasetWriter::create(&output, run, started_at, &figures).expect("a writer");
    let (hops, trace) = rows::trace(1);
    for hop in hops {
        writer.hop(hop, started_at).expect("room");
    }
    writer.trace(trace, started_at).expect("room");
    let end = started_at + Duration::from_secs(60);
    writer
        .finish(&Ending::Complete, end, &figures)
        .expect("a dataset");
}

/// Three nights of one vantage point, two of another one.
fn nights() -> (Place, String) {
    let place = Place::new();
    let root = place.path("nightly");
    for (id, vantage, days) in [
        ("f0", "fra", 0),
        ("t0", "東京", 0),
        ("f1", "fra", 1),
        ("t1", "東京", 1),
        ("f2", "fra", 2),
    ] {
        night(&root, id, vantage, days);
    }
    let root = place.text("nightly");
    (place, root)
}

fn ids(root: &str) -> Vec<String> {
    let output = run(&["datasets", "list", root, "--json"]);
    let runs = text(&output.stdout);
    let runs = runs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    runs.map(|run| run["run_id"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn runs_are_listed_as_a_table_and_as_json() {
    let (_place, root) = nights();
    let output = run(&["datasets", "list", &root]);
    check(&output, 0, &[]);
    let table = text(&output.stdout);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 6, "{table}");
    assert!(lines[0].starts_with("date        vantage  run"), "{table}");
    assert!(
        lines[1].starts_with("2026-03-01  fra      f0   complete  trace/udp"),
        "{table}"
    );
    assert!(
        lines[2].starts_with("2026-03-01  東京     t0   complete  trace/udp"),
        "{table}"
    );
    let output = run(&["datasets", "list", &root, "--json"]);
    check(&output, 0, &[]);
    let first: Value =
        serde_json::from_str(text(&output.stdout).lines().next().expect("a run")).expect("JSON");
    assert_eq!(first["date"], "2026-03-01");
    assert_eq!((&first["hops"], &first["traces"]), (&16.into(), &1.into()));
}

#[test]
fn a_name_with_control_characters_does_not_reach_the_terminal() {
    let place = Place::new();
    night(&place.path("out"), "id", "a\x1b]0;x\x07\r\n", 0);
    let output = run(&["datasets", "list", &place.text("out")]);
    let table = text(&output.stdout);
    assert!(
        !table.chars().any(|c| c.is_control() && c != '\n'),
        "{table:?}"
    );
    assert_eq!(table.lines().count(), 2);
}

#[test]
fn a_damaged_manifest_is_a_line_of_the_list() {
    let (place, root) = nights();
    fs::write(
        place.path("nightly/runs/date=2026-03-02/vp=id-fra/f1/manifest.json"),
        "{",
    )
    .expect("a file");
    let output = run(&["datasets", "list", &root]);
    check(&output, 0, &[]);
    let table = text(&output.stdout);
    assert_eq!(table.lines().count(), 6, "{table}");
    let damaged = table.lines().last().expect("a line");
    assert!(
        damaged.starts_with("damaged") && damaged.contains("f1/manifest.json"),
        "{table}"
    );
    check(
        &run(&["datasets", "list", &place.text("nothing")]),
        1,
        &["does not exist"],
    );
}

#[test]
fn faults_have_a_remedy_and_exit_code_1() {
    let (place, root) = nights();
    let output = run(&["datasets", "verify", &root, "--checksums"]);
    check(&output, 0, &[]);
    assert_eq!(text(&output.stdout), "");
    let manifest =
        json_file(&place.path("nightly/runs/date=2026-03-01/vp=id-fra/f0/manifest.json"));
    let part = manifest["tables"]["hops"]["parts"][0]["path"]
        .as_str()
        .expect("a path");
    let part = place.path("nightly").join(part);
    let mut bytes = fs::read(&part).expect("a part");
    bytes[50] ^= 1;
    fs::write(&part, &bytes).expect("a part");
    check(&run(&["datasets", "verify", &root]), 0, &[]);
    let output = run(&["datasets", "verify", &root, "--checksums"]);
    check(&output, 1, &[]);
    let found = text(&output.stdout);
    assert!(
        found.starts_with("fault") && found.contains("restore the file"),
        "{found}"
    );
    fs::remove_file(&part).expect("a part");
    let output = run(&["datasets", "verify", &root, "--json"]);
    check(&output, 1, &[]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("one finding");
    assert_eq!(found["kind"], "part");
    assert!(
        found["remedy"]
            .as_str()
            .is_some_and(|remedy| !remedy.is_empty())
    );
}

#[test]
fn nothing_is_removed_without_yes() {
    let (_place, root) = nights();
    for arguments in [
        &["--before", "2026-03-02"][..],
        &["--before", "2026-03-02", "--dry-run"],
    ] {
        let output = run(&[&["datasets", "prune", &root][..], arguments].concat());
        check(&output, 0, &[]);
        let shown = text(&output.stdout);
        assert!(
            shown.contains("would remove  2026-03-01  fra  f0"),
            "{shown}"
        );
        assert!(shown.contains("to remove 2 runs, give --yes"), "{shown}");
        assert_eq!(ids(&root).len(), 5);
    }
}

#[test]
fn old_nights_are_removed_with_yes() {
    let (_place, root) = nights();
    let prune = [
        "datasets",
        "prune",
        &root,
        "--before",
        "2026-03-02",
        "--yes",
    ];
    let output = run(&[&prune[..], &["--vantage", "東京"]].concat());
    check(&output, 0, &[]);
    assert!(text(&output.stdout).contains("removed  2026-03-01  東京  t0"));
    assert_eq!(ids(&root), ["f0", "f1", "t1", "f2"]);
    check(&run(&prune), 0, &[]);
    assert_eq!(ids(&root), ["f1", "t1", "f2"]);
    let again = run(&prune);
    check(&again, 0, &[]);
    assert_eq!(text(&again.stdout), "0 runs removed, 0 B\n");
    check(&run(&["datasets", "verify", &root, "--checksums"]), 0, &[]);
    // The sample is older than any clock: all nights but the newest ones go.
    let all = run(&["datasets", "prune", &root, "--older-than", "0d", "--yes"]);
    check(&all, 0, &[]);
    assert!(text(&all.stdout).contains("keep  2026-03-03  fra  f2: it is of the newest night"));
    assert_eq!(ids(&root), ["t1", "f2"]);
}

#[test]
fn a_rule_is_needed_and_dates_are_exact() {
    let (_place, root) = nights();
    for (arguments, words) in [
        (&[][..], "--older-than"),
        (&["--before", "2026-3-1"], "give it as 2026-03-01"),
        (&["--before", "yesterday"], "give it as 2026-03-01"),
        (&["--older-than", "90"], "90d or 12w"),
        (&["--older-than", "-3d"], ""),
        (
            &["--before", "2026-03-02", "--older-than", "1d"],
            "cannot be used with",
        ),
        (
            &["--before", "2026-03-02", "--yes", "--dry-run"],
            "cannot be used with",
        ),
    ] {
        let output = run(&[&["datasets", "prune", &root][..], arguments].concat());
        check(&output, 2, &[words]);
        assert_eq!(ids(&root).len(), 5);
    }
}
