//! Single streams of hops.

use std::fs::File;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow::ipc::reader::{FileReader, StreamReader};
use pathsurvey::dataset::Format;

use super::*;
use directory::{count, read};

fn output(path: &Path) -> Output {
    Output::parse(path.to_str().unwrap(), None).unwrap()
}

fn finished_file(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let finished = run(&output(&path), "run-1", 20);
    assert_eq!(
        (finished.hops, finished.traces, finished.parts),
        (320, 0, 1)
    );
    let manifest = finished.manifest.unwrap();
    assert_eq!(manifest, dir.path().join(format!("{name}.manifest.json")));
    let manifest = read_json(&manifest);
    assert_eq!(manifest["state"], "complete");
    let part = &manifest["tables"]["hops"]["parts"][0];
    assert_eq!(part["path"], name);
    assert_eq!(part["rows"], 320);
    assert_eq!(part["bytes"], fs::metadata(&path).unwrap().len());
    assert_eq!(files(dir.path()).len(), 2, "{:?}", files(dir.path()));
    (dir, path)
}

#[test]
fn a_name_that_is_too_long_with_its_manifest_is_refused_before_the_first_row() {
    let dir = tempfile::tempdir().unwrap();
    // 255 bytes are allowed, and `.NAME.manifest.json.partial` has 23 more.
    let name = |length: usize| dir.path().join(format!("{}.csv", "n".repeat(length - 4)));
    let error = create(&output(&name(233)), "run-1", SMALL).err().unwrap();
    assert!(error.to_string().contains("File name too long"), "{error}");
    assert_eq!(files(dir.path()).len(), 0);
    let finished = run(&output(&name(232)), "run-1", 1);
    assert!(finished.manifest.unwrap().exists());
}

fn no_dictionaries(batches: &[RecordBatch]) {
    for field in batches[0].schema().fields() {
        assert!(
            !matches!(field.data_type(), DataType::Dictionary(..)),
            "{field}"
        );
    }
}

#[test]
fn parquet_groups_are_sorted() {
    let (_dir, path) = finished_file("hops.parquet");
    let (metadata, batches) = read(&path);
    assert_eq!(count(&batches), 320);
    let groups: Vec<_> = metadata.row_groups().iter().map(|g| g.num_rows()).collect();
    assert_eq!(groups, [112, 112, 96]);
}

#[test]
fn arrow_files_hold_plain_columns() {
    let (_dir, path) = finished_file("hops.arrow");
    let reader = FileReader::try_new(File::open(path).unwrap(), None).unwrap();
    let batches: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
    assert_eq!(count(&batches), 320);
    no_dictionaries(&batches);
}

#[test]
fn csv_leaves_absent_cells_empty() {
    let (_dir, path) = finished_file("hops.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let headers = reader.headers().unwrap().clone();
    let at = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let records: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), 320);
    let mut expected = (0..20).flat_map(|target| rows::trace(target).0);
    for record in &records {
        let row = expected.next().unwrap();
        let text = |name| &record[at(name)];
        assert_eq!(text("run_id"), "run-1");
        assert_eq!(text("ttl"), row.ttl.unwrap().0.to_string());
        let responder = row.responder().map(|address| address.to_string());
        assert_eq!(text("responder"), responder.unwrap_or_default());
        let rtt = row.rtt_us.map(|rtt| rtt.to_string());
        assert_eq!(text("rtt_us"), rtt.unwrap_or_default());
        assert_eq!(text("icmp_id"), "");
        match row.reply.as_ref().and_then(|reply| reply.mpls.first()) {
            None => assert_eq!(text("mpls"), ""),
            Some(label) => {
                let stack: Value = serde_json::from_str(text("mpls")).unwrap();
                let label = json!([{"label": label.label, "tc": 0, "bottom": true, "ttl": 1}]);
                assert_eq!(stack, label);
            }
        }
    }
    assert_eq!(&records[1][at("sent_at")], "2026-03-01T00:00:00.000010Z");
}

#[test]
fn json_lines_show_every_column_and_null_for_absent() {
    let (_dir, path) = finished_file("hops.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 320);
    for (line, row) in lines
        .iter()
        .zip((0..20).flat_map(|target| rows::trace(target).0))
    {
        assert_eq!(line.as_object().unwrap().len(), 56);
        assert_eq!(line["probe_id"], row.probe_id.expect("a probe").0);
        assert_eq!(line["status"], row.status.as_str());
        assert_eq!(line["rtt_us"].as_i64(), row.rtt_us.map(i64::from));
        assert_eq!(
            line["mpls"].is_array(),
            row.reply.is_some_and(|r| !r.mpls.is_empty())
        );
        assert!(line["icmp_id"].is_null());
    }
}

#[test]
fn odd_values_stay_valid_in_text_formats() {
    let mut row = rows::trace(0).0.remove(15);
    let reply = row.reply.as_mut().unwrap();
    reply.icmp_extensions = Some(vec![0x20, 0x00, 0xff]);
    reply.interface_info = vec![model::InterfaceInfo {
        role: model::InterfaceRole::Incoming,
        ifindex: Some(u32::MAX),
        address: Some("2001:db8::1".parse().unwrap()),
        name: Some("ge-0/0/\"1\", \\\n\u{1}é".to_owned()),
        mtu: None,
    }];
    let info = json!([{"role": "incoming", "ifindex": u32::MAX, "address": "2001:db8::1",
        "name": "ge-0/0/\"1\", \\\n\u{1}é", "mtu": null}]);
    let dir = tempfile::tempdir().unwrap();
    for name in ["x.csv", "x.jsonl"] {
        let mut writer = create(&output(&dir.path().join(name)), "run \"1\"", SMALL).unwrap();
        writer.hop(row.clone(), rows::START).unwrap();
        writer
            .finish(&Ending::Complete, rows::START, &RunFigures::default())
            .unwrap();
    }
    let line = read_json(&dir.path().join("x.jsonl"));
    assert_eq!(line["run_id"], "run \"1\"");
    assert_eq!(line["icmp_extensions"], "2000ff");
    assert_eq!(line["interface_info"], info);
    let mut reader = csv::Reader::from_path(dir.path().join("x.csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let record = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| &record[headers.iter().position(|header| header == name).unwrap()];
    assert_eq!(cell("run_id"), "run \"1\"");
    assert_eq!(
        serde_json::from_str::<Value>(cell("interface_info")).unwrap(),
        info
    );
}

#[test]
fn an_unfinished_file_never_has_its_final_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hops.csv");
    fs::write(&path, "last night's").unwrap();
    let mut writer = create(&output(&path), "run-1", SMALL).unwrap();
    feed(
        &mut writer,
        &(0..20).map(rows::trace).collect::<Vec<_>>(),
        rows::START,
    );
    let refused = create(&output(&path), "run-2", SMALL).err();
    assert!(matches!(refused, Some(DatasetError::InUse(_))));
    drop(writer);
    let partial = dir.path().join(".hops.csv.partial");
    assert_eq!(files(dir.path()), [partial.as_path(), path.as_path()]);
    // The header and two batches of seven traces. The rest was not written yet.
    assert_eq!(fs::read_to_string(&partial).unwrap().lines().count(), 225);
    assert_eq!(fs::read_to_string(&path).unwrap(), "last night's");
}

#[test]
fn a_directory_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.csv");
    fs::create_dir(&path).unwrap();
    let error = create(&output(&path), "run-1", SMALL)
        .err()
        .expect("refused");
    assert!(matches!(error, DatasetError::IsDirectory(_)), "{error}");
}

fn stream(
    format: Format,
    to: impl std::io::Write + Send + 'static,
) -> Result<Finished, DatasetError> {
    stream_of(20, format, to)
}

/// Streams the rows of this many traces.
fn stream_of(
    traces: u32,
    format: Format,
    to: impl std::io::Write + Send + 'static,
) -> Result<Finished, DatasetError> {
    let facts = RunFigures::default();
    let run = new_run("run-1", SMALL);
    let mut writer = DatasetWriter::to_stream(Box::new(to), format, run, &facts)?;
    for row in (0..traces).flat_map(|target| rows::trace(target).0) {
        writer.hop(row, rows::START)?;
    }
    writer.finish(&Ending::Complete, rows::START, &facts)
}

#[test]
fn a_stream_carries_the_rows_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stdout");
    let finished = stream(Format::Arrow, File::create(&path).unwrap()).unwrap();
    assert_eq!((finished.hops, finished.manifest), (320, None));
    let reader = StreamReader::try_new(File::open(&path).unwrap(), None).unwrap();
    let batches: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
    assert_eq!(count(&batches), 320);
    no_dictionaries(&batches);
    assert!(batches[0].column_by_name("responder").unwrap().null_count() > 0);
}

#[test]
fn a_reader_that_closes_the_pipe_ends_the_run_cleanly() {
    for format in [Format::Csv, Format::JsonLines, Format::Arrow] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let error = stream(format, writer).expect_err("nobody reads");
        assert!(error.is_broken_pipe(), "{format}: {error}");
    }
}

/// Takes the header of every format, and no rows.
struct Leaves(usize);

impl std::io::Write for Leaves {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The error of the last batch before the end comes while the end is already being written.
#[test]
fn a_reader_that_leaves_just_before_the_end_is_named_as_the_cause() {
    for format in [Format::Csv, Format::JsonLines, Format::Arrow] {
        for traces in 7..10 {
            let error = stream_of(traces, format, Leaves(12_000)).expect_err("it left");
            assert!(error.is_broken_pipe(), "{format}, {traces}: {error}");
        }
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_named() {
    for format in [Format::Csv, Format::JsonLines, Format::Arrow] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let text = stream(format, full).expect_err("no room").to_string();
        assert!(text.starts_with("cannot write standard output: "), "{text}");
        assert!(text.contains("free space there"), "{text}");
        assert!(!text.contains("parts") && !text.contains("-o"), "{text}");
    }
}
