//! What became of a probe, as strategies see it; and what strategies say of their traces.

use std::net::IpAddr;

use super::{FlowId, Purpose, ReplyKind, StopReason, TargetId, Time, Ttl};

/// The backward edge: what became of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The target probed.
    pub target: TargetId,
    /// The flow.
    pub flow: FlowId,
    /// The TTL sent.
    pub ttl: Ttl,
    /// Which attempt.
    pub attempt: u8,
    /// Why it was sent.
    pub purpose: Purpose,
    /// Its size, where it was the strategy's choice, bytes.
    pub size: Option<u16>,
    /// How it ended.
    pub result: ProbeResult,
    /// Whether the same probe was already told of, as silent or as answered; of an answer to one of several, whether none of
    /// them waits any more.
    pub late: bool,
}

/// How a probe ended, as far as a strategy needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// Somebody answered.
    Answered {
        /// Who.
        responder: IpAddr,
        /// What it said.
        kind: ReplyKind,
        /// The quoted TTL, where the reply quotes one.
        quoted_ttl: Option<u8>,
        /// The reply's own TTL on arrival, where it is known.
        reply_ttl: Option<u8>,
        /// What the next line takes, where the reply says that the probe was too large for it, bytes.
        next_hop_mtu: Option<u32>,
        /// Whether the responder is the address probed.
        from_target: bool,
    },
    /// The target answered one of the flow's probes, this one or another, and nothing tells which. No probe ends with it: how
    /// this one ends is told besides.
    OneOfSeveral,
    /// Nobody answered within the timeout.
    Silent,
    /// The kernel refused it.
    NotSent,
    /// The kernel refused it as too large for the interface.
    TooLarge,
}

/// A trace that its strategy has ended.
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
    /// Why.
    pub stop_reason: StopReason,
    /// The lowest TTL at which the target answered, where the TTL before it was probed and did not reach it.
    pub path_length: Option<Ttl>,
    /// Where the path ends as far as it is known: at the target, at the unreachable, or where an address came back for good; else
    /// at the last TTL that answered. What was probed beyond is no part of the path.
    pub last_ttl: Option<Ttl>,
    /// The largest size that came through to there, where it was looked for, bytes.
    pub path_mtu: Option<u16>,
}
