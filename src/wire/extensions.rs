//! Extension structures behind the quoted packet of an ICMP error (RFC 4884), of which MPLS label stacks (RFC 4950) are read.
//!
//! Compliant routers give the length of the quote in the message; others put the structure behind 128 bytes without
//! saying so. Both are read, the second only where version and checksum of the structure are right. The raw structure
//! is kept whatever it holds.

use super::checksum::Sum;
use crate::model::MplsLabel;

/// Where the structure stands when the message does not tell (RFC 4884, section 5.5).
const LEGACY_QUOTE: usize = 128;
const HEADER: usize = 4;
const OBJECT_HEADER: usize = 4;
const MPLS_CLASS: u8 = 1;
const MPLS_INCOMING_STACK: u8 = 1;

/// Splits what follows the 8-byte ICMPv4 header into the quote and the extension structure, if there is one.
/// `length_words` is the message's length field in 32-bit words; 0 where the router wrote none.
pub fn split(body: &[u8], length_words: u8) -> (&[u8], Option<&[u8]>) {
    let announced = usize::from(length_words) * 4;
    if announced > 0 {
        return match body.split_at_checked(announced) {
            Some((quote, structure)) if is_structure(structure) => (quote, Some(structure)),
            Some((quote, _)) => (quote, None),
            None => (body, None),
        };
    }
    match body.split_at_checked(LEGACY_QUOTE) {
        Some((quote, structure)) if is_structure(structure) && has_checksum(structure) => {
            (quote, Some(structure))
        }
        _ => (body, None),
    }
}

/// Version 2, and the checksum right or left out (0).
fn is_structure(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER
        && bytes[0] >> 4 == 2
        && (!has_checksum(bytes) || Sum::default().bytes(bytes).folded() == 0xffff)
}

fn has_checksum(bytes: &[u8]) -> bool {
    bytes[2..4] != [0, 0]
}

/// The MPLS label stack in a structure, top first; empty where there is none.
pub fn mpls_stack(structure: &[u8]) -> Vec<MplsLabel> {
    objects(structure)
        .filter(|object| object.class == MPLS_CLASS && object.kind == MPLS_INCOMING_STACK)
        .flat_map(|object| object.payload.as_chunks::<4>().0)
        .map(|entry| {
            let word = u32::from_be_bytes(*entry);
            MplsLabel {
                label: word >> 12,
                traffic_class: (word >> 9 & 0b111) as u8,
                bottom: word >> 8 & 1 == 1,
                ttl: (word & 0xff) as u8,
            }
        })
        .collect()
}

/// One object of a structure.
struct Object<'a> {
    class: u8,
    kind: u8,
    payload: &'a [u8],
}

/// The objects of a structure, up to the first whose length cannot be right.
fn objects(structure: &[u8]) -> impl Iterator<Item = Object<'_>> {
    let mut rest = structure.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [high, low, class, kind] = *rest.first_chunk::<OBJECT_HEADER>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let payload = rest.get(OBJECT_HEADER..length)?;
        rest = &rest[length..];
        Some(Object {
            class,
            kind,
            payload,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A structure with one MPLS object of two labels, its checksum right.
    fn structure() -> Vec<u8> {
        let mut bytes = vec![0x20, 0, 0, 0, 0, 12, 1, 1];
        bytes.extend((16u32 << 12 | 5 << 9 | 1).to_be_bytes());
        bytes.extend((1_048_575u32 << 12 | 1 << 8 | 255).to_be_bytes());
        let checksum = Sum::default().bytes(&bytes).checksum();
        bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn a_label_stack_is_read_field_by_field() {
        let labels = mpls_stack(&structure());
        let expected = [
            MplsLabel {
                label: 16,
                traffic_class: 5,
                bottom: false,
                ttl: 1,
            },
            MplsLabel {
                label: 1_048_575,
                traffic_class: 0,
                bottom: true,
                ttl: 255,
            },
        ];
        assert_eq!(labels, expected);
    }

    #[test]
    fn compliant_and_legacy_places_are_found() {
        let structure = structure();
        let body = [vec![7; 128], structure.clone()].concat();
        for words in [32, 0] {
            let (quote, found) = split(&body, words);
            assert_eq!(
                (quote.len(), found),
                (128, Some(&structure[..])),
                "length field {words}"
            );
        }
    }

    #[test]
    fn a_long_quote_is_not_taken_for_a_structure() {
        let mut body = vec![0x20; 200];
        assert_eq!(split(&body, 0), (&body[..], None));
        // Without a checksum there is nothing to tell a structure from quoted zeros.
        body[128..].fill(0);
        body[128] = 0x20;
        assert_eq!(split(&body, 0).1, None);
    }

    #[test]
    fn a_length_beyond_the_message_gives_the_whole_message() {
        let body = [1; 40];
        assert_eq!(split(&body, 200), (&body[..], None));
    }

    #[test]
    fn objects_with_impossible_lengths_end_the_walk() {
        for length in [0u8, 3, 200] {
            let bytes = [0x20, 0, 0, 0, 0, length, 1, 1, 0, 0, 0, 0];
            assert_eq!(mpls_stack(&bytes), [], "length {length}");
        }
    }
}
