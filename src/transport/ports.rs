//! The source ports of a run.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use socket2::{Domain, Socket, Type};

use super::{Origin, TransportError};
use crate::model::Protocol;

/// Consecutive source ports, held as long as this value lives.
///
/// No other program can bind these ports. So two runs on one host differ in their ports, and our kernel does not answer targets'
/// UDP replies with a port unreachable.
///
/// | protocol | sockets |
/// |---|---|
/// | UDP | bound; read from only by the `dgram` transport, which also sends through them |
/// | TCP | bound, not listening, so that our kernel resets the connections that targets accept |
/// | ICMP | no sockets, because there are no ports; in the `dgram` transport ping sockets (icmp(7)), with identifiers as ports |
#[derive(Debug)]
pub struct PortBlock {
    base: u16,
    asked: u16,
    flows: u16,
    /// By flow.
    sockets: Vec<FlowSockets>,
}

/// The protocols that ordinary sockets send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DgramProtocol {
    /// UDP datagrams.
    Udp,
    /// ICMP echo requests.
    Icmp,
}

/// A kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortSocket {
    Datagram,
    Stream,
    Ping,
}

impl PortSocket {
    fn open(self, domain: Domain) -> io::Result<Socket> {
        let (kind, protocol) = match self {
            PortSocket::Datagram => (Type::DGRAM, None),
            PortSocket::Stream => (Type::STREAM, None),
            PortSocket::Ping if domain == Domain::IPV6 => {
                (Type::DGRAM, Some(socket2::Protocol::ICMPV6))
            }
            PortSocket::Ping => (Type::DGRAM, Some(socket2::Protocol::ICMPV4)),
        };
        Socket::new(domain, kind, protocol)
    }

    /// The error if a socket for one of `flows` ports cannot be had.
    fn refused(self, flows: u16, source: io::Error) -> TransportError {
        match source.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) if flows > 1 => {
                TransportError::TooManyFiles { flows, source }
            }
            Some(libc::EACCES) if self == PortSocket::Ping => TransportError::ping(source),
            _ => TransportError::Opening {
                socket: "a socket for a source port",
                source,
            },
        }
    }
}

/// Why a port was not bound.
#[derive(Debug)]
enum BindFailure {
    /// There is no socket to bind, for this port and all others.
    Socket(io::Error),
    /// The port is taken, reserved or otherwise refused. Another port may be free.
    Port(io::Error),
}

impl BindFailure {
    fn errno(&self) -> Option<i32> {
        match self {
            BindFailure::Socket(error) | BindFailure::Port(error) => error.raw_os_error(),
        }
    }
}

/// The sockets of one flow, which hold its port.
#[derive(Debug)]
struct FlowSockets {
    v4: Socket,
    /// Absent on a machine without IPv6.
    v6: Option<Socket>,
}

impl PortBlock {
    /// Binds `flows` ports from `base` on. If one of them is taken, binds the next free block: base + flows, base + 2·flows …
    /// below the ephemeral range, then from 1025 up.
    ///
    /// # Errors
    /// [`TransportError`], if no block is free, or if there are not so many ports.
    pub fn bind(protocol: Protocol, base: u16, flows: u16) -> Result<Self, TransportError> {
        let kind = match protocol {
            Protocol::Udp => Some(PortSocket::Datagram),
            Protocol::Tcp => Some(PortSocket::Stream),
            Protocol::Icmp => None,
        };
        Self::bind_kind(kind, base, flows, &Origin::default())
    }

    /// A block that binds no ports, for protocols without ports and for transports that do not use those of this host.
    pub fn unbound(base: u16, flows: u16) -> Result<Self, TransportError> {
        Self::bind_kind(None, base, flows, &Origin::default())
    }

    /// As [`bind`](PortBlock::bind), with the addresses and the interface of `origin`, for a transport that sends through the
    /// sockets. ICMP needs an entry in `net.ipv4.ping_group_range`.
    pub(super) fn bind_from(
        protocol: DgramProtocol,
        base: u16,
        flows: u16,
        origin: &Origin,
    ) -> Result<Self, TransportError> {
        let kind = match protocol {
            DgramProtocol::Udp => PortSocket::Datagram,
            DgramProtocol::Icmp => PortSocket::Ping,
        };
        Self::bind_kind(Some(kind), base, flows, origin)
    }

    fn bind_kind(
        kind: Option<PortSocket>,
        base: u16,
        flows: u16,
        origin: &Origin,
    ) -> Result<Self, TransportError> {
        let last = u32::from(base) + u32::from(flows.max(1)) - 1;
        if base == 0 || flows == 0 || last > u32::from(u16::MAX) {
            return Err(TransportError::PortsOutOfRange { base, flows });
        }
        let Some(kind) = kind else {
            return Ok(PortBlock {
                base,
                asked: base,
                flows,
                sockets: Vec::new(),
            });
        };
        let mut refusal = io::Error::from_raw_os_error(libc::EADDRINUSE);
        for first in candidates(base, flows, ephemeral_start()) {
            match bind_all(kind, first, flows, origin) {
                Ok(sockets) => {
                    return Ok(PortBlock {
                        base: first,
                        asked: base,
                        flows,
                        sockets,
                    });
                }
                // Another block would fail in the same way.
                Err(BindFailure::Socket(source)) => return Err(kind.refused(flows, source)),
                Err(BindFailure::Port(error)) => refusal = error,
            }
        }
        Err(TransportError::PortsTaken {
            base,
            flows,
            source: refusal,
        })
    }

    /// The first port: the source port of flow 0.
    pub fn base(&self) -> u16 {
        self.base
    }

    /// Whether the block is another one than was asked for.
    pub fn moved(&self) -> bool {
        self.base != self.asked
    }

    /// The socket that holds `port` in one family, if there is one.
    pub(super) fn socket(&self, port: u16, ipv6: bool) -> Option<&Socket> {
        let sockets = self
            .sockets
            .get(usize::from(port.checked_sub(self.base)?))?;
        match ipv6 {
            false => Some(&sockets.v4),
            true => sockets.v6.as_ref(),
        }
    }

    /// All sockets, each with its port.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (u16, &Socket)> {
        self.ports().zip(&self.sockets).flat_map(|(port, sockets)| {
            std::iter::once(&sockets.v4)
                .chain(&sockets.v6)
                .map(move |socket| (port, socket))
        })
    }

    /// The ports (ICMP: the identifiers).
    pub fn ports(&self) -> RangeInclusive<u16> {
        self.base..=self.base + (self.flows - 1)
    }
}

/// The first ports of the blocks to try, in order: the block asked for, then the blocks between 1025 and the ephemeral range.
fn candidates(base: u16, flows: u16, ephemeral: u16) -> impl Iterator<Item = u16> {
    let usable: Range<u32> = 1025..ephemeral.into();
    let step = u32::from(flows);
    let above = (u32::from(base)..usable.end).step_by(flows.into());
    let below = (usable.start..u32::from(base)).step_by(flows.into());
    let fits = move |first: &u32| usable.contains(first) && first + step <= usable.end;
    std::iter::once(u32::from(base))
        .chain(above.skip(1).filter(fits.clone()))
        .chain(below.filter(fits))
        .filter_map(|first| u16::try_from(first).ok())
}

/// The first port of the ephemeral range, from which the kernel chooses ports.
fn ephemeral_start() -> u16 {
    /// The kernel's default.
    const DEFAULT: u16 = 32768;
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(DEFAULT)
}

fn bind_all(
    kind: PortSocket,
    first: u16,
    flows: u16,
    origin: &Origin,
) -> Result<Vec<FlowSockets>, BindFailure> {
    let address = |ipv6: bool, unspecified: IpAddr| origin.source(ipv6).unwrap_or(unspecified);
    let v4 = address(false, Ipv4Addr::UNSPECIFIED.into());
    let v6 = address(true, Ipv6Addr::UNSPECIFIED.into());
    let bind = |port: u16| {
        let v4 = bind_one(kind, v4, port, origin, false)?;
        // Both families share one table of identifiers. So the two sockets of a flow must be allowed to share theirs, only
        // while the second one is bound.
        let shares = kind == PortSocket::Ping;
        if shares {
            v4.set_reuse_address(true).map_err(BindFailure::Socket)?;
        }
        let v6 = match bind_one(kind, v6, port, origin, shares) {
            Ok(socket) => Some(socket),
            Err(failure) if is_without_ipv6(&failure) => None,
            Err(error) => return Err(error),
        };
        if shares {
            for socket in std::iter::once(&v4).chain(&v6) {
                socket
                    .set_reuse_address(false)
                    .map_err(BindFailure::Socket)?;
            }
        }
        Ok(FlowSockets { v4, v6 })
    };
    (first..=first + (flows - 1)).map(bind).collect()
}

/// Whether the failure says that this machine has no IPv6 sockets, or no IPv6 on any interface (`net.ipv6.conf.all.disable_ipv6`).
fn is_without_ipv6(failure: &BindFailure) -> bool {
    matches!(
        failure.errno(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}

fn bind_one(
    kind: PortSocket,
    address: IpAddr,
    port: u16,
    origin: &Origin,
    shares: bool,
) -> Result<Socket, BindFailure> {
    let address = SocketAddr::new(address, port);
    let open = || {
        let socket = kind.open(Domain::for_address(address))?;
        if kind == PortSocket::Ping {
            // By default the kernel lets ping sockets share an identifier, even with other programs.
            socket.set_reuse_address(shares)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if let Some(name) = &origin.interface {
            socket.bind_device(Some(name.as_bytes()))?;
        }
        // Most sockets are never read: their receive buffer should take as little memory as the kernel allows.
        socket.set_recv_buffer_size(1)?;
        Ok(socket)
    };
    let socket = open().map_err(BindFailure::Socket)?;
    match socket.bind(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error) if concerns_port(&error) => Err(BindFailure::Port(error)),
        Err(error) => Err(BindFailure::Socket(error)),
    }
}

/// Whether bind was refused for this port or address: it is taken, reserved for others, or not ours.
fn concerns_port(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EADDRINUSE | libc::EACCES | libc::EPERM | libc::EINVAL | libc::EADDRNOTAVAIL)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_tried_upwards_below_the_ephemeral_range_and_then_from_the_bottom() {
        let tried: Vec<u16> = candidates(3000, 500, 4200).collect();
        assert_eq!(tried, [3000, 3500, 1025, 1525, 2025, 2525]);
    }

    #[test]
    fn a_base_in_the_ephemeral_range_is_tried_because_it_was_asked_for() {
        let tried: Vec<u16> = candidates(40000, 20000, 32768).collect();
        assert_eq!(tried, [40000, 1025]);
    }

    #[test]
    fn ports_beyond_65535_are_refused_by_name() {
        let error = PortBlock::bind(Protocol::Udp, 65000, 1000).unwrap_err();
        assert!(matches!(
            error,
            TransportError::PortsOutOfRange {
                base: 65000,
                flows: 1000
            }
        ));
        assert!(PortBlock::bind(Protocol::Udp, 1, 0).is_err());
    }
}
