//! Bytes in and out. A transport knows nothing of probes: it takes IP packets and gives IP packets, or what a kernel tells of them.
//!
//! One trait for each direction, because they are used by different threads; one file a variant. Those who receive whole packets
//! are [`PacketReceiver`]s; the engine takes any [`Listener`], which hears [`Arrival`]s of other kinds, too.
//! What goes wrong with a single packet is told for that packet; an `io::Error` means that the socket is broken
//! and the run must end.

#![expect(
    clippy::disallowed_methods,
    reason = "transports open sockets and wait on them"
)]

mod batch;
pub mod dgram;
mod in_process;
pub mod loopback;
mod neighbours;
mod outgoing;
mod own_addresses;
pub mod raw;
mod recorded;
mod rtnetlink;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::{Datagram, DiscardReason, EchoMessage, SocketError, UnsentReason};

pub use batch::PacketBatch;
pub use in_process::InProcessNetwork;
pub use own_addresses::OwnAddresses;
pub use recorded::{ReceivedBatch, RecordedReceiver};
pub use rtnetlink::changes::has_several_next_hops;

/// How far a batch came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Packets that the kernel took, counted from the start of what was asked.
    pub taken: usize,
    /// Why the packet behind them was not taken; `None` when all were.
    pub stopped: Option<Stopped>,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The queue is full (ENOBUFS, EAGAIN): wait a little, then offer it again.
    Full,
    /// The kernel has no room for one more next hop that does not answer. The packets behind this one may have another next
    /// hop: go on with them, and offer this one again when others have been given up, which takes the kernel seconds.
    Crowded(UnsentReason),
    /// This packet cannot be sent; the ones behind it may.
    Refused(UnsentReason),
}

/// The sending half of a transport.
pub trait PacketSender: Send {
    /// Offers the packets of `batch` from index `first` on, in order.
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<Progress>;

    /// The source address that packets to `destination` carry.
    fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason>;
}

/// What a call to [`PacketReceiver::receive`] passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// How many packets.
    pub count: usize,
    /// `None`: everything that had arrived before the call. Else everything that had arrived by this stamp (nanoseconds of
    /// the wall clock); more may be waiting behind it.
    pub drained_until: Option<u64>,
}

impl Received {
    /// Both together, of two sources.
    pub fn and(self, other: Received) -> Received {
        let both = [self.drained_until, other.drained_until];
        Received {
            count: self.count + other.count,
            drained_until: both.into_iter().flatten().min(),
        }
    }
}

/// The receiving half of a transport.
pub trait PacketReceiver: Send {
    /// Waits up to `timeout` for packets and passes each one that is there (a bounded number) to `visit`: its bytes from the
    /// IP header on, and the kernel's receive stamp in nanoseconds of the wall clock (CLOCK_REALTIME), where there is one.
    /// Nothing is passed after an idle `timeout`.
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(&[u8], Option<u64>),
    ) -> io::Result<Received>;

    /// Packets that the kernel has dropped so far because our buffer was full; `None` where it does not tell.
    fn dropped(&self) -> Option<u64>;
}

/// Something that came back.
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
    /// Something of which the kernel tells too little to be read: why, and the bytes that there are.
    Unreadable(DiscardReason, &'a [u8]),
}

impl<'a> Arrival<'a> {
    /// Of what came, the bytes that there are.
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

/// What the engine hears replies through: a [`PacketReceiver`], or sockets whose kernel keeps the packets to itself.
pub trait Listener: Send {
    /// As [`PacketReceiver::receive`], for arrivals of every kind.
    fn listen(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received>;

    /// As [`PacketReceiver::dropped`].
    fn unheard(&self) -> Option<u64>;
}

impl<R: PacketReceiver> Listener for R {
    fn listen(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        self.receive(timeout, &mut |bytes, stamp| {
            visit(Arrival::Packet(bytes), stamp)
        })
    }

    fn unheard(&self) -> Option<u64> {
        self.dropped()
    }
}

impl<R: PacketReceiver + ?Sized> PacketReceiver for Box<R> {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(&[u8], Option<u64>),
    ) -> io::Result<Received> {
        (**self).receive(timeout, visit)
    }

    fn dropped(&self) -> Option<u64> {
        (**self).dropped()
    }
}
