//! Each example network shows in its traces the anomalies that its faults make, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use pathsurvey::dataset::Output;
use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{Anomaly, TraceRecord};

use super::experiment::{Observed, config, inline, lab, lab_file, observe, over_file, survey};
use super::parquet_rows::Table;

const SEEDS: [u64; 3] = [1, 2, 3];
/// The TTL of the probe that asks for the distance; no path of the examples is as long.
const DISTANCE_TTL: u8 = 32;

fn names(trace: &TraceRecord) -> Vec<&'static str> {
    trace.anomalies.iter().map(Anomaly::as_str).collect()
}

/// Network, the third number of 198.18.n.0/24, and what every trace into it shows.
const CERTAIN: [(&str, u8, &[&str]); 27] = [
    ("clean", 0, &[]),
    ("clean", 1, &[]),
    ("diamond", 0, &[]),
    ("diamond", 1, &[]),
    // Routers of one family alone forward the other in silence.
    ("dual-stack", 0, &["silent_hop"]),
    ("hosts", 0, &[]),
    ("loop", 0, &[]),
    ("loop", 1, &["loop"]),
    ("cycle", 0, &["cycle"]),
    ("complaints", 0, &[]),
    // A firewall may answer UDP so.
    ("other-address", 0, &["other_address"]),
    ("other-address", 1, &["other_address"]),
    ("mpls", 0, &["mpls_tunnel"]),
    ("nat", 0, &["nat"]),
    // Each TTL answers the one probe that it is asked: either way, and nothing shows that there are two.
    ("per-packet", 0, &[]),
    ("rewriting", 0, &["rewriting"]),
    ("rewriting", 1, &[]),
    ("silence", 0, &["silent_hop"]),
    ("silence", 1, &["silent_hop"]),
    ("silence", 2, &["silent_hop"]),
    ("unreachable", 0, &[]),
    ("unreachable", 1, &[]),
    ("unreachable", 2, &[]),
    ("unreachable", 3, &[]),
    ("unreachable", 4, &[]),
    ("unreachable", 5, &[]),
    ("zero-ttl", 0, &["zero_ttl_forwarding"]),
];

#[test]
fn what_is_certain_to_go_wrong_is_named_in_every_trace() {
    for (name, block, expected) in CERTAIN {
        for seed in SEEDS {
            let prefix = format!("198.18.{block}.0/24");
            let run = observe(config(&[prefix.as_str()], seed), lab(name, seed));
            assert_eq!(run.traces.len(), 256);
            for trace in &run.traces {
                assert_eq!(names(trace), expected, "{name}, seed {seed}: {trace:?}");
            }
        }
    }
}

/// What the network did with the probes to one TTL of a trace, until the trace was sealed.
#[derive(Default)]
struct Asked {
    probes: usize,
    answered: usize,
    responders: BTreeSet<Ipv4Addr>,
}

/// What balancing, loss and limits must have left in each trace, from the record of what the network did: by destination.
fn expected(run: &Observed) -> BTreeMap<IpAddr, Vec<&'static str>> {
    let mut asked: BTreeMap<IpAddr, BTreeMap<u8, Asked>> = BTreeMap::new();
    let sealed: BTreeMap<IpAddr, _> = run
        .traces
        .iter()
        .map(|trace| (trace.destination, trace.finished_at))
        .collect();
    let address = |packet: &[u8], at: usize| -> Ipv4Addr {
        let bytes: [u8; 4] = packet[at..at + 4].try_into().expect("four bytes");
        bytes.into()
    };
    for recorded in &run.recorded {
        let (ttl, to) = (recorded.packet[8], address(&recorded.packet, 16).into());
        if ttl == DISTANCE_TTL {
            continue;
        }
        let hop = asked.entry(to).or_default().entry(ttl).or_default();
        hop.probes += 1;
        let in_time = |at| at <= sealed[&to];
        let arrived = recorded.deliveries.iter().filter(|one| in_time(one.at));
        let responders: Vec<_> = arrived.map(|one| address(&one.packet, 12)).collect();
        hop.answered += usize::from(!responders.is_empty());
        hop.responders.extend(responders);
    }
    let names = asked.iter().map(|(to, hops)| (*to, left_in(*to, hops)));
    names.collect()
}

fn left_in(destination: IpAddr, hops: &BTreeMap<u8, Asked>) -> Vec<&'static str> {
    let is_target = |hop: &Asked| hop.responders.iter().any(|who| *who == destination);
    let arrival = hops.iter().find(|(_, hop)| is_target(hop));
    let last = arrival.or_else(|| hops.iter().rfind(|(_, hop)| hop.answered > 0));
    let Some((last, _)) = last else {
        return Vec::new();
    };
    let path = || hops.range(..=last);
    let before = || hops.range(..last);
    let shown = [
        (
            "per_packet_balancing",
            path().any(|(_, hop)| hop.responders.len() > 1),
        ),
        (
            "rate_limited",
            before().any(|(_, hop)| (1..hop.probes).contains(&hop.answered)),
        ),
        ("silent_hop", before().any(|(_, hop)| hop.answered == 0)),
    ];
    let shown = shown.into_iter().filter(|(_, shown)| *shown);
    shown.map(|(name, _)| name).collect()
}

/// Checks every trace against the record; returns how many show what.
fn check(run: &Observed) -> BTreeMap<&'static str, usize> {
    let expected = expected(run);
    let mut counts = BTreeMap::new();
    for trace in &run.traces {
        let names = names(trace);
        assert_eq!(names, expected[&trace.destination], "{trace:?}");
        for name in names {
            *counts.entry(name).or_default() += 1;
        }
    }
    for anomaly in Anomaly::ALL {
        let counted = run.tally.statistics.anomalies(anomaly);
        let traces = counts.get(anomaly.as_str()).copied().unwrap_or(0);
        assert_eq!(counted, traces as u64, "{anomaly:?}");
    }
    counts
}

#[test]
fn limits_show_as_hops_that_answer_now_and_then_or_not_at_all() {
    for seed in SEEDS {
        let run = observe(config(&["198.18.0.0/24"], seed), lab("rate-limit", seed));
        let counts = check(&run);
        let shown: Vec<_> = counts.keys().copied().collect();
        assert_eq!(shown, ["rate_limited", "silent_hop"]);
    }
}

#[test]
fn loss_looks_like_a_limit_or_a_silent_hop() {
    for seed in SEEDS {
        let targets = ["198.18.0.0/24", "198.18.1.0/24"];
        let run = observe(config(&targets, seed), lab("loss", seed));
        let counts = check(&run);
        assert!(counts["rate_limited"] > 50, "{counts:?}");
        assert!(counts["silent_hop"] > 5, "{counts:?}");
        assert_eq!(counts.len(), 2, "{counts:?}");
    }
}

/// Half of the answers to the second hop and behind come after the timeout, so that many a hop is asked twice and answers twice.
#[test]
fn a_per_packet_balancer_shows_where_a_hop_answered_twice() {
    for seed in SEEDS {
        let mut hurried = config(&["198.18.0.0/24"], seed);
        hurried.timeout = Duration::from_secs(1);
        hurried.late_window = Duration::from_secs(5);
        let run = observe(hurried, slow_balancer("per_packet", seed));
        let counts = check(&run);
        let balanced = counts["per_packet_balancing"];
        assert!((10..246).contains(&balanced), "{balanced}");
    }
}

/// As slow, but each flow keeps to its way: nothing is balanced within a trace.
#[test]
fn a_per_flow_balancer_shows_nothing_of_the_kind() {
    let mut hurried = config(&["198.18.0.0/24"], 1);
    hurried.timeout = Duration::from_secs(1);
    hurried.late_window = Duration::from_secs(5);
    let run = observe(hurried, slow_balancer("per_flow", 1));
    let counts = check(&run);
    assert!(!counts.contains_key("per_packet_balancing"), "{counts:?}");
}

fn slow_balancer(balance: &str, seed: u64) -> LabNetwork {
    inline(&format!(
        r#"
        seed = {seed}
        [[router]]
        name = "split"
        address = "10.0.0.1"
        next = ["left", "right"]
        balance = "{balance}"
        line = {{ reorder = 0.5, reorder_ms = 1200 }}
        [[router]]
        name = "left"
        address = "10.0.1.1"
        next = ["last"]
        [[router]]
        name = "right"
        address = "10.0.1.2"
        next = ["last"]
        [[router]]
        name = "last"
        address = "10.0.2.1"
        [[target]]
        prefix = "198.18.0.0/24"
        at = "last"
        unlimited = true
        "#
    ))
}

#[test]
fn the_column_the_manifest_and_the_summary_agree() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("out");
    let loops = config(&["198.18.0.0/24", "198.18.1.0/24"], 1);
    let end = survey(
        over_file(loops, lab_file("loop")),
        &Output::Directory(root.clone()),
    );
    let table = Table::read(&root, "traces");
    let (mut loops, mut none) = (0, 0);
    for row in 0..table.rows() {
        match table.texts("anomalies", row) {
            Some(names) => {
                assert_eq!(names, ["loop"]);
                assert_eq!(table.text("stop_reason", row), Some("loop"));
                loops += 1;
            }
            None => none += 1,
        }
    }
    assert_eq!((loops, none), (256, 256));
    let manifest = std::fs::read(root.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["anomalies"]["loop"], 256);
    let counted = manifest["anomalies"].as_object().expect("counts");
    let listed: Vec<&str> = counted.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = Anomaly::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), known);
    let others: u64 = counted.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(others, 256, "and no other");
    assert!(
        end.summary
            .to_string()
            .contains("\n  anomalies    loop 256\n")
    );
    assert_eq!(end.summary.to_json()["anomalies"]["loop"], 256);
}
