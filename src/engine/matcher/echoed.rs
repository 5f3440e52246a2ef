//! Finds the probe that a target answers without quoting it: echo replies, TCP segments, UDP datagrams.
//!
//! Some targets answer from another address than the one probed:
//!
//! - An answer that repeats the tag (echo reply, datagram) is matched from any address.
//! - A TCP segment repeats only 32 secret bits. From another address, only SYN-ACK and RST segments are matched. The probe must
//!   be pending, or must already have had this answer. A stray segment with the right ports is matched with a chance of 2^-32
//!   for each such probe.

use std::net::IpAddr;

use crate::model::{DiscardReason, Echoed, Evidence, FlowId, ProbeId, Reply, Ttl};
use crate::wire::protocol::{Answer, Secret};

use super::{Finding, Match, copies};
use crate::engine::format::{AnsweredFlow, ProbeFormat};
use crate::engine::ledger::{AnswerMark, Entry, Ledger, State};

/// Finds the probe that `reply` answers. `echoed` is what the reply repeats of the probe.
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
    match format.protocol.answer(format, echoed) {
        Ok(answer) => lookup.find(reply, &answer),
        Err(reason) => Finding::refused(reason),
    }
}

/// Whether `entry` accepts an answer from another address than its destination that repeats few secret bits. A pending probe
/// does. An answered probe accepts only a copy of its answer.
fn may_come_from_elsewhere(entry: &Entry, reply: &Reply) -> bool {
    match entry.state {
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
    /// Prefers the probe that the answer proves. Without a proof, an answer that need not repeat anything is a weak match.
    fn find(&self, reply: &Reply, answer: &Answer) -> Finding {
        if let Some((probe, evidence)) = self.by_proof(reply, answer) {
            return Finding::found(probe, evidence);
        }
        match (answer.flow, answer.weak_from_port) {
            (AnsweredFlow::Known(flow), Some(port)) => self.weak(reply, flow, port),
            _ => self.nothing(answer),
        }
    }

    /// Returns the probe whose secrets the answer repeats. The first probe with full evidence, or with the repeated tag, is
    /// returned. Otherwise returns the first probe that accepts the answer from another address.
    fn by_proof(&self, reply: &Reply, answer: &Answer) -> Option<(ProbeId, Evidence)> {
        let mut elsewhere = None;
        for proof in answer.proofs.iter().flatten() {
            let proven = self
                .ledger
                .with_serial(proof.serial)
                .filter(|(_, entry)| proof.holds(&entry.marks));
            for (probe, entry) in proven {
                let evidence = entry.marked().and_then(|sent| {
                    let protocol = self.format.protocol;
                    protocol.answer_evidence(self.format, reply, &sent)
                });
                match (evidence, proof.secret) {
                    (None, _) => {}
                    (Some(evidence @ Evidence::Full), _) | (Some(evidence), Secret::Tag(_)) => {
                        return Some((probe, evidence));
                    }
                    (Some(evidence), Secret::Check(_)) => {
                        if elsewhere.is_none() && may_come_from_elsewhere(entry, reply) {
                            elsewhere = Some((probe, evidence));
                        }
                    }
                }
            }
        }
        elsewhere
    }

    /// Matches an answer that repeats nothing to a live probe of the flow:
    ///
    /// | case | match |
    /// |---|---|
    /// | a copy of an earlier answer | the probe that had the answer |
    /// | one probe is pending | that probe |
    /// | several are pending | one of them, hop not known: the reply is credited to the trace |
    /// | no probe is pending, one is live | that probe |
    /// | no probe is pending, several are live | one of them, hop not known |
    fn weak(&self, reply: &Reply, flow: FlowId, from_port: u16) -> Finding {
        let live: Vec<(ProbeId, &Entry)> = self
            .live(flow)
            .filter(|(_, entry)| self.format.dst_port(flow, entry.probe.ttl) == from_port)
            // A probe that was not sent has no answer.
            .filter(|(_, entry)| entry.state != State::Refused)
            .collect();
        let mut pending = live
            .iter()
            .filter(|(_, entry)| matches!(entry.state, State::Unstamped | State::Waiting));
        let (first, second) = (pending.next(), pending.next());
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

    /// The live probes of a flow to the responder. They are ordered by TTL, and newest first within a TTL.
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

    /// Returns the reason for the discard. `Forged` means that a probe with the open facts is live.
    fn nothing(&self, answer: &Answer) -> Finding {
        let flow = match answer.flow {
            AnsweredFlow::Known(flow) => flow,
            // It may answer any probe of these flows.
            AnsweredFlow::Unknown => return Finding::refused(DiscardReason::Ambiguous),
            AnsweredFlow::Foreign => return Finding::refused(DiscardReason::Foreign),
        };
        let is_live = |ttl| {
            let mut live = self.ledger.with_facts(self.responder, flow, ttl);
            live.next().is_some()
        };
        Finding::refused(match (self.format.shows_ttl(), answer.ttl) {
            (true, Some(ttl)) if is_live(Some(ttl)) => DiscardReason::Forged,
            (false, _) if is_live(None) => DiscardReason::Forged,
            _ => DiscardReason::Unknown,
        })
    }
}
