//! The command line as its users meet it: exit codes, messages, streams. No privilege and no packet: surveys run in virtual time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use arrow::ipc::reader::StreamReader;
use serde_json::Value;
use tempfile::TempDir;

/// The program, started where the sources are, with nothing of our own environment that it heeds.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathsurvey"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("PATHSURVEY_VANTAGE")
        .args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    fed(arguments, b"")
}

/// Runs the program with `input` on its standard input.
fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = program(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that ends without reading its input is within its rights.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("an end")
}

/// A survey in virtual time with a fixed seed.
fn survey(arguments: &[&str]) -> Output {
    run(&survey_arguments(arguments))
}

fn survey_arguments<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["survey", "--virtual-time", "-e", "1"];
    if !arguments.contains(&"--lab") {
        all.push("--lab");
    }
    all.extend(arguments);
    all
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn errors(output: &Output) -> String {
    text(&output.stderr)
}

/// Checks the exit code, and that every one of `parts` is in the messages.
#[track_caller]
fn check(output: &Output, code: i32, parts: &[&str]) {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    for part in parts {
        assert!(errors.contains(part), "`{part}` is not in:\n{errors}");
    }
    assert!(!errors.contains("panicked"), "{errors}");
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).expect("a file");
        self.text(name)
    }
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

mod endings {
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
        check(&low, 3, &["--min-reply-rate", "survey complete"]);
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
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        errors(output).lines().map(parse).collect()
    }
}

mod streams {
    use super::*;

    const FIVE: [&str; 4] = ["198.18.7.0/28", "--flows", "2", "--format"];

    fn stream(format: &str) -> Vec<u8> {
        let output = survey(&[&FIVE[..], &[format, "-o", "-"]].concat());
        check(&output, 0, &["standard output ("]);
        let rows = errors(&output);
        assert!(rows.contains(" rows)"));
        output.stdout
    }

    /// The number of rows that a directory of the same survey has.
    fn rows_of_directory() -> usize {
        let place = Place::new();
        let output = survey(&[&FIVE[..3], &["-o", &place.text("out")]].concat());
        check(&output, 0, &[]);
        let rows = json_file(&place.path("out/manifest.json"))["tables"]["hops"]["rows"].as_u64();
        usize::try_from(rows.expect("rows")).expect("few")
    }

    #[test]
    fn csv_on_standard_output_is_csv_from_the_first_byte_to_the_last() {
        let data = stream("csv");
        let mut reader = csv::Reader::from_reader(&data[..]);
        let header = reader.headers().expect("a header").clone();
        assert_eq!(&header[0], "run_id");
        let records: Vec<_> = reader
            .records()
            .map(|record| record.expect("a row"))
            .collect();
        assert!(records.iter().all(|record| record.len() == header.len()));
        assert_eq!(records.len(), rows_of_directory());
    }

    #[test]
    fn json_lines_on_standard_output_are_an_object_each() {
        let data = text(&stream("jsonl"));
        let rows: Vec<Value> = data
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(rows.len(), rows_of_directory());
        assert!(
            rows.iter()
                .all(|row| row["status"].is_string() && row["run_id"] == rows[0]["run_id"])
        );
    }

    #[test]
    fn arrow_on_standard_output_is_one_stream() {
        let data = stream("arrow");
        let reader = StreamReader::try_new(&data[..], None).expect("a stream");
        let rows: usize = reader.map(|batch| batch.expect("a batch").num_rows()).sum();
        assert_eq!(rows, rows_of_directory());
    }

    #[test]
    fn whoever_stops_reading_ends_the_survey_cleanly() {
        for format in ["csv", "jsonl", "arrow"] {
            let arguments = survey_arguments(&[
                "-i",
                "sample-targets/lab.csv",
                "-o",
                "-",
                "--format",
                format,
            ]);
            let mut child = program(&arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program");
            let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
            let first = stdout.fill_buf().expect("data").len();
            assert!(first > 0);
            drop(stdout);
            let output = child.wait_with_output().expect("an end");
            check(&output, 0, &[]);
            assert_eq!(errors(&output), "", "{format}");
        }
        for arguments in [["schema", "hops"], ["schema", "traces"]] {
            let mut child = program(&arguments)
                .stdout(Stdio::piped())
                .spawn()
                .expect("the program");
            drop(child.stdout.take());
            assert_eq!(child.wait().expect("an end").code(), Some(0));
        }
    }

    #[test]
    fn single_files_have_their_manifest_beside_them() {
        let place = Place::new();
        for name in ["a.csv", "a.jsonl", "a.parquet", "a.arrow"] {
            let output = survey(&["198.18.0.1", "-o", &place.text(name)]);
            check(&output, 0, &[name]);
            assert!(fs::metadata(place.path(name)).is_ok_and(|file| file.len() > 0));
            let manifest = json_file(&place.path(&format!("{name}.manifest.json")));
            assert_eq!(manifest["state"], "complete");
        }
        let left = fs::read_dir(place.0.path()).expect("a directory").count();
        assert_eq!(left, 8, "nothing but files and manifests");
    }
}

mod targets {
    use super::*;

    use parquet::record::Field;

    /// Surveys into JSON lines; gives the distinct destinations, and the messages.
    fn destinations(arguments: &[&str], input: &[u8]) -> (Vec<String>, String) {
        let output = fed(
            &survey_arguments(&[arguments, &["-o", "-", "--format", "jsonl"]].concat()),
            input,
        );
        check(&output, 0, &[]);
        let rows = text(&output.stdout);
        let destination = |line: &str| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            row["destination"].as_str().expect("an address").to_owned()
        };
        let mut found: Vec<String> = rows.lines().map(destination).collect();
        found.sort();
        found.dedup();
        (found, errors(&output))
    }

    const LIST: &str = "# ours\n198.18.0.1\n\n198.18.0.2 # behind\n198.18.0.1\n";

    #[test]
    fn lists_come_from_files_standard_input_and_compressed_files_alike() {
        let place = Place::new();
        let plain = place.file("list.txt", LIST);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(LIST.as_bytes()).expect("memory");
        let gz = place.file("list.gz", gzip.finish().expect("memory"));
        let zst = place.file(
            "list.zst",
            zstd::encode_all(LIST.as_bytes(), 3).expect("memory"),
        );
        for (arguments, input) in [
            (["-i", plain.as_str()], ""),
            (["-i", &gz], ""),
            (["-i", &zst], ""),
            (["-i", "-"], LIST),
        ] {
            let (found, _) = destinations(&arguments, input.as_bytes());
            assert_eq!(found, ["198.18.0.1", "198.18.0.2"], "{arguments:?}");
        }
    }

    #[test]
    fn bad_lines_are_named_by_file_and_line_and_counted() {
        let place = Place::new();
        let list = place.file(
            "list.txt",
            "198.18.0.1\n300.1.2.3\n198.18.0.2\n198.18.0.0/40\nhalf a line\n",
        );
        let out = place.text("out");
        let output = survey(&["-i", &list, "-o", &out]);
        check(
            &output,
            0,
            &["list.txt:2: ", "list.txt:4: ", "list.txt:5: ", "300.1.2.3"],
        );
        let manifest = json_file(&place.path("out/manifest.json"));
        assert_eq!(manifest["targets"]["bad_lines"], 3);
        assert_eq!(manifest["targets"]["targets"], 2);
        let strict = survey(&["--strict", "-i", &list, "-o", &place.text("strict")]);
        check(&strict, 1, &["list.txt:2: ", "--strict"]);
        assert!(
            !place.path("strict").exists(),
            "nothing was probed, nothing is written"
        );
    }

    #[test]
    fn an_ipv6_line_breaks_nothing() {
        let (found, errors) = destinations(
            &["-i", "-"],
            b"198.18.0.1\n2001:db8::1\n2001:db8::/32\n198.18.0.2\n",
        );
        assert_eq!(found, ["198.18.0.1", "198.18.0.2"]);
        assert!(!errors.contains("error"), "{errors}");
        let place = Place::new();
        let none = survey(&["2001:db8::1", "-o", &place.text("out")]);
        check(&none, 1, &["IPv6"]);
        let blocklist = place.file("block", "2001:db8::/32\n198.18.0.2\n");
        let (found, _) = destinations(&["198.18.0.1", "198.18.0.2", "-b", &blocklist], b"");
        assert_eq!(found, ["198.18.0.1"]);
    }

    #[test]
    fn labels_arrive_with_their_traces() {
        let place = Place::new();
        let list = place.file(
            "list.csv",
            "name,target,site\nalpha,198.18.0.1,fra\nbeta,198.18.0.2,\n",
        );
        let out = place.text("out");
        check(&survey(&["-i", &list, "-o", &out]), 0, &[]);
        let mut seen = BTreeMap::new();
        for part in parquet_parts(&place.path("out/traces")) {
            let file = fs::File::open(part).expect("a part");
            let reader = parquet::file::reader::SerializedFileReader::new(file).expect("Parquet");
            for row in reader {
                let row = row.expect("a row");
                let cell = |name| {
                    let mut columns = row.get_column_iter();
                    columns
                        .find(|(column, _)| *column == name)
                        .map(|(_, cell)| cell)
                };
                let (Some(Field::Str(destination)), Some(Field::MapInternal(labels))) =
                    (cell("destination"), cell("labels"))
                else {
                    panic!("no labels in {row}");
                };
                let pair = |(key, value): &(Field, Field)| match (key, value) {
                    (Field::Str(key), Field::Str(value)) => (key.clone(), value.clone()),
                    other => panic!("{other:?}"),
                };
                let labels: Vec<_> = labels.entries().iter().map(pair).collect();
                seen.insert(destination.clone(), labels);
            }
        }
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            (
                "198.18.0.1".to_owned(),
                vec![label("name", "alpha"), label("site", "fra")],
            ),
            ("198.18.0.2".to_owned(), vec![label("name", "beta")]),
        ];
        assert_eq!(seen, BTreeMap::from(expected));
    }

    fn parquet_parts(root: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(root).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => found.extend(parquet_parts(&path)),
                false => found.push(path),
            }
        }
        found
    }
}

mod refusals {
    use super::*;

    /// Bad options: exit code 2, and a message that names what is wrong.
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
                &["'0' for '--first-ttl", "1..=255"],
            ),
            (&["198.18.0.1", "-o", &out, "-m", "300"], &["300"]),
            (&["198.18.0.1", "-o", &out, "--flows", "0"], &["--flows 0"]),
            (
                &["198.18.0.1", "-o", &out, "--window", "0"],
                &["--window 0"],
            ),
            (&["198.18.0.1", "-o", &out, "-q", "0"], &["--attempts 0"]),
            (
                &["198.18.0.1", "-o", &out, "--gap-limit", "0"],
                &["--gap-limit 0"],
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
                &["--dest-port 0"],
            ),
            (&["198.18.0.1", "-o", &out, "-w", "0"], &["--timeout"]),
            (&["198.18.0.1", "-o", &out, "-w", "soon"], &["give seconds"]),
            (
                &["198.18.0.1", "-o", &out, "--cooldown", "-1"],
                &["0 and 86400"],
            ),
            (
                &["198.18.0.1", "-o", &out, "--min-reply-rate", "7"],
                &["--min-reply-rate 7"],
            ),
            (
                &["198.18.0.1", "-o", &out, "--min-reply-rate", "NaN"],
                &["--min-reply-rate NaN"],
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

    /// What the options name cannot be had: exit code 1, and a message that names it and what to do.
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
    fn the_lab_s_own_commands_refuse_nonsense_too() {
        let place = Place::new();
        let network = place.file("bad.toml", "[[router]]\nname = 3\n");
        for (arguments, code) in [
            (&[][..], 2),
            (&["no-such-command"][..], 2),
            (&["lab"], 2),
            (&["lab", "truth"], 2),
            (&["lab", "truth", "nowhere"], 2),
            (&["lab", "truth", "::1"], 2),
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
}

mod telling {
    use super::*;

    #[test]
    fn schemas_are_printed_as_they_are_committed() {
        for (table, file) in [
            ("hops", "schemas/hops.v1.json"),
            ("traces", "schemas/traces.v1.json"),
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

    /// Every option of every command has its text.
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
                    // A possible value stands behind a dash and a blank.
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

    /// Whether text stands behind the option, or on the next line, further in.
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
}
