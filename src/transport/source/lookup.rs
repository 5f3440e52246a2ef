//! Asks the kernel for the source address of packets to a destination.
//!
//! To ask, a socket of the kind that sends is connected; this sends nothing. Answers are not cached here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::usable::usable;
use crate::model::UnsentReason;
use crate::transport::error::{TransportError, unsent_reason};
use crate::transport::origin::Origin;
use crate::transport::ports::DgramProtocol;
use crate::transport::sys;

/// The sockets, in errors.
const LOOK_UPS: &str = "a socket for route look-ups";

/// Any port will do: connecting a datagram socket sends nothing, it only looks up the route.
const PORT: u16 = 33434;

/// The kind of socket that sends. Look-ups use sockets of the same kind, so that policy rules by protocol give the same answer
/// as for the probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum SendingSocket {
    /// A raw socket (IPPROTO_RAW).
    Raw,
    /// An ordinary socket.
    Dgram(DgramProtocol),
}

impl SendingSocket {
    fn open(self, domain: Domain) -> io::Result<Socket> {
        let (kind, protocol) = match self {
            SendingSocket::Raw => (Type::RAW, Protocol::from(libc::IPPROTO_RAW)),
            SendingSocket::Dgram(DgramProtocol::Udp) => (Type::DGRAM, Protocol::UDP),
            SendingSocket::Dgram(DgramProtocol::Icmp) if domain == Domain::IPV6 => {
                (Type::DGRAM, Protocol::ICMPV6)
            }
            SendingSocket::Dgram(DgramProtocol::Icmp) => (Type::DGRAM, Protocol::ICMPV4),
        };
        Socket::new(domain, kind, Some(protocol))
    }

    /// The error for a socket that the kernel refuses.
    pub(super) fn refused(self, error: io::Error) -> TransportError {
        match (self, error.raw_os_error()) {
            (SendingSocket::Dgram(DgramProtocol::Icmp), Some(libc::EACCES)) => {
                TransportError::ping(error)
            }
            (SendingSocket::Raw, _) => TransportError::opening(LOOK_UPS, error),
            (SendingSocket::Dgram(_), _) => TransportError::Opening {
                socket: LOOK_UPS,
                source: error,
            },
        }
    }

    /// The port to connect to. For the routing tables, raw probes have no ports.
    fn port(self) -> u16 {
        match self {
            SendingSocket::Raw => 0,
            SendingSocket::Dgram(_) => PORT,
        }
    }
}

/// A socket that is connected and disconnected, and never sends.
pub(super) struct Lookup {
    socket: Socket,
    port: u16,
    /// A UDP socket with a fixed port. With several next hops the kernel chooses by a hash of the ports: if the source port changed
    /// at every look-up, a destination would get another next hop each time.
    steady: Option<Socket>,
    /// The source address that the user asked for: every packet carries it.
    fixed: Option<IpAddr>,
    interface: Option<String>,
}

impl Lookup {
    /// Opens the sockets. The inner error says that the kernel refuses such sockets.
    pub fn open(
        sockets: SendingSocket,
        domain: Domain,
        origin: &Origin,
    ) -> Result<io::Result<Self>, TransportError> {
        let socket = match sockets.open(domain) {
            Ok(socket) => socket,
            Err(error) => return Ok(Err(error)),
        };
        origin.check_interface(&socket)?;
        origin.fix(&socket, domain)?;
        Ok(Ok(Lookup {
            socket,
            port: sockets.port(),
            // Without it, only the fixed choice among several next hops is lost.
            steady: with_own_port(domain).ok(),
            fixed: origin.source(domain == Domain::IPV6),
            interface: origin.interface.clone(),
        }))
    }

    /// Returns the source towards `destination`. If the user named a source, returns that one without asking the kernel. If there
    /// is then no route, the kernel says so when the probe is sent.
    pub fn ask(
        &self,
        destination: IpAddr,
        several_next_hops: bool,
    ) -> Result<IpAddr, UnsentReason> {
        match (self.fixed, &self.steady) {
            (Some(source), _) => usable(source, destination),
            (None, Some(steady)) if several_next_hops && self.interface.is_none() => {
                self.ask_kernel(steady, SocketAddr::new(destination, PORT))
            }
            (None, _) => self.ask_kernel(&self.socket, SocketAddr::new(destination, self.port)),
        }
    }

    /// Whether the user chose the source.
    pub fn has_fixed_source(&self) -> bool {
        self.fixed.is_some()
    }

    /// Whether the kernel chooses both interface and source.
    pub fn has_choice(&self) -> bool {
        self.interface.is_none() && self.fixed.is_none()
    }

    /// Why there is no route to `destination` now; `None` if there is one.
    pub fn refusal(&self, destination: IpAddr) -> Option<UnsentReason> {
        self.ask_kernel(&self.socket, SocketAddr::new(destination, self.port))
            .err()
    }

    fn ask_kernel(&self, socket: &Socket, to: SocketAddr) -> Result<IpAddr, UnsentReason> {
        if to.ip().is_unspecified() {
            return Err(UnsentReason::Invalid);
        }
        let ask = || {
            // A connected socket keeps its source address over further connects, so disconnect it first. The kernel then
            // forgets the interface, too.
            sys::disconnect(socket.as_fd())?;
            if let Some(name) = &self.interface {
                socket.bind_device(Some(name.as_bytes()))?;
            }
            socket.connect(&to.into())?;
            socket.local_addr()
        };
        ask()
            .map_err(|error| unsent_reason(error.raw_os_error().unwrap_or(libc::EIO)))?
            .as_socket()
            .map(|address| address.ip())
            .ok_or(UnsentReason::NoRoute)
            .and_then(|source| usable(source, to.ip()))
    }
}

/// A UDP socket that keeps its source port when it is disconnected. It does so only if the port was asked for by number. So the
/// kernel first names a free port, which another program may take in between.
fn with_own_port(domain: Domain) -> io::Result<Socket> {
    const ATTEMPTS: u32 = 16;
    let any: IpAddr = match domain {
        Domain::IPV6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    };
    let mut result = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for _ in 0..ATTEMPTS {
        let free = UdpSocket::bind((any, 0))?.local_addr()?;
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        result = socket.bind(&free.into()).map(|()| socket);
        if result.is_ok() {
            break;
        }
    }
    result
}
