use super::*;

const SIZE: usize = 100;

/// The bytes `from..until` of a packet of either family as a fragment. The packet carries 0, 1, 2 and so on, `SIZE` bytes in
/// all.
fn fragment(v6: bool, identification: u16, from: usize, until: usize) -> Vec<u8> {
    part(v6, identification, from, until, until < SIZE)
}

fn part(v6: bool, identification: u16, from: usize, until: usize, more: bool) -> Vec<u8> {
    let data: Vec<u8> = (from..until).map(|at| at as u8).collect();
    let place = |shift: usize| ((from / 8) << shift) as u16;
    let mut packet;
    if v6 {
        // A destination options header before the fragment header.
        packet = vec![0x60, 0, 0, 0, 0, (16 + data.len()) as u8, 60, 61];
        packet.extend([0x20; 16]);
        packet.extend([0x21; 16]);
        packet.extend([44, 0, 1, 4, 0, 0, 0, 0, 17, 0]);
        packet.extend((place(3) | u16::from(more)).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(identification.to_be_bytes());
    } else {
        packet = vec![0x45, 0, 0, (20 + data.len()) as u8];
        packet.extend(identification.to_be_bytes());
        packet.extend((place(0) | u16::from(more) << 13).to_be_bytes());
        packet.extend([61, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    }
    packet.extend(data);
    packet
}

/// The packet that the fragments form.
fn whole(v6: bool) -> Vec<u8> {
    let mut packet = part(v6, 7, 0, SIZE, false);
    if v6 {
        packet[5] = 8 + SIZE as u8;
        packet[40] = 17;
        packet.drain(48..56);
    } else {
        packet[2..4].copy_from_slice(&(20 + SIZE as u16).to_be_bytes());
        let checksum = Sum::default().bytes(&packet[..20]).checksum();
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

fn take(reassembler: &mut Reassembler, packet: &[u8], second: u64) -> Option<Vec<u8>> {
    let at = Time::from_nanos(second * 1_000_000_000);
    match reassembler.take(packet, at) {
        Taken::Whole(whole) => Some(whole.to_vec()),
        Taken::Kept => None,
    }
}

fn dropped(reassembler: &mut Reassembler) -> Vec<(DiscardReason, usize)> {
    let dropped = reassembler.take_dropped();
    dropped.map(|it| (it.reason, it.packet.len())).collect()
}

const CUTS: [(usize, usize); 4] = [(0, 24), (24, 56), (56, 96), (96, 100)];

#[test]
fn fragments_in_any_order_make_the_packet() {
    for v6 in [false, true] {
        for order in [
            [0, 1, 2, 3],
            [3, 2, 1, 0],
            [1, 3, 0, 2],
            [2, 0, 3, 1],
            [3, 0, 1, 2],
        ] {
            let mut reassembler = Reassembler::default();
            let mut out: Vec<Option<Vec<u8>>> = order
                .iter()
                .map(|at| fragment(v6, 7, CUTS[*at].0, CUTS[*at].1))
                .map(|packet| take(&mut reassembler, &packet, 1))
                .collect();
            assert_eq!(out.pop().unwrap(), Some(whole(v6)), "{v6} {order:?}");
            assert!(out.iter().all(Option::is_none));
            assert_eq!(dropped(&mut reassembler), []);
            assert_eq!((reassembler.bytes, reassembler.open.len()), (0, 0));
        }
    }
}

#[test]
fn a_packet_that_is_whole_is_given_back_as_it_is() {
    let mut reassembler = Reassembler::default();
    let mut atomic = part(true, 7, 0, SIZE, false);
    atomic[5] = 16 + SIZE as u8;
    for packet in [
        &whole(false)[..],
        &whole(true),
        &atomic,
        &[],
        &[0x45],
        &[0x60; 7],
    ] {
        assert_eq!(take(&mut reassembler, packet, 1).as_deref(), Some(packet));
    }
}

#[test]
fn copies_are_dropped_and_do_no_harm() {
    for v6 in [false, true] {
        let mut reassembler = Reassembler::default();
        for (from, until) in [CUTS[0], CUTS[0], CUTS[3], CUTS[3], CUTS[1], CUTS[1]] {
            assert_eq!(
                take(&mut reassembler, &fragment(v6, 7, from, until), 1),
                None
            );
        }
        let last = fragment(v6, 7, CUTS[2].0, CUTS[2].1);
        assert_eq!(take(&mut reassembler, &last, 1), Some(whole(v6)));
        let counted = dropped(&mut reassembler);
        assert_eq!(counted.len(), 3);
        assert!(counted.iter().all(|it| it.0 == DiscardReason::Fragment));
    }
}

#[test]
fn an_overlap_spoils_the_packet_and_what_comes_later() {
    let overlaps = [(16, 32), (0, 16), (0, 32), (24, 64), (8, 16), (96, 104)];
    for v6 in [false, true] {
        for (from, until) in overlaps {
            let mut reassembler = Reassembler::default();
            for at in [0, 1, 3] {
                take(
                    &mut reassembler,
                    &fragment(v6, 7, CUTS[at].0, CUTS[at].1),
                    1,
                );
            }
            let over = part(v6, 7, from, until, true);
            assert_eq!(take(&mut reassembler, &over, 1), None);
            assert_eq!(dropped(&mut reassembler).len(), 4, "{from}-{until}");
            let rest = fragment(v6, 7, CUTS[2].0, CUTS[2].1);
            assert_eq!(take(&mut reassembler, &rest, 1), None);
            assert_eq!(dropped(&mut reassembler).len(), 1);
        }
    }
}

#[test]
fn a_fragment_with_other_bytes_is_not_a_copy() {
    let mut reassembler = Reassembler::default();
    let first = fragment(false, 7, 0, 24);
    take(&mut reassembler, &first, 1);
    let mut other = first.clone();
    other[30] ^= 1;
    take(&mut reassembler, &other, 1);
    assert_eq!(dropped(&mut reassembler).len(), 2);
}

#[test]
fn a_packet_without_an_end_or_with_two_is_never_completed() {
    let mut reassembler = Reassembler::default();
    take(&mut reassembler, &part(false, 7, 0, 24, true), 1);
    take(&mut reassembler, &part(false, 7, 24, 48, true), 1);
    assert_eq!(
        take(&mut reassembler, &part(false, 7, 56, 64, false), 1),
        None
    );
    // A fragment beyond the end, and a second end.
    assert_eq!(
        take(&mut reassembler, &part(false, 7, 64, 72, false), 1),
        None
    );
    assert_eq!(dropped(&mut reassembler).len(), 4);
}

#[test]
fn packets_are_told_apart_by_identification_addresses_and_protocol() {
    let mut reassembler = Reassembler::default();
    let rest = fragment(false, 7, 24, 100);
    take(&mut reassembler, &fragment(false, 7, 0, 24), 1);
    for (at, value) in [(5, 8), (9, 1), (15, 9), (19, 9)] {
        let mut other = rest.clone();
        other[at] = value;
        assert_eq!(take(&mut reassembler, &other, 1), None, "byte {at}");
    }
    assert_eq!(take(&mut reassembler, &rest, 1), Some(whole(false)));
    // In IPv6 the next header of a later fragment is not used.
    let mut rest = fragment(true, 7, 24, 100);
    rest[48] = 6;
    take(&mut reassembler, &fragment(true, 7, 0, 24), 1);
    assert_eq!(take(&mut reassembler, &rest, 1), Some(whole(true)));
}

#[test]
fn incomplete_packets_are_dropped_after_their_age_and_counted() {
    let mut reassembler = Reassembler::default();
    take(&mut reassembler, &fragment(false, 7, 0, 24), 100);
    take(&mut reassembler, &fragment(false, 7, 24, 56), 129);
    assert_eq!(dropped(&mut reassembler), []);
    assert_eq!(
        take(&mut reassembler, &fragment(false, 7, 56, 100), 131),
        None
    );
    assert_eq!(dropped(&mut reassembler).len(), 2);
    reassembler.give_up();
    assert_eq!(dropped(&mut reassembler), [(DiscardReason::Fragment, 64)]);
    assert_eq!(reassembler.bytes, 0);
}

#[test]
fn the_number_of_packets_and_their_bytes_are_bounded() {
    let mut reassembler = Reassembler::default();
    for identification in 0..DATAGRAMS as u16 + 10 {
        take(&mut reassembler, &fragment(false, identification, 0, 24), 1);
    }
    assert_eq!(reassembler.open.len(), DATAGRAMS);
    assert_eq!(dropped(&mut reassembler).len(), 10);

    let mut reassembler = Reassembler::default();
    let mut large = fragment(false, 0, 0, 24);
    large.resize(20 + 8_000, 0);
    large[2..4].copy_from_slice(&8_020_u16.to_be_bytes());
    let mut kept = 0;
    for identification in 0..200_u16 {
        large[4..6].copy_from_slice(&identification.to_be_bytes());
        take(&mut reassembler, &large, 1);
        kept = kept.max(reassembler.bytes);
        assert!(reassembler.bytes <= BYTES);
    }
    assert!(kept > BYTES - 8_020);
    let counted = dropped(&mut reassembler).len();
    assert_eq!(counted + reassembler.open.len(), 200);
}

#[test]
fn the_number_of_fragments_of_a_packet_is_bounded() {
    let mut reassembler = Reassembler::default();
    let tiny = |at: usize| {
        let mut packet = part(false, 7, 0, 8, true);
        packet[6..8].copy_from_slice(&(0x2000 | at as u16).to_be_bytes());
        packet
    };
    for at in 0..FRAGMENTS {
        take(&mut reassembler, &tiny(at), 1);
    }
    assert_eq!(dropped(&mut reassembler), []);
    take(&mut reassembler, &tiny(FRAGMENTS), 1);
    assert_eq!(dropped(&mut reassembler).len(), FRAGMENTS + 1);
}

#[test]
fn each_flaw_of_a_fragment_has_its_reason() {
    use DiscardReason::{Fragment, Malformed, Truncated};
    let refused = |packet: &[u8]| {
        let mut reassembler = Reassembler::default();
        assert_eq!(take(&mut reassembler, packet, 1), None);
        let dropped = dropped(&mut reassembler);
        assert_eq!((dropped.len(), reassembler.open.len()), (1, 0));
        dropped[0].0
    };
    for v6 in [false, true] {
        let good = fragment(v6, 7, 0, 24);
        assert_eq!(refused(&good[..good.len() - 1]), Truncated);
        assert_eq!(refused(&part(v6, 7, 0, 20, true)), Fragment);
        assert_eq!(refused(&part(v6, 7, 8, 8, true)), Fragment);
    }
    let mut huge = part(false, 7, 0, 24, false);
    huge[6..8].copy_from_slice(&[0x1f, 0xff]);
    assert_eq!(refused(&huge), Fragment);
    let mut short = fragment(false, 7, 0, 24);
    short[0] = 0x44;
    assert_eq!(refused(&short), Malformed);
}

proptest::proptest! {
    /// For any fragments, each packet is returned whole, becomes part of one, waits, or is dropped.
    #[test]
    fn any_fragments_are_accounted_for(
        pieces in proptest::collection::vec((0..2_u8, 0..3_u16, 0..12_usize, 1..5_usize, 0..2_u8), 0..60)
    ) {
        let mut reassembler = Reassembler::default();
        let mut count = 0;
        for (v6, identification, from, units, more) in pieces {
            let packet = part(v6 == 1, identification, from * 8, (from + units) * 8, more == 1);
            count += 1;
            let open: usize = reassembler.open.iter().map(|open| open.fragments.len()).sum();
            if let Some(whole) = take(&mut reassembler, &packet, 1) {
                let left: usize = reassembler.open.iter().map(|open| open.fragments.len()).sum();
                count -= open + 1 - left;
                assert!(whole.len() <= 200);
                // The payload counts up from 0.
                let start = if whole[0] == 0x45 { 20 } else { 48 };
                let counts = whole[start..].iter().enumerate().all(|(at, byte)| *byte == at as u8);
                assert!(counts || whole == packet);
            }
        }
        reassembler.give_up();
        assert_eq!(dropped(&mut reassembler).len(), count);
        assert_eq!(reassembler.bytes, 0);
    }

    #[test]
    fn any_bytes_are_taken(packets in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..90), 0..8)) {
        let mut reassembler = Reassembler::default();
        for mut packet in packets {
            let _ = take(&mut reassembler, &packet, 1);
            if packet.len() > 50 {
                packet[..2].copy_from_slice(&[0x60, 0]);
                let length = (packet.len() - 40) as u8;
                packet[4..7].copy_from_slice(&[0, length, 44]);
                let _ = take(&mut reassembler, &packet, 1);
            }
        }
    }
}
