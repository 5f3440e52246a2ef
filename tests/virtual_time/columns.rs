//! Every column of both tables, in every format, against the records of the golden set's networks.
//!
//! The expected values are written down here from the records, by name. They share no code with the declarations of the tables.

use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use arrow::ipc::reader::FileReader;
use pathsurvey::dataset::read::{Dataset, Rows};
use pathsurvey::dataset::table::ColumnType;
use pathsurvey::dataset::{
    DatasetWriter, Ending, Hops, NewRun, Output, RunFigures, RunMeta, Traces, Vantage, all_tables,
};
use pathsurvey::lab::{GeneratedOptions, LabNetwork};
use pathsurvey::model::{Echoed, HopRecord, Protocol, QuotedProbe, Reply, Time, TraceRecord, Vary};
use pathsurvey::survey::VIRTUAL_START;
use pathsurvey::targets::{Families, TargetSet};
use serde_json::{Map, Value, json};

use super::experiment::{config, lab, observe};
use super::golden::{GENERATED, NETWORKS};

type Object = Map<String, Value>;

/// The id of every run here, and of its vantage point.
const RUN: &str = "run-1";
const VANTAGE: &str = "fra-1";

fn meta(protocol: Protocol) -> RunMeta {
    RunMeta {
        run_id: RUN.to_owned(),
        survey_id: "night-1".to_owned(),
        shard: Some(2),
        cycle: None,
        vantage: Vantage {
            id: VANTAGE.to_owned(),
            ..Vantage::default()
        },
        seed: 1,
        started_at: VIRTUAL_START,
        date: None,
        method: "trace".to_owned(),
        protocol,
        base_src_port: Some(24_000),
        vary: Vary::SourcePort,
        dst_port: Some(33_434),
        attempts: 2,
        gap_limit: Some(5),
        probe_sizes: [Some(60), None],
        config: Value::Null,
    }
}

fn micros(time: Time) -> i64 {
    time.as_micros()
}

fn hop(row: &HopRecord) -> Object {
    let mut columns = json!({
        "run_id": RUN,
        "trace_id": row.trace_id.0,
        "probe_id": row.probe_id.map(|id| id.0),
        "reply_index": row.reply_index,
        "destination": row.destination,
        "source": row.source,
        "vantage": VANTAGE,
        "ip_version": if row.destination.is_ipv4() { 4 } else { 6 },
        "protocol": row.protocol.as_str(),
        "src_port": row.src_port,
        "dst_port": row.dst_port,
        "icmp_id": row.icmp_id,
        "flow_label": row.flow_label,
        "flow": row.flow.0,
        "round": row.round,
        "ttl": row.ttl.map(|ttl| ttl.0),
        "attempt": row.attempt,
        "purpose": row.purpose.as_str(),
        "probe_size": row.probe_size,
        "probe_tos": row.probe_tos,
        "probe_ip_id": row.probe_ip_id,
        "probe_checksum": row.probe_checksum,
        "sent_at": row.sent_at.map(micros),
        "status": row.status.as_str(),
        "reason": row.reason.map(|reason| reason.text()),
        "responder": row.responder(),
        "rtt_us": row.rtt_us,
        "evidence": row.evidence.map(|evidence| evidence.as_str()),
        "inferred_from": row.inferred.as_ref().and_then(|inferred| inferred.from).map(|id| id.0),
        "on_path": row.on_path,
    });
    let columns = columns.as_object_mut().expect("an object");
    columns.append(&mut reply(row.reply.as_deref()));
    let quote = row.reply.as_ref().and_then(|reply| reply.quoted.as_ref());
    columns.append(&mut quoted(quote));
    std::mem::take(columns)
}

fn reply(reply: Option<&Reply>) -> Object {
    let flags = |reply: &Reply| match reply.echoed {
        Some(Echoed::Tcp { flags, .. }) => Some(flags),
        _ => None,
    };
    let mpls = |reply: &Reply| -> Option<Value> {
        let labels = reply.mpls.iter().map(|label| {
            json!({"label": label.label, "tc": label.traffic_class, "bottom": label.bottom, "ttl": label.ttl})
        });
        (!reply.mpls.is_empty()).then(|| labels.collect())
    };
    let info = |reply: &Reply| -> Option<Value> {
        let objects = reply.interface_info.iter().map(|info| {
            json!({"role": info.role.as_str(), "ifindex": info.ifindex, "address": info.address, "name": info.name, "mtu": info.mtu})
        });
        (!reply.interface_info.is_empty()).then(|| objects.collect())
    };
    let columns = json!({
        "received_at": reply.map(|reply| micros(reply.received_at)),
        "reply_kind": reply.map(|reply| reply.kind.as_str()),
        "icmp_type": reply.and_then(|reply| reply.icmp_type),
        "icmp_code": reply.and_then(|reply| reply.icmp_code),
        "reply_tcp_flags": reply.and_then(flags),
        "reply_ttl": reply.and_then(|reply| reply.ttl),
        "reply_tos": reply.and_then(|reply| reply.tos),
        "reply_size": reply.and_then(|reply| reply.size),
        "reply_ip_id": reply.and_then(|reply| reply.ip_id),
        "reply_destination": reply.and_then(|reply| reply.destination),
        "next_hop_mtu": reply.and_then(|reply| reply.next_hop_mtu),
        "mpls": reply.and_then(mpls),
        "interface_info": reply.and_then(info),
        "icmp_extensions": reply.and_then(|reply| reply.icmp_extensions.as_deref()).map(hex),
    });
    object(columns)
}

fn quoted(quote: Option<&QuotedProbe>) -> Object {
    object(json!({
        "quoted_ttl": quote.and_then(|quote| quote.ttl),
        "quoted_tos": quote.and_then(|quote| quote.tos),
        "quoted_ip_id": quote.and_then(|quote| quote.ip_id),
        "quoted_length": quote.and_then(|quote| quote.length),
        "quoted_checksum": quote.and_then(QuotedProbe::checksum),
        "quoted_src_port": quote.and_then(QuotedProbe::src_port),
        "quoted_dst_port": quote.and_then(QuotedProbe::dst_port),
        "quoted_source": quote.and_then(|quote| quote.source),
        "quoted_destination": quote.map(|quote| quote.destination),
        "quoted_icmp_id": quote.and_then(QuotedProbe::icmp_id),
        "quoted_flow_label": quote.and_then(|quote| quote.flow_label),
        "quote_size": quote.and_then(|quote| quote.quote_size),
    }))
}

fn trace(row: &TraceRecord, protocol: Protocol) -> Object {
    let anomalies: Vec<&str> = row
        .anomalies
        .iter()
        .map(|anomaly| anomaly.as_str())
        .collect();
    object(json!({
        "run_id": RUN,
        "trace_id": row.trace_id.0,
        "survey_id": "night-1",
        "shard": 2,
        "cycle": null,
        "vantage": VANTAGE,
        "destination": row.destination,
        "labels": null,
        "flow": row.flow.map(|flow| flow.0),
        "method": "trace",
        "protocol": protocol.as_str(),
        "src_port": row.flow.map(|flow| 24_000 + flow.0),
        "dst_port": 33_434,
        "attempts": 2,
        "gap_limit": 5,
        "probe_size": row.destination.is_ipv4().then_some(60),
        "started_at": micros(row.started_at),
        "finished_at": micros(row.finished_at),
        "first_ttl": row.first_ttl.map(|ttl| ttl.0),
        "max_ttl": row.max_ttl.map(|ttl| ttl.0),
        "stop_reason": row.stop_reason.as_str(),
        "reached": row.reached,
        "path_length": row.path_length.map(|ttl| ttl.0),
        "hops_responding": row.hops_responding,
        "probes_sent": row.probes_sent,
        "replies": row.replies,
        "path_hash": row.path_hash,
        "anomalies": (!anomalies.is_empty()).then_some(anomalies),
        "path_mtu": row.path_mtu,
        "path": row.path,
        "last_responder": row.last_responder,
        "last_ttl": row.last_ttl.map(|ttl| ttl.0),
        "target_rtt_us": row.target_rtt_us,
    }))
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A row of the reader, with bytes as digits.
fn plain(row: &Value) -> Object {
    let mut row = object(row.clone());
    if let Some(Value::Array(bytes)) = row.get("icmp_extensions") {
        let bytes: Vec<u8> = bytes
            .iter()
            .map(|byte| byte.as_u64().expect("a byte") as u8)
            .collect();
        row.insert("icmp_extensions".to_owned(), hex(&bytes).into());
    }
    row
}

/// Times of CSV and JSON Lines as microseconds.
fn with_micros(mut row: Object) -> Object {
    for (name, value) in &mut row {
        if let ("sent_at" | "received_at", Value::String(text)) = (name.as_str(), &value) {
            let time = chrono::DateTime::parse_from_rfc3339(text).expect("RFC 3339");
            assert!(text.len() == 27 && text.ends_with('Z'), "{text}");
            *value = time.timestamp_micros().into();
        }
    }
    row
}

fn csv_rows(path: &Path) -> Vec<Object> {
    let schema = all_tables()[0].schema();
    let mut reader = csv::Reader::from_path(path).expect("a file");
    let names: Vec<String> = reader
        .headers()
        .expect("a header")
        .iter()
        .map(str::to_owned)
        .collect();
    let cell = |name: &str, text: &str| -> Value {
        let column = schema
            .columns
            .iter()
            .find(|column| column.name == name)
            .expect(name);
        match (text, &column.kind) {
            ("", _) => Value::Null,
            (_, ColumnType::Text | ColumnType::Binary | ColumnType::Timestamp) => text.into(),
            _ => serde_json::from_str(text).expect(name),
        }
    };
    let row = |record: csv::StringRecord| -> Object {
        let cells = names.iter().zip(record.iter());
        cells
            .map(|(name, text)| (name.clone(), cell(name, text)))
            .collect()
    };
    reader
        .records()
        .map(|record| with_micros(row(record.expect("a record"))))
        .collect()
}

fn json_rows(path: &Path) -> Vec<Object> {
    let text = std::fs::read_to_string(path).expect("a file");
    let rows = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    rows.map(|row| with_micros(object(row))).collect()
}

fn arrow_rows(path: &Path) -> Vec<Object> {
    let reader = FileReader::try_new(File::open(path).expect("a file"), None).expect("Arrow");
    let batches = reader.map(|batch| Rows::new(batch.expect("a batch")));
    batches
        .flat_map(|rows| {
            rows.iter()
                .map(|row| plain(&row.to_json()))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn parquet_rows(path: &Path, table: &str) -> Vec<Object> {
    let dataset = Dataset::open(path).expect("a dataset");
    let batches = dataset.scan(table).batches().expect("the table");
    batches
        .map(|batch| Rows::new(batch.expect("a whole part")))
        .flat_map(|rows| {
            rows.iter()
                .map(|row| plain(&row.to_json()))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Writes the rows to `name` below `directory`.
fn write(
    rows: (&[HopRecord], &[TraceRecord]),
    (protocol, targets): (Protocol, &Arc<TargetSet>),
    path: &Path,
) {
    let output = Output::parse(path.to_str().expect("a path in UTF-8"), None).expect("an output");
    let run = NewRun::new(meta(protocol), targets.clone());
    let figures = RunFigures::default();
    let mut writer =
        DatasetWriter::create(&output, run, VIRTUAL_START, &figures).expect("a place to write");
    for row in rows.0 {
        writer
            .push::<Hops>(row.clone(), VIRTUAL_START)
            .expect("a table");
    }
    for row in rows.1 {
        writer
            .push::<Traces>(row.clone(), VIRTUAL_START)
            .expect("a table");
    }
    let end = writer.finish(&Ending::Complete, VIRTUAL_START, &figures);
    assert_eq!(end.expect("room").hops, rows.0.len() as u64);
}

fn sorted(mut rows: Vec<Object>) -> Vec<Object> {
    rows.sort_by_cached_key(|row| Value::Object(row.clone()).to_string());
    rows
}

/// Compares, with the first difference in the message.
fn assert_equal(found: Vec<Object>, expected: &[Object], what: &str) {
    let found = sorted(found);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        for (name, value) in expected {
            assert_eq!(found.get(name), Some(value), "{what}: {name} of {found:?}");
        }
        assert_eq!(found.len(), expected.len(), "{what}");
    }
}

fn check(name: &str, targets: &[&str], network: LabNetwork, protocol: Protocol) {
    let mut survey = config(targets, 17);
    survey.protocol = protocol;
    survey.flows = 2;
    survey.targets.families = Families::Both;
    let run = observe(survey, network);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rows = (&run.hops[..], &run.traces[..]);
    let hops = sorted(run.hops.iter().map(hop).collect());
    for place in ["d", "x.csv", "x.jsonl", "x.parquet", "x.arrow"] {
        let path = directory.path().join(place);
        write(rows, (protocol, &run.targets), &path);
        let found = match place {
            "x.csv" => csv_rows(&path),
            "x.jsonl" => json_rows(&path),
            "x.arrow" => arrow_rows(&path),
            _ => parquet_rows(&path, "hops"),
        };
        assert_equal(found, &hops, &format!("{name}, {protocol}, {place}"));
    }
    let of_input = |row: &TraceRecord| {
        let mut columns = trace(row, protocol);
        // The targets are prefixes. The input is the prefix that the address is in.
        let input = targets
            .iter()
            .find(|prefix| contains(prefix, row.destination));
        columns.insert("target_input".to_owned(), json!(input));
        columns
    };
    let traces = sorted(run.traces.iter().map(of_input).collect());
    let found = parquet_rows(&directory.path().join("d"), "traces");
    assert_equal(found, &traces, &format!("{name}, {protocol}, traces"));
}

fn contains(prefix: &str, address: IpAddr) -> bool {
    let prefix: ipnet::IpNet = prefix.parse().expect("a prefix");
    prefix.contains(&address)
}

#[test]
fn every_column_in_every_format_is_as_in_the_records() {
    for (name, targets) in NETWORKS {
        for protocol in Protocol::ALL {
            check(name, targets, lab(name, 17), protocol);
        }
    }
    let generated = LabNetwork::generated_with(17, GeneratedOptions::default());
    check("generated", &GENERATED, generated, Protocol::Udp);
}
