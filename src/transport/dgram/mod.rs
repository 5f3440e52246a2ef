//! Ordinary sockets, UDP and ping (`SOCK_DGRAM` of ICMP, icmp(7)): no privilege is needed, and no IP header is seen.
//!
//! One unconnected socket per flow and family is bound to the flow's port or identifier and serves all targets. [`DgramSender`]
//! takes whole packets, as every sender does, and gives the kernel the parts that an ordinary socket can set: destination, port,
//! TTL and payload; for an echo request the sequence number, too. The kernel's checksum then equals the one in the packet, because
//! the payload's compensation word was chosen for it. IP ID and IPv6 flow label are the kernel's.
//!
//! [`DgramReceiver`] reads ICMP errors from the sockets' error queues (`IP_RECVERR`), and datagrams and echo replies from their
//! receive queues. Errors have their extensions if the kernel announces them (`IP_RECVERR_RFC4884`, Linux 5.9), or if the
//! extensions stand where older routers put them.
//!
//! # Which thread reads what
//! An ICMP error does two things to a socket. It is queued, and its errno stays behind for the next call to fail with, once,
//! whatever that call is. Only the receiver reads queues, so that no error is lost between two threads.
//!
//! - If the sender fails with such an errno, the failure has cleared the errno, and the sender tries again. If the failures do
//!   not end, the packet itself is to blame.
//! - If the receiver fails with such an errno while it reads datagrams, it tries again, too.
//! - To take an error off the queue leaves the errno of the next one behind. Hence the many attempts.

mod control;
mod receiver;
mod sender;
mod sys;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use socket2::Socket;

use super::neighbours::Neighbours;
use super::ports::DgramProtocol;
use super::source::{SendingSocket, SourceTable};
use super::sys::set_option;
use super::{
    AddressFamilies, Capabilities, PortBlock, ReceiveBuffer, Transport, TransportError,
    TransportOptions,
};
use crate::model::Protocol;

use receiver::DgramReceiver;
use sender::DgramSender;

pub(super) const NAME: &str = "dgram";

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    protocols: &[Protocol::Udp, Protocol::Icmp],
    families: AddressFamilies {
        ipv4: true,
        ipv6: true,
    },
    own_ip_header: false,
    quotes_with_headers: false,
    extensions: true,
    whole_packets: false,
    // The kernel counts no lost errors.
    counts_drops: false,
};

/// Send buffer asked for, bytes, for each socket: packets to next hops that do not answer wait in it for seconds.
const SEND_BUFFER: usize = 8 << 20;
/// Receive buffer asked for, bytes, for each socket: the default holds some 250 errors.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Receive buffer that the kernel charges for one error, bytes: its memory, not its length (measured).
const BYTES_PER_ERROR: usize = 830;

/// Opens one socket per flow and family, which also hold the source ports.
pub(super) fn open(options: &TransportOptions) -> Result<Transport, TransportError> {
    let protocol = match options.protocol {
        Protocol::Udp => DgramProtocol::Udp,
        Protocol::Icmp => DgramProtocol::Icmp,
        Protocol::Tcp => {
            return Err(TransportError::Protocol {
                transport: NAME,
                protocol: options.protocol,
            });
        }
    };
    let origin = &options.origin;
    let sources = SourceTable::new(SendingSocket::Dgram(protocol), origin)?;
    let ports = PortBlock::bind_from(protocol, options.source_port, options.flows, origin)?;
    let bytes = prepare_all(&ports, origin.tos)?;
    let ports = Arc::new(ports);
    let sender = DgramSender::new(protocol, ports.clone(), sources, Neighbours::new(origin));
    Ok(Transport {
        name: NAME,
        capabilities: Capabilities {
            families: AddressFamilies {
                ipv4: true,
                ipv6: ports.socket(ports.base(), true).is_some(),
            },
            ..CAPABILITIES
        },
        sender: Box::new(sender),
        receiver: Box::new(DgramReceiver::new(protocol, ports.clone())),
        loopback_sender: None,
        ports,
        buffer: ReceiveBuffer {
            kind: "error_queue",
            bytes,
            replies: bytes / BYTES_PER_ERROR,
            is_larger_for_root: false,
        },
        fell_back: None,
    })
}

/// Prepares every socket to receive errors. Returns the size of the smallest receive buffer.
fn prepare_all(ports: &PortBlock, tos: u8) -> Result<usize, TransportError> {
    let mut smallest = usize::MAX;
    for (_, socket) in ports.sockets() {
        prepare(socket, tos).map_err(TransportError::setup("preparing a socket for errors"))?;
        let obtained = socket
            .recv_buffer_size()
            .map_err(TransportError::setup("reading the receive buffer's size"))?;
        smallest = smallest.min(obtained);
    }
    Ok(smallest)
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
    // An older kernel refuses. Extensions are then looked for at their usual place.
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
