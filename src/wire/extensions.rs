//! Extension structures after the quoted packet of an ICMP error (RFC 4884). Decodes MPLS label stacks (RFC 4950) and interface
//! information (RFC 5837).
//!
//! A compliant router states the length of the quote in the message. Other routers state no length, state it in bytes, or state
//! a wrong one, and put the structure after 128 bytes. The structure is searched for at these places, in this order:
//!
//! | place | accepted if |
//! |---|---|
//! | at the stated end of the quote | the checksum is right, or it is absent and the form is right |
//! | after 128 bytes | the same |
//! | at any multiple of 4 bytes | the checksum and the form are right |
//!
//! The form is right if all of these hold, so that quoted bytes are not taken for a structure:
//!
//! - The version is 2.
//! - The reserved bits are 0. This is checked only if there is no checksum.
//! - Objects with possible lengths fill the message to its end.
//! - The first object has a known layout or an unknown class.
//!
//! The raw structure is kept whatever its objects contain.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::Sum;
use super::ip::{IPV4_HEADER, IPV6_HEADER};
use crate::model::{InterfaceInfo, InterfaceRole, MplsLabel};

/// The position of the structure if the message does not state it (RFC 4884, section 5.5).
const LEGACY_QUOTE: usize = 128;
const VERSION: u8 = 2;
const HEADER: usize = 4;
const OBJECT_HEADER: usize = 4;
const MPLS_CLASS: u8 = 1;
const MPLS_INCOMING_STACK: u8 = 1;
const INTERFACE_CLASS: u8 = 2;
/// No object has this class (RFC 4884, section 9).
const RESERVED_CLASS: u8 = 0;
/// Bits of an interface information object's type: the parts that it has, in order.
const HAS_INDEX: u8 = 0x08;
const HAS_ADDRESS: u8 = 0x04;
const HAS_NAME: u8 = 0x02;
const HAS_MTU: u8 = 0x01;

/// Splits the bytes after the 8-byte ICMP header into the quote and the extension structure, if there is one. `announced` is
/// the stated length of the quote in bytes; 0 if the router stated none.
pub fn split(body: &[u8], announced: usize) -> (&[u8], Option<&[u8]>) {
    split_stripped(body, (announced > 0).then_some(announced), 0)
}

/// Like [`split`], for a body that lacks the first `stripped` bytes of the quote, its headers. `announced` does not count these
/// bytes; `None` if the router stated no length.
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
    // A stated length without room for the headers of the quote is wrong.
    let quote = announced
        .filter(|announced| *announced >= least)
        .and_then(|announced| body.get(..announced))
        .unwrap_or(body);
    (quote, None)
}

/// The size of the quoted IP header and 8 more bytes, without the `stripped` ones.
fn least_quote(body: &[u8], stripped: usize) -> usize {
    let header = match body.first().map(|first| first >> 4) {
        Some(6) if stripped == 0 => IPV6_HEADER,
        _ => IPV4_HEADER,
    };
    (header + 8).saturating_sub(stripped)
}

/// Whether `bytes` are a structure of version 2 with a valid checksum. If there is no checksum (0), the form must be right.
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

/// Whether both the checksum and the form are right.
fn is_certainly_structure(bytes: &[u8]) -> bool {
    bytes[0] >> 4 == VERSION
        && bytes.get(2..HEADER).is_some_and(|sum| sum != [0, 0])
        && objects_fill(bytes)
        && is_structure(bytes)
}

/// Whether objects fill the structure exactly, and a router may send the first one.
fn objects_fill(structure: &[u8]) -> bool {
    let mut filled = HEADER;
    let mut sane = true;
    for (at, object) in objects(structure).enumerate() {
        filled += OBJECT_HEADER + object.payload.len();
        sane &= at > 0 || object.is_sane();
    }
    sane && filled > HEADER && filled == structure.len()
}

/// The MPLS label stack of a structure, top label first. Empty if there is none.
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

/// The most interface information objects that are decoded. RFC 5837 has four roles; further objects are kept only in the raw
/// structure.
const MOST_INTERFACES: usize = 16;

/// The first interface information objects of a structure (RFC 5837). If a part of an object is unreadable, the parts after it
/// are absent.
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
            0 => InterfaceRole::Incoming,
            1 => InterfaceRole::SubIp,
            2 => InterfaceRole::Outgoing,
            _ => InterfaceRole::NextHop,
        },
        ifindex: None,
        address: None,
        name: None,
        mtu: None,
    };
    let mut rest = payload;
    // An unreadable part hides where the next part starts.
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

/// Reads a name: a length byte that counts itself, then UTF-8 padded with zeros. The inner `None` means an empty or unreadable
/// name.
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
    /// Whether the object may be the first of a structure. A label stack must consist of whole labels.
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

/// The objects of a structure, up to the first with an impossible length.
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
mod tests;
