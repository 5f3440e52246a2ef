//! How the truth is computed.
//!
//! The truth uses the same forwarding code as the simulation. It sends one packet for each TTL, and for each choice of per-packet
//! balancers on the way. There is no loss, no jitter and no rate limit. The packets fit every line.

use std::net::IpAddr;
use std::time::Duration;

use super::{Truth, TruthAnswer, TruthEnd, TruthFlow, TruthHop, TruthKind, TruthOutcome};
use crate::lab::hash::Chance;
use crate::lab::hosts::Verdict;
use crate::lab::network::state::labels_of;
use crate::lab::network::{LabNetwork, NetworkKind, Properties};
use crate::lab::packet::message::Message;
use crate::lab::packet::{ICMP, ICMPV6};
use crate::lab::topology::flight::Flight;
use crate::lab::topology::walk::{Answerer, Fate, Trail, walk};
use crate::lab::topology::{Host, Topology};
use crate::model::Ttl;

/// The largest number of per-packet paths that are followed for one TTL. Further paths are left out.
const MOST_WAYS: usize = 1024;

impl LabNetwork {
    /// Returns the true path of `flow`, up to the TTL at which it ends, and at most to `max_ttl`.
    pub fn truth(&self, flow: TruthFlow, max_ttl: Ttl) -> Truth {
        let mut truth = self.truth_of_every_ttl(flow, max_ttl);
        if let TruthEnd::Reached(Ttl(end))
        | TruthEnd::SilentTarget(Ttl(end))
        | TruthEnd::Unreachable(Ttl(end)) = truth.end
        {
            truth.hops.truncate(usize::from(end));
        }
        truth
    }

    /// Returns what every TTL from 1 to `max_ttl` shows, including those beyond the path's end.
    pub fn truth_of_every_ttl(&self, flow: TruthFlow, max_ttl: Ttl) -> Truth {
        let hops: Vec<TruthHop> = (1..=max_ttl.0)
            .map(|ttl| TruthHop {
                ttl: Ttl(ttl),
                outcomes: match &self.kind {
                    NetworkKind::Declared(topology) => outcomes(topology, &self.facts, flow, ttl),
                    NetworkKind::Generated(topology) => outcomes(topology, &self.facts, flow, ttl),
                },
            })
            .collect();
        let end = hops.iter().find_map(end_at).unwrap_or(TruthEnd::Nowhere);
        Truth {
            vantage: self.start_of(flow),
            flow,
            hops,
            end,
        }
    }

    fn start_of(&self, flow: TruthFlow) -> IpAddr {
        let facts = &self.facts;
        facts
            .vantage_beside(flow.destination)
            .unwrap_or(facts.vantage_v4.into())
    }
}

/// How the path ends at this hop, if it does.
fn end_at(hop: &TruthHop) -> Option<TruthEnd> {
    hop.outcomes.iter().find_map(|outcome| match outcome {
        TruthOutcome::Answer(answer) if answer.is_target => Some(TruthEnd::Reached(hop.ttl)),
        TruthOutcome::Answer(answer) if !answer.lets_pass => Some(TruthEnd::Unreachable(hop.ttl)),
        TruthOutcome::Silence {
            is_target: true, ..
        } => Some(TruthEnd::SilentTarget(hop.ttl)),
        _ => None,
    })
}

/// Nothing random happens, and per-packet balancers take the branches in this list.
#[derive(Default)]
struct Script {
    choices: Vec<(usize, usize)>,
    next: usize,
}

impl Chance for Script {
    fn happens(&mut self, probability: f64) -> bool {
        // An event with probability 1 is a property of the network, and no accident.
        probability >= 1.0
    }

    fn span(&mut self, _most: u64) -> u64 {
        0
    }

    fn pick(&mut self, width: usize) -> usize {
        if self.next == self.choices.len() {
            self.choices.push((0, width));
        }
        let (choice, _) = self.choices[self.next];
        self.next += 1;
        choice
    }
}

impl Script {
    /// Goes on to the next path. Returns false when all were taken.
    fn advance(&mut self) -> bool {
        self.next = 0;
        while let Some((choice, width)) = self.choices.pop() {
            if choice + 1 < width {
                self.choices.push((choice + 1, width));
                return true;
            }
        }
        false
    }
}

fn outcomes<T: Topology>(
    topology: &T,
    facts: &Properties,
    flow: TruthFlow,
    ttl: u8,
) -> Vec<TruthOutcome> {
    let Some(vantage) = facts.vantage_beside(flow.destination) else {
        // The first router drops packets of a family that it does not have.
        return vec![TruthOutcome::Silence {
            at: facts.vantage_v4.into(),
            is_target: false,
        }];
    };
    let ports = [flow.source_port, flow.destination_port];
    let flight = Flight {
        // Balancers look at no other transport checksum.
        checksum: matches!(flow.protocol, ICMP | ICMPV6).then_some(flow.destination_port),
        flow_label: flow.flow_label.unwrap_or(0),
        ..Flight::new(vantage, flow.destination, flow.protocol, ports, ttl)
    };
    let mut found: Vec<TruthOutcome> = Vec::new();
    let mut script = Script::default();
    let mut trail = Trail::default();
    for _ in 0..MOST_WAYS {
        let outcome = outcome(topology, flight, &mut script, &mut trail);
        if !found.contains(&outcome) {
            found.push(outcome);
        }
        if !script.advance() {
            break;
        }
    }
    found
}

fn outcome<T: Topology>(
    topology: &T,
    flight: Flight,
    script: &mut Script,
    trail: &mut Trail,
) -> TruthOutcome {
    let plan = topology.plan(flight.destination);
    let silence = |at, is_target| TruthOutcome::Silence { at, is_target };
    let stop = match walk(topology, flight, script, trail) {
        Fate::Stopped(stop) => stop,
        Fate::Discarded(node) => return silence(topology.answering(node, &plan).address, false),
        // A line that loses everything. The last visible router is the one before it.
        Fate::Lost => {
            let last = trail.last_router();
            let at = last.map_or(flight.source, |node| {
                topology.answering(node, &plan).address
            });
            return silence(at, false);
        }
    };
    let is_target = stop.who == Answerer::Host;
    let (mut source, answer, initial_ttl, delay) = match stop.who {
        Answerer::Router(node) => {
            let plan = topology.plan(stop.arrived.destination);
            let router = topology.answering(node, &plan);
            if router.silent || script.happens(router.answer_loss) {
                return silence(router.address, false);
            }
            let says = icmp(stop.message);
            (router.address, says, router.initial_ttl, router.delay)
        }
        Answerer::Host => {
            let host = topology.host(stop.arrived.destination);
            let Some(answer) = host_answer(&host, &stop.arrived) else {
                return silence(flight.destination, true);
            };
            let address = host.answers_from.unwrap_or(stop.arrived.destination);
            (address, answer, host.initial_ttl, 0)
        }
    };
    let Some(way) = trail.way_back(stop.who, script) else {
        return silence(source, is_target);
    };
    let mut quoted = stop.arrived;
    trail.restore(stop.who, &mut quoted, &mut source);
    let routers = u8::try_from(trail.routers_back(stop.who)).unwrap_or(u8::MAX);
    let reply_ttl = initial_ttl.saturating_sub(routers);
    if reply_ttl == 0 {
        return silence(source, is_target);
    }
    let quotes = matches!(answer, TruthKind::Icmp { .. });
    TruthOutcome::Answer(TruthAnswer {
        responder: source,
        is_target,
        lets_pass: stop.lets_pass,
        rtt: Duration::from_nanos(trail.elapsed + delay + way.delay),
        answer,
        reply_ttl,
        quoted_ttl: quotes.then_some(quoted.ttl),
        quoted_source: quotes.then_some(quoted.source),
        quoted_destination: quotes.then_some(quoted.destination),
        mpls: labels_of(topology, &stop),
        interfaces: match stop.who {
            Answerer::Router(node) => topology.interfaces(node).to_vec(),
            Answerer::Host => Vec::new(),
        },
    })
}

/// A host's answer to a packet. `None` if it is silent.
fn host_answer(host: &Host, arrived: &Flight) -> Option<TruthKind> {
    match host.verdict(arrived.family(), arrived.protocol, arrived.ports[1]) {
        Verdict::Silence => None,
        Verdict::Error(message) => Some(icmp(message)),
        Verdict::Echo => Some(TruthKind::EchoReply),
        Verdict::Service => Some(TruthKind::Udp),
        Verdict::Tcp { listening: true } => Some(TruthKind::SynAck),
        Verdict::Tcp { listening: false } => Some(TruthKind::Rst),
    }
}

fn icmp(message: Message) -> TruthKind {
    TruthKind::Icmp {
        icmp_type: message.icmp_type,
        code: message.code,
    }
}
