//! A network that lives in this process, in virtual time: what the engine needs of the lab to run without sockets.

use std::net::IpAddr;

use super::{PacketBatch, Progress};
use crate::model::{Time, UnsentReason};

/// Packets in, packets out, at times that the caller sets. Time never goes back.
pub trait InProcessNetwork {
    /// The address that packets to `destination` leave with.
    fn source_for(&self, destination: IpAddr) -> Result<IpAddr, UnsentReason>;

    /// Takes a packet at `now`.
    fn send(&mut self, packet: &[u8], now: Time);

    /// Takes the packets of `batch` from index `first` on, in order. A network that has no limits takes all.
    fn offer(&mut self, batch: &PacketBatch, first: usize, now: Time) -> Progress {
        let mut taken = 0;
        for (_, packet) in batch.iter_from(first) {
            self.send(packet, now);
            taken += 1;
        }
        Progress {
            taken,
            stopped: None,
        }
    }

    /// When the next packet arrives, if one is under way.
    fn next_arrival(&self) -> Option<Time>;

    /// The next packet that has arrived by `now`, and when it did.
    fn receive(&mut self, now: Time) -> Option<(Time, Vec<u8>)>;
}
