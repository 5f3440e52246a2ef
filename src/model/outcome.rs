//! The result of a probe as strategies see it, and the ends of traces as strategies report them.

use std::net::IpAddr;

use super::{FlowId, Purpose, ReplyKind, StopReason, TargetId, Time, Ttl};

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
    /// How it ended.
    pub result: ProbeResult,
    /// Whether an earlier outcome reported the same probe, as silent or as answered. For a reply to one of several probes: whether none of
    /// them is pending.
    pub late: bool,
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
}

/// A trace that its strategy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceEnd {
    /// The target.
    pub target: TargetId,
    /// The flow.
    pub flow: FlowId,
    /// The address probed.
    pub destination: IpAddr,
    /// When its first probe was asked for.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Time,
    /// The reason.
    pub stop_reason: StopReason,
    /// The lowest TTL at which the target answered, if the TTL before it was probed and did not reach it.
    pub path_length: Option<Ttl>,
    /// The last TTL of the path, as far as known: the target, the unreachable, or the start of a loop. Otherwise it is the last TTL that
    /// answered. Probes with higher TTLs do not belong to the path.
    pub last_ttl: Option<Ttl>,
    /// The largest size in bytes that passed to there, if it was searched.
    pub path_mtu: Option<u16>,
}
