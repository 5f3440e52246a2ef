//! How runs end: exit codes, and the state of the dataset.

use super::*;

#[test]
fn a_survey_ends_with_0_and_a_summary_that_the_manifest_bears_out() {
    let place = Place::new();
    let out = place.text("out");
    let output = survey(&["--lab", "labs/loss.toml", "198.18.0.0/24", "-o", &out]);
    check(&output, 0, &["survey complete"]);
    assert_eq!(text(&output.stdout), "", "standard output is for data");
    let manifest = json_file(&place.path("out/manifest.json"));
    let figure = |name: &str| figure(&errors(&output), name);
    let at = |path: &str| {
        manifest
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no {path}"))
    };
    assert_eq!(figure("targets"), 256);
    assert_eq!(figure("traces"), at("/run/traces_ended"));
    assert_eq!(figure("probes"), at("/probes/sent"));
    assert_eq!(figure("replies"), at("/probes/by_status/replied"));
    assert_eq!(figure("unanswered"), at("/probes/by_status/timeout"));
    assert_eq!(
        figure("besides"),
        at("/extra_replies/duplicate"),
        "the lab's duplicates"
    );
    assert_eq!(figure("responders"), at("/run/distinct_responders"));
    assert_eq!(at("/probes/total"), at("/probes/sent"));
    let statuses = manifest["probes"]["by_status"]
        .as_object()
        .expect("statuses");
    let sum: u64 = statuses.values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, at("/probes/total"));
    let extra = manifest["extra_replies"]
        .as_object()
        .expect("extra replies");
    let rows = sum + extra.values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(at("/tables/hops/rows"), rows);
    assert_eq!(at("/tables/traces/rows"), 256);
    assert_eq!(manifest["state"], "complete");
    assert_eq!(manifest["targets"]["targets"], 256);
}

/// The first number of a line of the summary.
fn figure(summary: &str, name: &str) -> u64 {
    let line = summary
        .lines()
        .find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in:\n{summary}"));
    let number = line.split_whitespace().nth(1).expect("a figure");
    number
        .replace(',', "")
        .parse()
        .unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn too_few_answers_end_with_3_and_leave_a_whole_dataset() {
    let place = Place::new();
    let out = place.text("out");
    let arguments = [
        "--lab",
        "labs/silence.toml",
        "198.18.1.0/28",
        "-o",
        &out,
        "--min-reply-rate",
    ];
    let low = survey(&[&arguments[..], &["0.9"]].concat());
    check(
        &low,
        3,
        &[
            "% of the probes were answered; --min-reply-rate asks for 90%",
            "survey complete",
        ],
    );
    assert_eq!(
        json_file(&place.path("out/manifest.json"))["state"],
        "complete"
    );
    let enough = survey(
        &[
            &["198.18.0.1", "-o", &place.text("enough")][..],
            &["--min-reply-rate", "0.1"],
        ]
        .concat(),
    );
    check(&enough, 0, &[]);
}

#[test]
fn targets_left_out_take_one_line_of_the_summary() {
    let place = Place::new();
    let list = place.file(
        "list",
        "198.18.0.0/29\n198.18.0.1\n2001:db8::1\n2001:db8::/32\nnot a target\nname.example\n",
    );
    let blocklist = place.file("block", "198.18.0.3\n198.18.0.4/31\n");
    let out = place.text("out");
    let output = survey(&["-4", "-i", &list, "-b", &blocklist, "-o", &out]);
    let line = "  left out     3 blocked, 2 IPv6, 1 bad line, 1 unresolved name, 1 duplicate\n";
    check(&output, 0, &["  targets      5\n", line]);
    let whole = survey(&["198.18.0.0/29", "-o", &place.text("whole")]);
    assert!(!errors(&whole).contains("left out"), "{}", errors(&whole));
    let out = place.text("json");
    let json = survey(&["--log-format", "json", "-4", "-i", &list, "-o", &out]);
    let summary = json_lines(&json).pop().expect("a summary");
    assert_eq!(summary["summary"]["left_out"]["other_family"], 2);
}

#[test]
fn the_summary_gives_the_reasons_for_probes_that_were_not_sent() {
    let place = Place::new();
    let out = place.text("out");
    let clean = ["--lab", "labs/clean.toml", "2001:db8::1", "2001:db8::2"];
    let mixed = survey(&[&clean[..], &["198.18.0.1", "-o", &out]].concat());
    let line = "  not sent     2, the lab's network has no IPv6: probe with -4, or ";
    check(&mixed, 0, &["2 not sent", line]);
    let manifest = json_file(&place.path("out/manifest.json"));
    let expected = r#"[{"reason":"no_route","family":"ipv6","probes":2}]"#;
    let expected: Value = serde_json::from_str(expected).expect("JSON");
    assert_eq!(manifest["run"]["not_sent"], expected);
    assert_eq!(manifest["warnings"], Value::Array(Vec::new()));
    let none = survey(&[&clean[..], &["-o", &place.text("none")]].concat());
    check(
        &none,
        0,
        &["warning: not a single probe was sent: 2, the lab's"],
    );
}

#[test]
fn a_survey_without_any_answer_warns_and_the_manifest_records_it() {
    let place = Place::new();
    let out = place.text("out");
    let silence = ["--lab", "labs/silence.toml", "198.18.1.0/30", "-f", "20"];
    let output = survey(&[&silence[..], &["-o", &out]].concat());
    check(&output, 0, &["warning: not one of ", "probes was answered"]);
    let manifest = json_file(&place.path("out/manifest.json"));
    let warning = manifest["warnings"][0].as_str().expect("a warning");
    assert!(errors(&output).contains(warning), "{warning}");
}

#[test]
fn quiet_is_quiet() {
    let place = Place::new();
    let output = survey(&["--quiet", "198.18.0.1", "-o", &place.text("out")]);
    check(&output, 0, &[]);
    assert_eq!((output.stdout.len(), errors(&output).as_str()), (0, ""));
}

#[test]
fn json_messages_are_nothing_but_json_lines() {
    let place = Place::new();
    let list = place.file("list", "198.18.0.1\nnot a target\n198.18.0.2\n");
    let ok = survey(&[
        "--log-format",
        "json",
        "-v",
        "-i",
        &list,
        "-o",
        &place.text("out"),
    ]);
    check(&ok, 0, &["list:2"]);
    let summary = json_lines(&ok).pop().expect("a summary");
    assert_eq!(summary["summary"]["targets"], 2);
    assert!(
        summary["manifest"]
            .as_str()
            .is_some_and(|path| path.ends_with("manifest.json"))
    );
    for refused in [
        survey(&["--log-format", "json", "198.18.0.1", "-o", "-"]),
        survey(&["--log-format", "json", "-o", &place.text("none")]),
        survey(&[
            "--log-format",
            "json",
            "-i",
            "no/such/list",
            "-o",
            &place.text("none"),
        ]),
    ] {
        assert_ne!(refused.status.code(), Some(0));
        assert_eq!(json_lines(&refused).len(), 1);
    }
}

fn json_lines(output: &Output) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    errors(output).lines().map(parse).collect()
}
