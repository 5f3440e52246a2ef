//! The packet that an ICMP error quotes: an IP header, and behind it a transport part by protocol.

use std::net::IpAddr;

/// A quoted packet, as it reached the responder. A field that the quote does not show is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedProbe {
    /// Source address.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// TTL as it reached the responder.
    pub ttl: Option<u8>,
    /// Type of service as it reached the responder.
    pub tos: Option<u8>,
    /// IP ID (IPv4).
    pub ip_id: Option<u16>,
    /// Flow label (IPv6).
    pub flow_label: Option<u32>,
    /// The length that the IP header states, that header included, bytes.
    pub length: Option<u32>,
    /// How many bytes of the packet came back, IP header included, if that is known.
    pub quote_size: Option<u16>,
    /// What follows the IP header.
    pub transport: QuotedTransport,
}

impl QuotedProbe {
    /// A quote that shows its destination, its protocol and `transport`, and nothing else.
    pub fn bare(destination: IpAddr, protocol: u8, transport: QuotedTransport) -> Self {
        QuotedProbe {
            source: None,
            destination,
            protocol,
            ttl: None,
            tos: None,
            ip_id: None,
            flow_label: None,
            length: None,
            quote_size: None,
            transport,
        }
    }

    /// UDP or TCP source port.
    pub fn src_port(&self) -> Option<u16> {
        match &self.transport {
            QuotedTransport::Udp(udp) => udp.src_port,
            QuotedTransport::Tcp(tcp) => tcp.src_port,
            QuotedTransport::Echo(_) | QuotedTransport::Other(_) => None,
        }
    }

    /// UDP or TCP destination port.
    pub fn dst_port(&self) -> Option<u16> {
        match &self.transport {
            QuotedTransport::Udp(udp) => udp.dst_port,
            QuotedTransport::Tcp(tcp) => tcp.dst_port,
            QuotedTransport::Echo(_) | QuotedTransport::Other(_) => None,
        }
    }

    /// ICMP echo identifier.
    pub fn icmp_id(&self) -> Option<u16> {
        match &self.transport {
            QuotedTransport::Echo(echo) => echo.identifier,
            _ => None,
        }
    }

    /// Transport checksum.
    pub fn checksum(&self) -> Option<u16> {
        match &self.transport {
            QuotedTransport::Udp(udp) => udp.checksum,
            QuotedTransport::Tcp(tcp) => tcp.checksum,
            QuotedTransport::Echo(echo) => echo.checksum,
            QuotedTransport::Other(_) => None,
        }
    }

    /// The 64-bit tag in the payload.
    pub fn tag(&self) -> Option<u64> {
        match &self.transport {
            QuotedTransport::Udp(udp) => udp.tag,
            QuotedTransport::Echo(echo) => echo.tag,
            QuotedTransport::Tcp(_) | QuotedTransport::Other(_) => None,
        }
    }

    /// The serial in the payload.
    pub fn serial(&self) -> Option<u16> {
        match &self.transport {
            QuotedTransport::Udp(udp) => udp.serial,
            QuotedTransport::Echo(echo) => echo.serial,
            QuotedTransport::Tcp(_) | QuotedTransport::Other(_) => None,
        }
    }
}

/// What a quote shows behind the IP header, by protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotedTransport {
    /// A UDP datagram.
    Udp(QuotedUdp),
    /// An ICMP echo request.
    Echo(QuotedEcho),
    /// A TCP segment.
    Tcp(QuotedTcp),
    /// The bytes of a packet of another kind, for a protocol that reads them itself. Empty for a later fragment, which has no
    /// transport header.
    Other(Box<[u8]>),
}

/// A quoted UDP datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotedUdp {
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// The length field, bytes.
    pub length: Option<u16>,
    /// Checksum.
    pub checksum: Option<u16>,
    /// The tag in the payload.
    pub tag: Option<u64>,
    /// The serial in the payload.
    pub serial: Option<u16>,
}

/// A quoted ICMP echo request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotedEcho {
    /// Identifier.
    pub identifier: Option<u16>,
    /// Sequence number.
    pub sequence: Option<u16>,
    /// Checksum.
    pub checksum: Option<u16>,
    /// The tag in the payload.
    pub tag: Option<u64>,
    /// The serial in the payload.
    pub serial: Option<u16>,
}

/// A quoted TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotedTcp {
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// Sequence number.
    pub sequence: Option<u32>,
    /// Checksum.
    pub checksum: Option<u16>,
}
