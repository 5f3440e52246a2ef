//! A small table of the addresses that were seen last. It spares work for the routers that most traces share.

use std::net::IpAddr;

/// Remembers one value for each of the addresses that were seen last. Two addresses may share a slot. Then the later one replaces the
/// earlier one.
#[derive(Debug)]
pub(super) struct Recent<V> {
    slots: Vec<(Option<IpAddr>, V)>,
    /// The bits of a hash that are not part of the number of a slot.
    shift: u32,
}

impl<V: Copy + Default> Recent<V> {
    /// With `slots` slots, which is a power of two from 2 on.
    pub(super) fn new(slots: usize) -> Self {
        Recent {
            slots: vec![(None, V::default()); slots],
            shift: u64::BITS - slots.trailing_zeros(),
        }
    }

    /// The value of an address. If it is not remembered, `compute` gives it.
    #[inline]
    pub(super) fn value(&mut self, address: IpAddr, compute: impl FnOnce() -> V) -> V {
        let slot = &mut self.slots[(hash(address) >> self.shift) as usize];
        if slot.0 != Some(address) {
            *slot = (Some(address), compute());
        }
        slot.1
    }
}

/// A hash whose upper bits depend on all bits of the address.
fn hash(address: IpAddr) -> u64 {
    let bits = match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    };
    // An odd number without pattern: 2^64 / golden ratio.
    bits.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_address_is_computed_again() {
        const SLOTS: usize = 64;
        let mut recent = Recent::new(SLOTS);
        let first = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(recent.value(first, || 1), 1);
        assert_eq!(recent.value(first, || 2), 1);
        // More addresses than slots: one of them replaces the first.
        for last in 0..=u8::MAX {
            recent.value(IpAddr::from([10, 0, 1, last]), || 3);
        }
        assert_eq!(recent.value(first, || 4), 4);
    }
}
