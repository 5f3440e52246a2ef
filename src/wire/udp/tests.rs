use super::*;
use crate::model::{FlowId, Time};
use crate::wire::outer::decode;
use crate::wire::quote;
use crate::wire::testing::{adds_up, encoded, families, hashed};
use crate::wire::token::Marks;

const FORMAT: ProbeFormat = ProbeFormat::udp(2);

fn probe(ends: Ends, ttl: u8, check: u16) -> Marked {
    let marks = Marks {
        check,
        tag: 0x0123_4567_89ab_cdef ^ u64::from(check),
    };
    crate::wire::testing::probe(ends, ttl, 1 + u16::from(ttl) * 7, marks)
}

fn verifies(ends: Ends, packet: &[u8]) -> bool {
    adds_up(ends, Some(ip::UDP), packet)
}

#[test]
fn every_ttl_and_every_check_come_back() {
    for ends in families() {
        let short = ends.header_size() + 8;
        for ttl in 1..=255 {
            let bytes = encoded(&FORMAT, ends, &probe(ends, ttl, 0x1234));
            let quoted = quote::parse(&bytes[..short]).expect("a quote of 8 bytes");
            let shown = FORMAT.read(&quoted).expect("a whole quote").shown;
            assert_eq!(shown.ttl, Some(Ttl(ttl)));
            assert_eq!((shown.tag, shown.serial), (None, None));
        }
        for check in 1..=u16::MAX {
            let probe = probe(ends, 9, check);
            let bytes = encoded(&FORMAT, ends, &probe);
            assert!(verifies(ends, &bytes), "checksum {check:#x} is wrong");
            let quoted = quote::parse(&bytes).expect("a whole quote");
            assert_eq!(quoted.checksum(), Some(check));
            assert_eq!(quoted.tag(), Some(probe.marks.tag));
            assert_eq!(quoted.serial(), Some(probe.serial));
            assert_eq!(quoted.src_port(), Some(24_000));
        }
    }
}

#[test]
fn every_source_port_and_serial_come_back() {
    for ends in families() {
        for number in 1..=u16::MAX {
            let format = ProbeFormat {
                source_port: number,
                ..FORMAT
            };
            let probe = Marked {
                serial: number,
                ..probe(ends, 3, 77)
            };
            let bytes = encoded(&format, ends, &probe);
            assert!(verifies(ends, &bytes));
            let quoted = quote::parse(&bytes).expect("a whole quote");
            let ip_id = matches!(ends, Ends::V4(..)).then_some(number);
            assert_eq!(
                (quoted.src_port(), quoted.serial(), quoted.ip_id),
                (Some(number), Some(number), ip_id)
            );
        }
    }
}

#[test]
fn paris_no_field_that_a_balancer_hashes_changes_within_a_flow() {
    for ends in families() {
        let hashed = |ttl: u8, check: u16| {
            let packet = encoded(&FORMAT, ends, &probe(ends, ttl, check));
            let ports = &packet[ends.header_size()..][..4];
            [&hashed(ends, &packet), ports].concat()
        };
        for ttl in 1..=255 {
            for check in [1, 0x8000, u16::MAX] {
                assert_eq!(hashed(ttl, check), hashed(1, 1));
            }
        }
    }
}

#[test]
fn flows_differ_in_the_source_port_alone() {
    for ends in families() {
        let [a, b] = [0, 1].map(|flow| {
            let flow = FlowId(flow);
            let probe = Marked {
                flow,
                ..probe(ends, 5, 9)
            };
            encoded(&FORMAT, ends, &probe)
        });
        let transport = ends.header_size();
        let differing: Vec<usize> = (0..transport + 8).filter(|at| a[*at] != b[*at]).collect();
        assert_eq!(
            differing,
            [transport + 1],
            "only the low byte of the source port"
        );
    }
}

#[test]
fn a_length_that_no_probe_has_gives_no_ttl() {
    for length in [0, 8, 19, 20, 20 + 256, u16::MAX] {
        assert_eq!(ttl_of_length(length), None, "{length}");
    }
}

#[test]
fn the_ports_and_marks_of_an_answering_datagram_are_read() {
    let mut datagram = vec![0, 53, 0x5d, 0xc0, 0, 20, 0, 0];
    datagram.extend(1..=12);
    let mut packet = vec![0x45, 0, 0, 40, 0, 9, 0, 0, 60, ip::UDP, 0, 0];
    packet.extend([198, 51, 100, 9, 192, 0, 2, 1]);
    packet.extend(&datagram);
    let reply = decode(&packet, Time::default()).expect("a reply");
    let expected = Echoed::Udp {
        src_port: 53,
        dst_port: 24_000,
        tag: Some(0x0304_0506_0708_090a),
        serial: Some(0x0b0c),
    };
    assert_eq!(reply.echoed, Some(expected));
    for size in 0..HEADER {
        let short = Udp.read_answer(&datagram[..size]);
        assert_eq!(short, Err(DiscardReason::Truncated));
    }
}
