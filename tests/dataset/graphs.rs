//! The tables of multipath tracing: rows made by hand go into a directory, and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pathsurvey::dataset::compact::{Options, Outcome, compact};
use pathsurvey::dataset::read::{Checks, Dataset, Rows};
use pathsurvey::dataset::{Format, tables_of};
use pathsurvey::model::{
    Algorithm, BalancerType, DiamondRow, GraphRow, LinkRow, NodeRow, StopReason, StoppedBy,
    TableRow, TargetId, TraceId, Ttl,
};

use super::*;

const TARGETS: u32 = 24;
/// The tables that multipath tracing adds.
const GRAPH_TABLES: [&str; 4] = ["graphs", "nodes", "links", "diamonds"];

/// The rows of one target.
struct Graph {
    graph: GraphRow,
    nodes: Vec<NodeRow>,
    links: Vec<LinkRow>,
    diamonds: Vec<DiamondRow>,
}

fn router(ttl: u8, number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, ttl, number).into()
}

/// The diamond of two routers. That of every fifth target begins at the source.
fn diamond(target: u32, trace_id: TraceId, destination: IpAddr) -> DiamondRow {
    let (varies, meets) = (!target.is_multiple_of(2), !target.is_multiple_of(3));
    let is_first = target.is_multiple_of(5);
    DiamondRow {
        trace_id,
        destination,
        first_ttl: Ttl(2),
        last_ttl: Ttl(2),
        divergence_ttl: (!is_first).then_some(Ttl(1)),
        divergence: (!is_first).then_some(router(1, 1)),
        convergence_ttl: meets.then_some(Ttl(3)),
        convergence: meets.then_some(destination),
        max_width: 2,
        max_length: 1 + u32::from(meets),
        width_asymmetry: (!varies).then_some(target),
        meshed: (!varies).then_some(meets),
        balancer: match target % 4 {
            0 => None,
            2 => Some(BalancerType::PerFlow),
            _ => Some(BalancerType::PerPacket),
        },
    }
}

/// One router, two routers, the target. Every second target has a per-packet balancer, every third one has no path beyond.
fn graph(target: u32) -> Graph {
    let (trace_id, destination) = (TraceId(target.into()), rows::trace(target).1.destination);
    let varies = !target.is_multiple_of(2);
    let meets = !target.is_multiple_of(3);
    let ends = meets.then_some((3, destination, 0));
    let places = [
        (1, router(1, 1), 2),
        // Ten comes before two in the order of texts, so that an order by address would show.
        (2, router(2, 2), 1),
        (2, router(2, 10), 1),
    ];
    let node = |(ttl, address, next): (u8, IpAddr, u32)| {
        let known = (next > 0 && !(varies && ttl == 2)).then_some(next);
        NodeRow {
            trace_id,
            destination,
            ttl: Ttl(ttl),
            address,
            flows: 16 / u32::from(ttl),
            next_hops: known,
            next_hop_flows: known.map(|_| 15),
            miss_probability: known.map(|next| f64::from(next) / 3.0),
            stopped_by: known.map(|next| match next {
                1 => StoppedBy::Points,
                _ => StoppedBy::MaxWidth,
            }),
            varies: varies && ttl == 2,
            is_end: ttl == 3,
        }
    };
    let nodes: Vec<NodeRow> = places.into_iter().chain(ends).map(node).collect();
    let link = |ttl, near, far| LinkRow {
        trace_id,
        destination,
        ttl: Ttl(ttl),
        near,
        far,
        flows: 8 + u32::from(ttl),
    };
    let mut links = Vec::new();
    for middle in [router(2, 2), router(2, 10)] {
        links.extend((!varies).then(|| link(1, router(1, 1), middle)));
        links.extend((!varies && meets).then(|| link(2, middle, destination)));
    }
    let diamonds = vec![diamond(target, trace_id, destination)];
    let graph = GraphRow {
        algorithm: match target % 2 {
            0 => Algorithm::Full,
            _ => Algorithm::Lite,
        },
        trace_id,
        target: TargetId(target),
        destination,
        started_at: rows::START,
        finished_at: rows::START + Duration::from_micros(target.into()),
        stop_reason: match meets {
            true => StopReason::Completed,
            false => StopReason::MaxFlows,
        },
        flows: 16 + target,
        nodes: nodes.len() as u32,
        links: links.len() as u32,
        diamonds: 1,
        max_width: 2,
        branchings: 1,
        // No binary fraction, and so small that a reader of 32 bits would get another number.
        failure_bound: 0.05 / f64::from(target + 3),
    };
    Graph {
        graph,
        nodes,
        links,
        diamonds,
    }
}

/// Runs a survey of many flows into `output`, with the targets in permuted order.
fn survey(output: &Output) -> Finished {
    let run = NewRun {
        tables: tables_of(true).to_vec(),
        ..new_run("run-1", SMALL)
    };
    let figures = RunFigures::default();
    let mut writer = DatasetWriter::create(output, run, rows::START, &figures).unwrap();
    for target in (0..TARGETS).map(|at| at * 7 % TARGETS) {
        let (hops, mut trace) = rows::trace(target);
        trace.flow = None;
        feed(&mut writer, &[(hops, trace)], rows::START);
        let found = graph(target);
        let mut row = |row| writer.row(row, rows::START).unwrap();
        let target = TargetId(target);
        row(TableRow::new(target, found.graph));
        for node in found.nodes {
            row(TableRow::new(target, node));
        }
        for link in found.links {
            row(TableRow::new(target, link));
        }
        for diamond in found.diamonds {
            row(TableRow::new(target, diamond));
        }
    }
    let finished = writer.finish(&Ending::Complete, rows::START, &figures);
    finished.unwrap()
}

/// Adds the members of `more` to a row.
fn joined(mut row: Value, more: Value) -> Value {
    let (Some(members), Value::Object(more)) = (row.as_object_mut(), more) else {
        panic!("two objects");
    };
    members.extend(more);
    row
}

fn ttl_of(ttl: Option<Ttl>) -> Option<u8> {
    ttl.map(|ttl| ttl.0)
}

/// What is to be read of a target, by table.
fn expected(target: u32) -> [Vec<Value>; 4] {
    let found = graph(target);
    let micros = |time: Time| time.as_nanos() / 1_000;
    let keys = json!({
        "run_id": "run-1",
        "trace_id": target,
        "survey_id": "night-1",
        "vantage": "fra 1",
        "destination": found.graph.destination,
    });
    let labels = match target % 4 {
        0 => json!(null),
        3 => json!({"site": "fra \"1\"", "note": "a, b\nc"}),
        _ => json!({"site": "ams"}),
    };
    let row = &found.graph;
    let graphs = json!({
        "shard": null,
        "cycle": null,
        "target_input": row.destination,
        "labels": labels,
        "method": "trace",
        "protocol": "udp",
        "started_at": micros(row.started_at),
        "finished_at": micros(row.finished_at),
        "stop_reason": row.stop_reason.as_str(),
        "algorithm": row.algorithm.as_str(),
        "flows": row.flows,
        "failure_bound": row.failure_bound,
        "nodes": row.nodes,
        "links": row.links,
        "diamonds": row.diamonds,
        "max_width": row.max_width,
        "branchings": row.branchings,
    });
    let nodes = found.nodes.iter().map(|row| {
        json!({
            "ttl": row.ttl.0,
            "address": row.address,
            "flows": row.flows,
            "next_hops": row.next_hops,
            "next_hop_flows": row.next_hop_flows,
            "miss_probability": row.miss_probability,
            "stopped_by": row.stopped_by.map(StoppedBy::as_str),
            "varies": row.varies,
            "is_end": row.is_end,
        })
    });
    let links = found
        .links
        .iter()
        .map(|row| json!({"ttl": row.ttl.0, "near": row.near, "far": row.far, "flows": row.flows}));
    let diamonds = found.diamonds.iter().map(|row| {
        json!({
            "first_ttl": row.first_ttl.0,
            "last_ttl": row.last_ttl.0,
            "divergence_ttl": ttl_of(row.divergence_ttl),
            "divergence": row.divergence,
            "convergence_ttl": ttl_of(row.convergence_ttl),
            "convergence": row.convergence,
            "max_width": row.max_width,
            "max_length": row.max_length,
            "width_asymmetry": row.width_asymmetry,
            "meshed": row.meshed,
            "balancer": row.balancer.map(BalancerType::as_str),
        })
    });
    let whole = |row: Value| joined(keys.clone(), row);
    [
        vec![whole(graphs)],
        nodes.map(whole).collect(),
        // They were added by the nearer router. The table has them by TTL.
        in_order_of_ttl(links.map(whole).collect()),
        diamonds.map(whole).collect(),
    ]
}

fn in_order_of_ttl(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(|row| row["ttl"].as_u64());
    rows
}

/// The rows of a table in the order of the files.
fn found(dataset: &Dataset, table: &str) -> Vec<Value> {
    let batches = dataset.scan(table).batches().unwrap();
    let rows = batches.flat_map(|batch| {
        let rows = Rows::new(batch.unwrap());
        rows.iter().map(|row| row.to_json()).collect::<Vec<_>>()
    });
    rows.collect()
}

/// A reader of one part.
fn of_part(path: &Path) -> ParquetRecordBatchReaderBuilder<File> {
    ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap()
}

/// The traces of every part of a table, by the number of the sealing.
fn traces_of_parts(dataset: &Dataset, table: &str) -> BTreeMap<u64, BTreeSet<i64>> {
    let mut traces = BTreeMap::new();
    for part in dataset.runs()[0].parts(table) {
        let ids: &mut BTreeSet<i64> = traces.entry(part.listed().sealing.unwrap()).or_default();
        for batch in of_part(part.path()).build().unwrap() {
            let rows = Rows::new(batch.unwrap());
            ids.extend(rows.iter().map(|row| row.int("trace_id").unwrap().unwrap()));
        }
    }
    traces
}

#[test]
fn rows_of_graphs_come_back_with_every_value() {
    let dir = tempfile::tempdir().unwrap();
    survey(&Output::Directory(dir.path().into()));
    let dataset = Dataset::open(dir.path()).unwrap();
    let mut expected_rows: [Vec<Value>; 4] = Default::default();
    for target in 0..TARGETS {
        for (all, rows) in expected_rows.iter_mut().zip(expected(target)) {
            all.extend(rows);
        }
    }
    for (table, expected) in GRAPH_TABLES.into_iter().zip(expected_rows) {
        assert!(dataset.runs()[0].parts(table).len() > 1, "several parts");
        let mut rows = found(&dataset, table);
        // Of a target in the order of the part.
        rows.sort_by_key(|row| row["trace_id"].as_u64());
        assert_eq!(rows, expected, "{table}");
    }
    assert_eq!(dataset.verify(Checks::ALL, |_| ()).unwrap().len(), 0);
}

#[test]
fn all_rows_of_a_target_are_sealed_together() {
    let dir = tempfile::tempdir().unwrap();
    survey(&Output::Directory(dir.path().into()));
    let dataset = Dataset::open(dir.path()).unwrap();
    let hops = traces_of_parts(&dataset, "hops");
    assert!(hops.len() > 2);
    for table in ["traces", "graphs", "nodes", "diamonds"] {
        assert_eq!(traces_of_parts(&dataset, table), hops, "{table}");
    }
}

#[test]
fn a_compaction_keeps_graphs_beside_their_hops() {
    let dir = tempfile::tempdir().unwrap();
    let (root, copy) = (dir.path().join("d"), dir.path().join("copy"));
    survey(&Output::Directory(root.clone()));
    let options = Options {
        to: Some(copy.clone()),
        part_rows: 10 * u64::from(rows::HOPS),
        ..Options::default()
    };
    let done = compact(&root, &options, |_| ()).unwrap();
    assert!(
        matches!(done[0].outcome, Outcome::Merged { .. }),
        "{done:?}"
    );

    let (before, after) = (Dataset::open(&root).unwrap(), Dataset::open(&copy).unwrap());
    assert_eq!(after.verify(Checks::ALL, |_| ()).unwrap().len(), 0);
    let hops = traces_of_parts(&after, "hops");
    let sizes: Vec<usize> = hops.values().map(BTreeSet::len).collect();
    assert_eq!(sizes, [10, 10, 4]);
    for table in ["traces", "graphs", "nodes", "diamonds"] {
        assert_eq!(traces_of_parts(&after, table), hops, "{table}");
    }
    for table in GRAPH_TABLES {
        let mut expected = found(&before, table);
        expected.sort_by_key(|row| row["trace_id"].as_u64());
        assert_eq!(found(&after, table), expected, "{table}");
    }
}

#[test]
fn a_run_without_graphs_has_no_tables_of_graphs() {
    let dir = tempfile::tempdir().unwrap();
    run(&Output::Directory(dir.path().into()), "run-1", 3);
    let dataset = Dataset::open(dir.path()).unwrap();
    let tables: Vec<&str> = dataset.runs()[0].tables().collect();
    assert_eq!(tables, ["hops", "traces"]);
    for table in GRAPH_TABLES {
        assert!(!dir.path().join(table).exists());
        assert_eq!(found(&dataset, table), [] as [Value; 0]);
    }
}

#[test]
fn a_run_with_graphs_but_no_rows_still_shows_their_columns() {
    let dir = tempfile::tempdir().unwrap();
    let run = NewRun {
        tables: tables_of(true).to_vec(),
        ..new_run("run-1", SMALL)
    };
    let (output, figures) = (Output::Directory(dir.path().into()), RunFigures::default());
    let writer = DatasetWriter::create(&output, run, rows::START, &figures).unwrap();
    let finished = writer.finish(&Ending::Complete, rows::START, &figures);
    assert_eq!(finished.unwrap().parts, 6);
    for (table, columns) in GRAPH_TABLES.into_iter().zip([22, 14, 9, 16]) {
        let part = of_part(&parts(&dir.path().join(table))[0]);
        assert_eq!(part.schema().fields().len(), columns, "{table}");
    }
}

#[test]
fn a_single_file_of_a_run_with_graphs_holds_its_hops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hops.csv");
    survey(&Output::File {
        path: path.clone(),
        format: Format::Csv,
    });
    let lines = fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(lines, 1 + TARGETS as usize * usize::from(rows::HOPS));
}
