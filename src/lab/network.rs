//! The simulated internet: packets in, answers out.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::declared::Declared;
use super::generated::Generated;
use super::generated_targets::target_prefixes;
use super::hash::{Dice, mix};
use super::icmp::{self, Envelope};
use super::packet::{Packet, Refusal};
use super::token_bucket::Buckets;
use super::topology::Topology;
use super::walk::{Answerer, Fate, Flight, Stop, Trail, walk};
use super::{Delivery, GeneratedOptions, Respond};
use crate::model::{MplsLabel, Time};

/// A simulated internet as seen from one vantage point.
///
/// Everything that happens follows from its seed, the packets and their times: the same packets at the same times bring the same answers.
#[derive(Clone, Debug)]
pub struct LabNetwork {
    pub(super) kind: Kind,
    pub(super) facts: Facts,
    state: State,
}

/// Which topology it is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Declared(Declared),
    Generated(Generated),
}

/// What is known of any network.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) vantage: Ipv4Addr,
    pub(super) seed: u64,
    pub(super) targets: Vec<Ipv4Net>,
}

#[derive(Clone, Debug, Default)]
struct State {
    packets: u64,
    buckets: Buckets,
    trail: Trail,
    statistics: LabStatistics,
}

/// What a network has done so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabStatistics {
    /// Packets that came from the vantage point.
    pub received: u64,
    /// Answers delivered, copies not counted.
    pub answered: u64,
    /// Second copies of answers.
    pub duplicated: u64,
    /// Dropped by the first router: malformed, fragments, unroutable addresses, ICMP other than echo requests.
    pub refused: u64,
    /// Probes lost on a line.
    pub lost: u64,
    /// Answers lost on a line.
    pub replies_lost: u64,
    /// Left unanswered by silent routers, by silent targets, and where packets are discarded.
    pub silent: u64,
    /// Answers held back by rate limits.
    pub rate_limited: u64,
    /// Dropped by the target: wrong checksum or lengths.
    pub corrupt: u64,
}

impl LabNetwork {
    /// The generated network of `seed` with the default options.
    pub fn generated(seed: u64) -> Self {
        Self::generated_with(seed, GeneratedOptions::default())
    }

    /// A generated network.
    pub fn generated_with(seed: u64, options: GeneratedOptions) -> Self {
        let facts = Facts {
            name: format!("generated-{seed}"),
            description: "A generated internet of any size.".to_owned(),
            vantage: Generated::VANTAGE,
            seed,
            targets: target_prefixes(),
        };
        Self::new(facts, Kind::Generated(Generated::new(seed, options)))
    }

    pub(super) fn new(facts: Facts, kind: Kind) -> Self {
        LabNetwork {
            kind,
            facts,
            state: State::default(),
        }
    }

    /// The network's name: for manifests and messages.
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// What it is there to show, for people; may be empty.
    pub fn description(&self) -> &str {
        &self.facts.description
    }

    /// The vantage point's address: the source that probes must carry. Packets from any other are dropped.
    pub fn vantage(&self) -> Ipv4Addr {
        self.facts.vantage
    }

    /// The prefixes that hold targets. All other addresses exist only as routers, or not at all.
    pub fn target_prefixes(&self) -> &[Ipv4Net] {
        &self.facts.targets
    }

    /// What it has done so far.
    pub fn statistics(&self) -> LabStatistics {
        self.state.statistics
    }
}

impl Respond for LabNetwork {
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
        let state = &mut self.state;
        match &self.kind {
            Kind::Declared(topology) => {
                state.respond(topology, &self.facts, packet, now, deliveries)
            }
            Kind::Generated(topology) => {
                state.respond(topology, &self.facts, packet, now, deliveries)
            }
        }
    }
}

/// An answer that is ready to be written, but for what happens on its way back.
struct Answer {
    source: Ipv4Addr,
    initial_ttl: u8,
    ip_id: u16,
    delay: u64,
    body: Body,
}

enum Body {
    Error {
        icmp: (u8, u8),
        quote_bytes: Option<u16>,
        labels: Vec<MplsLabel>,
    },
    EchoReply,
}

impl State {
    fn respond<T: Topology>(
        &mut self,
        topology: &T,
        facts: &Facts,
        bytes: &[u8],
        now: Time,
        deliveries: &mut Vec<Delivery>,
    ) {
        self.packets += 1;
        self.statistics.received += 1;
        let probe = match accept(bytes, facts.vantage) {
            Ok(probe) => probe,
            Err(_) => {
                self.statistics.refused += 1;
                return;
            }
        };
        let mut dice = Dice::new(facts.seed, self.packets);
        let mut flight = Flight::new(
            probe.source(),
            probe.destination(),
            probe.protocol(),
            probe.ports(),
            probe.ttl(),
        );
        flight.checksum = probe.udp_checksum();
        let stop = match walk(topology, flight, &mut dice, &mut self.trail) {
            Fate::Stopped(stop) => stop,
            Fate::Discarded(_) => {
                self.statistics.silent += 1;
                return;
            }
            Fate::Lost => {
                self.statistics.lost += 1;
                return;
            }
        };
        let reached_at = now + std::time::Duration::from_nanos(self.trail.elapsed);
        let Some(answer) = self.answer(topology, &stop, &probe, reached_at, &mut dice) else {
            return;
        };
        let Some(way) = self.trail.way_back(stop.who, &mut dice) else {
            self.statistics.replies_lost += 1;
            return;
        };
        let mut quoted = stop.arrived;
        let mut source = answer.source;
        self.trail.restore(stop.who, &mut quoted, &mut source);
        let routers = self.trail.routers_back(stop.who);
        let envelope = Envelope {
            source,
            destination: facts.vantage,
            ttl: answer
                .initial_ttl
                .saturating_sub(u8::try_from(routers).unwrap_or(u8::MAX)),
            ip_id: answer.ip_id,
        };
        // An answer whose own TTL runs out on the way back never arrives.
        if envelope.ttl == 0 {
            self.statistics.replies_lost += 1;
            return;
        }
        let packet = match answer.body {
            Body::Error {
                icmp,
                quote_bytes,
                labels,
            } => icmp::error(envelope, icmp, &probe, &quoted, quote_bytes, &labels),
            Body::EchoReply => icmp::echo_reply(envelope, &probe),
        };
        let at = reached_at + std::time::Duration::from_nanos(answer.delay + way.delay);
        self.statistics.answered += 1;
        if let Some(gap) = way.duplicate {
            self.statistics.duplicated += 1;
            deliveries.push(Delivery {
                at: at + std::time::Duration::from_nanos(gap),
                packet: packet.clone(),
            });
        }
        deliveries.push(Delivery { at, packet });
    }

    fn answer<T: Topology>(
        &mut self,
        topology: &T,
        stop: &Stop,
        probe: &Packet,
        at: Time,
        dice: &mut Dice,
    ) -> Option<Answer> {
        match stop.who {
            Answerer::Router(node) => {
                // Routers' figures may depend on the way, so they are asked for with the plan of where the probe was bound.
                let plan = topology.plan(stop.arrived.destination);
                let router = topology.answering(node, &plan);
                use super::hash::Chance as _;
                if router.silent || dice.happens(router.answer_loss) {
                    self.statistics.silent += 1;
                    return None;
                }
                let owner = u64::from(u32::from(router.address));
                if router
                    .limit
                    .is_some_and(|l| !self.buckets.take(owner, l, at))
                {
                    self.statistics.rate_limited += 1;
                    return None;
                }
                Some(Answer {
                    source: router.address,
                    initial_ttl: router.initial_ttl,
                    ip_id: ip_id(router.address, at),
                    delay: router.delay,
                    body: Body::Error {
                        icmp: stop.icmp,
                        quote_bytes: router.quote_bytes,
                        labels: labels_of(topology, stop),
                    },
                })
            }
            Answerer::Host => {
                let address = stop.arrived.destination;
                let host = topology.host(address);
                let Some(code) = host.code else {
                    self.statistics.silent += 1;
                    return None;
                };
                let ready = |body| Answer {
                    source: address,
                    initial_ttl: host.initial_ttl,
                    ip_id: ip_id(address, at),
                    delay: 0,
                    body,
                };
                if probe.is_echo_request() {
                    if !probe.is_sound_icmp() {
                        self.statistics.corrupt += 1;
                        return None;
                    }
                    return Some(ready(Body::EchoReply));
                }
                if probe.protocol() != super::packet::UDP {
                    self.statistics.silent += 1;
                    return None;
                }
                if !probe.is_sound_udp() {
                    self.statistics.corrupt += 1;
                    return None;
                }
                let owner = 1 << 32 | u64::from(u32::from(address));
                if host.limit.is_some_and(|l| !self.buckets.take(owner, l, at)) {
                    self.statistics.rate_limited += 1;
                    return None;
                }
                Some(ready(Body::Error {
                    icmp: (3, code),
                    quote_bytes: host.quote_bytes,
                    labels: Vec::new(),
                }))
            }
        }
    }
}

/// The labels that whoever a packet stopped at shows, as the packet carried them.
pub(super) fn labels_of<T: Topology>(topology: &T, stop: &Stop) -> Vec<MplsLabel> {
    let (Answerer::Router(node), Some(label_ttl)) = (stop.who, stop.label_ttl) else {
        return Vec::new();
    };
    let plan = topology.plan(stop.arrived.destination);
    let mut labels = topology.labels(node, &plan);
    let last = labels.len().saturating_sub(1);
    for (depth, label) in labels.iter_mut().enumerate() {
        // Only the top label's TTL counts down; those beneath keep what the ingress wrote.
        label.ttl = if depth == 0 {
            label_ttl
        } else {
            stop.arrived.ttl
        };
        label.bottom = depth == last;
    }
    labels
}

fn accept(bytes: &[u8], vantage: Ipv4Addr) -> Result<Packet<'_>, Refusal> {
    let packet = Packet::parse(bytes)?;
    if packet.source() != vantage || packet.destination() == vantage {
        return Err(Refusal::Address);
    }
    Ok(packet)
}

/// IP IDs of a machine's own packets: a counter that a busy machine moves on by one each millisecond.
fn ip_id(address: Ipv4Addr, at: Time) -> u16 {
    let start = mix(u64::from(u32::from(address)));
    start.wrapping_add(at.as_nanos() / 1_000_000) as u16
}
