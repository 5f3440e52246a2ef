//! How fast rows become Parquet parts on disk: `cargo bench --bench parquet_writer`. The rows are there before the clock starts, and one
//! thread encodes them.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pathsurvey::dataset::{DatasetWriter, Ending, NewRun, Output, RunFigures, RunMeta, Vantage};
use pathsurvey::model::{self, HopRecord, Protocol, Vary};

mod rows;

const TRACES: u32 = 31_250;

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

fn write(traces: Vec<(Vec<HopRecord>, model::TraceRecord)>) -> u64 {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut writer = DatasetWriter::create(
        &Output::Directory(directory.path().join("out")),
        NewRun::new(meta(), Arc::new(rows::SampleTargets::new())),
        rows::START,
        &RunFigures::default(),
    )
    .expect("an output");
    for (hops, trace) in traces {
        for hop in hops {
            writer.hop(hop, rows::START).expect("a row taken");
        }
        writer.trace(trace, rows::START).expect("a row taken");
    }
    let finished = writer
        .finish(&Ending::Complete, rows::START, &RunFigures::default())
        .expect("a whole dataset");
    finished.bytes
}

fn bench(criterion: &mut Criterion) {
    // Sorting must not borrow further threads.
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
        .expect("the first pool of the process");
    let traces: Vec<_> = (0..TRACES).map(rows::trace).collect();
    let rows = u64::from(TRACES) * u64::from(rows::HOPS);
    eprintln!(
        "{:.2} bytes a row on disk",
        write(traces.clone()) as f64 / rows as f64
    );
    let mut group = criterion.benchmark_group("parquet_writer");
    group.throughput(Throughput::Elements(rows)).sample_size(10);
    group.bench_function("directory", |bencher| {
        bencher.iter_batched(
            || traces.clone(),
            |traces| black_box(write(traces)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
