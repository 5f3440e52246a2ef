//! The Internet checksum: sums, checks and incremental updates (RFC 1071, RFC 1624).
//!
//! Written here rather than taken from a packet library because routers and boxes of the lab adjust checksums
//! without seeing the whole packet, and because every delivered packet costs two sums.

use std::net::Ipv4Addr;

/// The ones' complement sum of `bytes`, continued from `start` and folded to 16 bits; not inverted.
pub(super) fn sum(bytes: &[u8], start: u16) -> u16 {
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
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    !sum(bytes, 0)
}

/// Whether a header or message that includes its checksum is intact.
pub(super) fn is_intact(bytes: &[u8]) -> bool {
    sum(bytes, 0) == 0xffff
}

/// The sum of the IPv4 pseudo-header of a UDP or TCP segment of `length` bytes.
pub(super) fn pseudo_header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    length: u16,
) -> u16 {
    let start = sum(&source.octets(), sum(&destination.octets(), 0));
    fold(u64::from(start) + u64::from(protocol) + u64::from(length))
}

/// A UDP or TCP checksum after the address `old` beneath it became `new` (RFC 1624, equation 3).
///
/// A UDP checksum of 0 means "none" and stays 0; a result of 0 is written as 0xffff, as UDP demands.
pub(super) fn adjusted(checksum: u16, old: Ipv4Addr, new: Ipv4Addr) -> u16 {
    if checksum == 0 {
        return 0;
    }
    let changed =
        u64::from(!checksum) + u64::from(!sum(&old.octets(), 0)) + u64::from(sum(&new.octets(), 0));
    match !fold(changed) {
        0 => 0xffff,
        value => value,
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
        let destination = Ipv4Addr::new(198, 18, 0, 1);
        let fresh = |source: Ipv4Addr| !sum(&segment, pseudo_header(source, destination, 17, 12));
        for last in 0..=255 {
            let (old, new) = (
                Ipv4Addr::new(192, 0, 2, 1),
                Ipv4Addr::new(203, 0, 113, last),
            );
            assert_eq!(adjusted(fresh(old), old, new), fresh(new), "{new}");
        }
    }

    #[test]
    fn no_checksum_stays_none() {
        assert_eq!(
            adjusted(0, Ipv4Addr::new(1, 2, 3, 4), Ipv4Addr::new(4, 3, 2, 9)),
            0
        );
    }
}
