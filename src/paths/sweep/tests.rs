//! Why a trace of a sweep ends, and which rows stand for its path.

use std::net::Ipv4Addr;

use super::*;
use crate::model::{Anomaly, ProbeId, Protocol, Reply, ReplyKind};

const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const MAX_TTL: u8 = 6;

fn router(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

fn silent(ttl: u8) -> HopRecord {
    HopRecord {
        trace_id: TraceId(0),
        probe_id: Some(ProbeId(ttl.into())),
        reply_index: 0,
        on_path: None,
        destination: TARGET,
        source: None,
        protocol: Protocol::Udp.into(),
        src_port: Some(24_000),
        dst_port: Some(33_434),
        icmp_id: None,
        flow_label: None,
        flow: FlowId(0),
        round: 0,
        ttl: Some(Ttl(ttl)),
        attempt: 1,
        purpose: Purpose::Sweep,
        probe_size: 60,
        probe_tos: 0,
        probe_ip_id: None,
        probe_checksum: None,
        sent_at: Some(Time::from_nanos(1_000_000 * u64::from(ttl))),
        status: Status::Timeout,
        reason: None,
        reply: None,
        evidence: None,
        rtt_us: None,
        inferred: None,
    }
}

fn says(kind: ReplyKind, by: IpAddr, ttl: u8) -> HopRecord {
    let at = Time::from_nanos(1_000_000 * u64::from(ttl) + 500_000);
    HopRecord {
        status: Status::Replied,
        reply: Some(Box::new(Reply::bare(by, at, kind))),
        evidence: Some(Evidence::Full),
        rtt_us: Some(500),
        ..silent(ttl)
    }
}

fn expired(by: u8, ttl: u8) -> HopRecord {
    says(ReplyKind::TimeExceeded, router(by), ttl)
}

fn arrived(ttl: u8) -> HopRecord {
    says(ReplyKind::PortUnreachable, TARGET, ttl)
}

fn skipped(reason: UnsentReason, ttl: u8) -> HopRecord {
    HopRecord {
        status: Status::Skipped,
        reason: Some(reason),
        sent_at: None,
        ..silent(ttl)
    }
}

fn swept(rows: &[HopRecord]) -> SweptTrace {
    let facts = Swept {
        trace_id: TraceId(0),
        target: TargetId(0),
        flow: FlowId(0),
        destination: TARGET,
        first_ttl: Ttl(1),
        max_ttl: Ttl(MAX_TTL),
        run_started_at: Time::from_nanos(7),
    };
    swept_trace(&facts, rows.to_vec())
}

/// Stop reason, path length and last TTL.
fn end(rows: &[HopRecord]) -> (StopReason, Option<u8>, Option<u8>) {
    let record = swept(rows).record;
    (
        record.stop_reason,
        record.path_length.map(|ttl| ttl.0),
        record.last_ttl.map(|ttl| ttl.0),
    )
}

#[test]
fn a_path_ends_at_the_lowest_ttl_that_the_target_answered() {
    let rows = [
        expired(1, 1),
        silent(2),
        arrived(3),
        arrived(4),
        arrived(5),
        silent(6),
    ];
    let trace = swept(&rows);
    assert_eq!(end(&rows), (StopReason::Completed, Some(3), Some(3)));
    let path = vec![Some(router(1)), None, Some(TARGET)];
    assert_eq!(trace.record.path, Some(path));
    assert_eq!(trace.on_path, [true, true, true, false, false, false]);
    assert_eq!(trace.record.probes_sent, 6);
    assert_eq!(trace.record.target_rtt_us, Some(500));
    assert_eq!(trace.record.started_at, Time::from_nanos(1_000_000));
    assert_eq!(trace.record.finished_at, Time::from_nanos(6_000_000));
}

#[test]
fn the_length_is_known_only_if_the_probe_before_was_sent() {
    let unsent = skipped(UnsentReason::NearHopLimit, 2);
    let rows = [
        expired(1, 1),
        unsent,
        arrived(3),
        arrived(4),
        arrived(5),
        arrived(6),
    ];
    assert_eq!(end(&rows), (StopReason::Completed, None, Some(3)));
}

#[test]
fn each_end_has_its_reason() {
    use ReplyKind::HostUnreachable;
    let complaint = |by, ttl| says(HostUnreachable, router(by), ttl);
    let hops = |last: u8| (1..=last).map(|ttl| expired(ttl, ttl));
    let rest = |from: u8| (from..=MAX_TTL).map(silent);
    let path = |further: Vec<HopRecord>| -> Vec<HopRecord> {
        let from = further.last().map_or(4, |row| row.ttl.unwrap().0 + 1);
        hops(3).chain(further).chain(rest(from)).collect()
    };
    let refused = |ttl| HopRecord {
        status: Status::SendError,
        reason: Some(UnsentReason::NoRoute),
        sent_at: None,
        ..silent(ttl)
    };
    let mut uncertain = arrived(6);
    (uncertain.ttl, uncertain.reply_index) = (None, 1);
    let answered = || {
        path(vec![complaint(4, 4)])
            .into_iter()
            .chain([uncertain.clone()])
    };
    for (rows, expected) in [
        (path(vec![]), (StopReason::MaxTtl, None, Some(3))),
        (
            path(vec![complaint(4, 4)]),
            (StopReason::Unreachable, None, Some(4)),
        ),
        // The same router again.
        (
            path(vec![complaint(4, 4), complaint(4, 5)]),
            (StopReason::Unreachable, None, Some(4)),
        ),
        // The path goes on behind the complaint.
        (
            path(vec![complaint(4, 4), expired(5, 5)]),
            (StopReason::MaxTtl, None, Some(5)),
        ),
        // The target answered, and it is not known which probe.
        (answered().collect(), (StopReason::MaxTtl, None, Some(4))),
        (
            path(vec![expired(2, 4), expired(3, 5)]),
            (StopReason::Loop, None, Some(4)),
        ),
        // A new address after the return.
        (
            path(vec![expired(2, 4), expired(9, 5)]),
            (StopReason::MaxTtl, None, Some(5)),
        ),
        (
            (1..=MAX_TTL).map(refused).collect(),
            (StopReason::Error, None, None),
        ),
        (hops(3).collect(), (StopReason::Interrupted, None, Some(3))),
        (
            path(vec![skipped(UnsentReason::Interrupted, 4)]),
            (StopReason::Interrupted, None, Some(3)),
        ),
        (
            path(vec![skipped(UnsentReason::Blocklisted, 4)]),
            (StopReason::Excluded, None, Some(3)),
        ),
    ] {
        assert_eq!(end(&rows), expected, "{rows:#?}");
    }
}

#[test]
fn a_trace_without_a_probe_has_the_time_of_the_run() {
    let rows: Vec<_> = (1..=MAX_TTL)
        .map(|ttl| skipped(UnsentReason::Blocklisted, ttl))
        .collect();
    let record = swept(&rows).record;
    let start = Time::from_nanos(7);
    assert_eq!((record.started_at, record.finished_at), (start, start));
    assert_eq!((record.path, record.first_ttl), (None, None));
}

/// In a trace, the late reply takes the place of the timeout. A silent attempt beside an answer would look rate limited.
#[test]
fn a_late_reply_takes_the_place_of_its_timeout() {
    let late = HopRecord {
        reply_index: 1,
        status: Status::Late,
        ..expired(2, 2)
    };
    let rows = [
        expired(1, 1),
        silent(2),
        late,
        arrived(3),
        arrived(4),
        arrived(5),
        arrived(6),
    ];
    let trace = swept(&rows);
    let path = vec![Some(router(1)), Some(router(2)), Some(TARGET)];
    assert_eq!(trace.record.path, Some(path));
    assert_eq!(
        trace.on_path,
        [true, false, true, true, false, false, false]
    );
    assert!(!trace.record.anomalies.contains(Anomaly::RateLimited));
    assert_eq!((trace.record.probes_sent, trace.record.replies), (6, 5));
}

#[test]
fn a_stronger_reply_takes_the_place_of_a_weak_one() {
    let weak = HopRecord {
        evidence: Some(Evidence::Weak),
        ..expired(8, 2)
    };
    let stronger = HopRecord {
        reply_index: 1,
        status: Status::Duplicate,
        ..expired(2, 2)
    };
    let rows = [
        expired(1, 1),
        weak,
        stronger,
        arrived(3),
        arrived(4),
        arrived(5),
        arrived(6),
    ];
    let trace = swept(&rows);
    let path = vec![Some(router(1)), Some(router(2)), Some(TARGET)];
    assert_eq!(trace.record.path, Some(path));
    assert_eq!(
        trace.on_path,
        [true, false, true, true, false, false, false]
    );
    assert_eq!(trace.record.replies, 6);
}

#[test]
fn rows_of_a_second_pass_are_no_part_of_the_path() {
    let second = HopRecord {
        purpose: Purpose::SecondPass,
        round: 1,
        probe_id: Some(ProbeId(100)),
        ..expired(2, 2)
    };
    let rows = [
        expired(1, 1),
        silent(2),
        second,
        arrived(3),
        arrived(4),
        arrived(5),
        arrived(6),
    ];
    let trace = swept(&rows);
    let path = vec![Some(router(1)), None, Some(TARGET)];
    assert_eq!(trace.record.path, Some(path));
    assert_eq!(
        trace.on_path,
        [true, true, false, true, false, false, false]
    );
    assert_eq!(trace.record.probes_sent, 6);
}
