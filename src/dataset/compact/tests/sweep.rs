//! A sweep gains its traces.

use std::net::IpAddr;

use super::*;
use crate::dataset::RunFigures;
use crate::dataset::read::Rows;
use crate::model::{HopRecord, Purpose, Targets as _, Ttl};

const FLOWS: u16 = 2;

/// The rows of a sweep of [`TRACES`] traces, two flows a target. The target answers at the last TTL.
fn swept_rows() -> Vec<HopRecord> {
    let rows = (0..TRACES).flat_map(|trace| rows::trace(trace).0);
    let targets = rows::SampleTargets::new();
    rows.map(|mut row| {
        let target = row.trace_id.target(FLOWS);
        row.flow = crate::model::FlowId((row.trace_id.0 % u64::from(FLOWS)) as u16);
        row.src_port = Some(24_000 + row.flow.0);
        let old = std::mem::replace(&mut row.destination, targets.address(target));
        if let Some(reply) = row.reply.as_mut().filter(|reply| reply.responder == old) {
            reply.responder = row.destination;
        }
        (row.purpose, row.attempt, row.on_path) = (Purpose::Sweep, 1, None);
        row
    })
    .collect()
}

/// Writes the rows in an order that puts each TTL of a trace into another part.
fn write_sweep(root: &Path, ending: &Ending) {
    let limits = PartLimits {
        rows: 48,
        bytes: usize::MAX,
        age: Duration::from_secs(3600),
    };
    let meta = RunMeta {
        method: "sweep".to_owned(),
        ..meta("SWEEP")
    };
    let run = NewRun {
        limits,
        stored_targets: Some(Box::new(|out| out.write_all(b"targets"))),
        ..NewRun::new(meta, Arc::new(rows::SampleTargets::new()))
    };
    let output = Output::Directory(root.to_owned());
    let mut writer =
        DatasetWriter::create(&output, run, rows::START, &RunFigures::default()).unwrap();
    let mut swept = swept_rows();
    swept.sort_by_key(|row| (row.ttl, row.trace_id));
    for row in swept {
        writer.push::<Hops>(row, rows::START).unwrap();
        writer.seal_if_due(rows::START).unwrap();
    }
    writer
        .finish(ending, rows::START, &RunFigures::default())
        .unwrap();
}

fn facts() -> SweepFacts {
    SweepFacts {
        targets: Arc::new(rows::SampleTargets::new()),
        flows: FLOWS,
        first_ttl: Ttl(1),
        max_ttl: Ttl(rows::HOPS),
    }
}

fn with_traces() -> Options {
    Options {
        sweeps: Some(SweepReader::new(|_, mut file| {
            let text = io::read_to_string(&mut file).map_err(|error| error.to_string())?;
            match text == "targets" {
                true => Ok(facts()),
                false => Err("it is damaged".to_owned()),
            }
        })),
        ..options()
    }
}

/// The parts are those of the manifests.
fn verified(root: &Path) {
    let dataset = Dataset::open(root).unwrap();
    let faults = dataset.verify(Checks::ALL, |_| ()).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
}

/// The rows of `hops` as JSON, without `on_path`.
fn without_on_path(root: &Path) -> Vec<String> {
    let mut lines: Vec<String> = lines(root, "hops")
        .iter()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            row.as_object_mut().unwrap().remove("on_path");
            row.to_string()
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_sweep_gains_a_trace_for_each_target_and_flow() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_sweep(root, &Ending::Complete);
    let before = without_on_path(root);
    let [Outcome::Merged { traces, after, .. }] = &compacted(root, &with_traces())[..] else {
        panic!("not merged");
    };
    assert_eq!(*traces, Some(SweepTraces::Written(TRACES.into())));
    assert_eq!(after.parts, 4);
    assert_eq!(without_on_path(root), before);
    verified(root);

    let dataset = Dataset::open(root).unwrap();
    let run = &dataset.runs()[0];
    assert_eq!(run.manifest().run["traces_ended"], TRACES);
    assert_eq!(run.manifest().run["traces_reached"], TRACES);
    let sealings = |table| -> Vec<_> {
        let parts = run.parts(table).iter().map(Part::listed);
        parts.map(|part| part.sealing).collect()
    };
    assert_eq!(sealings("hops"), sealings("traces"));
    let targets = rows::SampleTargets::new();
    let mut found = 0;
    for trace in dataset.traces().stray_budget(0).iter().unwrap() {
        let trace = trace.unwrap();
        let row = trace.row();
        let id = TraceId(trace.id().cast_unsigned());
        let target = targets.address(id.target(FLOWS));
        assert_eq!(row.address("destination").unwrap(), Some(target));
        assert_eq!(
            row.text("target_input").unwrap(),
            Some(&*target.to_string())
        );
        let site = row.map("labels").unwrap().map(|labels| labels[0].1.clone());
        assert_eq!(
            site.is_some(),
            !id.target(FLOWS).0.is_multiple_of(4),
            "{row:?}"
        );
        assert_eq!(row.text("method").unwrap(), Some("sweep"));
        assert_eq!(
            row.int("flow").unwrap(),
            Some(trace.id() % i64::from(FLOWS))
        );
        let port = 24_000 + trace.id() % i64::from(FLOWS);
        assert_eq!(row.int("src_port").unwrap(), Some(port));
        assert_eq!(row.int("path_length").unwrap(), Some(rows::HOPS.into()));
        check_path(row.addresses("path").unwrap().unwrap(), trace.hops());
        found += 1;
    }
    assert_eq!(found, TRACES);
}

/// `on_path` is true in one row per TTL, and that row has the responder of the path.
fn check_path(path: Vec<Option<IpAddr>>, hops: &Rows) {
    let on_path = hops
        .iter()
        .filter(|hop| hop.bool("on_path").unwrap() == Some(true));
    let shown: Vec<_> = on_path
        .map(|hop| hop.address("responder").unwrap())
        .collect();
    assert_eq!(shown, path);
    assert_eq!(path.len(), usize::from(rows::HOPS));
    assert!(hops.iter().all(|hop| !hop.is_null("on_path").unwrap()));
}

#[test]
fn a_sweep_with_few_parts_gains_its_traces_and_then_stays() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_sweep(root, &Ending::Complete);
    let merged = compacted(root, &options());
    assert!(
        matches!(merged[..], [Outcome::Merged { traces: None, .. }]),
        "{merged:?}"
    );
    assert_eq!(ids(root, "traces"), [0_i64; 0]);
    let gained = compacted(root, &with_traces());
    assert!(
        matches!(
            gained[..],
            [Outcome::Merged {
                traces: Some(_),
                ..
            }]
        ),
        "{gained:?}"
    );
    let files = files_below(root);
    assert_eq!(
        compacted(root, &with_traces()),
        [Outcome::Kept(Reason::Compact)]
    );
    assert_eq!(files_below(root), files);
    assert_eq!(ids(root, "traces").len(), TRACES as usize);
}

#[test]
fn parts_of_any_number_give_the_same_traces() {
    let digests = |open_parts| {
        let directory = tempfile::tempdir().unwrap();
        write_sweep(directory.path(), &Ending::Complete);
        let options = Options {
            open_parts,
            ..with_traces()
        };
        compacted(directory.path(), &options);
        verified(directory.path());
        let dataset = Dataset::open(directory.path()).unwrap();
        dataset.runs()[0].manifest().tables.clone()
    };
    assert_eq!(digests(2), digests(64));
}

#[test]
fn a_copy_of_a_sweep_has_traces_and_the_sweep_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (root, to) = (directory.path().join("root"), directory.path().join("to"));
    write_sweep(&root, &Ending::Complete);
    let before = content(&root);
    let options = Options {
        to: Some(to.clone()),
        ..with_traces()
    };
    compacted(&root, &options);
    assert_eq!(content(&root), before);
    assert_eq!(ids(&to, "traces").len(), TRACES as usize);
    assert_eq!(without_on_path(&to), without_on_path(&root));
}

#[test]
fn damaged_targets_leave_a_sweep_without_traces_and_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_sweep(root, &Ending::Complete);
    let stored = manifest_path(root).with_file_name("targets.bin");
    std::fs::write(&stored, b"other").unwrap();
    let merged = compacted(root, &with_traces());
    let [
        Outcome::Merged {
            traces: Some(SweepTraces::Missing(why)),
            ..
        },
    ] = &merged[..]
    else {
        panic!("{merged:?}");
    };
    assert!(why.contains("targets.bin: it is damaged"), "{why}");
    let kept = compacted(root, &with_traces());
    assert!(
        matches!(kept[..], [Outcome::Kept(Reason::NoTraces(_))]),
        "{kept:?}"
    );
    std::fs::write(&stored, b"targets").unwrap();
    compacted(root, &with_traces());
    assert_eq!(ids(root, "traces").len(), TRACES as usize);
}

#[test]
fn targets_of_another_run_are_an_error_and_nothing_changes() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_sweep(root, &Ending::Complete);
    let files = files_below(root);
    let options = Options {
        sweeps: Some(SweepReader::new(|_, _| {
            Ok(SweepFacts {
                flows: 1,
                ..facts()
            })
        })),
        ..options()
    };
    let error = compact(root, &options, |_| ()).unwrap_err();
    assert!(error.to_string().contains("targets.bin"), "{error}");
    assert_eq!(files_below(root), files);
}

#[test]
fn a_crash_at_any_step_leaves_a_sweep_that_gains_its_traces() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    write_sweep(&original, &Ending::Complete);
    let before = without_on_path(&original);
    let mut crashes = 0;
    loop {
        let root = directory.path().join(format!("crash-{crashes}"));
        copy(&original, &root);
        let disk = Disk::failing(vec![Fault::any(libc::EIO, crashes, usize::MAX)]);
        let ended = compact_on(&disk, &root, &with_traces(), |_| ());
        assert_eq!(without_on_path(&root), before, "after {crashes} calls");
        compact(&root, &with_traces(), |_| ()).unwrap();
        assert_eq!(
            without_on_path(&root),
            before,
            "again after {crashes} calls"
        );
        assert_eq!(ids(&root, "traces").len(), TRACES as usize);
        std::fs::remove_dir_all(&root).unwrap();
        if ended.is_ok() {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 40, "{crashes}");
}

#[test]
fn progress_ends_at_the_rows_that_were_announced() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_sweep(root, &Ending::Complete);
    for open_parts in [2, 64] {
        let to = directory.path().join(format!("to-{open_parts}"));
        let options = Options {
            open_parts,
            to: Some(to),
            ..with_traces()
        };
        let mut last = Progress::default();
        compact(root, &options, |event| {
            if let Event::Progress(progress) = event {
                assert!(progress.rows > last.rows);
                last = progress;
            }
        })
        .unwrap();
        let passes = if open_parts == 2 { 2 } else { 1 };
        assert!(last.rows >= passes * u64::from(TRACES) * u64::from(rows::HOPS));
        assert!(last.rows <= last.all_rows, "{last:?}");
    }
}
