mod others;
mod sweep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::json::LineDelimitedWriter;

use super::*;
use crate::dataset::Hops;
use crate::dataset::files::Fault;
use crate::dataset::read::Checks;
use crate::dataset::rows;
use crate::dataset::{
    DatasetWriter, Ending, NewRun, Output, PartLimits, RunFigures, RunMeta, Traces, Vantage,
};
use crate::model::{Protocol, Status, TraceId, Vary};

const TRACES: u32 = 12;

fn meta(run_id: &str) -> RunMeta {
    RunMeta {
        run_id: run_id.to_owned(),
        survey_id: "night-1".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage {
            id: "fra".to_owned(),
            ..Vantage::default()
        },
        seed: 7,
        started_at: rows::START,
        date: None,
        method: "trace".to_owned(),
        protocol: Protocol::Udp,
        base_src_port: Some(24_000),
        vary: Vary::SourcePort,
        dst_port: Some(33_434),
        attempts: 2,
        gap_limit: None,
        probe_sizes: [None; 2],
        config: Value::Null,
    }
}

/// Writes a run whose parts have three traces each, in permuted order. A late reply to trace 7, from the first part, is in the last part.
fn write(root: &Path, run_id: &str, ending: &Ending) {
    let mut writer = start(root, run_id);
    for at in 0..TRACES {
        let (hops, trace) = rows::trace(at * 7 % TRACES);
        if at == TRACES - 1 {
            let mut late = rows::trace(7).0.remove(2);
            late.reply_index = 1;
            late.status = Status::Late;
            writer.push::<Hops>(late, rows::START).unwrap();
        }
        for row in hops {
            writer.push::<Hops>(row, rows::START).unwrap();
        }
        writer.push::<Traces>(trace, rows::START).unwrap();
        writer.seal_if_due(rows::START).unwrap();
    }
    let finished = writer.finish(ending, rows::START, &RunFigures::default());
    assert_eq!(finished.unwrap().parts, 8);
}

fn start(root: &Path, run_id: &str) -> DatasetWriter {
    let limits = PartLimits {
        rows: 3 * usize::from(rows::HOPS),
        bytes: usize::MAX,
        age: Duration::from_secs(3600),
    };
    let run = NewRun {
        limits,
        ..NewRun::new(meta(run_id), Arc::new(rows::SampleTargets::new()))
    };
    let output = Output::Directory(root.to_owned());
    DatasetWriter::create(&output, run, rows::START, &RunFigures::default()).unwrap()
}

/// Parts of six traces or more.
fn options() -> Options {
    Options {
        part_rows: 6 * u64::from(rows::HOPS),
        ..Options::default()
    }
}

fn compacted(root: &Path, options: &Options) -> Vec<Outcome> {
    let done = compact(root, options, |_| ()).unwrap();
    done.into_iter().map(|run| run.outcome).collect()
}

/// Every value of every row of a table, as JSON Lines, in the order of the files.
fn lines(root: &Path, table: &str) -> Vec<String> {
    let dataset = Dataset::open(root).unwrap();
    let mut text = Vec::new();
    for batch in dataset.scan(table).batches().unwrap() {
        let mut writer = LineDelimitedWriter::new(&mut text);
        writer.write(&without_times(&batch.unwrap())).unwrap();
        writer.finish().unwrap();
    }
    let text = String::from_utf8(text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The same rows with times as microseconds. The JSON writer knows no time zones.
fn without_times(batch: &RecordBatch) -> RecordBatch {
    let fields = batch.schema_ref().fields().iter().zip(batch.columns());
    let columns = fields.map(|(field, column)| {
        let column = match field.data_type() {
            DataType::Timestamp(..) => cast(column, &DataType::Int64).unwrap(),
            _ => Arc::clone(column),
        };
        (field.name(), column)
    });
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The rows of both tables, in no order.
fn content(root: &Path) -> [Vec<String>; 2] {
    ["hops", "traces"].map(|table| {
        let mut lines = lines(root, table);
        lines.sort();
        lines
    })
}

fn ids(root: &Path, table: &str) -> Vec<i64> {
    let dataset = Dataset::open(root).unwrap();
    let scan = dataset.scan(table).columns(&["trace_id"]);
    let batches = scan.batches().unwrap().map(Result::unwrap);
    let values = batches.flat_map(|batch| {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        ids.values().to_vec()
    });
    values.collect()
}

/// The manifest of the only run.
fn manifest_path(root: &Path) -> PathBuf {
    let dataset = Dataset::open(root).unwrap();
    dataset.runs()[0].manifest_path().to_owned()
}

/// All files below a directory, without locks.
fn files_below(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.to_string_lossy().ends_with("lock") => {}
                false => {
                    found.insert(path.strip_prefix(root).unwrap().to_owned());
                }
            }
        }
    }
    found
}

/// The manifest and the parts that it lists, and nothing else.
fn is_whole(root: &Path) {
    let dataset = Dataset::open(root).unwrap();
    let faults = dataset.verify(Checks::ALL, |_| ()).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    let mut expected = BTreeSet::new();
    for run in dataset.runs() {
        let parts = run.manifest().parts();
        expected.extend(parts.map(|part| PathBuf::from(&part.path)));
        let folder = run.folder().unwrap().strip_prefix(root).unwrap();
        expected.insert(folder.join("manifest.json"));
        if run.manifest().state == RunState::Complete {
            expected.insert(folder.join("_SUCCESS"));
        }
    }
    expected.insert("manifest.json".into());
    assert_eq!(files_below(root), expected);
}

#[test]
fn every_row_stays_with_every_value_and_comes_in_the_order_of_traces() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Complete);
    let before = content(root);
    assert!(!ids(root, "hops").is_sorted());
    let [
        Outcome::Merged {
            before: old, after, ..
        },
    ] = compacted(root, &options())[..]
    else {
        panic!("not merged");
    };
    assert_eq!((old.parts, after.parts), (8, 4));
    assert!(after.bytes < old.bytes);
    assert_eq!(content(root), before);
    assert!(ids(root, "hops").is_sorted());
    assert!(ids(root, "traces").is_sorted());
    is_whole(root);
    assert_eq!(
        compacted(root, &options()),
        [Outcome::Kept(Reason::Compact)]
    );
    assert_eq!(content(root), before);
}

#[test]
fn parts_with_the_same_traces_have_one_number() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Complete);
    compacted(root, &options());
    let dataset = Dataset::open(root).unwrap();
    let run = &dataset.runs()[0];
    let facts = |table: &str| -> Vec<_> {
        let parts = run.parts(table).iter().map(Part::listed);
        parts.map(|part| (part.sealing, part.rows)).collect()
    };
    // One row of hops is the late reply.
    assert_eq!(facts("hops"), [(Some(4), 96), (Some(5), 97)]);
    assert_eq!(facts("traces"), [(Some(4), 6), (Some(5), 6)]);
}

#[test]
fn a_late_reply_comes_to_its_trace() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Complete);
    compacted(root, &options());
    let dataset = Dataset::open(root).unwrap();
    // Strays have no memory to go to.
    let traces = dataset.traces().stray_budget(0).iter().unwrap();
    let counts: Vec<(i64, usize)> = traces
        .map(|trace| trace.map(|trace| (trace.id(), trace.hops().len())).unwrap())
        .collect();
    let expected: Vec<_> = (0..12)
        .map(|id| (id, if id == 7 { 17 } else { 16 }))
        .collect();
    assert_eq!(counts, expected);
}

#[test]
fn several_passes_give_the_same_files() {
    let digests = |open_parts| {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "RUN-1", &Ending::Complete);
        let options = Options {
            open_parts,
            ..options()
        };
        compacted(root, &options);
        is_whole(root);
        let dataset = Dataset::open(root).unwrap();
        let manifest = dataset.runs()[0].manifest().clone();
        manifest.tables
    };
    let at_once = digests(64);
    assert_eq!(digests(2), at_once);
    assert_eq!(digests(3), at_once);
}

/// All calls from one on fail, as after a crash. Then the dataset is read, and compacted again.
#[test]
fn a_crash_at_any_step_loses_nothing_and_is_repaired() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    write(&original, "RUN-1", &Ending::Complete);
    let before = content(&original);
    let mut crashes = 0;
    loop {
        let root = directory.path().join(format!("crash-{crashes}"));
        copy(&original, &root);
        let disk = Disk::failing(vec![Fault::any(libc::EIO, crashes, usize::MAX)]);
        let ended = compact_on(&disk, &root, &options(), |_| ());
        assert_eq!(content(&root), before, "after {crashes} calls");
        compact(&root, &options(), |_| ()).unwrap();
        assert_eq!(content(&root), before, "again after {crashes} calls");
        assert!(ids(&root, "hops").is_sorted());
        is_whole(&root);
        if ended.is_ok() {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 40, "{crashes}");
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let place = to.join(&file);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), place).unwrap();
    }
}

#[test]
fn a_copy_leaves_the_dataset_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (root, to) = (directory.path().join("root"), directory.path().join("to"));
    write(&root, "RUN-1", &Ending::Complete);
    write(&root, "RUN-2", &Ending::Complete);
    let (before, files) = (content(&root), files_below(&root));
    let options = Options {
        to: Some(to.clone()),
        ..options()
    };
    let merged = compacted(&root, &options);
    let is_merged = |run: &Outcome| matches!(run, Outcome::Merged { .. });
    assert!(merged.iter().all(is_merged), "{merged:?}");
    assert_eq!(files_below(&root), files);
    assert_eq!(content(&root), before);
    assert_eq!(content(&to), before);
    is_whole(&to);
    let kept = Outcome::Kept(Reason::Copied);
    assert_eq!(compacted(&root, &options), [kept.clone(), kept]);
}

#[test]
fn a_copy_into_the_dataset_itself_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Complete);
    let options = Options {
        to: Some(root.join("hops").join("..")),
        ..options()
    };
    let error = compact(root, &options, |_| ()).unwrap_err();
    assert!(matches!(error, CompactError::SamePlace(_)), "{error}");
}

#[test]
fn a_run_that_may_be_resumed_is_compacted_if_asked() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Interrupted("SIGINT".to_owned()));
    let (before, files) = (content(root), files_below(root));
    let unfinished = Reason::Unfinished("interrupted".to_owned());
    assert_eq!(compacted(root, &options()), [Outcome::Kept(unfinished)]);
    assert_eq!(files_below(root), files);
    let asked = Options {
        unfinished: true,
        ..options()
    };
    assert!(matches!(
        compacted(root, &asked)[..],
        [Outcome::Merged { .. }]
    ));
    assert_eq!(content(root), before);
    is_whole(root);
}

#[test]
fn a_run_of_another_schema_version_stays() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Complete);
    let path = manifest_path(root);
    let text = std::fs::read_to_string(&path).unwrap();
    let older = text.replacen("\"schema_version\": 2", "\"schema_version\": 1", 1);
    assert_ne!(older, text);
    std::fs::write(&path, older).unwrap();
    let version = Reason::Version {
        table: "hops".to_owned(),
        found: 1,
        known: 2,
    };
    let files = files_below(root);
    assert_eq!(compacted(root, &options()), [Outcome::Kept(version)]);
    assert_eq!(files_below(root), files);
}

#[test]
fn members_of_another_version_stay_in_the_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Complete);
    let path = manifest_path(root);
    let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    value["later"] = 1.into();
    std::fs::write(&path, value.to_string()).unwrap();
    compacted(root, &options());
    let mut after: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_ne!(after["tables"], value["tables"]);
    after["tables"] = value["tables"].clone();
    assert_eq!(after, value);
}

#[test]
fn a_part_that_was_cut_off_is_an_error_and_nothing_changes() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Complete);
    let dataset = Dataset::open(root).unwrap();
    let part = dataset.runs()[0].parts("traces")[1].path().to_owned();
    let bytes = std::fs::read(&part).unwrap();
    std::fs::write(&part, &bytes[..bytes.len() - 1]).unwrap();
    let files = files_below(root);
    let error = compact(root, &options(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("part-RUN-1-00001"), "{error}");
    assert_eq!(files_below(root), files);
}

#[test]
fn a_damaged_record_is_named_and_nothing_changes() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "RUN-1", &Ending::Complete);
    let record = manifest_path(root).with_file_name("compact.json");
    for text in [
        r#"{"new": ["../x"], "old": []}"#,
        r#"{"new": [], "old": ["/x"]}"#,
        r#"{"new": ["#,
    ] {
        std::fs::write(&record, text).unwrap();
        let files = files_below(root);
        let error = compact(root, &options(), |_| ()).unwrap_err();
        assert!(error.to_string().contains("compact.json"), "{error}");
        assert_eq!(files_below(root), files);
    }
}
