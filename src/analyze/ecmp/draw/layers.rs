//! The nodes of a graph by TTL, and what joins them.
//!
//! Every TTL from the lowest one probed to the highest one answered is a layer. A TTL without nodes has one slot that stands for silence.
//!
//! | between two layers | joined by |
//! |---|---|
//! | links of the table | these links |
//! | no link, and one of them is silent | guides: all paths go on, but which nodes are linked is not known |
//! | no link, and one of them has nodes within a per-packet balancer | guides as well, unless both have several nodes |
//! | no link, and none of that | nothing: each node has its silent hop |

use std::collections::HashMap;
use std::net::IpAddr;

use crate::analyze::ecmp::TargetGraph;
use crate::model::{LinkRow, NodeRow};

/// The layers of a graph.
pub(super) struct Layers<'g> {
    pub layers: Vec<Layer<'g>>,
    /// What joins each layer with the next one.
    pub edges: Vec<Vec<Edge<'g>>>,
}

/// A TTL.
pub(super) struct Layer<'g> {
    pub ttl: u8,
    /// By address. `None` is silence, and then the only slot.
    pub slots: Vec<Option<&'g NodeRow>>,
}

/// Joins a slot of a layer with a slot of the next one.
#[derive(Clone, Copy)]
pub(super) struct Edge<'g> {
    pub near: usize,
    pub far: usize,
    /// `None` for a guide.
    pub link: Option<&'g LinkRow>,
}

impl<'g> Layers<'g> {
    pub(super) fn new(graph: &'g TargetGraph) -> Self {
        let ttls = || graph.nodes.iter().map(|node| node.ttl.0);
        let (Some(lowest), Some(highest)) = (ttls().min(), ttls().max()) else {
            return Layers {
                layers: Vec::new(),
                edges: Vec::new(),
            };
        };
        let first = graph.first_ttl.clamp(1, lowest.max(1)).min(lowest);
        let mut layers: Vec<Layer> = (first..=highest)
            .map(|ttl| Layer {
                ttl,
                slots: Vec::new(),
            })
            .collect();
        let mut places: HashMap<(u8, IpAddr), usize> = HashMap::new();
        for node in &graph.nodes {
            let slots = &mut layers[usize::from(node.ttl.0 - first)].slots;
            places.entry((node.ttl.0, node.address)).or_insert_with(|| {
                slots.push(Some(node));
                slots.len() - 1
            });
        }
        for layer in &mut layers {
            if layer.slots.is_empty() {
                layer.slots.push(None);
            }
        }
        let mut edges: Vec<Vec<Edge>> = vec![Vec::new(); layers.len() - 1];
        for link in &graph.links {
            let near = places.get(&(link.ttl.0, link.near));
            let far = { link.ttl.0.checked_add(1) }.and_then(|ttl| places.get(&(ttl, link.far)));
            if let (Some(&near), Some(&far)) = (near, far) {
                edges[usize::from(link.ttl.0 - first)].push(Edge {
                    near,
                    far,
                    link: Some(link),
                });
            }
        }
        for (pair, edges) in layers.windows(2).zip(&mut edges) {
            if edges.is_empty() {
                edges.extend(guides(&pair[0], &pair[1]));
            }
        }
        Layers { layers, edges }
    }

    /// Whether nothing joins a node with the next layer, because its next hop is silent.
    pub(super) fn fades(&self, layer: usize, slot: usize) -> bool {
        let node = self.layers[layer].slots[slot];
        let edges = self.edges.get(layer).map_or(&[][..], Vec::as_slice);
        node.is_some_and(|node| !node.is_end && !node.varies)
            && edges.iter().all(|edge| edge.near != slot)
            && !self.layers.get(layer + 1).is_some_and(Layer::varies)
    }

    /// Whether nothing joins a node with the layer before, because its previous hop is silent.
    pub(super) fn emerges(&self, layer: usize, slot: usize) -> bool {
        let Some(before) = layer.checked_sub(1) else {
            return false;
        };
        self.layers[layer].slots[slot].is_some_and(|node| !node.varies)
            && self.edges[before].iter().all(|edge| edge.far != slot)
            && !self.layers[before].varies()
    }
}

impl Layer<'_> {
    fn is_silent(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// Whether it is within a per-packet balancer.
    fn varies(&self) -> bool {
        self.slots.iter().flatten().any(|node| node.varies)
    }
}

fn guides<'g>(near: &Layer, far: &Layer) -> Vec<Edge<'g>> {
    let are_wide = near.slots.len() > 1 && far.slots.len() > 1;
    let is_known = [near, far]
        .iter()
        .all(|layer| !layer.is_silent() && !layer.varies());
    if are_wide || is_known {
        return Vec::new();
    }
    let goes_on = |slot: &usize| near.slots[*slot].is_none_or(|node| !node.is_end);
    let from = (0..near.slots.len()).filter(goes_on);
    let to = |near| {
        (0..far.slots.len()).map(move |far| Edge {
            near,
            far,
            link: None,
        })
    };
    from.flat_map(to).collect()
}
