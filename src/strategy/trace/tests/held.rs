//! Targets that this host cannot send to, or not yet.

use super::*;

fn trace(targets: u32, limits: TraceLimits) -> Trace {
    Trace::new(listed(targets), limits, 7)
}

/// The probes that are given out at once.
fn polled(trace: &mut Trace) -> Vec<Probe> {
    std::iter::from_fn(|| match trace.poll(Time::default()) {
        Poll::Probe(probe) => Some(probe),
        Poll::Wait(_) | Poll::Done => None,
    })
    .collect()
}

fn outcome(probe: &Probe, result: ProbeResult, late: bool) -> Outcome {
    Outcome {
        target: probe.target,
        flow: probe.flow,
        ttl: probe.ttl,
        attempt: probe.attempt,
        purpose: probe.purpose,
        size: probe.size,
        result,
        late,
    }
}

#[test]
fn targets_that_wait_for_room_do_not_count_within_the_window() {
    let limits = TraceLimits {
        window: 3,
        ..LIMITS
    };
    let mut trace = trace(20, limits);
    assert_eq!(polled(&mut trace).len(), 3);
    trace.held(2);
    assert_eq!(polled(&mut trace).len(), 2);
    // Room has been found for them.
    trace.held(0);
    assert_eq!(polled(&mut trace).len(), 0);
}

#[test]
fn a_refusal_told_after_the_timeout_ends_a_path_without_answers() {
    let mut trace = trace(1, LIMITS);
    let distance = polled(&mut trace)[0];
    trace.observe(
        &outcome(&distance, ProbeResult::Silent, false),
        Time::default(),
    );
    let hops = polled(&mut trace);
    assert_eq!(hops.len(), 5);
    trace.observe(
        &outcome(&distance, ProbeResult::NotSent, true),
        Time::default(),
    );
    for hop in &hops {
        trace.observe(&outcome(hop, ProbeResult::Silent, false), Time::default());
    }
    assert_eq!(polled(&mut trace), []);
    let end = trace.take_ended().expect("it has ended");
    assert_eq!(end.stop_reason, StopReason::Error);
}

#[test]
fn a_refusal_told_after_the_timeout_ends_no_path_that_has_answers() {
    let mut trace = trace(1, LIMITS);
    let distance = polled(&mut trace)[0];
    let now = Time::default();
    trace.observe(&outcome(&distance, ProbeResult::Silent, false), now);
    let hops = polled(&mut trace);
    let answered = ProbeResult::Answered {
        responder: Ipv4Addr::new(10, 0, 0, 1).into(),
        kind: ReplyKind::TimeExceeded,
        quoted_ttl: Some(1),
        reply_ttl: Some(64),
        next_hop_mtu: None,
        from_target: false,
    };
    trace.observe(&outcome(&hops[0], answered, false), now);
    trace.observe(&outcome(&distance, ProbeResult::NotSent, true), now);
    trace.observe(&outcome(&hops[1], ProbeResult::NotSent, true), now);
    for hop in &hops[1..] {
        trace.observe(&outcome(hop, ProbeResult::Silent, false), now);
    }
    // It goes on: silent hops are asked once more.
    assert!(!polled(&mut trace).is_empty());
}
