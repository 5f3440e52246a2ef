//! A set of addresses in little memory.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use roaring::RoaringBitmap;

/// A set of addresses. IPv4 addresses are bits of a compressed bitmap: millions of random ones take two to three bytes each.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressSet {
    ipv4: RoaringBitmap,
    ipv6: HashSet<Ipv6Addr>,
}

impl AddressSet {
    /// The number of addresses.
    pub fn len(&self) -> u64 {
        self.ipv4.len() + self.ipv6.len() as u64
    }

    /// The number of addresses in this set and in `other` together.
    pub fn union_len(&self, other: &AddressSet) -> u64 {
        let is_new = |address: &&Ipv6Addr| !self.ipv6.contains(*address);
        let new = other.ipv6.iter().filter(is_new).count();
        self.ipv4.union_len(&other.ipv4) + (self.ipv6.len() + new) as u64
    }

    /// Adds the addresses of `other`.
    pub fn merge(&mut self, other: &AddressSet) {
        self.ipv4 |= &other.ipv4;
        self.ipv6.extend(&other.ipv6);
    }
}

impl Extend<IpAddr> for AddressSet {
    fn extend<T: IntoIterator<Item = IpAddr>>(&mut self, addresses: T) {
        for address in addresses {
            match address {
                IpAddr::V4(address) => {
                    self.ipv4.insert(address.to_bits());
                }
                IpAddr::V6(address) => {
                    self.ipv6.insert(address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(addresses: &[&str]) -> AddressSet {
        let mut set = AddressSet::default();
        set.extend(addresses.iter().map(|address| address.parse().unwrap()));
        set
    }

    #[test]
    fn an_address_counts_once_in_its_family() {
        let mut one = set(&["0.0.0.1", "255.255.255.255", "0.0.0.1", "::1", "::1"]);
        let other = set(&["0.0.0.1", "0.0.0.2", "::1", "::2", "::ffff:0.0.0.1"]);
        assert_eq!((one.len(), other.len()), (3, 5));
        assert_eq!((one.union_len(&other), other.union_len(&one)), (6, 6));
        one.merge(&other);
        assert_eq!(one.len(), 6);
    }

    #[test]
    fn ten_million_random_addresses_take_few_bytes() {
        // A step that is coprime to 2^32 visits addresses all over the space.
        let mut set = AddressSet::default();
        set.extend((0..10_000_000u32).map(|n| IpAddr::V4(n.wrapping_mul(2_654_435_761).into())));
        assert_eq!(set.len(), 10_000_000);
        let bytes = set.ipv4.serialized_size();
        assert!(bytes <= 30_000_000, "{bytes} bytes");
    }
}
