//! One's complement sums of 16-bit words (RFC 1071), and the adjustment of a checksum to changed data (RFC 1624).

use std::net::{IpAddr, Ipv4Addr};

/// A running one's complement sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds one 16-bit word.
    #[inline]
    pub fn word(mut self, word: u16) -> Self {
        self.0 += u64::from(word);
        self
    }

    /// Adds an IPv4 address.
    #[inline]
    pub fn address(mut self, address: Ipv4Addr) -> Self {
        let bits = address.to_bits();
        self.0 += u64::from(bits >> 16) + u64::from(bits & 0xffff);
        self
    }

    /// Adds an address of either family.
    pub fn ip(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.address(address),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }

    /// Adds the four words of a 64-bit number in network order.
    #[inline]
    pub fn long(mut self, long: u64) -> Self {
        self.0 +=
            (long >> 48) + ((long >> 32) & 0xffff) + ((long >> 16) & 0xffff) + (long & 0xffff);
        self
    }

    /// Adds bytes as big-endian words. An odd last byte is padded with a zero byte.
    #[inline]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        // Adds 32 bits at a time. The carries are folded at the end; 2^32 additions fit before an overflow.
        let (chunks, rest) = bytes.as_chunks::<4>();
        for chunk in chunks {
            let both = u32::from_be_bytes(*chunk);
            self.0 += u64::from(both >> 16) + u64::from(both & 0xffff);
        }
        let (pairs, last) = rest.as_chunks::<2>();
        for pair in pairs {
            self.0 += u64::from(u16::from_be_bytes(*pair));
        }
        if let [byte] = last {
            self.0 += u64::from(*byte) << 8;
        }
        self
    }

    /// The sum folded to 16 bits.
    #[inline]
    pub fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    /// The checksum: the complement of the folded sum.
    #[inline]
    pub fn checksum(self) -> u16 {
        !self.folded()
    }
}

/// Whether two checksums are equal. 0x0000 and 0xffff are both zero in one's complement.
pub fn same(a: u16, b: u16) -> bool {
    residue(a) == residue(b)
}

/// A checksum as a number modulo 65535.
pub fn residue(checksum: u16) -> u16 {
    if checksum == 0xffff { 0 } else { checksum }
}

/// The difference `b - a` of two checksums modulo 65535, from 0 to 65534.
pub fn difference(a: u16, b: u16) -> u16 {
    let (a, b) = (u32::from(residue(a)), u32::from(residue(b)));
    ((b + 65_535 - a) % 65_535) as u16
}

/// The checksum after a middlebox has changed words that `checksum` covers (RFC 1624, equation 3).
/// `old` is the sum of the words before the change, `new` the sum after it.
pub fn adjusted(checksum: u16, old: Sum, new: Sum) -> u16 {
    Sum::default()
        .word(!checksum)
        .word(!old.folded())
        .word(new.folded())
        .checksum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain definition, one word at a time.
    fn slow(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().bytes(&data).folded(), 0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624() {
        let (old, new) = (Sum::default().word(0x5555), Sum::default().word(0x3285));
        assert_eq!(adjusted(0xdd2f, old, new), 0x0000);
    }

    proptest! {
        #[test]
        fn fast_and_plain_sums_agree(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(Sum::default().bytes(&bytes).checksum(), slow(&bytes));
        }

        #[test]
        fn adjusting_equals_computing_again(
            mut bytes in proptest::collection::vec(any::<u8>(), 8..64),
            address in any::<u32>(),
        ) {
            let before = slow(&bytes);
            let old = Sum::default().bytes(&bytes[4..8]);
            bytes[4..8].copy_from_slice(&address.to_be_bytes());
            let new = Sum::default().bytes(&bytes[4..8]);
            prop_assert!(same(adjusted(before, old, new), slow(&bytes)));
        }
    }
}
