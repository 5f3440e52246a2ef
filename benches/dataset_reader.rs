//! How fast datasets are read back: `cargo bench --bench dataset_reader`.
//!
//! The datasets are written to a temporary directory first (about 500 MB). If a directory is named (`cargo bench --bench dataset_reader --
//! DIRECTORY`), they are written there, stay, and are used again. Every measurement runs in a process of its own, so that its peak
//! memory is that of reading. Files are in the page cache then: what is measured is decoding, not the disk.
//!
//! - Rows a second of a fold over two columns of hops, and the peak memory for a fifth of the rows and for all: it should not grow.
//! - Traces a second with their hops in order.
//! - The time from opening a dataset to the traces of one destination, for surveys in permuted order over 50 and more parts.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;
use pathsurvey::dataset::read::Dataset;
use pathsurvey::dataset::{
    DatasetWriter, Ending, NewRun, Output, PartLimits, RunFigures, RunMeta, Vantage,
};
use pathsurvey::model::{self, Protocol, Targets, Vary};

mod rows;

/// Every this many traces, one has a late reply in the next part.
const LATE_EVERY: u32 = 1_000;
/// Destinations asked for.
const QUERIES: u32 = 15;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // Cargo passes `--bench`. A child process gets the measurement and its dataset.
    match arguments.get(1).map(String::as_str) {
        Some("fold") => fold(arguments[2].as_ref()),
        Some("traces") => traces(arguments[2].as_ref()),
        Some("destination") => destination(arguments[2].as_ref()),
        Some(named) if !named.starts_with('-') => measure_all(named.as_ref()),
        _ => {
            let directory = tempfile::tempdir().expect("a temporary directory");
            measure_all(directory.path());
        }
    }
}

fn measure_all(directory: &Path) {
    let at = |name: &str| directory.join(name);
    for (name, count, parts) in [("fifth", 62_500, 10), ("whole", 312_500, 50)] {
        write(&at(name), count, parts);
        child("fold", &at(name));
    }
    child("traces", &at("whole"));
    for (name, count) in [("small", 200_000), ("large", 1_000_000)] {
        write(&at(name), count, 55);
        child("destination", &at(name));
    }
}

/// Measures in a process of its own.
fn child(measurement: &str, dataset: &Path) {
    let program = std::env::current_exe().expect("the path of this program");
    let ended = Command::new(program).arg(measurement).arg(dataset).status();
    assert!(ended.expect("a child process").success(), "{measurement}");
}

/// A survey of `count` traces in permuted order.
fn write(root: &Path, count: u32, parts: u32) {
    if root.exists() {
        return println!("{} is there", root.display());
    }
    let start = Instant::now();
    let limits = PartLimits {
        rows: (count / parts * u32::from(rows::HOPS)) as usize,
        bytes: usize::MAX,
        age: Duration::MAX,
    };
    let facts = RunFigures::default();
    let run = NewRun {
        limits,
        ..NewRun::new(meta(), Arc::new(rows::SampleTargets::new()))
    };
    let output = Output::Directory(root.to_owned());
    let mut writer = DatasetWriter::create(&output, run, rows::START, &facts).expect("an output");
    for place in 0..count {
        let (hops, trace) = rows::trace(permuted(place, count));
        if let Some(earlier) = place.checked_sub(count / parts)
            && place % LATE_EVERY == 0
        {
            let (mut late, _) = rows::trace(permuted(earlier, count));
            late[0].reply_index = 1;
            writer
                .hop(late.remove(0), rows::START)
                .expect("a row taken");
        }
        for hop in hops {
            writer.hop(hop, rows::START).expect("a row taken");
        }
        writer.trace(trace, rows::START).expect("a row taken");
    }
    let finished = writer.finish(&Ending::Complete, rows::START, &facts);
    let finished = finished.expect("a whole dataset");
    println!(
        "{} hops of {count} traces in {} parts, {} MB, written in {:.1} s",
        finished.hops,
        finished.parts,
        finished.bytes >> 20,
        start.elapsed().as_secs_f64()
    );
}

/// The target that is probed at a place in the order. The factor is a prime that divides no count here.
fn permuted(place: u32, count: u32) -> u32 {
    (u64::from(place) * 777_767_777 % u64::from(count)) as u32
}

fn meta() -> RunMeta {
    RunMeta {
        run_id: "20260301T000000Z-bench".to_owned(),
        survey_id: "20260301".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage {
            id: "fra-1".to_owned(),
            ..Vantage::default()
        },
        seed: 1,
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
        config: serde_json::json!({}),
    }
}

/// Two columns of all hops, on all cores.
fn fold(root: &Path) {
    let start = Instant::now();
    let dataset = Dataset::open(root).expect("a dataset");
    let (rows, answered, sum) = dataset
        .scan("hops")
        .columns(&["responder", "rtt_us"])
        .fold(
            || (0_u64, 0_u64, 0_i64),
            |(rows, answered, sum), _, batch| {
                let responders = batch.column(0).as_string::<i32>();
                let rtts = batch.column(1).as_primitive::<Int32Type>();
                *rows += batch.num_rows() as u64;
                *answered += (responders.len() - responders.null_count()) as u64;
                *sum += rtts.iter().flatten().map(i64::from).sum::<i64>();
                Ok(())
            },
            |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2),
        )
        .expect("rows");
    let took = start.elapsed().as_secs_f64();
    println!(
        "fold: {rows} rows, {answered} with a responder, mean RTT {} µs: {:.1} million rows/s on {} threads, peak {} MB",
        sum / answered as i64,
        rows as f64 / took / 1e6,
        rayon::current_num_threads(),
        peak_megabytes()
    );
}

/// All traces with their hops in order, on one core but for the first pass.
fn traces(root: &Path) {
    let dataset = Dataset::open(root).expect("a dataset");
    for few in [true, false] {
        let start = Instant::now();
        let mut scan = dataset.traces();
        if few {
            scan = scan
                .trace_columns(&["destination"])
                .hop_columns(&["responder", "rtt_us"]);
        }
        let (mut traces, mut hops) = (0_u64, 0_u64);
        for trace in scan.iter().expect("traces") {
            traces += 1;
            hops += trace.expect("a trace").hops().len() as u64;
        }
        println!(
            "traces in order, {} columns: {traces} traces with {hops} hops: {:.0} thousand traces/s, peak {} MB",
            if few { "few" } else { "all" },
            traces as f64 / start.elapsed().as_secs_f64() / 1e3,
            peak_megabytes()
        );
    }
}

/// The traces of one destination, right after opening.
fn destination(root: &Path) {
    let targets = rows::SampleTargets::new();
    let mut took = Vec::new();
    for query in 0..QUERIES {
        let wanted: IpAddr = targets.address(model::TargetId(query * 13_331 + 7));
        let start = Instant::now();
        let dataset = Dataset::open(root).expect("a dataset");
        let opened = start.elapsed();
        let traces = dataset.traces_to(wanted).expect("traces");
        took.push((start.elapsed() - opened).as_secs_f64() * 1e3);
        assert_eq!(traces.len(), 1, "{wanted}");
        assert!(traces[0].hops().len() >= usize::from(rows::HOPS));
    }
    let first = took[0];
    took.sort_by(f64::total_cmp);
    println!(
        "traces to one destination after opening: first {first:.1} ms, median {:.1} ms, least {:.1} ms, most {:.1} ms, peak {} MB",
        took[took.len() / 2],
        took[0],
        took[took.len() - 1],
        peak_megabytes()
    );
}

/// The peak of this process's memory.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.expect("a number of kB") >> 10
}
