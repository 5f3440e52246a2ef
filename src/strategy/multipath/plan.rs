//! What to probe next of one target, or why nothing.
//!
//! Each plan walks the graph from its first hop. The first hop at which a group lacks something gets probes. If none lacks anything, the
//! target is done. So an earlier hop is probed again whenever a later one makes the stopping points tighter.
//!
//! | a group lacks | probes |
//! |---|---|
//! | answers of silent flows, if others were answered | further attempts of these flows |
//! | flows, for its stopping point | its own flows that were not probed at the next TTL |
//! | flows of its own | flows of the groups before it; if there are none, new flows, at the TTL of the group (node control) |
//! | certainty that its answers do not vary | further attempts of flows that were answered |

mod control;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::MultipathLimits;
use super::graph::{Graph, MOST_ATTEMPTS, Node, NodeEnd};
use super::levels::Levels;
use super::points::StoppingPoints;
use super::walk::{self, Group, Via, View};
use crate::model::{Purpose, StopReason, StoppedBy};

/// Further attempts of a silent flow, beyond the usual number, if other flows of its group were answered.
const PATIENCE: u8 = 3;

/// The silent flows at which a group is given up, as a multiple of the answered ones that it needs.
const MOST_SILENT: u32 = 4;

/// A probe that a target wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Want {
    /// The place of its TTL.
    pub place: usize,
    pub flow: u16,
    /// Whether the flow was answered there before.
    pub repeats: bool,
}

impl Want {
    pub fn purpose(&self, attempt: u8) -> Purpose {
        match (self.repeats, attempt) {
            (true, _) => Purpose::Repeat,
            (false, 1) => Purpose::Multipath,
            (false, _) => Purpose::Retry,
        }
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Send these probes.
    Probe(Vec<Want>),
    /// All is known.
    Ended(StopReason),
}

/// A walk: the groups of each hop with what they showed. Complete only if nothing is left to probe.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// By place: the groups whose next hops are there. One place more than there are views, for the groups that go on.
    pub groups: Vec<Vec<Group>>,
    /// By place: what each of these groups showed.
    pub views: Vec<Vec<View>>,
    /// By place: why each of these groups lacks nothing.
    pub stops: Vec<Vec<StoppedBy>>,
    pub level: usize,
    /// Groups with several next hops.
    pub branchings: usize,
}

/// Plans what to probe next. Raises `level` if the graph has more branchings than it allows. Flows below `used` were used.
pub fn plan(
    graph: &Graph,
    limits: &MultipathLimits,
    levels: &mut Levels,
    level: &mut usize,
    used: u16,
) -> (Plan, Walk) {
    if graph.is_refused() {
        return (Plan::Ended(StopReason::Error), Walk::default());
    }
    loop {
        let mut planner = Planner {
            graph,
            limits,
            points: levels.points(*level),
            used,
            groups: vec![vec![Group::start()]],
            views: Vec::new(),
            wants: BTreeSet::new(),
        };
        let (plan, mut walk) = planner.walk();
        walk.level = *level;
        let enough = levels.level(walk.branchings);
        if matches!(plan, Plan::Ended(_)) && enough > *level {
            *level = enough;
            continue;
        }
        return (plan, walk);
    }
}

/// The walk of one target with the points of one level.
struct Planner<'a> {
    graph: &'a Graph,
    limits: &'a MultipathLimits,
    points: &'a mut StoppingPoints,
    used: u16,
    /// By place: the groups whose next hops are there.
    groups: Vec<Vec<Group>>,
    views: Vec<Vec<View>>,
    wants: BTreeSet<Want>,
}

impl Planner<'_> {
    fn walk(&mut self) -> (Plan, Walk) {
        let last = usize::from(
            self.limits
                .max_ttl
                .0
                .saturating_sub(self.limits.first_ttl.0),
        );
        let mut walk = Walk::default();
        let mut reason = StopReason::MaxTtl;
        for place in 0..=last {
            let groups = &self.groups[place];
            let views = groups
                .iter()
                .map(|group| View::of(self.graph, place, group));
            self.views.push(views.collect());
            let branching = self.views[place].iter().filter(|view| view.width() > 1);
            walk.branchings += branching.count();
            let stops = self.complete(place);
            if self.wants.is_empty() {
                self.link(place);
            }
            if !self.wants.is_empty() {
                let wants = std::mem::take(&mut self.wants);
                return (Plan::Probe(wants.into_iter().collect()), walk);
            }
            let next = walk::next_groups(
                self.graph,
                place,
                &self.groups[place],
                &self.views[place],
                self.limits.gap_limit,
            );
            walk.stops.push(stops);
            self.groups.push(next);
            if walk.stops[place].contains(&StoppedBy::MaxWidth) {
                break;
            }
            if self.groups[place + 1].is_empty() {
                reason = StopReason::GapLimit;
                break;
            }
            if self.loops(place) {
                reason = StopReason::Loop;
                break;
            }
        }
        let reason = self.reason(&walk, reason);
        walk.groups = std::mem::take(&mut self.groups);
        walk.views = std::mem::take(&mut self.views);
        (Plan::Ended(reason), walk)
    }

    /// Adds what the groups before `place` lack to the wants. Returns why each lacks nothing more.
    fn complete(&mut self, place: usize) -> Vec<StoppedBy> {
        let width: BTreeSet<_> = { self.views[place].iter() }
            .flat_map(|view| view.nodes.keys())
            .collect();
        let count = self.groups[place].len();
        if width.len() > usize::from(self.limits.max_width) {
            return vec![StoppedBy::MaxWidth; count];
        }
        let ends = { self.groups[place].iter().zip(&self.views[place]) }
            .filter(|(group, view)| is_router(group) && view.only_target(self.graph));
        let ends = ends.count() as u32;
        (0..count)
            .map(|at| self.complete_group(place, at, ends))
            .collect()
    }

    /// Flows that looked for members of a group may have shown nodes that no group leads to. One flow of each such node is sent to the TTL
    /// before, so that the node gets its place in the graph.
    fn link(&mut self, place: usize) {
        let Some(before) = place.checked_sub(1) else {
            return;
        };
        let mut known: BTreeSet<_> = { self.views[place].iter() }
            .flat_map(|view| view.nodes.keys().copied())
            .collect();
        for (flow, shown) in self.graph.at(place) {
            let Some(node) = shown.node.filter(|node| !known.contains(node)) else {
                continue;
            };
            if !self.graph.at(before).contains_key(flow) {
                known.insert(node);
                self.wants.insert(Want {
                    place: before,
                    flow: *flow,
                    repeats: false,
                });
            }
        }
    }

    /// Adds what one group lacks. `ends`: how many groups of its hop lead to the target and nowhere else.
    fn complete_group(&mut self, place: usize, at: usize, ends: u32) -> StoppedBy {
        let view = &self.views[place][at];
        let first = self.points.after(1);
        let tries = match view.answered {
            0 => self.limits.attempts,
            _ => self.limits.attempts.saturating_add(PATIENCE),
        };
        // If no flow is answered, only one of them is sent again.
        let again = match view.answered {
            0 => 1,
            _ => view.silent.len(),
        };
        for flow in &view.silent[..again.min(view.silent.len())] {
            if self.graph.at(place)[flow].attempts < tries.min(MOST_ATTEMPTS) {
                self.wants.insert(Want {
                    place,
                    flow: *flow,
                    repeats: false,
                });
            }
        }
        let (needed, have) = match view.answered {
            0 => (first, view.silent.len() as u32),
            // A router delivers to a host on its link, and forwards the host's packets nowhere else. So the last routers are asked
            // together.
            _ if ends > 1 && is_router(&self.groups[place][at]) && view.only_target(self.graph) => {
                (first.div_ceil(ends).max(2), view.answered)
            }
            answered => (self.points.after(view.width()), answered),
        };
        let varies = view.varies;
        if have < needed {
            // Most of its flows go to a silent next hop, or a limit lets few answers through.
            if view.answered > 0 && view.silent.len() as u32 > MOST_SILENT * needed {
                return StoppedBy::Silence;
            }
            return match self.more(place, at, needed - have) {
                true => StoppedBy::Points,
                false => StoppedBy::MaxFlows,
            };
        }
        if !varies && !self.repeat(place, at) {
            let view = &mut self.views[place][at];
            (view.varies, view.is_unsure) = (true, true);
            return StoppedBy::Silence;
        }
        StoppedBy::Points
    }

    /// Asks for further answers to flows of a group with several next hops, until it is unlikely that the answers vary. Returns `false` if too
    /// few were answered.
    fn repeat(&mut self, place: usize, at: usize) -> bool {
        let view = &self.views[place][at];
        if view.width() < 2 {
            return true;
        }
        let needed = repeats(self.points.bound(), view.width());
        let most = 3 * needed;
        if view.repeats >= needed {
            return true;
        }
        if view.repeats_sent >= most {
            return false;
        }
        let lacking = (needed - view.repeats).min(most - view.repeats_sent) as usize;
        let group = &self.groups[place][at];
        let mut flows: Vec<(u8, u16)> = { self.graph.at(place).iter() }
            .filter(|(flow, shown)| shown.node.is_some() && group.has(**flow))
            .map(|(flow, shown)| (shown.attempts, *flow))
            .filter(|(attempts, _)| *attempts < MOST_ATTEMPTS)
            .collect();
        flows.sort_unstable();
        let any = !flows.is_empty();
        for (_, flow) in flows.into_iter().take(lacking) {
            self.wants.insert(Want {
                place,
                flow,
                repeats: true,
            });
        }
        any
    }

    /// Whether the last hops up to `place`, as many as the gap limit, brought no flow a new address.
    fn loops(&self, place: usize) -> bool {
        let gap = usize::from(self.limits.gap_limit);
        let Some(from) = (place + 1).checked_sub(gap + 1) else {
            return false;
        };
        let address = |place: usize, flow: u16| {
            let shown = self.graph.at(place).get(&flow)?;
            Some(self.graph.node(shown.node?).address)
        };
        let mut recent = { from + 1..=place }.flat_map(|place| {
            let flows = self.graph.at(place).keys();
            flows.filter_map(move |flow| Some((*flow, address(place, *flow)?)))
        });
        let is_known = |(flow, found): (u16, IpAddr)| {
            (0..=from).any(|place| address(place, flow) == Some(found))
        };
        let Some(first) = recent.next() else {
            return false;
        };
        is_known(first) && recent.all(is_known)
    }

    /// Why the target's trace ends.
    fn reason(&self, walk: &Walk, otherwise: StopReason) -> StopReason {
        let stops = || walk.stops.iter().flatten();
        let nodes = self.graph.nodes();
        let last = nodes.iter().map(|node| node.place).max();
        let is_last_word = |node: &Node| node.complains && Some(node.place) == last;
        if stops().any(|stop| *stop == StoppedBy::MaxWidth) {
            StopReason::MaxWidth
        } else if stops().any(|stop| *stop == StoppedBy::MaxFlows) {
            StopReason::MaxFlows
        } else if nodes.iter().any(|node| node.end == Some(NodeEnd::Target)) {
            StopReason::Completed
        } else if nodes.iter().any(is_last_word) {
            StopReason::Unreachable
        } else {
            otherwise
        }
    }
}

/// Whether the flows of a group pass one router that is known.
fn is_router(group: &Group) -> bool {
    matches!(group.via, Via::Node(_))
}

/// How many repeats show that answers vary, but for the probability `bound`. A balancer by packets sends a repeat to the same of `width`
/// next hops with the probability 1 / `width`.
pub fn repeats(bound: f64, width: usize) -> u32 {
    let each = 1.0 / width.max(2) as f64;
    (bound.ln() / each.ln()).ceil().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_keep_the_bound() {
        for (bound, width) in [(0.05, 2), (0.05, 3), (0.001, 2), (0.0084, 16)] {
            let needed = repeats(bound, width);
            let misjudged = |count: u32| (1.0 / width as f64).powi(count as i32);
            assert!(misjudged(needed) <= bound);
            assert!(needed == 1 || misjudged(needed - 1) > bound);
        }
    }
}
