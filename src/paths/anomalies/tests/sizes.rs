//! A router that answers "too large" is not the hop at the TTL of the probe.

use super::*;

#[test]
fn too_large_answers_make_no_loop() {
    check(&[
        // The router before a narrow link answers at every TTL behind it, until smaller probes are sent.
        ("A B 2C 2D 2T", &[]),
        ("A 1C 1D T", &[]),
        ("A B 2C 2D 2T =2", &[]),
        ("A B 2C 22D 3T", &[]),
        // Anomalies behind the link are still found.
        ("A B 2C 2B 2C 2T", &[Cycle]),
        ("A B 2C 2CD 2T", &[PerPacketBalancing]),
        // A "too large" answer does not show that the trace goes on after a loop, whether or not its router is in the loop.
        ("A D B C B / 4 4 =4", &[Loop]),
        ("A B C B / 4", &[Loop]),
        ("A B C B / 4D", &[Cycle]),
    ]);
}

#[test]
fn a_too_large_answer_is_neither_a_timeout_nor_an_answer_of_its_ttl() {
    check(&[
        ("A B 2** 2T", &[SilentHop]),
        ("A B *2* 2T", &[SilentHop]),
        ("A B 2*C 2T", &[RateLimited]),
        ("A B 2C* 2T", &[RateLimited]),
        ("A B 2 2T", &[]),
        // No hop answers behind the timeouts.
        ("A B ** 2", &[]),
    ]);
}

#[test]
fn a_too_large_answer_is_no_zero_ttl_forwarding() {
    let (mut rows, end) = trace("A B 2C T");
    quote(&mut rows[1]).ttl = Some(0);
    assert!(find(&rows, &end).is_empty(), "B forwards no TTL of 0");
}

#[test]
fn a_too_large_answer_that_ends_the_path_is_the_last_hop() {
    let ended = |text: &str, sizes: &[u16]| {
        let (mut rows, mut end) = trace(text);
        end.stop_reason = StopReason::Unreachable;
        for (row, size) in rows.iter_mut().rev().zip(sizes.iter().rev()) {
            row.probe_size = *size;
        }
        find(&rows, &end).iter().collect::<Vec<_>>()
    };
    // Like any unreachable, it comes one TTL after the router's own.
    assert_eq!(ended("A B 2", &[]), []);
    assert_eq!(ended("A B ** 3", &[]), [SilentHop]);
    // If there are several, the last hop is the router that answered the smallest probe.
    assert_eq!(ended("A B 23", &[1_500, 68]), []);
    assert_eq!(ended("A B C 23", &[1_500, 68]), []);
    assert_eq!(ended("A BC 32", &[1_500, 68]), [PerPacketBalancing]);
    // Such an answer is not the return of an address.
    assert_eq!(ended("A B * 2", &[]), [SilentHop]);
    assert_eq!(ended("A B C 2", &[]), []);
}

/// The router before the narrow link answers at TTLs behind a translator, and its quotes are unchanged. The quotes of all other
/// answers at these TTLs show the translator.
#[test]
fn too_large_answers_do_not_hide_a_translator() {
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
