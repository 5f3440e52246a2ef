//! What became of a probe, as a strategy learns it.

use std::net::IpAddr;

use super::{FlowId, Probe, Purpose, ReplyKind, TargetId, Ttl};

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
    /// The round it was sent in.
    pub round: u16,
    /// How it ended.
    pub result: ProbeResult,
    /// Whether the same probe was already told of, as silent or as answered; of an answer to one of several, whether none of
    /// them waits any more.
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
    /// A limit held it back for longer than it may wait, so it was never sent. That tells nothing of the path.
    Skipped,
}
