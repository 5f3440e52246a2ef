//! Learns the change that a 1:1 NAT in front of this host makes to quoted checksums.
//!
//! On the way out, such a NAT changes the source address and adjusts the UDP checksum. On the way back, it restores the quoted
//! address, but often not the quoted checksum. The quoted checksum then differs from the one sent by a constant, which is the
//! same for the whole run.
//!
//! The constant is accepted when at least 64 replies from at least 16 responders agree on it. Each of these replies must have
//! the IP ID and all open facts as sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::wire::checksum;

const REPLIES: u32 = 64;
const RESPONDERS: usize = 16;
/// Most checksum differences that are counted at a time. It bounds the memory if differences are random.
const CANDIDATES: usize = 1_024;

/// Counts checksum differences until one is accepted.
#[derive(Debug, Default)]
pub struct NatLearner {
    seen: BTreeMap<u16, Sightings>,
    learned: Option<u16>,
}

#[derive(Debug, Default)]
struct Sightings {
    replies: u32,
    responders: BTreeSet<IpAddr>,
}

impl NatLearner {
    /// The learned constant: quoted minus sent, modulo 65535. `None` until it is learned.
    pub fn delta(&self) -> Option<u16> {
        self.learned
    }

    /// Whether the learned constant explains a quoted checksum.
    pub fn explains(&self, sent: u16, quoted: u16) -> bool {
        self.learned == Some(checksum::difference(sent, quoted))
    }

    /// Counts a reply whose open facts and IP ID are as sent and whose checksum is not.
    pub fn observe(&mut self, sent: u16, quoted: u16, responder: IpAddr) {
        if self.learned.is_some() {
            return;
        }
        let delta = checksum::difference(sent, quoted);
        if self.seen.len() >= CANDIDATES && !self.seen.contains_key(&delta) {
            return;
        }
        let sightings = self.seen.entry(delta).or_default();
        sightings.replies += 1;
        if sightings.responders.len() < RESPONDERS {
            sightings.responders.insert(responder);
        }
        if sightings.replies >= REPLIES && sightings.responders.len() >= RESPONDERS {
            self.learned = Some(delta);
            self.seen.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn responder(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    #[test]
    fn the_constant_is_learned_from_64_replies_of_16_responders() {
        let mut few_responders = NatLearner::default();
        for n in 0..1_000 {
            few_responders.observe(10, 30, responder(n % 15));
        }
        assert_eq!(few_responders.delta(), None);

        let mut learner = NatLearner::default();
        for n in 0..64 {
            assert_eq!(learner.delta(), None, "after {n} replies");
            learner.observe(n as u16, n as u16 + 20, responder(n % 16));
        }
        assert_eq!(learner.delta(), Some(20));
        assert!(learner.explains(0xfff0, 5) && !learner.explains(0xfff0, 6));
    }

    #[test]
    fn unrelated_differences_teach_nothing() {
        let mut learner = NatLearner::default();
        for n in 0..100_000u32 {
            learner.observe(
                0,
                (n.wrapping_mul(2_654_435_761) >> 16) as u16,
                responder(n),
            );
        }
        assert_eq!(learner.delta(), None);
        assert!(learner.seen.len() <= CANDIDATES);
    }
}
