//! The secrets of a run: what proves that a reply answers a probe of ours.
//!
//! Open facts name a probe: destination, flow (source port) and TTL (UDP length). Two secrets prove it: the IP ID, taken
//! from a keyed order of all non-zero values, and the check, a keyed hash of everything else, which becomes the UDP
//! checksum. A 64-bit tag rides in the payload for routers that quote more than 8 bytes. Without the key,
//! which is drawn anew for every run, none of them can be guessed, and two runs on one host tell
//! their replies apart even where their ports are the same.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13_128};

use crate::model::{ProbeId, Ttl};

/// The distinct values of the IP ID: all but 0, which Linux replaces.
const IP_IDS: u64 = 65_535;

/// The key of a run. Draw it from the operating system's entropy for real runs: whoever knows it can forge replies.
#[derive(Clone)]
pub struct RunKey([u8; 16]);

impl RunKey {
    /// Takes 128 random bits.
    pub fn new(bits: [u8; 16]) -> Self {
        RunKey(bits)
    }
}

impl std::fmt::Debug for RunKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunKey(secret)")
    }
}

/// What a probe's check and tag are computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The address probed.
    pub destination: IpAddr,
    /// Transport source port: names the flow.
    pub src_port: u16,
    /// Transport destination port.
    pub dst_port: u16,
    /// The TTL sent.
    pub ttl: Ttl,
    /// The IP ID sent.
    pub ip_id: u16,
    /// The probe's running number.
    pub probe_id: ProbeId,
}

/// The marks that prove a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The transport checksum to send: from 1 to 65535, each residue modulo 65535 equally likely; never 0.
    pub check: u16,
    /// The tag in the payload.
    pub tag: u64,
}

/// Makes the secrets of a run's probes.
#[derive(Debug)]
pub struct TokenMaker {
    key: RunKey,
    order: Vec<u16>,
}

impl TokenMaker {
    /// Prepares the secrets under `key`.
    pub fn new(key: RunKey) -> Self {
        let order = shuffled_ip_ids(&key);
        TokenMaker { key, order }
    }

    /// The IP ID of serial number `serial`: over any 65,535 consecutive serials from a multiple of 65,535 on, each
    /// value from 1 to 65,535 comes exactly once. Every such cycle starts at another place of the order.
    #[inline]
    pub fn ip_id(&self, serial: u64) -> u16 {
        let (cycle, place) = (serial / IP_IDS, serial % IP_IDS);
        // A step that is odd and unequal to the order's length moves successive cycles apart; the order itself is secret.
        let start = cycle.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        self.order[((place + start) % IP_IDS) as usize]
    }

    /// The check and the tag of the probe with these facts.
    #[inline]
    pub fn marks(&self, facts: &Facts) -> Marks {
        let mut hasher = SipHasher13_128::new_with_key(&self.key.0);
        let mut bytes = [0u8; 32];
        let address = match facts.destination {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        bytes[..16].copy_from_slice(&address);
        bytes[16..18].copy_from_slice(&facts.src_port.to_be_bytes());
        bytes[18..20].copy_from_slice(&facts.dst_port.to_be_bytes());
        bytes[20..22].copy_from_slice(&facts.ip_id.to_be_bytes());
        // The TTL and 56 bits of the probe number share the last words: 2^56 probes are 22,000 years at 100,000 a second.
        bytes[24..32].copy_from_slice(&facts.probe_id.0.to_be_bytes());
        bytes[24] = facts.ttl.0;
        hasher.write(&bytes);
        let hash = hasher.finish128();
        Marks {
            check: (hash.h1 % IP_IDS) as u16 + 1,
            tag: hash.h2,
        }
    }
}

/// All values from 1 to 65,535 in an order that only the key tells (Fisher-Yates).
fn shuffled_ip_ids(key: &RunKey) -> Vec<u16> {
    let mut order: Vec<u16> = (1..=u16::MAX).collect();
    for place in (1..order.len()).rev() {
        let mut hasher = SipHasher13::new_with_key(&key.0);
        hasher.write_u64(place as u64);
        // The bias of a remainder of 64 bits by at most 2^16 is below 2^-48.
        order.swap(place, (hasher.finish() % (place as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn maker(byte: u8) -> TokenMaker {
        TokenMaker::new(RunKey::new([byte; 16]))
    }

    fn facts(probe_id: u64) -> Facts {
        Facts {
            destination: Ipv4Addr::new(192, 0, 2, 7).into(),
            src_port: 24_000,
            dst_port: 33_434,
            ttl: Ttl(7),
            ip_id: 99,
            probe_id: ProbeId(probe_id),
        }
    }

    #[test]
    fn a_cycle_of_ip_ids_takes_every_value_but_zero_once() {
        let maker = maker(3);
        for cycle in [0, 1, 77] {
            let mut seen = vec![false; 65_536];
            for serial in cycle * IP_IDS..(cycle + 1) * IP_IDS {
                let id = usize::from(maker.ip_id(serial));
                assert!(!std::mem::replace(&mut seen[id], true), "{id} came twice");
            }
            assert!(!seen[0]);
        }
    }

    #[test]
    fn keys_give_unrelated_orders() {
        let (one, two) = (maker(1), maker(2));
        let equal = (0..IP_IDS)
            .filter(|n| one.ip_id(*n) == two.ip_id(*n))
            .count();
        // Expected 1 of 65,535 places; 12 or more has a probability below 1e-9.
        assert!(equal < 12, "{equal} places agree");
    }

    #[test]
    fn every_fact_changes_the_marks() {
        let maker = maker(5);
        let base = facts(1);
        let mut others = vec![facts(2), facts(1 << 40)];
        for change in 0..5 {
            let mut other = base;
            match change {
                0 => other.destination = Ipv4Addr::new(192, 0, 2, 8).into(),
                1 => other.src_port += 1,
                2 => other.dst_port += 1,
                3 => other.ttl = Ttl(8),
                _ => other.ip_id += 1,
            }
            others.push(other);
        }
        for other in others {
            assert_ne!(maker.marks(&base).tag, maker.marks(&other).tag, "{other:?}");
        }
    }

    #[test]
    fn checks_are_never_zero_and_reach_both_ends() {
        let maker = maker(9);
        let checks: Vec<u16> = (0..400_000).map(|n| maker.marks(&facts(n)).check).collect();
        assert!(!checks.contains(&0));
        assert!(checks.contains(&1) && checks.contains(&u16::MAX));
    }
}
