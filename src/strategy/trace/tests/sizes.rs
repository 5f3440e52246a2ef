//! Probes that shrink to what a path carries.

use super::*;

/// A router's message that a probe is too large for its next link.
fn too_large(by: u8, mtu: Option<u16>) -> ProbeResult {
    ProbeResult::Answered {
        responder: Ipv4Addr::new(10, 0, 0, by).into(),
        kind: ReplyKind::FragmentationNeeded,
        quoted_ttl: Some(1),
        reply_ttl: None,
        next_hop_mtu: mtu.map(u32::from),
        from_target: false,
    }
}

#[test]
fn probes_shrink_to_the_path_mtu() {
    let limits = TraceLimits {
        mtu_from: Some(1_500),
        ..LIMITS
    };
    let lines = [1_500, 1_500, 1_400, 1_280, 1_280];
    let shown = run(1, limits, |probe| {
        let size = probe.size.expect("a size");
        let reach = usize::from(probe.ttl.0).min(lines.len());
        match (0..reach).find(|at| lines[*at] < size) {
            Some(at) => too_large(at as u8, Some(lines[at])),
            None if probe.ttl.0 >= 5 => arrived(probe, 5),
            None => router(probe.ttl.0),
        }
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(5)));
    assert_eq!(shown.ends[0].path_mtu, Some(1_280));
    // The distance probe met both narrow links before the hops were probed.
    assert_eq!(shown.ttls(Purpose::Distance), [32, 32, 32]);
    assert_eq!(shown.ttls(Purpose::Trace), [1, 2, 3, 4, 5]);
}

#[test]
fn a_late_too_large_message_shrinks_the_probes_and_does_not_end_the_path() {
    let limits = TraceLimits {
        mtu_from: Some(1_500),
        ..LIMITS
    };
    let mut path = path::Path::new(&limits);
    let told = |ttl: u8, purpose: Purpose, result: ProbeResult, late: bool| Outcome {
        target: TargetId(0),
        flow: FlowId(0),
        ttl: Ttl(ttl),
        attempt: 1,
        purpose,
        size: Some(1_500),
        round: 0,
        result,
        late,
    };
    let distance = told(32, Purpose::Distance, ProbeResult::Silent, false);
    path.observe(&distance, &limits);
    assert!(matches!(path.next(&limits), path::Verdict::Probe(wanted) if wanted.len() == 5));
    path.observe(
        &told(2, Purpose::Trace, ProbeResult::Silent, false),
        &limits,
    );
    let too_large = too_large(1, Some(1_400));
    path.observe(&told(2, Purpose::Trace, too_large, true), &limits);
    assert_eq!(path.size(), Some(1_400));
    assert_eq!(path.last_ttl(), None, "nobody has answered for a hop");
}

#[test]
fn a_size_that_did_not_come_through_is_no_path_mtu() {
    let limits = TraceLimits {
        mtu_from: Some(1_500),
        ..LIMITS
    };
    // The third router rejects every size, down to the smallest or until the resends are used up.
    for states in [false, true] {
        let shown = run(1, limits, |probe| match probe.ttl.0 {
            ttl if ttl < 4 => router(ttl),
            _ => too_large(3, probe.size.filter(|_| states).map(|size| size - 1)),
        });
        assert_eq!(shown.end(), (StopReason::Unreachable, None));
        assert_eq!(shown.ends[0].path_mtu, None);
    }
}

#[test]
fn a_distance_that_was_asked_for_again_adds_no_attempts_at_the_maximum_ttl() {
    let limits = TraceLimits {
        max_ttl: Ttl(6),
        mtu_from: Some(1_500),
        ..LIMITS
    };
    let shown = run(1, limits, |probe| match probe.ttl.0 {
        6 if probe.size > Some(1_280) => too_large(2, None),
        6 => ProbeResult::Silent,
        ttl => router(ttl),
    });
    assert_eq!(shown.end(), (StopReason::MaxTtl, None));
    let distance = shown.ttls(Purpose::Distance).len();
    assert_eq!(distance, 7, "from 1,500 down to 1,280");
    let at_max: Vec<u8> = shown
        .probes()
        .filter(|probe| probe.ttl == Ttl(6) && probe.purpose != Purpose::Distance)
        .map(|probe| probe.attempt)
        .collect();
    assert_eq!(at_max, [8, 9], "two attempts, numbered on");
}

/// A router beyond the last answer may drop large packets without a message.
#[test]
fn a_path_that_ends_in_silence_has_no_path_mtu() {
    let limits = TraceLimits {
        mtu_from: Some(1_500),
        ..LIMITS
    };
    let shown = run(1, limits, |probe| match probe.ttl.0 {
        ttl @ 1..=2 => router(ttl),
        _ => ProbeResult::Silent,
    });
    assert_eq!(shown.end(), (StopReason::GapLimit, None));
    assert_eq!(shown.ends[0].path_mtu, None);
}
