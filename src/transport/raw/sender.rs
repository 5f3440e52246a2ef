//! Sending packets with their own IP header.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::model::UnsentReason;
use crate::transport::neighbours::Neighbours;
use crate::transport::origin::Origin;
use crate::transport::outgoing::{Outgoing, SendArena, SendFailure};
use crate::transport::source::{SendingSocket, SourceTable};
use crate::transport::{
    PacketBatch, PacketSender, SendProgress, Stopped, TransportError, header, is_without_ipv6, sys,
};

/// Send buffer asked for, bytes: about 10,000 probes fit.
const SEND_BUFFER: usize = 8 << 20;

/// The most messages removed from the error queue after a refusal. A refusal adds one, so that the queue never grows.
const ERRORS_AT_ONCE: usize = 16;

/// Sends packets through raw sockets (IPPROTO_RAW: the header is ours), one socket per family.
///
/// With IPv4 the kernel still fills in total length and header checksum, the source if it is 0.0.0.0, and the IP ID if it is 0
/// without DF. With IPv6 it fills in nothing. The sockets never block: a full queue is [`Stopped::Full`].
pub struct RawSender {
    v4: Socket,
    /// Absent on a machine without IPv6.
    v6: Option<Socket>,
    arena: SendArena,
    sources: SourceTable,
    neighbours: Neighbours,
}

impl RawSender {
    /// Opens the sockets. The kernel chooses addresses and interfaces.
    pub fn open() -> Result<Self, TransportError> {
        Self::open_from(&Origin::default())
    }

    /// Opens the sockets, to send from `origin`.
    pub fn open_from(origin: &Origin) -> Result<Self, TransportError> {
        let v4 = open_socket(Domain::IPV4, origin)?;
        let v6 = match open_socket(Domain::IPV6, origin) {
            Ok(socket) => Some(socket),
            Err(TransportError::Opening { source, .. }) if is_without_ipv6(&source) => None,
            Err(error) => return Err(error),
        };
        Ok(RawSender {
            v4,
            v6,
            arena: SendArena::new(),
            sources: SourceTable::new(SendingSocket::Raw, origin)?,
            neighbours: Neighbours::new(origin),
        })
    }

    /// Whether IPv6 packets can be sent.
    pub(super) fn has_ipv6(&self) -> bool {
        self.v6.is_some()
    }
}

fn open_socket(domain: Domain, origin: &Origin) -> Result<Socket, TransportError> {
    let protocol = Some(Protocol::from(libc::IPPROTO_RAW));
    let socket = Socket::new(domain, Type::RAW, protocol)
        .map_err(|error| TransportError::opening("a raw socket for sending", error))?;
    socket
        .set_nonblocking(true)
        .map_err(TransportError::setup("making the raw socket non-blocking"))?;
    let set = |v4: (i32, i32), v6: (i32, i32)| {
        let (level, (option, value)) = match domain {
            Domain::IPV6 => (libc::SOL_IPV6, v6),
            _ => (libc::SOL_IP, v4),
        };
        sys::set_option(socket.as_fd(), level, option, &value)
    };
    // Without it the kernel reports success if the device queue is full and nothing is sent.
    set((libc::IP_RECVERR, 1), (libc::IPV6_RECVERR, 1))
        .map_err(TransportError::setup("asking for send errors (IP_RECVERR)"))?;
    // The kernel must not use what routers say about a path's MTU: it would refuse the next probe of that size itself.
    set(
        (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
        (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE),
    )
    .map_err(TransportError::setup(
        "sending whatever the kernel knows of path MTUs (IP_MTU_DISCOVER)",
    ))?;
    grow_send_buffer(&socket).map_err(TransportError::setup(
        "enlarging the raw socket's send buffer",
    ))?;
    origin.fix(&socket, domain)?;
    Ok(socket)
}

/// Empties the error queue, so that no later packet fails because of it.
fn forget_errors(socket: &Socket) -> io::Result<()> {
    for _ in 0..ERRORS_AT_ONCE {
        if !sys::discard_queued_error(socket.as_fd()) {
            break;
        }
    }
    socket.take_error().map(drop)
}

/// Enlarges the send buffer: beyond `wmem_max` with CAP_NET_ADMIN, otherwise as far as possible. The kernel doubles the value.
fn grow_send_buffer(socket: &Socket) -> io::Result<()> {
    let half = (SEND_BUFFER / 2) as i32;
    let forced = sys::set_option(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_SNDBUFFORCE,
        &half,
    );
    forced.or_else(|_| socket.set_send_buffer_size(SEND_BUFFER / 2))
}

impl PacketSender for RawSender {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<SendProgress> {
        let wanted = batch.len().saturating_sub(first);
        let mut taken = 0;
        let stopped = loop {
            let Some((next, packet)) = batch.get(first + taken) else {
                break None;
            };
            let source = header::source(packet);
            let socket = match next {
                // The kernel would send to 0.0.0.0 and :: on this host.
                _ if next.is_unspecified() => break Some(Stopped::Refused(UnsentReason::Invalid)),
                IpAddr::V4(_) => &self.v4,
                IpAddr::V6(_) => match &self.v6 {
                    Some(socket) => socket,
                    None => break Some(Stopped::Refused(UnsentReason::NoRoute)),
                },
            };
            let few = (wanted - taken).min(SendArena::CHUNK);
            let most = match self.neighbours.admit(socket, source, next, few) {
                Ok(most) => most,
                Err(stopped) => break Some(stopped),
            };
            let (sources, tells_way) = (&self.sources, self.sources.tells_way());
            let packets = batch
                .iter_from(first + taken)
                .take_while(|(to, _)| to.is_ipv4() == next.is_ipv4() && !to.is_unspecified())
                .map(|(to, packet)| Outgoing {
                    to: SocketAddr::new(to, 0),
                    ttl: None,
                    way: header::source(packet)
                        .filter(|_| tells_way)
                        .map(|source| (source, sources.pinned_interface(source))),
                    bytes: packet,
                });
            let error = match self.arena.send(socket.as_fd(), packets.take(most)) {
                Ok(0) => break Some(Stopped::Refused(UnsentReason::Invalid)),
                Ok(count) => {
                    taken += count;
                    continue;
                }
                Err(error) => error,
            };
            match SendFailure::of(&error) {
                SendFailure::Interrupted => {}
                SendFailure::Broken => return Err(error),
                _ if self.neighbours.lack_room(&error, source, next) => {
                    break Some(Stopped::Crowded(UnsentReason::NeighbourTableFull));
                }
                SendFailure::Full => break Some(Stopped::Full),
                SendFailure::Packet(reason) => {
                    forget_errors(socket)?;
                    break Some(Stopped::Refused(reason));
                }
            }
        };
        debug_assert!(taken <= wanted);
        self.sources.batch_sent();
        Ok(SendProgress { taken, stopped })
    }

    fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        self.sources.source_for(destination)
    }

    fn refusal(&mut self, destination: IpAddr) -> Option<UnsentReason> {
        self.sources.refusal_at_start(destination)
    }
}
