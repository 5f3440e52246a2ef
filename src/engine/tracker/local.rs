//! What our own kernel says of a probe that it could not send.

use crate::engine::ledger::Entry;
use crate::model::{Reply, ReplyKind, UnsentReason};

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
