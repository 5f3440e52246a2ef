//! The rows that a finished target leaves: its graph, nodes, links and diamonds, and the end of its trace.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::graph::{Graph, NodeEnd, NodeId};
use super::levels::Levels;
use super::plan::Walk;
use super::points::shows_at_most;
use super::walk::{Via, View, varying_nodes};
use crate::model::diamonds;
use crate::model::{
    Anomalies, Anomaly, DiamondRow, FlowId, GraphRow, LinkRow, NodeRow, StopReason, StoppedBy,
    StrategyEvent, TableRow, TargetId, Time, TraceEnd, TraceId, Ttl,
};
use crate::strategy::Actions;

/// A finished target.
pub struct Findings<'a> {
    pub target: TargetId,
    pub destination: IpAddr,
    pub first_ttl: Ttl,
    pub started_at: Time,
    pub finished_at: Time,
    pub stop_reason: StopReason,
    /// How many flows were used.
    pub flows: u16,
    pub graph: &'a Graph,
    pub walk: &'a Walk,
    pub levels: &'a Levels,
}

/// What the groups through a node showed.
#[derive(Clone, Copy, Debug)]
struct Onward {
    width: usize,
    answered: u32,
    stopped_by: StoppedBy,
}

impl Findings<'_> {
    /// Reports the rows, then the end of the trace.
    pub fn report(&self, actions: &mut Actions) {
        if !matches!(
            self.stop_reason,
            StopReason::Interrupted | StopReason::Excluded
        ) {
            let (nodes, links) = (self.nodes(), self.links());
            let mut diamonds = diamonds::find(&nodes, &links);
            self.doubt(&mut diamonds);
            let graph = self.graph_row(&nodes, links.len(), diamonds.len());
            self.row(graph, actions);
            nodes.into_iter().for_each(|row| self.row(row, actions));
            links.into_iter().for_each(|row| self.row(row, actions));
            diamonds.into_iter().for_each(|row| self.row(row, actions));
        }
        actions.ended(TraceEnd {
            target: self.target,
            flow: FlowId(0),
            destination: self.destination,
            started_at: self.started_at,
            finished_at: self.finished_at,
            stop_reason: self.stop_reason,
            path_length: self.length(),
            last_ttl: None,
            path_mtu: None,
            graph: Some(self.anomalies()),
        });
    }

    fn row<R: Send + 'static>(&self, row: R, actions: &mut Actions) {
        let row = TableRow::new(self.target, row);
        actions.events.push(StrategyEvent::Row(row));
    }

    fn trace_id(&self) -> TraceId {
        TraceId::new(self.target, FlowId(0), 1)
    }

    fn ttl(&self, place: usize) -> Ttl {
        Ttl(self.first_ttl.0.saturating_add(place as u8))
    }

    /// The lowest TTL at which the target answered, if the target answered at no other one.
    fn length(&self) -> Option<Ttl> {
        let nodes = self.graph.nodes().iter();
        let ends = nodes.filter(|node| node.end == Some(NodeEnd::Target));
        let places: BTreeSet<usize> = ends.map(|node| node.place).collect();
        let (Some(place), 1) = (places.first(), places.len()) else {
            return None;
        };
        // The TTL before it must have an answer to one of these flows, or the target may be nearer.
        let is_settled = match place.checked_sub(1) {
            None => self.first_ttl.0 == 1,
            Some(before) => { self.graph.at(*place).iter() }
                .filter(|(_, shown)| shown.node.is_some())
                .filter_map(|(flow, _)| self.graph.at(before).get(flow))
                .any(|shown| shown.node.is_some()),
        };
        is_settled.then(|| self.ttl(*place))
    }

    /// Removes the type of a balancer if too few answers show whether it goes by packets.
    fn doubt(&self, diamonds: &mut [DiamondRow]) {
        let ttls_of = |is_unsure: bool| -> BTreeSet<Ttl> {
            let is_such = |view: &View| view.varies && view.is_unsure == is_unsure;
            let hops = self.walk.views.iter().enumerate();
            hops.filter(|(_, views)| views.iter().any(is_such))
                .map(|(place, _)| self.ttl(place))
                .collect()
        };
        let (unsure, sure) = (ttls_of(true), ttls_of(false));
        for diamond in diamonds {
            let has = |ttls: &BTreeSet<Ttl>| {
                let inside = ttls.range(diamond.first_ttl..=diamond.last_ttl).next();
                inside.is_some()
            };
            if has(&unsure) && !has(&sure) {
                diamond.balancer = None;
            }
        }
    }

    fn anomalies(&self) -> Anomalies {
        let mut found = Anomalies::default();
        for view in self.walk.views.iter().flatten() {
            match view.varies {
                true if view.is_unsure => {}
                true => found.insert(Anomaly::PerPacketBalancing),
                false if view.width() > 1 => found.insert(Anomaly::PerFlowBalancing),
                false => {}
            }
        }
        found
    }

    fn graph_row(&self, nodes: &[NodeRow], links: usize, diamonds: usize) -> GraphRow {
        let mut widths: BTreeMap<Ttl, u32> = BTreeMap::new();
        for node in nodes {
            *widths.entry(node.ttl).or_default() += 1;
        }
        GraphRow {
            trace_id: self.trace_id(),
            target: self.target,
            destination: self.destination,
            started_at: self.started_at,
            finished_at: self.finished_at,
            stop_reason: self.stop_reason,
            algorithm: self.walk.effort.algorithm,
            flows: self.flows.into(),
            nodes: nodes.len() as u32,
            links: links as u32,
            diamonds: diamonds as u32,
            max_width: widths.into_values().max().unwrap_or(0),
            branchings: self.walk.branchings as u32,
            failure_bound: self.failure_bound(),
        }
    }

    /// The failure of the graph as it was asked for. Groups at which the search was stopped early add their own.
    fn failure_bound(&self) -> f64 {
        let walk = self.walk;
        let is_unsure = walk.views.iter().flatten().any(|view| view.is_unsure);
        // If it is not known whether answers vary, links are withheld.
        if is_unsure || matches!(self.stop_reason, StopReason::MaxWidth | StopReason::Error) {
            return 1.0;
        }
        let mut found = 1.0 - self.levels.failure(walk.effort.level, walk.branchings);
        for (stops, views) in walk.stops.iter().zip(&walk.views) {
            for (stop, view) in stops.iter().zip(views) {
                if *stop != StoppedBy::Points {
                    found *= 1.0 - miss_probability(view.width(), view.answered);
                }
            }
        }
        // Without the error of the sums, 95% asked for give 0.05.
        ((1.0 - found) * 1e12).round() / 1e12
    }

    /// The groups of nodes, with what each showed at the next TTL.
    fn onward(&self) -> BTreeMap<NodeId, Onward> {
        let walk = self.walk;
        let hops = walk.groups.iter().zip(&walk.views).zip(&walk.stops);
        let groups = hops.flat_map(|((groups, views), stops)| groups.iter().zip(views).zip(stops));
        let of_nodes = groups.filter_map(|((group, view), stopped_by)| {
            let Via::Node(node) = group.via else {
                return None;
            };
            // A router that complains is not its own next hop.
            let place = self.graph.node(node).place;
            let next = view
                .nodes
                .keys()
                .filter(|next| self.graph.node(**next).place > place);
            let onward = Onward {
                width: next.count(),
                answered: view.answered,
                stopped_by: *stopped_by,
            };
            (!view.varies).then_some((node, onward))
        });
        of_nodes.collect()
    }

    fn nodes(&self) -> Vec<NodeRow> {
        let varying: BTreeSet<NodeId> = self
            .walk
            .views
            .iter()
            .flat_map(|views| varying_nodes(views))
            .collect();
        let onward = self.onward();
        let mut rows: BTreeMap<(usize, IpAddr), NodeRow> = BTreeMap::new();
        for (number, node) in (0..).zip(self.graph.nodes()) {
            let id = NodeId(number);
            let shown = self.graph.at(node.place).values();
            let flows = shown.filter(|shown| shown.node == Some(id)).count() as u32;
            let onward = onward.get(&id);
            let row = rows
                .entry((node.place, node.address))
                .or_insert_with(|| NodeRow {
                    trace_id: self.trace_id(),
                    destination: self.destination,
                    ttl: self.ttl(node.place),
                    address: node.address,
                    flows: 0,
                    next_hops: None,
                    next_hop_flows: None,
                    miss_probability: None,
                    stopped_by: None,
                    varies: false,
                    is_end: false,
                });
            row.flows += flows;
            row.varies |= varying.contains(&id) || self.graph.is_varying(id);
            row.is_end |= node.end.is_some();
            if let Some(onward) = onward {
                row.next_hops = Some(onward.width as u32);
                row.next_hop_flows = Some(onward.answered);
                // A hop that nobody answered at says nothing about its nodes.
                row.miss_probability =
                    (onward.width > 0).then(|| miss_probability(onward.width, onward.answered));
                row.stopped_by = Some(onward.stopped_by);
            }
        }
        let mut rows: Vec<NodeRow> = rows.into_values().collect();
        for row in &mut rows {
            match row.next_hops {
                // All flows end here.
                Some(0) if row.is_end => {
                    row.next_hops = None;
                    row.next_hop_flows = None;
                    row.miss_probability = None;
                    row.stopped_by = None;
                }
                Some(_) => row.is_end = false,
                None => {}
            }
        }
        rows
    }

    /// The links between nodes that the same flows pass at consecutive TTLs. A node of a varying group has no links.
    fn links(&self) -> Vec<LinkRow> {
        let mut rows: BTreeMap<(usize, IpAddr, IpAddr), u32> = BTreeMap::new();
        for (place, (groups, views)) in self.walk.groups.iter().zip(&self.walk.views).enumerate() {
            let varying = varying_nodes(views);
            for (group, view) in groups.iter().zip(views) {
                let Via::Node(near) = group.via else {
                    continue;
                };
                for (far, flows) in view.nodes.iter().filter(|_| !view.varies) {
                    let (near, node) = (self.graph.node(near), self.graph.node(*far));
                    // A router that forwards packets without TTL shows the next one twice.
                    let is_twice = near.address == node.address;
                    if node.place == place && !varying.contains(far) && !is_twice {
                        *rows
                            .entry((near.place, near.address, node.address))
                            .or_default() += flows;
                    }
                }
            }
        }
        let link = |((place, near, far), flows)| LinkRow {
            trace_id: self.trace_id(),
            destination: self.destination,
            ttl: self.ttl(place),
            near,
            far,
            flows,
        };
        rows.into_iter().map(link).collect()
    }
}

/// The probability that `answered` flows show at most `width` next hops of one more.
fn miss_probability(width: usize, answered: u32) -> f64 {
    match width {
        0 => 1.0,
        width => shows_at_most(width, width + 1, answered),
    }
}
