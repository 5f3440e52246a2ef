//! Who calls a probe too large is no hop of its TTL.

use super::*;

#[test]
fn a_narrow_line_s_router_does_not_come_back() {
    check(&[
        // The router before the line answers for every TTL behind it, until smaller probes are sent.
        ("A B 2C 2D 2T", &[]),
        ("A 1C 1D T", &[]),
        ("A B 2C 2D 2T =2", &[]),
        ("A B 2C 22D 3T", &[]),
        // What is odd behind it shows all the same.
        ("A B 2C 2B 2C 2T", &[Cycle]),
        ("A B 2C 2CD 2T", &[PerPacketBalancing]),
        // A router that was seen before says nothing of what lies behind a loop; nor does one that is not of it.
        ("A D B C B / 4 4 =4", &[Loop]),
        ("A B C B / 4", &[Loop]),
        ("A B C B / 4D", &[Cycle]),
    ]);
}

#[test]
fn too_large_is_neither_silence_nor_an_answer() {
    check(&[
        ("A B 2** 2T", &[SilentHop]),
        ("A B *2* 2T", &[SilentHop]),
        ("A B 2*C 2T", &[RateLimited]),
        ("A B 2C* 2T", &[RateLimited]),
        ("A B 2 2T", &[]),
        // Nobody stands behind the silence.
        ("A B ** 2", &[]),
    ]);
}

#[test]
fn it_is_no_neighbour_either() {
    let (mut rows, end) = trace("A B 2C T");
    quote(&mut rows[1]).ttl = Some(0);
    assert!(find(&rows, &end).is_empty(), "B forwards no TTL of 0");
}

#[test]
fn where_the_path_ends_with_it_it_is_the_last_hop() {
    let ended = |text: &str, sizes: &[u16]| {
        let (mut rows, mut end) = trace(text);
        end.stop_reason = StopReason::Unreachable;
        for (row, size) in rows.iter_mut().rev().zip(sizes.iter().rev()) {
            row.probe_size = *size;
        }
        find(&rows, &end).iter().collect::<Vec<_>>()
    };
    // As every unreachable, at the narrow router's own TTL + 1.
    assert_eq!(ended("A B 2", &[]), []);
    assert_eq!(ended("A B ** 3", &[]), [SilentHop]);
    // Of several it is that of the smallest probe.
    assert_eq!(ended("A B 23", &[1_500, 68]), []);
    assert_eq!(ended("A B C 23", &[1_500, 68]), []);
    assert_eq!(ended("A BC 32", &[1_500, 68]), [PerPacketBalancing]);
    // Who comes back so does not stand there a second time.
    assert_eq!(ended("A B * 2", &[]), [SilentHop]);
    assert_eq!(ended("A B C 2", &[]), []);
}

/// The router before the line changes nothing, and answers at TTLs where everybody else shows a translator.
#[test]
fn a_translator_is_behind_who_calls_a_probe_too_large() {
    let (mut rows, end) = trace("A B C 2D 2T =2");
    for row in &mut rows {
        let of_narrow = reply(row).kind == ReplyKind::FragmentationNeeded;
        if row.ttl >= Some(Ttl(3)) && !of_narrow {
            let shown = quote(row).checksum().map(|sent| sent + 1);
            udp(quote(row)).checksum = shown;
        }
    }
    assert_eq!(find(&rows, &end).iter().collect::<Vec<_>>(), [Nat]);
}
