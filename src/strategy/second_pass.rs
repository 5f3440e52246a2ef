//! The second pass: at the end of a run, every silent hole is probed once more.
//!
//! A hole is a TTL without an answer between the first TTL of a path and the last TTL that answered. A probe that was lost leaves a
//! hole, and so does a router that answers nobody. The second pass tells them apart more often than not.
//!
//! - The holes are probed in a keyed order, so that a target or a router is not asked many times in a row.
//! - At most one probe of a flow is pending at a time.
//! - Targets that are blocked by then are left out.
//!
//! Memory: 8 bytes a hole, plus what a growing list holds in reserve.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Actions, Permutation, Poll, Reach};
use crate::model::{Blocked, FlowId, Outcome, Probe, ProbeResult, Purpose, TargetId, Targets, Ttl};

/// A TTL of a path that did not answer, before a TTL that did. It takes 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hole {
    /// The target.
    pub target: TargetId,
    /// The flow.
    pub flow: FlowId,
    /// The TTL.
    pub ttl: Ttl,
}

/// How far the second pass has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassProgress {
    /// Holes that were probed once more, or left out because their target is blocked.
    pub done: u64,
    /// Holes known so far.
    pub holes: u64,
}

/// Collects the holes of a run, and probes them when all else is done.
#[derive(Debug)]
pub(super) struct SecondPass {
    holes: Vec<Hole>,
    seed: u64,
    /// The order of the holes, once the pass has begun.
    order: Option<Permutation>,
    place: u64,
    /// Flows with a pending probe, and the TTLs that wait for its end.
    pending: HashMap<(TargetId, FlowId), Vec<Ttl>>,
    done: u64,
}

/// What the probes of the pass need to know.
pub(super) struct Context<'a> {
    pub targets: &'a dyn Targets,
    pub blocked: Option<&'a Arc<dyn Blocked>>,
}

impl SecondPass {
    pub fn new(seed: u64) -> Self {
        SecondPass {
            holes: Vec::new(),
            seed,
            order: None,
            place: 0,
            pending: HashMap::new(),
            done: 0,
        }
    }

    /// Adds a hole. Nothing can be added when the pass has begun.
    pub fn add(&mut self, hole: Hole) {
        debug_assert!(self.order.is_none(), "the pass has begun");
        self.holes.push(hole);
    }

    /// Starts the next hole. Call it when all other work is done.
    pub fn poll(&mut self, context: &Context<'_>, actions: &mut Actions) -> Poll {
        let holes = self.holes.len() as u64;
        let order = self
            .order
            .get_or_insert_with(|| Permutation::new(holes, self.seed));
        let next = order.get(self.place);
        let hole = next.and_then(|at| self.holes.get(usize::try_from(at).ok()?));
        let Some(hole) = hole.copied() else {
            return match self.pending.is_empty() {
                true => Poll::Done,
                false => Poll::Wait(None),
            };
        };
        self.place += 1;
        let flow = (hole.target, hole.flow);
        if let Some(waiting) = self.pending.get_mut(&flow) {
            waiting.push(hole.ttl);
        } else if self.request(hole, context, actions) {
            self.pending.insert(flow, Vec::new());
        }
        Poll::Started
    }

    /// Takes the outcome of a probe of this pass.
    pub fn observe(&mut self, outcome: &Outcome, context: &Context<'_>, actions: &mut Actions) {
        // These do not end a probe.
        if outcome.late || outcome.result == ProbeResult::OneOfSeveral {
            return;
        }
        let flow = (outcome.target, outcome.flow);
        let Some(mut waiting) = self.pending.remove(&flow) else {
            return;
        };
        self.done += 1;
        while let Some(ttl) = waiting.pop() {
            let hole = Hole {
                target: outcome.target,
                flow: outcome.flow,
                ttl,
            };
            if self.request(hole, context, actions) {
                self.pending.insert(flow, waiting);
                break;
            }
        }
    }

    /// Requests the probe of a hole. Returns `false` if its target is blocked.
    fn request(&mut self, hole: Hole, context: &Context<'_>, actions: &mut Actions) -> bool {
        let destination = context.targets.address(hole.target);
        let mut blocked = context.blocked.iter();
        if blocked.any(|blocked| blocked.is_blocked(destination)) {
            self.done += 1;
            return false;
        }
        let probe = Probe {
            target: hole.target,
            destination,
            flow: hole.flow,
            ttl: hole.ttl,
            attempt: 1,
            purpose: Purpose::SecondPass,
            size: None,
            round: 1,
        };
        // The route may have become shorter, so the probe may reach the target.
        actions.probe(probe, Reach::Unknown);
        true
    }

    /// Forgets all holes.
    pub fn stop(&mut self) {
        self.holes = Vec::new();
        self.pending.clear();
        self.place = u64::MAX;
    }

    /// How far it has come.
    pub fn progress(&self) -> PassProgress {
        PassProgress {
            done: self.done,
            holes: self.holes.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests;
