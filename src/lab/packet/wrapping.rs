//! IPv6 extension headers in a quote and in front of a reply, and fragments.

use serde::Deserialize;

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum ExtensionHeader {
    /// Hop-by-hop options: padding.
    HopByHop,
    /// Destination options: padding.
    Destination,
    /// A routing header with no segments left.
    Routing,
    /// A fragment header on a packet that was not fragmented (RFC 6946).
    Fragment,
}

impl ExtensionHeader {
    const fn number(self) -> u8 {
        match self {
            ExtensionHeader::HopByHop => 0,
            ExtensionHeader::Destination => 60,
            ExtensionHeader::Routing => 43,
            ExtensionHeader::Fragment => FRAGMENT,
        }
    }

    /// The header, 8 bytes, in front of a header with the number `next`.
    const fn bytes(self, next: u8) -> [u8; 8] {
        match self {
            ExtensionHeader::HopByHop | ExtensionHeader::Destination => [next, 0, 1, 4, 0, 0, 0, 0],
            // Type 253 is for experiments (RFC 4727).
            ExtensionHeader::Routing => [next, 0, 253, 0, 0, 0, 0, 0],
            ExtensionHeader::Fragment => [next, 0, 0, 0, 0, 0, 0, 1],
        }
    }
}

/// The largest number of headers in a row.
pub(in crate::lab) const MOST_HEADERS: usize = 4;
/// Number of a fragment header.
const FRAGMENT: u8 = 44;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

/// A chain of extension headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lab) struct Headers([Option<ExtensionHeader>; MOST_HEADERS]);

impl Headers {
    /// The first of `headers`.
    pub(in crate::lab) fn new(headers: &[ExtensionHeader]) -> Self {
        let mut kept = [None; MOST_HEADERS];
        for (to, from) in kept.iter_mut().zip(headers) {
            *to = Some(*from);
        }
        Headers(kept)
    }

    /// Inserts the headers into an IPv6 packet, which may be truncated. Returns the number of inserted bytes. The payload length stays.
    pub(in crate::lab) fn insert(self, packet: &mut Vec<u8>) -> usize {
        let mut next = packet[6];
        let mut bytes = Vec::new();
        for header in self.0.iter().rev().flatten() {
            bytes.splice(..0, header.bytes(next));
            next = header.number();
        }
        packet[6] = next;
        let size = bytes.len();
        packet.splice(IPV6_HEADER..IPV6_HEADER, bytes);
        size
    }
}

/// How replies leave a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lab) struct Wrapping {
    /// Headers in front of replies over IPv6.
    pub(in crate::lab) headers: Headers,
    /// If a reply is larger, it leaves in fragments of this many bytes each, a multiple of 8.
    pub(in crate::lab) fragments: Option<u16>,
}

impl Wrapping {
    /// Returns the packets in which `packet` leaves.
    pub(in crate::lab) fn wrap(self, mut packet: Vec<u8>, identification: u32) -> Vec<Vec<u8>> {
        let mut header = IPV4_HEADER;
        if packet[0] >> 4 == 6 {
            let more = self.headers.insert(&mut packet);
            lengthen(&mut packet, more);
            header = IPV6_HEADER + more;
        }
        match self.fragments.map(usize::from) {
            Some(size) if packet.len() - header > size => {
                cut(&packet, header, size, identification)
            }
            _ => vec![packet],
        }
    }
}

/// Adds to the payload length of an IPv6 packet.
pub(in crate::lab) fn lengthen(packet: &mut [u8], more: usize) {
    let length = u16::from_be_bytes([packet[4], packet[5]]) + more as u16;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
}

/// Cuts a packet after its first `header` bytes.
fn cut(packet: &[u8], header: usize, size: usize, identification: u32) -> Vec<Vec<u8>> {
    let (head, data) = packet.split_at(header);
    let chunks = data.chunks(size).enumerate();
    chunks
        .map(|(at, chunk)| {
            let offset = at * size;
            let more = offset + chunk.len() < data.len();
            let mut piece = head.to_vec();
            if head[0] >> 4 == 6 {
                // The byte that names the transport protocol. It is in the last extension header (8 bytes each), or in the IPv6 header.
                let named_at = if header > IPV6_HEADER { header - 8 } else { 6 };
                piece.extend([head[named_at], 0]);
                piece.extend((offset as u16 | u16::from(more)).to_be_bytes());
                piece.extend(identification.to_be_bytes());
                piece[named_at] = FRAGMENT;
                let length = (piece.len() - IPV6_HEADER + chunk.len()) as u16;
                piece[4..6].copy_from_slice(&length.to_be_bytes());
            } else {
                let total = (header + chunk.len()) as u16;
                let place = (offset / 8) as u16 | u16::from(more) << 13;
                piece[2..4].copy_from_slice(&total.to_be_bytes());
                piece[4..6].copy_from_slice(&(identification as u16).to_be_bytes());
                piece[6..8].copy_from_slice(&place.to_be_bytes());
                piece[10..12].fill(0);
                let sum = super::checksum::checksum(&piece);
                piece[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            piece.extend(chunk);
            piece
        })
        .collect()
}
