//! Reproducible randomness: hashes of seeds, names and packet numbers.

/// Scrambles 64 bits (the finaliser of splitmix64): a bijection in which every input bit moves every output bit.
pub(super) const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of two values, in which their order matters.
pub(super) const fn mix2(a: u64, b: u64) -> u64 {
    mix(mix(a).rotate_left(17) ^ b)
}

/// Maps a hash evenly to `0..below`. Returns 0 if `below` is 0.
pub(super) const fn scaled(hash: u64, below: u64) -> u64 {
    ((hash as u128 * below as u128) >> 64) as u64
}

/// Whether a hash falls within a `share` (0 to 1) of all hashes.
pub(super) fn within(hash: u64, share: f64) -> bool {
    ((hash >> 11) as f64) * (1.0 / (1u64 << 53) as f64) < share
}

/// The random events on a packet's way.
pub(super) trait Chance {
    /// Whether something of this `probability` happens.
    fn happens(&mut self, probability: f64) -> bool;

    /// A span of nanoseconds from 0 to `most`.
    fn span(&mut self, most: u64) -> u64;

    /// Which of `width` branches a per-packet balancer takes.
    fn pick(&mut self, width: usize) -> usize;
}

/// The dice of one packet. Its number and the network's seed fix the sequence of draws.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, packet_number: u64) -> Self {
        Dice(mix2(seed, packet_number))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

impl Chance for Dice {
    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && within(self.draw(), probability)
    }

    fn span(&mut self, most: u64) -> u64 {
        if most == 0 {
            return 0;
        }
        scaled(self.draw(), most.saturating_add(1))
    }

    fn pick(&mut self, width: usize) -> usize {
        scaled(self.draw(), width as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_as_asked() {
        let mut dice = Dice::new(7, 0);
        let hits = (0..100_000).filter(|_| dice.happens(0.3)).count();
        assert!((29_000..31_000).contains(&hits), "{hits} of 100,000");
        assert!(!dice.happens(0.0));
        assert!(dice.happens(1.0));
    }

    #[test]
    fn the_same_packet_has_the_same_dice() {
        let draws = |number| {
            let mut dice = Dice::new(7, number);
            (0..20).map(|_| dice.span(1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
    }

    #[test]
    fn branches_are_taken_evenly() {
        let mut counts = [0; 3];
        for number in 0..30_000 {
            counts[Dice::new(1, number).pick(3)] += 1;
        }
        assert!(
            counts.iter().all(|c| (9_500..10_500).contains(c)),
            "{counts:?}"
        );
    }
}
