//! The result of a probe, as a strategy learns it.

use std::net::IpAddr;

use super::{FlowId, Probe, Purpose, ReplyKind, TargetId, Ttl};

/// The result of one probe, which goes back to the strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The target probed.
    pub target: TargetId,
    /// The flow.
    pub flow: FlowId,
    /// The TTL sent.
    pub ttl: Ttl,
    /// The attempt, from 1.
    pub attempt: u8,
    /// Why it was sent.
    pub purpose: Purpose,
    /// Its size in bytes, if the strategy chose it.
    pub size: Option<u16>,
    /// The round it was sent in.
    pub round: u16,
    /// How it ended.
    pub result: ProbeResult,
    /// Whether an earlier outcome reported the same probe, as silent or as answered. For a reply to one of several probes: whether none of
    /// them is pending.
    pub late: bool,
}

impl Outcome {
    /// The outcome `result` of `probe`.
    pub fn of(probe: &Probe, result: ProbeResult, late: bool) -> Self {
        Outcome {
            target: probe.target,
            flow: probe.flow,
            ttl: probe.ttl,
            attempt: probe.attempt,
            purpose: probe.purpose,
            size: probe.size,
            round: probe.round,
            result,
            late,
        }
    }
}

/// The result of a probe, as far as strategies need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// A reply came.
    Answered {
        /// The responder.
        responder: IpAddr,
        /// The kind of reply.
        kind: ReplyKind,
        /// The quoted TTL, if the reply quotes one.
        quoted_ttl: Option<u8>,
        /// The reply's own TTL on arrival, if known.
        reply_ttl: Option<u8>,
        /// The MTU of the next line in bytes, if the reply says that the probe was too large for it.
        next_hop_mtu: Option<u32>,
        /// Whether the responder is the address probed.
        from_target: bool,
    },
    /// The target answered one of the flow's probes, and it is not known which. This outcome does not end the probe: another outcome will.
    OneOfSeveral,
    /// No reply came within the timeout.
    Silent,
    /// The kernel refused it.
    NotSent,
    /// The kernel refused it as too large for the interface.
    TooLarge,
    /// A limit held it back for too long, so it was never sent. That says nothing about the path.
    Skipped,
}
