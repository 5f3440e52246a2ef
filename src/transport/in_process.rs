//! A network that lives in this process, in virtual time: what the engine needs of the lab to run without sockets.

use std::net::IpAddr;

use crate::model::Time;

/// Packets in, packets out, at times that the caller sets. Time never goes back.
pub trait InProcessNetwork {
    /// The address that packets to `destination` leave with, if there is one of its family.
    fn source_for(&self, destination: IpAddr) -> Option<IpAddr>;

    /// Takes a packet at `now`.
    fn send(&mut self, packet: &[u8], now: Time);

    /// When the next packet arrives, if one is under way.
    fn next_arrival(&self) -> Option<Time>;

    /// The next packet that has arrived by `now`, and when it did.
    fn receive(&mut self, now: Time) -> Option<(Time, Vec<u8>)>;
}
