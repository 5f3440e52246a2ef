//! The core by hand: a strategy that does as it is told, and calls in the order that a test wants.

mod blocking;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use super::*;
use crate::engine::limiter::{Cap, NearCap};
use crate::engine::tracker::Timeouts;
use crate::model::{
    Consecutive, FlowId, InferredHop, Outcome, Probe, ProbeId, ProbeResult, Purpose, Rate,
    ReplyKind, Status, StopReason, TargetId, TraceEnd, TraceId, Ttl, UnsentReason,
};
use crate::strategy::{Order, Poll, Reach, Shard, Sweep};
use crate::transport::PacketBatch;
use crate::wire::token::{RunKey, TokenMaker};

const START: Time = Time::from_nanos(1 << 60);
const TARGET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn ms(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

fn limits() -> Limits {
    Limits::rate(Rate::new(1e6).expect("a rate"))
}

fn core(strategy: Box<dyn Strategy>, limits: &Limits) -> Core {
    let timeouts = Timeouts {
        timeout: Duration::from_secs(3),
        late_window: Duration::from_secs(10),
    };
    let tokens = TokenMaker::new(RunKey::new([1; 16]));
    let tracker = Tracker::new(ProbeFormat::udp(1), timeouts, tokens, 16, ProbeId(0));
    // The schedule is older than the first call: a whole batch is due.
    let start = START.before(Duration::from_millis(1));
    Core::new(strategy, limits, tracker, start, Duration::from_secs(1))
}

/// One trace of one target: TTLs 1 to 3 together. It ends when all have an outcome, and infers TTL 4 then.
#[derive(Default)]
struct Three {
    started: bool,
    outcomes: usize,
    log: Arc<Mutex<Vec<ProbeResult>>>,
}

fn three() -> Box<dyn Strategy> {
    Box::new(Three::default())
}

impl Three {
    fn end(&self, stop_reason: StopReason, now: Time, actions: &mut Actions) {
        actions.events.push(StrategyEvent::Inferred(InferredHop {
            target: TargetId(0),
            flow: FlowId(0),
            destination: TARGET.into(),
            ttl: Ttl(4),
            round: 7,
            responder: Some(Ipv4Addr::new(10, 0, 0, 4).into()),
            from: Some(TraceId(99)),
        }));
        actions.ended(TraceEnd {
            target: TargetId(0),
            flow: FlowId(0),
            destination: TARGET.into(),
            started_at: START,
            finished_at: now,
            stop_reason,
            path_length: None,
            last_ttl: None,
            path_mtu: None,
            graph: None,
        });
    }
}

impl Strategy for Three {
    fn poll(&mut self, _: Time, actions: &mut Actions) -> Poll {
        match std::mem::replace(&mut self.started, true) {
            true if self.outcomes < 3 => Poll::Wait(None),
            true => Poll::Done,
            false => {
                for ttl in 1..=3 {
                    let probe = Probe {
                        target: TargetId(0),
                        destination: TARGET.into(),
                        flow: FlowId(0),
                        ttl: Ttl(ttl),
                        attempt: 1,
                        purpose: Purpose::Trace,
                        size: None,
                        round: 5,
                    };
                    actions.probe(probe, Reach::Router);
                }
                Poll::Started
            }
        }
    }

    fn observe(&mut self, outcome: &Outcome, now: Time, actions: &mut Actions) {
        self.outcomes += 1;
        if let Ok(mut log) = self.log.lock() {
            log.push(outcome.result);
        }
        if self.outcomes == 3 {
            self.end(StopReason::MaxTtl, now, actions);
        }
    }

    fn interrupt(&mut self, now: Time, actions: &mut Actions) {
        if self.outcomes < 3 {
            self.end(StopReason::Interrupted, now, actions);
        }
    }

    fn cursor(&self) -> Cursor {
        Order::new(1, 0, Shard::WHOLE).cursor()
    }

    fn completed(&self) -> u64 {
        u64::from(self.outcomes >= 3)
    }
}

/// Takes a batch and enters it.
fn enter(core: &mut Core, now: Time) -> Vec<Outgoing> {
    let (mut due, mut outgoing) = (Vec::new(), Vec::new());
    assert_eq!(core.poll_send(now, 64, 0, &mut due), Next::Send);
    let sources = vec![Ok(SOURCE.into()); due.len()];
    core.enter(&due, &sources, now, &mut outgoing);
    outgoing
}

fn next(core: &mut Core, now: Time) -> Next {
    core.poll_send(now, 64, 0, &mut Vec::new())
}

/// What a router answers to `packet`.
fn time_exceeded(core: &Core, packet: &Outgoing, at: Time) -> Box<Reply> {
    let mut batch = PacketBatch::default();
    core.format().encode(&packet.marked, &mut batch);
    let (_, bytes) = batch.get(0).expect("a packet");
    let router = Ipv4Addr::new(10, 0, 0, packet.marked.ttl.0).into();
    Box::new(Reply {
        quoted: Some(crate::wire::quote::parse(bytes).expect("our own packet")),
        ..Reply::bare(router, at, ReplyKind::TimeExceeded)
    })
}

/// The events so far: status and TTL of a row, or the reason of an end.
fn told(core: &mut Core) -> Vec<String> {
    let events = core.take_events().into_iter();
    let told = events.map(|event| match event {
        Event::Row(row) => format!("{} {}", row.status.as_str(), row.ttl.map_or(0, |ttl| ttl.0)),
        Event::Ended(end) => end.stop_reason.as_str().to_owned(),
        Event::Table(row) => row.type_name().to_owned(),
    });
    told.collect()
}

#[test]
fn the_rows_of_a_trace_come_before_its_end_which_the_last_outcome_brings_in_the_same_call() {
    let mut core = core(three(), &limits());
    let packets = enter(&mut core, START);
    core.sent(&packets, (START, START), START);
    assert_eq!(next(&mut core, ms(1)), Next::AwaitOutcome(None));
    let reply = time_exceeded(&core, &packets[1], ms(9));
    core.reply(reply, false, &[], ms(10));
    assert!(core.has_news());
    assert_eq!(told(&mut core), ["replied 2"]);
    assert_eq!(
        core.next_timeout(),
        Some(ms(3_000) + Duration::from_nanos(1))
    );
    assert!(core.advance(ms(3_001), usize::MAX, ms(3_001)));
    let rest = ["timeout 1", "timeout 3", "inferred 4", "max_ttl"];
    assert_eq!(told(&mut core), rest);
    assert_eq!(next(&mut core, ms(3_002)), Next::Done);
    core.advance(ms(3_002), usize::MAX, ms(3_002));
    assert!(core.is_over(ms(3_002)));
}

#[test]
fn a_reply_that_beats_the_send_call_is_settled_by_the_call_s_return() {
    let mut core = core(three(), &limits());
    let packets = enter(&mut core, START);
    let reply = time_exceeded(&core, &packets[0], ms(2));
    core.reply(reply, false, &[], ms(2));
    assert_eq!(told(&mut core), [""; 0]);
    core.sent(&packets, (START, ms(1)), ms(1));
    assert!(core.has_news());
    assert_eq!(told(&mut core), ["replied 1"]);
}

#[test]
fn times_are_spread_over_a_send_call() {
    let mut core = core(three(), &limits());
    let packets = enter(&mut core, START);
    core.sent(&packets, (START, ms(6)), ms(6));
    for packet in &packets {
        let reply = time_exceeded(&core, packet, ms(10));
        core.reply(reply, false, &[], ms(10));
    }
    let rtts: Vec<_> = core
        .take_events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Row(row) => row.rtt_us,
            _ => None,
        })
        .collect();
    assert_eq!(rtts, [9_000, 7_000, 5_000]);
    assert_eq!(core.tally().rtt_error_us_p99, Some(8_191), "of 6,000 µs");
}

#[test]
fn an_inferred_hop_is_a_row_that_names_its_trace() {
    let mut core = core(three(), &limits());
    enter(&mut core, START);
    core.finish(ms(1));
    let row = core
        .take_events()
        .into_iter()
        .find_map(|event| match event {
            Event::Row(row) if row.status == Status::Inferred => Some(row),
            _ => None,
        });
    let row = row.expect("an inferred hop");
    let inferred = row.inferred.as_ref().expect("where it comes from");
    assert_eq!(inferred.from, Some(TraceId(99)));
    assert_eq!(row.responder(), Some(Ipv4Addr::new(10, 0, 0, 4).into()));
    assert_eq!((row.round, row.sent_at, &row.reply), (7, None, &None));
    assert_eq!(row.probe_id, None, "no probe was sent");
}

#[test]
fn skipped_probes_are_rows_and_outcomes_and_end_the_trace_as_others_do() {
    let skipping = Limits {
        near: Some(NearCap {
            cap: Cap {
                rate: Rate::new(0.001).expect("a rate"),
                burst: 1,
                longest_wait: Duration::from_secs(1),
            },
            max_ttl: Ttl(3),
        }),
        ..limits()
    };
    // A first trace takes the only tokens; the second finds none.
    let mut core = core(three(), &skipping);
    let packets = enter(&mut core, START);
    assert_eq!(packets.len(), 3);
    let mut again = three();
    std::mem::swap(&mut core.strategy, &mut again);
    assert_eq!(next(&mut core, ms(1)), Next::Done);
    let expected = [
        "skipped 1",
        "skipped 2",
        "skipped 3",
        "inferred 4",
        "max_ttl",
    ];
    assert_eq!(told(&mut core), expected);
}

#[test]
fn a_probe_without_a_source_or_refused_is_a_send_error() {
    let mut core = core(three(), &limits());
    let (mut due, mut outgoing) = (Vec::new(), Vec::new());
    core.poll_send(START, 64, 0, &mut due);
    let sources = [
        Ok(SOURCE.into()),
        Err(UnsentReason::NoRoute),
        Ok(SOURCE.into()),
    ];
    core.enter(&due, &sources, START, &mut outgoing);
    assert_eq!(told(&mut core), ["send_error 2"]);
    core.refused(outgoing[1].id, UnsentReason::Firewall, ms(1));
    assert_eq!(told(&mut core), ["send_error 3"]);
    // The kernel takes it all the same for one that is refused after it was sent.
    core.sent(&outgoing[..1], (START, ms(1)), ms(1));
    core.refused(outgoing[0].id, UnsentReason::Firewall, ms(2));
    assert_eq!(told(&mut core), [""; 0]);
}

#[test]
fn a_probe_without_room_is_offered_again_and_then_given_up() {
    let mut core = core(three(), &limits());
    let packets = enter(&mut core, START);
    core.sent(&packets[..2], (START, START), START);
    let reason = UnsentReason::NeighbourTableFull;
    core.no_room(&packets[2], reason, START);
    assert_eq!(core.tally().crowded, 1);
    assert_eq!(next(&mut core, ms(1)), Next::AwaitOutcome(Some(ms(50))));
    let mut tries = 0;
    let mut now = ms(50);
    let again = loop {
        let mut due = Vec::new();
        match core.poll_send(now, 64, 0, &mut due) {
            Next::Send => {
                assert_eq!((due.len(), due[0].probe.ttl), (1, Ttl(3)));
                let mut outgoing = Vec::new();
                core.enter(&due, &[Ok(SOURCE.into())], now, &mut outgoing);
                core.no_room(&outgoing[0], reason, now);
                tries += 1;
            }
            Next::AwaitOutcome(Some(until)) => now = until,
            other => break other,
        }
        core.advance(now, usize::MAX, now);
    };
    // Every 50 ms for 10 s.
    assert_eq!((again, tries), (Next::Done, 199));
    let rows = [
        "timeout 1",
        "timeout 2",
        "send_error 3",
        "inferred 4",
        "max_ttl",
    ];
    assert_eq!(told(&mut core), rows);
    assert_eq!(core.tally().crowded, 1, "counted once");
}

#[test]
fn a_slow_writer_holds_sending_up_and_the_time_is_counted() {
    let mut core = core(three(), &limits());
    let mut due = Vec::new();
    let behind = sending::MOST_ROWS_WAITING + 1;
    for at in 0..40 {
        let next = core.poll_send(ms(at), 64, behind, &mut due);
        assert_eq!((next, due.len()), (Next::Wait(ms(at + 1)), 0));
    }
    assert_eq!(core.poll_send(ms(40), 64, behind - 1, &mut due), Next::Send);
    assert_eq!(core.tally().held_up_ms, 40);
}

#[test]
fn an_interrupt_ends_what_waits_and_what_is_open() {
    let mut core = core(three(), &limits());
    let packets = enter(&mut core, START);
    core.sent(&packets[..2], (START, START), START);
    core.no_room(&packets[2], UnsentReason::NeighbourTableFull, START);
    core.stop_sending(ms(1));
    assert_eq!(next(&mut core, ms(1)), Next::Done);
    assert_eq!(told(&mut core), ["skipped 3"]);
    assert!(!core.is_over(ms(2_000)), "two probes are pending");
    core.advance(ms(3_001), usize::MAX, ms(3_001));
    core.finish(ms(3_001));
    // The strategy still waits for the third probe, so its trace is not taken for a finished one.
    let rest = ["timeout 1", "timeout 2", "inferred 4", "interrupted"];
    assert_eq!(told(&mut core), rest);
}

#[test]
fn the_run_is_over_when_the_cool_down_is() {
    let targets = Arc::new(Consecutive {
        first: TARGET,
        len: 1,
    });
    let sweep = Sweep::new(targets, 1, Ttl(1), Ttl(1), 1);
    let mut core = core(Box::new(sweep), &limits());
    let packets = enter(&mut core, START);
    core.sent(&packets, (START, START), START);
    assert_eq!(next(&mut core, ms(1)), Next::Done);
    let reply = time_exceeded(&core, &packets[0], ms(5));
    core.reply(reply, false, &[], ms(5));
    core.advance(ms(6), usize::MAX, ms(6));
    assert_eq!(core.over_at(ms(6)), Some(ms(1_000)));
    assert!(!core.is_over(ms(999)));
    assert!(core.is_over(ms(1_000)));
}

#[test]
fn discarded_packets_are_counted_and_sampled() {
    let mut core = core(three(), &limits());
    core.discard(DiscardReason::Truncated, &[1, 2, 3], START);
    let stray = Reply::bare(TARGET.into(), START, ReplyKind::EchoReply);
    core.reply(Box::new(stray), false, &[4], START);
    let tally = core.tally();
    assert_eq!(tally.statistics.packets_received, 2);
    let samples: Vec<_> = tally
        .discard_samples
        .iter()
        .map(|sample| (sample.reason, sample.bytes.as_str()))
        .collect();
    let expected = [
        (DiscardReason::Truncated, "010203"),
        (DiscardReason::OtherType, "04"),
    ];
    assert_eq!(samples, expected);
    assert_eq!(core.progress().received, 2);
}

/// The strategy learns each way in which a probe can end.
#[test]
fn every_end_has_its_outcome() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let strategy = Three {
        log: log.clone(),
        ..Three::default()
    };
    let mut core = core(Box::new(strategy), &limits());
    let packets = enter(&mut core, START);
    core.sent(&packets[..1], (START, START), START);
    core.refused(packets[1].id, UnsentReason::TooLarge, START);
    core.refused(packets[2].id, UnsentReason::QueueFull, START);
    core.advance(ms(3_001), usize::MAX, ms(3_001));
    let events: Vec<Event> = core.take_events().into();
    let rows: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Row(row) => Some((row.status, row.round)),
            _ => None,
        })
        .collect();
    let expected = [
        (Status::SendError, 5),
        (Status::SendError, 5),
        (Status::Timeout, 5),
        (Status::Inferred, 7),
    ];
    assert_eq!(rows, expected);
    let results = [
        ProbeResult::TooLarge,
        ProbeResult::NotSent,
        ProbeResult::Silent,
    ];
    assert_eq!(*log.lock().expect("no panic"), results);
}
