//! The second pass by hand.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::model::Consecutive;

fn targets() -> Consecutive {
    Consecutive {
        first: Ipv4Addr::new(198, 51, 100, 0),
        len: 40,
    }
}

fn hole(target: u32, ttl: u8) -> Hole {
    Hole {
        target: TargetId(target),
        flow: FlowId(0),
        ttl: Ttl(ttl),
    }
}

fn filled() -> (SecondPass, BTreeSet<Hole>) {
    let mut pass = SecondPass::new(7);
    let holes = (0..40).flat_map(|target| (2..5).map(move |ttl| hole(target, ttl)));
    let holes: BTreeSet<Hole> = holes.collect();
    holes.iter().for_each(|hole| pass.add(*hole));
    (pass, holes)
}

fn of(probe: &Probe) -> Hole {
    Hole {
        target: probe.target,
        flow: probe.flow,
        ttl: probe.ttl,
    }
}

/// Everything that is requested before the first outcome.
fn polled(pass: &mut SecondPass, context: &Context<'_>) -> (Vec<Probe>, Poll) {
    let mut actions = Actions::default();
    loop {
        let poll = pass.poll(context, &mut actions);
        if poll != Poll::Started {
            let probes = actions.requests.iter().map(|request| request.probe);
            return (probes.collect(), poll);
        }
    }
}

#[test]
fn every_hole_is_probed_once_and_one_probe_of_a_flow_at_a_time() {
    let (mut pass, holes) = filled();
    let targets = targets();
    let context = Context {
        targets: &targets,
        blocked: None,
    };
    let (mut pending, poll) = polled(&mut pass, &context);
    assert_eq!((pending.len(), poll), (40, Poll::Wait(None)));
    let order: Vec<u32> = pending.iter().map(|probe| probe.target.0).collect();
    assert!(!order.is_sorted(), "not in the order of the targets");
    let mut seen = BTreeSet::new();
    while let Some(probe) = pending.pop() {
        assert!(seen.insert(of(&probe)), "{probe:?} twice");
        assert_eq!(
            (probe.purpose, probe.round, probe.attempt),
            (Purpose::SecondPass, 1, 1)
        );
        let mut actions = Actions::default();
        let mut tell = |result, late| {
            let outcome = Outcome::of(&probe, result, late);
            pass.observe(&outcome, &context, &mut actions);
        };
        // Only the first of these ends the probe.
        tell(ProbeResult::OneOfSeveral, false);
        tell(ProbeResult::Silent, false);
        tell(ProbeResult::NotSent, true);
        assert!(actions.requests.len() <= 1);
        pending.extend(actions.requests.iter().map(|request| request.probe));
    }
    assert_eq!(seen, holes);
    assert_eq!(polled(&mut pass, &context).1, Poll::Done);
    let progress = PassProgress {
        done: 120,
        holes: 120,
    };
    assert_eq!(pass.progress(), progress);
}

#[test]
fn targets_that_are_blocked_are_left_out() {
    struct Even;
    impl Blocked for Even {
        fn is_blocked(&self, address: IpAddr) -> bool {
            matches!(address, IpAddr::V4(address) if address.octets()[3] % 2 == 0)
        }
    }
    let (mut pass, _) = filled();
    let targets = targets();
    let all = Context {
        targets: &targets,
        blocked: None,
    };
    let even: Arc<dyn Blocked> = Arc::new(Even);
    let odd_only = Context {
        targets: &targets,
        blocked: Some(&even),
    };
    // The list comes while one probe to a target that it blocks is pending.
    let mut actions = Actions::default();
    let mut first = None;
    while first.is_none_or(|probe: Probe| probe.target.0 % 2 == 1) {
        assert_eq!(pass.poll(&all, &mut actions), Poll::Started);
        first = actions.requests.last().map(|request| request.probe);
    }
    let (probes, _) = polled(&mut pass, &odd_only);
    assert!(probes.iter().all(|probe| probe.target.0 % 2 == 1));
    let mut pending: Vec<Probe> = actions
        .requests
        .iter()
        .map(|request| request.probe)
        .collect();
    pending.extend(probes);
    let mut sent = 0;
    while let Some(probe) = pending.pop() {
        sent += 1;
        let mut actions = Actions::default();
        let outcome = Outcome::of(&probe, ProbeResult::Silent, false);
        pass.observe(&outcome, &odd_only, &mut actions);
        pending.extend(actions.requests.iter().map(|request| request.probe));
    }
    assert_eq!(polled(&mut pass, &odd_only).1, Poll::Done);
    assert_eq!(sent, 3 * 20 + 1, "all odd targets, and that one");
    assert_eq!(pass.progress().done, 120);
}

#[test]
fn a_stopped_pass_starts_nothing_more() {
    let (mut pass, _) = filled();
    let targets = targets();
    let context = Context {
        targets: &targets,
        blocked: None,
    };
    let mut actions = Actions::default();
    assert_eq!(pass.poll(&context, &mut actions), Poll::Started);
    pass.stop();
    assert_eq!(polled(&mut pass, &context), (Vec::new(), Poll::Done));
    let probe = actions.requests[0].probe;
    let outcome = Outcome::of(&probe, ProbeResult::Silent, false);
    pass.observe(&outcome, &context, &mut actions);
    assert_eq!(actions.requests.len(), 1);
}

#[test]
fn a_hole_takes_8_bytes() {
    assert_eq!(size_of::<Hole>(), 8);
}
