//! Inputs that are refused, and the messages.

use super::*;

/// Invalid options: exit code 2, and a message that names the error.
#[test]
fn bad_options_end_with_2() {
    let place = Place::new();
    let out = place.text("out");
    let cases: &[(&[&str], &[&str])] = &[
        (&["198.18.0.1"], &["--output-file"]),
        (&["-o", &out], &["no targets", "--input-file"]),
        (
            &["198.18.0.1", "-o", "-"],
            &["--format csv, jsonl or arrow"],
        ),
        (
            &["198.18.0.1", "-o", "-", "--format", "parquet"],
            &["parquet cannot be read from a stream"],
        ),
        (
            &["198.18.0.1", "-o", "-", "--format", "xyz"],
            &["`xyz` is not a format"],
        ),
        (&["198.18.0.1", "-o", "a.xyz.gz"], &["a.xyz.gz", "*.csv"]),
        (&["198.18.0.1", "-o", ""], &["-o wants"]),
        (
            &["198.18.0.1", "-o", "a.csv", "--format", "jsonl"],
            &["disagree"],
        ),
        (
            &["198.18.0.1", "-o", &out, "-r", "fast"],
            &["`fast` is not a rate"],
        ),
        (
            &["198.18.0.1", "-o", &out, "-r", "0"],
            &["`0` is not a rate"],
        ),
        (
            &["198.18.0.1", "-o", &out, "-r", "-5"],
            &["`-5` is not a rate"],
        ),
        (
            &["198.18.0.1", "-o", &out, "-f", "9", "-m", "4"],
            &["--first-ttl 9 is above --max-ttl 4"],
        ),
        (
            &["198.18.0.1", "-o", &out, "-f", "0"],
            &["'0' for '--first-ttl", "0 is not in 1..=254"],
        ),
        (
            &["198.18.0.1", "-o", &out, "-m", "300"],
            &["300 is not in 1..=254"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--resolver", "127.0.0.1"],
            &["--resolver with --virtual-time", "give addresses"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--resolver", "dns.example"],
            &["dns.example", "[2001:db8::53]:5353"],
        ),
        (
            &["-4", "198.18.0.1", "-o", &out, "--resolve-targets", "6"],
            &["--resolve-targets asks", "does not probe"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--resolve-targets", "5"],
            &["4, 6, both"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--flows", "0"],
            &["'0' for '--flows", "1..=65535"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--tcp-flags", "ack"],
            &["--tcp-flags", "--protocol tcp"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                &out,
                "--protocol",
                "icmp",
                "--dest-port",
                "7",
            ],
            &["--dest-port", "no ports"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--packet-size", "59"],
            &["--packet-size 59", "60 to 65535", "with -4 40"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                &out,
                "--packet-size",
                "3000",
                "--protocol",
                "icmp",
            ],
            &["--packet-size 3000 with --protocol icmp", "at most 1900"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--protocol", "tcp", "--mtu"],
            &["--mtu", "udp or icmp"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                &out,
                "-s",
                "192.0.2.1",
                "-s",
                "192.0.2.2",
            ],
            &["one address for each family"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--interface", "lo"],
            &["--interface", "--virtual-time"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                &out,
                "--strategy",
                "sweep",
                "--probes-per-hop",
                "2",
            ],
            &["--probes-per-hop", "--strategy trace"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--window", "0"],
            &["0 is not in 1..=1048576"],
        ),
        (
            &["198.18.0.1", "-o", &out, "-q", "0"],
            &["0 is not in 1..=100"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--gap-limit", "0"],
            &["0 is not in 1..=254"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                &out,
                "--source-port",
                "65535",
                "--flows",
                "2",
            ],
            &["--source-port 65535"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--dest-port", "0"],
            &["0 is not in 1..=65535"],
        ),
        (&["198.18.0.1", "-o", &out, "-w", "0"], &["--timeout"]),
        (
            &["198.18.0.1", "-o", &out, "--transport", "dgram"],
            &["--transport dgram with --virtual-time", "no sockets"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                &out,
                "--transport",
                "dgram",
                "--protocol",
                "tcp",
            ],
            &[
                "--transport dgram with --protocol tcp",
                "cannot send TCP segments",
            ],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                &out,
                "--transport",
                "dgram",
                "--strategy",
                "sweep",
            ],
            &["--transport dgram with --strategy sweep"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--pcap", "x.pcap"],
            &["--pcap", "--virtual-time"],
        ),
        (&["198.18.0.1", "-o", &out, "-w", "soon"], &["give seconds"]),
        (
            &["198.18.0.1", "-o", &out, "--cooldown", "-1"],
            &["0 and 86400"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--min-reply-rate", "7"],
            &["'7' for '--min-reply-rate", "between 0 and 1", "90%"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--min-reply-rate", "NaN"],
            &["'NaN' for '--min-reply-rate"],
        ),
        (&["198.18.0.1", "-o", &out, "--vantage", ""], &["--vantage"]),
        (
            &["198.18.0.1", "-o", &out, "--survey-id", ""],
            &["--survey-id"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--strategy", "guess"],
            &["trace, sweep"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--per-prefix", "900"],
            &["900", "1..=254"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--per-prefix", "0"],
            &["1..=254"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                &out,
                "--rate",
                "1G",
                "--late-window",
                "86400",
            ],
            &["probes live at a time"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--no-such-option"],
            &["--no-such-option"],
        ),
        (
            &["198.18.0.1", "-o", &out, "--target-seed", "x"],
            &["'x' for '--target-seed"],
        ),
    ];
    for (arguments, parts) in cases {
        let output = survey(arguments);
        check(&output, 2, parts);
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    assert!(!place.path("out").exists());
}

/// What does not fit into the name of a folder is refused before the first probe, and what fits is written.
#[test]
fn a_vantage_point_s_name_fits_into_the_name_of_a_folder() {
    let place = Place::new();
    for (name, fits) in [
        ("x".repeat(249), true),
        ("x".repeat(250), false),
        ("ü".repeat(41), true),
        ("ü".repeat(42), false),
    ] {
        let out = place.text(&format!("{}-{fits}", name.len()));
        let output = survey(&["198.18.0.1", "-o", &out, "--vantage", &name]);
        if fits {
            check(&output, 0, &["(100.0%)"]);
        } else {
            check(&output, 2, &["--vantage", "more than 249", "shorter"]);
            assert!(!Path::new(&out).exists());
        }
    }
}

/// A value too small, a value too large and a value of the wrong form get the same message.
#[test]
fn each_option_has_one_range() {
    for (option, values, range) in [
        ("-w", ["nan", "0", "1e9"], "between 0.01 and 3600"),
        ("-c", ["nan", "-1", "1e9"], "between 0 and 86400"),
        ("-m", ["0", "255", "300"], "1..=254"),
        ("-f", ["0", "255", "300"], "1..=254"),
        ("--flows", ["0", "65536", "70000"], "1..=65535"),
        ("--source-port", ["0", "65536", "70000"], "1..=65535"),
        ("--attempts", ["0", "101", "300"], "1..=100"),
        ("--probes-per-hop", ["0", "101", "300"], "1..=100"),
        ("--gap-limit", ["0", "255", "300"], "1..=254"),
        ("--window", ["0", "1048577", "9999999999"], "1..=1048576"),
        (
            "--packet-size",
            ["39", "59", "70000"],
            "60 to 65535 bytes, or with -4 40 to 65535",
        ),
    ] {
        for value in values {
            let output = survey(&["198.18.0.1", "-o", "never", option, value]);
            check(&output, 2, &[range]);
        }
    }
    let ipv4 = |size| {
        survey(&[
            "-4",
            "198.18.0.1",
            "-o",
            "-",
            "--format",
            "csv",
            "--packet-size",
            size,
        ])
    };
    check(&ipv4("39"), 2, &["with -4 40"]);
    check(&ipv4("40"), 0, &["(100.0%)"]);
}

/// A resource named by an option is not available: exit code 1, and a message that names it and a remedy.
#[test]
fn what_cannot_be_had_ends_with_1() {
    let place = Place::new();
    let out = place.text("out");
    let taken = place.file("taken", "a file");
    let under_a_file = format!("{taken}/below");
    let is_directory = place.text("directory.csv");
    fs::create_dir(&is_directory).expect("a directory");
    let network = place.file(
        "bad.toml",
        "[[router]]\nname = \"a\"\naddress = \"10.0.0.1\"\ncolor = 3\n",
    );
    let no_toml = place.text("none.toml");
    let cases: &[(&[&str], &[&str])] = &[
        (&["-i", "no/such/list", "-o", &out], &["no/such/list"]),
        (&["-i", "src", "-o", &out], &["src"]),
        (
            &["198.18.0.1", "-b", "no/such/blocklist", "-o", &out],
            &["no/such/blocklist"],
        ),
        (
            &["198.18.0.1", "-o", &taken],
            &["taken", "a file stands in the way"],
        ),
        (
            &["198.18.0.1", "-o", &under_a_file],
            &["below", "a file stands in the way"],
        ),
        (
            &["198.18.0.1", "-o", "/proc/pathsurvey"],
            &["/proc/pathsurvey"],
        ),
        (&["198.18.0.1", "-o", "/proc/pathsurvey.csv"], &["/proc/"]),
        (&["198.18.0.1", "-o", &is_directory], &["directory.csv"]),
        (
            &["300.300.300.300", "-o", &out],
            &["300.300.300.300", "not an IPv4 address"],
        ),
        (
            &["198.18.0.0/33", "-o", &out],
            &["198.18.0.0/33", "0 to 32"],
        ),
        (
            &["--lab", &no_toml, "198.18.0.1", "-o", &out],
            &["none.toml", "docs/lab.md"],
        ),
        (
            &["--lab", &network, "198.18.0.1", "-o", &out],
            &["bad.toml:4", "color", "expected"],
        ),
        (
            &["--lab", "Cargo.toml", "198.18.0.1", "-o", &out],
            &["Cargo.toml:", "unknown field"],
        ),
        (&["-i", "-", "-o", &out], &["no target is left"]),
        (
            &["0.0.0.0/0", "--per-prefix", "254", "-o", &out],
            &["--yes-large"],
        ),
    ];
    for (arguments, parts) in cases {
        let output = survey(arguments);
        check(&output, 1, parts);
        let told = errors(&output).matches("os error").count();
        assert!(told <= 1, "the cause is told once: {}", errors(&output));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    assert!(!place.path("out").exists());
}

#[test]
fn the_lab_s_commands_refuse_invalid_options_as_well() {
    let place = Place::new();
    let network = place.file("bad.toml", "[[router]]\nname = 3\n");
    for (arguments, code) in [
        (&[][..], 2),
        (&["no-such-command"][..], 2),
        (&["lab"], 2),
        (&["lab", "truth"], 2),
        (&["lab", "truth", "nowhere"], 2),
        (&["lab", "truth", "::1%eth0"], 2),
        (&["lab", "truth", "198.18.0.1", "-m", "1000"], 2),
        (&["lab", "truth", "198.18.0.1", "--network", "none.toml"], 1),
        (
            &["lab", "truth", "198.18.0.1", "--network", network.as_str()],
            1,
        ),
        (&["lab", "truth", "198.18.0.1", "--source-port", "70000"], 2),
        (&["lab", "exec"], 2),
        (&["schema"], 2),
        (&["schema", "hosts"], 2),
        (&["survey", "--virtual-time", "198.18.0.1", "-o", "x"], 2),
        (&["--log-format", "xml", "schema", "hops"], 2),
    ] {
        let output = run(arguments);
        check(&output, code, &[]);
        assert!(!errors(&output).is_empty(), "{arguments:?} says nothing");
    }
}
