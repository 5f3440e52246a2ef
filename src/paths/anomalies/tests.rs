//! Each anomaly, and traces that are similar but do not show it.

mod quotes;
mod sizes;

use super::*;
use std::net::Ipv4Addr;

use Anomaly::*;

use crate::model::{
    FlowId, MplsLabel, ProbeId, Purpose, QuotedEcho, QuotedTransport, QuotedUdp, StopReason,
    TargetId, Time, TraceId,
};

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TARGET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Returns the row of a probe without an answer. Every field is known, so that a test can quote each one changed.
fn silent(ttl: u8, attempt: u8) -> HopRecord {
    HopRecord {
        trace_id: TraceId(0),
        probe_id: Some(ProbeId(u64::from(ttl) * 8 + u64::from(attempt))),
        on_path: None,
        reply_index: 0,
        destination: TARGET.into(),
        source: Some(SOURCE.into()),
        protocol: Protocol::Udp.into(),
        src_port: Some(24_000),
        dst_port: Some(33_434),
        icmp_id: None,
        flow_label: None,
        flow: FlowId(0),
        round: 0,
        ttl: Some(Ttl(ttl)),
        attempt,
        purpose: Purpose::Trace,
        probe_size: 50,
        probe_tos: 0,
        probe_ip_id: Some(0x1234),
        probe_checksum: Some(0x4321),
        sent_at: None,
        status: Status::Timeout,
        reason: None,
        reply: None,
        evidence: None,
        rtt_us: None,
        inferred: None,
    }
}

/// Returns the quote of a probe that was not changed on the way.
fn quote_of(row: &HopRecord) -> QuotedProbe {
    let transport = QuotedUdp {
        src_port: row.src_port,
        dst_port: row.dst_port,
        checksum: row.probe_checksum,
        ..QuotedUdp::default()
    };
    QuotedProbe {
        source: row.source,
        ttl: Some(1),
        tos: Some(row.probe_tos),
        ip_id: row.probe_ip_id,
        flow_label: row.flow_label,
        ..QuotedProbe::bare(row.destination, 17, QuotedTransport::Udp(transport))
    }
}

fn answered(mut row: HopRecord, responder: IpAddr, evidence: Evidence) -> HopRecord {
    let kind = match responder == row.destination {
        true => ReplyKind::PortUnreachable,
        false => ReplyKind::TimeExceeded,
    };
    let mut reply = Reply::bare(responder, Time::default(), kind);
    reply.quoted = Some(quote_of(&row));
    row.status = Status::Replied;
    row.evidence = Some(evidence);
    row.reply = Some(Box::new(reply));
    row
}

fn too_large(row: HopRecord, responder: IpAddr) -> HopRecord {
    let mut row = answered(row, responder, Evidence::Full);
    reply(&mut row).kind = ReplyKind::FragmentationNeeded;
    row
}

/// Reads a trace from text. Each word is a TTL, and each character of a word is an attempt:
///
/// | text | meaning |
/// |---|---|
/// | `A` to `Z`, not `T` | router, strong evidence |
/// | `a` to `z` | router, weak evidence |
/// | `T` | the target |
/// | `*` | timeout |
/// | `1` to `9` | "too large" from router `A` to `I` |
/// | `/` | end of the path; without it, the path ends at the last answer |
/// | `=` before a word | the distance probe |
fn trace(text: &str) -> (Vec<HopRecord>, TraceEnd) {
    let (mut rows, mut last_ttl) = (Vec::new(), None);
    for word in text.split_whitespace() {
        let ttl = rows
            .last()
            .map_or(0, |row: &HopRecord| row.ttl.map_or(0, |ttl| ttl.0));
        if word == "/" {
            last_ttl = Some(Ttl(ttl));
            continue;
        }
        let distance = word.strip_prefix('=');
        let ttl = if distance.is_some() { 32 } else { ttl + 1 };
        for (sign, attempt) in distance.unwrap_or(word).chars().zip(1..) {
            let row = silent(ttl, attempt);
            let router =
                |sign: char| Ipv4Addr::new(10, 0, 0, sign.to_ascii_uppercase() as u8).into();
            let mut row = match sign {
                '*' => row,
                'T' => answered(row, TARGET.into(), Evidence::Full),
                'A'..='Z' => answered(row, router(sign), Evidence::Full),
                '1'..='9' => too_large(row, router((sign as u8 - b'1' + b'A') as char)),
                _ => answered(row, router(sign), Evidence::Weak),
            };
            if distance.is_some() {
                row.purpose = Purpose::Distance;
            }
            rows.push(row);
        }
    }
    let last_answer = rows
        .iter()
        .rfind(|row| row.purpose != Purpose::Distance && row.reply.is_some());
    let end = TraceEnd {
        target: TargetId(0),
        flow: FlowId(0),
        destination: TARGET.into(),
        started_at: Time::default(),
        finished_at: Time::default(),
        stop_reason: StopReason::GapLimit,
        path_length: None,
        last_ttl: last_ttl.or(last_answer.and_then(|row| row.ttl)),
        path_mtu: None,
        graph: None,
    };
    (rows, end)
}

fn found(text: &str) -> Vec<Anomaly> {
    let (rows, end) = trace(text);
    find(&rows, &end).iter().collect()
}

fn check(cases: &[(&str, &[Anomaly])]) {
    for (text, expected) in cases {
        assert_eq!(found(text), *expected, "{text}");
    }
}

/// Returns the anomalies of `A B T` after `change` to its rows (0, 1, 2).
fn changed(change: impl FnOnce(&mut [HopRecord])) -> Vec<Anomaly> {
    let (mut rows, end) = trace("A B T");
    change(&mut rows);
    find(&rows, &end).iter().collect()
}

fn reply(row: &mut HopRecord) -> &mut Reply {
    row.reply.as_deref_mut().expect("an answer")
}

fn udp(quote: &mut QuotedProbe) -> &mut QuotedUdp {
    match &mut quote.transport {
        QuotedTransport::Udp(udp) => udp,
        other => panic!("{other:?}"),
    }
}

fn quote(row: &mut HopRecord) -> &mut QuotedProbe {
    reply(row).quoted.as_mut().expect("a quote")
}

#[test]
fn a_normal_path_has_no_anomaly() {
    check(&[
        ("A B C T", &[]),
        ("A B C T / T T =T", &[]),
        ("A", &[]),
        ("* * *", &[]),
        ("", &[]),
    ]);
}

#[test]
fn a_loop_is_an_address_that_returns_when_no_new_address_answers_later() {
    check(&[
        ("A B C B", &[Loop]),
        ("A B C B / C B =C", &[Loop]),
        ("A B C D B / * *", &[Loop]),
        // A weak answer does not turn a loop into a cycle.
        ("A B C B / d =d", &[Loop]),
        ("A B B B", &[Loop]),
        ("A B * B", &[Loop, SilentHop]),
        ("A B c B", &[Loop]),
        // Known addresses do not either.
        ("A B C B A", &[Loop]),
        ("A B A B / A B A B =B", &[Loop]),
        // Zero-TTL forwarding, or a middlebox that answers for another host: two consecutive TTLs are no loop.
        ("A B B C T", &[]),
        ("A B B C C T", &[]),
        // Beyond the end of the path the target answers at any TTL.
        ("A B T / T T T", &[]),
        ("A B C / C C", &[]),
        // The answer to the distance probe is no return, and neither is a weak answer.
        ("A B C =A", &[]),
        ("A B C b", &[]),
        ("A b C B T", &[]),
    ]);
}

#[test]
fn a_cycle_is_an_address_that_returns_before_the_trace_goes_on() {
    check(&[
        ("A B C B D T", &[Cycle]),
        ("A B C B T", &[Cycle]),
        ("A B C B C B C T", &[Cycle]),
        // Rows beyond the TTL at which the strategy stopped, and the distance probe, show that the trace goes on.
        ("A B C B / C D", &[Cycle]),
        ("A B C B =T", &[Cycle]),
        ("A B A C D C", &[Loop, Cycle]),
        ("A B B B A C T", &[Cycle]),
        ("A B B B C T", &[Cycle]),
        ("A B c B D T", &[Cycle]),
        ("A B * B C T", &[Cycle, SilentHop]),
        ("A B C D T", &[]),
    ]);
}

#[test]
fn zero_ttl_forwarding_is_a_quoted_ttl_of_0_and_then_the_same_router() {
    let with = |text: &str, quoted_ttl: u8, kind: ReplyKind| {
        let (mut rows, end) = trace(text);
        quote(&mut rows[1]).ttl = Some(quoted_ttl);
        reply(&mut rows[1]).kind = kind;
        find(&rows, &end).iter().collect::<Vec<_>>()
    };
    let expired = ReplyKind::TimeExceeded;
    assert_eq!(with("A B B T", 0, expired), [ZeroTtlForwarding]);
    assert_eq!(
        with("A B BC T", 0, expired),
        [ZeroTtlForwarding, PerPacketBalancing]
    );
    assert_eq!(with("A B B T", 1, expired), []);
    assert_eq!(with("A B C T", 0, expired), []);
    assert_eq!(with("A B * B T", 0, expired), [Cycle, SilentHop]);
    assert_eq!(with("A B B T", 0, ReplyKind::HostUnreachable), []);
    assert_eq!(with("A b B T", 0, expired), []);
    assert_eq!(with("A B b T", 0, expired), []);
}

#[test]
fn per_packet_balancing_is_two_responders_at_one_ttl() {
    check(&[
        ("A BC T", &[PerPacketBalancing]),
        ("A BB T", &[]),
        ("A Bc T", &[]),
        ("A cB T", &[]),
        ("A B T / BC", &[]),
    ]);
    // A further reply to the same probe counts if it has another responder.
    let further = |responder: Ipv4Addr, evidence| {
        changed(|rows| {
            rows[1].reply_index = 1;
            let mut own = answered(silent(2, 1), OTHER.into(), Evidence::Full);
            reply(&mut own).responder = responder.into();
            own.evidence = Some(evidence);
            rows[0] = own;
        })
    };
    assert_eq!(further(OTHER, Evidence::Full), [PerPacketBalancing]);
    assert_eq!(further(OTHER, Evidence::Rewritten), [PerPacketBalancing]);
    assert_eq!(further(OTHER, Evidence::Weak), []);
    assert_eq!(further(Ipv4Addr::new(10, 0, 0, b'B'), Evidence::Full), []);
}

#[test]
fn a_time_exceeded_from_the_target_is_an_anomaly() {
    let expired = |evidence, at: usize| {
        changed(|rows| {
            reply(&mut rows[at]).kind = ReplyKind::TimeExceeded;
            rows[at].evidence = Some(evidence);
        })
    };
    assert_eq!(expired(Evidence::Full, 2), [TargetTimeExceeded]);
    assert_eq!(expired(Evidence::Rewritten, 2), [TargetTimeExceeded]);
    assert_eq!(expired(Evidence::Weak, 2), []);
    assert_eq!(expired(Evidence::Full, 1), []);
}

#[test]
fn a_target_s_answer_from_another_address_is_an_anomaly() {
    let said = |kind, protocol: Protocol, evidence| {
        changed(|rows| {
            reply(&mut rows[2]).kind = kind;
            reply(&mut rows[2]).responder = OTHER.into();
            (rows[2].protocol, rows[2].evidence) = (protocol.into(), Some(evidence));
        })
    };
    let sure = Evidence::Rewritten;
    for kind in [
        ReplyKind::EchoReply,
        ReplyKind::SynAck,
        ReplyKind::Rst,
        ReplyKind::Udp,
    ] {
        assert_eq!(said(kind, Protocol::Tcp, sure), [OtherAddress], "{kind:?}");
        assert_eq!(said(kind, Protocol::Udp, Evidence::Weak), [], "{kind:?}");
    }
    let closed = ReplyKind::PortUnreachable;
    assert_eq!(said(closed, Protocol::Udp, sure), [OtherAddress]);
    // A firewall rejects probes of other protocols with port unreachables.
    assert_eq!(said(closed, Protocol::Icmp, sure), []);
    assert_eq!(said(closed, Protocol::Tcp, sure), []);
    assert_eq!(said(ReplyKind::HostUnreachable, Protocol::Udp, sure), []);
    assert_eq!(changed(|_| ()), []);
}

/// Neither an arrival nor a complaint is the return of an address.
#[test]
fn arrivals_and_complaints_make_no_loop() {
    let with = |text: &str, at: usize, kind: ReplyKind| {
        let (mut rows, end) = trace(text);
        reply(&mut rows[at]).kind = kind;
        find(&rows, &end).iter().collect::<Vec<_>>()
    };
    assert_eq!(with("A B C A", 3, ReplyKind::EchoReply), [OtherAddress]);
    assert_eq!(with("A B C A", 3, ReplyKind::HostUnreachable), []);
    assert_eq!(with("A B C A", 3, ReplyKind::TimeExceeded), [Loop]);
    // The trace goes on to the end of the path, although that address answered before.
    let cycle = [Cycle, OtherAddress];
    assert_eq!(with("A B C B A", 4, ReplyKind::EchoReply), cycle);
}

#[test]
fn timeouts_before_an_answer_are_rate_limiting_or_a_silent_hop() {
    check(&[
        ("A *B T", &[RateLimited]),
        ("A B* T", &[RateLimited]),
        ("A ** T", &[SilentHop]),
        ("A * T", &[SilentHop]),
        ("A *B ** C", &[RateLimited, SilentHop]),
        // No later TTL of the path has an answer.
        ("A *B", &[]),
        ("A B ** **", &[]),
        ("A *T", &[]),
        ("A B / ** T", &[]),
        ("A ** =T", &[]),
        // A weak reply is neither an answer nor a timeout.
        ("A *b T", &[]),
        ("A ** b", &[]),
        ("A b T", &[]),
    ]);
    let late = changed(|rows| rows[1].status = Status::Late);
    assert_eq!(late, [], "late is answered");
}

#[test]
fn a_tunnel_shows_labels_or_quoted_ttls_that_rise() {
    let label = MplsLabel {
        label: 24_001,
        traffic_class: 0,
        bottom: true,
        ttl: 1,
    };
    let labelled = |evidence| {
        changed(|rows| {
            reply(&mut rows[1]).mpls = vec![label];
            rows[1].evidence = Some(evidence);
        })
    };
    assert_eq!(labelled(Evidence::Full), [MplsTunnel]);
    assert_eq!(labelled(Evidence::Weak), []);
    let quoting = |text: &str, ttls: [u8; 4]| {
        let (mut rows, end) = trace(text);
        for (row, ttl) in rows.iter_mut().zip(ttls) {
            if row.reply.is_some() {
                quote(row).ttl = Some(ttl);
            }
        }
        find(&rows, &end).iter().collect::<Vec<_>>()
    };
    assert_eq!(quoting("A B C D T", [1, 1, 2, 3]), [MplsTunnel]);
    assert_eq!(quoting("A B C D T", [2, 3, 1, 1]), [MplsTunnel]);
    // One router answers for the TTLs behind it, also with two addresses in turn.
    assert_eq!(quoting("A B B T", [1, 2, 3, 4]), []);
    assert_eq!(quoting("A B B B", [1, 2, 3, 4]), [Loop]);
    assert_eq!(quoting("A B A B", [1, 2, 3, 4]), [Loop]);
    assert_eq!(quoting("A B C D T", [1, 1, 2, 1]), [], "one TTL over 1");
    assert_eq!(quoting("A B C D T", [1, 2, 2, 1]), [], "not rising");
    assert_eq!(quoting("A B C D T", [1, 2, 4, 1]), [], "nor one by one");
    assert_eq!(
        quoting("A B * D T", [1, 2, 0, 3]),
        [SilentHop],
        "not in a row"
    );
    assert_eq!(quoting("A B c D T", [1, 2, 3, 4]), [], "weak");
    // A port unreachable quotes the remaining TTL.
    assert_eq!(quoting("A B T T", [1, 2, 3, 4]), []);
}

#[test]
fn send_errors_and_empty_traces_have_no_anomaly() {
    let (mut rows, end) = trace("A B T");
    rows[1].status = Status::SendError;
    rows[1].reply = None;
    rows[1].evidence = None;
    assert!(find(&rows, &end).is_empty(), "not sent is not silent");
    rows.clear();
    assert!(
        find(
            &rows,
            &TraceEnd {
                last_ttl: None,
                path_mtu: None,
                graph: None,
                ..end
            }
        )
        .is_empty()
    );
}
