//! When parts are cut, and how several runs share a directory.

use super::*;
use directory::{count, read};

fn rows_of(root: &Path, table: &str) -> Vec<usize> {
    let parts = parts(&root.join(table));
    parts.iter().map(|part| count(&read(part).1)).collect()
}

#[test]
fn equal_input_gives_equal_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let roots = ["a", "b"].map(|name| dir.path().join(name));
    for root in &roots {
        run(&Output::Directory(root.clone()), "run-1", 60);
    }
    let content = |root: &PathBuf| -> Vec<(PathBuf, Vec<u8>)> {
        files(root)
            .into_iter()
            .map(|path| {
                let relative = path.strip_prefix(root).unwrap().to_owned();
                (relative, fs::read(path).unwrap())
            })
            .collect()
    };
    let [a, b] = roots.each_ref().map(content);
    assert!(a.len() > 10, "{} files", a.len());
    assert_eq!(a, b);
}

#[test]
fn parts_are_cut_between_traces() {
    let dir = tempfile::tempdir().unwrap();
    run(&Output::Directory(dir.path().into()), "run-1", 20);
    // The seventh trace of 16 hops reaches 100 rows.
    assert_eq!(rows_of(dir.path(), "hops"), [112, 112, 96]);
    assert_eq!(rows_of(dir.path(), "traces"), [7, 7, 6]);
}

#[test]
fn a_part_is_sealed_at_its_age_by_the_given_time() {
    let dir = tempfile::tempdir().unwrap();
    let limits = PartLimits {
        age: Duration::from_secs(10),
        ..PartLimits::default()
    };
    let mut writer = create(&Output::Directory(dir.path().into()), "run-1", limits).unwrap();
    let traces: Vec<_> = (0..3).map(rows::trace).collect();
    let at = |seconds| rows::START + Duration::from_secs(seconds);
    let tick = |writer: &mut DatasetWriter, now| {
        writer.tick(now, &facts_of(&traces)).unwrap();
        writer.wait().unwrap();
    };

    tick(&mut writer, at(100));
    feed(&mut writer, &traces[..1], at(100));
    tick(&mut writer, at(109));
    assert_eq!(rows_of(dir.path(), "hops"), [0_usize; 0]);
    tick(&mut writer, at(110));
    assert_eq!(rows_of(dir.path(), "hops"), [16]);
    let manifest = read_json(&dir.path().join("manifest.json"));
    assert_eq!(manifest["state"], "running");
    assert_eq!(manifest["ended_at"], Value::Null);
    assert_eq!(manifest["updated_at"], "2026-03-01T00:01:50.000000Z");
    assert_eq!(manifest["tables"]["hops"]["rows"], 16);

    feed(&mut writer, &traces[1..2], at(111));
    feed(&mut writer, &traces[2..], at(121));
    assert_eq!(rows_of(dir.path(), "hops"), [16, 16]);
}

#[test]
fn a_part_is_sealed_at_its_memory() {
    let dir = tempfile::tempdir().unwrap();
    let limits = PartLimits {
        bytes: 1,
        ..PartLimits::default()
    };
    let mut writer = create(&Output::Directory(dir.path().into()), "run-1", limits).unwrap();
    let traces: Vec<_> = (0..3).map(rows::trace).collect();
    feed(&mut writer, &traces, rows::START);
    assert_eq!(rows_of(dir.path(), "hops"), [16, 16]);
}

#[test]
fn an_abandoned_run_leaves_whole_parts_and_the_next_run_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let output = Output::Directory(dir.path().into());
    let mut writer = create(&output, "run-1", SMALL).unwrap();
    let traces: Vec<_> = (0..20).map(rows::trace).collect();
    feed(&mut writer, &traces, rows::START);
    drop(writer);
    let of_run = dir.path().join("runs/date=2026-03-01/vp=id-fra%201/run-1");
    let stale = of_run.join(".partial/hops-part-run-1-00002.parquet.tmp");
    fs::write(&stale, b"PAR1 half").unwrap();

    assert_eq!(rows_of(dir.path(), "hops"), [112, 112]);
    let manifest = read_json(&dir.path().join("manifest.json"));
    assert_eq!(manifest["state"], "running");
    assert_eq!(manifest["tables"]["hops"]["rows"], 224);

    run(&output, "run-2", 1);
    assert!(!stale.exists());
    assert_eq!(
        read_json(&dir.path().join("manifest.json"))["run_id"],
        "run-2"
    );
    let mut killed = manifest;
    killed["state"] = "killed".into();
    let reason = "the process ended without its last manifest";
    killed["exit_reason"] = reason.into();
    killed["sessions"][0]["state"] = "killed".into();
    killed["sessions"][0]["exit_reason"] = reason.into();
    assert_eq!(read_json(&of_run.join("manifest.json")), killed);
    assert_eq!(rows_of(dir.path(), "hops"), [112, 112, 16]);
}

#[test]
fn several_runs_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let output = Output::Directory(dir.path().into());
    for (run_id, days) in [("run-1", 0), ("run-2", 1)] {
        let mut run = new_run(run_id, SMALL);
        let start = rows::START + Duration::from_secs(86_400 * days);
        run.meta.started_at = start;
        let facts = RunFigures::default();
        let writer = DatasetWriter::create(&output, run, start, &facts).unwrap();
        writer.finish(&Ending::Complete, start, &facts).unwrap();
    }
    for day in ["date=2026-03-01", "date=2026-03-02"] {
        assert_eq!(rows_of(&dir.path().join("hops"), day), [0]);
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = Output::Directory(dir.path().into());
    let first = create(&output, "run-1", SMALL).unwrap();
    let error = create(&output, "run-2", SMALL).err().expect("refused");
    assert!(matches!(error, DatasetError::InUse(_)), "{error}");
    assert!(error.to_string().contains(&*dir.path().to_string_lossy()));
    drop(first);
    create(&output, "run-2", SMALL).unwrap();
}

#[test]
fn the_same_run_id_twice_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = Output::Directory(dir.path().into());
    run(&output, "run-1", 1);
    let refused = |run_id| create(&output, run_id, SMALL).err();
    assert!(matches!(
        refused("run-1"),
        Some(DatasetError::RunExists { .. })
    ));
    run(&output, "run-2", 1);
    assert!(matches!(
        refused("run-1"),
        Some(DatasetError::RunExists { .. })
    ));
}

#[test]
fn a_foreign_manifest_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manifest.json");
    fs::write(&path, r#"{"name": "a web application"}"#).unwrap();
    let error = create(&Output::Directory(dir.path().into()), "run-1", SMALL).err();
    assert!(matches!(error, Some(DatasetError::ForeignManifest { .. })));
    assert_eq!(read_json(&path)["name"], "a web application");
}

#[test]
fn an_interrupted_run_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let writer = create(&Output::Directory(dir.path().into()), "run-1", SMALL).unwrap();
    let ending = Ending::Interrupted("SIGINT".to_owned());
    let finished = writer
        .finish(&ending, rows::START, &RunFigures::default())
        .unwrap();
    let manifest = read_json(&finished.manifest.unwrap());
    assert_eq!(manifest["state"], "interrupted");
    assert_eq!(manifest["exit_reason"], "SIGINT");
}
