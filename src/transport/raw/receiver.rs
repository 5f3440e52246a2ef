//! Receiving the packets that answer our probes.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::filter::{self, Answers};
use super::queues::{Queue, Queues};
use crate::transport::ring::{self, PacketRing, RingConfig};
use crate::transport::{Arrival, PacketReceiver, Received, TransportError, sys};

/// Receive buffer that the kernel charges for one ICMP error, bytes: its memory, not its length (measured).
const BYTES_PER_PACKET: usize = 830;

/// The kind of receive buffer that was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferKind {
    /// A socket buffer of the size asked for.
    Socket,
    /// A packet ring, because the socket buffer may not be enlarged that far.
    Ring,
    /// A socket buffer smaller than asked for: neither the buffer nor a ring could be had.
    SmallSocket,
}

impl BufferKind {
    /// The name that the manifest uses.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            BufferKind::Socket => "socket",
            BufferKind::Ring => "packet_ring",
            BufferKind::SmallSocket => "small_socket",
        }
    }
}

/// The receive buffer obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawBuffer {
    /// Its kind.
    pub kind: BufferKind,
    /// Its size in bytes, as the kernel states it.
    pub bytes: usize,
}

impl RawBuffer {
    /// About how many replies fit, by the memory that the kernel charges for one.
    pub fn replies(self) -> usize {
        match self.kind {
            BufferKind::Ring => self.bytes / ring::SLOT,
            BufferKind::Socket | BufferKind::SmallSocket => self.bytes / BYTES_PER_PACKET,
        }
    }
}

/// Receives ICMP errors and the other packets that [`Answers`] asks for, each from its IP header on, with the kernel's timestamp.
///
/// Every such packet that reaches this host is received, even if it answers a probe of another program. Matching them is the
/// engine's work. Packets over 2 KiB are truncated. Packets of one call come in the order of their timestamps.
///
/// | family | through | fragments |
/// |---|---|---|
/// | IPv4 | raw sockets | reassembled by the kernel |
/// | IPv4, if the sockets' receive buffer may not be enlarged | a packet ring | received one by one |
/// | IPv6, because raw IPv6 sockets do not show the IP header | a packet ring | received one by one |
pub struct RawReceiver {
    queues: Queues,
    buffer: RawBuffer,
}

impl RawReceiver {
    /// Opens a receiver of ICMPv4 errors with a buffer of `buffer_bytes`.
    pub fn open(buffer_bytes: usize) -> Result<Self, TransportError> {
        Self::open_for(&Answers::errors(), buffer_bytes)
    }

    /// Opens a receiver with a buffer of `buffer_bytes` for each family. The buffer is the first of these that the kernel allows: a
    /// socket buffer of that size, a packet ring of that size, a smaller socket buffer.
    pub fn open_for(answers: &Answers, buffer_bytes: usize) -> Result<Self, TransportError> {
        let mut receiver = RawReceiver {
            queues: Queues::default(),
            buffer: RawBuffer {
                kind: BufferKind::Ring,
                bytes: buffer_bytes,
            },
        };
        if answers.ipv4 {
            receiver.add_ipv4(answers, buffer_bytes)?;
        }
        if answers.ipv6 {
            let ring = open_ring(libc::ETH_P_IPV6, &filter::ipv6(answers), buffer_bytes)?;
            if !answers.ipv4 {
                receiver.buffer.bytes = ring.bytes();
            }
            receiver.queues.add(Queue::ring(ring));
        }
        Ok(receiver)
    }

    /// Opens a receiver of ICMPv4 errors on a packet ring of `buffer_bytes`.
    pub fn open_ring(buffer_bytes: usize) -> Result<Self, TransportError> {
        let ring = open_ipv4_ring(&Answers::errors(), buffer_bytes)?;
        Ok(RawReceiver {
            buffer: RawBuffer {
                kind: BufferKind::Ring,
                bytes: ring.bytes(),
            },
            queues: Queues::of(Queue::ring(ring)),
        })
    }

    fn add_ipv4(&mut self, answers: &Answers, buffer_bytes: usize) -> Result<(), TransportError> {
        let types = answers.icmpv4_types();
        let filter = filter::ipv4(&types, None, &answers.ports);
        let (socket, obtained) = open_socket(Protocol::ICMPV4, &filter, buffer_bytes)?;
        self.buffer = RawBuffer {
            kind: BufferKind::Socket,
            bytes: obtained,
        };
        if obtained < buffer_bytes {
            if let Ok(ring) = open_ipv4_ring(answers, buffer_bytes) {
                self.buffer = RawBuffer {
                    kind: BufferKind::Ring,
                    bytes: ring.bytes(),
                };
                self.queues.add(Queue::ring(ring));
                return Ok(());
            }
            self.buffer.kind = BufferKind::SmallSocket;
        }
        filter_icmp_types(&socket, &types)?;
        self.queues.add(Queue::socket(socket));
        if let Some(protocol) = answers.segments() {
            let filter = filter::ipv4(&[], Some(protocol), &answers.ports);
            let protocol = Protocol::from(i32::from(protocol));
            let (socket, _) = open_socket(protocol, &filter, buffer_bytes)?;
            self.queues.add(Queue::socket(socket));
        }
        Ok(())
    }

    /// The receive buffer obtained; with both families, the one of IPv4.
    pub fn buffer(&self) -> RawBuffer {
        self.buffer
    }
}

fn open_ipv4_ring(answers: &Answers, bytes: usize) -> Result<PacketRing, TransportError> {
    let filter = filter::ipv4(&answers.icmpv4_types(), answers.segments(), &answers.ports);
    open_ring(libc::ETH_P_IP, &filter, bytes)
}

fn open_ring(
    protocol: libc::c_int,
    filter: &[SockFilter],
    bytes: usize,
) -> Result<PacketRing, TransportError> {
    PacketRing::open(&RingConfig {
        interface: None,
        filter: Some(filter),
        protocol: protocol as u16,
        bytes,
    })
    .map_err(|error| TransportError::opening("a packet ring for receiving", error))
}

/// A raw socket that receives what passes `filter`, and the size of its receive buffer.
fn open_socket(
    protocol: Protocol,
    filter: &[SockFilter],
    buffer_bytes: usize,
) -> Result<(Socket, usize), TransportError> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol))
        .map_err(|error| TransportError::opening("a raw socket for receiving", error))?;
    let setup = TransportError::setup;
    socket
        .attach_filter(filter)
        .map_err(setup("filtering answers (SO_ATTACH_FILTER)"))?;
    sys::set_option(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPNS,
        &1_i32,
    )
    .map_err(setup("asking for receive stamps (SO_TIMESTAMPNS)"))?;
    // The kernel doubles the value.
    let half = i32::try_from(buffer_bytes / 2).unwrap_or(i32::MAX / 2);
    sys::set_option(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        &half,
    )
    .or_else(|_| socket.set_recv_buffer_size(half as usize))
    .map_err(setup("enlarging the receive buffer"))?;
    let obtained = socket
        .recv_buffer_size()
        .map_err(setup("reading the receive buffer's size"))?;
    Ok((socket, obtained))
}

/// Refuses ICMP types before the kernel makes a copy for us. This filter lets types over 31 pass, so the socket filter is needed,
/// too.
fn filter_icmp_types(socket: &Socket, types: &[u8]) -> Result<(), TransportError> {
    // In this filter a set bit refuses the type.
    let blocked = types
        .iter()
        .fold(u32::MAX, |mask, kind| mask & !(1 << kind));
    sys::set_option(socket.as_fd(), sys::SOL_RAW, sys::ICMP_FILTER, &blocked)
        .map_err(TransportError::setup("filtering ICMP types (ICMP_FILTER)"))
}

impl PacketReceiver for RawReceiver {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        let mut deadline = None;
        loop {
            let all = self
                .queues
                .take(&mut |packet, stamp| visit(Arrival::Packet(packet), stamp))?;
            if all.count > 0 {
                return Ok(all);
            }
            // The clock is read only if nothing has come. After a signal the wait goes on.
            let now = Instant::now();
            let deadline = *deadline.get_or_insert(now + timeout);
            if now >= deadline {
                return Ok(all);
            }
            sys::wait_any_readable(&self.queues.descriptors(), deadline - now)?;
        }
    }

    fn dropped(&self) -> Option<u64> {
        self.queues.dropped()
    }
}
