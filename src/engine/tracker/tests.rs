//! The ways in which a probe can end. Each test drives the tracker directly.

mod abandoned;
mod further;
mod inferred;
mod local;

use std::net::Ipv4Addr;

use super::*;
use crate::engine::core::Event;
use crate::engine::tracker::settling::MOST_EXTRA_REPLIES;
use crate::model::{
    FlowId, HopRecord, Probe, ProbeResult, Purpose, ReplyKind, Status, TargetId, Ttl, UnsentReason,
};
use crate::transport::PacketBatch;
use crate::wire;
use crate::wire::checksum::Sum;
use crate::wire::token::RunKey;

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TARGET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const START: Time = Time::from_nanos(1_700_000_000_000_000_000);

const FORMAT: ProbeFormat = ProbeFormat::udp(1);

fn ms(n: u64) -> Time {
    START + Duration::from_millis(n)
}

/// A tracker under test, with its output so far.
struct Bench {
    tracker: Tracker,
    out: Settled,
    packets: Vec<Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        let timeouts = Timeouts {
            timeout: Duration::from_secs(3),
            late_window: Duration::from_secs(10),
        };
        let tokens = TokenMaker::new(RunKey::new([1; 16]));
        Bench {
            tracker: Tracker::new(FORMAT, timeouts, tokens, 16, ProbeId(0)),
            out: Settled::default(),
            packets: Vec::new(),
        }
    }

    /// Sends a probe with TTL 4 and sets its send time.
    fn send(&mut self, attempt: u8, at: Time) -> ProbeId {
        let id = self.enter(attempt, at);
        self.tracker.stamp(id, at, &mut self.out);
        id
    }

    fn enter(&mut self, attempt: u8, at: Time) -> ProbeId {
        let probe = Probe {
            target: TargetId(0),
            destination: TARGET.into(),
            flow: FlowId(0),
            ttl: Ttl(4),
            attempt,
            purpose: Purpose::Trace,
            size: None,
            round: 0,
        };
        let (id, marked) = self.tracker.enter(probe, SOURCE.into(), at);
        let mut batch = PacketBatch::default();
        FORMAT.encode(&marked, &mut batch);
        self.packets
            .push(batch.get(0).expect("a packet").1.to_vec());
        id
    }

    /// Passes a Time Exceeded from `responder` that quotes `quote`.
    fn arrive(&mut self, responder: Ipv4Addr, quote: &[u8], at: Time) -> Option<DiscardReason> {
        self.error([11, 0], responder, quote, at)
    }

    /// Passes a Host Unreachable from `responder` that quotes `quote`. `is_ours` says that `responder` is an address of this host.
    fn unreachable(
        &mut self,
        responder: Ipv4Addr,
        is_ours: bool,
        quote: &[u8],
        at: Time,
    ) -> Option<DiscardReason> {
        let mut reply = Reply::bare(responder.into(), at, ReplyKind::HostUnreachable);
        let mut message = vec![11, 0, 0, 0, 0, 0, 0, 0];
        message.extend(quote);
        let packet = packet_from(responder, message);
        reply.quoted = wire::decode(&packet, at).expect("a reply").quoted;
        self.tracker.reply(Box::new(reply), is_ours, &mut self.out)
    }

    /// Passes a datagram from the target to flow 0 that repeats nothing of the probe.
    fn datagram(&mut self, at: Time) -> Option<DiscardReason> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 60, 17, 0, 0];
        packet.extend(TARGET.octets());
        packet.extend(SOURCE.octets());
        packet.extend([0x82, 0x9a, 0x5d, 0xc0, 0, 8, 0, 0]);
        let datagram = wire::decode(&packet, at).expect("a reply");
        self.tracker.reply(Box::new(datagram), false, &mut self.out)
    }

    fn advance(&mut self, now: Time) {
        assert!(self.tracker.advance(now, usize::MAX, &mut self.out));
    }

    /// The rows so far.
    fn rows(&self) -> Vec<HopRecord> {
        let rows = self.out.events.iter().map(|event| match event {
            Event::Row(row) => row.clone(),
            other => panic!("{other:?}"),
        });
        rows.collect()
    }

    fn statuses(&self) -> Vec<(u64, Status)> {
        self.rows()
            .into_iter()
            .map(|row| (row.probe_id.expect("a probe").0, row.status))
            .collect()
    }
}

/// Returns the IP packet of an ICMP message, with the ICMP checksum.
fn packet_from(responder: Ipv4Addr, mut message: Vec<u8>) -> Vec<u8> {
    let checksum = Sum::default().bytes(&message).checksum();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let length = (20 + message.len()) as u8;
    let mut packet = vec![0x45, 0, 0, length, 0, 1, 0, 0, 60, 1, 0, 0];
    packet.extend(responder.octets());
    packet.extend(SOURCE.octets());
    packet.extend(message);
    packet
}

/// Returns the first 28 bytes with a wrong checksum. The IP ID is the only secret that is as sent.
fn weakened(packet: &[u8]) -> Vec<u8> {
    let mut quote = packet[..28].to_vec();
    quote[26] ^= 0x11;
    quote
}

#[test]
fn an_answer_in_time_has_the_status_replied_and_its_exact_rtt() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    assert_eq!(bench.arrive(ROUTER, &packet, ms(42)), None);
    let row = &bench.rows()[0];
    assert_eq!(
        (row.status, row.rtt_us, row.evidence),
        (Status::Replied, Some(42_000), Some(Evidence::Full))
    );
    assert_eq!(
        (row.sent_at, row.responder()),
        (Some(ms(0)), Some(ROUTER.into()))
    );
    let outcome = bench.out.outcomes[0];
    assert!(matches!(
        outcome.result,
        ProbeResult::Answered {
            from_target: false,
            ..
        }
    ));
    bench.advance(ms(20_000));
    assert_eq!(bench.rows().len(), 1, "an answered probe does not time out");
}

#[test]
fn silence_times_out_exactly_after_the_timeout() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    bench.advance(ms(3_000));
    assert_eq!(bench.statuses(), []);
    let due = bench.tracker.next_timeout().expect("a probe waits");
    bench.advance(due + Duration::from_nanos(1));
    assert_eq!(bench.statuses(), [(0, Status::Timeout)]);
    assert_eq!(bench.out.outcomes[0].result, ProbeResult::Silent);
    assert!(bench.tracker.is_settled());
}

#[test]
fn a_reply_after_the_timeout_is_late_and_after_the_late_window_unknown() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.advance(ms(4_000));
    bench.arrive(ROUTER, &packet, ms(4_500));
    assert_eq!(bench.statuses(), [(0, Status::Timeout), (0, Status::Late)]);
    assert_eq!(
        (bench.rows()[0].reply_index, bench.rows()[1].reply_index),
        (0, 1)
    );
    assert!(bench.out.outcomes[1].late);
    // First while the ledger still holds the probe, then after it was removed.
    for _ in 0..2 {
        assert_eq!(
            bench.arrive(ROUTER, &packet, ms(14_000)),
            Some(DiscardReason::Unknown)
        );
        bench.advance(ms(14_000));
    }
}

#[test]
fn a_late_reply_is_late_even_if_the_timeout_was_not_processed_yet() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(ROUTER, &packet, ms(3_001));
    assert_eq!(bench.statuses(), [(0, Status::Late)]);
}

#[test]
fn further_replies_are_duplicates() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(ROUTER, &packet, ms(10));
    bench.arrive(Ipv4Addr::new(10, 0, 0, 2), &packet, ms(11));
    assert_eq!(
        bench.statuses(),
        [(0, Status::Replied), (0, Status::Duplicate)]
    );
    assert_eq!(
        bench.out.outcomes.len(),
        1,
        "a duplicate is no news to a strategy"
    );
}

#[test]
fn a_reply_is_matched_to_the_right_attempt() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    bench.send(2, ms(100));
    let second = bench.packets[1][..28].to_vec();
    bench.arrive(ROUTER, &second, ms(130));
    let row = &bench.rows()[0];
    assert_eq!(
        (row.probe_id, row.attempt, row.rtt_us),
        (Some(ProbeId(1)), 2, Some(30_000))
    );
}

#[test]
fn a_reply_that_arrives_before_the_send_call_returns_waits_for_the_send_time() {
    let mut bench = Bench::new();
    let id = bench.enter(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(ROUTER, &packet, ms(2));
    assert_eq!(bench.statuses(), []);
    bench.tracker.stamp(id, ms(1), &mut bench.out);
    assert_eq!(bench.rows()[0].rtt_us, Some(1_000));
}

#[test]
fn a_weak_reply_waits_for_a_stronger_one() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(Ipv4Addr::new(10, 6, 6, 6), &weakened(&packet), ms(5));
    assert_eq!(bench.statuses(), []);
    bench.arrive(ROUTER, &packet[..28], ms(40));
    assert_eq!(
        bench.statuses(),
        [(0, Status::Replied), (0, Status::Duplicate)]
    );
    assert_eq!(bench.rows()[0].responder(), Some(ROUTER.into()));
    assert_eq!(bench.rows()[1].evidence, Some(Evidence::Weak));
}

#[test]
fn a_weak_reply_is_the_answer_if_no_stronger_one_comes() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(ROUTER, &weakened(&packet), ms(5));
    bench.arrive(ROUTER, &weakened(&packet), ms(6));
    bench.advance(ms(3_001));
    assert_eq!(
        bench.statuses(),
        [(0, Status::Replied), (0, Status::Duplicate)]
    );
    let replied = &bench.rows()[0];
    assert_eq!(
        (replied.evidence, replied.rtt_us),
        (Some(Evidence::Weak), Some(5_000))
    );
    assert_eq!(bench.out.outcomes.len(), 1);
}

#[test]
fn a_strong_reply_counts_after_any_number_of_weak_ones() {
    let mut bench = Bench::new();
    let id = bench.enter(1, ms(0));
    bench.tracker.stamp(id, ms(1), &mut bench.out);
    let packet = bench.packets[0].clone();
    for _ in 0..=MOST_EXTRA_REPLIES {
        bench.arrive(ROUTER, &weakened(&packet), ms(2));
    }
    bench.arrive(ROUTER, &weakened(&packet), ms(2));
    assert_eq!(bench.tracker.counts().discarded(DiscardReason::Excess), 1);
    bench.arrive(ROUTER, &packet, ms(3));
    let own = bench.rows().into_iter().find(|row| row.reply_index == 0);
    let own = own.expect("settled");
    assert_eq!(
        (own.status, own.evidence),
        (Status::Replied, Some(Evidence::Full))
    );
    // Further replies exceed the limit, even with strong evidence.
    bench.arrive(ROUTER, &packet, ms(4));
    assert_eq!(bench.tracker.counts().discarded(DiscardReason::Excess), 2);
}

#[test]
fn a_weak_reply_before_the_send_time_is_known_is_held_until_the_timeout() {
    let mut bench = Bench::new();
    let id = bench.enter(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(ROUTER, &weakened(&packet), ms(2));
    bench.tracker.stamp(id, ms(1), &mut bench.out);
    bench.advance(ms(3));
    assert_eq!(bench.statuses(), []);
    bench.advance(ms(3_002));
    assert_eq!(bench.statuses(), [(0, Status::Replied)]);
}

#[test]
fn a_probe_that_the_kernel_refuses_is_a_send_error_without_a_time() {
    let mut bench = Bench::new();
    let id = bench.enter(1, ms(0));
    bench
        .tracker
        .refuse(id, UnsentReason::TooLarge, &mut bench.out);
    let row = &bench.rows()[0];
    assert_eq!(
        (row.status, row.reason, row.sent_at),
        (Status::SendError, Some(UnsentReason::TooLarge), None)
    );
    assert_eq!(bench.out.outcomes[0].result, ProbeResult::TooLarge);
    bench.advance(ms(9_000));
    assert_eq!(bench.rows().len(), 1);
}

#[test]
fn a_probe_without_a_route_is_a_send_error_without_a_source() {
    let mut bench = Bench::new();
    let probe = Probe {
        target: TargetId(3),
        destination: TARGET.into(),
        flow: FlowId(0),
        ttl: Ttl(1),
        attempt: 1,
        purpose: Purpose::Sweep,
        size: None,
        round: 0,
    };
    bench
        .tracker
        .enter_refused(probe, UnsentReason::NoRoute, ms(0), &mut bench.out);
    let row = &bench.rows()[0];
    assert_eq!(
        (row.source, row.probe_ip_id, row.probe_checksum),
        (None, None, None)
    );
    assert_eq!(row.reason, Some(UnsentReason::NoRoute));
    assert!(
        bench.tracker.next_timeout().is_some(),
        "it leaves in its turn"
    );
    bench.advance(ms(3_001));
    assert!(bench.tracker.is_settled());
}

#[test]
fn a_retry_never_takes_the_ip_id_of_a_live_attempt() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let first = bench.rows().len();
    // Skip to the next draw that gives the first serial again.
    bench.tracker.drawn = (0..)
        .find(|n| bench.tracker.tokens.serial(n + 65_535) == bench.tracker.tokens.serial(0))
        .expect("it comes back")
        + 65_535;
    bench.send(2, ms(1));
    assert_ne!(bench.packets[0][4..6], bench.packets[1][4..6]);
    assert_eq!(first, 0);
}

#[test]
fn every_packet_is_counted_as_received() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(ROUTER, &packet, ms(1));
    bench.tracker.discard(DiscardReason::BadChecksum);
    let mut forged = packet[..28].to_vec();
    forged[4] ^= 9;
    forged[26] ^= 9;
    bench.arrive(ROUTER, &forged, ms(2));
    let counts = bench.tracker.counts();
    assert_eq!(counts.packets_received, 3);
    assert_eq!(counts.discarded(DiscardReason::BadChecksum), 1);
    assert_eq!(counts.discarded(DiscardReason::Forged), 1);
}

#[test]
fn a_limit_on_the_rows_loses_no_row() {
    let mut bench = Bench::new();
    for attempt in 1..=5 {
        bench.send(attempt, ms(0));
    }
    let late = ms(60_000);
    assert!(!bench.tracker.advance(late, 2, &mut bench.out));
    assert!(!bench.tracker.advance(late, 2, &mut bench.out));
    assert!(bench.tracker.advance(late, 2, &mut bench.out));
    assert_eq!(bench.rows().len(), 5);
    assert!(bench.tracker.is_settled());
}

#[test]
fn an_answer_to_one_of_several_probes_is_reported_and_ends_no_probe() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    bench.send(2, ms(1));
    assert_eq!(bench.datagram(ms(20)), None);
    bench.advance(ms(3_002));
    assert_eq!(bench.datagram(ms(3_100)), None);
    let told = bench.out.outcomes.iter().map(|o| (o.result, o.late));
    let expected = [
        (ProbeResult::OneOfSeveral, false),
        (ProbeResult::Silent, false),
        (ProbeResult::Silent, false),
        (ProbeResult::OneOfSeveral, true),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
