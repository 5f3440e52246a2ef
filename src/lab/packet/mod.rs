//! Packets of the vantage point, checked once as the first router would check them, and the segments that it receives.
//! IPv4 (RFC 791), and IPv6 (RFC 8200) without extension headers.

pub(super) mod address;
pub(super) mod checksum;
pub(super) mod envelope;
pub(super) mod extension;
pub(super) mod message;
pub(super) mod wrapping;

use std::net::IpAddr;

use self::address::{Family, ipv4_at, ipv6_at, is_forwarded};

/// Protocol number of ICMP.
pub(in crate::lab) const ICMP: u8 = 1;
/// Protocol number of TCP.
pub(in crate::lab) const TCP: u8 = 6;
/// Protocol number of UDP.
pub(in crate::lab) const UDP: u8 = 17;
/// Protocol number of ICMPv6.
pub(in crate::lab) const ICMPV6: u8 = 58;
/// Next header number of an IPv6 fragment.
const FRAGMENT: u8 = 44;

/// Why the first router drops a packet silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Refusal {
    /// Not IP, or lengths that do not fit, or a wrong header checksum.
    Malformed,
    /// A fragment. The lab does not reassemble.
    Fragment,
    /// The source is not the vantage point's address, or no router forwards to the destination.
    Address,
    /// An ICMP message that gets no answer.
    Unanswerable,
}

/// A packet with a valid IP header.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Packet<'a> {
    bytes: &'a [u8],
    header: usize,
    source: IpAddr,
    destination: IpAddr,
}

impl<'a> Packet<'a> {
    /// Checks `bytes`. Bytes beyond the length in the IP header are cut off.
    pub(in crate::lab) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let packet = match bytes.first().map(|first| first >> 4) {
            Some(4) => Self::parse_v4(bytes)?,
            Some(6) => Self::parse_v6(bytes)?,
            _ => return Err(Refusal::Malformed),
        };
        if !is_forwarded(packet.destination) {
            return Err(Refusal::Address);
        }
        // Errors about ICMP messages other than requests are forbidden (RFC 1122, RFC 4443). The lab simulates echo requests only.
        if packet.is_icmp() && !packet.is_echo_request() {
            return Err(Refusal::Unanswerable);
        }
        Ok(packet)
    }

    fn parse_v4(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let header = usize::from(bytes[0] & 0x0f) * 4;
        if header < 20 || bytes.len() < header {
            return Err(Refusal::Malformed);
        }
        let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if total < header || total > bytes.len() || !checksum::is_intact(&bytes[..header]) {
            return Err(Refusal::Malformed);
        }
        // More fragments, or an offset.
        if u16::from_be_bytes([bytes[6], bytes[7]]) & 0x3fff != 0 {
            return Err(Refusal::Fragment);
        }
        Ok(Packet {
            bytes: &bytes[..total],
            header,
            source: ipv4_at(bytes, 12),
            destination: ipv4_at(bytes, 16),
        })
    }

    fn parse_v6(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let header = Family::V6.header();
        if bytes.len() < header {
            return Err(Refusal::Malformed);
        }
        let total = header + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        if total > bytes.len() {
            return Err(Refusal::Malformed);
        }
        if bytes[6] == FRAGMENT {
            return Err(Refusal::Fragment);
        }
        Ok(Packet {
            bytes: &bytes[..total],
            header,
            source: ipv6_at(bytes, 8),
            destination: ipv6_at(bytes, 24),
        })
    }

    pub(in crate::lab) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(in crate::lab) fn header_length(&self) -> usize {
        self.header
    }

    pub(in crate::lab) fn transport(&self) -> &'a [u8] {
        &self.bytes[self.header..]
    }

    pub(in crate::lab) fn family(&self) -> Family {
        Family::of(self.destination)
    }

    pub(in crate::lab) fn source(&self) -> IpAddr {
        self.source
    }

    pub(in crate::lab) fn destination(&self) -> IpAddr {
        self.destination
    }

    pub(in crate::lab) fn protocol(&self) -> u8 {
        match self.family() {
            Family::V4 => self.bytes[9],
            Family::V6 => self.bytes[6],
        }
    }

    /// The TOS, or traffic class.
    pub(in crate::lab) fn tos(&self) -> u8 {
        match self.family() {
            Family::V4 => self.bytes[1],
            Family::V6 => self.bytes[0] << 4 | self.bytes[1] >> 4,
        }
    }

    /// The IP ID; 0 in IPv6, which has no such field.
    pub(in crate::lab) fn ip_id(&self) -> u16 {
        match self.family() {
            Family::V4 => u16::from_be_bytes([self.bytes[4], self.bytes[5]]),
            Family::V6 => 0,
        }
    }

    /// The TTL, or hop limit.
    pub(in crate::lab) fn ttl(&self) -> u8 {
        match self.family() {
            Family::V4 => self.bytes[8],
            Family::V6 => self.bytes[7],
        }
    }

    /// The IPv6 flow label; 0 in IPv4 and if there is no label.
    pub(in crate::lab) fn flow_label(&self) -> u32 {
        match self.family() {
            Family::V4 => 0,
            Family::V6 => {
                u32::from_be_bytes([0, self.bytes[1] & 0x0f, self.bytes[2], self.bytes[3]])
            }
        }
    }

    /// Whether routers may cut it into fragments: IPv4 without DF.
    pub(in crate::lab) fn may_be_fragmented(&self) -> bool {
        self.family() == Family::V4 && self.bytes[6] & 0x40 == 0
    }

    /// What a per-flow balancer hashes besides addresses and protocol: the ports, or the identifier and checksum of an echo request.
    pub(in crate::lab) fn ports(&self) -> [u16; 2] {
        let words = |a, b| [self.word(a), self.word(b)];
        match self.transport().len() {
            // An echo request: `parse` accepts no other ICMP.
            _ if self.is_icmp() => words(4, 2),
            4.. => words(0, 2),
            _ => [0, 0],
        }
    }

    /// The offset of the checksum in the transport header. `None` for unknown protocols, and for packets too short to have a checksum.
    pub(in crate::lab) fn checksum_offset(&self) -> Option<usize> {
        let offset = match self.protocol() {
            ICMP if self.is_icmp() => 2,
            protocol => checksum_offset(protocol)?,
        };
        (self.transport().len() >= offset + 2).then_some(offset)
    }

    /// The offset of the field that distinguishes a host's flows: the source port, or the identifier of an echo request.
    /// `None` for other protocols, and for packets too short to have ports.
    pub(in crate::lab) fn source_number_offset(&self) -> Option<usize> {
        match self.protocol() {
            UDP | TCP if self.transport().len() >= 4 => Some(0),
            _ if self.is_icmp() => Some(4),
            _ => None,
        }
    }

    /// The transport checksum, if there is one.
    pub(in crate::lab) fn checksum(&self) -> Option<u16> {
        self.checksum_offset().map(|offset| self.word(offset))
    }

    /// Whether a host accepts this UDP datagram: the lengths fit and the checksum is right. In IPv4 the checksum may be missing (0).
    pub(in crate::lab) fn is_sound_udp(&self) -> bool {
        if self.transport().len() < 8 {
            return false;
        }
        let length = self.word(4);
        let Some(datagram) = self.transport().get(..usize::from(length)) else {
            return false;
        };
        let unchecked = self.word(6) == 0 && self.family() == Family::V4;
        length >= 8 && (unchecked || self.word(6) != 0 && self.adds_up(datagram))
    }

    /// Whether this is an ICMP echo request.
    pub(in crate::lab) fn is_echo_request(&self) -> bool {
        let expected = match self.family() {
            Family::V4 => (ICMP, 8),
            Family::V6 => (ICMPV6, 128),
        };
        matches!(self.transport(), [kind, 0, _, _, _, _, _, _, ..] if (self.protocol(), *kind) == expected)
    }

    /// Whether a host accepts this ICMP message.
    pub(in crate::lab) fn is_sound_icmp(&self) -> bool {
        match self.family() {
            Family::V4 => checksum::is_intact(self.transport()),
            Family::V6 => self.adds_up(self.transport()),
        }
    }

    /// Whether `message`, the start of the transport part, has a right checksum over itself and the pseudo-header.
    pub(in crate::lab) fn adds_up(&self, message: &[u8]) -> bool {
        // No IP packet holds more than 65,535 bytes.
        let length = message.len() as u16;
        let pseudo =
            checksum::pseudo_header(self.source, self.destination, self.protocol(), length);
        checksum::sum(message, pseudo) == 0xffff
    }

    /// Whether the packet carries the ICMP version of its family.
    fn is_icmp(&self) -> bool {
        match self.family() {
            Family::V4 => self.protocol() == ICMP,
            Family::V6 => self.protocol() == ICMPV6,
        }
    }

    /// Reads 16 bits at `offset` of the transport header. The header must be long enough.
    fn word(&self, offset: usize) -> u16 {
        let transport = self.transport();
        u16::from_be_bytes([transport[offset], transport[offset + 1]])
    }
}

/// The offset of the checksum that covers the addresses, in a header of `protocol`.
pub(in crate::lab) const fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        UDP => Some(6),
        TCP => Some(16),
        ICMPV6 => Some(2),
        _ => None,
    }
}
