//! Where answers cannot be told apart.

use super::*;

#[test]
fn one_by_one_means_a_single_probe_of_a_flow_under_way() {
    let limits = TraceLimits {
        arrivals: Arrivals::OneByOne,
        flows: 2,
        ..LIMITS
    };
    let mut trace = Trace::new(listed(3), limits, 1);
    let mut under_way: VecDeque<Probe> = VecDeque::new();
    let mut most = 0;
    let mut now = Time::from_nanos(1 << 60);
    loop {
        match trace.poll(now) {
            Poll::Probe(probe) => {
                let of_flow =
                    |other: &Probe| (other.target, other.flow) == (probe.target, probe.flow);
                assert!(!under_way.iter().any(of_flow), "{probe:?}");
                under_way.push_back(probe);
                most = most.max(under_way.len());
            }
            Poll::Wait(until) => {
                let Some(probe) = under_way.pop_front() else {
                    // Targets are not asked more often than they answer.
                    now = until.expect("nothing under way and nothing to wait for");
                    continue;
                };
                // No quoted TTL: only its own tells how far an answer came.
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
                trace.observe(&outcome(&probe, result), now);
            }
            Poll::Done => break,
        }
    }
    let ends: Vec<TraceEnd> = std::iter::from_fn(|| trace.take_ended()).collect();
    assert_eq!((ends.len(), most), (6, 6));
    assert!(ends.iter().all(|end| end.path_length == Some(Ttl(9))));
}

#[test]
fn a_target_is_asked_no_more_often_than_it_answers() {
    let limits = TraceLimits {
        arrivals: Arrivals::OneByOne,
        flows: 12,
        ..LIMITS
    };
    let mut trace = Trace::new(listed(1), limits, 1);
    let now = Time::from_nanos(1 << 60);
    let mut at_once = 0;
    let next = loop {
        match trace.poll(now) {
            Poll::Probe(_) => at_once += 1,
            Poll::Wait(until) => break until,
            Poll::Done => panic!("there are twelve flows"),
        }
    };
    assert_eq!(at_once, 5);
    assert!(next.is_some_and(|next| next > now));
}
