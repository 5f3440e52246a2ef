//! The send side of a transport.

use std::io;
use std::net::IpAddr;

use super::PacketBatch;
use crate::model::UnsentReason;

/// How far a batch came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendProgress {
    /// Packets that the kernel took, counted from the first one offered.
    pub taken: usize,
    /// Why the next packet was not taken; `None` if all were.
    pub stopped: Option<Stopped>,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The queue is full (ENOBUFS, EAGAIN): wait a little, then offer the packet again.
    Full,
    /// The kernel has no room for one more next hop that does not answer. The packets after this one may have another next
    /// hop: go on with them. Offer this packet again when the kernel has given up other next hops, which takes seconds.
    Crowded(UnsentReason),
    /// This packet cannot be sent; the packets after it may be.
    Refused(UnsentReason),
}

/// The send side of a transport.
pub trait PacketSender: Send {
    /// Offers the packets of `batch` from index `first` on, in order, without waiting.
    ///
    /// # Errors
    /// A socket that is broken.
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<SendProgress>;

    /// Returns the source address that packets to `destination` carry.
    fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason>;

    /// Returns why packets to `destination` cannot be sent, as far as the kernel's routes say so; `None` if they have a route.
    fn refusal(&mut self, destination: IpAddr) -> Option<UnsentReason> {
        self.source_for(destination).err()
    }
}
