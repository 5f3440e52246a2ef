//! Each limit by itself, and together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::*;
use crate::model::{FlowId, ProbeResult, ReplyKind, TargetId, Ttl};
use crate::strategy::Reach;

const START: Time = Time::from_nanos(1 << 60);

fn ms(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

fn rate(per_second: f64) -> Rate {
    Rate::new(per_second).expect("a rate")
}

fn cap(per_second: f64, burst: u32, seconds: u64) -> Cap {
    Cap {
        rate: rate(per_second),
        burst,
        longest_wait: Duration::from_secs(seconds),
    }
}

const UNLIMITED: f64 = 1e6;

fn probe(target: u32, ttl: u8) -> Probe {
    Probe {
        target: TargetId(target),
        destination: Ipv4Addr::from_bits(0xc612_0000 + target).into(),
        flow: FlowId(0),
        ttl: Ttl(ttl),
        attempt: 1,
        purpose: Purpose::Sweep,
        size: None,
        round: 0,
    }
}

fn request(target: u32, ttl: u8, reach: Reach) -> Request {
    Request {
        probe: probe(target, ttl),
        reach,
    }
}

fn limiter(limits: Limits) -> Limiter {
    Limiter::new(&limits, START)
}

fn spaced() -> Limiter {
    limiter(Limits {
        spaced: true,
        ..Limits::rate(rate(UNLIMITED))
    })
}

/// The TTLs of the probes that may leave at `now`.
fn leaving(limiter: &mut Limiter, now: Time) -> Vec<u8> {
    std::iter::from_fn(|| limiter.next(now))
        .map(|due| due.probe.ttl.0)
        .collect()
}

/// When each probe leaves, if it leaves as soon as it may: milliseconds since the start and TTL.
fn timetable(limiter: &mut Limiter) -> Vec<(u64, u8)> {
    let mut now = START;
    let mut left = Vec::new();
    loop {
        let since = now.since(START).as_millis() as u64;
        left.extend(leaving(limiter, now).into_iter().map(|ttl| (since, ttl)));
        match limiter.next_due() {
            Some(due) => now = due,
            None => return left,
        }
    }
}

fn answered(target: u32, ttl: u8, kind: ReplyKind, quoted: Option<u8>) -> Outcome {
    let from_target = kind != ReplyKind::TimeExceeded;
    let result = ProbeResult::Answered {
        responder: Ipv4Addr::new(10, 0, 0, ttl).into(),
        kind,
        quoted_ttl: quoted,
        reply_ttl: None,
        next_hop_mtu: None,
        from_target,
    };
    Outcome::of(&probe(target, ttl), result, false)
}

#[test]
fn five_probes_reach_a_target_at_once_and_then_one_a_second() {
    let mut limiter = spaced();
    for ttl in 1..=8 {
        limiter.add(request(1, ttl, Reach::Target), START);
        limiter.add(request(1, 10 + ttl, Reach::Router), START);
    }
    limiter.add(request(2, 9, Reach::Target), START);
    let reaching: Vec<_> = timetable(&mut limiter)
        .into_iter()
        .filter(|(_, ttl)| *ttl < 10)
        .collect();
    let expected = [
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 5),
        (0, 9),
        (1_050, 6),
        (2_100, 7),
        (3_150, 8),
    ];
    assert_eq!(reaching, expected);
}

#[test]
fn without_a_distance_every_ttl_counts_as_reaching_the_target() {
    let mut limiter = spaced();
    for ttl in 1..=32 {
        limiter.add(request(1, ttl, Reach::Unknown), START);
    }
    let left = timetable(&mut limiter);
    assert_eq!(left.len(), 32);
    assert_eq!(left[31], (27 * 1_050, 32));
}

#[test]
fn a_distance_frees_the_probes_that_end_before_it() {
    let mut limiter = spaced();
    for ttl in [20, 21, 22, 23, 24, 3, 25, 9, 10, 11] {
        limiter.add(request(1, ttl, Reach::Unknown), START);
    }
    assert_eq!(leaving(&mut limiter, START), [20, 21, 22, 23, 24]);
    // The target's answer to TTL 20 quotes 11: it is 10 hops away.
    let outcome = answered(1, 20, ReplyKind::PortUnreachable, Some(11));
    limiter.observe(&outcome, ms(30));
    assert_eq!(leaving(&mut limiter, ms(30)), [3, 9]);
    limiter.add(request(1, 4, Reach::Unknown), ms(31));
    assert_eq!(leaving(&mut limiter, ms(31)), [4]);
    assert_eq!(
        timetable(&mut limiter),
        [(1_050, 25), (2_100, 10), (3_150, 11)]
    );
}

#[test]
fn a_router_s_answer_frees_the_probes_up_to_its_ttl() {
    let mut limiter = spaced();
    for ttl in [9, 8, 7, 6, 5, 4, 10] {
        limiter.add(request(1, ttl, Reach::Unknown), START);
    }
    assert_eq!(leaving(&mut limiter, START), [9, 8, 7, 6, 5]);
    limiter.observe(&answered(1, 6, ReplyKind::TimeExceeded, Some(1)), ms(9));
    assert_eq!(leaving(&mut limiter, ms(9)), [4]);
    assert_eq!(timetable(&mut limiter), [(1_050, 10)]);
}

#[test]
fn what_says_nothing_of_the_distance_frees_nothing() {
    let mut limiter = spaced();
    for ttl in 1..=6 {
        limiter.add(request(1, ttl, Reach::Unknown), START);
    }
    leaving(&mut limiter, START);
    for outcome in [
        answered(1, 30, ReplyKind::PortUnreachable, None),
        answered(1, 30, ReplyKind::PortUnreachable, Some(0)),
        answered(1, 30, ReplyKind::PortUnreachable, Some(31)),
        answered(2, 30, ReplyKind::TimeExceeded, Some(1)),
        Outcome::of(&probe(1, 30), ProbeResult::Silent, false),
    ] {
        limiter.observe(&outcome, ms(20));
        assert_eq!(leaving(&mut limiter, ms(20)), [0; 0], "{outcome:?}");
    }
}

#[test]
fn a_cap_by_ttl_bounds_each_low_ttl_and_no_other() {
    let mut limiter = limiter(Limits {
        near: Some(NearCap {
            cap: cap(10.0, 2, 10),
            max_ttl: Ttl(2),
        }),
        ..Limits::rate(rate(UNLIMITED))
    });
    for target in 0..4 {
        for ttl in 1..=3 {
            limiter.add(request(target, ttl, Reach::Router), START);
        }
    }
    let expected = [
        [(0, 1), (0, 2), (0, 3)],
        [(0, 1), (0, 2), (0, 3)],
        [(0, 3), (0, 3), (100, 1)],
        [(100, 2), (200, 1), (200, 2)],
    ];
    assert_eq!(timetable(&mut limiter), expected.concat());
}

#[test]
fn a_cap_by_prefix_bounds_a_24_and_a_48() {
    let ipv6 = |subnet: u16, host: u16| Ipv6Addr::new(0x2001, 0xdb8, subnet, host, 0, 0, 0, 1);
    let groups: [[IpAddr; 2]; 2] = [
        [[198, 18, 0, 1], [198, 18, 0, 250]].map(IpAddr::from),
        [ipv6(1, 1), ipv6(1, 0xffff)].map(IpAddr::from),
    ];
    let elsewhere: [IpAddr; 2] = [Ipv4Addr::new(198, 18, 1, 1).into(), ipv6(2, 1).into()];
    for (group, other) in groups.into_iter().zip(elsewhere) {
        let mut limiter = limiter(Limits {
            prefix: Some(cap(2.0, 1, 10)),
            ..Limits::rate(rate(UNLIMITED))
        });
        for (ttl, destination) in (1..).zip([group[0], group[1], other, group[0]]) {
            let probe = Probe {
                destination,
                ..probe(0, ttl)
            };
            let reach = Reach::Target;
            limiter.add(Request { probe, reach }, START);
        }
        let expected = [(0, 1), (0, 3), (500, 2), (1_000, 4)];
        assert_eq!(timetable(&mut limiter), expected, "{group:?}");
    }
}

#[test]
fn a_probe_that_would_wait_too_long_is_skipped_with_the_reason() {
    let mut limiter = limiter(Limits {
        prefix: Some(cap(1.0, 1, 2)),
        near: Some(NearCap {
            cap: cap(0.5, 1, 1),
            max_ttl: Ttl(1),
        }),
        ..Limits::rate(rate(UNLIMITED))
    });
    // The prefix lets three pass: now, in a second and in two. At TTL 1 there is one token now, and one in two seconds.
    for ttl in [1, 5, 1, 6, 7] {
        limiter.add(request(0, ttl, Reach::Router), START);
    }
    limiter.add(request(0x100, 1, Reach::Router), START);
    assert_eq!(timetable(&mut limiter), [(0, 1), (1_000, 5), (2_000, 1)]);
    let skipped: Vec<_> = std::iter::from_fn(|| limiter.take_skipped())
        .map(|(probe, reason)| (probe.ttl.0, reason))
        .collect();
    let expected = [
        (6, UnsentReason::PrefixLimit),
        (7, UnsentReason::PrefixLimit),
        (1, UnsentReason::NearHopLimit),
    ];
    assert_eq!(skipped, expected);
}

#[test]
fn a_busy_prefix_holds_up_no_other_at_its_ttl() {
    let mut limiter = limiter(Limits {
        prefix: Some(cap(1.0, 1, 10)),
        near: Some(NearCap {
            cap: cap(10.0, 1, 1),
            max_ttl: Ttl(1),
        }),
        ..Limits::rate(rate(UNLIMITED))
    });
    for target in [0, 1, 2, 0x100] {
        limiter.add(request(target, 1, Reach::Router), START);
    }
    let times: Vec<u64> = timetable(&mut limiter).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 100, 1_000, 2_000]);
    assert_eq!(limiter.take_skipped(), None);
}

#[test]
fn after_a_pause_a_target_is_still_asked_once_a_second() {
    let mut limiter = spaced();
    for ttl in 1..=9 {
        limiter.add(request(1, ttl, Reach::Target), START);
    }
    assert_eq!(leaving(&mut limiter, START), [1, 2, 3, 4, 5]);
    // Nothing was sent for twenty seconds: five answers are there again.
    assert_eq!(leaving(&mut limiter, ms(20_000)), [6, 7, 8, 9]);
    for ttl in 1..=9 {
        limiter.add(request(1, ttl, Reach::Target), ms(20_000));
    }
    assert_eq!(leaving(&mut limiter, ms(20_000)), [1]);
    assert_eq!(leaving(&mut limiter, ms(21_049)), [0; 0]);
    assert_eq!(leaving(&mut limiter, ms(21_050)), [2]);
}

#[test]
fn a_probe_is_spaced_first_and_then_capped() {
    let mut limiter = limiter(Limits {
        spaced: true,
        prefix: Some(cap(1.0, 6, 0)),
        ..Limits::rate(rate(UNLIMITED))
    });
    for ttl in 1..=7 {
        limiter.add(request(0, ttl, Reach::Target), START);
    }
    // The cap lets nothing wait. At 1,050 ms it has two tokens again.
    let times: Vec<u64> = timetable(&mut limiter).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 0, 0, 0, 0, 1_050, 2_100]);
    assert_eq!(limiter.take_skipped(), None);
}

#[test]
fn retries_and_what_has_waited_go_first() {
    let mut limiter = spaced();
    limiter.add(request(1, 1, Reach::Router), START);
    let refusal = Refusal {
        since: ms(0),
        reason: UnsentReason::NeighbourTableFull,
    };
    limiter.add_again(probe(1, 2), refusal);
    assert!(limiter.has_refused());
    let retry = Probe {
        purpose: Purpose::Retry,
        ..probe(1, 3)
    };
    let reach = Reach::Router;
    limiter.add(
        Request {
            probe: retry,
            reach,
        },
        START,
    );
    let again = limiter.next(START).expect("a probe");
    assert_eq!((again.probe.ttl.0, again.refused), (2, Some(refusal)));
    assert!(!limiter.has_refused());
    assert_eq!(leaving(&mut limiter, START), [3, 1]);
}

#[test]
fn a_strategy_is_asked_for_no_more_when_very_many_probes_wait() {
    let mut limiter = spaced();
    assert!(!limiter.is_full());
    for number in 0..(MOST_WAITING as u32 + 5) {
        limiter.add(request(1, (number % 200) as u8 + 1, Reach::Target), START);
    }
    assert!(limiter.is_full());
    assert_eq!(limiter.clear(), []);
    assert!(!limiter.is_full());
    assert_eq!((limiter.next(ms(1)), limiter.next_due()), (None, None));
}
