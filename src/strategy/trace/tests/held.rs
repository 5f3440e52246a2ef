//! Targets that this host cannot send to, or has no room for yet.

use super::*;

fn trace(targets: u32, limits: TraceLimits) -> Trace {
    Trace::new(listed(targets), limits, 7)
}

fn outcome(probe: &Probe, result: ProbeResult, late: bool) -> Outcome {
    Outcome::of(probe, result, late)
}

#[test]
fn held_targets_do_not_count_towards_the_window() {
    let limits = TraceLimits {
        window: 3,
        ..LIMITS
    };
    let (mut trace, mut actions) = (trace(20, limits), Actions::default());
    assert_eq!(polled(&mut trace, &mut actions).len(), 3);
    trace.held(2);
    assert_eq!(polled(&mut trace, &mut actions).len(), 2);
    // The two targets are no longer held.
    trace.held(0);
    assert_eq!(polled(&mut trace, &mut actions).len(), 0);
}

#[test]
fn a_late_refusal_by_the_kernel_ends_a_path_without_answers() {
    let (mut trace, mut actions) = (trace(1, LIMITS), Actions::default());
    let distance = polled(&mut trace, &mut actions)[0];
    trace.observe(
        &outcome(&distance, ProbeResult::Silent, false),
        NOW,
        &mut actions,
    );
    let hops = polled(&mut trace, &mut actions);
    assert_eq!(hops.len(), 5);
    trace.observe(
        &outcome(&distance, ProbeResult::NotSent, true),
        NOW,
        &mut actions,
    );
    for hop in &hops {
        trace.observe(&outcome(hop, ProbeResult::Silent, false), NOW, &mut actions);
    }
    assert_eq!(polled(&mut trace, &mut actions), []);
    assert_eq!(ends(&mut actions)[0].stop_reason, StopReason::Error);
}

#[test]
fn a_late_refusal_by_the_kernel_does_not_end_a_path_with_answers() {
    let (mut trace, mut actions) = (trace(1, LIMITS), Actions::default());
    let distance = polled(&mut trace, &mut actions)[0];
    trace.observe(
        &outcome(&distance, ProbeResult::Silent, false),
        NOW,
        &mut actions,
    );
    let hops = polled(&mut trace, &mut actions);
    let answered = ProbeResult::Answered {
        responder: Ipv4Addr::new(10, 0, 0, 1).into(),
        kind: ReplyKind::TimeExceeded,
        quoted_ttl: Some(1),
        reply_ttl: Some(64),
        next_hop_mtu: None,
        from_target: false,
    };
    trace.observe(&outcome(&hops[0], answered, false), NOW, &mut actions);
    trace.observe(
        &outcome(&distance, ProbeResult::NotSent, true),
        NOW,
        &mut actions,
    );
    trace.observe(
        &outcome(&hops[1], ProbeResult::NotSent, true),
        NOW,
        &mut actions,
    );
    for hop in &hops[1..] {
        trace.observe(&outcome(hop, ProbeResult::Silent, false), NOW, &mut actions);
    }
    // The path continues: silent hops are retried.
    assert!(!polled(&mut trace, &mut actions).is_empty());
}
