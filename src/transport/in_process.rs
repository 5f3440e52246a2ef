//! A network in this process, in virtual time: with it, the engine runs over the lab without sockets.

use std::net::IpAddr;

use crate::model::Time;

/// Takes packets and delivers packets, at times that the caller sets. Time never goes back.
pub trait InProcessNetwork {
    /// The source address of packets to `destination`. `None` if the vantage point has no address of that family.
    fn source_for(&self, destination: IpAddr) -> Option<IpAddr>;

    /// Takes a packet at `now`.
    fn send(&mut self, packet: &[u8], now: Time);

    /// When the next packet arrives. `None` if no packet is under way.
    fn next_arrival(&self) -> Option<Time>;

    /// Returns the next packet that has arrived by `now`, and its time of arrival. `None` if no packet has.
    fn receive(&mut self, now: Time) -> Option<(Time, Vec<u8>)>;
}
