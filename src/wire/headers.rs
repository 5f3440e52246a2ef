//! Walks IPv6 extension headers (RFC 8200, section 4) up to the protocol that a packet carries.
//!
//! - Hop-by-hop options, destination options, routing, fragment and authentication headers are skipped, in any order.
//! - Any other number ends the walk: it is the protocol.
//! - The order of the headers is not checked. A quote shows what arrived at a router, and an answer is proven by the secrets
//!   that it repeats.
//! - At most [`MOST_HEADERS`] headers and [`MOST_BYTES`] bytes are walked.

use crate::model::DiscardReason;
use crate::model::ipv6::{
    AUTHENTICATION, DESTINATION, FRAGMENT, HOP_BY_HOP, MOST_HEADERS, ROUTING,
};

/// The most bytes of extension headers that are walked.
pub const MOST_BYTES: usize = 1024;

/// The size of a fragment header, in bytes.
pub(super) const FRAGMENT_HEADER: usize = 8;

/// The result of a walk: what follows the extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    /// The protocol number. In a later fragment, that of the fragmented packet.
    pub protocol: u8,
    /// The start of the protocol's data, in bytes after the IPv6 header.
    pub offset: usize,
    /// The last fragment header in front of it.
    pub fragment: Option<FragmentHeader>,
}

/// A fragment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FragmentHeader {
    /// The start of the fragment header, in bytes after the IPv6 header.
    pub at: usize,
    /// The position of the byte that names it as the next header, in bytes after the IPv6 header. `None`: in the IPv6 header.
    pub named_at: Option<usize>,
    /// The number of the next header.
    pub next: u8,
    /// The position of the fragment in the fragmented data, in bytes.
    pub offset: usize,
    /// Whether more fragments follow.
    pub more: bool,
    /// The identification, which all fragments of a packet share.
    pub identification: u32,
}

impl FragmentHeader {
    /// Whether the packet is not fragmented in spite of the header (RFC 6946).
    pub fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// Whether `number` is an extension header that is skipped.
pub(super) const fn is_extension(number: u8) -> bool {
    matches!(
        number,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION
    )
}

/// Walks the headers at the start of `bytes`. They follow the IPv6 header, whose next header is `next`.
/// Ends at the protocol, or after the header of a later fragment. The data of a later fragment is not the start of a header.
pub(super) fn walk(next: u8, bytes: &[u8]) -> Result<Carried, DiscardReason> {
    walk_until(next, bytes, |fragment| fragment.offset > 0)
}

/// Like [`walk`], but also ends after the header of a first fragment. The remaining headers may continue in the next fragment.
pub(super) fn walk_uncut(next: u8, bytes: &[u8]) -> Result<Carried, DiscardReason> {
    walk_until(next, bytes, |fragment| !fragment.is_atomic())
}

fn walk_until(
    next: u8,
    bytes: &[u8],
    ends: fn(&FragmentHeader) -> bool,
) -> Result<Carried, DiscardReason> {
    let mut carried = Carried {
        protocol: next,
        offset: 0,
        fragment: None,
    };
    let mut named_at = None;
    for _ in 0..=MOST_HEADERS {
        if !is_extension(carried.protocol) {
            return Ok(carried);
        }
        let at = carried.offset;
        let header = bytes.get(at..).unwrap_or_default();
        let [next, length, ..] = *header
            .first_chunk::<FRAGMENT_HEADER>()
            .ok_or(DiscardReason::Truncated)?;
        let size = match carried.protocol {
            FRAGMENT => FRAGMENT_HEADER,
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        if at + size > MOST_BYTES {
            return Err(DiscardReason::Malformed);
        }
        if header.len() < size {
            return Err(DiscardReason::Truncated);
        }
        if carried.protocol == FRAGMENT {
            let place = u16::from_be_bytes([header[2], header[3]]);
            carried.fragment = Some(FragmentHeader {
                at,
                named_at,
                next,
                offset: usize::from(place & 0xfff8),
                more: place & 1 != 0,
                identification: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            });
        }
        carried.offset = at + size;
        carried.protocol = next;
        if carried.fragment.as_ref().is_some_and(ends) {
            return Ok(carried);
        }
        named_at = Some(at);
    }
    Err(DiscardReason::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_is_stepped_over_by_its_own_unit_of_length() {
        let cases: [(u8, &[u8], usize); 5] = [
            (HOP_BY_HOP, &[17, 1], 16),
            (DESTINATION, &[17, 0], 8),
            (ROUTING, &[17, 2], 24),
            (AUTHENTICATION, &[17, 4], 24),
            (FRAGMENT, &[17, 9], 8),
        ];
        for (number, start, size) in cases {
            let mut bytes = start.to_vec();
            bytes.resize(size, 0);
            let carried = walk(number, &bytes).unwrap();
            assert_eq!((carried.protocol, carried.offset), (17, size), "{number}");
            assert_eq!(carried.fragment.is_some(), number == FRAGMENT);
            for cut in 0..size {
                let short = walk(number, &bytes[..cut]);
                assert_eq!(short, Err(DiscardReason::Truncated), "{number}, {cut}");
            }
        }
    }

    #[test]
    fn a_later_fragment_ends_the_walk_whatever_follows_it() {
        let bytes = [60, 0, 1, 0, 0, 0, 0, 44, 60, 255, 0, 0, 0, 0, 0, 0];
        for (place, more) in [(8_u16, false), (9, true)] {
            let mut bytes = bytes;
            bytes[2..4].copy_from_slice(&place.to_be_bytes());
            let carried = walk(FRAGMENT, &bytes).unwrap();
            assert_eq!((carried.protocol, carried.offset), (60, 8));
            let fragment = carried.fragment.unwrap();
            assert_eq!((fragment.offset, fragment.more), (8, more));
            assert_eq!(fragment.identification, 44);
            assert!(!fragment.is_atomic());
        }
    }

    #[test]
    fn the_walk_is_bounded_in_headers_and_in_bytes() {
        let chain = |count: usize| {
            let mut bytes = [60, 0, 1, 4, 0, 0, 0, 0].repeat(count);
            bytes[(count - 1) * 8] = 58;
            walk(DESTINATION, &bytes)
        };
        assert_eq!(chain(MOST_HEADERS).unwrap().offset, MOST_HEADERS * 8);
        assert_eq!(chain(MOST_HEADERS + 1), Err(DiscardReason::Malformed));
        let one = |units: u8| {
            let mut bytes = vec![58, units];
            bytes.resize(4096, 0);
            walk(HOP_BY_HOP, &bytes).map(|carried| carried.offset)
        };
        assert_eq!(one(127), Ok(1024));
        assert_eq!(one(128), Err(DiscardReason::Malformed));
    }
}
