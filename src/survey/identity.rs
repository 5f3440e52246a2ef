//! The identity of a run: its id, and the key of its secrets.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::model::Time;
use crate::wire::token::RunKey;

/// The id and the key of a run.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Unique, and safe in file names: the start of the run, and 32 random bits.
    pub run_id: String,
    /// In a real run the key never depends on the seed. Two runs with one seed must not take each other's replies.
    pub key: RunKey,
}

impl Identity {
    /// Draws an identity from the operating system's entropy.
    pub fn drawn(started_at: Time) -> Result<Self, getrandom::Error> {
        let mut bits = [0; 20];
        getrandom::fill(&mut bits)?;
        Ok(Self::of_bits(started_at, bits))
    }

    /// The identity that a seed gives, for runs that must be reproducible. Each session of a run has a key of its own.
    pub fn of_seed(started_at: Time, seed: u64, session: u32) -> Self {
        let mut bits = [0; 20];
        for (part, chunk) in bits.chunks_mut(16).enumerate() {
            let mut hasher = SipHasher13::new();
            hasher.write_u64(seed);
            hasher.write_u64(u64::from(session) << 1 | part as u64);
            chunk.copy_from_slice(&hasher.finish128().as_bytes()[..chunk.len()]);
        }
        Self::of_bits(started_at, bits)
    }

    fn of_bits(started_at: Time, bits: [u8; 20]) -> Self {
        let (key, [a, b, c, d]) = (&bits[..16], [bits[16], bits[17], bits[18], bits[19]]);
        let mut key_bits = [0; 16];
        key_bits.copy_from_slice(key);
        let began = chrono::DateTime::from_timestamp_micros(started_at.as_micros())
            .unwrap_or_default()
            .format("%Y%m%dT%H%M%SZ");
        Identity {
            run_id: format!("{began}-{a:02x}{b:02x}{c:02x}{d:02x}"),
            key: RunKey::new(key_bits),
        }
    }
}

/// A seed from the operating system's entropy. It has 53 bits, so that every JSON reader keeps it exactly.
pub fn draw_seed() -> Result<u64, getrandom::Error> {
    Ok(getrandom::u64()? >> 11)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::token::TokenMaker;

    #[test]
    fn a_seed_gives_the_same_identity_and_another_seed_another() {
        let at = Time::from_nanos(1_767_225_600_000_000_000);
        let (one, same, other) = (
            Identity::of_seed(at, 1, 0),
            Identity::of_seed(at, 1, 0),
            Identity::of_seed(at, 2, 0),
        );
        let secret =
            |identity: &Identity| format!("{:?}", TokenMaker::new(identity.key.clone()).serial(0));
        let next = Identity::of_seed(at, 1, 1);
        assert_eq!(secret(&one), secret(&same));
        assert_ne!(
            secret(&one),
            secret(&next),
            "each session has a key of its own"
        );
        assert_eq!(one.run_id, same.run_id);
        assert_ne!(one.run_id, other.run_id);
        assert!(
            one.run_id.starts_with("20260101T000000Z-"),
            "{}",
            one.run_id
        );
    }
}
