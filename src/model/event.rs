//! What a strategy reports of its work: ended traces, inferred hops, and rows of tables of its own.

use std::net::IpAddr;

use super::{FlowId, StopReason, TargetId, Time, TraceId, Ttl};

/// Something that a strategy reports. It is written behind the rows of all probes that ended before it.
#[derive(Clone, Debug, PartialEq)]
pub enum StrategyEvent {
    /// A trace has ended.
    Ended(TraceEnd),
    /// A hop is known without a probe.
    Inferred(InferredHop),
    /// A row of one of the strategy's own tables.
    Row(TableRow),
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
    /// The lowest TTL at which the target answered. `None` unless the TTL before it was probed and did not reach the target.
    pub path_length: Option<Ttl>,
    /// Where the path ends as far as it is known: at the target, at the unreachable, or where an address came back for good; else
    /// at the last TTL that answered. What was probed beyond is no part of the path.
    pub last_ttl: Option<Ttl>,
    /// The largest size that passed to there, in bytes. `None` if it was not searched.
    pub path_mtu: Option<u16>,
}

/// A hop that was not probed, copied from another trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InferredHop {
    /// The target.
    pub target: TargetId,
    /// The flow.
    pub flow: FlowId,
    /// The address that would have been probed.
    pub destination: IpAddr,
    /// The TTL of the hop.
    pub ttl: Ttl,
    /// The round, as in [`Probe`](super::Probe).
    pub round: u16,
    /// Who answers there. `None` if the traces that pass there disagree.
    pub responder: Option<IpAddr>,
    /// The trace that it was copied from.
    pub from: Option<TraceId>,
}

/// A row of a table that only one strategy writes.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRow {
    /// The table's name.
    pub table: &'static str,
    /// The target that the row is about.
    pub target: TargetId,
    /// The values, in the order of the table's columns.
    pub cells: Vec<Cell>,
}

/// A value of a [`TableRow`].
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// A yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// An address.
    Address(IpAddr),
}
