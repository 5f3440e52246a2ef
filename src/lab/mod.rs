//! The lab: a simulated internet that knows the truth about every path.
//!
//! One trait, [`Respond`], answers packets at given times. Two drivers use it: virtual time within the process, and a network
//! device in a fresh network namespace.
//!
//! | module | what it holds |
//! |---|---|
//! | `packet` | the bytes: probes checked on entry, checksums, headers, ICMP messages and extensions |
//! | `topology` | what a network looks like, and how a packet walks through it router by router |
//! | `generated` | a topology computed from a seed |
//! | `hosts` | what targets answer, and the vantage point's own kernel |
//! | `network` | [`LabNetwork`]: packets in, replies out; also in virtual time, and with a recording |
//! | `file` | networks read from TOML files |
//! | `truth` | what a survey should see: the same walk, without loss, jitter and rate limits |
//! | [`driver`] | a network behind a TUN device in a network namespace |
//!
//! Imports run downward in this order: `hash`, `packet`, `topology`, `hosts` and `generated`, `network`, `file` and `truth`.
//! The lab speaks IPv4 and IPv6. Hosts answer UDP, TCP and ICMP echo; routers answer probes of any protocol.
//!
//! Left out: TCP connections beyond the handshake, probes in fragments or with IPv6 extension headers, the routers' own addresses as
//! targets.

mod file;
mod generated;
mod hash;
mod hosts;
mod network;
mod packet;
mod topology;
mod truth;

#[cfg(test)]
mod tests;

pub use self::file::LabError;
pub use self::generated::GeneratedOptions;
pub use self::network::{
    LabNetwork, LabStatistics, Recorded, Recording, RecordingLog, VirtualNetwork,
};
pub use self::truth::{Truth, TruthAnswer, TruthEnd, TruthFlow, TruthHop, TruthKind, TruthOutcome};

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

/// A network that a driver owns and that a test can look at meanwhile.
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

/// A network that answers packets. A driver needs nothing else.
pub trait Respond: Send {
    /// Answers `packet`, which the vantage point sent at `now`. Adds what comes back to `deliveries`, in any order.
    /// `now` never goes back from one call to the next.
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>);

    /// Returns the vantage point's IPv6 address. `None` means that the network has no IPv6; this is the default.
    /// The driver is given the IPv4 address by its caller.
    fn vantage_v6(&self) -> Option<Ipv6Addr> {
        None
    }
}
