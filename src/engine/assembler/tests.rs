//! The assembler with rows that arrive in different orders.

mod path;
mod random;
mod targets;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::model::{
    Anomaly, Evidence, FlowId, Protocol, Purpose, Reply, ReplyKind, TargetId, Time, Ttl, path_hash,
};

const TARGET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

fn reply(responder: Ipv4Addr, kind: ReplyKind) -> Box<Reply> {
    Box::new(Reply {
        icmp_type: Some(11),
        icmp_code: Some(0),
        ..Reply::bare(responder.into(), Time::default(), kind)
    })
}

fn row(probe: u64, ttl: u8, reply_index: u16, status: Status) -> HopRecord {
    let answered = matches!(status, Status::Replied | Status::Late | Status::Duplicate);
    HopRecord {
        trace_id: TraceId(0),
        probe_id: Some(ProbeId(probe)),
        reply_index,
        on_path: None,
        destination: TARGET.into(),
        source: None,
        protocol: Protocol::Udp.into(),
        src_port: None,
        dst_port: None,
        icmp_id: None,
        flow_label: None,
        flow: FlowId(0),
        round: 0,
        ttl: Some(Ttl(ttl)),
        attempt: 1,
        purpose: Purpose::Trace,
        probe_size: 50,
        probe_tos: 0,
        probe_ip_id: None,
        probe_checksum: None,
        sent_at: None,
        status,
        reason: None,
        reply: answered.then(|| reply(Ipv4Addr::new(10, 0, 0, ttl), ReplyKind::TimeExceeded)),
        evidence: answered.then_some(Evidence::Full),
        rtt_us: None,
        inferred: None,
    }
}

fn arrival(probe: u64, ttl: u8) -> HopRecord {
    let mut row = row(probe, ttl, 0, Status::Replied);
    row.reply = Some(reply(TARGET, ReplyKind::PortUnreachable));
    row
}

fn end(stop_reason: StopReason, path_length: Option<u8>) -> TraceEnd {
    TraceEnd {
        target: TargetId(0),
        flow: FlowId(0),
        destination: TARGET.into(),
        started_at: Time::default(),
        finished_at: Time::default(),
        stop_reason,
        path_length: path_length.map(Ttl),
        last_ttl: Some(Ttl(path_length.unwrap_or(9))),
        path_mtu: None,
        graph: None,
    }
}

fn shown(out: &Assembled) -> Vec<(u8, u16, Status)> {
    out.whole
        .hops
        .iter()
        .map(|row| (row.ttl.map_or(0, |ttl| ttl.0), row.reply_index, row.status))
        .collect()
}

#[test]
fn a_target_that_answered_one_of_several_probes_was_reached() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    assembler.row(row(0, 1, 0, Status::Timeout), &mut out);
    let mut of_no_hop = arrival(0, 1);
    (of_no_hop.status, of_no_hop.reply_index, of_no_hop.ttl) = (Status::Duplicate, 1, None);
    assembler.row(of_no_hop, &mut out);
    assembler.end(&end(StopReason::GapLimit, None), &mut out);
    assert!(out.whole.traces[0].reached);
}

/// A probe has a router's complaint and then the target's answer. The hop is the target.
#[test]
fn a_target_that_answered_behind_a_complaint_was_reached() {
    for from in [TARGET, Ipv4Addr::new(203, 0, 113, 9)] {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        assembler.row(row(0, 1, 0, Status::Replied), &mut out);
        let mut complaint = row(1, 2, 0, Status::Replied);
        complaint.reply = Some(reply(
            Ipv4Addr::new(10, 0, 0, 1),
            ReplyKind::HostUnreachable,
        ));
        assembler.row(complaint, &mut out);
        let mut further = row(1, 2, 1, Status::Duplicate);
        further.reply = Some(reply(from, ReplyKind::EchoReply));
        assembler.row(further, &mut out);
        assembler.end(&end(StopReason::Completed, Some(2)), &mut out);
        let trace = &out.whole.traces[0];
        assert!(trace.reached);
        let path = [
            (Ttl(1), Some(Ipv4Addr::new(10, 0, 0, 1).into())),
            (Ttl(2), Some(from.into())),
        ];
        assert_eq!(trace.path_hash, Some(path_hash(path)));
        let anomalies: Vec<_> = trace.anomalies.iter().map(Anomaly::as_str).collect();
        let expected = match from == TARGET {
            true => vec![],
            false => vec!["other_address"],
        };
        assert_eq!(anomalies, expected);
    }
}

/// A port unreachable proves that the target was reached only if it comes from the target.
#[test]
fn a_port_unreachable_from_another_address_does_not_show_that_the_target_was_reached() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    let mut refusal = row(0, 1, 0, Status::Replied);
    refusal.reply = Some(reply(
        Ipv4Addr::new(203, 0, 113, 9),
        ReplyKind::PortUnreachable,
    ));
    assembler.row(refusal, &mut out);
    assembler.end(&end(StopReason::Unreachable, None), &mut out);
    assert!(!out.whole.traces[0].reached);
    assert!(
        out.whole.traces[0]
            .anomalies
            .contains(Anomaly::OtherAddress)
    );
}

#[test]
fn the_rows_of_a_trace_are_written_together_and_in_order() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    assembler.row(arrival(2, 3), &mut out);
    assembler.row(row(1, 2, 0, Status::Timeout), &mut out);
    assembler.row(row(0, 1, 0, Status::Replied), &mut out);
    assembler.row(row(0, 1, 1, Status::Duplicate), &mut out);
    assert!(out.whole.hops.is_empty());
    assembler.end(&end(StopReason::Completed, Some(3)), &mut out);
    let expected = [
        (1, 0, Status::Replied),
        (1, 1, Status::Duplicate),
        (2, 0, Status::Timeout),
        (3, 0, Status::Replied),
    ];
    assert_eq!(shown(&out), expected);
    let trace = &out.whole.traces[0];
    assert!(trace.reached);
    assert_eq!(
        (trace.hops_responding, trace.probes_sent, trace.replies),
        (2, 3, 2)
    );
    let path = [
        (Ttl(1), Some(Ipv4Addr::new(10, 0, 0, 1).into())),
        (Ttl(2), None),
        (Ttl(3), Some(TARGET.into())),
    ];
    assert_eq!(trace.path_hash, Some(path_hash(path)));
    assert_eq!(assembler.statistics().probes(Status::Replied), 2);
    assert_eq!(assembler.statistics().extra_replies(Status::Duplicate), 1);
}

#[test]
fn a_router_that_answers_too_large_is_no_hop_of_the_path() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    let narrow = Ipv4Addr::new(10, 0, 0, 1);
    let mut too_large = row(1, 2, 0, Status::Replied);
    too_large.reply = Some(reply(narrow, ReplyKind::FragmentationNeeded));
    let second = |probe, ttl| HopRecord {
        attempt: 2,
        ..row(probe, ttl, 0, Status::Replied)
    };
    assembler.row(row(0, 1, 0, Status::Replied), &mut out);
    assembler.row(too_large.clone(), &mut out);
    assembler.row(second(2, 2), &mut out);
    // The third hop has no other answer: it was probed, and its responder is unknown.
    too_large.ttl = Some(Ttl(3));
    assembler.row(too_large, &mut out);
    assembler.row(arrival(3, 4), &mut out);
    assembler.end(&end(StopReason::Completed, Some(4)), &mut out);
    let path = [
        (Ttl(1), Some(narrow.into())),
        (Ttl(2), Some(Ipv4Addr::new(10, 0, 0, 2).into())),
        (Ttl(3), None),
        (Ttl(4), Some(TARGET.into())),
    ];
    let trace = &out.whole.traces[0];
    assert_eq!(trace.path_hash, Some(path_hash(path)));
    assert_eq!((trace.hops_responding, trace.replies), (3, 5));
    assert!(trace.anomalies.is_empty());
}

#[test]
fn a_router_that_answers_too_large_at_the_end_of_the_path_is_the_last_hop() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    let narrow = Ipv4Addr::new(10, 0, 0, 1);
    let mut too_large = row(1, 2, 0, Status::Replied);
    too_large.reply = Some(reply(narrow, ReplyKind::PacketTooBig));
    assembler.row(row(0, 1, 0, Status::Replied), &mut out);
    assembler.row(too_large, &mut out);
    let end = TraceEnd {
        last_ttl: Some(Ttl(2)),
        ..end(StopReason::Unreachable, None)
    };
    assembler.end(&end, &mut out);
    let path = [1, 2].map(|ttl| (Ttl(ttl), Some(narrow.into())));
    assert_eq!(out.whole.traces[0].path_hash, Some(path_hash(path)));
    assert_eq!(out.whole.traces[0].hops_responding, 2);
}

#[test]
fn a_late_reply_replaces_the_timeout_row_while_the_trace_is_open() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    assembler.row(row(0, 1, 0, Status::Timeout), &mut out);
    assembler.row(row(0, 1, 1, Status::Late), &mut out);
    assembler.row(row(0, 1, 2, Status::Duplicate), &mut out);
    assembler.end(&end(StopReason::GapLimit, None), &mut out);
    assembler.row(row(0, 1, 3, Status::Duplicate), &mut out);
    let expected = [
        (1, 0, Status::Late),
        (1, 1, Status::Duplicate),
        (1, 2, Status::Duplicate),
    ];
    assert_eq!(shown(&out), expected);
    assert_eq!(out.whole.traces[0].hops_responding, 1);
    assert_eq!(out.whole.traces[0].replies, 0, "late is not in time");
}

#[test]
fn a_send_error_replaces_the_timeout_row_while_the_trace_is_open() {
    let mut assembler = Assembler::new(true, 1);
    let mut out = Assembled::default();
    assembler.row(row(0, 1, 0, Status::Timeout), &mut out);
    assembler.row(row(1, 2, 0, Status::Replied), &mut out);
    for probe in [0, 1] {
        assembler.row(row(probe, 1 + probe as u8, 1, Status::SendError), &mut out);
    }
    assembler.end(&end(StopReason::Error, None), &mut out);
    // The trace has been written, so this send error is dropped.
    assembler.row(row(0, 1, 1, Status::SendError), &mut out);
    assert_eq!(
        shown(&out),
        [(1, 0, Status::SendError), (2, 0, Status::Replied)]
    );
}

#[test]
fn a_late_reply_to_a_finished_trace_is_an_extra_row() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    assembler.row(row(0, 1, 0, Status::Timeout), &mut out);
    assembler.end(&end(StopReason::GapLimit, None), &mut out);
    assembler.row(row(0, 1, 1, Status::Late), &mut out);
    assembler.row(row(0, 1, 2, Status::Duplicate), &mut out);
    let expected = [
        (1, 0, Status::Timeout),
        (1, 1, Status::Late),
        (1, 2, Status::Duplicate),
    ];
    assert_eq!(shown(&out), expected);
    assert_eq!(assembler.statistics().probes(Status::Timeout), 1);
}

#[test]
fn reply_numbers_are_unique_with_any_number_of_late_replies() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    let many = 2 * PROMOTED_PROBES as u64;
    for probe in 0..many {
        assembler.row(row(probe, 1, 0, Status::Timeout), &mut out);
        assembler.row(row(probe, 1, 1, Status::Late), &mut out);
        assembler.row(row(probe, 1, 2, Status::Duplicate), &mut out);
        assembler.end(&end(StopReason::GapLimit, None), &mut out);
    }
    for probe in 0..many {
        assembler.row(row(probe, 1, 3, Status::Duplicate), &mut out);
    }
    let numbers = out
        .whole
        .hops
        .iter()
        .map(|row| (row.probe_id, row.reply_index));
    let distinct: std::collections::HashSet<_> = numbers.collect();
    assert_eq!(
        (out.whole.hops.len(), distinct.len() as u64),
        (3 * many as usize, 3 * many)
    );
}

#[test]
fn a_stronger_reply_replaces_the_weak_one_while_the_trace_is_open() {
    let weak = |probe| HopRecord {
        evidence: Some(Evidence::Weak),
        ..row(probe, 1, 0, Status::Replied)
    };
    let surer = |probe, status| HopRecord {
        evidence: Some(Evidence::Full),
        ..row(probe, 1, 2, status)
    };
    for status in [Status::Replied, Status::Late] {
        let mut assembler = Assembler::new(true, 1);
        let mut out = Assembled::default();
        assembler.row(weak(5), &mut out);
        assembler.row(row(5, 1, 1, Status::Duplicate), &mut out);
        assembler.row(surer(5, status), &mut out);
        assembler.end(&end(StopReason::GapLimit, None), &mut out);
        let shown: Vec<_> = out
            .whole
            .hops
            .iter()
            .map(|row| (row.reply_index, row.status, row.evidence))
            .collect();
        let first = (0, status, Some(Evidence::Full));
        let last = (2, Status::Duplicate, Some(Evidence::Weak));
        assert_eq!((shown.len(), shown[0], shown[2]), (3, first, last));
    }
    // After that, and in a sweep, it is an extra row.
    for groups in [true, false] {
        let mut assembler = Assembler::new(groups, 1);
        let mut out = Assembled::default();
        assembler.row(weak(5), &mut out);
        assembler.end(&end(StopReason::GapLimit, None), &mut out);
        assembler.row(surer(5, Status::Replied), &mut out);
        let last = out.whole.hops.last().expect("a row");
        assert_eq!((last.reply_index, last.status), (2, Status::Duplicate));
    }
}

#[test]
fn the_rows_of_a_sweep_are_written_at_once() {
    let (mut assembler, mut out) = (Assembler::new(false, 1), Assembled::default());
    assembler.row(row(0, 5, 0, Status::Timeout), &mut out);
    assembler.row(row(0, 5, 1, Status::Late), &mut out);
    assert_eq!(shown(&out), [(5, 0, Status::Timeout), (5, 1, Status::Late)]);
}

#[test]
fn a_trace_without_a_probe_still_has_its_row() {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    assembler.end(&end(StopReason::Interrupted, None), &mut out);
    let trace = &out.cut_short.traces[0];
    assert_eq!(
        (trace.first_ttl, trace.path_hash, trace.probes_sent),
        (None, None, 0)
    );
    assert_eq!(trace.stop_reason.as_str(), "interrupted");
}
