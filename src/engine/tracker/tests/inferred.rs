//! Hops that are known without a probe.

use super::*;
use crate::model::{InferredHop, Statistics, TraceId};

#[test]
fn an_inferred_hop_without_a_responder_is_ambiguous_and_no_probe_held_back() {
    let mut bench = Bench::new();
    let known = InferredHop {
        target: TargetId(0),
        flow: FlowId(0),
        destination: TARGET.into(),
        ttl: Ttl(4),
        round: 0,
        responder: Some(ROUTER.into()),
        from: Some(TraceId(7)),
    };
    let disputed = InferredHop {
        responder: None,
        from: None,
        ..known
    };
    for hop in [known, disputed] {
        bench.tracker.enter_inferred(&hop, &mut bench.out);
    }
    let rows = bench.rows();
    let reasons: Vec<_> = rows.iter().map(|row| row.reason).collect();
    assert_eq!(reasons, [None, Some(UnsentReason::Ambiguous)]);
    assert!(rows.iter().all(|row| row.status == Status::Inferred));
    let mut counts = Statistics::default();
    rows.iter().for_each(|row| counts.count(row));
    assert_eq!(counts.probes(Status::Inferred), 2);
    assert_eq!(counts.unsent().count(), 0);
}
