//! A keyed order over exactly `len` items that needs no memory: Feistel rounds with cycle-walking.
//!
//! Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (CT-RSA 2002): a permutation of a slightly larger domain is
//! applied until its value falls inside the set. The domain here is at most 4 times the set, so at most 4 steps are expected at
//! any size. The mix is cheap and not secret, because the order only has to spread load.

const ROUNDS: u32 = 4;

/// A bijection from `0..len` to itself, selected by a seed.
#[derive(Clone, Debug)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    keys: [u64; ROUNDS as usize],
}

impl Permutation {
    /// An order of `len` items. The same seed and length give the same order on every machine.
    pub fn new(len: u64, seed: u64) -> Self {
        // The domain is 2^(2·half): the smallest even power of two that holds the set, so at most 4 times its size.
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        let mut state = seed ^ len.rotate_left(32);
        let keys = std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        });
        Permutation {
            len,
            half_bits,
            keys,
        }
    }

    /// The number of items.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The item at `place` of the order; `None` from `len` on.
    #[inline]
    pub fn get(&self, place: u64) -> Option<u64> {
        if place >= self.len {
            return None;
        }
        let mut item = self.step(place);
        // Terminates: the permutation's cycle through `place` returns to a value below `len`, at the latest to `place` itself.
        while item >= self.len {
            item = self.step(item);
        }
        Some(item)
    }

    /// The place of `item`: `get(place)` returns `item`. `None` from `len` on.
    #[inline]
    pub fn place_of(&self, item: u64) -> Option<u64> {
        if item >= self.len {
            return None;
        }
        let mut place = self.step_back(item);
        while place >= self.len {
            place = self.step_back(place);
        }
        Some(place)
    }

    #[inline]
    fn step_back(&self, value: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys.into_iter().rev() {
            (left, right) = (right ^ (round(left, key) & mask), left);
        }
        left << self.half_bits | right
    }

    #[inline]
    fn step(&self, value: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (round(right, key) & mask));
        }
        left << self.half_bits | right
    }
}

/// A round function: two multiplications that move the high bits down.
#[inline]
fn round(half: u64, key: u64) -> u64 {
    let product = (half ^ key).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (product ^ product >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn mix(mut state: u64) -> u64 {
    state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gives_a_bijection() {
        for len in (0..=300).chain([1_000, 4_095, 4_096, 4_097, 65_537, 100_003]) {
            for seed in [0, 1, u64::MAX] {
                let order = Permutation::new(len, seed);
                let mut seen = vec![false; len as usize];
                for place in 0..len {
                    let item = order.get(place).expect("a place below the length") as usize;
                    assert_eq!(order.place_of(item as u64), Some(place), "len {len}");
                    assert!(
                        !std::mem::replace(&mut seen[item], true),
                        "{item} twice, len {len}"
                    );
                }
                assert_eq!((order.get(len), order.place_of(len)), (None, None));
            }
        }
    }

    #[test]
    fn the_domain_is_never_more_than_four_times_the_set() {
        for len in (2..5_000u64).chain([1 << 32, (1 << 32) + 1, 3 << 40]) {
            let domain = 1u128 << (2 * Permutation::new(len, 0).half_bits);
            assert!(
                domain >= u128::from(len) && domain <= 4 * u128::from(len),
                "len {len}"
            );
        }
    }

    #[test]
    fn seeds_and_lengths_give_other_orders() {
        let first = |order: &Permutation| (0..20).map(|n| order.get(n)).collect::<Vec<_>>();
        let base = first(&Permutation::new(1_000_003, 1));
        assert_ne!(base, first(&Permutation::new(1_000_003, 2)));
        assert_ne!(base, first(&Permutation::new(1_000_004, 1)));
        assert_eq!(base, first(&Permutation::new(1_000_003, 1)));
    }

    #[test]
    fn neighbours_are_spread_evenly() {
        // Consecutive places fall into 64 equal classes: chi-square with 63 degrees of freedom exceeds 130 with p < 1e-6.
        let order = Permutation::new(640_007, 7);
        let mut classes = [0f64; 64];
        for place in 0..64_000 {
            let item = order.get(place).expect("below the length");
            classes[(item * 64 / 640_007) as usize] += 1.0;
        }
        let chi_square: f64 = classes
            .iter()
            .map(|n| (n - 1_000.0).powi(2) / 1_000.0)
            .sum();
        assert!(chi_square < 130.0, "chi-square {chi_square}");
    }
}
