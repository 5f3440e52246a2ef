//! `sweep`: probes every (target, TTL, flow) once, in a keyed order. The order is its only state, unless a second pass follows.

mod answers;

use std::sync::Arc;

pub use answers::Answers;

use super::second_pass::{Context, SecondPass};
use super::{Actions, Cursor, Finished, Order, PassProgress, Poll, Reach, Shard, Strategy};
use crate::model::{
    Blocked, FlowId, Outcome, Probe, ProbeResult, Purpose, Said, TargetId, Targets, Time, Ttl,
};

/// How many flows are searched for holes in one call.
const FLOWS_SEARCHED: u64 = 32;

/// The items of a sweep: every combination of target, flow and TTL, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepItems {
    targets: u32,
    flows: u16,
    first_ttl: u8,
    ttls: u8,
}

impl SweepItems {
    /// The TTLs `first_ttl..=max_ttl` over `flows` flows of `targets` targets.
    pub fn new(targets: u32, flows: u16, first_ttl: Ttl, max_ttl: Ttl) -> Self {
        SweepItems {
            targets,
            flows: flows.max(1),
            first_ttl: first_ttl.0,
            ttls: max_ttl.0.saturating_sub(first_ttl.0).saturating_add(1),
        }
    }

    /// The lowest TTL.
    pub fn first_ttl(self) -> Ttl {
        Ttl(self.first_ttl)
    }

    /// The highest TTL.
    pub fn max_ttl(self) -> Ttl {
        Ttl(self.first_ttl + (self.ttls - 1))
    }

    /// How many items there are.
    pub fn len(self) -> u64 {
        u64::from(self.targets) * u64::from(self.flows) * u64::from(self.ttls)
    }

    /// Whether there are no items.
    pub fn is_empty(self) -> bool {
        self.targets == 0
    }

    /// The number of an item. `None` if it is not part of the sweep.
    pub fn item(self, target: TargetId, flow: FlowId, ttl: Ttl) -> Option<u64> {
        let above_first = ttl.0.checked_sub(self.first_ttl)?;
        let is_one = target.0 < self.targets && flow.0 < self.flows && above_first < self.ttls;
        let pair = u64::from(target.0) * u64::from(self.flows) + u64::from(flow.0);
        is_one.then_some(pair * u64::from(self.ttls) + u64::from(above_first))
    }

    /// The target, flow and TTL of item `item`.
    pub fn at(self, item: u64) -> (TargetId, FlowId, Ttl) {
        let (flows, ttls) = (u64::from(self.flows), u64::from(self.ttls));
        let (pair, above_first) = (item / ttls, item % ttls);
        let (target, flow) = (pair / flows, pair % flows);
        let ttl = Ttl(self.first_ttl + above_first as u8);
        (TargetId(target as u32), FlowId(flow as u16), ttl)
    }
}

/// Probes every combination of target, flow and TTL exactly once.
pub struct Sweep {
    targets: Arc<dyn Targets>,
    items: SweepItems,
    order: Order,
    /// Addresses that are not to be probed.
    blocked: Option<Arc<dyn Blocked>>,
    second_pass: Option<Second>,
}

/// The second pass of a sweep.
struct Second {
    answers: Answers,
    /// How many flows were searched for holes.
    searched: u64,
    pass: SecondPass,
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
        let items = SweepItems::new(targets.len(), flows, first_ttl, max_ttl);
        Sweep::of_items(targets, items, seed, None)
    }

    /// Sweeps the `items` that `finished` does not have, in the order that `seed` gives. Items that were begun before the last
    /// finished one are probed first.
    pub fn of_items(
        targets: Arc<dyn Targets>,
        items: SweepItems,
        seed: u64,
        finished: Option<&Finished>,
    ) -> Self {
        debug_assert!(finished.is_none_or(|finished| finished.items() == items.len()));
        let order = match finished {
            None => Order::new(items.len(), seed, Shard::WHOLE),
            Some(finished) => Order::resume(&Cursor::of(seed, Shard::WHOLE, finished)),
        };
        Sweep {
            targets,
            items,
            order,
            blocked: None,
            second_pass: None,
        }
    }

    /// Adds a second pass, in another order that `seed` gives. `answers` holds the answers to the items of earlier sessions.
    pub fn with_second_pass(mut self, answers: Answers, seed: u64) -> Self {
        self.second_pass = Some(Second {
            answers,
            searched: 0,
            pass: SecondPass::new(seed),
        });
        self
    }

    /// Continues with the second pass, if there is one and every item has its outcome.
    fn poll_second(&mut self, actions: &mut Actions) -> Poll {
        let Some(second) = &mut self.second_pass else {
            return Poll::Done;
        };
        let (started, finished) = self.order.progress();
        if finished < started {
            return Poll::Wait(None);
        }
        let (targets, flows) = (self.items.targets, u64::from(self.items.flows));
        let pairs = u64::from(targets) * flows;
        if second.searched < pairs {
            let end = pairs.min(second.searched + FLOWS_SEARCHED);
            for pair in second.searched..end {
                let flow = (
                    TargetId((pair / flows) as u32),
                    FlowId((pair % flows) as u16),
                );
                for hole in second.answers.holes(self.items, flow) {
                    second.pass.add(hole);
                }
            }
            second.searched = end;
            return Poll::Started;
        }
        let context = Context {
            targets: &*self.targets,
            blocked: self.blocked.as_ref(),
        };
        second.pass.poll(&context, actions)
    }
}

impl Strategy for Sweep {
    fn poll(&mut self, _now: Time, actions: &mut Actions) -> Poll {
        let Some(item) = self.order.start() else {
            return self.poll_second(actions);
        };
        let (target, flow, ttl) = self.items.at(item);
        let probe = Probe {
            target,
            destination: self.targets.address(target),
            flow,
            ttl,
            attempt: 1,
            purpose: Purpose::Sweep,
            size: None,
            round: 0,
        };
        actions.probe(probe, Reach::Unknown);
        Poll::Started
    }

    fn observe(&mut self, outcome: &Outcome, _now: Time, actions: &mut Actions) {
        if outcome.purpose == Purpose::SecondPass {
            let context = Context {
                targets: &*self.targets,
                blocked: self.blocked.as_ref(),
            };
            if let Some(second) = &mut self.second_pass {
                second.pass.observe(outcome, &context, actions);
            }
            return;
        }
        // This result does not end a probe.
        if outcome.result == ProbeResult::OneOfSeveral {
            return;
        }
        let item = { self.items }.item(outcome.target, outcome.flow, outcome.ttl);
        let Some(item) = item else {
            return;
        };
        self.order.finish(item);
        if let Some(second) = &mut self.second_pass
            && let ProbeResult::Answered {
                kind, from_target, ..
            } = outcome.result
        {
            let arrived = Said::of(kind, from_target) == Said::Arrived;
            second.answers.note(item, arrived);
        }
    }

    fn set_blocked(&mut self, blocked: &Arc<dyn Blocked>, _now: Time, _actions: &mut Actions) {
        self.blocked = Some(blocked.clone());
    }

    fn interrupt(&mut self, _now: Time, _actions: &mut Actions) {
        self.order.stop();
        if let Some(second) = &mut self.second_pass {
            second.searched = u64::MAX;
            second.pass.stop();
        }
    }

    fn cursor(&self) -> Cursor {
        self.order.cursor()
    }

    fn completed(&self) -> u64 {
        let (_, finished) = self.order.progress();
        finished / u64::from(self.items.ttls)
    }

    fn second_pass(&self) -> Option<PassProgress> {
        let second = self.second_pass.as_ref();
        second.map(|second| second.pass.progress())
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
    fn every_item_has_its_own_number() {
        let items = SweepItems::new(7, 3, Ttl(2), Ttl(31));
        assert_eq!(items.len(), 7 * 3 * 30);
        for item in 0..items.len() {
            let (target, flow, ttl) = items.at(item);
            assert_eq!(items.item(target, flow, ttl), Some(item));
        }
        for (target, flow, ttl) in [(7, 0, 2), (0, 3, 2), (0, 0, 1), (0, 0, 32)] {
            assert_eq!(items.item(TargetId(target), FlowId(flow), Ttl(ttl)), None);
        }
    }

    #[test]
    fn a_resumed_sweep_probes_what_is_not_finished_and_nothing_else() {
        let items = SweepItems::new(37, 3, Ttl(2), Ttl(31));
        let mut first = Sweep::new(numbered(37), 3, Ttl(2), Ttl(31), 9);
        let mut actions = Actions::default();
        for _ in 0..1_000 {
            first.poll(Time::default(), &mut actions);
        }
        let mut finished = Finished::new(items.len());
        let sealed = actions.requests.drain(..).step_by(2);
        for Probe {
            target, flow, ttl, ..
        } in sealed.map(|request| request.probe)
        {
            finished.insert(items.item(target, flow, ttl).expect("an item"));
        }
        let mut resumed = Sweep::of_items(numbered(37), items, 9, Some(&finished));
        assert_eq!(resumed.completed(), 500 / 30);
        while resumed.poll(Time::default(), &mut actions) == Poll::Started {}
        assert_eq!(actions.requests.len() as u64, items.len() - 500);
        for request in std::mem::take(&mut actions.requests) {
            let Probe {
                target, flow, ttl, ..
            } = request.probe;
            let item = items.item(target, flow, ttl).expect("an item");
            assert!(finished.insert(item), "{:?} twice", request.probe);
            let outcome = Outcome::of(&request.probe, ProbeResult::Silent, false);
            resumed.observe(&outcome, Time::default(), &mut actions);
        }
        assert_eq!(finished.len(), items.len());
        assert_eq!(resumed.completed(), 37 * 3);
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
