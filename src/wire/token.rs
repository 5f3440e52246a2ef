//! The secrets of a run. They prove that a reply answers a probe of this run.
//!
//! Open facts identify a probe: destination, flow (source port or ICMP identifier) and TTL (UDP length or ICMP sequence
//! number). Secrets prove it:
//!
//! | secret | bits | value | sent as |
//! |---|---|---|---|
//! | serial | 16 | taken from a keyed order of all non-zero values | IP ID; payload or TCP sequence number |
//! | check | 16 | keyed hash of open facts, serial and probe number | UDP checksum or half of the TCP sequence number |
//! | check of echo probes | 16 | keyed hash of target and flow | ICMP checksum |
//! | tag | 64 | keyed hash of the same | payload, for routers that quote more than 8 bytes |
//!
//! Every run draws a new key. Without the key no secret can be guessed. Two runs on one host can tell their replies apart even
//! if their ports are the same.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13_128};

use crate::model::{ProbeId, Ttl};

/// The number of distinct serials: every IP ID except 0, which Linux replaces.
const SERIALS: u64 = 65_535;

/// The key of a run. A real run must draw it from the operating system's entropy, because anyone who has the key can forge
/// replies.
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

/// The input of a probe's check and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkedFields {
    /// The address probed.
    pub destination: IpAddr,
    /// Transport source port. It identifies the flow.
    pub src_port: u16,
    /// Transport destination port.
    pub dst_port: u16,
    /// The TTL sent.
    pub ttl: Ttl,
    /// The serial sent (IP ID, payload or sequence number).
    pub serial: u16,
    /// The probe's running number.
    pub probe_id: ProbeId,
}

/// The marks that prove a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The transport checksum to send, from 1 to 65535. Every residue modulo 65535 is equally likely.
    pub check: u16,
    /// The tag in the payload.
    pub tag: u64,
}

/// Computes the secrets of a run's probes.
#[derive(Clone, Debug)]
pub struct TokenMaker {
    key: RunKey,
    order: Vec<u16>,
}

impl TokenMaker {
    /// Prepares the secrets under `key`.
    pub fn new(key: RunKey) -> Self {
        let order = shuffled_serials(&key);
        TokenMaker { key, order }
    }

    /// The serial of transmission `number`. The numbers from one multiple of 65,535 to the next form a cycle: it contains each
    /// value from 1 to 65,535 exactly once. Successive cycles start at different places of the order.
    #[inline]
    pub fn serial(&self, number: u64) -> u16 {
        let (cycle, place) = (number / SERIALS, number % SERIALS);
        // Successive cycles are offset by an odd step that differs from the length of the order. The order itself is secret.
        let start = cycle.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        self.order[((place + start) % SERIALS) as usize]
    }

    /// The check and the tag of the probe with these facts.
    #[inline]
    pub fn marks(&self, facts: &MarkedFields) -> Marks {
        let mut hasher = SipHasher13_128::new_with_key(&self.key.0);
        let mut bytes = [0u8; 32];
        bytes[..16].copy_from_slice(&octets(facts.destination));
        bytes[16..18].copy_from_slice(&facts.src_port.to_be_bytes());
        bytes[18..20].copy_from_slice(&facts.dst_port.to_be_bytes());
        bytes[20..22].copy_from_slice(&facts.serial.to_be_bytes());
        // The TTL and 56 bits of the probe number share the last words: 2^56 probes are 22,000 years at 100,000 a second.
        bytes[24..32].copy_from_slice(&facts.probe_id.0.to_be_bytes());
        bytes[24] = facts.ttl.0;
        hasher.write(&bytes);
        let hash = hasher.finish128();
        Marks {
            check: (hash.h1 % SERIALS) as u16 + 1,
            tag: hash.h2,
        }
    }

    /// The checksum that all echo probes of a flow carry, from 1 to 65534: a keyed hash of target and flow.
    pub fn flow_check(&self, destination: IpAddr, identifier: u16) -> u16 {
        // 0 and 0xffff denote the same sum, so neither is used.
        (self.of_flow(destination, identifier) % (SERIALS - 1)) as u16 + 1
    }

    /// The IPv6 flow label of all probes to a target: a hash of the target, 20 bits, never 0. All flows of a target share it,
    /// so that they differ only in their ports.
    ///
    /// The label is not secret and is the same in every run. Balancers that hash it would otherwise change a target's path from
    /// run to run.
    pub fn flow_label(destination: IpAddr) -> u32 {
        let mut hasher = SipHasher13::new();
        hasher.write(&octets(destination));
        (hasher.finish() % 0xf_ffff) as u32 + 1
    }

    fn of_flow(&self, destination: IpAddr, number: u16) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key.0);
        let mut bytes = [0u8; 18];
        bytes[..16].copy_from_slice(&octets(destination));
        bytes[16..18].copy_from_slice(&number.to_be_bytes());
        hasher.write(&bytes);
        hasher.finish()
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// All values from 1 to 65,535, in an order that depends on the key (Fisher-Yates).
fn shuffled_serials(key: &RunKey) -> Vec<u16> {
    let mut order: Vec<u16> = (1..=u16::MAX).collect();
    for place in (1..order.len()).rev() {
        let mut hasher = SipHasher13::new_with_key(&key.0);
        hasher.write_u64(place as u64);
        // The modulo bias of 64 bits by at most 2^16 is below 2^-48.
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

    fn facts(probe_id: u64) -> MarkedFields {
        MarkedFields {
            destination: Ipv4Addr::new(192, 0, 2, 7).into(),
            src_port: 24_000,
            dst_port: 33_434,
            ttl: Ttl(7),
            serial: 99,
            probe_id: ProbeId(probe_id),
        }
    }

    #[test]
    fn a_cycle_of_ip_ids_takes_every_value_but_zero_once() {
        let maker = maker(3);
        for cycle in [0, 1, 77] {
            let mut seen = vec![false; 65_536];
            for serial in cycle * SERIALS..(cycle + 1) * SERIALS {
                let id = usize::from(maker.serial(serial));
                assert!(!std::mem::replace(&mut seen[id], true), "{id} came twice");
            }
            assert!(!seen[0]);
        }
    }

    #[test]
    fn keys_give_unrelated_orders() {
        let (one, two) = (maker(1), maker(2));
        let equal = (0..SERIALS)
            .filter(|n| one.serial(*n) == two.serial(*n))
            .count();
        // One of 65,535 places is expected to agree; 12 or more have a probability below 1e-9.
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
                _ => other.serial += 1,
            }
            others.push(other);
        }
        for other in others {
            assert_ne!(maker.marks(&base).tag, maker.marks(&other).tag, "{other:?}");
        }
    }

    #[test]
    fn flow_checks_depend_on_the_key_and_flow_labels_do_not() {
        let (maker, other) = (maker(5), self::maker(6));
        let target = |n: u32| IpAddr::from(Ipv4Addr::from_bits(0xc612_0000 + n));
        let checks: Vec<u16> = (0..200_000)
            .map(|n| maker.flow_check(target(n), 24_000))
            .collect();
        assert!(checks.contains(&1) && checks.contains(&0xfffe));
        assert!(!checks.contains(&0) && !checks.contains(&0xffff));
        assert_eq!(checks[7], maker.flow_check(target(7), 24_000));
        let differs = |count: usize| count > 990;
        let changed = |of: &dyn Fn(u32) -> bool| (0..1_000).filter(|n| of(*n)).count();
        assert!(differs(changed(&|n| {
            maker.flow_check(target(n), 24_001) != checks[n as usize]
        })));
        assert!(differs(changed(&|n| {
            other.flow_check(target(n), 24_000) != checks[n as usize]
        })));
        assert!((0..100_000).all(|n| (1..=0xf_ffff).contains(&TokenMaker::flow_label(target(n)))));
        assert!(differs(changed(&|n| {
            TokenMaker::flow_label(target(n)) != TokenMaker::flow_label(target(n + 1))
        })));
    }

    #[test]
    fn checks_are_never_zero_and_reach_both_ends() {
        let maker = maker(9);
        let checks: Vec<u16> = (0..400_000).map(|n| maker.marks(&facts(n)).check).collect();
        assert!(!checks.contains(&0));
        assert!(checks.contains(&1) && checks.contains(&u16::MAX));
    }
}
