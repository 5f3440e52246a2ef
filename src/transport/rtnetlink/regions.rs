//! Regions of IPv4 destinations that no route and no rule distinguishes.
//!
//! The destination prefix of a route, in any table, or of a rule divides the addresses at its start and after its end. All
//! addresses between two adjacent divisions have the same longest match in every table and meet the same rules. So the kernel's
//! answer for one address holds for all of them. (A matched prefix alone is no such region: a narrower prefix may lie inside.)
//!
//! There are two exceptions, which callers must handle: several next hops, which the kernel chooses by a hash of the address, and
//! local routes, which make every destination its own source.

use std::net::Ipv4Addr;

/// The most divisions that are kept. With a full routing table of the internet there are too many to be worth it.
const MOST: usize = 16_384;

/// The divisions of all IPv4 addresses.
#[derive(Debug, Default)]
pub(in crate::transport) struct Regions {
    /// The first address of every region except the first, in order.
    starts: Vec<u32>,
    too_many: bool,
}

impl Regions {
    /// Adds the divisions of a prefix: its first address, and the address after its last one.
    pub(super) fn divide(&mut self, (first, behind): (u32, Option<u32>)) {
        if self.starts.len() < MOST {
            self.starts.push(first);
            self.starts.extend(behind);
        } else {
            self.too_many = true;
        }
    }

    /// Prepares for look-ups, after all prefixes were added. `None` if there were too many.
    pub(super) fn finish(mut self) -> Option<Self> {
        self.starts.sort_unstable();
        self.starts.dedup();
        (!self.too_many).then_some(self)
    }

    /// The region of an address: a number below [`count`](Self::count).
    #[inline]
    pub(in crate::transport) fn of(&self, address: Ipv4Addr) -> usize {
        let address = u32::from(address);
        self.starts.partition_point(|start| *start <= address)
    }

    /// The number of regions.
    pub(in crate::transport) fn count(&self) -> usize {
        self.starts.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_prefix_divides_the_wide_one_around_it() {
        let mut regions = Regions::default();
        // 198.18.1.0/24, 198.18.1.77, the last address there is.
        regions.divide((0xc612_0100, Some(0xc612_0200)));
        regions.divide((0xc612_014d, Some(0xc612_014e)));
        regions.divide((0xc612_014d, Some(0xc612_014e)));
        regions.divide((u32::MAX, None));
        let regions = regions.finish().unwrap();
        assert_eq!(regions.count(), 6);
        let of = |text: &str| regions.of(text.parse().unwrap());
        for (address, region) in [
            ("0.0.0.0", 0),
            ("198.18.0.255", 0),
            ("198.18.1.0", 1),
            ("198.18.1.76", 1),
            ("198.18.1.77", 2),
            ("198.18.1.78", 3),
            ("198.18.1.255", 3),
            ("198.18.2.0", 4),
            ("255.255.255.254", 4),
            ("255.255.255.255", 5),
        ] {
            assert_eq!(of(address), region, "{address}");
        }
    }

    #[test]
    fn without_prefixes_there_is_one_region_and_too_many_prefixes_give_no_regions() {
        let regions = Regions::default().finish().unwrap();
        assert_eq!((regions.count(), regions.of(Ipv4Addr::BROADCAST)), (1, 0));
        let mut regions = Regions::default();
        for first in 0..MOST as u32 {
            regions.divide((first << 8, Some((first << 8) + 256)));
        }
        assert!(regions.finish().is_none());
    }

    proptest::proptest! {
        /// Two addresses of one region match the same prefixes.
        #[test]
        fn addresses_of_a_region_match_the_same_prefixes(
            prefixes in proptest::collection::vec((proptest::num::u32::ANY, 1..33_u32), 0..20),
            addresses in proptest::collection::vec(proptest::num::u32::ANY, 2..40),
        ) {
            let prefixes: Vec<(u32, u32)> = prefixes
                .into_iter()
                .map(|(address, length)| (address & (u32::MAX << (32 - length)), length))
                .collect();
            let mut regions = Regions::default();
            for (first, length) in &prefixes {
                let behind = u64::from(*first) + (1 << (32 - length));
                regions.divide((*first, u32::try_from(behind).ok()));
            }
            let regions = regions.finish().unwrap();
            // The edges of prefixes are the interesting addresses.
            let near = prefixes.iter().flat_map(|(first, length)| {
                let last = first | !(u32::MAX << (32 - length));
                [*first, last, first.wrapping_sub(1), last.wrapping_add(1)]
            });
            let all: Vec<u32> = addresses.into_iter().chain(near).collect();
            let matched = |address: u32| -> Vec<bool> {
                prefixes
                    .iter()
                    .map(|(first, length)| address & (u32::MAX << (32 - length)) == *first)
                    .collect()
            };
            for one in &all {
                for other in &all {
                    let same = regions.of((*one).into()) == regions.of((*other).into());
                    proptest::prop_assert!(!same || matched(*one) == matched(*other));
                }
            }
        }
    }
}
