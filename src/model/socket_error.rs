//! Messages from the kernel to ordinary sockets: ICMP errors about sent packets, and replies. The kernel hides IP headers, so less is
//! known than about whole packets.

use std::net::IpAddr;

/// An ICMP error in a socket's error queue (`IP_RECVERR`, ip(7); `IPV6_RECVERR`, ipv6(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketError<'a> {
    /// The sender of the error. All addresses here have its family.
    pub offender: IpAddr,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// Its code.
    pub icmp_code: u8,
    /// The quoted destination.
    pub destination: IpAddr,
    /// The packet that the error is about.
    pub about: SentBySocket,
    /// The bytes after the headers that the kernel removed, up to the end of the message: the rest of the quote, padding and extensions.
    pub returned: &'a [u8],
    /// The offset in `returned` of the extension structure (RFC 4884), if the message announces one.
    pub extensions_at: Option<usize>,
    /// The further value that the kernel reports: the MTU of a fragmentation-needed or packet-too-big message.
    pub info: u32,
    /// The error's own TTL on arrival.
    pub ttl: Option<u8>,
    /// The error's type of service or traffic class.
    pub tos: Option<u8>,
}

/// The packet of an ordinary socket, and the headers that the kernel removes from its quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentBySocket {
    /// A UDP datagram. The IP and UDP headers are removed.
    Datagram {
        /// Our port. The kernel found the socket by it in the quote.
        src_port: u16,
        /// The quoted destination port.
        dst_port: u16,
    },
    /// An echo request of a ping socket. The IP header is removed, the ICMP header is not.
    Echo,
}

/// A UDP datagram that arrived at a port of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The sender.
    pub source: IpAddr,
    /// The sender's port.
    pub src_port: u16,
    /// Our port.
    pub dst_port: u16,
    /// Its payload.
    pub payload: &'a [u8],
    /// Its TTL on arrival.
    pub ttl: Option<u8>,
    /// Its type of service or traffic class.
    pub tos: Option<u8>,
}

/// An ICMP message that arrived at a ping socket (`SOCK_DGRAM`, icmp(7)). In all known cases it is an echo reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoMessage<'a> {
    /// The sender.
    pub source: IpAddr,
    /// The message from its ICMP header on.
    pub message: &'a [u8],
    /// Its TTL on arrival.
    pub ttl: Option<u8>,
    /// Its type of service or traffic class.
    pub tos: Option<u8>,
}
