//! Where a path ends: complaints, answers of the target from another address, addresses that come back.

use super::*;
use crate::strategy::trace::path::{Path, Verdict, Want};

/// A complaint by the router with the number `by`, at distance `at`.
fn complaint(probe: &Probe, by: u8, at: u8, kind: ReplyKind) -> ProbeResult {
    ProbeResult::Answered {
        responder: Ipv4Addr::new(10, 0, 0, by).into(),
        kind,
        quoted_ttl: Some(probe.ttl.0 + 1 - at),
        reply_ttl: None,
        next_hop_mtu: None,
        from_target: false,
    }
}

const PROHIBITED: ReplyKind = ReplyKind::AdministrativelyProhibited;

/// Limits with probes sent together, and with probes sent one at a time.
fn both() -> [TraceLimits; 2] {
    [Arrivals::Distinct, Arrivals::OneByOne].map(|arrivals| TraceLimits { arrivals, ..LIMITS })
}

/// A path after the outcome of its distance probe, and its limits.
struct Course {
    limits: TraceLimits,
    path: Path,
}

impl Course {
    fn new(limits: TraceLimits, distance: ProbeResult) -> Self {
        let mut course = Course {
            limits,
            path: Path::new(&limits),
        };
        course.told(limits.max_ttl.0, Purpose::Distance, distance, false);
        course
    }

    fn told(&mut self, ttl: u8, purpose: Purpose, result: ProbeResult, late: bool) {
        let outcome = Outcome {
            target: TargetId(0),
            flow: FlowId(0),
            ttl: Ttl(ttl),
            attempt: if purpose == Purpose::Retry { 2 } else { 1 },
            purpose,
            size: None,
            round: 0,
            result,
            late,
        };
        self.path.observe(&outcome, &self.limits);
    }

    fn hop(&mut self, ttl: u8, result: ProbeResult) {
        self.told(ttl, Purpose::Trace, result, false);
    }

    /// The TTLs of the probes wanted next.
    fn asked(&mut self) -> Vec<u8> {
        match self.path.next(&self.limits) {
            Verdict::Probe(wanted) => wanted.iter().map(|want: &Want| want.ttl.0).collect(),
            Verdict::Wait | Verdict::Ended(_) => Vec::new(),
        }
    }

    fn ended(&mut self) -> Option<(StopReason, Option<u8>)> {
        match self.path.next(&self.limits) {
            Verdict::Ended(reason) => Some((reason, self.path.last_ttl().map(|ttl| ttl.0))),
            Verdict::Probe(_) | Verdict::Wait => None,
        }
    }
}

fn says(by: u8, kind: ReplyKind) -> ProbeResult {
    ProbeResult::Answered {
        responder: Ipv4Addr::new(10, 0, 0, by).into(),
        kind,
        quoted_ttl: None,
        reply_ttl: Some(60),
        next_hop_mtu: None,
        from_target: false,
    }
}

fn target_says(kind: ReplyKind) -> ProbeResult {
    ProbeResult::Answered {
        responder: Ipv4Addr::new(198, 51, 100, 0).into(),
        kind,
        quoted_ttl: None,
        reply_ttl: Some(60),
        next_hop_mtu: None,
        from_target: true,
    }
}

#[test]
fn a_router_that_complains_though_the_target_answers_is_a_hop_like_any_other() {
    for limits in both() {
        for kind in [
            PROHIBITED,
            ReplyKind::FragmentationNeeded,
            ReplyKind::ParameterProblem,
        ] {
            let shown = run(1, limits, |probe| match probe.ttl.0 {
                2 => complaint(probe, 2, 2, kind),
                ttl if ttl < 6 => router(ttl),
                _ => arrived(probe, 6),
            });
            assert_eq!(shown.end(), (StopReason::Completed, Some(6)), "{kind:?}");
            assert_eq!(shown.requests.len(), 7, "{kind:?}");
        }
    }
}

#[test]
fn no_ttl_beyond_a_complaint_is_probed_but_pending_probes_are_awaited() {
    let mut course = Course::new(LIMITS, ProbeResult::Silent);
    assert_eq!(course.asked(), [1, 2, 3, 4, 5]);
    course.hop(1, router(1));
    assert_eq!(course.asked(), [6]);
    course.hop(2, says(2, PROHIBITED));
    for ttl in 3..=6 {
        assert!(course.asked().is_empty(), "TTL {ttl} is awaited");
        assert_eq!(course.ended(), None);
        course.hop(ttl, ProbeResult::Silent);
    }
    assert_eq!(course.ended(), Some((StopReason::Unreachable, Some(2))));
}

#[test]
fn an_answer_beyond_a_complaint_overrules_it() {
    for overruling in [says(3, ReplyKind::TimeExceeded), says(3, PROHIBITED)] {
        let mut course = Course::new(LIMITS, ProbeResult::Silent);
        course.asked();
        course.hop(1, router(1));
        course.hop(2, says(2, PROHIBITED));
        course.hop(4, overruling);
        // If the answer at the higher TTL is a complaint as well, the path ends there.
        let ends = matches!(
            overruling,
            ProbeResult::Answered {
                kind: PROHIBITED,
                ..
            }
        );
        assert_eq!(course.asked(), if ends { vec![] } else { vec![6, 7, 8, 9] });
        course.hop(3, ProbeResult::Silent);
        course.hop(5, ProbeResult::Silent);
        if ends {
            // TTL 3 is before the end, so it is retried.
            assert_eq!(course.asked(), [3]);
            course.told(3, Purpose::Retry, ProbeResult::Silent, false);
        }
        let end = ends.then_some((StopReason::Unreachable, Some(4)));
        assert_eq!(course.ended(), end, "what was asked for is awaited");
    }
}

#[test]
fn the_same_router_s_complaints_at_higher_ttls_overrule_nothing() {
    let mut course = Course::new(LIMITS, says(3, PROHIBITED));
    assert_eq!(course.asked(), [1, 2, 3, 4, 5]);
    for (ttl, by) in [(5, 3), (4, 3), (3, 3), (2, 2), (1, 1)] {
        let kind = if by == 3 {
            PROHIBITED
        } else {
            ReplyKind::TimeExceeded
        };
        course.hop(ttl, says(by, kind));
    }
    assert_eq!(course.ended(), Some((StopReason::Unreachable, Some(3))));
}

#[test]
fn an_answer_of_another_host_to_the_distance_probe_overrules_a_complaint() {
    for distance in [
        says(9, ReplyKind::TimeExceeded),
        says(9, PROHIBITED),
        target_says(ReplyKind::PortUnreachable),
        // The target's answer from another address.
        says(9, ReplyKind::EchoReply),
    ] {
        let one_by_one = TraceLimits {
            arrivals: Arrivals::OneByOne,
            ..LIMITS
        };
        let mut course = Course::new(one_by_one, distance);
        assert_eq!(course.asked()[..1], [1]);
        course.hop(1, says(1, PROHIBITED));
        assert_eq!(course.asked()[..1], [2], "{distance:?}");
    }
    let mut course = Course::new(both()[1], ProbeResult::Silent);
    assert_eq!(course.asked(), [1]);
    course.hop(1, says(1, PROHIBITED));
    assert_eq!(course.ended(), Some((StopReason::Unreachable, Some(1))));
}

#[test]
fn further_complaints_of_an_overruled_router_are_ignored() {
    // The router complains about every packet that it forwards. Beyond the last other router only its complaints are seen.
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        1 => router(1),
        2 | 4 => router(probe.ttl.0),
        _ => complaint(probe, 1, 1, PROHIBITED),
    });
    assert_eq!(shown.end(), (StopReason::GapLimit, None));
    assert_eq!(shown.ends[0].last_ttl, Some(Ttl(4)));
    assert_eq!(shown.ttls(Purpose::Trace), (1..=9).collect::<Vec<_>>());
}

#[test]
fn one_probe_may_bring_a_complaint_and_the_target_s_answer() {
    let mut course = Course::new(LIMITS, says(1, PROHIBITED));
    course.told(
        32,
        Purpose::Distance,
        target_says(ReplyKind::EchoReply),
        true,
    );
    assert_eq!(course.asked(), [1, 2, 3, 4, 5], "the guess");
    for ttl in 1..=5 {
        course.hop(
            ttl,
            if ttl == 1 {
                router(1)
            } else {
                says(1, PROHIBITED)
            },
        );
        if ttl > 1 && ttl < 5 {
            course.told(ttl, Purpose::Trace, router(ttl), true);
        }
    }
    course.told(5, Purpose::Trace, target_says(ReplyKind::EchoReply), true);
    assert_eq!(course.ended(), Some((StopReason::Completed, Some(5))));
    assert_eq!(course.path.length(), Some(Ttl(5)));
}

#[test]
fn a_complaint_behind_a_time_exceeded_at_the_same_ttl_still_ends_the_path() {
    let mut course = Course::new(LIMITS, ProbeResult::Silent);
    course.asked();
    course.hop(1, router(1));
    course.hop(2, router(2));
    course.told(2, Purpose::Trace, says(2, PROHIBITED), true);
    for ttl in 3..=5 {
        course.hop(ttl, says(2, PROHIBITED));
    }
    // Two more TTLs were probed after the second answer, before the complaint.
    assert_eq!(course.ended(), Some((StopReason::Unreachable, Some(2))));
}

#[test]
fn a_router_s_complaint_at_the_target_s_ttl_counts_as_silence() {
    // The last router complains once, while it resolves the host's link address.
    let mut complained = false;
    let limits = TraceLimits {
        arrivals: Arrivals::Distinct,
        ..LIMITS
    };
    let shown = run(1, limits, |probe| match (probe.ttl.0, probe.purpose) {
        (_, Purpose::Distance) => ProbeResult::Silent,
        (ttl, _) if ttl < 5 => router(ttl),
        (5, _) if !std::mem::replace(&mut complained, true) => {
            complaint(probe, 4, 4, ReplyKind::HostUnreachable)
        }
        _ => target_says(ReplyKind::EchoReply),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(5)));
}

#[test]
fn answers_that_repeat_the_probe_end_the_path_from_any_address() {
    for kind in [
        ReplyKind::EchoReply,
        ReplyKind::SynAck,
        ReplyKind::Rst,
        ReplyKind::Udp,
    ] {
        let limits = TraceLimits {
            arrivals: Arrivals::Distinct,
            ..LIMITS
        };
        let shown = run(1, limits, |probe| match probe.ttl.0 {
            ttl if ttl < 5 => router(ttl),
            _ => says(99, kind),
        });
        assert_eq!(shown.end(), (StopReason::Completed, Some(5)), "{kind:?}");
        assert_eq!(shown.ttls(Purpose::Trace), [1, 2, 3, 4, 5], "{kind:?}");
    }
    // A port unreachable may come from a firewall. It still gives the distance.
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        ttl if ttl < 5 => router(ttl),
        _ => complaint(probe, 99, 5, ReplyKind::PortUnreachable),
    });
    assert_eq!(shown.end(), (StopReason::Unreachable, None));
    assert_eq!(shown.ttls(Purpose::Trace), [1, 2, 3, 4, 5]);
}

/// A path of the routers with these numbers, by TTL. A router with number 0 is silent, and so is every TTL beyond the list.
fn of(numbers: &[u8]) -> impl FnMut(&Probe) -> ProbeResult {
    let numbers = numbers.to_vec();
    move |probe| match numbers.get(usize::from(probe.ttl.0) - 1) {
        Some(0) | None => ProbeResult::Silent,
        Some(number) => router(*number),
    }
}

#[test]
fn a_loop_needs_as_many_ttls_without_a_new_address_as_the_gap_limit() {
    let cases: [(&[u8], StopReason, u8); 9] = [
        (&[1, 2, 1, 2, 1, 2, 1, 2, 9], StopReason::Loop, 3),
        (&[1, 2, 1, 2, 1, 2, 1, 9], StopReason::GapLimit, 8),
        (&[1, 2, 1, 4, 5, 4, 5, 4, 5, 4, 5], StopReason::Loop, 6),
        (&[1, 1, 1, 1, 1, 1, 1, 1, 9], StopReason::Loop, 3),
        (&[1, 1, 1, 2, 3], StopReason::GapLimit, 5),
        (&[1, 0, 1, 0, 1], StopReason::Loop, 3),
        (&[1, 0, 1, 0, 0, 0, 0, 8], StopReason::GapLimit, 8),
        (&[1, 2, 3, 1, 2, 3, 1, 2, 3], StopReason::Loop, 4),
        (&[1, 2, 2, 3, 3], StopReason::GapLimit, 5),
    ];
    for (numbers, reason, last) in cases {
        for limits in both() {
            let shown = run(1, limits, |probe| match probe.purpose {
                Purpose::Distance => ProbeResult::Silent,
                _ => of(numbers)(probe),
            });
            let end = (shown.end().0, shown.ends[0].last_ttl);
            assert_eq!(end, (reason, Some(Ttl(last))), "{numbers:?}");
        }
    }
    let patient = TraceLimits {
        gap_limit: 1,
        ..LIMITS
    };
    let shown = run(1, patient, |probe| match probe.purpose {
        Purpose::Distance => ProbeResult::Silent,
        _ => of(&[1, 2, 1, 2, 5])(probe),
    });
    assert_eq!(shown.end().0, StopReason::Loop, "the gap limit is 1");
    assert_eq!(shown.ttls(Purpose::Trace), [1, 2, 3, 4]);
}

#[test]
fn a_loop_does_not_end_the_path_if_the_target_answered_the_distance_probe() {
    // The target answers the distance probe, but the answer gives no distance.
    let shown = run(1, LIMITS, |probe| match probe.ttl.0 {
        32 => ProbeResult::Answered {
            responder: probe.destination,
            kind: ReplyKind::EchoReply,
            quoted_ttl: None,
            reply_ttl: None,
            next_hop_mtu: None,
            from_target: true,
        },
        ttl if ttl < 12 => router(1 + ttl % 2),
        _ => target_says(ReplyKind::EchoReply),
    });
    assert_eq!(shown.end(), (StopReason::Completed, Some(12)));
}
