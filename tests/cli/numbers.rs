//! Numbers in options, as people write them.

use super::*;

/// The configuration in the manifest of a survey with these options.
fn config(options: &[&str]) -> Value {
    let place = Place::new();
    let out = place.text("out");
    let output = survey(&[&["198.18.0.1", "-o", &out], options].concat());
    check(&output, 0, &[]);
    json_file(&place.path("out/manifest.json"))["config"].take()
}

#[test]
fn numbers_may_be_written_in_several_ways() {
    for (options, key, expected) in [
        (["--rate", "10k"], "rate", 10_000.0),
        (["--rate", "10_000"], "rate", 10_000.0),
        (["--rate", "10kpps"], "rate", 10_000.0),
        (["--timeout", "500ms"], "timeout_s", 0.5),
        (["--timeout", "2s"], "timeout_s", 2.0),
        (["--late-window", "1min"], "late_window_s", 60.0),
        (["--cooldown", "1_0"], "cooldown_s", 10.0),
        (["--seal-interval", "1h"], "seal_interval_s", 3_600.0),
        (["--window", "1k"], "window", 1_000.0),
        (["--flows", "0_2"], "flows", 2.0),
        (["--dest-port", "33_434"], "destination_port", 33_434.0),
        (["--packet-size", "1.5k"], "packet_size", 1_500.0),
        (["--tos", "0xb8"], "tos", 184.0),
        (["--min-reply-rate", "25%"], "min_reply_rate", 0.25),
        (["--min-reply-rate", ".5"], "min_reply_rate", 0.5),
    ] {
        assert_eq!(
            config(&options)[key].as_f64(),
            Some(expected),
            "{options:?}"
        );
    }
    assert_eq!(
        config(&["--target-seed", "0xff"])["targets"]["target_seed"],
        255
    );
}

/// A comma separates thousands for some people, and decimals for others.
#[test]
fn ambiguous_numbers_are_refused() {
    for (option, value) in [
        ("--rate", "1,000"),
        ("--timeout", "0,5"),
        ("--min-reply-rate", "0,9"),
        ("--window", "1,000"),
        ("--packet-size", "1,500"),
        ("--target-seed", "1,5"),
    ] {
        let output = survey(&["198.18.0.1", "-o", "never", option, value]);
        check(
            &output,
            2,
            &[value, option, "a comma is not read: write 1000 or 1_000"],
        );
    }
    for (option, value) in [
        ("--rate", "60/min"),
        ("--timeout", "1m30s"),
        ("--window", "1m"),
        ("--min-reply-rate", "90"),
    ] {
        check(
            &survey(&["198.18.0.1", "-o", "never", option, value]),
            2,
            &[value, option],
        );
    }
}
