//! Files that cannot be read as a configuration, and options in them that are wrong.

use super::*;

#[test]
fn an_error_names_the_file_the_line_and_what_is_accepted() {
    let place = Place::new();
    for (content, line, parts) in [
        (
            "rte = 5",
            1,
            &["unknown option `rte`", "did you mean `rate`?"][..],
        ),
        (
            "\n# x\nmax_ttl = 5",
            3,
            &["`max_ttl`", "did you mean `max-ttl`?"],
        ),
        ("colour = 5", 1, &["unknown option `colour`", "--help"]),
        ("method = \"trace\"", 1, &["unknown option `method`"]),
        (
            "rate = [1]",
            1,
            &["rate: give a text or a number, not a list"],
        ),
        ("rate = true", 1, &["not true or false"]),
        ("rate = 0", 1, &["`0` is not a rate", "10k"]),
        ("rate = nan", 1, &["`nan` is not a rate"]),
        ("\nmax-ttl = 300", 2, &["max-ttl: ", "1..=254"]),
        (
            "max-ttl = 3.5",
            1,
            &["`3.5` is not a whole number in 1..=254"],
        ),
        ("timeout = \"soon\"", 1, &["timeout: `soon`: give seconds"]),
        ("timeout = 0,5", 1, &[]),
        ("min-reply-rate = 90", 1, &["such as 90%"]),
        (
            "strategy = \"sweeep\"",
            1,
            &["`sweeep` is not accepted: give one of trace, sweep"],
        ),
        ("mtu = 1", 1, &["mtu: give true or false, not a number"]),
        (
            "mtu = \"true\"",
            1,
            &["mtu: give true or false, not a text"],
        ),
        (
            "lab = \"198.18.0.1\"",
            1,
            &["lab: give true, false or a network file"],
        ),
        (
            "source = [\"192.0.2.1\", \"x\"]",
            1,
            &["source: `x`: invalid IP address"],
        ),
        (
            "input-file = [[\"a\"]]",
            1,
            &["or a list of them, not a list"],
        ),
        ("date = 2026-03-01T00:00:00Z", 1, &["YYYY-MM-DD"]),
        ("date = \"2026-02-30\"", 1, &["YYYY-MM-DD"]),
        ("max-duration = \"31d\"", 1, &["2592000"]),
        ("seal-rows = 10", 1, &["100..=1000000"]),
        (
            "config = \"x\"",
            1,
            &["`config` is an option of the command line only"],
        ),
        ("resume = true", 1, &["command line only"]),
        ("quiet = true", 1, &["command line only"]),
        ("[lab]\nvirtual-time = true", 1, &["lab: ", "not a table"]),
        ("[probing]\nrate = 5", 1, &["`probing` is a table"]),
        ("probing.rate = 5", 1, &["`probing` is a table"]),
        (
            "rate = 1\nflows = 1\nrate = 2",
            3,
            &["duplicate key", "`rate`"],
        ),
        ("rate =", 1, &[]),
        ("rate = 1\r\nrte = 2\r\n", 2, &["`rte`"]),
        (
            "ipv4 = true\nipv6 = true",
            2,
            &["ipv4 and ipv6 (line 1) are both true"],
        ),
        ("seed = 99999999999999999999", 1, &["seed: "]),
    ] {
        let file = place.file("bad.toml", content);
        let output = run(&["survey", "--config", &file, "-o", &place.text("out")]);
        check(&output, 2, &[&format!("{file}:{line}: ")]);
        check(&output, 2, parts);
        assert_eq!(errors(&output).lines().count(), 1, "{}", errors(&output));
        assert!(!place.path("out").exists());
    }
}

#[test]
fn files_of_every_kind_are_read_or_refused_with_a_reason() {
    let place = Place::new();
    let value = |file: &str| shown(&show(&["--config", file]))["max-ttl"].clone();
    let source = |file: &str, line| ("7".to_owned(), format!("{file}:{line}"));
    let file = place.file("bom.toml", "\u{feff}max-ttl = 7\n");
    assert_eq!(value(&file), source(&file, 1));
    let file = place.file("crlf.toml", "# CRLF\r\nmax-ttl = 7\r\n");
    assert_eq!(value(&file), source(&file, 2));
    let file = place.file("empty.toml", "");
    assert_eq!(value(&file), ("32".to_owned(), "default".to_owned()));

    let file = place.file("latin1.toml", b"rate = 5\nvantage = \"Z\xfcrich\"\n");
    check(
        &show(&["--config", &file]),
        2,
        &[&format!("{file}:2: the text is not UTF-8")],
    );
    let directory = place.0.path().to_str().expect("UTF-8");
    check(
        &show(&["--config", directory]),
        2,
        &[directory, "this is a directory", "manifest.json"],
    );
    let missing = place.text("missing.toml");
    check(
        &show(&["--config", &missing]),
        2,
        &[&missing, "No such file"],
    );

    let piped = fed(
        &["config", "show", "--config", "-"],
        b"max-ttl = 7\npcap = \"a.pcap\"\n",
    );
    let piped = shown(&piped);
    has(&piped, "max-ttl", "7", "-:1");
    let here = format!("\"{}/a.pcap\"", env!("CARGO_MANIFEST_DIR"));
    has(&piped, "pcap", &here, "-:2");

    let fifo = place.text("fifo.toml");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::write(fifo, "max-ttl = 7\n")
    });
    assert_eq!(value(&fifo), source(&fifo, 1));
    writer.join().expect("a writer").expect("a reader");
}
