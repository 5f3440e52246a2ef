//! `trace`: complete paths with few probes.
//!
//! 1. One probe at the maximum TTL asks for the distance of the target. The answer gives a hint.
//!    The hint says how far to probe at once. It never decides how long the path is.
//!    - An unreachable quotes the TTL that the probe arrived with. The distance is max − quoted + 1.
//!    - Other answers (echo replies, TCP, UDP) quote nothing. The distance is guessed from the TTL that the answer arrived
//!      with.
//! 2. The hops are probed.
//!    - With a hint, every TTL up to it is probed at once.
//!    - Without a hint, the next `gap limit` TTLs beyond the last hop that answered are probed.
//!    - Silent TTLs are retried, up to the number of attempts.
//!    - A silent TTL just before the target's is probed once more, unless an error message gave the target's distance. The
//!      target may in fact be at that TTL.
//! 3. The trace ends at one of these, in this order of precedence:
//!    - the lowest TTL that the target answered,
//!    - an unreachable,
//!    - a loop,
//!    - `gap limit` silent TTLs in a row,
//!    - the maximum TTL.
//!
//! Some targets must not be reached by two probes of a flow at a time, because they answer by TCP or UDP:
//!
//! | case | TTLs probed together |
//! |---|---|
//! | [`Arrivals::OneByOne`] | none |
//! | it answered the distance probe by TCP or UDP | those well before the guessed distance; from there on one at a time |
//! | no answer of the target yet | all, until an answer does not identify its probe; from then on one at a time |
//!
//! A target that gets blocked is probed no further. Its traces end as excluded when their pending probes have ended.
//!
//! With a second pass, the silent hops before the end of each path are probed once more when all targets are done.
//!
//! A window limits how many targets are traced at a time. Each flow asks for its own distance, because flows may differ in
//! length. Probes that are expected to reach the target are marked. The limiter spaces them, because a target sends few
//! answers.

mod path;
mod repeats;
mod size;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use self::path::{Path, Verdict};
use super::second_pass::{Context, SecondPass};
use super::{Actions, Cursor, Finished, Hole, Order, PassProgress, Poll, Reach, Shard, Strategy};
use crate::model::{
    Blocked, FlowId, Outcome, Probe, Purpose, StopReason, TargetId, Targets, Time, TraceEnd, Ttl,
};

/// How targets answer probes that reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Every answer identifies the probe that it answers.
    Distinct,
    /// An answer may not identify the probe among several of a flow. Each flow has one pending probe at a time.
    OneByOne,
}

/// The limits of a trace.
#[derive(Clone, Copy, Debug)]
pub struct TraceLimits {
    /// The TTL at which hop-by-hop probing starts.
    pub first_ttl: Ttl,
    /// The highest TTL.
    pub max_ttl: Ttl,
    /// How many probes a TTL gets until one is answered; at least 1.
    pub attempts: u8,
    /// How many silent TTLs in a row end the trace; at least 1.
    pub gap_limit: u8,
    /// Flows per target; at least 1.
    pub flows: u16,
    /// How many targets are traced at a time; at least 1.
    pub window: u32,
    /// How targets answer.
    pub arrivals: Arrivals,
    /// Answers wanted per hop; at least 1.
    pub probes_per_hop: u8,
    /// The size of the first probe, in bytes, when the path MTU is searched for. `None`: it is not searched for.
    pub mtu_from: Option<u16>,
    /// Whether silent hops before the end of a path are probed once more when all targets are done.
    pub second_pass: bool,
}

/// Traces every flow of every target.
pub struct Trace {
    limits: TraceLimits,
    targets: Arc<dyn Targets>,
    order: Order,
    active: HashMap<TargetId, ActiveTarget>,
    completed: u64,
    /// Targets whose probes wait because this host has no room for them. They do not count towards the window.
    held: usize,
    /// Addresses that are not to be probed.
    blocked: Option<Arc<dyn Blocked>>,
    second_pass: Option<SecondPass>,
}

/// A target that is being traced.
struct ActiveTarget {
    destination: IpAddr,
    started_at: Time,
    /// Indexed by flow; `None` once the path has ended.
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
            blocked: None,
            second_pass: limits.second_pass.then(|| SecondPass::new(seed)),
        }
    }

    /// Traces the targets that `finished` does not have, in the order that `seed` draws. Targets that were begun before the last
    /// finished one are traced first. The `holes` of finished targets join the second pass, if there is one.
    pub fn resume(
        targets: Arc<dyn Targets>,
        limits: TraceLimits,
        seed: u64,
        finished: &Finished,
        holes: &[Hole],
    ) -> Self {
        debug_assert_eq!(u64::from(targets.len()), finished.items());
        let mut second_pass = limits.second_pass.then(|| SecondPass::new(seed));
        if let Some(second_pass) = &mut second_pass {
            holes.iter().for_each(|hole| second_pass.add(*hole));
        }
        let flows = u64::from(limits.flows.max(1));
        Trace {
            order: Order::resume(&Cursor::of(seed, Shard::WHOLE, finished)),
            completed: finished.len() * flows,
            second_pass,
            ..Trace::new(targets, limits, seed)
        }
    }

    /// Takes a target into the window and asks for its distance, once per flow.
    fn admit(&mut self, target: TargetId, now: Time, actions: &mut Actions) {
        let flows = self.limits.flows.max(1);
        let destination = self.targets.address(target);
        if self.is_blocked(destination) {
            return self.exclude(target, destination, now, actions);
        }
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

    fn is_blocked(&self, address: IpAddr) -> bool {
        let blocked = self.blocked.as_ref();
        blocked.is_some_and(|blocked| blocked.is_blocked(address))
    }

    /// Ends every trace of a target that is blocked before its first probe.
    fn exclude(&mut self, target: TargetId, destination: IpAddr, now: Time, actions: &mut Actions) {
        for flow in 0..self.limits.flows.max(1) {
            self.completed += 1;
            actions.ended(TraceEnd {
                target,
                flow: FlowId(flow),
                destination,
                started_at: now,
                finished_at: now,
                stop_reason: StopReason::Excluded,
                path_length: None,
                last_ttl: None,
                path_mtu: None,
                graph: None,
            });
        }
        self.order.finish(u64::from(target.0));
    }

    /// Asks a path what it wants next. Requests those probes, or ends the path.
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

    /// Ends a path and reports the end. Forgets the target when its last path has ended.
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
            graph: None,
        });
        // A target that is traced again by a resumed run, or not to be probed any more, has no second pass.
        let stays = !matches!(stop_reason, StopReason::Interrupted | StopReason::Excluded);
        if let Some(second_pass) = self.second_pass.as_mut().filter(|_| stays) {
            for ttl in path.holes() {
                second_pass.add(Hole { target, flow, ttl });
            }
        }
        self.completed += 1;
        state.open -= 1;
        if state.open == 0 {
            self.active.remove(&target);
            // An interrupted target has not been traced completely: the cursor keeps it open.
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
            None if self.active.is_empty() => match &mut self.second_pass {
                None => Poll::Done,
                Some(second_pass) => {
                    let context = Context {
                        targets: &*self.targets,
                        blocked: self.blocked.as_ref(),
                    };
                    second_pass.poll(&context, actions)
                }
            },
            None => Poll::Wait(None),
        }
    }

    fn observe(&mut self, outcome: &Outcome, now: Time, actions: &mut Actions) {
        if outcome.purpose == Purpose::SecondPass {
            let context = Context {
                targets: &*self.targets,
                blocked: self.blocked.as_ref(),
            };
            if let Some(second_pass) = &mut self.second_pass {
                second_pass.observe(outcome, &context, actions);
            }
            return;
        }
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

    fn set_blocked(&mut self, blocked: &Arc<dyn Blocked>, now: Time, actions: &mut Actions) {
        self.blocked = Some(blocked.clone());
        let mut open: Vec<TargetId> = { self.active.iter() }
            .filter(|(_, state)| blocked.is_blocked(state.destination))
            .map(|(target, _)| *target)
            .collect();
        open.sort_unstable();
        for target in open {
            if let Some(state) = self.active.get_mut(&target) {
                state.paths.iter_mut().flatten().for_each(Path::exclude);
            }
            for flow in 0..self.limits.flows.max(1) {
                self.advance(target, FlowId(flow), now, actions);
            }
        }
    }

    fn interrupt(&mut self, now: Time, actions: &mut Actions) {
        self.order.stop();
        if let Some(second_pass) = &mut self.second_pass {
            second_pass.stop();
        }
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

    fn second_pass(&self) -> Option<PassProgress> {
        self.second_pass.as_ref().map(SecondPass::progress)
    }
}

#[cfg(test)]
mod tests;
