//! The Internet checksum: sums, checks and incremental updates (RFC 1071, RFC 1624).
//!
//! This is our own code because routers and boxes adjust checksums without the whole packet. It must also be fast: every delivered
//! packet needs two sums.

use std::net::IpAddr;

use super::address::with_octets;

/// The ones' complement sum of `bytes`, continued from `start` and folded to 16 bits; not inverted.
pub(in crate::lab) fn sum(bytes: &[u8], start: u16) -> u16 {
    let mut total = u64::from(start);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        total += u64::from(u32::from_be_bytes(*word));
    }
    let (halves, odd) = rest.as_chunks::<2>();
    for half in halves {
        total += u64::from(u16::from_be_bytes(*half));
    }
    if let [last] = odd {
        total += u64::from(*last) << 8;
    }
    fold(total)
}

/// The checksum to write into a header whose checksum field is zero.
pub(in crate::lab) fn checksum(bytes: &[u8]) -> u16 {
    !sum(bytes, 0)
}

/// Whether a header or message that includes its checksum is intact.
pub(in crate::lab) fn is_intact(bytes: &[u8]) -> bool {
    sum(bytes, 0) == 0xffff
}

/// The sum of the pseudo-header of a UDP, TCP or ICMPv6 message of `length` bytes (RFC 768, RFC 9293, RFC 8200). The fields of IPv6
/// are wider, but add up to the same sum.
pub(in crate::lab) fn pseudo_header(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    length: u16,
) -> u16 {
    let start = address_sum(source, address_sum(destination, 0));
    fold(u64::from(start) + u64::from(protocol) + u64::from(length))
}

/// The sum of an address, continued from `start`.
pub(in crate::lab) fn address_sum(address: IpAddr, start: u16) -> u16 {
    with_octets(address, |octets| sum(octets, start))
}

/// Updates `checksum` when the sum of the bytes it covers changes from `old` to `new` (RFC 1624, equation 3).
pub(in crate::lab) fn adjusted(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

/// As [`adjusted`], for UDP. A checksum of 0 means "no checksum" and stays 0. A result of 0 is written as 0xffff.
pub(in crate::lab) fn adjusted_udp(checksum: u16, old: u16, new: u16) -> u16 {
    match checksum {
        0 => 0,
        sum => match adjusted(sum, old, new) {
            0 => 0xffff,
            value => value,
        },
    }
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&bytes, 0), 0xddf2);
        assert_eq!(checksum(&bytes), 0x220d);
    }

    #[test]
    fn an_odd_byte_counts_as_the_high_half() {
        assert_eq!(sum(&[0x12, 0x34, 0x56], 0), 0x1234 + 0x5600);
    }

    #[test]
    fn an_adjusted_checksum_is_the_one_computed_afresh() {
        let segment = [0x5d, 0xc0, 0x82, 0x9a, 0, 12, 0, 0, 1, 2, 3, 4];
        for (destination, old, new) in [
            ("198.18.0.1", "192.0.2.1", "203.0.113."),
            ("2001:db8:1000::1", "2001:db8::1", "2001:db8:ffff::"),
        ] {
            let destination = destination.parse().unwrap();
            let old = old.parse().unwrap();
            let fresh = |source| !sum(&segment, pseudo_header(source, destination, 17, 12));
            for last in 0..=255 {
                let new = format!("{new}{last}").parse().unwrap();
                let sums = (address_sum(old, 0), address_sum(new, 0));
                assert_eq!(adjusted(fresh(old), sums.0, sums.1), fresh(new), "{new}");
                assert_eq!(
                    adjusted_udp(fresh(old), sums.0, sums.1),
                    fresh(new),
                    "{new}"
                );
            }
        }
    }

    #[test]
    fn no_checksum_stays_none() {
        let (old, new) = (0x0406, 0x070b);
        assert_eq!(adjusted_udp(0, old, new), 0);
        // A result of 0 is written as 0xffff, because 0 means "no checksum".
        let sum = fold(u64::from(!old) + u64::from(new));
        assert_eq!(adjusted(sum, old, new), 0);
        assert_eq!(adjusted_udp(sum, old, new), 0xffff);
    }
}
