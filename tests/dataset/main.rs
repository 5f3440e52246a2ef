//! Datasets as a run leaves them, read back with other libraries for Parquet, Arrow, CSV and JSON.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pathsurvey::dataset::{
    DatasetError, DatasetWriter, Ending, Finished, NewRun, Output, PartLimits, RunFigures, RunMeta,
    Vantage,
};
use pathsurvey::model::{self, HopRecord, Protocol, Time, TraceRecord, Vary};
use serde_json::{Value, json};

#[path = "../../benches/rows/mod.rs"]
mod rows;

mod directory;
mod graphs;
mod places;
mod runs;
mod single;

fn meta(run_id: &str) -> RunMeta {
    RunMeta {
        run_id: run_id.to_owned(),
        survey_id: "night-1".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage {
            id: "fra 1".to_owned(),
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
        gap_limit: Some(5),
        probe_sizes: [None; 2],
        config: json!({"rate": 1000, "protocol": "udp"}),
    }
}

/// Small parts, so that a few traces make several parts.
const SMALL: PartLimits = PartLimits {
    rows: 100,
    bytes: usize::MAX,
    age: Duration::from_secs(3600),
};

fn create(
    output: &Output,
    run_id: &str,
    limits: PartLimits,
) -> Result<DatasetWriter, DatasetError> {
    let run = new_run(run_id, limits);
    DatasetWriter::create(output, run, rows::START, &RunFigures::default())
}

fn new_run(run_id: &str, limits: PartLimits) -> NewRun {
    NewRun {
        limits,
        ..NewRun::new(meta(run_id), Arc::new(rows::SampleTargets::new()))
    }
}

fn facts_of(traces: &[(Vec<HopRecord>, TraceRecord)]) -> RunFigures {
    RunFigures {
        targets: json!({"accepted": traces.len()}),
        ..RunFigures::default()
    }
}

fn feed(writer: &mut DatasetWriter, traces: &[(Vec<HopRecord>, TraceRecord)], now: Time) {
    for (hops, trace) in traces {
        for hop in hops {
            writer.hop(hop.clone(), now).unwrap();
        }
        writer.trace(trace.clone(), now).unwrap();
    }
    writer.wait().unwrap();
}

/// A whole run of `count` traces into `output`.
fn run(output: &Output, run_id: &str, count: u32) -> Finished {
    let traces: Vec<_> = (0..count).map(rows::trace).collect();
    let mut writer = create(output, run_id, SMALL).unwrap();
    feed(&mut writer, &traces, rows::START);
    let end = rows::START + Duration::from_secs(60);
    writer
        .finish(&Ending::Complete, end, &facts_of(&traces))
        .unwrap()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Every file below `root`, sorted.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if !root.exists() {
        return found;
    }
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn parts(root: &Path) -> Vec<PathBuf> {
    let mut found = files(root);
    found.retain(|path| path.extension().is_some_and(|suffix| suffix == "parquet"));
    found
}
