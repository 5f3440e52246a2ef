//! Finds the probe that a target answers without quoting it: echo replies, TCP segments, UDP datagrams.
//!
//! Some targets answer from another address than the one probed. An answer that repeats the tag (echo replies, datagrams) is
//! known wherever it comes from. A TCP segment repeats 32 secret bits and no more, and any live probe of the flow could be the
//! one: from another address only probes that wait for their answer are looked at, and only the kinds that hosts answer with. A
//! stray segment with the right ports is then taken for an answer with a chance of 2^-32 for each probe that waits.

use std::net::IpAddr;

use crate::model::{
    DiscardReason, Echoed, Evidence, FlowId, ProbeId, Protocol, Reply, ReplyKind, Ttl,
};
use crate::wire::{echo, tcp};

use super::{Finding, Match, copies};
use crate::engine::format::ProbeFormat;
use crate::engine::ledger::{AnswerMark, Entry, Ledger, State};

/// Finds the probe that `reply` answers with `echoed`.
pub(super) fn find(
    ledger: &Ledger,
    format: &ProbeFormat,
    reply: &Reply,
    echoed: &Echoed,
) -> Finding {
    let lookup = Lookup {
        ledger,
        format,
        responder: reply.responder,
    };
    match (format.protocol, *echoed) {
        (
            Protocol::Icmp,
            Echoed::Echo {
                identifier,
                sequence,
                tag,
                serial,
            },
        ) => lookup.echo(identifier, sequence, tag, serial),
        (
            Protocol::Tcp,
            Echoed::Tcp {
                src_port,
                dst_port,
                flags,
                sequence,
                acknowledgement,
            },
        ) => {
            let answered =
                tcp::answered_sequences(format.tcp_flags, flags, sequence, acknowledgement);
            lookup.tcp(reply, (src_port, dst_port), answered)
        }
        (
            Protocol::Udp,
            Echoed::Udp {
                src_port,
                dst_port,
                tag,
                serial,
            },
        ) => lookup.udp(reply, (src_port, dst_port), tag, serial),
        _ => Finding::refused(DiscardReason::OtherType),
    }
}

/// Whether a TCP answer that comes from another address than `entry`'s destination may be meant for it: while it waits, or as a
/// copy of the answer that it has had.
fn may_come_from_elsewhere(entry: &Entry, reply: &Reply) -> bool {
    let answers = matches!(reply.kind, ReplyKind::SynAck | ReplyKind::Rst);
    answers
        && match entry.state {
            State::Unstamped | State::Waiting => true,
            State::Answered => entry.answer == Some(AnswerMark::of(reply)),
            State::TimedOut | State::Refused => false,
        }
}

struct Lookup<'a> {
    ledger: &'a Ledger,
    format: &'a ProbeFormat,
    responder: IpAddr,
}

impl Lookup<'_> {
    /// An echo reply repeats the whole payload: its tag is decisive. From another address than the probed one, or with another
    /// identifier, it is recorded as what it is.
    fn echo(
        &self,
        identifier: u16,
        sequence: u16,
        tag: Option<u64>,
        serial: Option<u16>,
    ) -> Finding {
        let flow = self.format.flow_of(identifier);
        if let Some((probe, entry)) = self.by_tag(tag, serial) {
            let sent = &entry.probe;
            let as_sent = sent.destination == self.responder
                && flow == Some(sent.flow)
                && sequence == echo::sequence(sent.ttl, &entry.marks);
            let evidence = if as_sent {
                Evidence::Full
            } else {
                Evidence::Rewritten
            };
            return Finding::found(probe, evidence);
        }
        let ttl = echo::ttl_of_sequence(sequence);
        self.nothing(flow, ttl.into_iter())
    }

    /// A TCP answer repeats the sequence number, all of which is keyed; nothing less will do.
    fn tcp(
        &self,
        reply: &Reply,
        (src_port, dst_port): (u16, u16),
        answered: impl Iterator<Item = u32>,
    ) -> Finding {
        let Some(flow) = self.format.flow_of(dst_port) else {
            return Finding::refused(DiscardReason::Foreign);
        };
        let mut answered = answered.peekable();
        if answered.peek().is_none() {
            return Finding::refused(DiscardReason::OtherType);
        }
        let mut elsewhere = None;
        let found = answered.find_map(|sequence| {
            let fitting = self
                .ledger
                .with_serial(tcp::serial_of(sequence))
                .filter(|(_, entry)| {
                    tcp::sequence(entry.serial, entry.marks.check) == sequence
                        && entry.probe.flow == flow
                        && self.format.dst_port(entry.probe.ttl) == src_port
                });
            let mut fitting = fitting.filter(|(probe, entry)| {
                let here = self.is_flow(entry, flow);
                if !here && elsewhere.is_none() && may_come_from_elsewhere(entry, reply) {
                    elsewhere = Some(*probe);
                }
                here
            });
            fitting.next()
        });
        match (found, elsewhere) {
            (Some((probe, _)), _) => Finding::found(probe, Evidence::Full),
            (None, Some(probe)) => Finding::found(probe, Evidence::Rewritten),
            (None, None) => self.nothing(Some(flow), std::iter::once(Ttl(0))),
        }
    }

    /// A UDP answer need not repeat anything. Where it does not, it answers the one probe of the flow that waits; where several
    /// wait, it is credited to the trace.
    fn udp(
        &self,
        reply: &Reply,
        (src_port, dst_port): (u16, u16),
        tag: Option<u64>,
        serial: Option<u16>,
    ) -> Finding {
        let Some(flow) = self.format.flow_of(dst_port) else {
            return Finding::refused(DiscardReason::Foreign);
        };
        if let Some((probe, entry)) = self
            .by_tag(tag, serial)
            .filter(|(_, entry)| entry.probe.flow == flow)
        {
            let evidence = match self.is_flow(entry, flow) {
                true => Evidence::Full,
                false => Evidence::Rewritten,
            };
            return Finding::found(probe, evidence);
        }
        let live: Vec<(ProbeId, &Entry)> = self
            .live(flow)
            .filter(|(_, entry)| self.format.dst_port(entry.probe.ttl) == src_port)
            // What was not sent is not answered.
            .filter(|(_, entry)| entry.state != State::Refused)
            .collect();
        let mut waiting = live
            .iter()
            .filter(|(_, entry)| matches!(entry.state, State::Unstamped | State::Waiting));
        let (first, second) = (waiting.next(), waiting.next());
        let waits = first.map(|(_, entry)| *entry);
        let copied = copies::answered_before(self.format, reply, waits, live.iter().copied());
        let credited = match (copied, first, second) {
            (Some(probe), _, _) => Some((probe, true)),
            (None, Some((probe, _)), None) => Some((*probe, true)),
            (None, Some((probe, _)), Some(_)) => Some((*probe, false)),
            (None, None, _) => live.first().map(|(probe, _)| (*probe, live.len() == 1)),
        };
        match credited {
            Some((probe, hop_known)) => Finding {
                result: Ok(Match {
                    probe,
                    evidence: Evidence::Weak,
                    hop_known,
                }),
                weak_candidates: 0,
            },
            None => Finding::refused(DiscardReason::Unknown),
        }
    }

    fn by_tag(&self, tag: Option<u64>, serial: Option<u16>) -> Option<(ProbeId, &Entry)> {
        let (tag, serial) = (tag?, serial?);
        self.ledger
            .with_serial(serial)
            .find(|(_, entry)| entry.marks.tag == tag)
    }

    fn is_flow(&self, entry: &Entry, flow: FlowId) -> bool {
        entry.probe.destination == self.responder && entry.probe.flow == flow
    }

    /// The live probes of a flow towards the responder, newest first within a TTL.
    fn live(&self, flow: FlowId) -> impl Iterator<Item = (ProbeId, &Entry)> {
        let ttls = match self.format.shows_ttl() {
            true => 1..=u8::MAX,
            false => 0..=0,
        };
        ttls.flat_map(move |ttl| {
            let ttl = (ttl > 0).then_some(Ttl(ttl));
            self.ledger.with_facts(self.responder, flow, ttl)
        })
    }

    /// Why there is no match: whether any probe with the open facts is live. A TTL of 0 stands for none shown.
    fn nothing(&self, flow: Option<FlowId>, mut ttls: impl Iterator<Item = Ttl>) -> Finding {
        let Some(flow) = flow else {
            return Finding::refused(DiscardReason::Foreign);
        };
        let live = ttls.any(|ttl| {
            let ttl = (ttl.0 > 0).then_some(ttl);
            self.ledger
                .with_facts(self.responder, flow, ttl)
                .next()
                .is_some()
        });
        Finding::refused(match live {
            true => DiscardReason::Forged,
            false => DiscardReason::Unknown,
        })
    }
}
