//! A blocklist between any two steps of a probe.

use std::net::IpAddr;

use super::*;
use crate::engine::outbox::Outbox;
use crate::model::Blocked;
use crate::strategy::{Arrivals, Trace, TraceLimits};

/// Blocks everything.
struct All;

impl Blocked for All {
    fn is_blocked(&self, _: IpAddr) -> bool {
        true
    }
}

fn block(core: &mut Core, now: Time) {
    core.set_blocked(Arc::new(All), now);
}

const SKIPPED: [&str; 5] = [
    "skipped 1",
    "skipped 2",
    "skipped 3",
    "inferred 4",
    "max_ttl",
];

/// The rows of probes, which must say that they were skipped for the list.
fn skipped(core: &mut Core) -> usize {
    let rows = core
        .take_events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Row(row) if row.status != Status::Inferred => Some(row),
            _ => None,
        });
    rows.map(|row| {
        assert_eq!(
            (row.status, row.reason),
            (Status::Skipped, Some(UnsentReason::Blocklisted))
        );
        assert_eq!(
            (row.source, row.sent_at, row.probe_ip_id),
            (None, None, None)
        );
    })
    .count()
}

#[test]
fn a_probe_that_was_given_out_is_not_entered() {
    let mut core = core(three(), &limits());
    let (mut due, mut outgoing) = (Vec::new(), Vec::new());
    assert_eq!(core.poll_send(START, 64, 0, &mut due), Next::Send);
    block(&mut core, START);
    core.enter(&due, &[Ok(SOURCE.into()); 3], START, &mut outgoing);
    assert!(outgoing.is_empty());
    assert_eq!(told(&mut core), SKIPPED);
    assert_eq!(next(&mut core, ms(1)), Next::Done);
}

#[test]
fn a_probe_that_was_encoded_is_taken_out_of_its_batch() {
    let mut core = core(three(), &limits());
    let mut outbox = Outbox::default();
    assert_eq!(outbox.collect(&mut core, START, 0), Next::Send);
    outbox.find_sources(|_| Ok(SOURCE.into()));
    outbox.enter(&mut core, START);
    let format = *core.format();
    outbox.encode(&format);
    // The kernel takes one, then its queue is full.
    let progress = crate::transport::SendProgress {
        taken: 1,
        stopped: Some(crate::transport::Stopped::Full),
    };
    outbox.offered(&mut core, progress, (START, START), START, false);
    assert!(outbox.remaining().is_some());
    block(&mut core, START);
    outbox.strike(&mut core, START);
    assert!(outbox.remaining().is_none());
    assert_eq!(skipped(&mut core), 2);
    // The one that was sent is waited for.
    core.advance(ms(3_001), usize::MAX, ms(3_001));
    assert_eq!(told(&mut core)[0], "timeout 1");
}

#[test]
fn a_batch_keeps_the_probes_that_are_not_blocked() {
    struct First;
    impl Blocked for First {
        fn is_blocked(&self, address: IpAddr) -> bool {
            address == Ipv4Addr::new(198, 51, 100, 0)
        }
    }
    let targets = Arc::new(Consecutive {
        first: Ipv4Addr::new(198, 51, 100, 0),
        len: 5,
    });
    let sweep = Sweep::new(targets, 1, Ttl(3), Ttl(3), 1);
    let mut core = core(Box::new(sweep), &limits());
    let mut outbox = Outbox::default();
    assert_eq!(outbox.collect(&mut core, START, 0), Next::Send);
    outbox.find_sources(|_| Ok(SOURCE.into()));
    outbox.enter(&mut core, START);
    let format = *core.format();
    outbox.encode(&format);
    core.set_blocked(Arc::new(First), START);
    outbox.strike(&mut core, START);
    let (batch, first) = outbox.remaining().expect("four probes");
    assert_eq!((batch.len(), first), (4, 0));
    let to: Vec<IpAddr> = (0..4).filter_map(|at| Some(batch.get(at)?.0)).collect();
    assert!(to.iter().all(|address| !First.is_blocked(*address)));
    assert_eq!(skipped(&mut core), 1);
}

#[test]
fn probes_that_wait_for_a_limit_or_for_room_are_skipped() {
    let spaced = Limits {
        spaced: true,
        ..limits()
    };
    let capped = Limits {
        near: Some(NearCap {
            cap: Cap {
                rate: Rate::new(1.0).expect("a rate"),
                burst: 1,
                longest_wait: Duration::from_secs(600),
            },
            max_ttl: Ttl(9),
        }),
        ..limits()
    };
    for (limits, waiting) in [(spaced, 20 - 5), (capped, 20 - 1), (limits(), 20)] {
        let targets = Arc::new(Consecutive {
            first: TARGET,
            len: 1,
        });
        let sweep = Sweep::new(targets, 20, Ttl(3), Ttl(3), 1);
        let mut core = core(Box::new(sweep), &limits);
        let packets = enter(&mut core, START);
        assert!(!packets.is_empty());
        match waiting {
            // None of them has room.
            20 => { packets.iter() }
                .for_each(|packet| core.no_room(packet, UnsentReason::NeighbourTableFull, START)),
            _ => core.sent(&packets, (START, START), START),
        }
        assert_eq!(skipped(&mut core), 0);
        block(&mut core, START);
        assert_eq!(skipped(&mut core), waiting);
        assert_eq!(next(&mut core, ms(1)), Next::Done, "nothing waits any more");
    }
}

/// A trace of one target, which a list would end as excluded.
fn trace() -> Box<dyn Strategy> {
    let limits = TraceLimits {
        first_ttl: Ttl(1),
        max_ttl: Ttl(8),
        attempts: 2,
        gap_limit: 5,
        flows: 1,
        window: 1,
        arrivals: Arrivals::Distinct,
        probes_per_hop: 1,
        mtu_from: None,
        second_pass: false,
    };
    let targets = Arc::new(Consecutive {
        first: TARGET,
        len: 1,
    });
    Box::new(Trace::new(targets, limits, 1))
}

#[test]
fn a_list_ends_an_open_target_when_its_pending_probe_has_ended_but_not_after_the_last_probe() {
    for (stopped, expected) in [(false, "excluded"), (true, "interrupted")] {
        let mut core = core(trace(), &limits());
        let packets = enter(&mut core, START);
        core.sent(&packets, (START, START), START);
        if stopped {
            core.stop_sending(START);
        }
        block(&mut core, START);
        assert_eq!(told(&mut core), [""; 0], "the distance probe is pending");
        core.advance(ms(3_001), usize::MAX, ms(3_001));
        core.finish(ms(3_002));
        assert_eq!(told(&mut core), ["timeout 8", expected]);
    }
}
