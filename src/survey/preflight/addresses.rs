//! Reads addresses and routes of this machine from the kernel's tables in /proc. Only [`of_thread`] reads files; the others
//! parse text.

use std::net::{Ipv4Addr, Ipv6Addr};

/// `IFA_F_TEMPORARY` (include/uapi/linux/if_addr.h): a privacy address (RFC 8981), replaced after hours.
const TEMPORARY: u32 = 0x01;
/// `RTF_UP` and `RTF_REJECT` (include/uapi/linux/route.h).
const UP: u32 = 0x0001;
const REJECT: u32 = 0x0200;

/// A table of the calling thread's network namespace, such as `route` or `if_inet6`; empty if there is no such table.
pub(super) fn of_thread(table: &str) -> String {
    // Not /proc/self: it shows the namespace of the process's first thread, which may be a different one.
    std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default()
}

/// The addresses in /proc/net/if_inet6. A line has: address, interface number, prefix length, scope, flags, name. All but the
/// name are hexadecimal.
fn ipv6_addresses(if_inet6: &str) -> impl Iterator<Item = (Ipv6Addr, u32, &str)> {
    if_inet6.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let address = u128::from_str_radix(columns.next()?, 16).ok()?;
        let flags = u32::from_str_radix(columns.nth(3)?, 16).ok()?;
        Some((Ipv6Addr::from(address), flags, columns.next()?))
    })
}

/// Whether `if_inet6` (the text of /proc/net/if_inet6) lists `source` as a temporary address.
pub(in crate::survey) fn temporary_ipv6(if_inet6: &str, source: Ipv6Addr) -> bool {
    ipv6_addresses(if_inet6).any(|(address, flags, _)| address == source && flags & TEMPORARY != 0)
}

/// The interface that has the address `source`.
pub(super) fn ipv6_interface(if_inet6: &str, source: Ipv6Addr) -> Option<&str> {
    ipv6_addresses(if_inet6)
        .find_map(|(address, _, interface)| (address == source).then_some(interface))
}

/// The interface of the route to `destination` in the main routing table (the text of /proc/net/route). The longest prefix
/// wins, then the lowest metric. `None` if there is no route. Policy routing is not considered.
pub(super) fn ipv4_interface(route: &str, destination: Ipv4Addr) -> Option<&str> {
    // Addresses are written in the machine's byte order.
    let wanted = u32::from_ne_bytes(destination.octets());
    let hexadecimal = |text: &str| u32::from_str_radix(text, 16).ok();
    route
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [interface, network, _, flags, _, _, metric, mask, ..] = columns[..] else {
                return None;
            };
            let (network, mask) = (hexadecimal(network)?, hexadecimal(mask)?);
            let metric: u32 = metric.parse().ok()?;
            let leads = hexadecimal(flags)? & (UP | REJECT) == UP && wanted & mask == network;
            leads.then_some((mask.count_ones(), std::cmp::Reverse(metric), interface))
        })
        .max()
        .map(|(_, _, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IF_INET6: &str = "\
fd000000000000000000000000000002 04 40 00 82     eth0
20010db80000000012345678abcdef01 02 40 00 01    wlan0
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
torn
";

    #[test]
    fn temporary_addresses_are_recognised_by_their_flag() {
        let temporary = |text: &str| temporary_ipv6(IF_INET6, text.parse().unwrap());
        assert!(temporary("2001:db8::1234:5678:abcd:ef01"));
        // 0x82 does not include the flag of temporary addresses.
        assert!(!temporary("fd00::2"));
        assert!(!temporary("2001:db8::1"));
        assert!(!temporary_ipv6("", Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn an_address_belongs_to_its_interface() {
        let of = |text: &str| ipv6_interface(IF_INET6, text.parse().unwrap());
        assert_eq!(of("fd00::2"), Some("eth0"));
        assert_eq!(of("fd00::3"), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_longest_prefix_and_then_the_lowest_metric_decide() {
        let route = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t000012C6\t00000000\t0001\t0\t0\t0\t0000FEFF\t0\t0\t0
*\t006433C6\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
        let towards = |a, b, c, d| ipv4_interface(route, Ipv4Addr::new(a, b, c, d));
        assert_eq!(towards(192, 0, 2, 7), Some("eth0"));
        assert_eq!(towards(198, 18, 0, 1), Some("tun0"));
        assert_eq!(towards(198, 19, 255, 1), Some("tun0"));
        assert_eq!(towards(203, 0, 113, 1), Some("eth0"));
        assert_eq!(ipv4_interface("", Ipv4Addr::LOCALHOST), None);
    }
}
