//! One question to the kernel: which of our addresses does a packet to this destination leave with?
//!
//! It is asked by connecting a socket of the kind that sends, which sends nothing. Nothing is remembered here.

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

/// Any port will do: connecting a datagram socket sends nothing, it only looks up the route.
const PORT: u16 = 33434;

/// What sends: look-ups use sockets of the same kind, so that rules by protocol give the same answer as they will give to the
/// probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum SendingSocket {
    /// A raw socket (IPPROTO_RAW).
    Raw,
    /// An ordinary one.
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
            (SendingSocket::Dgram(DgramProtocol::Icmp), Some(libc::EACCES | libc::EPERM)) => {
                TransportError::ping(error)
            }
            _ => TransportError::opening("a socket for route look-ups", error),
        }
    }

    /// The port to connect to. Raw probes have none as far as the routing tables are concerned.
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
    /// A UDP socket with a port of its own. Between several next hops the kernel chooses by a hash of the ports: with another
    /// source port at every look-up, a destination would have another way out each time.
    steady: Option<Socket>,
    /// The address of ours that was asked for: every packet leaves with it.
    fixed: Option<IpAddr>,
    interface: Option<String>,
}

impl Lookup {
    /// The inner error: the kernel does not have such sockets.
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
            // Without one, only the steadiness over several next hops is lost.
            steady: with_own_port(domain).ok(),
            fixed: origin.source(domain == Domain::IPV6),
            interface: origin.interface.clone(),
        }))
    }

    /// Returns the source towards `destination`. If the user named a source, that is it, and the kernel is not asked. If the kernel then
    /// has no way, it says so when the probe is sent.
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

    /// Whether the kernel chooses interface and source.
    pub fn has_choice(&self) -> bool {
        self.interface.is_none() && self.fixed.is_none()
    }

    /// Why there is no way to `destination` now.
    pub fn refusal(&self, destination: IpAddr) -> Option<UnsentReason> {
        self.ask_kernel(&self.socket, SocketAddr::new(destination, self.port))
            .err()
    }

    fn ask_kernel(&self, socket: &Socket, to: SocketAddr) -> Result<IpAddr, UnsentReason> {
        if to.ip().is_unspecified() {
            return Err(UnsentReason::Invalid);
        }
        let ask = || {
            // A socket once connected keeps its source address over further connects: that must be undone first. With the
            // address the kernel forgets the interface.
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

/// A UDP socket that keeps its source port when it is disconnected: one that was asked for by number. The kernel names a free
/// one first, which somebody else may take in between.
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
