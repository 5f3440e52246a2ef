//! The program's own texts: help, schemas, summaries, truth.

use super::*;

#[test]
fn schemas_are_printed_as_they_are_committed() {
    for (table, file) in [
        ("hops", "schemas/hops.v2.json"),
        ("traces", "schemas/traces.v2.json"),
        ("graphs", "schemas/graphs.v1.json"),
        ("nodes", "schemas/nodes.v1.json"),
        ("links", "schemas/links.v1.json"),
        ("diamonds", "schemas/diamonds.v1.json"),
    ] {
        let output = run(&["schema", table]);
        check(&output, 0, &[]);
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert_eq!(output.stdout, fs::read(&committed).expect("a schema"));
        assert_eq!(json_file(&committed)["table"], table);
    }
}

#[test]
fn the_true_path_is_printed_as_a_table() {
    let output = run(&[
        "lab",
        "truth",
        "198.18.0.77",
        "--network",
        "labs/clean.toml",
    ]);
    check(&output, 0, &[]);
    let table = text(&output.stdout);
    let responders = [
        "10.0.0.1",
        "10.0.1.1",
        "10.0.2.1",
        "10.0.3.1",
        "198.18.0.77",
    ];
    for (ttl, responder) in (1..).zip(responders) {
        let line = table
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{ttl} ")));
        assert!(line.is_some_and(|line| line.contains(responder)), "{table}");
    }
    assert!(
        table.ends_with("the target answers at distance 5\n"),
        "{table}"
    );
}

/// Every option of every command has a description.
#[test]
fn help_explains_every_option() {
    for command in [
        &[][..],
        &["survey"],
        &["lab"],
        &["lab", "exec"],
        &["lab", "truth"],
        &["schema"],
    ] {
        for flag in ["-h", "--help"] {
            let output = run(&[command, &[flag]].concat());
            check(&output, 0, &[]);
            let help = text(&output.stdout);
            let lines: Vec<&str> = help.lines().collect();
            let mut options = 0;
            for (at, line) in lines.iter().enumerate() {
                // A possible value follows a dash and a blank.
                let word = line.trim_start();
                if line.starts_with("  ") && word.starts_with('-') && !word.starts_with("- ") {
                    options += 1;
                    assert!(
                        is_explained(line, lines.get(at + 1)),
                        "{command:?} {flag}: {line}"
                    );
                }
            }
            assert!(options >= 2, "{help}");
        }
    }
}

/// The limits of an option are part of its description.
#[test]
fn help_states_the_limits_of_options() {
    let output = run(&["survey", "--help"]);
    let help = text(&output.stdout);
    let words: Vec<&str> = help.split_whitespace().collect();
    let help = words.join(" ");
    for part in [
        "with its IP header (not with TCP)",
        "see many flows. Not with ICMP",
        "ICMP echo traces and sweeps if net.ipv4.ping_group_range allows",
        "129, 130 and 143 interrupted",
    ] {
        assert!(help.contains(part), "`{part}` is not in:\n{help}");
    }
    assert!(!help.contains("-vv"), "it tells no more than -v");
}

/// Whether a description follows the option, on the same line or further in on the next.
fn is_explained(line: &str, next: Option<&&str>) -> bool {
    let beside = line
        .trim_start()
        .split_once("  ")
        .is_some_and(|(_, text)| !text.trim().is_empty());
    let below = next.is_some_and(|next| {
        let next = next.trim_start();
        !next.is_empty() && !next.starts_with('-')
    });
    beside || below
}

#[test]
fn the_version_is_the_crate_s() {
    let output = run(&["--version"]);
    assert_eq!(
        text(&output.stdout),
        format!("pathsurvey {}\n", env!("CARGO_PKG_VERSION"))
    );
}
