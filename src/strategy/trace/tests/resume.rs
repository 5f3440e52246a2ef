//! Traces of a run that an earlier session began, and the memory of a target.

use std::collections::BTreeSet;

use super::*;

const TWO_FLOWS: TraceLimits = TraceLimits {
    flows: 2,
    window: 4,
    ..LIMITS
};

#[test]
fn a_resumed_run_traces_every_target_that_is_not_finished_with_all_its_flows() {
    let order: Vec<TargetId> = polled_targets(&mut Trace::new(
        listed(50),
        TraceLimits {
            window: 50,
            ..TWO_FLOWS
        },
        1,
    ));
    let mut finished = Finished::new(50);
    // Of the first 20 targets, 15 are sealed.
    for target in order[..20].iter().enumerate().filter(|(at, _)| at % 4 != 1) {
        finished.insert(target.1.0.into());
    }
    let mut trace = Trace::resume(listed(50), TWO_FLOWS, 1, &finished, &[]);
    assert_eq!(trace.completed(), 15 * 2);
    assert_eq!(trace.cursor().open.len(), 5);
    let first = polled_targets(&mut trace);
    assert_eq!(first, [order[1], order[5], order[9], order[13]]);

    let shown = run_of(
        Trace::resume(listed(50), TWO_FLOWS, 1, &finished, &[]),
        |probe| match probe.ttl.0 {
            ttl if ttl < 3 => router(ttl),
            _ => arrived(probe, 3),
        },
    );
    let traced: BTreeSet<(TargetId, FlowId)> =
        (shown.ends.iter().map(|end| (end.target, end.flow))).collect();
    let missing = (order.iter()).filter(|target| !finished.contains(target.0.into()));
    let expected = missing.flat_map(|target| [(*target, FlowId(0)), (*target, FlowId(1))]);
    assert_eq!(traced, expected.collect());
    assert_eq!(shown.ends.len(), 35 * 2, "each once");
}

#[test]
fn a_run_whose_targets_are_all_finished_is_done_at_once() {
    let mut finished = Finished::new(50);
    (0..50).for_each(|target| assert!(finished.insert(target)));
    let mut trace = Trace::resume(listed(50), TWO_FLOWS, 1, &finished, &[]);
    assert_eq!(trace.completed(), 100);
    let mut actions = Actions::default();
    assert_eq!(trace.poll(NOW, &mut actions), Poll::Done);
    assert!(actions.requests.is_empty());
}

/// The promise is 2 kB. A path has at most 32 TTLs by default.
#[test]
fn a_target_under_way_takes_less_than_2_kb() {
    let path = size_of::<Option<Path>>() + 32 * path::SLOT_BYTES;
    let target = size_of::<(TargetId, ActiveTarget)>() + path;
    assert!(target <= 2_000, "{target} bytes");
}

fn polled_targets(trace: &mut Trace) -> Vec<TargetId> {
    let probes = polled(trace, &mut Actions::default());
    let mut targets: Vec<TargetId> = probes.iter().map(|probe| probe.target).collect();
    targets.dedup();
    targets
}
