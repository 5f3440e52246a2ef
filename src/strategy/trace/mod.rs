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
//! A window bounds the targets under way. Flows of a target share one [`Spacing`], because its answers are few; each asks
//! for its own distance, because flows may differ in length.

mod path;
mod repeats;
mod size;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use self::path::{Path, Verdict};
use super::spacing::Spacing;
use super::{Permutation, Poll, Strategy};
use crate::model::{
    FlowId, Outcome, Probe, Purpose, StopReason, TargetId, Targets, Time, TraceEnd, Ttl,
};

/// How targets answer probes that reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// By ICMP errors, of which hosts send few a second: probes to a target are spaced.
    Limited,
    /// As often as asked.
    Free,
    /// By ICMP errors, too, and one at a time for each flow: which of several probes is answered could not be told.
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
    order: Permutation,
    next_place: u64,
    active: HashMap<TargetId, ActiveTarget>,
    /// Probes whose time has come and retries: their traces have waited, and go first.
    urgent: VecDeque<Probe>,
    ready: VecDeque<Probe>,
    /// Probes that wait until their target is due for another answer, by time and then in the order asked.
    delayed: BinaryHeap<Reverse<(Time, u64)>>,
    delayed_probes: HashMap<u64, Probe>,
    delayed_count: u64,
    ended: VecDeque<TraceEnd>,
    completed: u64,
    /// Targets whose probes wait for room on this host: they do not count within the window.
    held: usize,
}

/// A target under way.
struct ActiveTarget {
    destination: IpAddr,
    spacing: Spacing,
    started_at: Time,
    /// By flow; `None` once ended.
    paths: Vec<Option<Path>>,
    open: usize,
}

impl Trace {
    /// Traces `targets` within `limits`, in the order that `seed` draws.
    pub fn new(targets: Arc<dyn Targets>, limits: TraceLimits, seed: u64) -> Self {
        let order = Permutation::new(u64::from(targets.len()), seed);
        Trace {
            limits,
            targets,
            order,
            next_place: 0,
            active: HashMap::new(),
            urgent: VecDeque::new(),
            ready: VecDeque::new(),
            delayed: BinaryHeap::new(),
            delayed_probes: HashMap::new(),
            delayed_count: 0,
            ended: VecDeque::new(),
            completed: 0,
            held: 0,
        }
    }

    /// Takes the next target into the window and asks for its distance; false when there is none left.
    fn admit(&mut self, now: Time) -> bool {
        let Some(item) = self.order.get(self.next_place) else {
            return false;
        };
        self.next_place += 1;
        let target = TargetId(item as u32);
        let flows = usize::from(self.limits.flows.max(1));
        let state = ActiveTarget {
            destination: self.targets.address(target),
            spacing: Spacing::default(),
            started_at: now,
            paths: (0..flows).map(|_| Some(Path::new(&self.limits))).collect(),
            open: flows,
        };
        let destination = state.destination;
        self.active.insert(target, state);
        for flow in 0..self.limits.flows.max(1) {
            let probe = Probe {
                target,
                destination,
                flow: FlowId(flow),
                ttl: self.limits.max_ttl,
                attempt: 1,
                purpose: Purpose::Distance,
                size: self.limits.mtu_from,
            };
            self.schedule(probe, true, now);
        }
        true
    }

    /// Queues a probe: at once, or, when it is expected to reach its target, when the target may answer again.
    fn schedule(&mut self, probe: Probe, reaches_target: bool, now: Time) {
        let due = match self.active.get_mut(&probe.target) {
            Some(state) if reaches_target && self.limits.arrivals != Arrivals::Free => {
                state.spacing.reserve(now)
            }
            _ => now,
        };
        if due <= now {
            match probe.purpose {
                Purpose::Retry => self.urgent.push_back(probe),
                _ => self.ready.push_back(probe),
            }
        } else {
            self.delayed.push(Reverse((due, self.delayed_count)));
            self.delayed_probes.insert(self.delayed_count, probe);
            self.delayed_count += 1;
        }
    }

    /// Moves delayed probes that are due to the head of the queue.
    fn release(&mut self, now: Time) {
        while let Some(Reverse((due, number))) = self.delayed.peek().copied() {
            if due > now {
                break;
            }
            self.delayed.pop();
            self.urgent.extend(self.delayed_probes.remove(&number));
        }
    }

    /// Asks a path what it wants next, and does it.
    fn advance(&mut self, target: TargetId, flow: FlowId, now: Time) {
        let Some(state) = self.active.get_mut(&target) else {
            return;
        };
        let destination = state.destination;
        let Some(path) = state
            .paths
            .get_mut(usize::from(flow.0))
            .and_then(Option::as_mut)
        else {
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
                    };
                    self.schedule(probe, want.reaches_target, now);
                }
            }
            Verdict::Wait => {}
            Verdict::Ended(reason) => self.end(target, flow, reason, now),
        }
    }

    /// Closes a path and reports it; forgets its target with the last one.
    fn end(&mut self, target: TargetId, flow: FlowId, stop_reason: StopReason, now: Time) {
        let Some(state) = self.active.get_mut(&target) else {
            return;
        };
        let Some(path) = state
            .paths
            .get_mut(usize::from(flow.0))
            .and_then(Option::take)
        else {
            return;
        };
        self.ended.push_back(TraceEnd {
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
        }
    }
}

impl Strategy for Trace {
    fn poll(&mut self, now: Time) -> Poll {
        self.release(now);
        loop {
            let next = self.urgent.pop_front().or_else(|| self.ready.pop_front());
            if let Some(probe) = next {
                return Poll::Probe(probe);
            }
            let window = self.limits.window.max(1) as usize + self.held;
            let room = self.active.len() < window;
            if !(room && self.admit(now)) {
                break;
            }
        }
        match self.delayed.peek() {
            Some(Reverse((due, _))) => Poll::Wait(Some(*due)),
            None if self.active.is_empty() => Poll::Done,
            None => Poll::Wait(None),
        }
    }

    fn observe(&mut self, outcome: &Outcome, now: Time) {
        let path = self
            .active
            .get_mut(&outcome.target)
            .and_then(|state| state.paths.get_mut(usize::from(outcome.flow.0)))
            .and_then(Option::as_mut);
        if let Some(path) = path {
            path.observe(outcome, &self.limits);
            self.advance(outcome.target, outcome.flow, now);
        }
    }

    fn held(&mut self, targets: usize) {
        self.held = targets;
    }

    fn take_ended(&mut self) -> Option<TraceEnd> {
        self.ended.pop_front()
    }

    fn interrupt(&mut self, now: Time) {
        self.next_place = self.order.len();
        self.urgent.clear();
        self.ready.clear();
        self.delayed.clear();
        self.delayed_probes.clear();
        let mut open: Vec<TargetId> = self.active.keys().copied().collect();
        open.sort_unstable();
        for target in open {
            for flow in 0..self.limits.flows.max(1) {
                self.end(target, FlowId(flow), StopReason::Interrupted, now);
            }
        }
    }

    fn completed(&self) -> u64 {
        self.completed
    }
}

#[cfg(test)]
mod tests;
