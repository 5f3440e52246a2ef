//! Silence just before the target, which may be the target's own silence.

use super::*;

const FREE: TraceLimits = TraceLimits {
    arrivals: Arrivals::Distinct,
    ..LIMITS
};

/// An answer of the target that quotes nothing. Its TTL suggests the distance `guess`.
fn quoteless(probe: &Probe, kind: ReplyKind, guess: u8) -> ProbeResult {
    ProbeResult::Answered {
        responder: probe.destination,
        kind,
        quoted_ttl: None,
        reply_ttl: Some(64 - (guess - 1)),
        next_hop_mtu: None,
        from_target: true,
    }
}

/// A path of six hops. Probes to the last hop are lost until the one with number `heard`. The distance probe is answered with a
/// TTL that suggests `guess`, or not at all.
fn lossy(
    limits: TraceLimits,
    kind: ReplyKind,
    guess: Option<u8>,
    heard: usize,
) -> (Shown, Option<u8>) {
    let mut asked = 0;
    let shown = run(1, limits, |probe| match (probe.ttl.0, probe.purpose) {
        (_, Purpose::Distance) => {
            guess.map_or(ProbeResult::Silent, |guess| quoteless(probe, kind, guess))
        }
        (ttl, _) if ttl < 6 => router(ttl),
        (6, _) => {
            asked += 1;
            match asked < heard {
                true => ProbeResult::Silent,
                false => quoteless(probe, kind, 6),
            }
        }
        _ => quoteless(probe, kind, 6),
    });
    let (reason, length) = shown.end();
    assert_eq!(reason, StopReason::Completed);
    (shown, length)
}

#[test]
fn a_silent_ttl_before_the_target_is_probed_once_more() {
    for kind in [ReplyKind::EchoReply, ReplyKind::SynAck, ReplyKind::Rst] {
        for guess in [None, Some(4), Some(5), Some(6), Some(7), Some(9)] {
            for attempts in [1, 2] {
                let limits = TraceLimits { attempts, ..FREE };
                let heard = usize::from(attempts) + 1;
                let (shown, length) = lossy(limits, kind, guess, heard);
                let what = format!("{kind:?}, {guess:?}, {attempts}");
                assert_eq!(length, Some(6), "{what}");
                let retries = shown.ttls(Purpose::Retry);
                assert!(retries.len() >= usize::from(attempts), "{what}");
            }
        }
    }
}

#[test]
fn a_silent_ttl_before_the_target_gets_only_one_extra_probe() {
    for guess in [None, Some(6), Some(7)] {
        let (shown, length) = lossy(FREE, ReplyKind::EchoReply, guess, usize::MAX);
        assert_eq!(length, Some(7));
        let at_six = shown.probes().filter(|p| p.ttl.0 == 6);
        assert_eq!(at_six.count(), 3, "two attempts and one more");
    }
}

#[test]
fn two_silent_ttls_before_the_target_are_both_probed_once_more() {
    // The target is at TTL 5. Two probes each are lost at TTL 5 and TTL 6.
    let mut asked = [0; 33];
    let shown = run(1, FREE, |probe| match (probe.ttl.0, probe.purpose) {
        (_, Purpose::Distance) => ProbeResult::Silent,
        (ttl, _) if ttl < 5 => router(ttl),
        (ttl, _) => {
            asked[usize::from(ttl)] += 1;
            match ttl < 7 && asked[usize::from(ttl)] < 3 {
                true => ProbeResult::Silent,
                false => quoteless(probe, ReplyKind::EchoReply, 5),
            }
        }
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(5)));
}

#[test]
fn no_extra_probe_is_sent_if_the_distance_is_known_or_the_hop_answered() {
    // The port unreachable quotes the TTL that the probe arrived with.
    let shown = run(1, FREE, |probe| match probe.ttl.0 {
        5 => ProbeResult::Silent,
        ttl if ttl < 6 => router(ttl),
        _ => arrived(probe, 6),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(6)));
    assert_eq!(shown.ttls(Purpose::Retry), [5]);
    let (shown, length) = lossy(FREE, ReplyKind::EchoReply, Some(6), 1);
    assert_eq!((length, shown.requests.len()), (Some(6), 7));
}
