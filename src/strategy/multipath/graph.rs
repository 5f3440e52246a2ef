//! What the flows of one target showed: the answers by TTL and flow, and the nodes that gave them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use crate::model::{ProbeResult, Said};

/// Most attempts of a flow at a TTL. A bit stands for each answered one.
pub const MOST_ATTEMPTS: u8 = 32;

/// The number of a node of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// An address at a TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The place of its TTL: 0 is the first TTL probed.
    pub place: usize,
    /// Who answered.
    pub address: IpAddr,
    /// Why no flow goes on from here.
    pub end: Option<NodeEnd>,
    /// Whether it dropped a probe for another reason than its TTL.
    pub complains: bool,
}

/// Why a node is the last of its flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeEnd {
    /// The probe reached the target.
    Target,
    /// The node drops probes for another reason than their TTL, and did so with a higher TTL as well.
    Unreachable,
}

/// What one flow showed at one TTL.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// The node that answered first.
    pub node: Option<NodeId>,
    /// What its answer said.
    said: Option<Said>,
    /// Whether another node answered a later attempt.
    pub varies: bool,
    /// Attempts that were asked for.
    pub attempts: u8,
    /// Which attempts were answered. Bit 0 is the first attempt.
    answered: u32,
    pending: u8,
}

impl Shown {
    /// Whether all attempts ended without an answer.
    pub fn is_silent(&self) -> bool {
        self.node.is_none() && self.pending == 0
    }

    /// How many attempts were asked for after the first that was answered.
    pub fn repeats_asked(&self) -> u32 {
        let first = self.answered.trailing_zeros();
        u32::from(self.attempts).saturating_sub(1 + first)
    }

    /// How many further attempts were answered.
    pub fn repeats(&self) -> u32 {
        self.answered.count_ones().saturating_sub(1)
    }
}

/// The answers of one target.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    by_address: HashMap<(usize, IpAddr, bool), NodeId>,
    /// By the place of the TTL, then by flow.
    shown: Vec<BTreeMap<u16, Shown>>,
    /// Nodes that the same flow showed at the same TTL as others.
    varying: BTreeSet<NodeId>,
    pending: usize,
    /// Whether the kernel refused a probe.
    is_refused: bool,
}

impl Graph {
    /// The nodes, in the order in which they were found.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this number.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// What the flows showed at the TTL with this place.
    pub fn at(&self, place: usize) -> &BTreeMap<u16, Shown> {
        static NONE: BTreeMap<u16, Shown> = BTreeMap::new();
        self.shown.get(place).unwrap_or(&NONE)
    }

    /// Whether the outcome of a probe is still to come.
    pub fn is_waiting(&self) -> bool {
        self.pending > 0
    }

    /// Whether the kernel refused a probe.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Whether the same flow showed another node at the same TTL.
    pub fn is_varying(&self, id: NodeId) -> bool {
        self.varying.contains(&id)
    }

    /// Counts one more attempt of a flow. Returns its number, from 1.
    pub fn ask(&mut self, place: usize, flow: u16) -> u8 {
        while self.shown.len() <= place {
            self.shown.push(BTreeMap::new());
        }
        let shown = self.shown[place].entry(flow).or_default();
        shown.attempts += 1;
        shown.pending += 1;
        self.pending += 1;
        shown.attempts
    }

    /// Takes the result of an attempt. `late`: the attempt was reported as silent before, or is answered again.
    pub fn result(&mut self, at: (usize, u16), attempt: u8, result: &ProbeResult, late: bool) {
        let (place, flow) = at;
        if *result == ProbeResult::OneOfSeveral {
            return;
        }
        let Some(before) = self.at(place).get(&flow).copied() else {
            return;
        };
        if !(1..=before.attempts).contains(&attempt) {
            return;
        }
        let bit = 1 << (attempt - 1).min(MOST_ATTEMPTS - 1);
        let said = said(result);
        // A router may complain of a packet that another one, or the target, answers as well. The answer that says more counts.
        let is_first = before.answered & bit == 0;
        let says_more = before.repeats() == 0 && said > before.said;
        let node = match is_first || says_more {
            true => self.answer(place, flow, result),
            false => None,
        };
        if !late {
            self.pending = self.pending.saturating_sub(1);
            self.is_refused |= matches!(result, ProbeResult::NotSent | ProbeResult::TooLarge);
        }
        let Some(shown) = self.shown[place].get_mut(&flow) else {
            return;
        };
        if !late {
            shown.pending = shown.pending.saturating_sub(1);
        }
        let Some(node) = node else {
            return;
        };
        shown.answered |= bit;
        match shown.node {
            Some(first) if is_first => {
                if first != node {
                    shown.varies = true;
                    self.varying.extend([first, node]);
                }
            }
            _ => (shown.node, shown.said) = (Some(node), said),
        }
    }

    /// The node that an answer shows. `None` for what shows none.
    fn answer(&mut self, place: usize, flow: u16, result: &ProbeResult) -> Option<NodeId> {
        let ProbeResult::Answered {
            responder,
            kind,
            from_target,
            ..
        } = *result
        else {
            return None;
        };
        let said = Said::of(kind, from_target);
        // Some routers complain where others say that the TTL ran out, and forward what has a higher TTL. Where a router complains that
        // answered the flow before, the flow ends. It stands where it answered first.
        let before = match said {
            Said::Complaint => self.place_before(responder, flow, place),
            _ => None,
        };
        let end = match said {
            Said::TooLarge => return None,
            Said::Arrived => Some(NodeEnd::Target),
            Said::Complaint => before.map(|_| NodeEnd::Unreachable),
            Said::Expired => None,
        };
        let place = before.unwrap_or(place);
        let key = (place, responder, end == Some(NodeEnd::Unreachable));
        let next = NodeId(self.nodes.len() as u32);
        let id = *self.by_address.entry(key).or_insert(next);
        if id == next {
            self.nodes.push(Node {
                place,
                address: responder,
                end,
                complains: false,
            });
        }
        self.nodes[id.0 as usize].complains |= said == Said::Complaint;
        Some(id)
    }

    /// The lowest place before `place` at which this address answered the flow; or answered other flows, if the flow has no answer there: it may
    /// have been lost.
    fn place_before(&self, address: IpAddr, flow: u16, place: usize) -> Option<usize> {
        let is_it =
            |shown: &Shown| { shown.node }.is_some_and(|id| self.node(id).address == address);
        let is_there = |at: &usize| {
            let shown = self.at(*at);
            match shown.get(&flow).filter(|shown| shown.node.is_some()) {
                Some(shown) => is_it(shown),
                None => shown.values().any(is_it),
            }
        };
        (0..place).find(is_there)
    }
}

/// What an answer says. `None` if there is no answer.
fn said(result: &ProbeResult) -> Option<Said> {
    match *result {
        ProbeResult::Answered {
            kind, from_target, ..
        } => Some(Said::of(kind, from_target)),
        _ => None,
    }
}
