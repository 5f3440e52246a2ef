//! The lab: a simulated internet that knows the truth about every path.
//!
//! One `respond(packet, now)` under several drivers: virtual time in-process, and a TUN device in a fresh
//! network namespace.
//!
//! A packet enters through `packet`, is walked router by router in `walk` over a topology (one `declared` in a
//! `toml_file`, or one `generated` from a seed) and is answered by `network` with what `icmp` writes. `truth` walks the same
//! code to say what a survey should have seen. IPv4 and IPv6; hosts answer UDP, TCP and ICMP echo, routers probes of any protocol.
//!
//! Left out: TCP connections beyond the handshake, probes in fragments or with IPv6 extension headers, the routers' own addresses as
//! targets.

mod address;
mod balancer;
mod checksum;
mod declared;
mod envelope;
mod extension;
mod flight;
mod generated;
mod generated_addresses;
mod generated_hosts;
mod generated_options;
mod half_open;
mod hash;
mod host;
mod icmp;
mod message;
mod network;
mod packet;
mod recording;
mod rewriting;
mod state;
mod tcp;
mod token_bucket;
mod toml_boxes;
mod toml_build;
mod toml_file;
mod toml_lines;
mod toml_routers;
mod toml_values;
mod topology;
mod truth;
mod truth_table;
mod truth_walk;
mod virtual_host;
mod virtual_network;
mod walk;
mod wrapping;

#[cfg(test)]
mod tests;

pub use generated_options::GeneratedOptions;
pub use network::{LabNetwork, LabStatistics};
pub use recording::{Recorded, Recording, RecordingLog};
pub use toml_file::LabError;
pub use truth::{Truth, TruthAnswer, TruthEnd, TruthFlow, TruthHop, TruthKind, TruthOutcome};
pub use virtual_network::VirtualNetwork;

pub mod driver;

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Time;

/// A packet that the simulated internet delivers back to the vantage point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it arrives; never before the packet it answers was sent.
    pub at: Time,
    /// The packet, from its IP header on.
    pub packet: Vec<u8>,
}

/// A network shared with whoever wants to look at it while a driver owns it.
impl<R: Respond> Respond for Arc<Mutex<R>> {
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
        let mut network = self.lock().unwrap_or_else(PoisonError::into_inner);
        network.respond(packet, now, deliveries);
    }

    fn vantage_v6(&self) -> Option<Ipv6Addr> {
        self.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .vantage_v6()
    }
}

/// A network that answers packets: all that a driver needs to know of it.
pub trait Respond: Send {
    /// Takes a packet that the vantage point sent at `now` and adds what comes back, in any order, to `deliveries`.
    /// `now` never goes back from one call to the next.
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>);

    /// The vantage point's IPv6 address; `None`, as for any network that does not say otherwise: no IPv6. (Its IPv4 address is
    /// what a driver is told.)
    fn vantage_v6(&self) -> Option<Ipv6Addr> {
        None
    }
}
