//! What a network would show of a path if nothing went missing: the measure of every dataset.
//!
//! Truth walks the same forwarding code as the answers do, once for each TTL (and each choice of per-packet balancers on
//! the way), without loss, jitter or rate limits.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::hash::Chance;
use super::network::{Kind, LabNetwork, labels_of};
use super::packet::{ICMP, UDP};
use super::topology::Topology;
use super::walk::{Answerer, Fate, Flight, Trail, walk};
use crate::model::{MplsLabel, ReplyKind, Ttl};

/// Ways that per-packet balancers are followed for one TTL; more are left out.
const MOST_WAYS: usize = 1024;

/// What every probe of a flow has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruthFlow {
    /// The address probed.
    pub destination: Ipv4Addr,
    /// Source port; for ICMP echo the type and code: 0x0800.
    pub source_port: u16,
    /// Destination port; for ICMP echo the checksum.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
}

impl TruthFlow {
    /// A UDP flow.
    pub const fn udp(destination: Ipv4Addr, source_port: u16, destination_port: u16) -> Self {
        TruthFlow {
            destination,
            source_port,
            destination_port,
            protocol: UDP,
        }
    }
}

/// The true path of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Where it starts.
    pub vantage: Ipv4Addr,
    /// Whose path it is.
    pub flow: TruthFlow,
    /// What each TTL shows, from TTL 1 on without a gap.
    pub hops: Vec<TruthHop>,
    /// How the path ends.
    pub end: TruthEnd,
}

/// What a probe with one TTL shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthHop {
    /// The TTL it is sent with.
    pub ttl: Ttl,
    /// What may happen: one outcome, or several different ones behind per-packet balancers.
    pub outcomes: Vec<TruthOutcome>,
}

/// What happens to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TruthOutcome {
    /// Somebody answers.
    Answer(TruthAnswer),
    /// Nobody does, and here is where it ended.
    Silence {
        /// The router or target that says nothing.
        at: Ipv4Addr,
        /// Whether it is the target.
        is_target: bool,
    },
}

/// An answer as it arrives at the vantage point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthAnswer {
    /// Who sent it.
    pub responder: Ipv4Addr,
    /// Whether that is the target.
    pub is_target: bool,
    /// There and back, without jitter.
    pub rtt: Duration,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// The answer's own TTL on arrival.
    pub reply_ttl: u8,
    /// TTL in the quoted probe; `None` for an echo reply, which quotes nothing.
    pub quoted_ttl: Option<u8>,
    /// Source address in the quoted probe.
    pub quoted_source: Option<Ipv4Addr>,
    /// Destination address in the quoted probe.
    pub quoted_destination: Option<Ipv4Addr>,
    /// MPLS labels that it shows, top first.
    pub mpls: Vec<MplsLabel>,
}

impl TruthAnswer {
    /// What it says; `None` for an echo reply.
    pub fn kind(&self) -> Option<ReplyKind> {
        ReplyKind::of_icmpv4(self.icmp_type, self.icmp_code)
    }
}

/// How a path ends. The TTL is the smallest that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruthEnd {
    /// The target answers.
    Reached(Ttl),
    /// Probes arrive at a target that says nothing.
    SilentTarget(Ttl),
    /// A router says that it cannot go on.
    Unreachable(Ttl),
    /// Routers throw probes away, or pass them to and fro for good, up to the last TTL asked for.
    Nowhere,
}

impl TruthHop {
    /// The answer, where exactly one thing can happen and it is an answer.
    pub fn answer(&self) -> Option<&TruthAnswer> {
        match self.outcomes.as_slice() {
            [TruthOutcome::Answer(answer)] => Some(answer),
            _ => None,
        }
    }

    /// Who answers, where that is certain; `None` for silence and for per-packet balancers with several answers.
    pub fn responder(&self) -> Option<Ipv4Addr> {
        self.answer().map(|answer| answer.responder)
    }

    /// Everyone who may answer.
    pub fn candidates(&self) -> impl Iterator<Item = &TruthAnswer> {
        self.outcomes.iter().filter_map(|outcome| match outcome {
            TruthOutcome::Answer(answer) => Some(answer),
            TruthOutcome::Silence { .. } => None,
        })
    }

    /// Whether nobody answers.
    pub fn is_silent(&self) -> bool {
        self.candidates().next().is_none()
    }
}

impl Truth {
    /// Whether the target answers.
    pub fn reached(&self) -> bool {
        matches!(self.end, TruthEnd::Reached(_))
    }

    /// The distance of the target, if probes reach it.
    pub fn path_length(&self) -> Option<Ttl> {
        match self.end {
            TruthEnd::Reached(ttl) | TruthEnd::SilentTarget(ttl) => Some(ttl),
            TruthEnd::Unreachable(_) | TruthEnd::Nowhere => None,
        }
    }

    /// What `ttl` shows, if it was asked for.
    pub fn hop(&self, ttl: Ttl) -> Option<&TruthHop> {
        self.hops.get(usize::from(ttl.0).checked_sub(1)?)
    }
}

impl LabNetwork {
    /// The true path of `flow`, up to the TTL at which it ends, and at most `max_ttl`.
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

    /// What every TTL from 1 to `max_ttl` shows, also beyond the path's end.
    pub fn truth_of_every_ttl(&self, flow: TruthFlow, max_ttl: Ttl) -> Truth {
        let hops: Vec<TruthHop> = (1..=max_ttl.0)
            .map(|ttl| TruthHop {
                ttl: Ttl(ttl),
                outcomes: match &self.kind {
                    Kind::Declared(topology) => outcomes(topology, self.vantage(), flow, ttl),
                    Kind::Generated(topology) => outcomes(topology, self.vantage(), flow, ttl),
                },
            })
            .collect();
        let end = hops.iter().find_map(end_at).unwrap_or(TruthEnd::Nowhere);
        Truth {
            vantage: self.vantage(),
            flow,
            hops,
            end,
        }
    }
}

/// How the path ends at this hop, if it does.
fn end_at(hop: &TruthHop) -> Option<TruthEnd> {
    hop.outcomes.iter().find_map(|outcome| match outcome {
        TruthOutcome::Answer(answer) if answer.is_target => Some(TruthEnd::Reached(hop.ttl)),
        TruthOutcome::Answer(answer) if answer.icmp_type == 3 => {
            Some(TruthEnd::Unreachable(hop.ttl))
        }
        TruthOutcome::Silence {
            is_target: true, ..
        } => Some(TruthEnd::SilentTarget(hop.ttl)),
        _ => None,
    })
}

/// No accidents, and per-packet balancers that take the branches written down.
#[derive(Default)]
struct Script {
    choices: Vec<(usize, usize)>,
    next: usize,
}

impl Chance for Script {
    fn happens(&mut self, probability: f64) -> bool {
        // What always happens is no accident but how the network is.
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
    /// Turns to the next way; false when all have been taken.
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
    vantage: Ipv4Addr,
    flow: TruthFlow,
    ttl: u8,
) -> Vec<TruthOutcome> {
    let ports = [flow.source_port, flow.destination_port];
    let mut found: Vec<TruthOutcome> = Vec::new();
    let mut script = Script::default();
    let mut trail = Trail::default();
    for _ in 0..MOST_WAYS {
        let flight = Flight::new(vantage, flow.destination, flow.protocol, ports, ttl);
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
        // A line that loses everything: the last that is heard of is the router before it.
        Fate::Lost => {
            let last = trail.last_router();
            let at = last.map_or(flight.source, |node| {
                topology.answering(node, &plan).address
            });
            return silence(at, false);
        }
    };
    let is_target = stop.who == Answerer::Host;
    let (mut source, icmp, initial_ttl, delay) = match stop.who {
        Answerer::Router(node) => {
            let plan = topology.plan(stop.arrived.destination);
            let router = topology.answering(node, &plan);
            if router.silent || script.happens(router.answer_loss) {
                return silence(router.address, false);
            }
            (router.address, stop.icmp, router.initial_ttl, router.delay)
        }
        Answerer::Host => {
            let host = topology.host(stop.arrived.destination);
            let icmp = match (host.code, flight.protocol) {
                (Some(_), ICMP) => (0, 0),
                (Some(code), UDP) => (3, code),
                _ => return silence(flight.destination, true),
            };
            (stop.arrived.destination, icmp, host.initial_ttl, 0)
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
    let quotes = icmp.0 != 0;
    TruthOutcome::Answer(TruthAnswer {
        responder: source,
        is_target,
        rtt: Duration::from_nanos(trail.elapsed + delay + way.delay),
        icmp_type: icmp.0,
        icmp_code: icmp.1,
        reply_ttl,
        quoted_ttl: quotes.then_some(quoted.ttl),
        quoted_source: quotes.then_some(quoted.source),
        quoted_destination: quotes.then_some(quoted.destination),
        mpls: labels_of(topology, &stop),
    })
}
