//! The diamonds of a graph: where the paths to a target part and meet again.
//!
//! A diamond is a run of consecutive TTLs with several nodes each. The TTL before it has the divergence point, the TTL after it the
//! convergence point. So every TTL with several nodes is in exactly one diamond. A diamond inside of another has no row of its own.
//!
//! | what | rule |
//! |---|---|
//! | node | a (TTL, address): an address at two TTLs is two nodes |
//! | TTL without nodes, below another TTL with nodes | silent, or not probed: counts as one unknown node |
//! | start | the paths part at the source if the first TTL of the diamond is 1 |
//! | end | if no higher TTL has nodes, the diamond has no convergence point |
//! | node that ends its paths | counts for the width of its TTL. It has no next hops, which is no asymmetry |
//!
//! Two consecutive TTLs of a diamond are compared by the numbers of their nodes, as in Vermeulen et al., "Multilevel MDA-Lite Paris
//! Traceroute" (IMC 2018):
//!
//! | the farther TTL has | meshed if | width asymmetry |
//! |---|---|---|
//! | more nodes | a farther node has two or more links to nearer nodes | between the next hops of two nearer nodes |
//! | fewer nodes | a nearer node has two or more links to farther nodes | between the links of two farther nodes to nearer ones |
//! | as many nodes | either | the larger of both |
//!
//! A diamond is meshed if one of its pairs is. Its width asymmetry is the largest of its pairs. Inside of a per-packet balancer there are
//! no links, so both are absent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{BalancerType, DiamondRow, LinkRow, NodeRow, Ttl};

/// Returns the diamonds of the graph of one target, by TTL. The rows may be in any order. Links count if the graph has both nodes.
pub fn find(nodes: &[NodeRow], links: &[LinkRow]) -> Vec<DiamondRow> {
    let Some(any) = nodes.first() else {
        return Vec::new();
    };
    let graph = Graph::new(nodes, links);
    let wide = graph.hops.iter().filter(|(_, hop)| hop.len() > 1);
    let wide: Vec<u8> = wide.map(|(ttl, _)| *ttl).collect();
    let runs = wide.chunk_by(|ttl, next| ttl.checked_add(1) == Some(*next));
    runs.filter_map(|ttls| graph.diamond(ttls, any)).collect()
}

/// The nodes of a graph by TTL.
struct Graph {
    hops: BTreeMap<u8, Hop>,
}

type Hop = BTreeMap<IpAddr, Node>;

#[derive(Default)]
struct Node {
    varies: bool,
    is_end: bool,
    /// How many nodes of the TTL before are linked to it.
    before: usize,
    /// How many nodes of the next TTL are linked to it.
    next: usize,
}

impl Graph {
    fn new(nodes: &[NodeRow], links: &[LinkRow]) -> Self {
        let mut hops: BTreeMap<u8, Hop> = BTreeMap::new();
        for row in nodes {
            let hop = hops.entry(row.ttl.0).or_default();
            let node = hop.entry(row.address).or_default();
            node.varies |= row.varies;
            node.is_end |= row.is_end;
        }
        let mut graph = Graph { hops };
        let links = links.iter().map(|link| (link.ttl.0, link.near, link.far));
        for (ttl, near, far) in links.collect::<BTreeSet<_>>() {
            graph.link(ttl, near, far);
        }
        graph
    }

    fn link(&mut self, ttl: u8, near: IpAddr, far: IpAddr) {
        let Some(farther) = ttl.checked_add(1) else {
            return;
        };
        if self.node(ttl, near).is_none() {
            return;
        }
        let Some(node) = self.node(farther, far) else {
            return;
        };
        node.before += 1;
        if let Some(node) = self.node(ttl, near) {
            node.next += 1;
        }
    }

    fn node(&mut self, ttl: u8, address: IpAddr) -> Option<&mut Node> {
        self.hops.get_mut(&ttl)?.get_mut(&address)
    }

    /// The only node of a TTL. `None` if the TTL is silent.
    fn single(&self, ttl: u8) -> Option<(IpAddr, &Node)> {
        let (address, node) = self.hops.get(&ttl)?.iter().next()?;
        Some((*address, node))
    }

    /// The diamond of these consecutive TTLs. The TTLs before and after them have one node, or none.
    fn diamond(&self, ttls: &[u8], any: &NodeRow) -> Option<DiamondRow> {
        let (&first, &last) = (ttls.first()?, ttls.last()?);
        let inner: Vec<&Hop> = ttls.iter().filter_map(|ttl| self.hops.get(ttl)).collect();
        let before = first.checked_sub(1).filter(|ttl| *ttl > 0);
        let divergence = before.and_then(|ttl| self.single(ttl));
        let after = last.checked_add(1);
        let after = after.filter(|ttl| self.hops.range(ttl..).next().is_some());
        let varies = inner.iter().any(|hop| hop.values().any(|node| node.varies));
        let balancer = match divergence {
            _ if varies => Some(BalancerType::PerPacket),
            _ if before.is_none() => Some(BalancerType::PerFlow),
            Some((_, node)) if node.next > 1 => Some(BalancerType::PerFlow),
            _ => None,
        };
        let pairs = || inner.windows(2).map(|pair| Pair::new(pair[0], pair[1]));
        let width = inner.iter().map(|hop| hop.len()).max().unwrap_or(0);
        let asymmetry = pairs().map(|pair| pair.asymmetry()).max().unwrap_or(0);
        Some(DiamondRow {
            trace_id: any.trace_id,
            destination: any.destination,
            first_ttl: Ttl(first),
            last_ttl: Ttl(last),
            divergence_ttl: before.map(Ttl),
            divergence: divergence.map(|(address, _)| address),
            convergence_ttl: after.map(Ttl),
            convergence: after.and_then(|ttl| Some(self.single(ttl)?.0)),
            max_width: width as u32,
            max_length: (inner.len() + usize::from(after.is_some())) as u32,
            width_asymmetry: (!varies).then_some(asymmetry as u32),
            meshed: (!varies).then(|| pairs().any(|pair| pair.is_meshed())),
            balancer,
        })
    }
}

/// Two consecutive TTLs of a diamond.
struct Pair<'g> {
    near: &'g Hop,
    far: &'g Hop,
}

impl<'g> Pair<'g> {
    fn new(near: &'g Hop, far: &'g Hop) -> Self {
        Pair { near, far }
    }

    fn widens(&self) -> bool {
        self.near.len() <= self.far.len()
    }

    fn narrows(&self) -> bool {
        self.near.len() >= self.far.len()
    }

    fn is_meshed(&self) -> bool {
        (self.widens() && self.far.values().any(|node| node.before > 1))
            || (self.narrows() && self.near.values().any(|node| node.next > 1))
    }

    fn asymmetry(&self) -> usize {
        let goes_on = self.near.values().filter(|node| !node.is_end);
        let next = difference(goes_on.map(|node| node.next));
        let before = difference(self.far.values().map(|node| node.before));
        match (self.widens(), self.narrows()) {
            (true, true) => next.max(before),
            (true, false) => next,
            _ => before,
        }
    }
}

/// The largest difference between two of the numbers.
fn difference(numbers: impl Iterator<Item = usize> + Clone) -> usize {
    match (numbers.clone().max(), numbers.min()) {
        (Some(most), Some(least)) => most - least,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
