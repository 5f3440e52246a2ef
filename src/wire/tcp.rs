//! TCP probes (RFC 9293), with our own IP header: segments of no connection.
//!
//! | field | holds | constant over a flow |
//! |---|---|---|
//! | IP destination | the target | yes |
//! | IP ID (IPv4) | secret: which sending | no |
//! | TTL or hop limit | the hop asked for | no |
//! | source port | base + flow | yes |
//! | destination port | as configured | yes |
//! | sequence number | secret: high 16 bits the serial, low 16 bits the check | no |
//! | acknowledgement number | 0 in a SYN; else the sequence number again, which comes back as a reset's sequence number | no |
//! | flags | SYN, ACK, or PSH and ACK | yes |
//! | payload | none; one byte with PSH | yes |
//!
//! 8 quoted bytes hold both ports and the whole sequence number; a reset or a SYN-ACK returns it in its own numbers.
//! Address translators change neither.

use super::ip::{IpHeader, TCP};
use super::token::Marks;
use crate::model::TcpFlags;

/// Size of a TCP header without options, bytes.
pub const HEADER: usize = 20;
/// FIN.
pub const FIN: u8 = 0x01;
/// SYN.
pub const SYN: u8 = 0x02;
/// RST.
pub const RST: u8 = 0x04;
/// ACK.
pub const ACK: u8 = 0x10;

/// What an unremarkable host offers.
const WINDOW: u16 = 64_240;

/// The size of a segment's payload, bytes: data makes it a PSH.
pub const fn payload_size(flags: TcpFlags) -> usize {
    match flags {
        TcpFlags::Syn | TcpFlags::Ack => 0,
        TcpFlags::Psh => 1,
    }
}

/// The sequence number of a probe.
pub const fn sequence(serial: u16, check: u16) -> u32 {
    (serial as u32) << 16 | check as u32
}

/// The serial in a sequence number.
pub const fn serial_of(sequence: u32) -> u16 {
    (sequence >> 16) as u16
}

/// The sequence numbers that the probe may have which a segment from the target answers; none where it can answer none.
///
/// A SYN is acknowledged by sequence + 1. A segment with ACK draws a reset whose sequence number is the acknowledgement
/// number sent, which repeats ours; what resets it by acknowledging counts its data, and may still take the sequence number from
/// there.
pub fn answered_sequences(
    probed: TcpFlags,
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
) -> impl Iterator<Item = u32> {
    let acknowledged = (flags & ACK != 0).then_some(acknowledgement);
    let behind = |data: usize| acknowledged.map(|number| number.wrapping_sub(data as u32));
    let numbers = match probed {
        TcpFlags::Syn => [behind(1), None],
        TcpFlags::Ack | TcpFlags::Psh if flags & RST == 0 => [None, None],
        TcpFlags::Ack | TcpFlags::Psh => [behind(payload_size(probed)), Some(sequence)],
    };
    numbers.into_iter().flatten()
}

/// What a TCP probe says.
#[derive(Clone, Copy, Debug)]
pub struct TcpProbe {
    /// The IP header.
    pub ip: IpHeader,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Which segment.
    pub flags: TcpFlags,
    /// Names the sending.
    pub serial: u16,
    /// The check is half of the sequence number.
    pub marks: Marks,
}

impl TcpProbe {
    /// Writes the probe into `packet`, whose length is the probe's.
    #[inline]
    pub fn encode(&self, packet: &mut [u8]) {
        self.ip.encode(packet);
        let tcp = &mut packet[self.ip.ends.header_size()..];
        let length = tcp.len();
        let sequence = sequence(self.serial, self.marks.check);
        let acknowledgement = match self.flags {
            TcpFlags::Syn => 0,
            TcpFlags::Ack | TcpFlags::Psh => sequence,
        };
        tcp[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        tcp[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        tcp[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
        tcp[12] = (HEADER as u8 / 4) << 4;
        tcp[13] = self.flags.bits();
        tcp[14..16].copy_from_slice(&WINDOW.to_be_bytes());
        tcp[16..].fill(0);
        let sum = self.ip.ends.pseudo_header(TCP, length).bytes(tcp);
        tcp[16..18].copy_from_slice(&sum.checksum().to_be_bytes());
    }

    /// The checksum that the probe carries; `length` is that of the whole segment, bytes.
    pub fn checksum(&self, length: usize) -> u16 {
        let mut packet = vec![0; self.ip.ends.header_size() + length];
        self.encode(&mut packet);
        let at = self.ip.ends.header_size() + 16;
        u16::from_be_bytes([packet[at], packet[at + 1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Ttl;
    use crate::wire::ip::Ends;
    use crate::wire::quote;

    fn families() -> [Ends; 2] {
        [
            Ends::V4([192, 0, 2, 1].into(), [198, 51, 100, 9].into()),
            Ends::V6(
                "2001:db8::1".parse().unwrap(),
                "2001:db8:5:6::9".parse().unwrap(),
            ),
        ]
    }

    fn probe(ends: Ends, ttl: u8, flags: TcpFlags, serial: u16, check: u16) -> TcpProbe {
        TcpProbe {
            ip: IpHeader {
                ends,
                protocol: TCP,
                ttl: Ttl(ttl),
                tos: 0,
                ip_id: serial,
                dont_fragment: false,
                flow_label: 7,
            },
            src_port: 24_000,
            dst_port: 80,
            flags,
            serial,
            marks: Marks { check, tag: 0 },
        }
    }

    fn encoded(probe: &TcpProbe) -> Vec<u8> {
        let size = probe.ip.ends.header_size() + HEADER + payload_size(probe.flags);
        let mut bytes = vec![0xff; size];
        probe.encode(&mut bytes);
        bytes
    }

    #[test]
    fn every_serial_and_every_check_come_back_from_eight_bytes() {
        for ends in families() {
            for number in 1..=u16::MAX {
                let check = number.rotate_left(5) ^ 0x5a5a;
                let bytes = encoded(&probe(ends, 9, TcpFlags::Syn, number, check));
                let quoted = quote::parse(&bytes[..ends.header_size() + 8]).expect("readable");
                assert_eq!(quoted.tcp_sequence, Some(sequence(number, check)));
                assert_eq!((quoted.src_port, quoted.dst_port), (Some(24_000), Some(80)));
                assert_eq!(serial_of(sequence(number, check)), number);
            }
        }
    }

    #[test]
    fn every_segment_has_the_right_checksum() {
        for ends in families() {
            for flags in [TcpFlags::Syn, TcpFlags::Ack, TcpFlags::Psh] {
                let probe = probe(ends, 4, flags, 0xabcd, 0x0123);
                let bytes = encoded(&probe);
                let tcp = &bytes[ends.header_size()..];
                let sum = ends.pseudo_header(TCP, tcp.len()).bytes(tcp);
                assert_eq!(sum.folded(), 0xffff, "{flags:?}");
                assert_eq!(tcp[13], flags.bits());
                assert_eq!(probe.checksum(tcp.len()).to_be_bytes(), tcp[16..18]);
            }
        }
    }

    #[test]
    fn paris_nothing_that_a_balancer_hashes_changes_within_a_flow() {
        for ends in families() {
            let transport = ends.header_size();
            let hashed = |ttl: u8, serial: u16| {
                let bytes = encoded(&probe(ends, ttl, TcpFlags::Syn, serial, !serial));
                let ip = match ends {
                    Ends::V4(..) => [&bytes[1..2], &bytes[9..10], &bytes[12..20]].concat(),
                    Ends::V6(..) => [&bytes[..4], &bytes[6..7], &bytes[8..40]].concat(),
                };
                [&ip, &bytes[transport..transport + 4]].concat()
            };
            for ttl in 1..=255 {
                for serial in [1, 0x8000, u16::MAX] {
                    assert_eq!(hashed(ttl, serial), hashed(1, 1));
                }
            }
        }
    }

    #[test]
    fn answers_lead_back_to_the_sequence_number_they_answer() {
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
        // Resets that acknowledge something else, and say by their sequence number what they answer.
        assert_eq!(of(TcpFlags::Ack, RST | ACK, ours, 0), Some(ours));
        assert_eq!(of(TcpFlags::Psh, RST | ACK, ours, 7), Some(ours));
        let wrapped: Vec<u32> = answered_sequences(TcpFlags::Syn, SYN | ACK, 0, 0).collect();
        assert_eq!(wrapped, [u32::MAX]);
    }
}
