//! Decodes ICMP replies, ICMPv4 (RFC 792) and ICMPv6 (RFC 4443): errors that quote a probe, and echo replies.

use super::checksum::Sum;
use super::ip::{Ends, ICMPV6};
use super::outer::Outer;
use super::{echo, extensions, quote};
use crate::model::{DiscardReason, Reply, ReplyKind};

const HEADER: usize = 8;

/// ICMPv4 types.
mod v4 {
    pub const DESTINATION_UNREACHABLE: u8 = 3;
    pub const TIME_EXCEEDED: u8 = 11;
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// ICMPv6 types.
mod v6 {
    pub const DESTINATION_UNREACHABLE: u8 = 1;
    pub const TIME_EXCEEDED: u8 = 3;
}

/// The fields that both versions share.
struct Message<'a> {
    icmp_type: u8,
    code: u8,
    /// The four bytes after the checksum.
    rest: [u8; 4],
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Splits a message and verifies its checksum. The checksum of ICMPv6 also covers the addresses.
    fn parse(bytes: &'a [u8], pseudo_header: Sum) -> Result<Self, DiscardReason> {
        let ([icmp_type, code, _, _, rest @ ..], body) = bytes
            .split_first_chunk::<HEADER>()
            .ok_or(DiscardReason::Truncated)?;
        if pseudo_header.bytes(bytes).folded() != 0xffff {
            return Err(DiscardReason::BadChecksum);
        }
        Ok(Message {
            icmp_type: *icmp_type,
            code: *code,
            rest: *rest,
            body,
        })
    }

    fn reply(&self, outer: &Outer, kind: ReplyKind) -> Reply {
        Reply {
            icmp_type: Some(self.icmp_type),
            icmp_code: Some(self.code),
            ..outer.reply(kind)
        }
    }

    fn echo_reply(&self, outer: &Outer) -> Reply {
        Reply {
            echoed: Some(echo::echoed(self.rest, self.body)),
            ..self.reply(outer, ReplyKind::EchoReply)
        }
    }

    /// Decodes an error. `announced` is the stated length of the quote, 0 if the router stated none. `None`: the type cannot
    /// state it.
    fn error(
        &self,
        outer: &Outer,
        kind: ReplyKind,
        announced: Option<usize>,
    ) -> Result<Reply, DiscardReason> {
        let (quoted, structure) = match announced {
            Some(announced) => extensions::split(self.body, announced),
            None => (self.body, None),
        };
        Ok(Reply {
            quoted: Some(quote::parse(quoted)?),
            mpls: structure.map(extensions::mpls_stack).unwrap_or_default(),
            interface_info: structure
                .map(extensions::interface_info)
                .unwrap_or_default(),
            icmp_extensions: structure.map(<[u8]>::to_vec),
            ..self.reply(outer, kind)
        })
    }
}

/// Reads an ICMPv4 message.
pub(super) fn decode_v4(outer: &Outer) -> Result<Reply, DiscardReason> {
    let message = Message::parse(outer.payload, Sum::default())?;
    if (message.icmp_type, message.code) == (echo::REPLY_V4, 0) {
        return Ok(message.echo_reply(outer));
    }
    let kind =
        ReplyKind::of_icmpv4(message.icmp_type, message.code).ok_or(DiscardReason::OtherType)?;
    let [_, length, mtu @ ..] = message.rest;
    let announced = match (message.icmp_type, message.code) {
        // RFC 4884 gives these types a length field. Reassembly timeouts (11, 1) carry none in practice.
        (v4::DESTINATION_UNREACHABLE | v4::PARAMETER_PROBLEM, _) | (v4::TIME_EXCEEDED, 0) => {
            Some(usize::from(length) * 4)
        }
        _ => None,
    };
    let mtu = u32::from(u16::from_be_bytes(mtu));
    Ok(Reply {
        next_hop_mtu: (kind == ReplyKind::FragmentationNeeded && mtu != 0).then_some(mtu),
        ..message.error(outer, kind, announced)?
    })
}

/// Reads an ICMPv6 message.
pub(super) fn decode_v6(outer: &Outer) -> Result<Reply, DiscardReason> {
    let pseudo_header = Ends::new(outer.source, outer.destination).map_or(Sum::default(), |ends| {
        ends.pseudo_header(ICMPV6, outer.payload.len())
    });
    let message = Message::parse(outer.payload, pseudo_header)?;
    if (message.icmp_type, message.code) == (echo::REPLY_V6, 0) {
        return Ok(message.echo_reply(outer));
    }
    let kind =
        ReplyKind::of_icmpv6(message.icmp_type, message.code).ok_or(DiscardReason::OtherType)?;
    let announced = match (message.icmp_type, message.code) {
        (v6::DESTINATION_UNREACHABLE, _) | (v6::TIME_EXCEEDED, 0) => {
            Some(usize::from(message.rest[0]) * 8)
        }
        _ => None,
    };
    let mtu = u32::from_be_bytes(message.rest);
    Ok(Reply {
        next_hop_mtu: (kind == ReplyKind::PacketTooBig && mtu != 0).then_some(mtu),
        ..message.error(outer, kind, announced)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;
    use crate::wire::outer::decode;

    /// An ICMP error around `body`, with both checksums right.
    fn message(icmp_type: u8, code: u8, length: u8, body: &[u8]) -> Vec<u8> {
        let mut icmp = vec![icmp_type, code, 0, 0, 0, length, 0x05, 0x78];
        icmp.extend(body);
        let checksum = Sum::default().bytes(&icmp).checksum();
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
        let size = (20 + icmp.len()) as u16;
        let mut packet = vec![0x45, 0xc0, 0, 0, 0xab, 0xcd, 0, 0, 61, 1, 0, 0];
        packet[2..4].copy_from_slice(&size.to_be_bytes());
        packet.extend([203, 0, 113, 9, 192, 0, 2, 1]);
        packet.extend(icmp);
        packet
    }

    fn quoted_probe() -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 40, 0x12, 0x34, 0, 0, 1, 17, 0, 0];
        bytes.extend([192, 0, 2, 1, 198, 51, 100, 1]);
        bytes.extend([0x5d, 0xc0, 0x82, 0x9a, 0, 20, 0x77, 0x88]);
        bytes
    }

    #[test]
    fn all_fields_of_a_time_exceeded_are_read() {
        let reply =
            decode(&message(11, 0, 0, &quoted_probe()), Time::from_nanos(5)).expect("a reply");
        assert_eq!(reply.kind, ReplyKind::TimeExceeded);
        assert_eq!(reply.responder.to_string(), "203.0.113.9");
        assert_eq!(reply.destination, "192.0.2.1".parse().ok());
        assert_eq!(
            (reply.ttl, reply.tos, reply.size),
            (Some(61), Some(0xc0), Some(56))
        );
        assert_eq!((reply.ip_id, reply.next_hop_mtu), (Some(0xabcd), None));
        let quoted = reply.quoted.expect("a quote");
        assert_eq!(
            (quoted.checksum(), quoted.ip_id),
            (Some(0x7788), Some(0x1234))
        );
    }

    #[test]
    fn the_next_hop_mtu_of_a_fragmentation_needed_is_read() {
        let reply = decode(&message(3, 4, 0, &quoted_probe()), Time::default()).expect("a reply");
        assert_eq!(reply.next_hop_mtu, Some(0x0578));
    }

    #[test]
    fn each_flaw_has_its_reason() {
        let good = message(11, 0, 0, &quoted_probe());
        let decode = |bytes: &[u8]| decode(bytes, Time::default()).map(|_| ()).unwrap_err();
        for size in 0..good.len() {
            assert_eq!(
                decode(&good[..size]),
                DiscardReason::Truncated,
                "{size} bytes"
            );
        }
        let mut flipped = good.clone();
        flipped[50] ^= 1;
        assert_eq!(decode(&flipped), DiscardReason::BadChecksum);
        let mut fragment = good.clone();
        fragment[6] = 0x20;
        assert_eq!(decode(&fragment), DiscardReason::Fragment);
        let mut five = good.clone();
        five[0] = 0x55;
        assert_eq!(decode(&five), DiscardReason::Malformed);
        assert_eq!(
            decode(&message(5, 0, 0, &quoted_probe())),
            DiscardReason::OtherType
        );
        assert_eq!(
            decode(&message(11, 0, 0, &[0x45; 12])),
            DiscardReason::Truncated
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = decode(&bytes, Time::default());
            // The same bytes as the body of a message with valid outer checksums.
            for (icmp_type, length) in [(11, 0), (11, 32), (3, 5), (12, 255)] {
                let _ = decode(&message(icmp_type, 0, length, &bytes), Time::default());
            }
        }
    }
}
