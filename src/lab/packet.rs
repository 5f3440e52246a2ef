//! The packets that the vantage point sends, checked once as the first router would.

use std::net::Ipv4Addr;

use super::checksum;

/// Protocol number of ICMP.
pub(super) const ICMP: u8 = 1;
/// Protocol number of UDP.
pub(super) const UDP: u8 = 17;

/// Why the first router drops a packet without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not IPv4, or lengths that do not fit, or a wrong header checksum.
    Malformed,
    /// A fragment: the lab does not reassemble.
    Fragment,
    /// A source that is not the vantage point, or a destination that no router forwards to.
    Address,
    /// An ICMP message that nobody answers.
    Unanswerable,
}

/// A packet whose IP header is sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    bytes: &'a [u8],
    header: usize,
}

impl<'a> Packet<'a> {
    /// Checks `bytes`; what lies behind the IP total length is cut off.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let first = *bytes.first().ok_or(Refusal::Malformed)?;
        let header = usize::from(first & 0x0f) * 4;
        if first >> 4 != 4 || header < 20 || bytes.len() < header {
            return Err(Refusal::Malformed);
        }
        let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if total < header || total > bytes.len() || !checksum::is_intact(&bytes[..header]) {
            return Err(Refusal::Malformed);
        }
        let packet = Packet {
            bytes: &bytes[..total],
            header,
        };
        // More fragments, or an offset.
        if u16::from_be_bytes([bytes[6], bytes[7]]) & 0x3fff != 0 {
            return Err(Refusal::Fragment);
        }
        let destination = packet.destination();
        if destination.is_multicast()
            || destination.is_broadcast()
            || destination.is_unspecified()
            || destination.is_loopback()
        {
            return Err(Refusal::Address);
        }
        // Errors about ICMP messages other than requests are forbidden (RFC 1122), and only echo is simulated.
        if packet.protocol() == ICMP && !packet.is_echo_request() {
            return Err(Refusal::Unanswerable);
        }
        Ok(packet)
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn header_length(&self) -> usize {
        self.header
    }

    pub(super) fn transport(&self) -> &'a [u8] {
        &self.bytes[self.header..]
    }

    pub(super) fn protocol(&self) -> u8 {
        self.bytes[9]
    }

    pub(super) fn tos(&self) -> u8 {
        self.bytes[1]
    }

    pub(super) fn ttl(&self) -> u8 {
        self.bytes[8]
    }

    pub(super) fn source(&self) -> Ipv4Addr {
        self.address(12)
    }

    pub(super) fn destination(&self) -> Ipv4Addr {
        self.address(16)
    }

    /// What a per-flow balancer hashes behind the addresses: the ports, or for ICMP type and code, and checksum.
    pub(super) fn ports(&self) -> [u16; 2] {
        match *self.transport() {
            [a, b, c, d, ..] => [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])],
            _ => [0, 0],
        }
    }

    /// The UDP checksum; `None` for other protocols, and where the packet is too short to have one.
    pub(super) fn udp_checksum(&self) -> Option<u16> {
        (self.protocol() == UDP && self.transport().len() >= 8).then(|| self.word(6))
    }

    /// Whether a host takes this UDP datagram in: lengths that fit and, unless it is 0, a right checksum.
    pub(super) fn is_sound_udp(&self) -> bool {
        let Some(field) = self.udp_checksum() else {
            return false;
        };
        let length = self.word(4);
        let Some(datagram) = self.transport().get(..usize::from(length)) else {
            return false;
        };
        let pseudo = checksum::pseudo_header(self.source(), self.destination(), UDP, length);
        length >= 8 && (field == 0 || checksum::sum(datagram, pseudo) == 0xffff)
    }

    /// Whether this is an ICMP echo request.
    pub(super) fn is_echo_request(&self) -> bool {
        self.protocol() == ICMP && matches!(self.transport(), [8, 0, _, _, _, _, _, _, ..])
    }

    /// Whether a host takes this ICMP message in.
    pub(super) fn is_sound_icmp(&self) -> bool {
        checksum::is_intact(self.transport())
    }

    /// The 16 bits at `offset` of the transport header, which the caller knows to be there.
    fn word(&self, offset: usize) -> u16 {
        let transport = self.transport();
        u16::from_be_bytes([transport[offset], transport[offset + 1]])
    }

    fn address(&self, offset: usize) -> Ipv4Addr {
        let b = &self.bytes[offset..offset + 4];
        Ipv4Addr::new(b[0], b[1], b[2], b[3])
    }
}
