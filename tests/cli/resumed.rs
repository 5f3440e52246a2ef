//! Surveys in virtual time that end at `--max-duration` several times, and go on with `--resume`.

use std::collections::BTreeMap;

use pathsurvey::dataset::read::{Checks, Dataset, Rows};

use super::*;

/// The columns of a table, each row once, as JSON.
fn rows(dataset: &Dataset, table: &str, columns: &[&str]) -> Vec<Value> {
    let batches = dataset.scan(table).columns(columns).batches();
    let batches = batches.expect("a table").map(|batch| batch.expect("rows"));
    let rows = batches.flat_map(|batch| {
        let rows = Rows::new(batch);
        rows.iter().map(|row| row.to_json()).collect::<Vec<_>>()
    });
    rows.collect()
}

/// How often each row is there.
fn counted(rows: Vec<Value>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.to_string()).or_default() += 1;
    }
    counts
}

fn whole(root: &str) -> Dataset {
    let dataset = Dataset::open(root).expect("a dataset");
    let faults = dataset.verify(Checks::ALL, |_| ()).expect("a directory");
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(dataset.runs().len(), 1);
    dataset
}

/// Surveys with `options` into `out` and goes on until the survey is complete. Returns the number of sessions.
fn in_pieces(options: &[&str], out: &str) -> usize {
    let piece = ["--max-duration", "700ms"];
    let first = run(&[options, &piece, &["-o", out]].concat());
    check(&first, 5, &["go on", "survey --resume -o"]);
    for session in 2..100 {
        let next = run(&["survey", "--resume", "-o", out]);
        match next.status.code() {
            Some(0) => return session,
            Some(5) => {
                whole(out);
            }
            code => panic!("{code:?}: {}", errors(&next)),
        }
    }
    panic!("it does not end");
}

#[test]
fn a_survey_in_pieces_has_every_trace_and_every_probe_of_a_sweep_once() {
    for strategy in ["trace", "sweep"] {
        for flows in ["1", "3"] {
            let place = Place::new();
            let mut options = vec!["survey", "--lab=labs/generated-clean.toml"];
            options.extend([
                "--virtual-time",
                "-e",
                "7",
                "-r",
                "400",
                "-c",
                "0",
                "-m",
                "10",
            ]);
            options.extend([
                "--seal-rows",
                "100",
                "--strategy",
                strategy,
                "--flows",
                flows,
            ]);
            options.extend(["198.18.0.0/27", "198.18.64.0/27"]);
            let kind = format!("{strategy} with {flows} flows");
            let undisturbed = place.text("undisturbed");
            let ended = run(&[&options[..], &["-o", &undisturbed]].concat());
            check(&ended, 0, &[]);
            let out = place.text("out");
            let sessions = in_pieces(&options, &out);
            assert!(sessions > 2, "{kind}: {sessions} sessions");

            let (one, other) = (whole(&undisturbed), whole(&out));
            let (table, columns): (_, &[&str]) = match strategy {
                "trace" => (
                    "traces",
                    &["trace_id", "destination", "flow", "path", "stop_reason"],
                ),
                _ => ("hops", &["trace_id", "ttl", "purpose", "round"]),
            };
            let of = |dataset: &Dataset| counted(rows(dataset, table, columns));
            let expected = of(&one);
            assert!(expected.values().all(|count| *count == 1), "{kind}");
            assert_eq!(of(&other), expected, "{kind}");
            let keys = counted(rows(&other, "hops", &["probe_id", "reply_index"]));
            assert!(keys.values().all(|count| *count == 1), "{kind}");

            let manifest = other.runs()[0].manifest();
            assert_eq!(manifest.state.as_str(), "complete");
            assert_eq!(manifest.sessions.len(), sessions);
            let probes = rows(&other, "hops", &["reply_index"]);
            let own = probes.iter().filter(|row| row["reply_index"] == 0).count();
            assert_eq!(manifest.probes.total, own as u64, "{kind}");
            let figures =
                |dataset: &Dataset| dataset.runs()[0].manifest().run["distinct_responders"].clone();
            assert_eq!(figures(&other), figures(&one), "{kind}");
        }
    }
}

/// The holes of earlier sessions are known from their rows.
#[test]
fn a_second_pass_in_pieces_probes_each_hole_once() {
    for strategy in ["trace", "sweep"] {
        let place = Place::new();
        let mut options = vec!["survey", "--lab=labs/silence.toml", "--virtual-time"];
        options.extend([
            "-e",
            "7",
            "-r",
            "100",
            "-c",
            "0",
            "-m",
            "8",
            "--seal-rows",
            "100",
        ]);
        // A piece must be longer than a trace, or none would ever end.
        options.extend([
            "-w",
            "100ms",
            "--strategy",
            strategy,
            "--flows",
            "2",
            "--second-pass",
        ]);
        options.push("198.18.0.0/27");
        let undisturbed = place.text("undisturbed");
        let ended = run(&[&options[..], &["-o", &undisturbed]].concat());
        check(&ended, 0, &[]);
        let out = place.text("out");
        in_pieces(&options, &out);
        let holes = |root: &str| {
            let rows = rows(&whole(root), "hops", &["trace_id", "ttl", "purpose"]);
            let second = rows
                .into_iter()
                .filter(|row| row["purpose"] == "second_pass");
            counted(second.collect())
        };
        let expected = holes(&undisturbed);
        assert!(expected.len() > 10, "{strategy}: {expected:?}");
        assert!(expected.values().all(|count| *count == 1), "{expected:?}");
        assert_eq!(holes(&out), expected, "{strategy}");
    }
}

/// Its process died after the last manifest.
#[test]
fn a_complete_survey_that_was_not_closed_is_closed() {
    let place = Place::new();
    let out = place.text("out");
    check(&survey(&["-o", &out, "198.18.0.0/29"]), 0, &[]);
    let mark = |name: &str| {
        let night = fs::read_dir(place.path("out/runs/date=2026-01-01"));
        let night = night.expect("a night").next().expect("a vantage point");
        let runs = fs::read_dir(night.expect("a folder").path()).expect("runs");
        let mut runs = runs.map(|run| run.expect("a run").path());
        let run = runs.find(|run| run.is_dir()).expect("a run");
        run.join(name)
    };
    let nothing_left = run(&["survey", "--resume", "-o", &out]);
    check(&nothing_left, 1, &["complete, so nothing is left to do"]);
    fs::remove_file(mark("_SUCCESS")).expect("the mark");
    let closed = run(&["survey", "--resume", "-o", &out]);
    check(
        &closed,
        0,
        &[
            "was complete already",
            "is closed now",
            "nothing was probed",
        ],
    );
    assert!(mark("_SUCCESS").exists());
    whole(&out);
    check(
        &run(&["survey", "--resume", "-o", &out]),
        1,
        &["nothing is left to do"],
    );
}
