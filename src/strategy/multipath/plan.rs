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
mod group;
mod lite;

use std::collections::BTreeSet;
use std::net::IpAddr;

use self::group::{Lacks, is_router};
use super::MultipathLimits;
use super::graph::{Graph, Node, NodeEnd};
use super::levels::Levels;
use super::points::StoppingPoints;
use super::walk::{self, Group, View};
use crate::model::{Algorithm, Purpose, StopReason, StoppedBy};

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
    pub effort: Effort,
    /// Groups with several next hops.
    pub branchings: usize,
}

/// How hard a target is searched. It only ever grows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// The level of the stopping points.
    pub level: usize,
    pub algorithm: Algorithm,
}

/// Plans what to probe next. Raises the level if the graph has more branchings than it allows, and leaves MDA-Lite if the graph is not
/// uniform. Flows below `used` were used.
pub fn plan(
    graph: &Graph,
    limits: &MultipathLimits,
    levels: &mut Levels,
    effort: &mut Effort,
    used: u16,
) -> (Plan, Walk) {
    if graph.is_refused() {
        return (Plan::Ended(StopReason::Error), Walk::default());
    }
    loop {
        let mut planner = Planner {
            graph,
            limits,
            points: levels.points(effort.level),
            algorithm: effort.algorithm,
            used,
            groups: vec![vec![Group::start()]],
            views: Vec::new(),
            wants: BTreeSet::new(),
        };
        let Some((plan, mut walk)) = planner.walk() else {
            effort.algorithm = Algorithm::Full;
            continue;
        };
        walk.effort = *effort;
        let level = &mut effort.level;
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
    algorithm: Algorithm,
    used: u16,
    /// By place: the groups whose next hops are there.
    groups: Vec<Vec<Group>>,
    views: Vec<Vec<View>>,
    wants: BTreeSet<Want>,
}

impl<'a> Planner<'a> {
    /// Returns `None` if MDA-Lite is not enough.
    fn walk(&mut self) -> Option<(Plan, Walk)> {
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
            let branchings = { self.views[place].iter() }.filter(|view| view.width() > 1);
            walk.branchings += branchings.count();
            let stops = match self.algorithm {
                Algorithm::Full => self.complete(place),
                Algorithm::Lite => self.complete_hop(place)?,
            };
            if self.wants.is_empty() {
                self.link(place);
            }
            if !self.wants.is_empty() {
                let wants = std::mem::take(&mut self.wants);
                return Some((Plan::Probe(wants.into_iter().collect()), walk));
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
        Some((Plan::Ended(reason), walk))
    }

    /// Wants an attempt of each of these flows.
    fn want_all(&mut self, place: usize, flows: impl IntoIterator<Item = u16>) {
        let wants = flows.into_iter().map(|flow| Want {
            place,
            flow,
            repeats: false,
        });
        self.wants.extend(wants);
    }

    /// The flows that were not sent to `place`, in the order of their numbers.
    fn unsent(&self, place: usize) -> impl Iterator<Item = u16> + use<'a> {
        let shown = self.graph.at(place);
        (0..self.limits.max_flows).filter(|flow| !shown.contains_key(flow))
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
        let hop = || self.groups[place].iter().zip(&self.views[place]);
        let ends = hop().filter(|(group, view)| is_router(group) && view.only_target(self.graph));
        let ends = ends.count() as u32;
        let groups = std::mem::take(&mut self.groups[place]);
        let mut views = std::mem::take(&mut self.views[place]);
        let mut stops = Vec::new();
        let mut lacking = Vec::new();
        for (at, (group, view)) in groups.iter().zip(&mut views).enumerate() {
            let stop = match self.complete_group(place, group, view, ends) {
                Lacks::Flows(count) => {
                    lacking.push((at, count));
                    StoppedBy::Points
                }
                Lacks::Nothing(StoppedBy::Points) if !self.repeat(place, group, view) => {
                    (view.varies, view.is_unsure) = (true, true);
                    StoppedBy::Silence
                }
                Lacks::Nothing(stop) => stop,
            };
            stops.push(stop);
        }
        (self.groups[place], self.views[place]) = (groups, views);
        for at in self.more(place, &lacking) {
            stops[at] = StoppedBy::MaxFlows;
        }
        stops
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
