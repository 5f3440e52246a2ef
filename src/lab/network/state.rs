//! How a network answers packets, and the state that it keeps between them.

use std::net::IpAddr;

use super::icmp;
use super::token_bucket::Buckets;
use super::{LabStatistics, Properties};
use crate::lab::Delivery;
use crate::lab::hash::{Dice, mix, mix2};
use crate::lab::hosts::half_open::{Ends, HalfOpens};
use crate::lab::hosts::tcp::{self, Segment};
use crate::lab::hosts::{Verdict, service_answer};
use crate::lab::packet::address::key;
use crate::lab::packet::envelope::Envelope;
use crate::lab::packet::extension;
use crate::lab::packet::message::Message;
use crate::lab::packet::wrapping::Wrapping;
use crate::lab::packet::{Packet, Refusal, TCP, UDP};
use crate::lab::topology::flight::Flight;
use crate::lab::topology::walk::{Answerer, Fate, Stop, Trail, walk};
use crate::lab::topology::{Host, Quoting, Topology};
use crate::model::{MplsLabel, Time};

/// The state that a network keeps between packets.
#[derive(Clone, Debug, Default)]
pub(in crate::lab) struct State {
    packets: u64,
    buckets: Buckets,
    half_open: HalfOpens,
    trail: Trail,
    statistics: LabStatistics,
}

/// A reply that is ready to be written. Boxes and lines on the way back may still change it.
struct Answer {
    source: IpAddr,
    initial_ttl: u8,
    ip_id: Option<u16>,
    delay: u64,
    wrapping: Wrapping,
    body: Body,
}

/// A probe, and the time at which it reached the node that answers.
struct Sent<'a> {
    probe: &'a Packet<'a>,
    reached_at: Time,
}

enum Body {
    Error {
        message: Message,
        quoting: Quoting,
        extension: Vec<u8>,
    },
    EchoReply,
    Datagram,
    Segment(tcp::Reply),
}

impl State {
    pub(in crate::lab) fn statistics(&self) -> LabStatistics {
        LabStatistics {
            half_open: self.half_open.len() as u64,
            ..self.statistics
        }
    }

    pub(in crate::lab) fn respond<T: Topology>(
        &mut self,
        topology: &T,
        facts: &Properties,
        bytes: &[u8],
        now: Time,
        deliveries: &mut Vec<Delivery>,
    ) {
        self.packets += 1;
        self.statistics.received += 1;
        self.half_open.expire(now);
        let probe = match accept(bytes, facts) {
            Ok(probe) => probe,
            Err(Refusal::Unanswerable) => {
                self.statistics.absorbed += 1;
                return;
            }
            Err(_) => {
                self.statistics.refused += 1;
                return;
            }
        };
        let mut dice = Dice::new(facts.seed, self.packets);
        let flight = flight_of(&probe);
        let fate = walk(topology, flight, &mut dice, &mut self.trail);
        let elapsed = self.trail.elapsed;
        let after = |nanos| now + std::time::Duration::from_nanos(nanos);
        let said = self.trail.take_complaints().into_iter();
        let mut stops: Vec<(Stop, Time)> = said.map(|(stop, at)| (stop, after(at))).collect();
        match fate {
            Fate::Stopped(stop) => stops.push((stop, after(elapsed))),
            Fate::Discarded(_) => self.statistics.silent += 1,
            Fate::Lost => self.statistics.lost += 1,
        }
        for (stop, reached_at) in stops {
            let sent = Sent {
                probe: &probe,
                reached_at,
            };
            deliveries.extend(self.answer_to(topology, facts, &stop, sent, &mut dice));
        }
    }

    /// Returns the answer of the node at which a packet stopped, and its copy if there is one. Empty if the node does not answer,
    /// or if the answer is lost.
    fn answer_to<T: Topology>(
        &mut self,
        topology: &T,
        facts: &Properties,
        stop: &Stop,
        Sent { probe, reached_at }: Sent,
        dice: &mut Dice,
    ) -> Vec<Delivery> {
        let Some(answer) = self.answer(topology, facts, stop, probe, reached_at, dice) else {
            return Vec::new();
        };
        let Some(way) = self.trail.way_back(stop.who, dice) else {
            self.statistics.replies_lost += 1;
            return Vec::new();
        };
        let mut quoted = stop.arrived;
        let mut source = answer.source;
        self.trail.restore(stop.who, &mut quoted, &mut source);
        let routers = self.trail.routers_back(stop.who);
        let envelope = Envelope {
            source,
            destination: probe.source(),
            ttl: answer
                .initial_ttl
                .saturating_sub(u8::try_from(routers).unwrap_or(u8::MAX)),
            ip_id: answer.ip_id,
        };
        // A reply whose own TTL runs out on the way back never arrives.
        if envelope.ttl == 0 {
            self.statistics.replies_lost += 1;
            return Vec::new();
        }
        let packet = match answer.body {
            Body::Error {
                message,
                quoting,
                extension,
            } => icmp::error(envelope, message, probe, &quoted, quoting, &extension),
            Body::EchoReply => icmp::echo_reply(envelope, probe, stop.arrived.tos),
            Body::Datagram => service_answer(envelope, probe),
            Body::Segment(reply) => tcp::build(envelope, &reply),
        };
        let at = reached_at + std::time::Duration::from_nanos(answer.delay + way.delay);
        self.statistics.answered += 1;
        let packets = answer.wrapping.wrap(packet, self.packets as u32);
        let mut deliveries = Vec::with_capacity(packets.len());
        if let Some(gap) = way.duplicate {
            self.statistics.duplicated += 1;
            let at = at + std::time::Duration::from_nanos(gap);
            let copies = packets.iter().cloned();
            deliveries.extend(copies.map(|packet| Delivery { at, packet }));
        }
        let packets = packets.into_iter();
        deliveries.extend(packets.map(|packet| Delivery { at, packet }));
        deliveries
    }

    fn answer<T: Topology>(
        &mut self,
        topology: &T,
        facts: &Properties,
        stop: &Stop,
        probe: &Packet,
        at: Time,
        dice: &mut Dice,
    ) -> Option<Answer> {
        match stop.who {
            Answerer::Router(node) => {
                // A router's properties may depend on the path. So the plan is that of the probe's destination on arrival.
                let plan = topology.plan(stop.arrived.destination);
                let router = topology.answering(node, &plan);
                use crate::lab::hash::Chance as _;
                if router.silent || dice.happens(router.answer_loss) {
                    self.statistics.silent += 1;
                    return None;
                }
                let owner = key(router.address);
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
                    ip_id: Some(ip_id(router.address, at)),
                    delay: router.delay,
                    wrapping: router.wrapping,
                    body: Body::Error {
                        message: stop.message,
                        quoting: router.quoting,
                        extension: extension::structure(
                            &labels_of(topology, stop),
                            topology.interfaces(node),
                        ),
                    },
                })
            }
            Answerer::Host => {
                let host = topology.host(stop.arrived.destination);
                let body = self.host_body(&host, facts, stop, probe, at)?;
                let address = stop.arrived.destination;
                Some(Answer {
                    source: host.answers_from.unwrap_or(address),
                    initial_ttl: host.initial_ttl,
                    ip_id: match body {
                        Body::Segment(_) => None,
                        _ => Some(ip_id(address, at)),
                    },
                    delay: 0,
                    // TCP segments get no headers and no fragments: the vantage point's kernel must recognise them to reset them.
                    wrapping: match body {
                        Body::Segment(_) => Wrapping::default(),
                        _ => host.wrapping,
                    },
                    body,
                })
            }
        }
    }

    /// Returns a host's answer, if it sends one.
    fn host_body(
        &mut self,
        host: &Host,
        facts: &Properties,
        stop: &Stop,
        probe: &Packet,
        at: Time,
    ) -> Option<Body> {
        let [_, port] = stop.arrived.ports;
        let verdict = host.verdict(probe.family(), probe.protocol(), port);
        if verdict == Verdict::Silence {
            self.statistics.silent += 1;
            return None;
        }
        let segment = (probe.protocol() == TCP).then(|| Segment::parse(probe));
        let sound = match segment {
            Some(segment) => segment.is_some(),
            None if probe.is_echo_request() => probe.is_sound_icmp(),
            None if probe.protocol() == UDP => probe.is_sound_udp(),
            // A host does not look into a protocol that it does not speak.
            None => matches!(verdict, Verdict::Error(_)),
        };
        if !sound {
            self.statistics.corrupt += 1;
            return None;
        }
        let address = stop.arrived.destination;
        match verdict {
            Verdict::Silence => None,
            Verdict::Echo => Some(Body::EchoReply),
            Verdict::Service => Some(Body::Datagram),
            Verdict::Error(message) => {
                let owner = 1 << 32 | key(address);
                if host.limit.is_some_and(|l| !self.buckets.take(owner, l, at)) {
                    self.statistics.rate_limited += 1;
                    return None;
                }
                Some(Body::Error {
                    message,
                    quoting: host.quoting,
                    extension: Vec::new(),
                })
            }
            Verdict::Tcp { listening } => {
                let segment = segment.flatten()?;
                let [vantage_port, host_port] = stop.arrived.ports;
                let ends = Ends {
                    host: address,
                    host_port,
                    vantage_port,
                };
                let isn = initial_sequence(facts.seed, ends, segment.sequence);
                let half_open = &mut self.half_open;
                let reply = tcp::answer(&segment, listening, ends, isn, half_open, at);
                if reply.is_none() {
                    self.statistics.absorbed += 1;
                }
                reply.map(Body::Segment)
            }
        }
    }
}

/// The initial sequence number of a connection at a host (RFC 6528, with the SYN's number in place of a clock).
fn initial_sequence(seed: u64, ends: Ends, theirs: u32) -> u32 {
    let ports = u64::from(ends.host_port) << 16 | u64::from(ends.vantage_port);
    mix2(mix2(seed, key(ends.host)), ports << 32 | u64::from(theirs)) as u32
}

/// The labels in the answer of the node at which a packet stopped, as the packet carried them.
pub(in crate::lab) fn labels_of<T: Topology>(topology: &T, stop: &Stop) -> Vec<MplsLabel> {
    let (Answerer::Router(node), Some(label_ttl)) = (stop.who, stop.label_ttl) else {
        return Vec::new();
    };
    let plan = topology.plan(stop.arrived.destination);
    let mut labels = topology.labels(node, &plan);
    let last = labels.len().saturating_sub(1);
    for (depth, label) in labels.iter_mut().enumerate() {
        // Only the TTL of the top label is decremented. The labels below keep what the ingress wrote.
        label.ttl = if depth == 0 {
            label_ttl
        } else {
            stop.arrived.ttl
        };
        label.bottom = depth == last;
    }
    labels
}

fn accept<'a>(bytes: &'a [u8], facts: &Properties) -> Result<Packet<'a>, Refusal> {
    let packet = Packet::parse(bytes)?;
    let vantage = facts.vantage_beside(packet.destination());
    if vantage != Some(packet.source()) || vantage == Some(packet.destination()) {
        return Err(Refusal::Address);
    }
    Ok(packet)
}

/// The fields of a probe as it leaves the vantage point.
fn flight_of(probe: &Packet) -> Flight {
    Flight {
        checksum: probe.checksum(),
        tos: probe.tos(),
        ip_id: probe.ip_id(),
        flow_label: probe.flow_label(),
        uncut_length: if probe.may_be_fragmented() {
            0
        } else {
            u16::try_from(probe.bytes().len()).unwrap_or(u16::MAX)
        },
        ..Flight::new(
            probe.source(),
            probe.destination(),
            probe.protocol(),
            probe.ports(),
            probe.ttl(),
        )
    }
}

/// IP IDs of a machine's own packets: a counter that advances by one each millisecond.
fn ip_id(address: IpAddr, at: Time) -> u16 {
    let start = mix(key(address));
    start.wrapping_add(at.as_nanos() / 1_000_000) as u16
}
