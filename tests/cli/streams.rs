//! Data goes to standard output, messages go to standard error.

use super::*;

const FIVE: [&str; 4] = ["198.18.7.0/28", "--flows", "2", "--format"];

fn stream(format: &str) -> Vec<u8> {
    let output = survey(&[&FIVE[..], &[format, "-o", "-"]].concat());
    check(&output, 0, &["standard output ("]);
    let rows = errors(&output);
    assert!(rows.contains(" rows)"));
    output.stdout
}

/// The number of rows in a directory of the same survey.
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

/// /dev/stdout and /dev/fd/1 are links to standard output.
#[test]
fn standard_output_by_name_is_written_in_place() {
    let output = survey(&[&FIVE[..], &["csv", "-o", "/proc/self/fd/1"]].concat());
    check(&output, 0, &["/proc/self/fd/1"]);
    let told = errors(&output);
    assert!(!told.contains("manifest"), "{told}");
    assert_eq!(text(&output.stdout), text(&stream("csv")));
}

#[test]
fn a_closed_pipe_ends_the_survey_cleanly() {
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

/// As after a dropped connection: a warning, the summary and an error cannot be written.
#[test]
fn a_closed_standard_error_does_not_change_the_run() {
    let place = Place::new();
    let list = place.file("list", "198.18.0.1\nnot a target\n");
    for (name, log_format, input, code) in [
        ("one", "text", list.as_str(), 0),
        ("two", "json", list.as_str(), 0),
        ("three", "text", "no/such/list", 1),
    ] {
        let out = place.text(name);
        let arguments = ["--log-format", log_format, "-i", input, "-o", &out];
        let mut child = program(&survey_arguments(&arguments))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        drop(child.stderr.take());
        assert_eq!(child.wait().expect("an end").code(), Some(code));
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
