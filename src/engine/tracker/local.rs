//! ICMP errors from this host about probes that its kernel could not send.

use super::Settled;
use super::settling::{Live, Settler};
use crate::engine::core::Event;
use crate::engine::ledger::{Entry, State};
use crate::model::{HopRecord, Outcome, ProbeResult, Reply, ReplyKind, Status, UnsentReason};

/// A reply from this host about a probe to another host. It is no answer and shows no hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// The kernel accepted the probe, but could not send it for this reason.
    NotSent(UnsentReason),
    /// The reply says nothing reliable about the probe.
    Unclear,
}

/// Returns what a reply from this host says about the probe. Returns `None` if the reply is an answer.
///
/// `is_ours` says that the responder is an address of this host in the kernel's tables.
///
/// | responder | reply | result |
/// |---|---|---|
/// | the target, even if it is this host | any | `None` |
/// | an address of another host | any | `None` |
/// | the probe's source, or another address of this host | unreachable, quotes the TTL as sent or no TTL | `NotSent` |
/// | the probe's source, or another address of this host | unreachable, quotes a lower TTL | `None` |
/// | the probe's source | any other | `Unclear` |
/// | another address of this host | any other | `None` |
///
/// A lower TTL shows that a router forwarded the probe. That router can have an address of this host, because many networks use
/// the same private addresses.
pub(super) fn of(entry: &Entry, reply: &Reply, is_ours: bool) -> Option<Local> {
    let from_source = Some(reply.responder) == entry.source;
    if reply.responder == entry.probe.destination || !(from_source || is_ours) {
        return None;
    }
    let reason = match reply.kind {
        ReplyKind::HostUnreachable => UnsentReason::HostUnreachable,
        ReplyKind::NetworkUnreachable => UnsentReason::NoRoute,
        // From a tunnel on this host.
        ReplyKind::FragmentationNeeded | ReplyKind::PacketTooBig => UnsentReason::TooLarge,
        // From a firewall rule for outgoing packets.
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
    /// Records that the kernel accepted a probe but did not send it, for example because a neighbour did not answer.
    ///
    /// | the probe | effect |
    /// |---|---|
    /// | is pending | it ends as a send error |
    /// | timed out | the assembler puts the send error in the place of the `timeout` row, if the trace is still open |
    /// | was answered or refused | nothing changes |
    ///
    /// The error can arrive before the send call returns. It can also arrive after the timeout, because the kernel waits three
    /// seconds for a neighbour.
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
                // Other probes to this target will fail in the same way, so the strategy must know.
                out.outcomes
                    .push(Outcome::of(&live.entry.probe, ProbeResult::NotSent, true));
                // This is the probe's second row. The assembler decides which of the two remains.
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
