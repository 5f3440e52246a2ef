//! Plain data that the modules exchange: targets, probes, replies, outcomes, records.
//!
//! This module reads no clock, no socket and no file. Every meaningful number has its own type. Absent values are `None`, never zero.

mod anomaly;
pub mod ipv6;
mod numbers;
mod outcome;
mod probe;
mod record;
mod reply;
mod said;
mod socket_error;
mod statistics;
mod target;
mod time;

pub use anomaly::{Anomalies, Anomaly};
pub use numbers::{FlowId, ParseRateError, ProbeId, Rate, TargetId, TraceId, Ttl};
pub use outcome::{Outcome, ProbeResult, TraceEnd};
pub use probe::{Probe, Protocol, Purpose, TcpFlags};
pub use record::{HopRecord, Status, StopReason, TraceRecord, UnsentReason, path_hash};
pub use reply::{
    DiscardReason, Echoed, Evidence, InterfaceInfo, MplsLabel, QuotedProbe, Reply, ReplyKind,
};
pub use said::Said;
pub use socket_error::{Datagram, EchoMessage, SentBySocket, SocketError};
pub use statistics::{KernelDrops, Statistics};
#[cfg(test)]
pub(crate) use target::Consecutive;
pub use target::{TargetInfo, Targets};
pub use time::Time;
