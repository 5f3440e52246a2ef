//! The receive side of a transport.

use std::io;
use std::time::Duration;

use crate::model::{Datagram, DiscardReason, EchoMessage, SocketError};

/// What one call of [`PacketReceiver::receive`] passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// How many arrivals.
    pub count: usize,
    /// `None`: everything that had arrived before the call. Otherwise everything that had arrived up to this timestamp
    /// (nanoseconds of the wall clock); later arrivals may still be waiting.
    pub drained_until: Option<u64>,
}

/// Something that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// A packet, from its IP header on.
    Packet(&'a [u8]),
    /// An ICMP error, as the error queue of an ordinary socket gives it.
    Error(SocketError<'a>),
    /// A datagram, as an ordinary socket gives it.
    Datagram(Datagram<'a>),
    /// An ICMP message, as a ping socket gives it.
    Echo(EchoMessage<'a>),
    /// Something that cannot be decoded because the kernel says too little about it: the reason, and the bytes there are.
    Unreadable(DiscardReason, &'a [u8]),
}

impl<'a> Arrival<'a> {
    /// The bytes that were received: of [`Packet`](Arrival::Packet) all, of the others the part that the kernel shows.
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Arrival::Packet(bytes) => bytes,
            Arrival::Error(error) => error.returned,
            Arrival::Datagram(datagram) => datagram.payload,
            Arrival::Echo(echo) => echo.message,
            Arrival::Unreadable(_, bytes) => bytes,
        }
    }
}

/// The receive side of a transport.
pub trait PacketReceiver: Send {
    /// Waits up to `timeout` for arrivals, then passes those that are there to `visit`, oldest first.
    ///
    /// `visit` gets each arrival with the kernel's receive timestamp in nanoseconds of the wall clock (CLOCK_REALTIME), if it
    /// has one. The number of arrivals in one call is bounded. Nothing is passed if nothing arrives within `timeout`.
    ///
    /// # Errors
    /// A socket that is broken.
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received>;

    /// Returns how many arrivals the kernel has dropped so far because a receive buffer was full. `None` if the kernel does not
    /// count them.
    fn dropped(&self) -> Option<u64>;
}
