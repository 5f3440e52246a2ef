//! TCP segments and UDP datagrams that targets answer with. They quote nothing; what they repeat of a probe names it.
//!
//! Their checksums are not looked at: a packet from this machine may carry one that its network card was to fill in.

use super::outer::Outer;
use super::{payload, tcp, udp};
use crate::model::{DiscardReason, Echoed, Reply, ReplyKind};

/// Reads a TCP segment: a SYN-ACK, a reset or a bare ACK.
pub(super) fn decode_tcp(outer: &Outer) -> Result<Reply, DiscardReason> {
    let header = outer
        .payload
        .first_chunk::<{ tcp::HEADER }>()
        .ok_or(DiscardReason::Truncated)?;
    let flags = header[13];
    let has = |flag: u8| flags & flag != 0;
    let kind = if has(tcp::RST) {
        ReplyKind::Rst
    } else if has(tcp::SYN) && has(tcp::ACK) {
        ReplyKind::SynAck
    } else if has(tcp::ACK) && !has(tcp::FIN) {
        ReplyKind::Ack
    } else {
        return Err(DiscardReason::OtherType);
    };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
    Ok(Reply {
        echoed: Some(Echoed::Tcp {
            src_port: word(0),
            dst_port: word(2),
            flags,
            sequence: long(4),
            acknowledgement: long(8),
        }),
        ..outer.reply(kind)
    })
}

/// Reads a UDP datagram.
pub(super) fn decode_udp(outer: &Outer) -> Result<Reply, DiscardReason> {
    let (header, carried) = outer
        .payload
        .split_first_chunk::<{ udp::HEADER }>()
        .ok_or(DiscardReason::Truncated)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    Ok(Reply {
        echoed: Some(Echoed::Udp {
            src_port: word(0),
            dst_port: word(2),
            tag: payload::tag(carried),
            serial: payload::serial(carried),
        }),
        ..outer.reply(ReplyKind::Udp)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;
    use crate::wire::outer::decode;

    fn packet(protocol: u8, segment: &[u8]) -> Vec<u8> {
        let mut bytes = vec![
            0x45,
            0,
            0,
            (20 + segment.len()) as u8,
            0,
            9,
            0,
            0,
            60,
            protocol,
            0,
            0,
        ];
        bytes.extend([198, 51, 100, 9, 192, 0, 2, 1]);
        bytes.extend(segment);
        bytes
    }

    fn tcp(flags: u8) -> Vec<u8> {
        let mut segment = vec![0, 80, 0x5d, 0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, flags];
        segment.extend([0; 6]);
        packet(6, &segment)
    }

    #[test]
    fn segments_are_told_apart_by_their_flags() {
        let kind = |flags| decode(&tcp(flags), Time::default()).map(|reply| reply.kind);
        assert_eq!(kind(tcp::SYN | tcp::ACK), Ok(ReplyKind::SynAck));
        assert_eq!(kind(tcp::RST), Ok(ReplyKind::Rst));
        assert_eq!(kind(tcp::RST | tcp::ACK), Ok(ReplyKind::Rst));
        assert_eq!(kind(tcp::ACK), Ok(ReplyKind::Ack));
        for other in [0, tcp::SYN, tcp::FIN | tcp::ACK, tcp::FIN] {
            assert_eq!(kind(other), Err(DiscardReason::OtherType), "{other:#x}");
        }
        let reply = decode(&tcp(tcp::RST), Time::default()).expect("a reply");
        let expected = Echoed::Tcp {
            src_port: 80,
            dst_port: 24_000,
            flags: tcp::RST,
            sequence: 0x0102_0304,
            acknowledgement: 0x0506_0708,
        };
        assert_eq!(reply.echoed, Some(expected));
        assert_eq!(reply.icmp_type, None);
    }

    #[test]
    fn a_datagram_shows_its_ports_and_what_it_repeats() {
        let mut segment = vec![0, 53, 0x5d, 0xc0, 0, 20, 0, 0];
        segment.extend(1..=12);
        let reply = decode(&packet(17, &segment), Time::default()).expect("a reply");
        let expected = Echoed::Udp {
            src_port: 53,
            dst_port: 24_000,
            tag: Some(0x0304_0506_0708_090a),
            serial: Some(0x0b0c),
        };
        assert_eq!(reply.echoed, Some(expected));
        for (protocol, least) in [(6, 20), (17, 8)] {
            for size in 0..least {
                let short = decode(&packet(protocol, &vec![0; size]), Time::default());
                assert_eq!(short, Err(DiscardReason::Truncated));
            }
        }
    }
}
