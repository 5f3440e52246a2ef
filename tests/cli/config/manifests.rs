//! Runs that are repeated from a manifest, or resumed.

use super::*;

#[test]
fn a_manifest_repeats_its_survey_but_not_what_belongs_to_the_old_run() {
    let place = Place::new();
    let first = place.text("first");
    let options = [
        "survey",
        "--lab",
        "labs/loss.toml",
        "--virtual-time",
        "198.18.0.0/28",
        "-e",
        "77",
        "--survey-id",
        "week",
        "--date",
        "2026-03-01",
        "--flows",
        "2",
        "--rate",
        "400",
        "-w",
        "1",
        "--if-exists",
        "append",
        "--vantage",
        "ams1",
        "-o",
        &first,
    ];
    check(&run(&options), 0, &[]);
    let manifest = place.text("first/manifest.json");
    let second = place.text("second");
    check(
        &run(&["survey", "--config", &manifest, "-o", &second]),
        0,
        &[],
    );
    let config = |run: &str| json_file(&place.path(run).join("manifest.json"))["config"].clone();
    let (mut old, mut new) = (config("first"), config("second"));
    assert_ne!(new["seed"], old["seed"]);
    assert_eq!(
        (&new["survey_id"], &new["date"]),
        (&Value::Null, &Value::Null)
    );
    for config in [&mut old, &mut new] {
        for name in ["seed", "survey_id", "date"] {
            config[name].take();
        }
    }
    assert_eq!(new, old);

    let over = shown(&show(&["--config", &manifest, "-r", "1000"]));
    has(&over, "vantage", "\"ams1\"", &manifest);
    // These follow from other options, as in the old run.
    has(&over, "window", "# 500", "derived: rate / flows");
    has(&over, "cooldown", "# 1", "derived: timeout");
    let over = shown(&show(&["--config", &manifest, "--protocol", "icmp"]));
    has(&over, "protocol", "\"icmp\"", "command line");
}

#[test]
fn manifests_of_the_first_version_can_be_repeated() {
    for (run, name, value) in [
        ("sweep", "strategy", "\"sweep\""),
        ("icmp", "protocol", "\"icmp\""),
        ("mtu", "mtu", "true"),
        ("loss", "timeout", "0.02"),
    ] {
        let manifest = format!("tests/fixtures/v1/{run}/manifest.json");
        has(
            &shown(&show(&["--config", &manifest])),
            name,
            value,
            &manifest,
        );
    }
}

#[test]
fn a_manifest_that_cannot_be_repeated_says_why() {
    let place = Place::new();
    let out = place.text("out");
    let arguments = ["survey", "--lab", "--virtual-time", "-i", "-", "-o", &out];
    check(&fed(&arguments, b"198.18.0.1\n"), 0, &[]);
    let manifest = place.text("out/manifest.json");
    let again = ["survey", "--config", &manifest, "-o", &place.text("again")];
    check(&run(&again), 2, &[&manifest, "standard input", "-i FILE"]);
    check(
        &fed(&[&again[..], &["-i", "-"]].concat(), b"198.18.0.1\n"),
        0,
        &[],
    );

    let text = fs::read_to_string(place.path("out/manifest.json")).expect("a manifest");
    let newer = text.replacen("\"config\": {", "\"config\": {\n    \"colour\": 1,", 1);
    assert_ne!(newer, text);
    let file = place.file("newer.json", newer);
    check(&show(&["--config", &file]), 2, &[&file, "colour", "newer"]);
    let file = place.file("other.json", "{\"tool\": {\"name\": \"other\"}}");
    check(
        &show(&["--config", &file]),
        2,
        &[&file, "not a manifest of pathsurvey but of other"],
    );
    let file = place.file("torn.json", &text[..text.len() / 2]);
    check(
        &show(&["--config", &file]),
        2,
        &[&file, "not a whole manifest"],
    );
}

#[test]
fn a_resumed_run_takes_only_options_that_choose_it() {
    let place = Place::new();
    let out = place.text("out");
    for (more, option) in [
        (&["--rate", "5"][..], "--rate"),
        (&["198.18.0.1"], "TARGET"),
        (&["-i", "x"], "--input-file"),
        (&["--config", "x.toml"], "--config"),
        (&["--mtu"], "--mtu"),
        (&["--pcap", "x"], "--pcap"),
        (&["--if-exists", "skip"], "--if-exists"),
    ] {
        let output = run(&[&["survey", "--resume", "-o", &out], more].concat());
        check(&output, 2, &[&format!("--resume with {option}: "), "leave"]);
    }
    check(&run(&["survey", "--resume"]), 2, &["-o DIR"]);
    for file in ["x.csv", "x.parquet"] {
        let output = run(&["survey", "--resume", "-o", file]);
        check(&output, 2, &[file, "only a dataset directory"]);
    }
    check(&show(&["--resume", "-o", &out]), 2, &["--resume"]);
}
