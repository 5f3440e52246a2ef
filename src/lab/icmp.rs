//! ICMP answers of both families: errors that quote the probe as it arrived, and echo replies.
//!
//! How a router quotes is in one place, [`quote`]: how much of the probe, and what had become of its fields. Boxes on the way
//! back have had their say in the [`Flight`] that it is given.

use std::net::IpAddr;

use super::address::Family;
use super::checksum;
use super::envelope::Envelope;
use super::message::Message;
use super::packet::{ICMP, ICMPV6, Packet};
use super::topology::Quoting;
use super::walk::Flight;
use crate::model::MplsLabel;

/// Bytes of an ICMP header before the quote or payload.
const HEADER: usize = 8;
/// Bytes of the quote before extensions (RFC 4884): padded or cut to it.
const QUOTE_BEFORE_EXTENSIONS: usize = 128;
/// TOS of ICMPv4 errors: internetwork control, as Linux and most routers send them. Linux sends ICMPv6 errors without.
const ERROR_TOS: u8 = 0xc0;

/// The most that an ICMP error may take, IP header included (RFC 1812 as Linux has it; RFC 4443, section 2.4).
const fn largest_error(family: Family) -> usize {
    match family {
        Family::V4 => 576,
        Family::V6 => 1280,
    }
}

/// Builds the ICMP error `message` about `probe`, which is quoted with the fields of `quoted`, as `quoting` says. `labels` go
/// into an RFC 4950 extension.
pub(super) fn error(
    envelope: Envelope,
    message: Message,
    probe: &Packet,
    quoted: &Flight,
    quoting: Quoting,
    labels: &[MplsLabel],
) -> Vec<u8> {
    let family = envelope.family();
    let header = family.header() + HEADER;
    let extended = !labels.is_empty() && message.takes_extensions(family);
    let (most, extension) = if extended {
        (QUOTE_BEFORE_EXTENSIONS, 8 + 4 * labels.len())
    } else {
        (largest_error(family) - header, 0)
    };
    let quote = quote(probe, quoted, quoting, most);
    let field = if extended { most } else { quote.len() };
    let mut packet = envelope.room(HEADER + field + extension);
    packet[header..header + quote.len()].copy_from_slice(&quote);
    let start = family.header();
    packet[start] = message.icmp_type;
    packet[start + 1] = message.code;
    packet[start + 4..header].copy_from_slice(&message.rest.to_be_bytes());
    if extended {
        // In 32-bit words, in IPv6 in 64-bit words and one byte earlier (RFC 4884, sections 4.1 to 4.5).
        match family {
            Family::V4 => packet[start + 5] = (QUOTE_BEFORE_EXTENSIONS / 4) as u8,
            Family::V6 => packet[start + 4] = (QUOTE_BEFORE_EXTENSIONS / 8) as u8,
        }
        write_labels(&mut packet[header + field..], labels);
    }
    let (protocol, tos) = match family {
        Family::V4 => (ICMP, ERROR_TOS),
        Family::V6 => (ICMPV6, 0),
    };
    envelope.seal(&mut packet, protocol, tos);
    packet
}

/// Builds the answer to the echo request `probe`: all that it carried.
pub(super) fn echo_reply(envelope: Envelope, probe: &Packet) -> Vec<u8> {
    let family = envelope.family();
    let request = probe.transport();
    let mut packet = envelope.room(request.len());
    let start = family.header();
    packet[start..].copy_from_slice(request);
    let (protocol, icmp_type) = match family {
        Family::V4 => (ICMP, 0),
        Family::V6 => (ICMPV6, 129),
    };
    packet[start..start + 4].copy_from_slice(&[icmp_type, 0, 0, 0]);
    envelope.seal(&mut packet, protocol, probe.tos());
    packet
}

/// The probe as it is quoted: at most `most` bytes, with what had changed on the way: TTL, addresses, checksums.
fn quote(probe: &Packet, quoted: &Flight, quoting: Quoting, most: usize) -> Vec<u8> {
    let header = probe.header_length();
    let wanted = quoting
        .bytes
        .map_or(usize::MAX, |bytes| header + usize::from(bytes));
    let length = probe.bytes().len().min(wanted).min(most);
    let mut quote = probe.bytes()[..length].to_vec();
    match (quoted.source, quoted.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            quote[8] = quoted.ttl;
            quote[12..16].copy_from_slice(&source.octets());
            quote[16..20].copy_from_slice(&destination.octets());
            quote[10..12].fill(0);
            let sum = checksum::checksum(&quote[..header]);
            quote[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            quote[7] = quoted.ttl;
            quote[8..24].copy_from_slice(&source.octets());
            quote[24..40].copy_from_slice(&destination.octets());
        }
        // Boxes keep the family.
        _ => {}
    }
    if let (Some(value), Some(offset)) = (quoted.checksum, probe.checksum_offset())
        && let Some(field) = quote.get_mut(header + offset..header + offset + 2)
    {
        field.copy_from_slice(&value.to_be_bytes());
    }
    quote
}

/// Writes the extension structure (RFC 4884, section 7) with one MPLS label stack object (RFC 4950).
fn write_labels(extension: &mut [u8], labels: &[MplsLabel]) {
    let object_length = (4 + 4 * labels.len()) as u16;
    extension[0] = 2 << 4;
    extension[4..6].copy_from_slice(&object_length.to_be_bytes());
    extension[6] = 1;
    extension[7] = 1;
    for (entry, label) in extension[8..].chunks_exact_mut(4).zip(labels) {
        let bits = label.label << 12
            | u32::from(label.traffic_class & 7) << 9
            | u32::from(label.bottom) << 8
            | u32::from(label.ttl);
        entry.copy_from_slice(&bits.to_be_bytes());
    }
    let sum = checksum::checksum(extension);
    extension[2..4].copy_from_slice(&sum.to_be_bytes());
}
