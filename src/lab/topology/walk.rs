//! The walk of one packet through the network. The simulation and the truth share this code.

use std::net::IpAddr;

use super::balancer;
use super::flight::Flight;
use super::rewriting::Rewritten;
use super::{Grievance, Line, Next, NodeId, Propagation, Topology};
use crate::lab::hash::Chance;
use crate::lab::packet::message::Message;

/// No packet can take more steps: 255 TTLs, and 255 TTLs of a label in each tunnel of a loop.
const MOST_STEPS: usize = 1024;

/// The time between a reply and its duplicate.
const DUPLICATE_GAP: u64 = 500_000;

impl Line {
    /// Returns the line's MTU if the packet is larger and must not be fragmented.
    fn too_small_for(&self, flight: &Flight) -> Option<u16> {
        self.mtu.filter(|mtu| flight.uncut_length > *mtu)
    }
}

/// The node that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Answerer {
    Router(NodeId),
    Host,
}

/// The end of a packet's walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Fate {
    /// At a router that should send an ICMP error, or at the target.
    Stopped(Stop),
    /// A router discarded the packet.
    Discarded(NodeId),
    /// A line lost the packet.
    Lost,
}

/// The node at which a packet ended, and the packet as it arrived there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Stop {
    pub(in crate::lab) who: Answerer,
    /// The message of a router. A host's answer depends on the packet.
    pub(in crate::lab) message: Message,
    pub(in crate::lab) arrived: Flight,
    /// TTL of the label with which the packet arrived.
    pub(in crate::lab) label_ttl: Option<u8>,
    /// Whether packets with a higher TTL pass this node.
    pub(in crate::lab) lets_pass: bool,
}

/// The path of a packet. It is reused from walk to walk, so that walking allocates nothing.
#[derive(Clone, Debug, Default)]
pub(in crate::lab) struct Trail {
    steps: Vec<(Option<NodeId>, Line)>,
    rewritten: Vec<Rewritten>,
    /// Complaints of routers that forwarded the packet, and the time until then in nanoseconds.
    complaints: Vec<(Stop, u64)>,
    /// Nanoseconds outward.
    pub(in crate::lab) elapsed: u64,
}

/// The way of a reply back to the vantage point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct WayBack {
    /// Nanoseconds inward.
    pub(in crate::lab) delay: u64,
    /// How much later a duplicate arrives, if there is one.
    pub(in crate::lab) duplicate: Option<u64>,
}

impl Trail {
    /// Crosses `line`. Returns false if the line loses the packet.
    fn cross(&mut self, node: Option<NodeId>, line: Line, chance: &mut impl Chance) -> bool {
        if chance.happens(line.loss) {
            return false;
        }
        self.elapsed += line.delay + chance.span(line.jitter);
        self.steps.push((node, line));
        true
    }

    /// Removes and returns the complaints of routers that forwarded the packet, with the time to reach each router in nanoseconds.
    pub(in crate::lab) fn take_complaints(&mut self) -> Vec<(Stop, u64)> {
        std::mem::take(&mut self.complaints)
    }

    /// The last router that the packet reached, if it reached one.
    pub(in crate::lab) fn last_router(&self) -> Option<NodeId> {
        self.steps.iter().rev().find_map(|(node, _)| *node)
    }

    /// The number of routers that a reply crosses: those before the first visit to the node that answers.
    pub(in crate::lab) fn routers_back(&self, who: Answerer) -> usize {
        let wanted = match who {
            Answerer::Router(node) => Some(node),
            Answerer::Host => None,
        };
        self.steps
            .iter()
            .position(|(node, _)| *node == wanted)
            .unwrap_or(self.steps.len().saturating_sub(1))
    }

    /// Sends a reply back over the lines by which the packet came, without the rounds of a loop. Returns `None` if one of them loses it.
    pub(in crate::lab) fn way_back(
        &self,
        who: Answerer,
        chance: &mut impl Chance,
    ) -> Option<WayBack> {
        let mut way = WayBack {
            delay: 0,
            duplicate: None,
        };
        let lines = &self.steps[..(self.routers_back(who) + 1).min(self.steps.len())];
        for (_, line) in lines.iter().rev() {
            if chance.happens(line.reply_loss) {
                return None;
            }
            way.delay += line.delay + chance.span(line.jitter);
            if chance.happens(line.reorder) {
                way.delay += line.reorder_by;
            }
            if chance.happens(line.duplicate) {
                way.duplicate = Some(DUPLICATE_GAP);
            }
        }
        Some(way)
    }

    /// Lets the boxes between the node that answers and the vantage point change the quoted probe and the reply's source.
    pub(in crate::lab) fn restore(&self, who: Answerer, quoted: &mut Flight, source: &mut IpAddr) {
        let routers = self.routers_back(who);
        for done in self.rewritten.iter().rev().filter(|t| t.steps <= routers) {
            done.restore(quoted, source);
        }
    }
}

/// Sends `flight` on its way and returns where it ended. Afterwards `trail` holds the path.
pub(in crate::lab) fn walk<T: Topology>(
    topology: &T,
    mut flight: Flight,
    chance: &mut impl Chance,
    trail: &mut Trail,
) -> Fate {
    trail.steps.clear();
    trail.rewritten.clear();
    trail.complaints.clear();
    trail.elapsed = 0;
    let mut plan = topology.plan(flight.destination);
    let (mut node, line) = topology.entry();
    if !trail.cross(Some(node), line, chance) {
        return Fate::Lost;
    }
    for _ in 0..MOST_STEPS {
        let (arrived, next) = match pass(topology, node, &mut plan, &mut flight, trail) {
            Ok(passed) => passed,
            Err(stop) => return Fate::Stopped(stop),
        };
        let stop = |message| Fate::Stopped(said(node, arrived, message, false));
        let too_big = |mtu| stop(Message::too_big(arrived.family(), mtu));
        match next {
            Next::Forward {
                balance,
                hash_seed,
                width,
                routes,
            } => {
                let choice = balancer::choose(balance, hash_seed, width, &flight, chance);
                let (to, line) = topology.branch(node, &plan, routes, choice);
                if let Some(mtu) = line.too_small_for(&flight) {
                    return too_big(mtu);
                }
                if !trail.cross(Some(to), line, chance) {
                    return Fate::Lost;
                }
                node = to;
            }
            Next::Host(line) => {
                if let Some(mtu) = line.too_small_for(&flight) {
                    return too_big(mtu);
                }
                if !trail.cross(None, line, chance) {
                    return Fate::Lost;
                }
                // If the host's router pushed a label, the host gets the packet without it.
                flight.label_ttl = None;
                return Fate::Stopped(Stop {
                    who: Answerer::Host,
                    message: Message::unreachable(flight.family(), 3),
                    arrived: flight,
                    label_ttl: None,
                    lets_pass: false,
                });
            }
            Next::Unreachable { code, mtu, .. } => {
                return stop(Message::refusal(arrived.family(), code, mtu));
            }
            Next::Discard => return Fate::Discarded(node),
        }
    }
    Fate::Discarded(node)
}

/// Takes a packet through one router, up to its next hop. Returns the packet as it arrived, and the next step.
///
/// # Errors
/// The router's message, if the packet goes no further.
fn pass<T: Topology>(
    topology: &T,
    node: NodeId,
    plan: &mut T::Plan,
    flight: &mut Flight,
    trail: &mut Trail,
) -> Result<(Flight, Next), Stop> {
    let family = flight.family();
    let passage = topology.passage(node, plan);
    if let Some(label_ttl) = expired_label(flight, passage.labelled) {
        return Err(Stop {
            label_ttl: Some(label_ttl),
            ..said(node, *flight, Message::time_exceeded(family), true)
        });
    }
    let arrived = *flight;
    let mut next = topology.next(node, plan, flight.destination);
    if let Next::Unreachable {
        code,
        mtu,
        before_ttl_check: true,
    } = next
    {
        let message = Message::refusal(family, code, mtu);
        return Err(said(node, arrived, message, false));
    }
    let complaint = passage.complaint.map(|complaint| {
        let message = Message::refusal(family, complaint.code, complaint.mtu);
        (complaint.about, message)
    });
    if passage.labelled.is_none() {
        if flight.ttl == 0 || (flight.ttl == 1 && !passage.zero_ttl_forwarding) {
            let message = match complaint {
                Some((Grievance::Expired, message)) => message,
                _ => Message::time_exceeded(family),
            };
            return Err(said(node, arrived, message, true));
        }
        flight.ttl -= 1;
    }
    if let Some((Grievance::Forwarded, message)) = complaint {
        let said = said(node, arrived, message, true);
        trail.complaints.push((said, trail.elapsed));
    }
    let steps = trail.steps.len();
    let rewriting = passage.rewriting;
    if let Some(done) = rewriting.and_then(|box_| box_.apply(flight, steps)) {
        trail.rewritten.push(done);
        if done.moved_destination() {
            *plan = topology.plan(flight.destination);
            next = topology.next(node, plan, flight.destination);
        }
    }
    Ok((arrived, next))
}

/// Handles the MPLS label at a router. Returns the label's TTL if it expires there.
fn expired_label(flight: &mut Flight, labelled: Option<Propagation>) -> Option<u8> {
    if let Some(propagation) = labelled {
        let label_ttl = flight.label_ttl.unwrap_or(match propagation {
            Propagation::Copied => flight.ttl,
            Propagation::Hidden => u8::MAX,
        });
        if label_ttl <= 1 {
            return Some(label_ttl);
        }
        flight.label_ttl = Some(label_ttl - 1);
    } else if let Some(label_ttl) = flight.label_ttl.take() {
        // The tunnel's last router removed the label and copied its TTL back.
        flight.ttl = flight.ttl.min(label_ttl);
    }
    None
}

/// A router's message about a packet without a label.
fn said(node: NodeId, arrived: Flight, message: Message, lets_pass: bool) -> Stop {
    Stop {
        who: Answerer::Router(node),
        message,
        arrived,
        label_ttl: None,
        lets_pass,
    }
}
