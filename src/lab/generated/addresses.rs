//! The addresses of targets and routers in a generated network.
//!
//! | | IPv4 | IPv6, all in the documentation prefix 2001:db8::/32 (RFC 3849) |
//! |---|---|---|
//! | vantage point | `192.0.2.1` | `2001:db8::1` |
//! | targets | every unicast address but 0/8, 10/8, 127/8 and 192.0.2.0/24 | `2001:db8:1000::/36` |
//! | near routers | `10.224.0.x` | `2001:db8:ff00::x` |
//! | transit | `10.225.carrier.x` | `2001:db8:ff01:carrier::x` |
//! | region | `10.226.region.x` | `2001:db8:ff02:region::x` |
//! | site | `10.(228 + site).region.x` | `2001:db8:ff03:site:region::x` (both in hexadecimal) |
//! | last hop | of `a.b.c.0/24`: `10.a.b.c` | of `2001:db8:1nnn::/48`: `2001:db8:2nnn::1` |
//!
//! For any other address, the last router of the near part answers that it has no route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{CARRIERS, Part, Plan};
use crate::lab::packet::address::Family;

/// The IPv4 vantage point: documentation range, plain unicast to any kernel.
pub(in crate::lab) const VANTAGE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The IPv6 vantage point.
pub(in crate::lab) const VANTAGE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The numbers of IPv6 blocks start here, after those of IPv4.
const BLOCKS_V6: u32 = 1 << 24;

/// The number of every IPv6 block outside 2001:db8::/32. None of these blocks holds targets.
const ELSEWHERE_V6: u32 = BLOCKS_V6 + (1 << 16);

/// The /36 of IPv6 targets, as block numbers.
const TARGETS_V6: std::ops::RangeInclusive<u32> = BLOCKS_V6 + 0x1000..=BLOCKS_V6 + 0x1fff;

/// The /24s without targets, as ranges of the first three bytes.
const EXCLUDED: [(u32, u32); 5] = [
    (0x000000, 0x00ffff),
    (0x0a0000, 0x0affff),
    (0x7f0000, 0x7fffff),
    (0xc00002, 0xc00002),
    (0xe00000, 0xffffff),
];

/// The number of the block around an address. For a /24 it is the first three bytes; for a /48 it is derived from the third group.
pub(in crate::lab) fn block_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => u32::from(address) >> 8,
        IpAddr::V6(address) => match address.segments() {
            [0x2001, 0xdb8, block, ..] => BLOCKS_V6 + u32::from(block),
            _ => ELSEWHERE_V6,
        },
    }
}

/// Whether the addresses of this block are targets.
pub(in crate::lab) fn is_target(block: u32) -> bool {
    if block >= BLOCKS_V6 {
        return TARGETS_V6.contains(&block);
    }
    !EXCLUDED
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&block))
}

/// All prefixes that hold targets, merged as far as possible.
pub(in crate::lab) fn target_prefixes() -> Vec<IpNet> {
    let everything = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
    let mut found = Vec::new();
    cut(everything, &mut found);
    let v6 = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0x1000, 0, 0, 0, 0, 0), 36);
    found.push(v6.into());
    found
}

/// Splits a prefix in half until each part holds only targets, or none.
fn cut(prefix: Ipv4Net, found: &mut Vec<IpNet>) {
    let [start, end] = [prefix.network(), prefix.broadcast()].map(|a| u32::from(a) >> 8);
    let mut touching = EXCLUDED
        .iter()
        .filter(|(first, last)| *first <= end && *last >= start)
        .peekable();
    if touching.peek().is_none() {
        found.push(prefix.into());
    } else if !touching.any(|(first, last)| *first <= start && *last >= end) {
        for half in prefix
            .subnets(prefix.prefix_len() + 1)
            .into_iter()
            .flatten()
        {
            cut(half, found);
        }
    }
}

/// The address of router number `last` (from 1) in this `part` of a path.
pub(in crate::lab) fn router_address(plan: &Plan, part: Part, last: u8) -> IpAddr {
    let carrier = plan.region % CARRIERS;
    match plan.family {
        Family::V4 => match part {
            Part::Near => Ipv4Addr::new(10, 224, 0, last),
            Part::Transit => Ipv4Addr::new(10, 225, carrier, last),
            Part::Region => Ipv4Addr::new(10, 226, plan.region, last),
            Part::Site => Ipv4Addr::new(10, 228 + plan.site, plan.region, last),
            Part::Last => Ipv4Addr::from(10 << 24 | plan.block),
        }
        .into(),
        Family::V6 => {
            let [carrier, region, site, last] =
                [carrier, plan.region, plan.site, last].map(u16::from);
            let own = (plan.block & 0xffff) as u16;
            let [third, fourth, fifth, last] = match part {
                Part::Near => [0xff00, 0, 0, last],
                Part::Transit => [0xff01, carrier, 0, last],
                Part::Region => [0xff02, region, 0, last],
                Part::Site => [0xff03, site, region, last],
                Part::Last => [own.wrapping_add(0x1000), 0, 0, 1],
            };
            Ipv6Addr::new(0x2001, 0xdb8, third, fourth, fifth, 0, 0, last).into()
        }
    }
}
