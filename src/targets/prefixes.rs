//! The addresses that are probed in a prefix.
//!
//! | prefix | addresses probed |
//! |---|---|
//! | IPv4, shorter than /24 | some hosts of each /24 (`.1` to `.254`) |
//! | IPv4, /24 or longer | every address |
//! | IPv6, /48 or shorter | one address of each /48 |
//! | IPv6, longer than /48 | one address |
//!
//! The choice depends only on the block (/24 or /48) and the target seed. So every run probes the same hosts. The prefix that contains the
//! block makes no difference, and more hosts per block only add hosts.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use siphasher::{sip, sip128};

/// The second half of the hash key. The first half is the target seed. A change of this constant changes every drawn host.
const KEY: u64 = 0x7461_7267_6574_7331;

/// Addresses of one family as numbers, and the family's blocks.
pub(super) trait Family: Copy + Ord + Debug + Send + Sync + 'static {
    /// Bits of an address.
    const BITS: u8;
    /// The length of a prefix that is one block.
    const BLOCK: u8;

    fn bits(self) -> u128;
    /// The address with these bits. `bits` fits the family.
    fn from_bits(bits: u128) -> Self;
    fn ip(self) -> IpAddr;
    /// Number of addresses in a drawn block.
    fn per_block(draw: &Draw) -> u8;
    /// The drawn address number `nth` of the block that starts here.
    fn drawn(block: Self, nth: u8, draw: &Draw) -> Self;
    /// First address, and number of further addresses, of a prefix that is a block or longer.
    fn explicit(first: Self, length: u8, draw: &Draw) -> (Self, u8);

    /// The number of the block that holds the address.
    fn block_of(self) -> u64 {
        // At most 48 bits are left.
        (self.bits() >> (Self::BITS - Self::BLOCK)) as u64
    }

    /// First address of a block, as bits.
    fn block_first(block: u64) -> u128 {
        u128::from(block) << (Self::BITS - Self::BLOCK)
    }

    /// Last address of a block, as bits.
    fn block_last(block: u64) -> u128 {
        Self::block_first(block) | ((1u128 << (Self::BITS - Self::BLOCK)) - 1)
    }

    /// Sets the bits beyond the prefix length to 0.
    fn masked(self, length: u8) -> Self {
        let behind = u32::from(Self::BITS - length);
        Self::from_bits(
            self.bits()
                .checked_shr(behind)
                .and_then(|kept| kept.checked_shl(behind))
                .unwrap_or(0),
        )
    }
}

impl Family for u32 {
    const BITS: u8 = 32;
    const BLOCK: u8 = 24;

    fn bits(self) -> u128 {
        u128::from(self)
    }
    fn from_bits(bits: u128) -> Self {
        bits as u32
    }
    fn ip(self) -> IpAddr {
        Ipv4Addr::from_bits(self).into()
    }
    fn per_block(draw: &Draw) -> u8 {
        draw.per_block
    }
    fn drawn(block: Self, nth: u8, draw: &Draw) -> Self {
        block | u32::from(draw.host(block, nth))
    }
    fn explicit(first: Self, length: u8, _: &Draw) -> (Self, u8) {
        (
            first,
            u8::MAX.checked_shr(u32::from(length - 24)).unwrap_or(0),
        )
    }
}

impl Family for u128 {
    const BITS: u8 = 128;
    const BLOCK: u8 = 48;

    fn bits(self) -> u128 {
        self
    }
    fn from_bits(bits: u128) -> Self {
        bits
    }
    fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self).into()
    }
    fn per_block(_: &Draw) -> u8 {
        1
    }
    fn drawn(block: Self, _: u8, draw: &Draw) -> Self {
        draw.ipv6(block, Self::BLOCK)
    }
    fn explicit(first: Self, length: u8, draw: &Draw) -> (Self, u8) {
        (draw.ipv6(first, length), 0)
    }
}

/// Draws hosts. The result depends only on the block and the target seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    seed: u64,
    per_block: u8,
}

impl Draw {
    /// Draws `per_block` hosts per /24. Returns `None` if this is 0 or more than [`Draw::MOST`].
    pub(super) fn new(seed: u64, per_block: u8) -> Option<Self> {
        (1..=Self::MOST)
            .contains(&per_block)
            .then_some(Draw { seed, per_block })
    }

    /// The target seed, and the hosts per /24.
    pub(super) fn parts(&self) -> (u64, u8) {
        (self.seed, self.per_block)
    }

    /// The number of hosts in a /24: `.1` to `.254`.
    pub(super) const MOST: u8 = 254;

    /// Returns the last byte of drawn host number `nth` (0 to 253) in the /24 that starts at `block`.
    ///
    /// The draws of a block are a keyed permutation of 1 to 254. So they are distinct, and do not change if more are drawn.
    fn host(&self, block: u32, nth: u8) -> u8 {
        let [a, b, c, _] = block.to_be_bytes();
        let key = sip::SipHasher13::new_with_keys(self.seed, KEY).hash(&[4, a, b, c]);
        let mut host = permute(nth, key);
        // Two of the 256 values are not hosts. Permuting again leads to a value that no other start leads to.
        while host >= Self::MOST {
            host = permute(host, key);
        }
        host + 1
    }

    /// Returns the drawn address of an IPv6 prefix. The host bits of `prefix` are 0.
    ///
    /// - For a /128, returns its address.
    /// - With two host bits or more, never draws the all-zero host: it is the anycast address of the subnet's routers.
    fn ipv6(&self, prefix: u128, length: u8) -> u128 {
        let mask = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
        let mut bytes = [0; 18];
        bytes[0] = 6;
        bytes[1] = length;
        bytes[2..].copy_from_slice(&prefix.to_be_bytes());
        let hash = sip128::SipHasher13::new_with_keys(self.seed, KEY).hash(&bytes);
        let host = hash.as_u128() & mask;
        prefix | if host == 0 && mask > 1 { 1 } else { host }
    }
}

/// A keyed permutation of the bytes: a Feistel network of four rounds over two nibbles, with 16 bits of key per round.
/// Over all keys, every value is equally likely. Drawing needs no stronger property.
fn permute(value: u8, key: u64) -> u8 {
    let (mut left, mut right) = (value >> 4, value & 15);
    for round in 0..4 {
        let [factor, addend] = ((key >> (16 * round)) as u16).to_be_bytes();
        let mixed = (u16::from(right) * u16::from(factor | 1) + u16::from(addend)) >> 4;
        (left, right) = (right, left ^ (mixed as u8 & 15));
    }
    left << 4 | right
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn draw(seed: u64) -> Draw {
        Draw::new(seed, 1).expect("1 host a block is allowed")
    }

    #[test]
    fn every_key_gives_a_permutation() {
        for key in (0..200u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let values: HashSet<u8> = (0..=255).map(|v| permute(v, key)).collect();
            assert_eq!(values.len(), 256, "key {key:#x}");
        }
    }

    #[test]
    fn hosts_of_a_block_are_1_to_254_and_distinct() {
        for block in [0u32, 0xC633_6400, 0xFFFF_FF00] {
            let hosts: HashSet<u8> = (0..254).map(|n| draw(0).host(block, n)).collect();
            assert_eq!(hosts, (1..=254).collect(), "block {block:#x}");
        }
    }

    #[test]
    fn every_host_is_drawn_about_equally_often() {
        let blocks = 254 * 200;
        let mut counts = [0u32; 256];
        for block in 0..blocks {
            counts[usize::from(draw(7).host(block << 8, 0))] += 1;
        }
        // 200 expected, standard deviation about 14.
        assert!(
            counts[1..255].iter().all(|n| (120..280).contains(n)),
            "{counts:?}"
        );
    }

    #[test]
    fn draws_never_change() {
        // Users compare runs of different nights. So these values must not change between releases.
        let hosts: Vec<u8> = (0..4).map(|n| draw(0).host(0xC000_0200, n)).collect();
        assert_eq!(hosts, [85, 42, 40, 195]);
        assert_ne!(draw(0).host(0xC000_0200, 0), draw(1).host(0xC000_0200, 0));
        let address = Ipv6Addr::from_bits(draw(0).ipv6(0x2001_0db8 << 96, 48));
        assert_eq!(address.to_string(), "2001:db8:0:77b3:1dda:e744:e008:6fad");
    }

    #[test]
    fn ipv6_draws_stay_inside_the_prefix() {
        let prefix = 0x2001_0db8_1234_5678 << 64;
        for length in 64..=128u8 {
            let drawn = draw(3).ipv6(prefix, length);
            assert_eq!(drawn.masked(length), prefix, "/{length}");
            assert!(
                length > 126 || drawn != prefix,
                "/{length} drew the zero host"
            );
        }
        assert_eq!(draw(3).ipv6(prefix, 128), prefix);
    }

    #[test]
    fn the_shortest_and_the_longest_prefix_are_masked_right() {
        assert_eq!(u32::MAX.masked(0), 0);
        assert_eq!(u32::MAX.masked(32), u32::MAX);
        assert_eq!(u128::MAX.masked(0), 0);
        assert_eq!(u128::MAX.masked(128), u128::MAX);
    }
}
