//! IPv4 destinations between which no route and no rule makes a difference.
//!
//! A destination prefix of a route, in any table, or of a rule divides the addresses at its start and behind its end. Between two
//! neighbouring divisions every address has the same longest match in every table and meets the same rules: what the kernel says
//! of one holds for all of them. (A matched prefix alone would not do: a narrower one may lie inside.) Not so between several
//! next hops, which are chosen by a hash of the address; and a local route makes every destination its own source. Callers
//! leave those out.

use std::net::Ipv4Addr;

/// Divisions kept at most. With full routing tables of the internet there are too many for it to pay.
const MOST: usize = 16_384;

/// The divisions of all IPv4 addresses.
#[derive(Debug, Default)]
pub(in crate::transport) struct Regions {
    /// First addresses of all regions but the first, in order.
    starts: Vec<u32>,
    too_many: bool,
}

impl Regions {
    /// Adds the divisions of a prefix: its first address, and the one behind its last.
    pub(super) fn divide(&mut self, (first, behind): (u32, Option<u32>)) {
        if self.starts.len() < MOST {
            self.starts.push(first);
            self.starts.extend(behind);
        } else {
            self.too_many = true;
        }
    }

    /// Makes look-ups possible, once all prefixes are in. `None` if there were too many.
    pub(super) fn finish(mut self) -> Option<Self> {
        self.starts.sort_unstable();
        self.starts.dedup();
        (!self.too_many).then_some(self)
    }

    /// The region of an address: a number up to [`count`](Self::count).
    #[inline]
    pub(in crate::transport) fn of(&self, address: Ipv4Addr) -> usize {
        let address = u32::from(address);
        self.starts.partition_point(|start| *start <= address)
    }

    /// How many regions there are.
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
    fn without_prefixes_all_is_one_region_and_with_too_many_there_are_none() {
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
            // Edges are where it matters.
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
