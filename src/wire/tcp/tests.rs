use super::*;
use crate::model::Time;
use crate::wire::outer::decode;
use crate::wire::quote;
use crate::wire::testing::{adds_up, encoded, families, hashed};
use crate::wire::token::Marks;

fn format(flags: TcpFlags) -> ProbeFormat {
    ProbeFormat {
        protocol: Tcp::sending(flags),
        destination_port: 80,
        ..ProbeFormat::udp(1)
    }
}

fn probe(ends: Ends, ttl: u8, serial: u16, check: u16) -> Marked {
    crate::wire::testing::probe(ends, ttl, serial, Marks { check, tag: 0 })
}

#[test]
fn every_serial_and_every_check_come_back_from_eight_bytes() {
    for ends in families() {
        for number in 1..=u16::MAX {
            let check = number.rotate_left(5) ^ 0x5a5a;
            let bytes = encoded(&format(TcpFlags::Syn), ends, &probe(ends, 9, number, check));
            let quoted = quote::parse(&bytes[..ends.header_size() + 8]).expect("readable");
            let expected = QuotedTcp {
                src_port: Some(24_000),
                dst_port: Some(80),
                sequence: Some(sequence(number, check)),
                checksum: None,
            };
            assert_eq!(quoted.transport, QuotedTransport::Tcp(expected));
            assert_eq!(serial_of(sequence(number, check)), number);
        }
    }
}

#[test]
fn every_segment_has_the_right_checksum() {
    for ends in families() {
        for flags in [TcpFlags::Syn, TcpFlags::Ack, TcpFlags::Psh] {
            let (format, probe) = (format(flags), probe(ends, 4, 0xabcd, 0x0123));
            let bytes = encoded(&format, ends, &probe);
            assert!(adds_up(ends, Some(ip::TCP), &bytes), "{flags:?}");
            let tcp = &bytes[ends.header_size()..];
            assert_eq!(tcp[13], flags.bits());
            let checksum = format.checksum(&probe).expect("one family");
            assert_eq!(checksum.to_be_bytes(), tcp[16..18]);
        }
    }
}

#[test]
fn paris_no_field_that_a_balancer_hashes_changes_within_a_flow() {
    for ends in families() {
        let hashed = |ttl: u8, serial: u16| {
            let probe = probe(ends, ttl, serial, !serial);
            let packet = encoded(&format(TcpFlags::Syn), ends, &probe);
            let ports = &packet[ends.header_size()..][..4];
            [&hashed(ends, &packet), ports].concat()
        };
        for ttl in 1..=255 {
            for serial in [1, 0x8000, u16::MAX] {
                assert_eq!(hashed(ttl, serial), hashed(1, 1));
            }
        }
    }
}

#[test]
fn an_answer_gives_the_sequence_number_of_its_probe() {
    let ours = 0x89ab_cdef;
    let of = |probed, flags, sequence, ack| {
        answered_sequences(probed, flags, sequence, ack).find(|number| *number == ours)
    };
    let next = ours + 1;
    assert_eq!(of(TcpFlags::Syn, SYN | ACK, 5, next), Some(ours));
    assert_eq!(of(TcpFlags::Syn, RST | ACK, 0, next), Some(ours));
    assert_eq!(of(TcpFlags::Syn, ACK, 5, next), Some(ours));
    assert_eq!(
        of(TcpFlags::Syn, RST, ours, 0),
        None,
        "says nothing of a SYN"
    );
    assert_eq!(of(TcpFlags::Ack, RST, ours, 0), Some(ours));
    assert_eq!(of(TcpFlags::Ack, RST | ACK, 0, ours), Some(ours));
    assert_eq!(of(TcpFlags::Ack, ACK, 1, ours), None);
    assert_eq!(of(TcpFlags::Psh, RST, ours, 0), Some(ours));
    assert_eq!(of(TcpFlags::Psh, RST | ACK, 0, next), Some(ours));
    // Resets that acknowledge another number. Their own sequence number identifies the probe.
    assert_eq!(of(TcpFlags::Ack, RST | ACK, ours, 0), Some(ours));
    assert_eq!(of(TcpFlags::Psh, RST | ACK, ours, 7), Some(ours));
    let wrapped: Vec<u32> = answered_sequences(TcpFlags::Syn, SYN | ACK, 0, 0).collect();
    assert_eq!(wrapped, [u32::MAX]);
}

fn segment(flags: u8) -> Vec<u8> {
    let mut segment = vec![0, 80, 0x5d, 0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, flags];
    segment.extend([0; 6]);
    segment
}

#[test]
fn segments_are_told_apart_by_their_flags() {
    let read = |flags| {
        let mut packet = vec![0x45, 0, 0, 40, 0, 9, 0, 0, 60, ip::TCP, 0, 0];
        packet.extend([198, 51, 100, 9, 192, 0, 2, 1]);
        packet.extend(segment(flags));
        decode(&packet, Time::default())
    };
    let kind = |flags| read(flags).map(|reply| reply.kind);
    assert_eq!(kind(SYN | ACK), Ok(ReplyKind::SynAck));
    assert_eq!(kind(RST), Ok(ReplyKind::Rst));
    assert_eq!(kind(RST | ACK), Ok(ReplyKind::Rst));
    assert_eq!(kind(ACK), Ok(ReplyKind::Ack));
    for other in [0, SYN, FIN | ACK, FIN] {
        assert_eq!(kind(other), Err(DiscardReason::OtherType), "{other:#x}");
    }
    let reply = read(RST).expect("a reply");
    let expected = Echoed::Tcp {
        src_port: 80,
        dst_port: 24_000,
        flags: RST,
        sequence: 0x0102_0304,
        acknowledgement: 0x0506_0708,
    };
    assert_eq!(reply.echoed, Some(expected));
    assert_eq!(reply.icmp_type, None);
    for size in 0..HEADER {
        let short = Tcp::sending(TcpFlags::Syn).read_answer(&segment(RST)[..size]);
        assert_eq!(short, Err(DiscardReason::Truncated));
    }
}
