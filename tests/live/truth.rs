//! Holds a dataset against the network's truth.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use pathsurvey::lab::{LabNetwork, Truth, TruthAnswer, TruthFlow};
use pathsurvey::model::Ttl;

use crate::rows::{Dataset, Hop, Trace};

/// The highest TTL of a survey.
pub const MAX_TTL: u8 = 32;

/// Everything about an answer that truth and a row both know.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    responder: IpAddr,
    icmp: (Option<u8>, Option<u8>),
    reply_ttl: u8,
    quoted_ttl: Option<u8>,
    quoted_source: Option<IpAddr>,
    quoted_destination: Option<IpAddr>,
    mpls: Vec<(u32, u8, bool, u8)>,
}

impl Known {
    fn from_truth(answer: &TruthAnswer) -> Self {
        let label = |label: &pathsurvey::model::MplsLabel| {
            (label.label, label.traffic_class, label.bottom, label.ttl)
        };
        Known {
            responder: answer.responder,
            icmp: (answer.icmp_type(), answer.icmp_code()),
            reply_ttl: answer.reply_ttl,
            quoted_ttl: answer.quoted_ttl,
            quoted_source: answer.quoted_source,
            quoted_destination: answer.quoted_destination,
            mpls: answer.mpls.iter().map(label).collect(),
        }
    }

    fn from_row(row: &Hop) -> Option<Self> {
        let reply = row.reply.as_ref()?;
        Some(Known {
            responder: reply.responder.into(),
            icmp: (Some(reply.icmp_type), Some(reply.icmp_code)),
            reply_ttl: reply.ttl,
            quoted_ttl: Some(reply.quoted.ttl),
            quoted_source: Some(reply.quoted.source.into()),
            quoted_destination: Some(reply.quoted.destination.into()),
            mpls: reply.mpls.clone(),
        })
    }
}

/// The truth of the flow that a probe belongs to, of every TTL.
pub fn truth_of(
    network: &LabNetwork,
    destination: Ipv4Addr,
    src_port: u16,
    dst_port: u16,
) -> Truth {
    let flow = TruthFlow::udp(destination, src_port, dst_port);
    network.truth_of_every_ttl(flow, Ttl(MAX_TTL))
}

/// Every reply is one that its flow's true path can bring, and where `nothing_missing`, every TTL that answers was heard.
pub fn rows_agree(network: &LabNetwork, dataset: &Dataset, nothing_missing: bool) {
    let mut truths: HashMap<(Ipv4Addr, u16, u16), Truth> = HashMap::new();
    for row in &dataset.hops {
        let truth = truths
            .entry((row.destination, row.src_port, row.dst_port))
            .or_insert_with(|| truth_of(network, row.destination, row.src_port, row.dst_port));
        let hop = truth.hop(Ttl(row.ttl)).unwrap();
        match Known::from_row(row) {
            Some(seen) => {
                let possible: Vec<Known> = hop.candidates().map(Known::from_truth).collect();
                assert!(
                    possible.contains(&seen),
                    "{row:?}\nis none of {possible:#?}"
                );
            }
            None => assert!(
                hop.is_silent() || !nothing_missing,
                "{row:?}\nmisses {hop:#?}"
            ),
        }
    }
}

/// The rows of each trace, in the dataset's order.
pub fn by_trace(dataset: &Dataset) -> BTreeMap<i64, Vec<&Hop>> {
    let mut traces: BTreeMap<i64, Vec<&Hop>> = BTreeMap::new();
    for row in &dataset.hops {
        traces.entry(row.trace_id).or_default().push(row);
    }
    traces
}

/// A trace in one line: what became of every probe by TTL, the attempts of one TTL together, the distance probe as `d`. `r`
/// is replied, `t` timeout, `e` a send error: `1:r 2:tt 3:r d:r`.
pub fn shape(rows: &[&Hop]) -> String {
    let mut shape = String::new();
    let mut last = String::new();
    for row in rows.iter().filter(|row| row.reply_index == 0) {
        let place = match row.purpose.as_str() {
            "distance" => "d".to_owned(),
            _ => row.ttl.to_string(),
        };
        if place != last {
            shape += &format!("{}{place}:", if shape.is_empty() { "" } else { " " });
            last = place;
        }
        shape += match row.status.as_str() {
            "replied" => "r",
            "timeout" => "t",
            "send_error" => "e",
            other => other,
        };
    }
    shape
}

/// How a trace ended.
pub fn ending(trace: &Trace) -> (&str, bool, Option<u8>) {
    (&trace.stop_reason, trace.reached, trace.path_length)
}

/// Every trace with a destination in `block` (the first three bytes) has this shape and ending. Returns how many there were.
pub fn all_alike(
    dataset: &Dataset,
    block: [u8; 3],
    expected_shape: &str,
    expected_ending: (&str, bool, Option<u8>),
) -> usize {
    let rows = by_trace(dataset);
    let traces = dataset
        .traces
        .iter()
        .filter(|trace| trace.destination.octets()[..3] == block);
    let mut count = 0;
    for trace in traces {
        let rows = rows.get(&trace.trace_id).map_or(&[][..], Vec::as_slice);
        assert_eq!(
            (shape(rows).as_str(), ending(trace)),
            (expected_shape, expected_ending),
            "{}",
            trace.destination
        );
        count += 1;
    }
    count
}

/// All traces are complete, and hold exactly what truth says: the distance probe, and every TTL up to the target once.
pub fn complete_and_exact(network: &LabNetwork, dataset: &Dataset) {
    let by_trace = by_trace(dataset);
    assert_eq!(by_trace.len(), dataset.traces.len());
    for trace in &dataset.traces {
        let rows = &by_trace[&trace.trace_id];
        let first = rows[0];
        let truth = truth_of(network, trace.destination, first.src_port, first.dst_port);
        let length = truth.path_length().unwrap();
        assert_eq!(ending(trace), ("completed", true, Some(length.0)));
        assert_eq!(trace.src_port, first.src_port);
        assert_eq!(trace.hops_responding, i32::from(length.0));
        // Flows share the distance probe of the first.
        let distance = (trace.flow == 0).then_some(("distance", MAX_TTL));
        let expected: Vec<(&str, u8)> = (1..=length.0)
            .map(|ttl| ("trace", ttl))
            .chain(distance)
            .collect();
        assert_eq!(trace.probes_sent as usize, expected.len());
        assert_eq!(trace.replies as usize, expected.len());
        let seen: Vec<(&str, u8)> = rows
            .iter()
            .map(|row| (row.purpose.as_str(), row.ttl))
            .collect();
        assert_eq!(seen, expected, "{}", trace.destination);
        for row in rows {
            let hop = truth.hop(Ttl(row.ttl)).unwrap();
            let expected = hop.answer().map(Known::from_truth);
            assert_eq!(Known::from_row(row), expected, "{row:?}");
            assert_eq!(
                (row.status.as_str(), row.evidence.as_deref()),
                ("replied", Some("full"))
            );
            assert_eq!((row.reply_index, row.attempt), (0, 1));
            assert_eq!(row.trace_id, trace.trace_id);
        }
    }
}
