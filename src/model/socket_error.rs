//! What a kernel tells an ordinary socket: of ICMP errors about what it sent, and of what answers. IP headers are the kernel's to
//! read, so less is known than of whole packets.

use std::net::IpAddr;

/// An ICMP error as the socket's error queue gives it (`IP_RECVERR`, ip(7); `IPV6_RECVERR`, ipv6(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketError<'a> {
    /// Who sent the error; its family is that of everything here.
    pub offender: IpAddr,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// Its code.
    pub icmp_code: u8,
    /// The destination that the error quotes.
    pub destination: IpAddr,
    /// What the error is about.
    pub about: SentBySocket,
    /// What stands behind the headers that the kernel has taken off, to the end of the message: the quote's rest, padding and
    /// extensions.
    pub returned: &'a [u8],
    /// Where in `returned` the extension structure begins that the message announces (RFC 4884), if it announces one.
    pub extensions_at: Option<usize>,
    /// What the kernel passes on beside type and code: of a fragmentation-needed or packet-too-big message the MTU.
    pub info: u32,
    /// The error's own TTL on arrival.
    pub ttl: Option<u8>,
    /// The error's type of service or traffic class.
    pub tos: Option<u8>,
}

/// What an ordinary socket sends, and how much of it the kernel takes off a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentBySocket {
    /// A UDP datagram: IP and UDP header are taken off.
    Datagram {
        /// Our port: the socket's own, by which the kernel found it from the quote.
        src_port: u16,
        /// The destination port that the error quotes.
        dst_port: u16,
    },
    /// An echo request of a ping socket: the IP header is taken off, the ICMP header is there.
    Echo,
}

/// A UDP datagram that came to a port of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// From which port.
    pub src_port: u16,
    /// Our port.
    pub dst_port: u16,
    /// What it carries.
    pub payload: &'a [u8],
    /// Its TTL on arrival.
    pub ttl: Option<u8>,
    /// Its type of service or traffic class.
    pub tos: Option<u8>,
}

/// An ICMP message that came to a ping socket (`SOCK_DGRAM`, icmp(7)): an echo reply, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoMessage<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// From its ICMP header on.
    pub message: &'a [u8],
    /// Its TTL on arrival.
    pub ttl: Option<u8>,
    /// Its type of service or traffic class.
    pub tos: Option<u8>,
}
