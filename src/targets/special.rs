//! Special-use addresses and their names.
//!
//! Sources: IANA's registries of special-purpose addresses (RFC 6890) and of multicast (RFC 5771, RFC 4291), class E, and the former
//! site-local addresses. The longest prefix that contains an address gives its name.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The use that an address is reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecialUse {
    /// 0.0.0.0 and ::. No host has these addresses.
    Unspecified,
    /// 0.0.0.0/8.
    ThisNetwork,
    /// This host: 127.0.0.0/8 and ::1.
    Loopback,
    /// RFC 1918.
    Private,
    /// fc00::/7.
    UniqueLocal,
    /// Behind a provider's NAT: 100.64.0.0/10.
    Shared,
    /// 169.254.0.0/16.
    LinkLocal,
    /// fe80::/10. The address identifies a host only together with its link, the zone.
    LinkLocalIpv6,
    /// fec0::/10.
    SiteLocal,
    /// 192.0.0.0/24, 2001::/23.
    ProtocolAssignment,
    /// 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32, 3fff::/20.
    Documentation,
    /// 198.18.0.0/15, 2001:2::/48.
    Benchmarking,
    /// 192.88.99.0/24, 2002::/16. Such an address embeds an IPv4 address and would bypass an IPv4 blocklist.
    #[serde(rename = "6to4")]
    SixToFour,
    /// 2001::/32, for the same reason.
    Teredo,
    /// 64:ff9b::/96 and 64:ff9b:1::/48, for the same reason.
    Nat64,
    /// ::ffff:0:0/96. Programs write IPv4 addresses in this form. Packets never have such an address.
    Ipv4Mapped,
    /// ::/96.
    Ipv4Compatible,
    /// 100::/32.
    Discard,
    /// 5f00::/16.
    SegmentRouting,
    /// 224.0.0.0/4, ff00::/8: groups of hosts.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// 240.0.0.0/4 and the rest of ::/8.
    Reserved,
}

impl SpecialUse {
    /// Every use.
    pub const ALL: [SpecialUse; 22] = [
        SpecialUse::Unspecified,
        SpecialUse::ThisNetwork,
        SpecialUse::Loopback,
        SpecialUse::Private,
        SpecialUse::UniqueLocal,
        SpecialUse::Shared,
        SpecialUse::LinkLocal,
        SpecialUse::LinkLocalIpv6,
        SpecialUse::SiteLocal,
        SpecialUse::ProtocolAssignment,
        SpecialUse::Documentation,
        SpecialUse::Benchmarking,
        SpecialUse::SixToFour,
        SpecialUse::Teredo,
        SpecialUse::Nat64,
        SpecialUse::Ipv4Mapped,
        SpecialUse::Ipv4Compatible,
        SpecialUse::Discard,
        SpecialUse::SegmentRouting,
        SpecialUse::Multicast,
        SpecialUse::Broadcast,
        SpecialUse::Reserved,
    ];

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            SpecialUse::Unspecified => "unspecified",
            SpecialUse::ThisNetwork => "this-network (0.0.0.0/8)",
            SpecialUse::Loopback => "loopback",
            SpecialUse::Private => "private",
            SpecialUse::UniqueLocal => "unique local",
            SpecialUse::Shared => "shared (100.64.0.0/10)",
            SpecialUse::LinkLocal => "link-local",
            SpecialUse::LinkLocalIpv6 => "IPv6 link-local",
            SpecialUse::SiteLocal => "site-local",
            SpecialUse::ProtocolAssignment => "protocol assignment",
            SpecialUse::Documentation => "documentation",
            SpecialUse::Benchmarking => "benchmarking",
            SpecialUse::SixToFour => "6to4",
            SpecialUse::Teredo => "Teredo",
            SpecialUse::Nat64 => "NAT64",
            SpecialUse::Ipv4Mapped => "IPv4-mapped",
            SpecialUse::Ipv4Compatible => "IPv4-compatible",
            SpecialUse::Discard => "discard-only",
            SpecialUse::SegmentRouting => "segment routing",
            SpecialUse::Multicast => "multicast",
            SpecialUse::Broadcast => "broadcast",
            SpecialUse::Reserved => "reserved",
        }
    }

    /// Why such addresses are never probed, even if the user allows special uses. `None` if they may be probed.
    pub const fn never_because(self) -> Option<&'static str> {
        match self {
            SpecialUse::Unspecified => Some("no host has that address"),
            SpecialUse::LinkLocalIpv6 => {
                Some("needs a zone, such as fe80::1%eth0, and is never more than one hop away")
            }
            SpecialUse::Ipv4Mapped => Some("write it as an IPv4 address"),
            SpecialUse::Multicast | SpecialUse::Broadcast => Some("many hosts, not one"),
            _ => None,
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(a: u16, b: u16, c: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

/// IPv4: network, length of the prefix, use.
pub(super) const IPV4: [(Ipv4Addr, u8, SpecialUse); 17] = [
    (v4(0, 0, 0, 0), 8, SpecialUse::ThisNetwork),
    (v4(0, 0, 0, 0), 32, SpecialUse::Unspecified),
    (v4(10, 0, 0, 0), 8, SpecialUse::Private),
    (v4(100, 64, 0, 0), 10, SpecialUse::Shared),
    (v4(127, 0, 0, 0), 8, SpecialUse::Loopback),
    (v4(169, 254, 0, 0), 16, SpecialUse::LinkLocal),
    (v4(172, 16, 0, 0), 12, SpecialUse::Private),
    (v4(192, 0, 0, 0), 24, SpecialUse::ProtocolAssignment),
    (v4(192, 0, 2, 0), 24, SpecialUse::Documentation),
    (v4(192, 88, 99, 0), 24, SpecialUse::SixToFour),
    (v4(192, 168, 0, 0), 16, SpecialUse::Private),
    (v4(198, 18, 0, 0), 15, SpecialUse::Benchmarking),
    (v4(198, 51, 100, 0), 24, SpecialUse::Documentation),
    (v4(203, 0, 113, 0), 24, SpecialUse::Documentation),
    (v4(224, 0, 0, 0), 4, SpecialUse::Multicast),
    (v4(240, 0, 0, 0), 4, SpecialUse::Reserved),
    (v4(255, 255, 255, 255), 32, SpecialUse::Broadcast),
];

/// IPv6: network, length of the prefix, use.
pub(super) const IPV6: [(Ipv6Addr, u8, SpecialUse); 19] = [
    (Ipv6Addr::UNSPECIFIED, 8, SpecialUse::Reserved),
    (Ipv6Addr::UNSPECIFIED, 96, SpecialUse::Ipv4Compatible),
    (Ipv6Addr::UNSPECIFIED, 128, SpecialUse::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, SpecialUse::Loopback),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, 0, 0),
        96,
        SpecialUse::Ipv4Mapped,
    ),
    (v6(0x64, 0xFF9B, 0), 96, SpecialUse::Nat64),
    (v6(0x64, 0xFF9B, 1), 48, SpecialUse::Nat64),
    (v6(0x100, 0, 0), 32, SpecialUse::Discard),
    (v6(0x2001, 0, 0), 23, SpecialUse::ProtocolAssignment),
    (v6(0x2001, 0, 0), 32, SpecialUse::Teredo),
    (v6(0x2001, 2, 0), 48, SpecialUse::Benchmarking),
    (v6(0x2001, 0x0DB8, 0), 32, SpecialUse::Documentation),
    (v6(0x2002, 0, 0), 16, SpecialUse::SixToFour),
    (v6(0x3FFF, 0, 0), 20, SpecialUse::Documentation),
    (v6(0x5F00, 0, 0), 16, SpecialUse::SegmentRouting),
    (v6(0xFC00, 0, 0), 7, SpecialUse::UniqueLocal),
    (v6(0xFE80, 0, 0), 10, SpecialUse::LinkLocalIpv6),
    (v6(0xFEC0, 0, 0), 10, SpecialUse::SiteLocal),
    (v6(0xFF00, 0, 0), 8, SpecialUse::Multicast),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_is_at_its_own_index() {
        for (at, special) in SpecialUse::ALL.into_iter().enumerate() {
            assert_eq!(special as usize, at, "{special:?}");
        }
    }
}
