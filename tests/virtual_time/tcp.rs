//! Every kind of TCP probe over both families, to hosts whose ports are open, closed, filtered and prohibited: row by row what the
//! network could have shown.
//!
//! SYNs leave connections half open. That the next one is answered like the first takes a vantage point that resets them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use pathsurvey::config::SurveyConfig;
use pathsurvey::lab::{LabNetwork, Truth, TruthAnswer, TruthEnd, TruthFlow};
use pathsurvey::model::{
    DiscardReason, Evidence, FlowId, HopRecord, Protocol, Purpose, ReplyKind, Status, StopReason,
    TcpFlags, TraceId, TraceRecord, Ttl,
};
use pathsurvey::targets::{Families, TargetSpec};

use super::experiment::{Observed, config, inline, observe, rate};
use super::traces;

const V4: &str = "sample-targets/lab.csv";
const V6: &str = "sample-targets/lab6.csv";

/// Of a list.
const TARGETS: usize = 200;
/// Of a target: several, because each flow opens connections of its own.
const FLOWS: u16 = 2;
const MAX_TTL: Ttl = Ttl(32);

/// The generated internet with nothing wrong in it but firewalls.
fn network() -> LabNetwork {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("labs/generated-clean.toml");
    let text = fs::read_to_string(path).expect("the example");
    let text = text
        .replace("filtered_targets = 0.0", "filtered_targets = 0.3")
        .replace("prohibited_targets = 0.0", "prohibited_targets = 0.1");
    assert!(text.contains("filtered_targets = 0.3") && text.contains("prohibited_targets = 0.1"));
    inline(&text)
}

/// A survey of the first targets of a list.
fn tcp(list: &str, flags: TcpFlags) -> SurveyConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(list);
    let text = fs::read_to_string(path).expect("a list");
    let lines = text.lines().skip(1).take(TARGETS);
    let targets: Vec<&str> = lines.filter_map(|line| line.split(',').next()).collect();
    assert_eq!(targets.len(), TARGETS);
    let base = config(&targets, 5);
    SurveyConfig {
        targets: TargetSpec {
            families: Families::Both,
            ..base.targets
        },
        protocol: Protocol::Tcp,
        tcp_flags: flags,
        destination_port: 443,
        flows: FLOWS,
        max_ttl: MAX_TTL,
        rate: rate(4_000.0),
        window: 300,
        ..base
    }
}

/// What the network shows of a row's flow.
fn truth_of(network: &LabNetwork, row: &HopRecord) -> Truth {
    let (Some(from), Some(to)) = (row.src_port, row.dst_port) else {
        panic!("a TCP probe has ports: {row:?}");
    };
    let flow = TruthFlow::tcp(row.destination, from, to);
    let flow = match row.flow_label {
        Some(label) => flow.with_flow_label(label),
        None => flow,
    };
    network.truth_of_every_ttl(flow, MAX_TTL)
}

/// Whether a row says all that `answer` is. Only SYNs open connections: of a segment with ACK open ports know nothing, either.
fn is_answer(row: &HopRecord, answer: &TruthAnswer, flags: TcpFlags) -> bool {
    let kind = match answer.kind() {
        Some(ReplyKind::SynAck) if flags != TcpFlags::Syn => Some(ReplyKind::Rst),
        kind => kind,
    };
    let micros = i32::try_from(answer.rtt.as_micros()).ok();
    row.reply.as_ref().is_some_and(|reply| {
        let quoted = reply.quoted.as_ref();
        reply.responder == answer.responder
            && Some(reply.kind) == kind
            && (reply.icmp_type, reply.icmp_code) == (answer.icmp_type(), answer.icmp_code())
            && reply.ttl == Some(answer.reply_ttl)
            && quoted.and_then(|quoted| quoted.ttl) == answer.quoted_ttl
            && quoted.and_then(|quoted| quoted.source) == answer.quoted_source
            && quoted.map(|quoted| quoted.destination) == answer.quoted_destination
            && reply.mpls == answer.mpls
    }) && row.status == Status::Replied
        && row.evidence == Some(Evidence::Full)
        && row.rtt_us == micros
}

/// Checks all rows of a trace against the truth of its flow, and what its sum says.
fn check_trace(trace: &TraceRecord, rows: &[&HopRecord], truth: &Truth, flags: TcpFlags) {
    for row in rows {
        let ttl = row.ttl.expect("a TCP answer names its probe");
        let hop = truth.hop(ttl).expect("a TTL within the truth");
        match hop.answer() {
            Some(answer) => assert!(is_answer(row, answer, flags), "{row:#?}\nis not {hop:#?}"),
            None => assert!(
                hop.is_silent() && row.status == Status::Timeout && row.reply.is_none(),
                "{row:#?}\nis not {hop:#?}"
            ),
        }
    }
    let of = |purpose| rows.iter().filter(move |row| row.purpose == purpose);
    let hops: BTreeSet<Ttl> = of(Purpose::Trace).filter_map(|row| row.ttl).collect();
    let end = match truth.end {
        TruthEnd::Reached(end) => {
            let sums = (trace.stop_reason, trace.reached, trace.path_length);
            assert_eq!(sums, (StopReason::Completed, true, Some(end)), "{trace:?}");
            assert_eq!(of(Purpose::Trace).count(), usize::from(end.0), "{trace:?}");
            end
        }
        TruthEnd::SilentTarget(end) => {
            let sums = (trace.stop_reason, trace.reached, trace.path_length);
            assert_eq!(sums, (StopReason::GapLimit, false, None), "{trace:?}");
            Ttl(end.0 - 1)
        }
        _ => panic!("every packet of this network arrives: {truth:#?}"),
    };
    let all: BTreeSet<Ttl> = (1..=end.0).map(Ttl).collect();
    assert!(hops.is_superset(&all), "{trace:?} lacks one of {all:?}");
}

/// Surveys a list, and holds every row against the truth of its flow and every flow's truth against its rows.
fn compare(list: &str, flags: TcpFlags) {
    let run = observe(tcp(list, flags), network());
    traces::check(&run);
    let mut rows: BTreeMap<TraceId, Vec<&HopRecord>> = BTreeMap::new();
    for row in &run.hops {
        rows.entry(row.trace_id).or_default().push(row);
    }
    let mut flows: BTreeSet<(IpAddr, FlowId)> = BTreeSet::new();
    for trace in &run.traces {
        let rows = &rows[&trace.trace_id];
        check_trace(trace, rows, &truth_of(&run.network, rows[0]), flags);
        flows.insert((trace.destination, trace.flow.expect("a flow")));
    }
    assert_eq!(flows.len(), TARGETS * usize::from(FLOWS));
    check_kinds(&run, flags);
    let counts = &run.tally.statistics;
    for reason in DiscardReason::ALL {
        assert_eq!(counts.discarded(reason), 0, "{reason:?}");
    }
    let answered = run.hops.iter().filter(|row| row.reply.is_some()).count();
    assert_eq!(counts.packets_received, answered as u64);
    assert_eq!(run.recorded.len() as u64, counts.probes_sent());
    check_resets(&run);
}

/// One for each SYN-ACK, as it arrives, and for nothing else: what comes of a segment with ACK is a reset itself. None is answered.
fn check_resets(run: &Observed) {
    let opened = |row: &&HopRecord| row.reply_kind() == Some(ReplyKind::SynAck);
    let replies = run.hops.iter().filter(opened).filter_map(|row| {
        let reply = row.reply.as_ref()?;
        Some((reply.received_at, reply.responder))
    });
    let resets = run.resets.iter().map(|reset| {
        assert_eq!(reset.deliveries, [], "{reset:?}");
        (reset.sent_at, destination(&reset.packet))
    });
    let [opened, reset]: [BTreeSet<_>; 2] = [replies.collect(), resets.collect()];
    assert_eq!(opened, reset);
    assert_eq!(reset.len(), run.resets.len(), "no reset twice");
}

fn destination(packet: &[u8]) -> IpAddr {
    match packet[0] >> 4 {
        4 => <[u8; 4]>::try_from(&packet[16..20]).map(IpAddr::from),
        _ => <[u8; 16]>::try_from(&packet[24..40]).map(IpAddr::from),
    }
    .expect("an IP header")
}

/// There are hosts of every kind, or the comparison would show little.
fn check_kinds(run: &Observed, flags: TcpFlags) {
    let of_target = |kind: Option<ReplyKind>| {
        let of_kind = |row: &&HopRecord| {
            let own = row.responder() == Some(row.destination);
            row.purpose == Purpose::Distance && row.reply_kind() == kind && (own || kind.is_none())
        };
        run.hops.iter().filter(of_kind).count()
    };
    let open = of_target(Some(ReplyKind::SynAck));
    let [reset, silent] = [Some(ReplyKind::Rst), None].map(of_target);
    let prohibited = run.traces.len() - open - reset - silent;
    assert_eq!(open > 50, flags == TcpFlags::Syn, "{open} open");
    assert!(reset > 50 && silent > 50 && prohibited > 10);
}

#[test]
fn syn_probes_show_the_truth_in_both_families() {
    for list in [V4, V6] {
        compare(list, TcpFlags::Syn);
    }
}

#[test]
fn ack_probes_show_the_truth_in_both_families() {
    for list in [V4, V6] {
        compare(list, TcpFlags::Ack);
    }
}

#[test]
fn psh_probes_show_the_truth_in_both_families() {
    for list in [V4, V6] {
        compare(list, TcpFlags::Psh);
    }
}
