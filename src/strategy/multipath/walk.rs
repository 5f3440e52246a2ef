//! One walk over a graph, hop by hop: the groups of flows, and what each still lacks.
//!
//! A *group* is a set of flows that pass the same node at a TTL, as far as that is known:
//!
//! | group | its flows |
//! |---|---|
//! | start | all |
//! | node | those that the node answered |
//! | silent | those of a group that nobody answered at the next TTL |
//! | varying | those of a group whose answers at the next TTL change from packet to packet |
//!
//! The next hops of a group are the nodes that answer its flows at the next TTL. They are believed to be all when as many flows were
//! answered as the stopping point says.
//!
//! A node inside a varying group has no group of its own, because no flow is known to pass it. So no link from or to it is known.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Graph, NodeEnd, NodeId};

/// The flows of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Every flow of the run.
    All,
    /// These, ascending.
    Flows(Vec<u16>),
}

/// What the flows of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Start,
    Node(NodeId),
    Silent,
    Varying,
}

/// Flows that pass the same node.
#[derive(Clone, Debug)]
pub struct Group {
    pub via: Via,
    pub members: Members,
    /// The groups at the TTL before whose flows came here.
    pub parents: Vec<usize>,
    /// Silent TTLs in a row up to here.
    pub silence: u8,
    /// Whether it is not known that the answers before it vary.
    pub is_unsure: bool,
}

impl Group {
    pub fn start() -> Self {
        Group {
            via: Via::Start,
            members: Members::All,
            parents: Vec::new(),
            silence: 0,
            is_unsure: false,
        }
    }

    pub fn has(&self, flow: u16) -> bool {
        match &self.members {
            Members::All => true,
            Members::Flows(flows) => flows.binary_search(&flow).is_ok(),
        }
    }
}

/// What the flows of a group showed at the next TTL.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The next hops, with the number of flows that each answered first.
    pub nodes: BTreeMap<NodeId, u32>,
    /// Flows that were answered.
    pub answered: u32,
    /// Flows that were not answered.
    pub silent: Vec<u16>,
    /// Whether the answers to one flow vary, or may vary.
    pub varies: bool,
    /// Whether too few further attempts were answered to know whether the answers vary.
    pub is_unsure: bool,
    /// Further answers to flows.
    pub repeats: u32,
    /// Further attempts of flows that were answered.
    pub repeats_sent: u32,
}

impl View {
    /// What the flows of `group` showed at the TTL with this place.
    pub fn of(graph: &Graph, place: usize, group: &Group) -> Self {
        let mut view = View::default();
        for (flow, shown) in graph.at(place) {
            if !group.has(*flow) {
                continue;
            }
            if let Some(node) = shown.node {
                *view.nodes.entry(node).or_default() += 1;
                view.answered += 1;
                view.varies |= shown.varies;
                view.repeats += shown.repeats();
                view.repeats_sent += shown.repeats_asked();
            } else if shown.is_silent() {
                view.silent.push(*flow);
            }
        }
        // Behind a balancer by packets no flow is known to pass a node, until the ways meet again.
        if group.via == Via::Varying && view.width() > 1 {
            view.is_unsure = group.is_unsure && !view.varies;
            view.varies = true;
        }
        view
    }

    /// The probability that two packets go to the same next hop by chance, by the shares of the flows.
    pub fn agreement(&self) -> f64 {
        let all = f64::from(self.answered.max(1));
        let shares = self.nodes.values().map(|flows| f64::from(*flows) / all);
        shares.map(|share| share * share).sum()
    }

    /// The number of next hops.
    pub fn width(&self) -> usize {
        self.nodes.len()
    }

    /// Whether every flow ends at the next TTL.
    pub fn only_ends(&self, graph: &Graph) -> bool {
        self.width() > 0 && self.nodes.keys().all(|id| graph.node(*id).end.is_some())
    }

    /// Whether every flow reaches the target at the next TTL.
    pub fn only_target(&self, graph: &Graph) -> bool {
        let is_target = |id: &NodeId| graph.node(*id).end == Some(NodeEnd::Target);
        self.width() > 0 && self.nodes.keys().all(is_target)
    }

    /// Whether its silent flows are taken for those of a silent next hop. Of several next hops each gets a like share of the flows, so
    /// a much smaller share is loss. If a router delivers to the target, and the target answers some probes only, then it is limited.
    pub fn has_silent_branch(&self, graph: &Graph, via: Via) -> bool {
        let silent = self.silent.len();
        if self.answered == 0 {
            return silent > 0;
        }
        let is_router = matches!(via, Via::Node(_));
        let has_end = is_router && self.nodes.keys().any(|id| graph.node(*id).end.is_some());
        let flows = self.answered as usize + silent;
        !has_end && silent * 4 * (self.width() + 1) >= flows && silent > 0
    }
}

/// The groups whose next hops are at `place`, in groups at the TTL after it.
pub fn next_groups(
    graph: &Graph,
    place: usize,
    groups: &[Group],
    views: &[View],
    gap_limit: u8,
) -> Vec<Group> {
    let mut next: Vec<Group> = Vec::new();
    let mut by_node: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    for (at, (group, view)) in groups.iter().zip(views).enumerate() {
        if view.varies {
            if !view.only_ends(graph) {
                next.push(Group {
                    via: Via::Varying,
                    members: group.members.clone(),
                    parents: vec![at],
                    silence: 0,
                    is_unsure: view.is_unsure,
                });
            }
            continue;
        }
        for node in view.nodes.keys() {
            by_node.entry(*node).or_default().push(at);
        }
        if view.has_silent_branch(graph, group.via) && group.silence + 1 < gap_limit {
            next.push(Group {
                // Silence does not bring flows together that a balancer by packets spread.
                via: match group.via {
                    Via::Varying => Via::Varying,
                    Via::Start | Via::Node(_) | Via::Silent => Via::Silent,
                },
                members: Members::Flows(view.silent.clone()),
                parents: vec![at],
                silence: group.silence + 1,
                is_unsure: group.is_unsure,
            });
        }
    }
    let any_varies = views.iter().any(|view| view.varies);
    for (node, parents) in by_node {
        if graph.node(node).end.is_some() {
            continue;
        }
        let is_member =
            |flow: u16| !any_varies || parents.iter().any(|parent| groups[*parent].has(flow));
        let shown = graph.at(place).iter();
        let flows = shown.filter(|(flow, shown)| shown.node == Some(node) && is_member(**flow));
        next.push(Group {
            via: Via::Node(node),
            members: Members::Flows(flows.map(|(flow, _)| *flow).collect()),
            parents,
            silence: 0,
            is_unsure: false,
        });
    }
    next
}

/// The nodes inside varying groups.
pub fn varying_nodes(views: &[View]) -> BTreeSet<NodeId> {
    let varying = views.iter().filter(|view| view.varies);
    varying
        .flat_map(|view| view.nodes.keys().copied())
        .collect()
}
