//! MDA-Lite: whole hops are completed in place of single nodes.
//!
//! All hops are asked with the same flows, as many as the stopping point for the number of nodes at the hop says. That finds what the full
//! algorithm finds if each hop spreads the flows evenly over its nodes: the graph is *uniform*, and not *meshed*. Both are tested:
//!
//! | test | how | failed if |
//! |---|---|---|
//! | links | each node is asked with one flow at the TTLs beside it | never; it makes the links complete |
//! | meshing | the nodes of the wider of two hops are asked with [`MESHING`] flows at the other | a node has two links to the narrower hop |
//! | width asymmetry | the links of two hops are counted | two nodes of the narrower hop have different numbers of links to the wider |
//!
//! If a test fails, the target is probed with the full algorithm from then on. So it is if answers vary from packet to packet, if some flows
//! of a hop are silent for good, and if some flows reach the target before others.
//!
//! Source: K. Vermeulen et al., "Multilevel MDA-Lite Paris Traceroute", IMC 2018.

use std::collections::{BTreeMap, BTreeSet};

use super::Planner;
use super::group::Lacks;
use crate::model::StoppedBy;
use crate::strategy::multipath::graph::NodeId;
use crate::strategy::multipath::walk::{Group, Via, View};

/// Flows through each node that show whether two hops are meshed.
const MESHING: usize = 2;

/// Links between the nodes of two hops: by node, those of the other hop.
type Links = BTreeMap<NodeId, BTreeSet<NodeId>>;

impl Planner<'_> {
    /// Adds what the hop at `place` lacks to the wants. Returns why each of its groups lacks nothing more. Returns `None` if the full
    /// algorithm is needed.
    pub(super) fn complete_hop(&mut self, place: usize) -> Option<Vec<StoppedBy>> {
        let all = Group::start();
        let hop = View::of(self.graph, place, &all);
        let count = self.groups[place].len();
        if hop.width() > usize::from(self.limits.max_width) {
            return Some(vec![StoppedBy::MaxWidth; count]);
        }
        let stop = match self.complete_group(place, &all, &hop, 0) {
            Lacks::Nothing(StoppedBy::Points) => {
                self.repeat_groups(place)?;
                StoppedBy::Points
            }
            Lacks::Nothing(_) => return None,
            Lacks::Flows(lacking) => {
                let mut flows = self.unsent(place).take(lacking as usize).peekable();
                let stop = match flows.peek() {
                    None => StoppedBy::MaxFlows,
                    Some(_) => StoppedBy::Points,
                };
                self.want_all(place, flows);
                stop
            }
        };
        if self.wants.is_empty() && !self.is_plain(place, &hop) {
            return None;
        }
        Some(vec![stop; count])
    }

    /// Asks for repeats of each group by itself, because one of several may hide among the others. Returns `None` if too few are answered.
    fn repeat_groups(&mut self, place: usize) -> Option<()> {
        let groups = std::mem::take(&mut self.groups[place]);
        let views = std::mem::take(&mut self.views[place]);
        let mut hop = groups.iter().zip(&views);
        let enough = hop.all(|(group, view)| self.repeat(place, group, view));
        (self.groups[place], self.views[place]) = (groups, views);
        enough.then_some(())
    }

    /// Whether the hop at `place` may be asked as a whole, given the hop before it. Wants the flows that are missing to decide.
    fn is_plain(&mut self, place: usize, hop: &View) -> bool {
        let ends = { hop.nodes.keys() }.filter(|id| self.graph.node(**id).end.is_some());
        let is_cut = ![0, hop.width()].contains(&ends.count());
        // A target answers about one probe per second, so its silence says nothing.
        let is_half_silent = hop.width() > 0
            && !hop.only_target(self.graph)
            && hop.has_silent_branch(self.graph, Via::Start);
        if hop.varies || is_cut || is_half_silent {
            return false;
        }
        let (Some(before), false) = (place.checked_sub(1), hop.nodes.is_empty()) else {
            return true;
        };
        let near: BTreeSet<NodeId> = { self.groups[place].iter() }
            .filter_map(|group| match group.via {
                Via::Node(node) => Some(node),
                Via::Start | Via::Silent | Via::Varying => None,
            })
            .collect();
        if near.is_empty() {
            return true;
        }
        let far: BTreeSet<NodeId> = hop.nodes.keys().copied().collect();
        let of_mesh = |others: usize, own: usize| match others > 1 && own >= others {
            true => MESHING,
            false => 1,
        };
        let known = self.want_links(before, &near, place, of_mesh(far.len(), near.len()))
            && self.want_links(place, &far, before, of_mesh(near.len(), far.len()));
        if !known || !self.wants.is_empty() {
            return known;
        }
        let (forward, backward) = (self.links(before, place), self.links(place, before));
        let is_meshed = |links: &Links| links.values().any(|others| others.len() > 1);
        let is_uneven = |links: &Links| {
            let widths: BTreeSet<usize> = links.values().map(BTreeSet::len).collect();
            widths.len() > 1
        };
        let (near, far) = (near.len(), far.len());
        let is_refuted = (near >= far && far > 1 && is_meshed(&forward))
            || (far >= near && near > 1 && is_meshed(&backward))
            || (near <= far && is_uneven(&forward))
            || (far <= near && is_uneven(&backward));
        !is_refuted
    }

    /// Wants flows of each of `nodes`, which are at `place`, at the TTL of `other`, until `count` of them were answered there. Returns `false`
    /// if there are no such flows left.
    fn want_links(
        &mut self,
        place: usize,
        nodes: &BTreeSet<NodeId>,
        other: usize,
        count: usize,
    ) -> bool {
        let mut known: BTreeMap<NodeId, (usize, Vec<u16>)> = BTreeMap::new();
        for (flow, shown) in self.graph.at(place) {
            let Some(node) = shown.node.filter(|node| nodes.contains(node)) else {
                continue;
            };
            let (answered, fresh) = known.entry(node).or_default();
            match self.graph.at(other).get(flow) {
                None => fresh.push(*flow),
                // A flow that stayed silent shows no link.
                Some(there) => *answered += usize::from(there.node.is_some()),
            }
        }
        let mut more = 0;
        for (answered, fresh) in known.into_values() {
            let lacking = count.saturating_sub(answered);
            more = more.max(lacking.saturating_sub(fresh.len()));
            self.want_all(other, fresh.into_iter().take(lacking));
        }
        // A node with too few flows gets one of as many further flows as there are nodes, on average.
        let mut flows = self.unsent(place).take(more * nodes.len()).peekable();
        let is_known = more == 0 || flows.peek().is_some();
        self.want_all(place, flows);
        is_known
    }

    /// The links of the nodes at `place` to those at `other`.
    fn links(&self, place: usize, other: usize) -> Links {
        let mut links = Links::new();
        for (flow, shown) in self.graph.at(place) {
            let there = self.graph.at(other).get(flow);
            if let (Some(node), Some(far)) = (shown.node, there.and_then(|shown| shown.node)) {
                links.entry(node).or_default().insert(far);
            }
        }
        links
    }
}
