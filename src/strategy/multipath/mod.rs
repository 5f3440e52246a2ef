//! `multipath`: all paths to each target that flows can take (the multipath detection algorithm, MDA).
//!
//! 1. One probe at the maximum TTL asks for the distance of the target. It says only which probes are likely to reach the target, so that
//!    the limiter spaces them.
//! 2. The graph is probed hop by hop ([`plan`](self::plan)): through each node, as many flows are sent as its stopping point says
//!    ([`StoppingPoints`]).
//!    MDA-Lite completes whole hops in place of nodes, as long as the graph allows it.
//! 3. A target is done when no node lacks a flow.
//!
//! The probes of a target are sent in rounds. The next round is planned when the last outcome of the round has come.
//!
//! A target that gets blocked is probed no further. Its trace ends as excluded.

mod findings;
mod graph;
mod levels;
mod plan;
mod points;
mod walk;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use levels::Confidence;
pub use points::{StoppingPoints, failure, shows_at_most};

use self::findings::Findings;
use self::graph::{Graph, NodeEnd};
use self::levels::Levels;
use self::plan::{Effort, Plan, Walk};
use super::{Actions, Cursor, Finished, Order, Poll, Reach, Shard, Strategy};
use crate::model::{
    Algorithm, Blocked, FlowId, Outcome, Probe, ProbeResult, Purpose, ReplyKind, StopReason,
    TargetId, Targets, Time, Ttl,
};

/// The limits of multipath tracing.
#[derive(Clone, Copy, Debug)]
pub struct MultipathLimits {
    /// The first TTL probed.
    pub first_ttl: Ttl,
    /// The highest TTL.
    pub max_ttl: Ttl,
    /// How many probes a silent flow gets; at least 1.
    pub attempts: u8,
    /// How many silent TTLs in a row end a path; at least 1.
    pub gap_limit: u8,
    /// How many targets are traced at a time; at least 1.
    pub window: u32,
    /// Flows that a target may use; at least 1.
    pub max_flows: u16,
    /// Nodes at one TTL that are followed.
    pub max_width: u16,
    /// How graphs are searched at first.
    pub algorithm: Algorithm,
    /// What may be missed.
    pub confidence: Confidence,
}

/// Finds the graph of every target.
pub struct Multipath {
    limits: MultipathLimits,
    levels: Levels,
    targets: Arc<dyn Targets>,
    order: Order,
    active: HashMap<TargetId, ActiveTarget>,
    completed: u64,
    held: usize,
    blocked: Option<Arc<dyn Blocked>>,
}

/// A target that is being traced.
struct ActiveTarget {
    destination: IpAddr,
    started_at: Time,
    graph: Graph,
    effort: Effort,
    /// Flows below this number were used.
    used: u16,
    round: u16,
    /// Whether the answer about the distance is still to come.
    asks_distance: bool,
    distance: Option<u8>,
    is_blocked: bool,
}

impl Multipath {
    /// Traces `targets` within `limits`, in the order that `seed` draws.
    pub fn new(targets: Arc<dyn Targets>, limits: MultipathLimits, seed: u64) -> Self {
        let order = Order::new(u64::from(targets.len()), seed, Shard::WHOLE);
        Multipath {
            limits,
            levels: Levels::new(limits.confidence),
            targets,
            order,
            active: HashMap::new(),
            completed: 0,
            held: 0,
            blocked: None,
        }
    }

    /// Traces the targets that `finished` does not have.
    pub fn resume(
        targets: Arc<dyn Targets>,
        limits: MultipathLimits,
        seed: u64,
        finished: &Finished,
    ) -> Self {
        Multipath {
            order: Order::resume(&Cursor::of(seed, Shard::WHOLE, finished)),
            completed: finished.len(),
            ..Multipath::new(targets, limits, seed)
        }
    }

    fn admit(&mut self, target: TargetId, now: Time, actions: &mut Actions) {
        let destination = self.targets.address(target);
        let is_blocked = { self.blocked.as_ref() }.is_some_and(|list| list.is_blocked(destination));
        let state = ActiveTarget {
            destination,
            started_at: now,
            graph: Graph::default(),
            effort: Effort {
                level: 0,
                algorithm: self.limits.algorithm,
            },
            used: 0,
            round: 0,
            asks_distance: !is_blocked,
            distance: None,
            is_blocked,
        };
        self.active.insert(target, state);
        if is_blocked {
            return self.advance(target, now, actions);
        }
        let probe = Probe {
            target,
            destination,
            flow: FlowId(0),
            ttl: self.limits.max_ttl,
            attempt: 1,
            purpose: Purpose::Distance,
            size: None,
            round: 0,
        };
        actions.probe(probe, Reach::Target);
    }

    /// Requests the next round of a target, or ends it.
    fn advance(&mut self, target: TargetId, now: Time, actions: &mut Actions) {
        let Some(state) = self.active.get_mut(&target) else {
            return;
        };
        if state.asks_distance || state.graph.is_waiting() {
            return;
        }
        if state.is_blocked {
            return self.end(target, StopReason::Excluded, Walk::default(), now, actions);
        }
        let (graph, limits) = (&state.graph, &self.limits);
        let levels = &mut self.levels;
        let (plan, walk) = plan::plan(graph, limits, levels, &mut state.effort, state.used);
        match plan {
            Plan::Ended(reason) => self.end(target, reason, walk, now, actions),
            Plan::Probe(wants) => {
                state.round = state.round.saturating_add(1);
                for want in wants {
                    let attempt = state.graph.ask(want.place, want.flow);
                    state.used = state.used.max(want.flow.saturating_add(1));
                    let ttl = Ttl(self.limits.first_ttl.0.saturating_add(want.place as u8));
                    let probe = Probe {
                        target,
                        destination: state.destination,
                        flow: FlowId(want.flow),
                        ttl,
                        attempt,
                        purpose: want.purpose(attempt),
                        size: None,
                        round: state.round,
                    };
                    actions.probe(probe, state.reach(ttl, want.place));
                }
            }
        }
    }

    fn end(
        &mut self,
        target: TargetId,
        reason: StopReason,
        walk: Walk,
        now: Time,
        actions: &mut Actions,
    ) {
        let Some(state) = self.active.remove(&target) else {
            return;
        };
        let findings = Findings {
            target,
            destination: state.destination,
            first_ttl: self.limits.first_ttl,
            started_at: state.started_at,
            finished_at: now,
            stop_reason: reason,
            flows: state.used,
            graph: &state.graph,
            walk: &walk,
            levels: &self.levels,
        };
        findings.report(actions);
        self.completed += 1;
        // An interrupted target has not been traced completely: the cursor keeps it open.
        if reason != StopReason::Interrupted {
            self.order.finish(u64::from(target.0));
        }
    }
}

impl ActiveTarget {
    /// Which host is expected to answer a probe.
    fn reach(&self, ttl: Ttl, place: usize) -> Reach {
        let nodes = self.graph.nodes();
        let is_near = |node: &graph::Node| node.end == Some(NodeEnd::Target) && node.place <= place;
        let is_told = self.distance.is_some_and(|distance| ttl.0 >= distance);
        match is_told || nodes.iter().any(is_near) {
            true => Reach::Target,
            false => Reach::Router,
        }
    }
}

/// The distance that an answer to the distance probe shows: an error of the target quotes the TTL that the probe arrived with.
fn distance(result: &ProbeResult, max_ttl: Ttl) -> Option<u8> {
    match *result {
        ProbeResult::Answered {
            kind: ReplyKind::PortUnreachable,
            quoted_ttl: Some(quoted),
            from_target: true,
            ..
        } if (1..=max_ttl.0).contains(&quoted) => Some(max_ttl.0 - quoted + 1),
        _ => None,
    }
}

impl Strategy for Multipath {
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
        let max_ttl = self.limits.max_ttl;
        let Some(state) = self.active.get_mut(&outcome.target) else {
            return;
        };
        if outcome.purpose == Purpose::Distance {
            if outcome.result != ProbeResult::OneOfSeveral {
                state.distance = state.distance.or(distance(&outcome.result, max_ttl));
                state.asks_distance = false;
            }
        } else {
            let place = usize::from(outcome.ttl.0.saturating_sub(self.limits.first_ttl.0));
            let (graph, at) = (&mut state.graph, (place, outcome.flow.0));
            graph.result(at, outcome.attempt, &outcome.result, outcome.late);
        }
        self.advance(outcome.target, now, actions);
    }

    fn held(&mut self, targets: usize) {
        self.held = targets;
    }

    fn set_blocked(&mut self, blocked: &Arc<dyn Blocked>, now: Time, actions: &mut Actions) {
        self.blocked = Some(blocked.clone());
        let mut open: Vec<TargetId> = Vec::new();
        for (target, state) in &mut self.active {
            if blocked.is_blocked(state.destination) {
                state.is_blocked = true;
                open.push(*target);
            }
        }
        open.sort_unstable();
        for target in open {
            self.advance(target, now, actions);
        }
    }

    fn interrupt(&mut self, now: Time, actions: &mut Actions) {
        self.order.stop();
        let mut open: Vec<TargetId> = self.active.keys().copied().collect();
        open.sort_unstable();
        for target in open {
            self.end(
                target,
                StopReason::Interrupted,
                Walk::default(),
                now,
                actions,
            );
        }
    }

    fn cursor(&self) -> Cursor {
        self.order.cursor()
    }

    fn completed(&self) -> u64 {
        self.completed
    }
}
