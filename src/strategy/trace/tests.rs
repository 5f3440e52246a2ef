//! Traces of scripted paths, without a network and without a clock.

mod confirmations;
mod ends;
mod held;
mod one_by_one;
mod resume;
mod sizes;
mod skipped;

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use super::*;
use crate::model::{Consecutive, ProbeResult, ReplyKind, StrategyEvent};
use crate::strategy::Request;

/// Targets 198.51.100.0, .1, …
fn listed(len: u32) -> Arc<dyn Targets> {
    Arc::new(Consecutive {
        first: Ipv4Addr::new(198, 51, 100, 0),
        len,
    })
}

const LIMITS: TraceLimits = TraceLimits {
    first_ttl: Ttl(1),
    max_ttl: Ttl(32),
    attempts: 2,
    gap_limit: 5,
    flows: 1,
    window: 10,
    arrivals: Arrivals::Distinct,
    probes_per_hop: 1,
    mtu_from: None,
    second_pass: false,
};

/// The probes of a run in order, and the ends of its traces.
struct Shown {
    requests: Vec<Request>,
    ends: Vec<TraceEnd>,
}

impl Shown {
    fn probes(&self) -> impl Iterator<Item = &Probe> {
        self.requests.iter().map(|request| &request.probe)
    }

    fn ttls(&self, purpose: Purpose) -> Vec<u8> {
        let mut ttls: Vec<u8> = self
            .probes()
            .filter(|probe| probe.purpose == purpose)
            .map(|probe| probe.ttl.0)
            .collect();
        ttls.sort_unstable();
        ttls
    }

    fn end(&self) -> (StopReason, Option<u8>) {
        assert_eq!(self.ends.len(), 1);
        (
            self.ends[0].stop_reason,
            self.ends[0].path_length.map(|ttl| ttl.0),
        )
    }
}

/// The start of time. No test here depends on it.
const NOW: Time = Time::from_nanos(1 << 60);

/// Runs a strategy to its end. `network` gives the result of each probe. An outcome is reported when nothing more can be
/// started.
fn run(targets: u32, limits: TraceLimits, network: impl FnMut(&Probe) -> ProbeResult) -> Shown {
    run_of(Trace::new(listed(targets), limits, 1), network)
}

/// As [`run`], with a strategy of the caller.
fn run_of(mut trace: Trace, mut network: impl FnMut(&Probe) -> ProbeResult) -> Shown {
    let mut actions = Actions::default();
    let mut shown = Shown {
        requests: Vec::new(),
        ends: Vec::new(),
    };
    let mut under_way: VecDeque<Probe> = VecDeque::new();
    for _ in 0..1_000_000 {
        let polled = trace.poll(NOW, &mut actions);
        for request in actions.requests.drain(..) {
            under_way.push_back(request.probe);
            shown.requests.push(request);
        }
        match (polled, under_way.pop_front()) {
            (Poll::Started, Some(probe)) => under_way.push_front(probe),
            (_, Some(probe)) => {
                let outcome = outcome(&probe, network(&probe));
                trace.observe(&outcome, NOW, &mut actions);
            }
            (Poll::Done, None) => {
                shown.ends = ends(&mut actions);
                return shown;
            }
            (polled, None) => panic!("nothing is under way, and yet {polled:?}"),
        }
    }
    panic!("the strategy does not end");
}

/// The reported ends. Panics if another event was reported.
fn ends(actions: &mut Actions) -> Vec<TraceEnd> {
    let ended = actions.events.drain(..).map(|event| match event {
        StrategyEvent::Ended(end) => end,
        other => panic!("{other:?}"),
    });
    ended.collect()
}

/// Starts everything that can be started. Returns the probes that were requested.
fn polled(trace: &mut Trace, actions: &mut Actions) -> Vec<Probe> {
    while trace.poll(NOW, actions) == Poll::Started {}
    let requests = actions.requests.drain(..);
    requests.map(|request| request.probe).collect()
}

fn outcome(probe: &Probe, result: ProbeResult) -> Outcome {
    Outcome::of(probe, result, false)
}

fn router(number: u8) -> ProbeResult {
    ProbeResult::Answered {
        responder: Ipv4Addr::new(10, 0, 0, number).into(),
        kind: ReplyKind::TimeExceeded,
        quoted_ttl: Some(1),
        reply_ttl: None,
        next_hop_mtu: None,
        from_target: false,
    }
}

fn arrived(probe: &Probe, length: u8) -> ProbeResult {
    ProbeResult::Answered {
        responder: probe.destination,
        kind: ReplyKind::PortUnreachable,
        quoted_ttl: Some(probe.ttl.0 - length + 1),
        reply_ttl: None,
        next_hop_mtu: None,
        from_target: true,
    }
}

/// A path of `length` hops without loss. The last hop is the target.
fn clean(length: u8) -> impl FnMut(&Probe) -> ProbeResult {
    move |probe| match probe.ttl.0 {
        ttl if ttl < length => router(ttl),
        _ => arrived(probe, length),
    }
}

#[test]
fn a_clean_path_costs_its_length_and_one() {
    for length in 1..=32 {
        let shown = run(1, LIMITS, clean(length));
        assert_eq!(shown.end(), (StopReason::Completed, Some(length)));
        assert_eq!(shown.ttls(Purpose::Trace), (1..=length).collect::<Vec<_>>());
        assert_eq!(shown.ttls(Purpose::Distance), [32]);
        assert_eq!(shown.requests.len(), usize::from(length) + 1);
    }
}

#[test]
fn a_silent_target_is_probed_twice_up_to_the_gap_limit() {
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 7 => router(ttl),
        _ => ProbeResult::Silent,
    });
    assert_eq!(shown.end(), (StopReason::GapLimit, None));
    assert_eq!(shown.ttls(Purpose::Trace), (1..=11).collect::<Vec<_>>());
    assert_eq!(shown.ttls(Purpose::Retry), (7..=11).collect::<Vec<_>>());
}

#[test]
fn silent_hops_before_an_answering_target_do_not_hide_it() {
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        3..=11 => ProbeResult::Silent,
        ttl if ttl < 12 => router(ttl),
        _ => arrived(probe, 12),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(12)));
    assert_eq!(shown.ttls(Purpose::Retry), (3..=11).collect::<Vec<_>>());
}

#[test]
fn a_hint_that_is_too_short_is_overruled() {
    // A middlebox in front of the target normalises the TTL, so the distance appears shorter than it is.
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 9 => router(ttl),
        32 => arrived(probe, 6),
        _ => arrived(probe, 9),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(9)));
}

#[test]
fn a_hint_that_is_too_long_does_not_lengthen_the_path() {
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 5 => router(ttl),
        32 => arrived(probe, 8),
        _ => arrived(probe, 5),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(5)));
}

#[test]
fn an_unreachable_on_the_way_ends_the_path() {
    let blocked = |probe: &Probe| ProbeResult::Answered {
        responder: Ipv4Addr::new(10, 0, 0, 4).into(),
        kind: ReplyKind::AdministrativelyProhibited,
        quoted_ttl: Some(probe.ttl.0 - 3),
        reply_ttl: None,
        next_hop_mtu: None,
        from_target: false,
    };
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 4 => router(ttl),
        _ => blocked(probe),
    });
    assert_eq!(shown.end(), (StopReason::Unreachable, None));
    assert_eq!(shown.ttls(Purpose::Trace), [1, 2, 3, 4]);
}

#[test]
fn a_loop_is_an_address_that_comes_back_two_ttls_later() {
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 4 => router(ttl),
        ttl => router(4 + ttl % 2),
    });
    assert_eq!(shown.end(), (StopReason::Loop, None));
    let highest = shown.ttls(Purpose::Trace).last().copied();
    assert!(highest < Some(12), "probed up to {highest:?}");
}

#[test]
fn an_address_twice_in_a_row_is_zero_ttl_forwarding_and_no_loop() {
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        3 => router(4),
        ttl if ttl < 8 => router(ttl),
        _ => ProbeResult::Silent,
    });
    assert_eq!(shown.end(), (StopReason::GapLimit, None));
}

#[test]
fn the_maximum_ttl_ends_a_path_that_goes_on_answering() {
    let limits = TraceLimits {
        max_ttl: Ttl(6),
        ..LIMITS
    };
    let shown = run(1, limits, |probe| router(probe.ttl.0));
    assert_eq!(shown.end(), (StopReason::MaxTtl, None));
    assert_eq!(shown.ttls(Purpose::Trace), [1, 2, 3, 4, 5, 6]);
    let at_max: Vec<u8> = shown
        .probes()
        .filter(|probe| probe.ttl == Ttl(6))
        .map(|probe| probe.attempt)
        .collect();
    assert_eq!(
        at_max,
        [1, 2],
        "the distance probe is the first attempt at the maximum TTL"
    );
}

#[test]
fn a_lost_probe_is_retried() {
    let mut lost = std::collections::HashSet::new();
    let mut path = clean(8);
    let shown = run(1, LIMITS, |probe| {
        if lost.insert((probe.ttl, probe.purpose == Purpose::Distance)) {
            ProbeResult::Silent
        } else {
            path(probe)
        }
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(8)));
}

#[test]
fn a_target_that_cannot_be_sent_to_ends_as_error() {
    let shown = run(1, LIMITS, |_| ProbeResult::NotSent);
    assert_eq!(shown.end(), (StopReason::Error, None));
    assert_eq!(shown.requests.len(), 1);
}

#[test]
fn probing_starts_at_the_first_ttl_and_a_target_at_or_before_it_has_no_length() {
    let limits = TraceLimits {
        first_ttl: Ttl(4),
        ..LIMITS
    };
    let shown = run(1, limits, clean(7));
    assert_eq!(shown.end(), (StopReason::Completed, Some(7)));
    assert_eq!(shown.ttls(Purpose::Trace), [4, 5, 6, 7]);
    let shown = run(1, limits, clean(2));
    assert_eq!(shown.end(), (StopReason::Completed, None));
}

#[test]
fn every_flow_of_every_target_ends_once_and_marks_what_reaches_the_target() {
    let limits = TraceLimits {
        flows: 8,
        window: 3,
        ..LIMITS
    };
    let shown = run(20, limits, clean(6));
    let mut ends: Vec<_> = shown
        .ends
        .iter()
        .map(|end| (end.target, end.flow))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends.len(), 160);
    assert!(shown.ends.iter().all(|end| end.path_length == Some(Ttl(6))));
    for Request { probe, reach } in &shown.requests {
        assert_eq!(*reach == Reach::Target, probe.ttl.0 >= 6, "{probe:?}");
    }
}

#[test]
fn the_window_bounds_the_targets_under_way() {
    let limits = TraceLimits {
        window: 4,
        ..LIMITS
    };
    let mut trace = Trace::new(listed(100), limits, 1);
    assert_eq!(polled(&mut trace, &mut Actions::default()).len(), 4);
}

#[test]
fn an_interrupt_ends_every_open_trace_and_starts_nothing_more() {
    let limits = TraceLimits {
        flows: 2,
        window: 3,
        ..LIMITS
    };
    let mut trace = Trace::new(listed(100), limits, 1);
    let mut actions = Actions::default();
    assert_eq!(polled(&mut trace, &mut actions).len(), 6);
    let before = trace.cursor();
    trace.interrupt(NOW, &mut actions);
    let ends = ends(&mut actions);
    assert_eq!(ends.len(), 6);
    assert!(
        ends.iter()
            .all(|end| end.stop_reason == StopReason::Interrupted)
    );
    assert_eq!(trace.poll(NOW, &mut actions), Poll::Done);
    assert_eq!(trace.cursor(), before, "the three targets are still open");
    assert_eq!(before.open.len(), 3);
}

#[test]
fn a_rate_limited_target_is_not_taken_for_a_longer_path() {
    // The distance is unknown. The target answers only the third probe at its TTL, but the first probe one TTL later.
    let mut asked = 0;
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 6 => router(ttl),
        6 => {
            asked += 1;
            if asked < 3 {
                ProbeResult::Silent
            } else {
                arrived(probe, 6)
            }
        }
        32 => ProbeResult::Silent,
        _ => arrived(probe, 6),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(6)));
}

#[test]
fn a_silent_hop_before_the_target_is_asked_once_more_if_no_distance_is_known() {
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        5 | 32 => ProbeResult::Silent,
        ttl if ttl < 6 => router(ttl),
        _ => arrived(probe, 6),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(6)));
    assert_eq!(shown.ttls(Purpose::Retry), [5, 5]);
}

#[test]
fn a_hop_is_asked_until_it_has_answered_as_often_as_wanted() {
    let limits = TraceLimits {
        probes_per_hop: 3,
        ..LIMITS
    };
    let shown = run(1, limits, |probe| match probe.ttl.0 {
        4.. => arrived(probe, 4),
        // This hop answers every second probe.
        2 if probe.attempt % 2 == 1 => ProbeResult::Silent,
        ttl => router(ttl),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(4)));
    let asked = |ttl: u8| shown.probes().filter(|p| p.ttl.0 == ttl).count();
    assert_eq!([asked(1), asked(3), asked(4)], [3, 3, 3]);
    // Silent, answered, silent, answered: two of three wanted answers within `attempts` + 2 attempts.
    assert_eq!(asked(2), 4);
    let mut names: Vec<_> = shown.probes().map(|p| (p.ttl, p.attempt)).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "no attempt is made twice");
}
