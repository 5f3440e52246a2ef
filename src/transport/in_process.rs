//! A network in this process, in virtual time: with it, the engine runs over the lab without sockets.

use std::net::IpAddr;

use super::{PacketBatch, SendProgress};
use crate::model::{Time, UnsentReason};

/// Takes packets and delivers packets, at times that the caller sets. Time never goes back.
pub trait InProcessNetwork {
    /// The source address of packets to `destination`. Fails if the vantage point has no address of that family.
    fn source_for(&self, destination: IpAddr) -> Result<IpAddr, UnsentReason>;

    /// Takes a packet at `now`.
    fn send(&mut self, packet: &[u8], now: Time);

    /// Takes the packets of `batch` from index `first` on, in order. A network that has no limits takes all.
    fn offer(&mut self, batch: &PacketBatch, first: usize, now: Time) -> SendProgress {
        let mut taken = 0;
        for (_, packet) in batch.iter_from(first) {
            self.send(packet, now);
            taken += 1;
        }
        SendProgress {
            taken,
            stopped: None,
        }
    }

    /// When the next packet arrives, if one is under way.
    fn next_arrival(&self) -> Option<Time>;

    /// Returns the next packet that has arrived by `now`, and its time of arrival. `None` if no packet has.
    fn receive(&mut self, now: Time) -> Option<(Time, Vec<u8>)>;
}
