//! ICMP replies of both families: errors that quote the probe as it arrived, and echo replies.
//!
//! [`quote`] alone decides how many bytes of the probe are quoted, and with which field values. Boxes on the way back have already
//! changed the [`Flight`] that it is given.

use std::net::IpAddr;

use crate::lab::packet::address::Family;
use crate::lab::packet::checksum;
use crate::lab::packet::envelope::Envelope;
use crate::lab::packet::message::Message;
use crate::lab::packet::wrapping;
use crate::lab::packet::{ICMP, ICMPV6, Packet};
use crate::lab::topology::flight::Flight;
use crate::lab::topology::{ExtensionForm, QuotedLength, Quoting};

/// Bytes of an ICMP header before the quote or payload.
const HEADER: usize = 8;
/// Bytes of the quote in front of extensions (RFC 4884). The quote is padded or cut to this length.
const QUOTE_BEFORE_EXTENSIONS: usize = 128;
/// TOS of ICMPv4 errors: internetwork control, as Linux and most routers send. Linux sends ICMPv6 errors with 0.
const ERROR_TOS: u8 = 0xc0;

/// The largest ICMP error with its IP header (RFC 1812, as implemented by Linux; RFC 4443, section 2.4).
const fn largest_error(family: Family) -> usize {
    match family {
        Family::V4 => 576,
        Family::V6 => 1280,
    }
}

/// Builds the ICMP error `message` about `probe`. The quote shows the fields of `quoted`, in the form that `quoting` asks for.
/// `extension` is an extension structure, or empty.
pub(super) fn error(
    envelope: Envelope,
    message: Message,
    probe: &Packet,
    quoted: &Flight,
    quoting: Quoting,
    extension: &[u8],
) -> Vec<u8> {
    let family = envelope.family();
    let header = family.header() + HEADER;
    let extended = !extension.is_empty() && message.takes_extensions(family);
    let (most, extension) = if extended {
        (QUOTE_BEFORE_EXTENSIONS, extension)
    } else {
        (largest_error(family) - header, &[][..])
    };
    let quote = quote(probe, quoted, quoting, most);
    let field = if extended { most } else { quote.len() };
    let mut packet = envelope.room(HEADER + field + extension.len());
    packet[header..header + quote.len()].copy_from_slice(&quote);
    packet[header + field..].copy_from_slice(extension);
    let start = family.header();
    packet[start] = message.icmp_type;
    packet[start + 1] = message.code;
    packet[start + 4..header].copy_from_slice(&message.rest.to_be_bytes());
    if extended {
        // In 32-bit words, in IPv6 in 64-bit words and one byte earlier (RFC 4884, sections 4.1 to 4.5).
        let (place, word) = match family {
            Family::V4 => (5, 4),
            Family::V6 => (4, 8),
        };
        let length = QUOTE_BEFORE_EXTENSIONS as u8;
        packet[start + place] = match quoting.extensions {
            ExtensionForm::Compliant => length / word,
            ExtensionForm::Legacy => packet[start + place],
            ExtensionForm::InBytes => length,
        };
        if quoting.extensions == ExtensionForm::InBytes {
            packet[header + field + 2..header + field + 4].fill(0);
        }
    }
    let (protocol, tos) = match family {
        Family::V4 => (ICMP, ERROR_TOS),
        Family::V6 => (ICMPV6, 0),
    };
    envelope.seal(&mut packet, protocol, tos);
    packet
}

/// Builds the reply to the echo request `probe`, with the same payload. The request arrived with `tos`.
pub(super) fn echo_reply(envelope: Envelope, probe: &Packet, tos: u8) -> Vec<u8> {
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
    envelope.seal(&mut packet, protocol, tos);
    packet
}

/// Returns the quote of the probe: at most `most` bytes, with the fields changed on the way and the quirks of the quoting machine.
fn quote(probe: &Packet, quoted: &Flight, quoting: Quoting, most: usize) -> Vec<u8> {
    let header = probe.header_length();
    let wanted = quoting
        .bytes
        .map_or(usize::MAX, |bytes| header + usize::from(bytes));
    let length = probe.bytes().len().min(wanted).min(most);
    let mut quote = probe.bytes()[..length].to_vec();
    let length_at = match (quoted.source, quoted.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            quote[1] = quoted.tos;
            quote[4..6].copy_from_slice(&quoted.ip_id.to_be_bytes());
            quote[8] = quoted.ttl;
            quote[12..16].copy_from_slice(&source.octets());
            quote[16..20].copy_from_slice(&destination.octets());
            quote[10..12].fill(0);
            let sum = checksum::checksum(&quote[..header]);
            quote[10..12].copy_from_slice(&sum.to_be_bytes());
            2
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            quote[0] = quote[0] & 0xf0 | quoted.tos >> 4;
            quote[1] = quote[1] & 0x0f | quoted.tos << 4;
            quote[7] = quoted.ttl;
            quote[8..24].copy_from_slice(&source.octets());
            quote[24..40].copy_from_slice(&destination.octets());
            4
        }
        // Boxes never change the family.
        _ => return quote,
    };
    match quoting.length {
        QuotedLength::Kept => {}
        QuotedLength::Zeroed => quote[length_at..length_at + 2].fill(0),
        QuotedLength::Swapped => quote.swap(length_at, length_at + 1),
    }
    let mut write = |offset: Option<usize>, value: u16| {
        if let Some(offset) = offset
            && let Some(field) = quote.get_mut(header + offset..header + offset + 2)
        {
            field.copy_from_slice(&value.to_be_bytes());
        }
    };
    if let Some(value) = quoted.checksum {
        write(probe.checksum_offset(), value);
    }
    let ends = quoted.ends();
    write(probe.source_number_offset(), ends.source_port);
    if quoted.has_ports() && probe.transport().len() >= 4 {
        write(Some(2), ends.destination_port);
    }
    if quoted.source.is_ipv6() {
        let more = quoting.headers.insert(&mut quote);
        if quoting.length == QuotedLength::Kept {
            wrapping::lengthen(&mut quote, more);
        }
        quote.truncate(most);
    }
    quote
}
