//! Plain data that the modules exchange: targets, probes, replies, outcomes, records.
//!
//! [`diamonds`] derives the diamonds of a graph from its nodes and links, because strategies and analyses need the same rules.
//!
//! This module reads no clock, no socket and no file. Every meaningful number has its own type. Absent values are `None`, never zero.

mod anomaly;
mod blocked;
pub mod diamonds;
mod event;
mod if_exists;
pub mod ipv6;
mod multipath;
mod named;
mod numbers;
mod outcome;
mod probe;
mod quoted;
mod record;
mod reply;
mod said;
mod socket_error;
mod statistics;
mod target;
mod time;
mod unsent;

pub use anomaly::{Anomalies, Anomaly};
pub use blocked::Blocked;
pub use event::{InferredHop, StrategyEvent, TableRow, TraceEnd};
pub use if_exists::IfExists;
pub use multipath::{Algorithm, BalancerType, DiamondRow, GraphRow, LinkRow, NodeRow, StoppedBy};
pub(crate) use named::named;
pub use named::{Named, UnknownName};
pub use numbers::{FlowId, ParseRateError, ProbeId, Rate, TargetId, TraceId, Ttl};
pub use outcome::{Outcome, ProbeResult};
pub use probe::{Probe, Protocol, ProtocolName, Purpose, TcpFlags, Vary};
pub use quoted::{QuotedEcho, QuotedProbe, QuotedTcp, QuotedTransport, QuotedUdp};
pub use record::{HopRecord, Inferred, Status, StopReason, TraceRecord, path_hash};
pub use reply::{
    DiscardReason, Echoed, Evidence, InterfaceInfo, InterfaceRole, MplsLabel, Reply, ReplyKind,
};
pub use said::Said;
pub use socket_error::{Datagram, EchoMessage, SentBySocket, SocketError};
pub use statistics::{KernelDrops, Statistics};
#[cfg(test)]
pub(crate) use target::Consecutive;
pub use target::{TargetInfo, Targets};
pub use time::Time;
pub use unsent::UnsentReason;
