//! The lab: a simulated internet that knows the truth about every path.
//!
//! One `respond(packet, now)` under several drivers: virtual time in-process, and a TUN device in a fresh
//! network namespace.

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
