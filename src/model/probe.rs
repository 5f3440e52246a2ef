//! A probe: what is sent, and why.

use std::net::IpAddr;

use serde::Serialize;

use super::{FlowId, TargetId, Ttl};

/// The transport protocol of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// UDP datagrams to a port where nothing should listen.
    Udp,
}

impl Protocol {
    /// The name that datasets and options use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Udp => "udp",
        }
    }
}

/// Why a probe is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Sent at the maximum TTL to learn how far the target is.
    Distance,
    /// The first probe of a trace at its TTL.
    Trace,
    /// Sent again because an earlier attempt went unanswered.
    Retry,
    /// One item of a sweep.
    Sweep,
}

impl Purpose {
    /// The name in the `purpose` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Purpose::Distance => "distance",
            Purpose::Trace => "trace",
            Purpose::Retry => "retry",
            Purpose::Sweep => "sweep",
        }
    }
}

/// What a strategy asks to be sent: (target, flow, TTL, attempt) names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The target's place in the run's target set.
    pub target: TargetId,
    /// The address probed.
    pub destination: IpAddr,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// The TTL it is sent with.
    pub ttl: Ttl,
    /// From 1.
    pub attempt: u8,
    /// Why it is sent.
    pub purpose: Purpose,
}
