//! Addresses that are not probed: special-use ranges and the user's blocklists.
//!
//! The longest prefix that contains an address gives the reason.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::merge::{Stretch, flatten};
use super::special::{self, SpecialUse};
use crate::model::Blocked;

/// The number that stands for a blocklist. The special uses have the numbers from 0.
const BLOCKED: u32 = u32::MAX;

/// Why an address is not probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exclusion {
    /// It belongs to a special-use range: private, documentation, multicast and the like.
    Special(SpecialUse),
    /// A blocklist contains it.
    Blocked,
}

/// Addresses from `first` to `last`, both included, that are not probed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excluded {
    pub(super) first: u128,
    pub(super) last: u128,
    pub(super) why: Exclusion,
}

/// All prefixes that are not probed. The bits beyond their lengths are 0.
#[derive(Debug)]
pub(super) struct ExclusionRules {
    v4: BTreeMap<Ipv4Net, Exclusion>,
    v6: BTreeMap<Ipv6Net, Exclusion>,
}

impl ExclusionRules {
    /// The special-use ranges. With `allow_special`: only those that are never probed, such as multicast.
    pub(super) fn new(allow_special: bool) -> Self {
        let mut all = ExclusionRules {
            v4: BTreeMap::new(),
            v6: BTreeMap::new(),
        };
        let left_out = |special: &SpecialUse| !allow_special || special.never_because().is_some();
        let v4 = special::IPV4.map(|(address, length, special)| (address.into(), length, special));
        let v6 = special::IPV6.map(|(address, length, special)| (address.into(), length, special));
        for (address, length, special) in v4.into_iter().chain(v6) {
            if left_out(&special) {
                all.insert(address, length, Exclusion::Special(special));
            }
        }
        all
    }

    /// Adds a prefix of a blocklist. Ignores the bits beyond its length.
    pub(super) fn block(&mut self, prefix: IpNet) {
        self.insert(prefix.addr(), prefix.prefix_len(), Exclusion::Blocked);
    }

    fn insert(&mut self, address: IpAddr, length: u8, why: Exclusion) {
        // The lengths come from the tables above and from an `IpNet`: they fit their family.
        match address {
            IpAddr::V4(address) => {
                Ipv4Net::new(address, length)
                    .map(|net| self.v4.insert(net.trunc(), why))
                    .ok();
            }
            IpAddr::V6(address) => {
                Ipv6Net::new(address, length)
                    .map(|net| self.v6.insert(net.trunc(), why))
                    .ok();
            }
        }
    }

    /// The IPv4 exclusions, disjoint and in order.
    pub(super) fn ranges_v4(&self) -> Vec<Excluded> {
        ranges(self.v4.iter().map(|(net, why)| {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            (u128::from(first), u128::from(last), net.prefix_len(), *why)
        }))
    }

    /// The same addresses for look-ups.
    pub(super) fn finish(&self) -> Exclusions {
        // The ranges of this family come from IPv4 prefixes, so they fit.
        let v4 = self.ranges_v4().into_iter();
        let v4 = v4.map(|range| (range.first as u32, range.last as u32));
        let v6 = self.ranges_v6().into_iter();
        Exclusions {
            v4: v4.collect(),
            v6: v6.map(|range| (range.first, range.last)).collect(),
        }
    }

    /// The IPv6 exclusions, disjoint and in order.
    pub(super) fn ranges_v6(&self) -> Vec<Excluded> {
        ranges(self.v6.iter().map(|(net, why)| {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            (first, last, net.prefix_len(), *why)
        }))
    }
}

/// Addresses that are not probed, for look-ups while a run goes on: special-use ranges and blocklists.
///
/// A look-up is a binary search. An IPv4 range needs 8 bytes, an IPv6 range 32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusions {
    /// First and last addresses, disjoint and in order.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Blocked for Exclusions {
    fn is_blocked(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => is_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => is_in(&self.v6, address.to_bits()),
        }
    }
}

fn is_in<A: Copy + Ord>(ranges: &[(A, A)], address: A) -> bool {
    let at = ranges.partition_point(|(_, last)| *last < address);
    ranges.get(at).is_some_and(|(first, _)| *first <= address)
}

fn ranges(prefixes: impl Iterator<Item = (u128, u128, u8, Exclusion)>) -> Vec<Excluded> {
    let mut nested: Vec<Stretch> = prefixes
        .map(|(first, last, length, why)| Stretch {
            first,
            last,
            // The longest prefix decides.
            order: 128 - u32::from(length),
            entry: match why {
                Exclusion::Special(special) => special as u32,
                Exclusion::Blocked => BLOCKED,
            },
        })
        .collect();
    let mut disjoint: Vec<Excluded> = Vec::new();
    let emit = |stretch: Stretch| {
        let special = SpecialUse::ALL.get(stretch.entry as usize);
        let why = special.map_or(Exclusion::Blocked, |special| Exclusion::Special(*special));
        match disjoint.last_mut() {
            Some(last) if last.why == why && last.last.wrapping_add(1) == stretch.first => {
                last.last = stretch.last;
            }
            _ => disjoint.push(Excluded {
                first: stretch.first,
                last: stretch.last,
                why,
            }),
        }
    };
    flatten(&mut nested, emit, |_, _| false);
    disjoint
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Why `address` is not probed; `None` if it may be.
    fn find(all: &ExclusionRules, address: IpAddr) -> Option<Exclusion> {
        let (ranges, bits) = match address {
            IpAddr::V4(address) => (all.ranges_v4(), address.to_bits().into()),
            IpAddr::V6(address) => (all.ranges_v6(), address.to_bits()),
        };
        let mut around = ranges
            .iter()
            .filter(|range| (range.first..=range.last).contains(&bits));
        around.next().map(|range| range.why)
    }

    #[test]
    fn special_ranges_have_the_bounds_of_the_registry() {
        let all = ExclusionRules::new(false);
        for (inside, outside) in [
            ("0.255.255.255", "1.0.0.0"),
            ("10.0.0.0", "9.255.255.255"),
            ("100.127.255.255", "100.128.0.0"),
            ("127.0.0.1", "128.0.0.0"),
            ("169.254.1.1", "169.255.0.0"),
            ("172.31.255.255", "172.32.0.0"),
            ("192.0.0.8", "192.0.1.0"),
            ("192.0.2.255", "192.0.3.0"),
            ("192.88.99.1", "192.88.100.0"),
            ("192.168.0.1", "192.169.0.0"),
            ("198.19.255.255", "198.20.0.0"),
            ("198.51.100.7", "198.51.101.7"),
            ("203.0.113.0", "203.0.112.255"),
            ("224.0.0.1", "223.255.255.255"),
            ("255.255.255.255", "8.8.8.8"),
            ("::1", "2000::"),
            ("64:ff9b::808:808", "2600::"),
            ("100::1", "2a00::1"),
            ("2001:1ff::", "2001:200::"),
            ("2001:db8:ffff::", "2001:db9::"),
            ("2002::1", "2003::1"),
            ("3fff:fff::", "3fff:1000::"),
            ("fd00::1", "fbff::1"),
            ("fe80::1", "2a02::"),
            ("ff02::1", "2a03::"),
        ] {
            assert!(find(&all, address(inside)).is_some(), "{inside} is probed");
            assert_eq!(find(&all, address(outside)), None, "{outside}");
        }
    }

    #[test]
    fn some_addresses_are_never_probed() {
        let all = ExclusionRules::new(true);
        for never in [
            "0.0.0.0",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "::",
            "::ffff:192.0.2.1",
            "fe80::1",
            "febf::1",
            "ff02::1",
        ] {
            let found = find(&all, address(never));
            assert!(
                matches!(found, Some(Exclusion::Special(_))),
                "{never}: {found:?}"
            );
        }
        for allowed in [
            "0.0.0.1",
            "10.0.0.1",
            "127.0.0.1",
            "240.0.0.1",
            "fd00::1",
            "::1",
            "169.254.1.1",
            "fec0::1",
        ] {
            assert_eq!(find(&all, address(allowed)), None, "{allowed}");
        }
    }

    #[test]
    fn each_special_use_has_its_name() {
        let all = ExclusionRules::new(false);
        for (text, name) in [
            ("0.0.0.0", "unspecified"),
            ("0.0.0.1", "this-network (0.0.0.0/8)"),
            ("127.0.0.1", "loopback"),
            ("10.1.2.3", "private"),
            ("100.64.0.1", "shared (100.64.0.0/10)"),
            ("169.254.1.1", "link-local"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "6to4"),
            ("198.18.0.1", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::10.1.2.3", "IPv4-compatible"),
            ("::ffff:10.1.2.3", "IPv4-mapped"),
            ("64:ff9b::10.1.2.3", "NAT64"),
            ("64:ff9b:1:2::1", "NAT64"),
            ("1::1", "reserved"),
            ("100::1", "discard-only"),
            ("2001::1", "Teredo"),
            ("2001:2::1", "benchmarking"),
            ("2001:20::1", "protocol assignment"),
            ("2001:db8::1", "documentation"),
            ("2002:a00::1", "6to4"),
            ("3fff::1", "documentation"),
            ("5f00::1", "segment routing"),
            ("fd00::1", "unique local"),
            ("fe80::1", "IPv6 link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ] {
            let Some(Exclusion::Special(found)) = find(&all, address(text)) else {
                panic!("{text} has no special use");
            };
            assert_eq!(found.name(), name, "{text}");
        }
    }

    #[test]
    fn the_longest_prefix_gives_the_reason() {
        let mut all = ExclusionRules::new(false);
        all.block("0.0.0.0/0".parse().unwrap());
        all.block("10.1.2.3/16".parse().unwrap());
        assert_eq!(find(&all, address("8.8.8.8")), Some(Exclusion::Blocked));
        assert_eq!(
            find(&all, address("10.0.0.1")),
            Some(Exclusion::Special(SpecialUse::Private))
        );
        assert_eq!(find(&all, address("10.1.0.1")), Some(Exclusion::Blocked));
        assert_eq!(find(&all, address("2a00::1")), None, "IPv6");
    }

    #[test]
    fn ranges_are_disjoint_and_have_the_reason_of_the_longest_prefix() {
        let mut all = ExclusionRules::new(false);
        for prefix in [
            "10.1.0.0/16",
            "10.1.2.0/24",
            "8.0.0.0/7",
            "9.9.9.9/32",
            "0.0.0.0/5",
        ] {
            all.block(prefix.parse().unwrap());
        }
        let ranges = all.ranges_v4();
        assert!(ranges.windows(2).all(|pair| pair[0].last < pair[1].first));
        // Each range's ends and their neighbours, where any difference would show.
        let ends = ranges
            .iter()
            .flat_map(|r| [r.first, r.first.wrapping_sub(1), r.last, r.last + 1]);
        for bits in ends.filter_map(|bits| u32::try_from(bits).ok()) {
            let address = Ipv4Addr::from_bits(bits);
            let around = all.v4.iter().filter(|(net, _)| net.contains(&address));
            let longest = around.max_by_key(|(net, _)| net.prefix_len());
            let expected = longest.map(|(_, why)| *why);
            assert_eq!(find(&all, address.into()), expected, "{address}");
            let is_blocked = all.finish().is_blocked(address.into());
            assert_eq!(is_blocked, expected.is_some(), "{address}");
        }
    }

    #[test]
    fn a_look_up_of_ipv6_addresses_finds_the_ends_of_prefixes() {
        let mut all = ExclusionRules::new(true);
        all.block("2a00:1::/32".parse().unwrap());
        all.block("2a00:3::7/128".parse().unwrap());
        let all = all.finish();
        for (text, is_blocked) in [
            ("2a00:0:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("2a00:1::", true),
            ("2a00:1:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2a00:2::", false),
            ("2a00:3::6", false),
            ("2a00:3::7", true),
            ("2a00:3::8", false),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("fd00::1", false),
        ] {
            assert_eq!(all.is_blocked(address(text)), is_blocked, "{text}");
        }
    }
}
