//! Decodes a received packet: its IP header, then the reply that it carries.

use std::net::IpAddr;

use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;

use super::ip::{ICMP, ICMPV6, IPV4_HEADER, IPV6_HEADER};
use super::{headers, icmp, protocol};
use crate::model::{DiscardReason, Reply, ReplyKind, Time};

/// The IP header of a received packet, and its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    ttl: u8,
    tos: u8,
    size: usize,
    ip_id: Option<u16>,
    received_at: Time,
    pub payload: &'a [u8],
}

impl Outer<'_> {
    /// A reply of `kind` with the fields of this IP header. The other fields are absent.
    pub fn reply(&self, kind: ReplyKind) -> Reply {
        Reply {
            ttl: Some(self.ttl),
            tos: Some(self.tos),
            size: u32::try_from(self.size).ok(),
            ip_id: self.ip_id,
            destination: Some(self.destination),
            ..Reply::bare(self.source, self.received_at, kind)
        }
    }
}

/// Decodes a received packet, starting with its IP header, as a reply to a probe. IPv6 extension headers are skipped. A
/// fragment is refused: see [`Reassembler`](super::Reassembler).
pub fn decode(bytes: &[u8], received_at: Time) -> Result<Reply, DiscardReason> {
    match bytes.first().map(|first| first >> 4) {
        None => Err(DiscardReason::Truncated),
        Some(4) => {
            let outer = outer_v4(bytes, received_at)?;
            match outer.protocol {
                ICMP => icmp::decode_v4(&outer),
                _ => answer(&outer),
            }
        }
        Some(6) => {
            let outer = outer_v6(bytes, received_at)?;
            match outer.protocol {
                ICMPV6 => icmp::decode_v6(&outer),
                _ => answer(&outer),
            }
        }
        Some(_) => Err(DiscardReason::Malformed),
    }
}

/// Decodes an answer of a target in the protocol of the probe. Checksums are not verified. A packet from this machine may carry
/// an incomplete one that its network card would have filled in.
fn answer(outer: &Outer) -> Result<Reply, DiscardReason> {
    let protocol = protocol::numbered(outer.protocol, outer.source.is_ipv6())
        .ok_or(DiscardReason::OtherType)?;
    let (kind, echoed) = protocol.read_answer(outer.payload)?;
    Ok(Reply {
        echoed: Some(echoed),
        ..outer.reply(kind)
    })
}

fn outer_v4(bytes: &[u8], received_at: Time) -> Result<Outer<'_>, DiscardReason> {
    let ip = Ipv4Packet::new(bytes).ok_or(DiscardReason::Truncated)?;
    let header = usize::from(ip.get_header_length()) * 4;
    let size = usize::from(ip.get_total_length());
    if header < IPV4_HEADER || size < header {
        return Err(DiscardReason::Malformed);
    }
    let more_fragments = ip.get_flags() & 0b001 != 0;
    if ip.get_fragment_offset() != 0 || more_fragments {
        return Err(DiscardReason::Fragment);
    }
    Ok(Outer {
        source: ip.get_source().into(),
        destination: ip.get_destination().into(),
        protocol: ip.get_next_level_protocol().0,
        ttl: ip.get_ttl(),
        tos: ip.get_dscp() << 2 | ip.get_ecn(),
        size,
        ip_id: Some(ip.get_identification()),
        received_at,
        payload: bytes.get(header..size).ok_or(DiscardReason::Truncated)?,
    })
}

fn outer_v6(bytes: &[u8], received_at: Time) -> Result<Outer<'_>, DiscardReason> {
    let ip = Ipv6Packet::new(bytes).ok_or(DiscardReason::Truncated)?;
    let size = IPV6_HEADER + usize::from(ip.get_payload_length());
    let payload = bytes
        .get(IPV6_HEADER..size)
        .ok_or(DiscardReason::Truncated)?;
    let carried = headers::walk_uncut(ip.get_next_header().0, payload)?;
    if carried
        .fragment
        .is_some_and(|fragment| !fragment.is_atomic())
    {
        return Err(DiscardReason::Fragment);
    }
    Ok(Outer {
        source: ip.get_source().into(),
        destination: ip.get_destination().into(),
        protocol: carried.protocol,
        ttl: ip.get_hop_limit(),
        tos: ip.get_traffic_class(),
        size,
        ip_id: None,
        received_at,
        payload: &payload[carried.offset..],
    })
}
