//! What a strategy reports of its work: ended traces, inferred hops, and rows of tables of its own.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;

use super::{Anomalies, FlowId, StopReason, TargetId, Time, TraceId, Ttl};

/// Something that a strategy reports. It is written behind the rows of all probes that ended before it.
#[derive(Debug)]
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
    /// The anomalies of its graph, if the trace has many flows. Such a trace has no path, and its `flow` is 0. `None`: it has one flow.
    pub graph: Option<Anomalies>,
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
pub struct TableRow {
    /// The target that the row is about.
    pub target: TargetId,
    row: Box<dyn Any + Send>,
    type_name: &'static str,
}

impl TableRow {
    /// A row about `target`. The type of `row` says which table it belongs to: a table of the run has rows of this type.
    pub fn new<R: Any + Send>(target: TargetId, row: R) -> Self {
        TableRow {
            target,
            row: Box::new(row),
            type_name: std::any::type_name::<R>(),
        }
    }

    /// The row, if it is of this type.
    pub fn get<R: Any>(&self) -> Option<&R> {
        self.row.downcast_ref()
    }

    /// The row without its type.
    pub fn into_any(self) -> Box<dyn Any + Send> {
        self.row
    }

    /// The name of the row's type, for errors.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl fmt::Debug for TableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableRow")
            .field("target", &self.target)
            .field("row", &self.type_name)
            .finish()
    }
}
