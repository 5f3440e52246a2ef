//! Probes that a rate limit held back for too long.

use super::*;

/// A path of `length` hops. Probes with a TTL in `skipped` are never sent.
fn with_skipped(length: u8, skipped: impl Fn(&Probe) -> bool) -> impl FnMut(&Probe) -> ProbeResult {
    let mut path = clean(length);
    move |probe| match skipped(probe) {
        true => ProbeResult::Skipped,
        false => path(probe),
    }
}

#[test]
fn any_number_of_skipped_hops_is_no_gap() {
    for first in 1..=11 {
        let skipped = |probe: &Probe| {
            probe.purpose == Purpose::Distance || (first..12).contains(&probe.ttl.0)
        };
        let shown = run(1, LIMITS, with_skipped(14, skipped));
        assert_eq!(
            shown.end(),
            (StopReason::Completed, Some(14)),
            "from {first}"
        );
    }
}

#[test]
fn silence_is_counted_without_the_skipped_hops() {
    // Five silent hops end the trace: 5, 7, 9, 11, 13.
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 5 => router(ttl),
        ttl if ttl % 2 == 0 && probe.purpose != Purpose::Distance => ProbeResult::Skipped,
        _ => ProbeResult::Silent,
    });
    assert_eq!(shown.end(), (StopReason::GapLimit, None));
    assert_eq!(shown.ttls(Purpose::Trace), (1..=13).collect::<Vec<_>>());
    assert_eq!(shown.ttls(Purpose::Retry), [5, 7, 9, 11, 13]);
}

#[test]
fn a_path_with_every_probe_skipped_ends_at_the_maximum_ttl() {
    let shown = run(1, LIMITS, |_| ProbeResult::Skipped);
    assert_eq!(shown.end(), (StopReason::MaxTtl, None));
    assert_eq!(shown.ttls(Purpose::Trace), (1..=32).collect::<Vec<_>>());
    assert_eq!(shown.ttls(Purpose::Retry), [0; 0]);
}

#[test]
fn the_length_is_unknown_if_the_hop_before_the_target_was_skipped() {
    let before = |probe: &Probe| probe.ttl.0 == 5;
    let shown = run(1, LIMITS, with_skipped(6, before));
    assert_eq!(shown.end(), (StopReason::Completed, None));
    // Without a distance, TTL 5 is probed once more.
    let first = |probe: &Probe| {
        probe.purpose == Purpose::Distance || before(probe) && probe.purpose == Purpose::Trace
    };
    let shown = run(1, LIMITS, with_skipped(6, first));
    assert_eq!(shown.end(), (StopReason::Completed, Some(6)));
}

#[test]
fn a_loop_is_believed_when_enough_hops_behind_it_were_probed() {
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 4 => router(ttl),
        6..=9 if probe.purpose != Purpose::Distance => ProbeResult::Skipped,
        ttl if ttl < 20 => router(4 + ttl % 2),
        ttl => router(ttl),
    });
    // The address repeats at TTL 10, and TTLs 11 to 15 bring no new address.
    assert_eq!(
        shown.end(),
        (StopReason::MaxTtl, None),
        "the distance probe got away"
    );
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 4 => router(ttl),
        6..=9 => ProbeResult::Skipped,
        32 => ProbeResult::Silent,
        ttl => router(4 + ttl % 2),
    });
    assert_eq!(shown.end(), (StopReason::Loop, None));
    assert_eq!(shown.ttls(Purpose::Trace).last(), Some(&15));
}

#[test]
fn a_confirmation_that_is_skipped_changes_nothing() {
    let shown = run(1, LIMITS, |probe| match (probe.ttl.0, probe.attempt) {
        (32, _) => ProbeResult::Silent,
        (5, 3) => ProbeResult::Skipped,
        (5, _) => ProbeResult::Silent,
        (ttl, _) if ttl < 6 => router(ttl),
        _ => arrived(probe, 6),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(6)));
}
