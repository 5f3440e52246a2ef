//! `sweep`: every (target, TTL, flow) once, in a keyed order. No state beyond a counter.

use std::sync::Arc;

use super::{Permutation, Poll, Strategy};
use crate::model::{FlowId, Outcome, Probe, Purpose, TargetId, Targets, Time, TraceEnd, Ttl};

/// Probes every combination of target, flow and TTL exactly once.
pub struct Sweep {
    targets: Arc<dyn Targets>,
    order: Permutation,
    place: u64,
    flows: u64,
    first_ttl: Ttl,
    ttls: u64,
}

impl Sweep {
    /// Sweeps TTLs `first_ttl..=max_ttl` over `flows` flows of every target, in the order that `seed` draws.
    pub fn new(
        targets: Arc<dyn Targets>,
        flows: u16,
        first_ttl: Ttl,
        max_ttl: Ttl,
        seed: u64,
    ) -> Self {
        let ttls = u64::from(max_ttl.0.saturating_sub(first_ttl.0)) + 1;
        let flows = u64::from(flows.max(1));
        let items = u64::from(targets.len()) * flows * ttls;
        Sweep {
            targets,
            order: Permutation::new(items, seed),
            place: 0,
            flows,
            first_ttl,
            ttls,
        }
    }
}

impl Strategy for Sweep {
    fn poll(&mut self, _now: Time) -> Poll {
        let Some(item) = self.order.get(self.place) else {
            return Poll::Done;
        };
        self.place += 1;
        let (rest, ttl) = (item / self.ttls, item % self.ttls);
        let (target, flow) = (rest / self.flows, rest % self.flows);
        let target = TargetId(target as u32);
        Poll::Probe(Probe {
            target,
            destination: self.targets.address(target),
            flow: FlowId(flow as u16),
            ttl: Ttl(self.first_ttl.0 + ttl as u8),
            attempt: 1,
            purpose: Purpose::Sweep,
            size: None,
        })
    }

    fn observe(&mut self, _outcome: &Outcome, _now: Time) {}

    fn take_ended(&mut self) -> Option<TraceEnd> {
        None
    }

    fn interrupt(&mut self, _now: Time) {
        self.place = self.order.len();
    }

    fn completed(&self) -> u64 {
        self.place / self.ttls
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::Consecutive;

    fn numbered(len: u32) -> Arc<dyn Targets> {
        Arc::new(Consecutive {
            first: Ipv4Addr::new(198, 51, 100, 0),
            len,
        })
    }

    /// What others get wrong: TTLs out of range and targets beyond the list when counts are no powers of two.
    #[test]
    fn every_target_flow_and_ttl_exactly_once_at_odd_sizes() {
        for (targets, flows, first, max) in [
            (1, 1, 1, 1),
            (37, 3, 2, 31),
            (1_001, 1, 1, 30),
            (5, 7, 3, 3),
        ] {
            let mut sweep = Sweep::new(numbered(targets), flows, Ttl(first), Ttl(max), 9);
            let mut seen = HashSet::new();
            while let Poll::Probe(probe) = sweep.poll(Time::default()) {
                assert!(probe.target.0 < targets && probe.flow.0 < flows);
                assert!((first..=max).contains(&probe.ttl.0));
                assert_eq!(probe.destination, numbered(targets).address(probe.target));
                assert!(
                    seen.insert((probe.target, probe.flow, probe.ttl)),
                    "{probe:?} twice"
                );
            }
            let ttls = usize::from(max - first) + 1;
            assert_eq!(seen.len(), targets as usize * usize::from(flows) * ttls);
            assert_eq!(sweep.poll(Time::default()), Poll::Done);
        }
    }
}
