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

/// The number of distinct checks of echo probes.
const CHECKS: u64 = SERIALS - 1;

/// The number of distinct flow labels: 20 bits, without 0.
const LABELS: u32 = 0xf_ffff;

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

    /// The checksum that all echo probes of a flow carry, from 1 to 65534: a keyed hash of target and identifier, plus `flow`. `flow` is 0
    /// if the identifier alone tells the flows apart.
    pub fn flow_check(&self, destination: IpAddr, identifier: u16, flow: u16) -> u16 {
        // 0 and 0xffff denote the same sum, so neither is used.
        let first = self.of_flow(destination, identifier);
        (first.wrapping_add(flow.into()) % CHECKS) as u16 + 1
    }

    /// The flow whose echo probes to the target carry `check`: the inverse of [`flow_check`](Self::flow_check). `None` if no probe has it.
    pub fn flow_of_check(&self, destination: IpAddr, identifier: u16, check: u16) -> Option<u16> {
        let first = self.flow_check(destination, identifier, 0);
        let is_used = (1..=CHECKS).contains(&check.into());
        let behind = u64::from(check) + CHECKS - u64::from(first);
        is_used.then_some((behind % CHECKS) as u16)
    }

    /// The IPv6 flow label of the probes to a target: a hash of the target, plus `flow`; 20 bits, never 0. `flow` is 0 if another field tells
    /// the flows apart. All flows of the target then share the label.
    ///
    /// The label is not secret and is the same in every run. Balancers that hash it would otherwise change a target's path from
    /// run to run.
    pub fn flow_label(destination: IpAddr, flow: u16) -> u32 {
        let mut hasher = SipHasher13::new();
        hasher.write(&octets(destination));
        let first = (hasher.finish() % u64::from(LABELS)) as u32;
        (first + u32::from(flow)) % LABELS + 1
    }

    /// The flow whose probes to the target carry `label`: the inverse of [`flow_label`](Self::flow_label). `None` if no probe has it.
    pub fn flow_of_label(destination: IpAddr, label: u32) -> Option<u32> {
        let first = Self::flow_label(destination, 0);
        (1..=LABELS)
            .contains(&label)
            .then(|| (label + LABELS - first) % LABELS)
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
            .map(|n| maker.flow_check(target(n), 24_000, 0))
            .collect();
        assert!(checks.contains(&1) && checks.contains(&0xfffe));
        assert!(!checks.contains(&0) && !checks.contains(&0xffff));
        assert_eq!(checks[7], maker.flow_check(target(7), 24_000, 0));
        let differs = |count: usize| count > 990;
        let changed = |of: &dyn Fn(u32) -> bool| (0..1_000).filter(|n| of(*n)).count();
        assert!(differs(changed(&|n| {
            maker.flow_check(target(n), 24_001, 0) != checks[n as usize]
        })));
        assert!(differs(changed(&|n| {
            other.flow_check(target(n), 24_000, 0) != checks[n as usize]
        })));
        assert!(
            (0..100_000).all(|n| (1..=0xf_ffff).contains(&TokenMaker::flow_label(target(n), 0)))
        );
        assert!(differs(changed(&|n| {
            TokenMaker::flow_label(target(n), 0) != TokenMaker::flow_label(target(n + 1), 0)
        })));
    }

    #[test]
    fn flows_come_back_from_checks_and_labels() {
        let maker = maker(5);
        let target = |n: u32| IpAddr::from(Ipv4Addr::from_bits(0xc612_0000 + n));
        for n in 0..300 {
            for flow in [0, 1, 77, 1_023, 30_000, 65_533] {
                let check = maker.flow_check(target(n), 24_000, flow);
                assert!((1..=65_534).contains(&check));
                assert_eq!(maker.flow_of_check(target(n), 24_000, check), Some(flow));
                let label = TokenMaker::flow_label(target(n), flow);
                assert!((1..=0xf_ffff).contains(&label));
                assert_eq!(
                    TokenMaker::flow_of_label(target(n), label),
                    Some(flow.into())
                );
            }
        }
        for check in [0, u16::MAX] {
            assert_eq!(maker.flow_of_check(target(1), 24_000, check), None);
        }
        for label in [0, 0x10_0000, u32::MAX] {
            assert_eq!(TokenMaker::flow_of_label(target(1), label), None);
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
