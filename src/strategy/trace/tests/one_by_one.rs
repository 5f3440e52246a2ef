//! Targets whose answers do not identify the probe.

use super::*;

#[test]
fn one_by_one_keeps_at_most_one_probe_of_a_flow_pending() {
    let limits = TraceLimits {
        arrivals: Arrivals::OneByOne,
        flows: 2,
        ..LIMITS
    };
    let mut trace = Trace::new(listed(3), limits, 1);
    let mut actions = Actions::default();
    let mut under_way: VecDeque<Probe> = VecDeque::new();
    let mut most = 0;
    loop {
        for probe in polled(&mut trace, &mut actions) {
            let of_flow = |other: &Probe| (other.target, other.flow) == (probe.target, probe.flow);
            assert!(!under_way.iter().any(of_flow), "{probe:?}");
            under_way.push_back(probe);
            most = most.max(under_way.len());
        }
        let Some(probe) = under_way.pop_front() else {
            break;
        };
        // Without a quoted TTL, the distance is guessed from the answer's own TTL.
        let mut result = match probe.ttl.0 {
            4 => ProbeResult::Silent,
            ttl if ttl < 9 => router(ttl),
            _ => arrived(&probe, 9),
        };
        if let ProbeResult::Answered {
            quoted_ttl,
            reply_ttl,
            ..
        } = &mut result
        {
            *quoted_ttl = None;
            *reply_ttl = Some(64 - 8);
        }
        trace.observe(&outcome(&probe, result), NOW, &mut actions);
    }
    let ends = ends(&mut actions);
    assert_eq!((ends.len(), most), (6, 6));
    assert!(ends.iter().all(|end| end.path_length == Some(Ttl(9))));
}

/// The outcome of a probe that a path asked for.
fn of(want: &path::Want, result: ProbeResult, late: bool) -> Outcome {
    Outcome {
        target: TargetId(0),
        flow: FlowId(0),
        ttl: want.ttl,
        attempt: want.attempt,
        purpose: want.purpose,
        size: None,
        round: 0,
        result,
        late,
    }
}

fn datagram() -> ProbeResult {
    ProbeResult::Answered {
        responder: Ipv4Addr::new(198, 51, 100, 0).into(),
        kind: ReplyKind::Udp,
        quoted_ttl: None,
        reply_ttl: Some(61),
        next_hop_mtu: None,
        from_target: true,
    }
}

/// The probes that a path wants next.
fn asked(path: &mut path::Path, limits: &TraceLimits) -> Vec<path::Want> {
    match path.next(limits) {
        path::Verdict::Probe(wanted) => wanted,
        other => panic!("{other:?}"),
    }
}

/// A path without a distance, and the five probes that it then sends together.
fn without_distance(limits: &TraceLimits) -> (path::Path, Vec<path::Want>) {
    let mut path = path::Path::new(limits);
    let distance = path::Want {
        ttl: limits.max_ttl,
        attempt: 1,
        purpose: Purpose::Distance,
        reaches_target: true,
    };
    path.observe(&of(&distance, ProbeResult::Silent, false), limits);
    let wanted = asked(&mut path, limits);
    assert_eq!(wanted.len(), 5);
    (path, wanted)
}

/// A path of four hops to a target that answers by UDP, and its pending probes. Two routers have answered. The target has
/// answered one of the pending probes.
fn unsettled(limits: &TraceLimits) -> (path::Path, Vec<path::Want>) {
    let (mut path, wanted) = without_distance(limits);
    for want in &wanted[..2] {
        path.observe(&of(want, router(want.ttl.0), false), limits);
    }
    // Two more TTLs come within the gap limit.
    let further = asked(&mut path, limits);
    assert_eq!(further.len(), 2);
    path.observe(&of(&wanted[3], ProbeResult::OneOfSeveral, false), limits);
    let out = [&wanted[2..], &further[..]].concat();
    (path, out)
}

#[test]
fn after_an_answer_to_one_of_several_probes_they_are_retried_one_by_one() {
    for attempts in [1, 2] {
        let limits = TraceLimits { attempts, ..LIMITS };
        let (mut path, out) = unsettled(&limits);
        for want in &out {
            assert_eq!(path.next(&limits), path::Verdict::Wait);
            path.observe(&of(want, ProbeResult::Silent, false), &limits);
        }
        // The attempt with the unclear silence does not count as one of the allowed attempts.
        for attempt in 2..=attempts + 1 {
            let retry = asked(&mut path, &limits);
            assert_eq!(retry.len(), 1, "{retry:?}");
            assert_eq!((retry[0].ttl, retry[0].attempt), (Ttl(3), attempt));
            path.observe(&of(&retry[0], ProbeResult::Silent, false), &limits);
        }
        let arrival = asked(&mut path, &limits);
        assert_eq!(arrival.len(), 1, "{arrival:?}");
        assert_eq!((arrival[0].ttl, arrival[0].attempt), (Ttl(4), 2));
        path.observe(&of(&arrival[0], datagram(), false), &limits);
        // The silent TTL is probed once more, because the target might be there.
        let confirmation = asked(&mut path, &limits);
        assert_eq!(confirmation[0].ttl, Ttl(3));
        path.observe(&of(&confirmation[0], ProbeResult::Silent, false), &limits);
        let ended = path::Verdict::Ended(StopReason::Completed);
        assert_eq!(path.next(&limits), ended);
        assert_eq!(path.length(), Some(Ttl(4)));
    }
}

#[test]
fn once_the_target_is_found_its_further_answers_change_nothing() {
    for late in [false, true] {
        let (mut path, wanted) = without_distance(&LIMITS);
        for want in &wanted {
            let result = match want.ttl.0 {
                3 | 5 => ProbeResult::Silent,
                // This answer repeats the probe, so it identifies it.
                4 => datagram(),
                ttl => router(ttl),
            };
            path.observe(&of(want, result, false), &LIMITS);
        }
        // The number of attempts and the confirmation stay the same.
        for attempt in 2..=LIMITS.attempts + 1 {
            let retry = asked(&mut path, &LIMITS);
            assert_eq!(retry.len(), 1, "{retry:?}");
            assert_eq!((retry[0].ttl, retry[0].attempt), (Ttl(3), attempt));
            path.observe(&of(&wanted[3], ProbeResult::OneOfSeveral, late), &LIMITS);
            path.observe(&of(&retry[0], ProbeResult::Silent, false), &LIMITS);
        }
        path.observe(&of(&wanted[3], ProbeResult::OneOfSeveral, late), &LIMITS);
        let ended = path::Verdict::Ended(StopReason::Completed);
        assert_eq!(path.next(&LIMITS), ended);
        assert_eq!(path.length(), Some(Ttl(4)));
    }
}
