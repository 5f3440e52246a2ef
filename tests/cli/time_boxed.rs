//! Surveys that end at `--max-duration`.

use super::*;

/// The times of sending in a file of JSON Lines, in seconds since the first probe.
fn sent(path: &Path) -> Vec<f64> {
    let text = fs::read_to_string(path).expect("rows");
    let seconds = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let sent = row["sent_at"].as_str().expect("a time").to_owned();
        let time = chrono::DateTime::parse_from_rfc3339(&sent).expect("a time");
        time.timestamp_micros() as f64 / 1e6
    };
    let times: Vec<f64> = text.lines().map(seconds).collect();
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    times.iter().map(|time| time - first).collect()
}

#[test]
fn a_survey_ends_at_its_longest_duration() {
    let place = Place::new();
    let out = place.text("out.jsonl");
    let options = [
        "198.18.0.0/22",
        "--rate",
        "100",
        "--max-duration",
        "2s",
        "-o",
        &out,
    ];
    let output = survey(&options);
    check(&output, 5, &["survey ended by --max-duration"]);
    let manifest = json_file(&place.path("out.jsonl.manifest.json"));
    assert_eq!(manifest["state"], "interrupted");
    assert_eq!(manifest["exit_reason"], "max_duration");
    assert_eq!(manifest["config"]["max_duration_s"], 2.0);
    let sent = sent(&place.path("out.jsonl"));
    let last = sent.iter().copied().fold(0.0, f64::max);
    assert!((1.95..=2.0).contains(&last), "{last}");
    // At the full rate until then.
    let probes = manifest["probes"]["sent"].as_u64().expect("a number");
    assert!((195..=201).contains(&probes), "{probes}");
    // The replies to the last probes were waited for.
    assert_eq!(manifest["run"]["pending_at_end"], 0);
    assert!(manifest["probes"]["by_status"]["replied"].as_u64() > Some(150));

    let json = survey(&[&["--log-format", "json"], &options[..]].concat());
    check(&json, 5, &["\"ended_early\":\"max_duration\""]);
}

#[test]
fn a_survey_that_ends_earlier_is_complete() {
    let place = Place::new();
    let options = ["198.18.0.1", "--rate", "100", "-o"];
    let out = place.text("unlimited");
    check(
        &survey(&[&options[..], &[&out]].concat()),
        0,
        &["survey complete"],
    );
    let out = place.text("limited");
    let limited = [&options[..], &[&out, "--max-duration", "1h"]].concat();
    check(&survey(&limited), 0, &["survey complete"]);
    let statistics =
        |run: &str| json_file(&place.path(run).join("manifest.json"))["probes"].clone();
    assert_eq!(statistics("limited"), statistics("unlimited"));
    // The time after the last probe does not count: the cool-down of this run is longer than its limit.
    let sweep = [
        "198.18.0.1",
        "--protocol",
        "icmp",
        "--strategy",
        "sweep",
        "--max-ttl",
        "4",
        "--rate",
        "1k",
    ];
    let out = place.text("sweep");
    let limited = [
        &sweep[..],
        &["-c", "60", "--max-duration", "1s", "-o", &out],
    ]
    .concat();
    check(&survey(&limited), 0, &["survey complete"]);
}

#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    for limit in ["0", "-1", "soon", "31d", "1e400"] {
        let output = survey(&["198.18.0.1", "-o", "x", "--max-duration", limit]);
        check(&output, 2, &["--max-duration", "such as 3"]);
    }
}
