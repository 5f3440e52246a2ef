//! Ordinary sockets, UDP and ping (`SOCK_DGRAM` of ICMP, icmp(7)): no privilege, and so nothing of IP headers, neither ours nor
//! theirs.
//!
//! One unconnected socket a flow and family, bound to the flow's port or identifier, serves all targets. [`DgramSender`] takes whole
//! packets as every sender does, and gives the kernel what it lets us decide of them: destination, port, TTL, payload; of an echo
//! request the sequence number, too. The kernel's checksum is then the one in the packet, because the payload's compensation
//! word makes that the right one. IP ID and IPv6 flow label are the kernel's.
//!
//! [`DgramListener`] reads ICMP errors off the sockets' error queues (`IP_RECVERR`), with extensions as far as the kernel
//! announces them (`IP_RECVERR_RFC4884`, Linux 5.9), and datagrams and echo replies that answer.
//!
//! # Who reads what
//! An ICMP error does two things to a socket: it is queued, and its errno is left for the next call to fail with, once, whatever
//! that call is. Only the listener reads queues, so that no error is lost between two threads. The sender, failed by an errno that
//! was left behind, has cleared it by failing and asks again; where the failing does not end, the packet itself is to
//! blame. The listener, failed likewise when it reads datagrams, asks again as well. Taking an error off the queue leaves the errno of
//! the next one behind, hence the many attempts.

mod control;
mod listener;
mod sender;
mod sys;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use socket2::Socket;

pub use listener::DgramListener;
pub use sender::DgramSender;

use super::neighbours::Neighbours;
use super::source::{SendingSocket, SourceTable};
use super::sys::set_option;
use super::{DgramProtocol, Origin, PortBlock, TransportError};

/// Send buffer asked for, bytes, for each socket: packets to next hops that do not answer wait in it for seconds.
const SEND_BUFFER: usize = 8 << 20;
/// Receive buffer asked for, bytes, for each socket: the default holds some 250 errors.
const RECEIVE_BUFFER: usize = 4 << 20;
/// What the kernel counts against it for an error: its memory, not its length (measured).
const BYTES_PER_ERROR: usize = 830;

/// What to open.
#[derive(Clone, Debug)]
pub struct DgramOptions {
    /// What is sent.
    pub protocol: DgramProtocol,
    /// The port (ICMP: identifier) of flow 0, if it is free.
    pub source_port: u16,
    /// Flows: ports that follow one another.
    pub flows: u16,
    /// Where to send from, and with what type of service.
    pub origin: Origin,
}

/// Both halves, and what they got.
pub struct Dgram {
    /// Datagrams out.
    pub sender: DgramSender,
    /// What comes back.
    pub listener: DgramListener,
    /// The ports, which are the sockets'.
    pub ports: Arc<PortBlock>,
    /// The receive buffer of a socket, bytes, as the kernel states it.
    pub buffer_bytes: usize,
}

impl Dgram {
    /// Opens the sockets.
    pub fn open(options: &DgramOptions) -> Result<Self, TransportError> {
        let sources = SourceTable::new(SendingSocket::Dgram(options.protocol), &options.origin)?;
        let ports = PortBlock::bind_from(
            options.protocol,
            options.source_port,
            options.flows,
            &options.origin,
        )?;
        let mut buffer_bytes = usize::MAX;
        for (_, socket) in ports.sockets() {
            prepare(socket, options.origin.tos)
                .map_err(TransportError::setup("preparing a socket for errors"))?;
            let obtained = socket
                .recv_buffer_size()
                .map_err(TransportError::setup("reading the receive buffer's size"))?;
            buffer_bytes = buffer_bytes.min(obtained);
        }
        let ports = Arc::new(ports);
        Ok(Dgram {
            sender: DgramSender::new(
                options.protocol,
                ports.clone(),
                sources,
                Neighbours::new(&options.origin),
            ),
            listener: DgramListener::new(options.protocol, ports.clone()),
            ports,
            buffer_bytes,
        })
    }

    /// About how many errors the receive buffer of a socket holds.
    pub fn buffered_errors(&self) -> usize {
        self.buffer_bytes / BYTES_PER_ERROR
    }
}

fn prepare(socket: &Socket, tos: u8) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // As far as the kernel lets us.
    socket.set_recv_buffer_size(RECEIVE_BUFFER / 2)?;
    socket.set_send_buffer_size(SEND_BUFFER / 2)?;
    let ipv6 = socket.domain()? == socket2::Domain::IPV6;
    let set = |level, name, value: i32| set_option(socket.as_fd(), level, name, &value);
    set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    if ipv6 {
        set(libc::SOL_IPV6, libc::IPV6_RECVERR, 1)?;
        set(libc::SOL_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
        set(libc::SOL_IPV6, libc::IPV6_RECVTCLASS, 1)?;
        set(libc::SOL_IPV6, libc::IPV6_TCLASS, tos.into())?;
        // Never fragments, and lets packet-too-big messages through.
        set(
            libc::SOL_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
        )?;
    } else {
        set(libc::SOL_IP, libc::IP_RECVERR, 1)?;
        set(libc::SOL_IP, libc::IP_RECVTTL, 1)?;
        set(libc::SOL_IP, libc::IP_RECVTOS, 1)?;
        set(libc::SOL_IP, libc::IP_TOS, tos.into())?;
        // Without DF, as raw probes are; never fragmented here, and fragmentation-needed messages get through.
        set(
            libc::SOL_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_INTERFACE,
        )?;
    }
    let (level, name) = match ipv6 {
        true => (libc::SOL_IPV6, sys::IPV6_RECVERR_RFC4884),
        false => (libc::SOL_IP, sys::IP_RECVERR_RFC4884),
    };
    // An older kernel has it not: extensions are then found where they use to be.
    let _ = set(level, name, 1);
    Ok(())
}

/// Whether `errno` may have been left by an ICMP error about an earlier datagram (icmp_err_convert in net/ipv4/icmp.c,
/// icmpv6_err_convert in net/ipv6/icmp.c).
fn may_be_left_behind(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EPROTO
            | libc::EMSGSIZE
            | libc::ENOPROTOOPT
            | libc::EOPNOTSUPP
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EREMOTEIO
            | libc::EACCES
    )
}
