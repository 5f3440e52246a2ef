//! `sweep`: probes every (target, TTL, flow) once, in a keyed order. The order is its only state.

use std::sync::Arc;

use super::{Actions, Cursor, Order, Poll, Reach, Shard, Strategy};
use crate::model::{FlowId, Outcome, Probe, ProbeResult, Purpose, TargetId, Targets, Time, Ttl};

/// Probes every combination of target, flow and TTL exactly once.
pub struct Sweep {
    targets: Arc<dyn Targets>,
    order: Order,
    flows: u64,
    first_ttl: Ttl,
    ttls: u64,
}

impl Sweep {
    /// Sweeps the TTLs `first_ttl..=max_ttl` over `flows` flows of every target, in the order that `seed` gives.
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
            order: Order::new(items, seed, Shard::WHOLE),
            flows,
            first_ttl,
            ttls,
        }
    }
}

impl Strategy for Sweep {
    fn poll(&mut self, _now: Time, actions: &mut Actions) -> Poll {
        let Some(item) = self.order.start() else {
            return Poll::Done;
        };
        let (rest, ttl) = (item / self.ttls, item % self.ttls);
        let (target, flow) = (rest / self.flows, rest % self.flows);
        let target = TargetId(target as u32);
        let probe = Probe {
            target,
            destination: self.targets.address(target),
            flow: FlowId(flow as u16),
            ttl: Ttl(self.first_ttl.0 + ttl as u8),
            attempt: 1,
            purpose: Purpose::Sweep,
            size: None,
            round: 0,
        };
        actions.probe(probe, Reach::Unknown);
        Poll::Started
    }

    fn observe(&mut self, outcome: &Outcome, _now: Time, _actions: &mut Actions) {
        // This result does not end a probe.
        if outcome.result == ProbeResult::OneOfSeveral {
            return;
        }
        let pair = u64::from(outcome.target.0) * self.flows + u64::from(outcome.flow.0);
        let ttl = outcome.ttl.0.saturating_sub(self.first_ttl.0);
        self.order.finish(pair * self.ttls + u64::from(ttl));
    }

    fn interrupt(&mut self, _now: Time, _actions: &mut Actions) {
        self.order.stop();
    }

    fn cursor(&self) -> Cursor {
        self.order.cursor()
    }

    fn completed(&self) -> u64 {
        let (_, finished) = self.order.progress();
        finished / self.ttls
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

    /// Two common mistakes if the counts are no powers of two: TTLs out of range, and targets beyond the list.
    #[test]
    fn every_target_flow_and_ttl_exactly_once_at_odd_sizes() {
        for (targets, flows, first, max) in [
            (1, 1, 1, 1),
            (37, 3, 2, 31),
            (1_001, 1, 1, 30),
            (5, 7, 3, 3),
        ] {
            let mut sweep = Sweep::new(numbered(targets), flows, Ttl(first), Ttl(max), 9);
            let mut actions = Actions::default();
            while sweep.poll(Time::default(), &mut actions) == Poll::Started {}
            let mut seen = HashSet::new();
            for probe in actions.requests.iter().map(|request| request.probe) {
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
        }
    }

    #[test]
    fn a_probe_is_open_until_its_outcome() {
        let mut sweep = Sweep::new(numbered(37), 3, Ttl(2), Ttl(31), 9);
        let mut actions = Actions::default();
        for _ in 0..40 {
            sweep.poll(Time::default(), &mut actions);
        }
        assert_eq!(sweep.cursor().open.len(), 40);
        for request in std::mem::take(&mut actions.requests) {
            let outcome = Outcome::of(&request.probe, ProbeResult::Silent, false);
            sweep.observe(&outcome, Time::default(), &mut actions);
        }
        let cursor = sweep.cursor();
        assert_eq!((cursor.place, cursor.open), (40, Vec::new()));
    }
}
