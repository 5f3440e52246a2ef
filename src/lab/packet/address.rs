//! Addresses of both families, as hashes and packets use them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::lab::hash::mix2;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Family {
    V4,
    V6,
}

impl Family {
    pub(in crate::lab) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Bytes of an IP header without options.
    pub(in crate::lab) const fn header(self) -> usize {
        match self {
            Family::V4 => 20,
            Family::V6 => 40,
        }
    }
}

/// The number that represents an address in hashes. IPv4 addresses have numbers below 2^32; those of IPv6 have the top bit set.
pub(in crate::lab) fn key(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            mix2((bits >> 64) as u64, bits as u64) | 1 << 63
        }
    }
}

/// The bytes of an address: 4 or 16.
pub(in crate::lab) fn with_octets<T>(address: IpAddr, use_them: impl FnOnce(&[u8]) -> T) -> T {
    match address {
        IpAddr::V4(address) => use_them(&address.octets()),
        IpAddr::V6(address) => use_them(&address.octets()),
    }
}

/// Whether routers forward packets to this address, and a machine may have it. This excludes multicast, broadcast, loopback,
/// link-local (IPv6) and unspecified addresses.
pub(in crate::lab) fn is_forwarded(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_multicast()
                || address.is_broadcast()
                || address.is_unspecified()
                || address.is_loopback())
        }
        IpAddr::V6(address) => {
            !(address.is_multicast()
                || address.is_unspecified()
                || address.is_loopback()
                || address.is_unicast_link_local())
        }
    }
}

/// Reads the IPv4 address at `offset`. The header must be long enough.
pub(in crate::lab) fn ipv4_at(bytes: &[u8], offset: usize) -> IpAddr {
    let mut octets = [0; 4];
    octets.copy_from_slice(&bytes[offset..offset + 4]);
    Ipv4Addr::from(octets).into()
}

/// Reads the IPv6 address at `offset`. The header must be long enough.
pub(in crate::lab) fn ipv6_at(bytes: &[u8], offset: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[offset..offset + 16]);
    Ipv6Addr::from(octets).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_families_never_meet() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(key(v4), 0xc000_0201);
        for last in 0..100_u16 {
            let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into();
            assert!(key(v6) >= 1 << 63);
            let other = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, last + 1, 0, 0, 0).into();
            assert_ne!(key(v6), key(other));
        }
    }

    #[test]
    fn only_unicast_beyond_the_link_is_forwarded() {
        for text in ["198.18.0.1", "2001:db8::1", "fd00::1", "240.0.0.1"] {
            assert!(is_forwarded(text.parse().unwrap()), "{text}");
        }
        for text in [
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "127.0.0.1",
            "ff02::1",
            "::",
            "::1",
            "fe80::1",
        ] {
            assert!(!is_forwarded(text.parse().unwrap()), "{text}");
        }
    }
}
