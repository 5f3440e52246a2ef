//! Extension structures behind the quoted packet of an ICMP error (RFC 4884), of which MPLS label stacks (RFC 4950)
//! and interface information (RFC 5837) are read.
//!
//! Compliant routers give the length of the quote in the message. Others give none, or count it in bytes, or give one that ends
//! somewhere else, and put the structure behind 128 bytes. So it is looked for in these places, in this order:
//!
//! | place | taken for a structure if |
//! |---|---|
//! | where the message says that the quote ends | its checksum is right, or it has none and its form is right |
//! | behind 128 bytes | the same |
//! | at any multiple of 4 bytes | its checksum and its form are right |
//!
//! The form is right if the version is 2, the reserved bits are 0 (only asked if there is no checksum), and objects with possible
//! lengths fill the message to its end, the first with a known layout or an unknown class. So quoted bytes are not taken for a structure.
//! The raw structure is kept whatever its objects hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::Sum;
use super::ip::{IPV4_HEADER, IPV6_HEADER};
use crate::model::{InterfaceInfo, MplsLabel};

/// Where the structure stands when the message does not tell (RFC 4884, section 5.5).
const LEGACY_QUOTE: usize = 128;
const VERSION: u8 = 2;
const HEADER: usize = 4;
const OBJECT_HEADER: usize = 4;
const MPLS_CLASS: u8 = 1;
const MPLS_INCOMING_STACK: u8 = 1;
const INTERFACE_CLASS: u8 = 2;
/// No object has it (RFC 4884, section 9).
const RESERVED_CLASS: u8 = 0;
/// Which parts an interface information object has: bits of its type, in the order of the parts.
const HAS_INDEX: u8 = 0x08;
const HAS_ADDRESS: u8 = 0x04;
const HAS_NAME: u8 = 0x02;
const HAS_MTU: u8 = 0x01;

/// Splits what follows the 8-byte ICMP header into the quote and the extension structure, if there is one.
/// `announced` is the quote's length that the message states, bytes; 0 where the router stated none.
pub fn split(body: &[u8], announced: usize) -> (&[u8], Option<&[u8]>) {
    split_stripped(body, (announced > 0).then_some(announced), 0)
}

/// As [`split`], of a body whose first `stripped` bytes (the headers of the quoted packet) somebody has taken off; `announced`
/// counts from there on.
pub fn split_stripped(
    body: &[u8],
    announced: Option<usize>,
    stripped: usize,
) -> (&[u8], Option<&[u8]>) {
    let legacy = LEGACY_QUOTE.saturating_sub(stripped);
    for place in announced.into_iter().chain([legacy]) {
        if let Some((quote, structure)) = body.split_at_checked(place)
            && is_structure(structure)
        {
            return (quote, Some(structure));
        }
    }
    let least = least_quote(body, stripped);
    if let Some(place) = (least..body.len())
        .step_by(4)
        .find(|place| is_certainly_structure(&body[*place..]))
    {
        return (&body[..place], Some(&body[place..]));
    }
    // A length that leaves no room for the headers of the quote is wrong.
    let quote = announced
        .filter(|announced| *announced >= least)
        .and_then(|announced| body.get(..announced))
        .unwrap_or(body);
    (quote, None)
}

/// What the IP header of a quote and 8 bytes behind it take of `body`.
fn least_quote(body: &[u8], stripped: usize) -> usize {
    let header = match body.first().map(|first| first >> 4) {
        Some(6) if stripped == 0 => IPV6_HEADER,
        _ => IPV4_HEADER,
    };
    (header + 8).saturating_sub(stripped)
}

/// Version 2, and the checksum right; or no checksum (0), and the form of a structure to the end.
fn is_structure(bytes: &[u8]) -> bool {
    let [version, reserved, checksum @ ..] = match bytes.first_chunk::<HEADER>() {
        Some(header) => *header,
        None => return false,
    };
    if checksum == [0, 0] {
        return version == VERSION << 4 && reserved == 0 && objects_fill(bytes);
    }
    version >> 4 == VERSION && Sum::default().bytes(bytes).folded() == 0xffff
}

/// A checksum that is right, and the form of a structure to the end.
fn is_certainly_structure(bytes: &[u8]) -> bool {
    bytes[0] >> 4 == VERSION
        && bytes.get(2..HEADER).is_some_and(|sum| sum != [0, 0])
        && objects_fill(bytes)
        && is_structure(bytes)
}

/// Whether objects fill the structure exactly, and the first is one that a router may send.
fn objects_fill(structure: &[u8]) -> bool {
    let mut filled = HEADER;
    let mut sane = true;
    for (at, object) in objects(structure).enumerate() {
        filled += OBJECT_HEADER + object.payload.len();
        sane &= at > 0 || object.is_sane();
    }
    sane && filled > HEADER && filled == structure.len()
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

/// Interface information objects read of a structure: RFC 5837 has four roles, and what a router makes of hundreds is kept raw.
const MOST_INTERFACES: usize = 16;

/// The first interface information objects in a structure (RFC 5837). Parts of an object behind one that cannot be read are absent.
pub fn interface_info(structure: &[u8]) -> Vec<InterfaceInfo> {
    objects(structure)
        .filter(|object| object.class == INTERFACE_CLASS)
        .take(MOST_INTERFACES)
        .map(|object| read_interface(object.kind, object.payload))
        .collect()
}

fn read_interface(kind: u8, payload: &[u8]) -> InterfaceInfo {
    let mut info = InterfaceInfo {
        role: match kind >> 6 {
            0 => "incoming",
            1 => "sub_ip",
            2 => "outgoing",
            _ => "next_hop",
        },
        ifindex: None,
        address: None,
        name: None,
        mtu: None,
    };
    let mut rest = payload;
    // A part that cannot be read leaves nothing behind it that could be trusted.
    let _ = (|| {
        if kind & HAS_INDEX != 0 {
            info.ifindex = Some(take_number(&mut rest)?);
        }
        if kind & HAS_ADDRESS != 0 {
            info.address = Some(take_address(&mut rest)?);
        }
        if kind & HAS_NAME != 0 {
            info.name = take_name(&mut rest)?;
        }
        if kind & HAS_MTU != 0 {
            info.mtu = Some(take_number(&mut rest)?);
        }
        Some(())
    })();
    info
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let (number, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    Some(u32::from_be_bytes(*number))
}

/// Address family (1: IPv4, 2: IPv6), two reserved bytes, the address.
fn take_address(rest: &mut &[u8]) -> Option<IpAddr> {
    let ([high, low, _, _], behind) = rest.split_first_chunk::<4>()?;
    match u16::from_be_bytes([*high, *low]) {
        1 => {
            let (address, behind) = behind.split_first_chunk::<4>()?;
            *rest = behind;
            Some(Ipv4Addr::from(*address).into())
        }
        2 => {
            let (address, behind) = behind.split_first_chunk::<16>()?;
            *rest = behind;
            Some(Ipv6Addr::from(*address).into())
        }
        _ => None,
    }
}

/// A length byte that counts itself, then UTF-8 padded with zeros. The inner `None` is a name of nothing readable.
fn take_name(rest: &mut &[u8]) -> Option<Option<String>> {
    let length = usize::from(*rest.first()?);
    let name = rest.get(1..length)?;
    *rest = &rest[length..];
    let end = name.iter().position(|byte| *byte == 0);
    let text = std::str::from_utf8(&name[..end.unwrap_or(name.len())]).ok();
    Some(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

/// One object of a structure.
struct Object<'a> {
    class: u8,
    kind: u8,
    payload: &'a [u8],
}

impl Object<'_> {
    /// Whether it may begin a structure: a label stack has whole labels.
    fn is_sane(&self) -> bool {
        match (self.class, self.kind) {
            (RESERVED_CLASS, _) => false,
            (MPLS_CLASS, MPLS_INCOMING_STACK) => {
                !self.payload.is_empty() && self.payload.len().is_multiple_of(4)
            }
            _ => true,
        }
    }
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
        for announced in [128, 0] {
            let (quote, found) = split(&body, announced);
            assert_eq!(
                (quote.len(), found),
                (128, Some(&structure[..])),
                "announced {announced}"
            );
        }
    }

    /// `structure` without its checksum.
    fn unsummed(mut structure: Vec<u8>) -> Vec<u8> {
        structure[2..4].fill(0);
        structure
    }

    #[test]
    fn behind_a_wrong_length_the_structure_stands_at_128_bytes() {
        for structure in [structure(), unsummed(structure())] {
            let body = [vec![7; 128], structure.clone()].concat();
            // In bytes for IPv4 and IPv6, in the other family's words, one that ends inside, one that leaves no room for headers.
            for announced in [512, 1024, 64, 256, 68, 4] {
                let (quote, found) = split(&body, announced);
                assert_eq!(
                    (quote.len(), found),
                    (128, Some(&structure[..])),
                    "announced {announced}"
                );
            }
            let stripped = split_stripped(&body[28..], None, 28);
            assert_eq!(stripped, (&body[28..128], Some(&structure[..])));
        }
    }

    #[test]
    fn behind_an_unpadded_quote_a_structure_needs_its_checksum() {
        let body = [vec![7; 44], structure()].concat();
        for (announced, stripped) in [(None, 0), (None, 28), (Some(400), 0)] {
            let (quote, found) = split_stripped(&body[stripped..], announced, stripped);
            assert_eq!((quote.len(), found), (44 - stripped, Some(&body[44..])));
        }
        let body = [vec![7; 44], unsummed(structure())].concat();
        assert_eq!(split(&body, 0), (&body[..], None));
        assert_eq!(split(&body, 44), (&body[..44], Some(&body[44..])));
    }

    #[test]
    fn a_long_quote_is_not_taken_for_a_structure() {
        let mut body = vec![0x20; 200];
        assert_eq!(split(&body, 0), (&body[..], None));
        // Zeros behind what looks like a version are no objects.
        body[128..].fill(0);
        body[128] = 0x20;
        assert_eq!(split(&body, 0).1, None);
    }

    #[test]
    fn without_a_checksum_only_the_whole_form_is_a_structure() {
        let good = unsummed(structure());
        let flaws: [(&str, fn(&mut Vec<u8>)); 9] = [
            ("version", |bytes| bytes[0] = 0x10),
            ("reserved bits", |bytes| bytes[0] = 0x21),
            ("reserved byte", |bytes| bytes[1] = 1),
            ("checksum", |bytes| bytes[3] = 1),
            ("an object that ends too early", |bytes| bytes[5] = 8),
            ("an object that ends too late", |bytes| bytes[5] = 16),
            ("bytes behind the objects", |bytes| bytes.push(0)),
            ("a class that nobody has", |bytes| bytes[6] = 0),
            ("no object", |bytes| bytes.truncate(4)),
        ];
        for (flaw, spoil) in flaws {
            let mut structure = good.clone();
            spoil(&mut structure);
            let body = [vec![7; 128], structure].concat();
            for announced in [0, 128, 512] {
                assert_eq!(split(&body, announced).1, None, "{flaw}, {announced}");
            }
        }
    }

    #[test]
    fn a_length_without_a_structure_behind_it_ends_the_quote() {
        let body = [7; 60];
        assert_eq!(split(&body, 40), (&body[..40], None));
        // Nobody quotes 8 bytes.
        assert_eq!(split(&body, 8), (&body[..], None));
    }

    #[test]
    fn objects_with_impossible_lengths_end_the_walk() {
        for length in [0u8, 3, 200] {
            let bytes = [0x20, 0, 0, 0, 0, length, 1, 1, 0, 0, 0, 0];
            assert_eq!(mpls_stack(&bytes), [], "length {length}");
        }
    }

    /// A structure with one interface information object.
    fn interface(kind: u8, parts: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x20, 0, 0, 0, 0, (4 + parts.len()) as u8, 2, kind];
        bytes.extend(parts);
        bytes
    }

    #[test]
    fn interface_information_is_read_part_by_part() {
        let parts = [
            &[0, 0, 0, 7][..],
            &[0, 1, 0, 0, 192, 0, 2, 9],
            b"\x08eth0\0\0\0",
            &[0, 0, 5, 220],
        ]
        .concat();
        let expected = InterfaceInfo {
            role: "incoming",
            ifindex: Some(7),
            address: Some(Ipv4Addr::new(192, 0, 2, 9).into()),
            name: Some("eth0".to_owned()),
            mtu: Some(1_500),
        };
        assert_eq!(interface_info(&interface(0x0f, &parts)), [expected]);

        let mut six = vec![0, 2, 0, 0];
        six.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        let found = interface_info(&interface(0x84, &six));
        assert_eq!(found[0].role, "outgoing");
        assert_eq!(found[0].address, "2001:db8::7".parse().ok());
        assert_eq!((found[0].ifindex, found[0].mtu), (None, None));
    }

    #[test]
    fn of_hundreds_of_objects_the_first_are_read() {
        let mut bytes = vec![0x20, 0, 0, 0];
        for _ in 0..400 {
            bytes.extend([0, 4, 2, 0]);
        }
        assert_eq!(interface_info(&bytes).len(), MOST_INTERFACES);
    }

    #[test]
    fn parts_that_cannot_be_read_are_absent() {
        let cut = interface_info(&interface(0x0f, &[0, 0, 0, 7, 0, 1, 0]));
        assert_eq!((cut[0].ifindex, cut[0].address), (Some(7), None));
        let odd_family = interface_info(&interface(0x05, &[0, 9, 0, 0, 1, 2, 3, 4]));
        assert_eq!((odd_family[0].address, odd_family[0].mtu), (None, None));
        for name in [&b"\x00"[..], b"\x40abc", b"\x04\xff\xfe\0", b"\x04\0\0\0"] {
            assert_eq!(interface_info(&interface(0x02, name))[0].name, None);
        }
    }
}
