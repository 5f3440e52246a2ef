//! What our own kernel says of a probe that it could not send.

use super::Settled;
use super::settling::{Live, Settler};
use crate::engine::core::Event;
use crate::engine::ledger::{Entry, State};
use crate::model::{HopRecord, Outcome, ProbeResult, Reply, ReplyKind, Status, UnsentReason};

/// A packet of this host about a probe to another one: no answer, and no hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// The kernel took the probe and gave it up: why.
    NotSent(UnsentReason),
    /// It says nothing that can be relied on.
    Unclear,
}

/// What `reply` is if it comes from this host, and not from the target (which may be this host). `is_ours`: the responder is an
/// address of this host, by the kernel's tables.
///
/// | the responder | and the reply | is |
/// |---|---|---|
/// | the probe's source, or another address of ours | an unreachable that quotes the TTL as it was sent, or no TTL | our kernel's: the probe was not sent |
/// | the same | an unreachable that quotes a lower TTL | an answer: the probe was on the way. Private addresses are used twice |
/// | the probe's source | anything else | unclear |
/// | another address of ours | anything else | an answer, as above |
pub(super) fn of(entry: &Entry, reply: &Reply, is_ours: bool) -> Option<Local> {
    let from_source = Some(reply.responder) == entry.source;
    if reply.responder == entry.probe.destination || !(from_source || is_ours) {
        return None;
    }
    let reason = match reply.kind {
        ReplyKind::HostUnreachable => UnsentReason::HostUnreachable,
        ReplyKind::NetworkUnreachable => UnsentReason::NoRoute,
        // Of a tunnel on this host.
        ReplyKind::FragmentationNeeded | ReplyKind::PacketTooBig => UnsentReason::TooLarge,
        // What rules for output reject with.
        kind if kind.is_unreachable() => UnsentReason::Firewall,
        _ => return from_source.then_some(Local::Unclear),
    };
    let quoted = reply.quoted.as_ref().and_then(|quoted| quoted.ttl);
    match quoted {
        Some(ttl) if ttl < entry.probe.ttl.0 => None,
        _ => Some(Local::NotSent(reason)),
    }
}

impl Settler {
    /// Our own kernel took a packet and gave it up later (no neighbour, say): it was not sent. That may be told before the call
    /// that sent it returns, or after the timeout: the kernel asks for a neighbour for three seconds. The `timeout` row then
    /// gives way while its trace is open, as for a late reply. A probe that was answered stays as it is.
    pub fn note_local(&mut self, live: Live<'_>, local: Local, out: &mut Settled) {
        let Local::NotSent(reason) = local else {
            return;
        };
        match live.entry.state {
            State::Unstamped | State::Waiting => {
                live.entry.state = State::Refused;
                self.refused(live, reason, out);
            }
            State::TimedOut => {
                live.entry.state = State::Refused;
                // Whatever else is sent to this target will come to the same end.
                out.outcomes
                    .push(Outcome::of(&live.entry.probe, ProbeResult::NotSent, true));
                // Not the probe's first row; the assembler settles which of the two remains.
                let row = self.unsent_row(&live, Status::SendError, Some(reason));
                out.events.push_back(Event::Row(HopRecord {
                    reply_index: 1,
                    ..row
                }));
            }
            State::Answered | State::Refused => {}
        }
    }
}
