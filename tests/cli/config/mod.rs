//! Configuration files, `config show`, and the order of layers.

use std::collections::BTreeMap;

use super::*;

mod errors;
mod manifests;

/// Options that make every run short, and free of privileges.
const SHORT: &str = "lab = true\nvirtual-time = true\ntargets = [\"198.18.0.1\"]\n";

/// `config show` with these options.
fn show(arguments: &[&str]) -> Output {
    run(&[&["config", "show"], arguments].concat())
}

/// The values and sources that `config show` prints, by name. A value in a comment starts with `# `.
fn shown(output: &Output) -> BTreeMap<String, (String, String)> {
    check(output, 0, &[]);
    let text = text(&output.stdout);
    let line = |line: &str| {
        let (name, rest) = line.split_once(" = ")?;
        let (value, source) = rest.rsplit_once("  # ").expect("a source");
        let source = source.to_owned();
        match name.strip_prefix("# ") {
            Some(name) => Some((name.to_owned(), (format!("# {value}"), source))),
            None => Some((name.to_owned(), (value.to_owned(), source))),
        }
    };
    text.lines().filter_map(line).collect()
}

#[track_caller]
fn has(shown: &BTreeMap<String, (String, String)>, name: &str, value: &str, source: &str) {
    let (found, from) = shown.get(name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!((&**found, &**from), (value, source), "{name}");
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file_over_the_default() {
    let place = Place::new();
    let file = place.file(
        "night.toml",
        "vantage = \"file\"\nrate = \"2k\"\n\nflows = 2\n",
    );
    let from_file = shown(&show(&["--config", &file]));
    has(&from_file, "vantage", "\"file\"", &format!("{file}:1"));
    has(&from_file, "rate", "2000", &format!("{file}:2"));
    has(&from_file, "flows", "2", &format!("{file}:4"));
    has(&from_file, "window", "# 1000", "derived: rate / flows");
    has(&from_file, "max-ttl", "32", "default");

    let mut command = program(&["config", "show", "--config", &file, "-r", "500"]);
    let command = command.env("PATHSURVEY_VANTAGE", "environment");
    let over = shown(&command.output().expect("an end"));
    has(&over, "vantage", "\"environment\"", "PATHSURVEY_VANTAGE");
    has(&over, "rate", "500", "command line");
    has(&over, "window", "# 250", "derived: rate / flows");
    let over = shown(&command.arg("--vantage=line").output().expect("an end"));
    has(&over, "vantage", "\"line\"", "command line");
    // The default of the option, given explicitly, wins as well.
    let over = shown(&show(&["--config", &file, "--flows", "1"]));
    has(&over, "flows", "1", "command line");
}

#[test]
fn what_config_show_prints_reads_back() {
    let place = Place::new();
    place.file("list.txt", "198.18.0.0/28\n");
    let list = place.text("list.txt");
    let all = [
        "198.18.1.1",
        "--input-file",
        &list,
        "--blocklist-file",
        &list,
        "--per-prefix",
        "2",
        "--target-seed",
        "0xffffffffffffffff",
        "--allow-special",
        "--yes-large",
        "--ipv4",
        "--resolve-targets",
        "both",
        "--resolver",
        "[fe80::53%1]:5353",
        "--strict",
        "-o",
        "out",
        "--vantage",
        "a \"b\"",
        "--survey-id",
        "week\\1",
        "--date",
        "2026-03-01",
        "--if-exists",
        "replace",
        "--seal-interval",
        "0.2",
        "--seal-rows",
        "5k",
        "--pcap",
        "all.pcap",
        "--strategy",
        "trace",
        "--protocol",
        "tcp",
        "--transport",
        "raw",
        "--rate",
        "1.5k",
        "--first-ttl",
        "2",
        "--max-ttl",
        "20",
        "--attempts",
        "3",
        "--timeout",
        "500ms",
        "--late-window",
        "2min",
        "--gap-limit",
        "6",
        "--window",
        "77",
        "--cooldown",
        "1",
        "--max-duration",
        "6h",
        "--second-pass",
        "--flows",
        "3",
        "--vary",
        "source-port",
        "--multipath",
        "lite",
        "--max-flows",
        "500",
        "--max-width",
        "20",
        "--confidence",
        "99",
        "--graph-confidence",
        "99.9%",
        "--tcp-flags",
        "ack",
        "--tos",
        "0xb8",
        "--probes-per-hop",
        "2",
        "--source",
        "192.0.2.1",
        "--interface",
        "eth1",
        "--source-port",
        "25000",
        "--dest-port",
        "443",
        "--port-per-ttl",
        "--seed",
        "0xffffffffffffffff",
        "--min-reply-rate",
        "90%",
        "--lab",
        "labs/loss.toml",
    ];
    let first = show(&all);
    let values = shown(&first);
    for (name, (value, source)) in &values {
        let expected = match name.as_str() {
            "ipv6" | "mtu" | "virtual-time" => "default",
            _ => "command line",
        };
        assert_eq!(source, expected, "{name} = {value}");
    }
    fs::create_dir(place.path("elsewhere")).expect("a directory");
    let file = place.file("elsewhere/shown.toml", &first.stdout);
    let again = shown(&show(&["--config", &file]));
    let plain = |shown: &BTreeMap<String, (String, String)>| -> Vec<(String, String)> {
        let pairs = shown
            .iter()
            .map(|(name, (value, _))| (name.clone(), value.clone()));
        pairs.collect()
    };
    assert_eq!(plain(&again), plain(&values));
    assert!(again["seal-rows"].1.starts_with(&file), "{again:?}");

    // So do the defaults, with which every option about another protocol or network stays free.
    let file = place.file("defaults.toml", show(&["-o", "x.csv"]).stdout);
    let arguments = [
        "--config",
        &file,
        "--protocol",
        "icmp",
        "--lab",
        "-r",
        "300",
    ];
    let over = shown(&show(&arguments));
    has(&over, "window", "# 300", "derived: rate / flows");
    assert!(!over.contains_key("dest-port"));
}

#[test]
fn a_survey_takes_its_options_from_the_file() {
    let place = Place::new();
    let options = "max-ttl = 4\ntimeout = \"500ms\"\nmin-reply-rate = 0.25\nseed = 18_446\noutput-file = \"out\"\n";
    let file = place.file("night.toml", format!("{SHORT}{options}"));
    check(
        &run(&["survey", "--config", &file]),
        0,
        &["survey complete"],
    );
    // The output, like every path, is relative to the file.
    let config = json_file(&place.path("out/manifest.json"))["config"].clone();
    assert_eq!(config["max_ttl"], 4);
    assert_eq!(config["timeout_s"], 0.5);
    assert_eq!(config["cooldown_s"], 0.5);
    assert_eq!(config["min_reply_rate"], 0.25);
    assert_eq!(config["seed"], 18_446);
    assert_eq!(config["targets"]["arguments"][0], "198.18.0.1");
}

#[test]
fn paths_in_a_file_are_relative_to_it_and_paths_on_the_command_line_are_not() {
    let place = Place::new();
    fs::create_dir(place.path("etc")).expect("a directory");
    place.file("etc/list.txt", "198.18.0.1\n");
    place.file("list.txt", "198.18.0.2\n198.18.0.3\n");
    let file = place.file(
        "etc/night.toml",
        format!("{SHORT}input-file = \"list.txt\"\n").replace("targets", "#"),
    );
    let targets = |more: &[&str]| {
        let mut command = program(&["survey", "--config", "etc/night.toml", "-o", "out"]);
        command.current_dir(place.0.path()).args(more);
        check(&command.output().expect("an end"), 0, &[]);
        json_file(&place.path("out/manifest.json"))["targets"]["targets"].clone()
    };
    assert_eq!(targets(&[]), 1);
    // A list of the command line takes the place of the list of the file.
    assert_eq!(targets(&["-i", "list.txt"]), 2);
    let over = shown(&show(&["--config", &file]));
    let listed = format!("[\"{}\"]", place.text("etc/list.txt"));
    has(&over, "input-file", &listed, &format!("{file}:4"));
}

#[test]
fn an_option_that_the_file_turns_on_can_be_turned_off() {
    let place = Place::new();
    let file = place.file(
        "night.toml",
        "mtu = true\nipv4 = true\nlab = true\nvirtual-time = true\n",
    );
    let off = shown(&show(&[
        "--config",
        &file,
        "--mtu=false",
        "--lab=false",
        "--virtual-time=false",
    ]));
    has(&off, "mtu", "false", "command line");
    has(&off, "lab", "false", "command line");
    has(&off, "ipv4", "true", &format!("{file}:2"));
    let six = shown(&show(&["--config", &file, "-6"]));
    has(&six, "ipv4", "false", "default");
    has(&six, "ipv6", "true", "command line");
    let both = shown(&show(&["--config", &file, "--ipv4=false"]));
    has(&both, "ipv4", "false", "command line");
    has(&both, "ipv6", "false", "default");
    check(&show(&["-4", "-6"]), 2, &["--ipv4 and --ipv6"]);
    // Short options can still be written together, and an option without a value does not take the next word.
    let together = shown(&show(&["-4r", "500", "--mtu", "198.18.0.1"]));
    has(&together, "ipv4", "true", "command line");
    has(&together, "rate", "500", "command line");
    has(&together, "mtu", "true", "command line");
    has(&together, "targets", "[\"198.18.0.1\"]", "command line");
    check(&show(&["--mtu=maybe"]), 2, &["--mtu", "true", "false"]);
}

#[test]
fn a_path_that_is_no_text_is_not_shown_as_another_path() {
    use std::os::unix::ffi::OsStrExt;
    let mut command = program(&["config", "show", "-i"]);
    command.arg(std::ffi::OsStr::from_bytes(b"list\xff.txt"));
    let output = command.output().expect("an end");
    check(&output, 2, &["not UTF-8", "rename"]);
    assert_eq!(text(&output.stdout), "");
}

/// A reused configuration must not probe networks that nobody asked for.
#[test]
fn targets_on_the_command_line_replace_those_of_the_file() {
    let place = Place::new();
    let file = place.file(
        "night.toml",
        "lab = true\nvirtual-time = true\ntargets = [\"198.18.0.0/24\"]\n",
    );
    let list = place.file("new.txt", "198.18.9.1\n");
    for (further, expected) in [(&["-i", &list][..], 1), (&["198.18.9.0/31"], 2), (&[], 256)] {
        let out = place.text(&format!("out-{expected}"));
        let arguments = ["survey", "--config", &file, "-o", &out];
        check(&run(&[&arguments[..], further].concat()), 0, &[]);
        let manifest = json_file(&place.path(&format!("out-{expected}/manifest.json")));
        assert_eq!(manifest["targets"]["targets"], expected);
    }
}

#[test]
fn a_survey_does_not_write_over_its_configuration() {
    let place = Place::new();
    let file = place.file("night.csv", SHORT);
    check(
        &run(&["survey", "--config", &file, "-o", &file]),
        2,
        &["--config", "would write to the file"],
    );
    assert_eq!(fs::read_to_string(&file).expect("a file"), SHORT);
    let file = place.file("hops.csv.manifest.json", SHORT);
    let out = place.text("hops.csv");
    check(
        &run(&["survey", "--config", &file, "-o", &out]),
        2,
        &["-o", "--config"],
    );
    assert!(!place.path("hops.csv").exists());
}

#[test]
fn what_to_do_with_an_existing_run_is_for_directories() {
    let place = Place::new();
    for out in ["x.csv", "-"] {
        let out = if out == "-" {
            out.to_owned()
        } else {
            place.text(out)
        };
        let output = survey(&[
            "198.18.0.1",
            "--if-exists",
            "append",
            "--format",
            "csv",
            "-o",
            &out,
        ]);
        check(&output, 2, &["--if-exists", "directory"]);
        assert_eq!(text(&output.stdout), "");
    }
    let output = survey(&[
        "198.18.0.1",
        "--if-exists",
        "append",
        "-o",
        &place.text("out"),
    ]);
    check(&output, 0, &[]);
}

#[test]
fn a_survey_without_an_output_or_a_target_says_so() {
    let place = Place::new();
    let file = place.file("night.toml", SHORT);
    check(
        &run(&["survey", "--config", &file]),
        2,
        &["no output", "-o OUT"],
    );
    let file = place.file(
        "night.toml",
        "output-file = \"out\"\nlab = true\nvirtual-time = true\n",
    );
    check(&run(&["survey", "--config", &file]), 2, &["no targets"]);
    check(
        &run(&["survey", "--virtual-time", "198.18.0.1", "-o", "x"]),
        2,
        &["--virtual-time", "add --lab"],
    );
}
