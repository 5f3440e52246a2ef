//! The answers: ICMP errors that quote the probe as it arrived, and echo replies.

use std::net::Ipv4Addr;

use pnet_packet::icmp::{IcmpCode, IcmpType, MutableIcmpPacket};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::MutableIpv4Packet;

use super::checksum;
use super::packet::{ICMP, Packet, UDP};
use super::walk::Flight;
use crate::model::MplsLabel;

/// The most that an ICMP error may take, IP header included (RFC 1812, as Linux does).
const LARGEST_ERROR: usize = 576;
/// Bytes of the IP header and of the ICMP header before the quote.
const HEADERS: usize = 28;
/// Bytes of the quote before extensions (RFC 4884): padded or cut to it.
const QUOTE_BEFORE_EXTENSIONS: usize = 128;
/// TOS of ICMP errors: internetwork control, as Linux and most routers send them.
const ERROR_TOS: u8 = 0xc0;

/// The outer header of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    /// As it arrives at the vantage point.
    pub(super) ttl: u8,
    pub(super) ip_id: u16,
}

/// Builds an ICMP error about `probe`, quoted as `quoted` has it.
///
/// `quote_bytes` is how much to quote behind the IP header, `None` for as much as fits in 576 bytes. `labels` go into an RFC 4950 extension.
pub(super) fn error(
    envelope: Envelope,
    (icmp_type, code): (u8, u8),
    probe: &Packet,
    quoted: &Flight,
    quote_bytes: Option<u16>,
    labels: &[MplsLabel],
) -> Vec<u8> {
    let most = if labels.is_empty() {
        LARGEST_ERROR - HEADERS
    } else {
        QUOTE_BEFORE_EXTENSIONS
    };
    let wanted = quote_bytes.map_or(usize::MAX, |n| probe.header_length() + usize::from(n));
    let quote = probe.bytes().len().min(wanted).min(most);
    let extension = if labels.is_empty() {
        0
    } else {
        8 + 4 * labels.len()
    };
    let quote_field = if labels.is_empty() { quote } else { most };
    let mut packet = vec![0; HEADERS + quote_field + extension];
    packet[HEADERS..HEADERS + quote].copy_from_slice(&probe.bytes()[..quote]);
    patch_quote(&mut packet[HEADERS..HEADERS + quote], probe, quoted);
    if !labels.is_empty() {
        packet[25] = (QUOTE_BEFORE_EXTENSIONS / 4) as u8;
        write_labels(&mut packet[HEADERS + quote_field..], labels);
    }
    finish(&mut packet, envelope, ERROR_TOS, (icmp_type, code));
    packet
}

/// Builds the answer to the echo request `probe`.
pub(super) fn echo_reply(envelope: Envelope, probe: &Packet) -> Vec<u8> {
    let mut packet = vec![0; 20 + probe.transport().len()];
    packet[20..].copy_from_slice(probe.transport());
    finish(&mut packet, envelope, probe.tos(), (0, 0));
    packet
}

/// Writes into the quote what had changed on the way: TTL, addresses, checksums.
fn patch_quote(quote: &mut [u8], probe: &Packet, quoted: &Flight) {
    let header = probe.header_length();
    quote[8] = quoted.ttl;
    quote[12..16].copy_from_slice(&quoted.source.octets());
    quote[16..20].copy_from_slice(&quoted.destination.octets());
    quote[10..12].fill(0);
    let sum = checksum::checksum(&quote[..header]);
    quote[10..12].copy_from_slice(&sum.to_be_bytes());
    if let (Some(value), UDP) = (quoted.checksum, probe.protocol())
        && let Some(field) = quote.get_mut(header + 6..header + 8)
    {
        field.copy_from_slice(&value.to_be_bytes());
    }
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

fn finish(packet: &mut [u8], envelope: Envelope, tos: u8, (icmp_type, code): (u8, u8)) {
    let total = packet.len() as u16;
    if let Some(mut icmp) = MutableIcmpPacket::new(&mut packet[20..]) {
        icmp.set_icmp_type(IcmpType(icmp_type));
        icmp.set_icmp_code(IcmpCode(code));
        icmp.set_checksum(0);
    }
    let sum = checksum::checksum(&packet[20..]);
    if let Some(mut icmp) = MutableIcmpPacket::new(&mut packet[20..]) {
        icmp.set_checksum(sum);
    }
    if let Some(mut ip) = MutableIpv4Packet::new(packet) {
        ip.set_version(4);
        ip.set_header_length(5);
        ip.set_dscp(tos >> 2);
        ip.set_ecn(tos & 3);
        ip.set_total_length(total);
        ip.set_identification(envelope.ip_id);
        ip.set_ttl(envelope.ttl);
        ip.set_next_level_protocol(IpNextHeaderProtocol(ICMP));
        ip.set_source(envelope.source);
        ip.set_destination(envelope.destination);
    }
    let sum = checksum::checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}
