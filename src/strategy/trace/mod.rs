//! `trace`: complete paths with few probes.
//!
//! 1. One probe at the maximum TTL asks for the distance. An unreachable that quotes the TTL it arrived with gives
//!    max − quoted + 1. That is a hint: it says how far to probe at once, never how long the path is.
//!    Answers that quote nothing (echo replies, TCP, UDP) give a guess: the TTL they arrived with says how far they came.
//! 2. With a hint every TTL up to it is probed at once; without, the next `gap limit` TTLs behind the last that answered.
//!    Silent TTLs are tried again, up to the number of attempts.
//!    A silent TTL just before the target's is asked once more, because it may be the target's, unless the distance was told.
//! 3. The trace stops at the lowest TTL that the target answered, at an unreachable, at a loop, after `gap limit` silent
//!    TTLs, or at the maximum.
//!
//! Where two probes must not reach the target at a time (one that answers by TCP or UDP), the TTLs well before a guessed
//! distance are probed together, and from there on one after the other; with [`Arrivals::OneByOne`] all of them are. Without a
//! distance they find out by an answer to one of several, and then go one after the other.
//!
//! A window bounds the targets under way. Each flow asks for its own distance, because flows may differ in length.
//! Probes that are expected to reach the target are marked as such: the limiter spaces them, because a target sends few answers.

mod path;
mod repeats;
mod size;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use self::path::{Path, Verdict};
use super::{Actions, Cursor, Order, Poll, Reach, Shard, Strategy};
use crate::model::{
    FlowId, Outcome, Probe, Purpose, StopReason, TargetId, Targets, Time, TraceEnd, Ttl,
};

/// How targets answer probes that reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Every answer tells which probe it answers.
    Distinct,
    /// An answer may not tell which of several probes of a flow it answers: each flow has one probe under way at a time.
    OneByOne,
}

/// What bounds a trace.
#[derive(Clone, Copy, Debug)]
pub struct TraceLimits {
    /// The first TTL probed hop by hop.
    pub first_ttl: Ttl,
    /// The highest TTL.
    pub max_ttl: Ttl,
    /// How often a TTL is tried until somebody answers; at least 1.
    pub attempts: u8,
    /// How many silent TTLs in a row end the trace; at least 1.
    pub gap_limit: u8,
    /// Flows a target; at least 1.
    pub flows: u16,
    /// Targets under way at a time; at least 1.
    pub window: u32,
    /// How targets answer.
    pub arrivals: Arrivals,
    /// Answers wanted of a hop; at least 1.
    pub probes_per_hop: u8,
    /// The size that probes start from in search of the path MTU, bytes; `None` where it is not looked for.
    pub mtu_from: Option<u16>,
}

/// Traces every flow of every target.
pub struct Trace {
    limits: TraceLimits,
    targets: Arc<dyn Targets>,
    order: Order,
    active: HashMap<TargetId, ActiveTarget>,
    completed: u64,
    /// Targets whose probes wait because this host has no room for them: they do not count within the window.
    held: usize,
}

/// A target under way.
struct ActiveTarget {
    destination: IpAddr,
    started_at: Time,
    /// By flow; `None` once ended.
    paths: Vec<Option<Path>>,
    open: usize,
}

impl Trace {
    /// Traces `targets` within `limits`, in the order that `seed` draws.
    pub fn new(targets: Arc<dyn Targets>, limits: TraceLimits, seed: u64) -> Self {
        let items = u64::from(targets.len());
        Trace {
            limits,
            targets,
            order: Order::new(items, seed, Shard::WHOLE),
            active: HashMap::new(),
            completed: 0,
            held: 0,
        }
    }

    /// Takes a target into the window and asks for its distance.
    fn admit(&mut self, target: TargetId, now: Time, actions: &mut Actions) {
        let flows = self.limits.flows.max(1);
        let destination = self.targets.address(target);
        let paths = (0..flows).map(|_| Some(Path::new(&self.limits)));
        let state = ActiveTarget {
            destination,
            started_at: now,
            paths: paths.collect(),
            open: usize::from(flows),
        };
        self.active.insert(target, state);
        for flow in 0..flows {
            let probe = Probe {
                target,
                destination,
                flow: FlowId(flow),
                ttl: self.limits.max_ttl,
                attempt: 1,
                purpose: Purpose::Distance,
                size: self.limits.mtu_from,
                round: 0,
            };
            actions.probe(probe, Reach::Target);
        }
    }

    /// Asks a path what it wants next, and does it.
    fn advance(&mut self, target: TargetId, flow: FlowId, now: Time, actions: &mut Actions) {
        let Some(state) = self.active.get_mut(&target) else {
            return;
        };
        let destination = state.destination;
        let path = state.paths.get_mut(usize::from(flow.0));
        let Some(path) = path.and_then(Option::as_mut) else {
            return;
        };
        match path.next(&self.limits) {
            Verdict::Probe(wanted) => {
                let size = path.size();
                for want in wanted {
                    let probe = Probe {
                        target,
                        destination,
                        flow,
                        ttl: want.ttl,
                        attempt: want.attempt,
                        purpose: want.purpose,
                        size,
                        round: 0,
                    };
                    let reach = match want.reaches_target {
                        true => Reach::Target,
                        false => Reach::Router,
                    };
                    actions.probe(probe, reach);
                }
            }
            Verdict::Wait => {}
            Verdict::Ended(reason) => self.end(target, flow, reason, now, actions),
        }
    }

    /// Closes a path and reports it. Forgets its target with the last one.
    fn end(
        &mut self,
        target: TargetId,
        flow: FlowId,
        stop_reason: StopReason,
        now: Time,
        actions: &mut Actions,
    ) {
        let Some(state) = self.active.get_mut(&target) else {
            return;
        };
        let path = state.paths.get_mut(usize::from(flow.0));
        let Some(path) = path.and_then(Option::take) else {
            return;
        };
        actions.ended(TraceEnd {
            target,
            flow,
            destination: state.destination,
            started_at: state.started_at,
            finished_at: now,
            stop_reason,
            path_length: path.length(),
            last_ttl: path.last_ttl(),
            path_mtu: path.mtu(),
        });
        self.completed += 1;
        state.open -= 1;
        if state.open == 0 {
            self.active.remove(&target);
            // An interrupted target is still to be traced: the cursor keeps it open.
            if stop_reason != StopReason::Interrupted {
                self.order.finish(u64::from(target.0));
            }
        }
    }
}

impl Strategy for Trace {
    fn poll(&mut self, now: Time, actions: &mut Actions) -> Poll {
        let window = self.limits.window.max(1) as usize + self.held;
        let item = match self.active.len() < window {
            true => self.order.start(),
            false => None,
        };
        match item {
            Some(item) => {
                self.admit(TargetId(item as u32), now, actions);
                Poll::Started
            }
            None if self.active.is_empty() => Poll::Done,
            None => Poll::Wait(None),
        }
    }

    fn observe(&mut self, outcome: &Outcome, now: Time, actions: &mut Actions) {
        let state = self.active.get_mut(&outcome.target);
        let path = state.and_then(|state| state.paths.get_mut(usize::from(outcome.flow.0)));
        if let Some(path) = path.and_then(Option::as_mut) {
            path.observe(outcome, &self.limits);
            self.advance(outcome.target, outcome.flow, now, actions);
        }
    }

    fn held(&mut self, targets: usize) {
        self.held = targets;
    }

    fn interrupt(&mut self, now: Time, actions: &mut Actions) {
        self.order.stop();
        let mut open: Vec<TargetId> = self.active.keys().copied().collect();
        open.sort_unstable();
        for target in open {
            for flow in 0..self.limits.flows.max(1) {
                self.end(target, FlowId(flow), StopReason::Interrupted, now, actions);
            }
        }
    }

    fn cursor(&self) -> Cursor {
        self.order.cursor()
    }

    fn completed(&self) -> u64 {
        self.completed
    }
}

#[cfg(test)]
mod tests;
