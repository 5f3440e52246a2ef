//! Sending IPv4 packets with our own header.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::source::SourceTable;
use super::{TransportError, sys, unsent_reason};
use crate::model::UnsentReason;
use crate::transport::{PacketBatch, PacketSender, Progress, Stopped};

/// Send buffer asked for, in bytes: some 10,000 probes may wait in it.
const SEND_BUFFER: usize = 8 << 20;

/// Error-queue messages dropped at one refusal; a refusal makes one, so that the queue never grows.
const ERRORS_AT_ONCE: usize = 16;

/// Sends IPv4 packets through a raw socket (IPPROTO_RAW: the header is ours).
///
/// The kernel still fills total length and header checksum, the source where it is 0.0.0.0 and the IP ID where that is 0
/// without DF. The socket never blocks: a full queue is [`Stopped::Full`].
pub struct RawSender {
    socket: Socket,
    arena: sys::SendArena,
    sources: SourceTable,
}

impl RawSender {
    /// Opens the socket.
    pub fn open() -> Result<Self, TransportError> {
        let protocol = Some(Protocol::from(libc::IPPROTO_RAW));
        let socket = Socket::new(Domain::IPV4, Type::RAW, protocol)
            .map_err(|error| TransportError::opening("a raw socket for sending", error))?;
        socket
            .set_nonblocking(true)
            .map_err(TransportError::setup("making the raw socket non-blocking"))?;
        // Without it the kernel reports success when the device queue is full and nothing is sent.
        sys::set_option(socket.as_fd(), libc::SOL_IP, libc::IP_RECVERR, &1_i32)
            .map_err(TransportError::setup("asking for send errors (IP_RECVERR)"))?;
        grow_send_buffer(&socket).map_err(TransportError::setup(
            "enlarging the raw socket's send buffer",
        ))?;
        let sources = SourceTable::new().map_err(TransportError::setup(
            "opening a UDP socket for route look-ups",
        ))?;
        Ok(RawSender {
            socket,
            arena: sys::SendArena::new(),
            sources,
        })
    }

    /// Empties the error queue, so that what stands there fails no later packet.
    fn forget_errors(&self) -> io::Result<()> {
        for _ in 0..ERRORS_AT_ONCE {
            if !sys::discard_queued_error(self.socket.as_fd()) {
                break;
            }
        }
        self.socket.take_error().map(drop)
    }
}

/// Past `wmem_max` where we may (CAP_NET_ADMIN), else as far as it goes. The kernel doubles what it is given.
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

/// Where a packet can be sent to at all: 0.0.0.0 would succeed and go to ourselves.
fn sendable(destination: IpAddr) -> Option<Ipv4Addr> {
    match destination {
        IpAddr::V4(address) if !address.is_unspecified() => Some(address),
        _ => None,
    }
}

/// What a failed call means.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// A signal came first: ask again.
    Again,
    /// A queue is full.
    Full,
    /// This packet will not do.
    Packet(UnsentReason),
    /// No packet will.
    Broken,
}

impl Refusal {
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINTR) => Refusal::Again,
            Some(libc::EAGAIN | libc::ENOBUFS) => Refusal::Full,
            Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) | None => Refusal::Broken,
            Some(errno) => Refusal::Packet(unsent_reason(errno)),
        }
    }
}

impl PacketSender for RawSender {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<Progress> {
        let wanted = batch.len().saturating_sub(first);
        let mut taken = 0;
        let stopped = loop {
            if taken == wanted {
                break None;
            }
            let packets = batch
                .iter_from(first + taken)
                .map_while(|(destination, packet)| Some((sendable(destination)?, packet)));
            match self.arena.send(self.socket.as_fd(), packets) {
                Ok(0) => break Some(Stopped::Refused(UnsentReason::Invalid)),
                Ok(count) => taken += count,
                Err(error) => match Refusal::of(&error) {
                    Refusal::Again => {}
                    Refusal::Full => break Some(Stopped::Full),
                    Refusal::Broken => return Err(error),
                    Refusal::Packet(reason) => {
                        self.forget_errors()?;
                        break Some(Stopped::Refused(reason));
                    }
                },
            }
        };
        Ok(Progress { taken, stopped })
    }

    fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        match destination {
            IpAddr::V4(address) => self.sources.source_for(address).map(IpAddr::V4),
            IpAddr::V6(_) => Err(UnsentReason::Invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_a_bad_packet_and_a_broken_socket_are_three_things() {
        let of = |errno| Refusal::of(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::EAGAIN), Refusal::Full);
        assert_eq!(of(libc::ENOBUFS), Refusal::Full);
        assert_eq!(of(libc::EINTR), Refusal::Again);
        assert_eq!(of(libc::EBADF), Refusal::Broken);
        let packet = |errno, reason| assert_eq!(of(errno), Refusal::Packet(reason));
        packet(libc::EPERM, UnsentReason::Firewall);
        packet(libc::EMSGSIZE, UnsentReason::TooLarge);
        packet(libc::ENETDOWN, UnsentReason::Errno(libc::ENETDOWN));
    }
}
