//! The lab: a simulated internet that knows the truth about every path.
//!
//! One `respond(packet, now)` under several drivers: virtual time in-process, and a TUN device in a fresh
//! network namespace.
//!
//! A packet enters through `packet`, is walked router by router in `walk` over a topology (one `declared` in a
//! `toml_file`, or one `generated` from a seed) and is answered by `network` with what `icmp` writes. `truth` walks the same
//! code to say what a survey should have seen. IPv4 with UDP and ICMP echo; routers answer probes of any protocol.
//!
//! Left out: TCP and IPv6 hosts, fragments, the routers' own addresses as targets.

mod balancer;
mod checksum;
mod declared;
mod generated;
mod generated_options;
mod generated_targets;
mod hash;
mod icmp;
mod network;
mod packet;
mod recording;
mod token_bucket;
mod toml_build;
mod toml_file;
mod toml_values;
mod topology;
mod truth;
mod truth_table;
mod virtual_network;
mod walk;

#[cfg(test)]
mod tests;

pub use generated_options::GeneratedOptions;
pub use network::{LabNetwork, LabStatistics};
pub use recording::{Recorded, Recording, RecordingLog};
pub use toml_file::LabError;
pub use truth::{Truth, TruthAnswer, TruthEnd, TruthFlow, TruthHop, TruthOutcome};
pub use virtual_network::VirtualNetwork;

pub mod driver;

use crate::model::Time;

/// A packet that the simulated internet delivers back to the vantage point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it arrives; never before the packet it answers was sent.
    pub at: Time,
    /// The packet, from its IP header on.
    pub packet: Vec<u8>,
}

/// A network that answers packets: all that a driver needs to know of it.
pub trait Respond: Send {
    /// Takes a packet that the vantage point sent at `now` and adds what comes back, in any order, to `deliveries`.
    /// `now` never goes back from one call to the next.
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>);
}
