//! Caps beside the total rate: by destination prefix, and by TTL near the vantage point.
//!
//! A sweep at 100,000 probes a second over 32 TTLs sends 3,125 a second to the first router, whatever their order. A cap by TTL
//! bounds that; one by prefix bounds what a network at the other end gets. A probe beyond a cap waits. If it would wait longer
//! than the cap allows, it is skipped at once. A probe asks for the token of its TTL when it has that of its prefix, so that a busy
//! prefix does not hold up others at that TTL.

use std::net::IpAddr;
use std::time::Duration;

use super::bucket::{Bucket, Pour, Recent};
use crate::model::{Probe, Rate, Time, Ttl, UnsentReason};

/// Bits of a capped prefix: a /24, or a /48 of IPv6.
const IPV4_PREFIX: u32 = 24;
const IPV6_PREFIX: u32 = 48;

/// How many probes may leave, and how long the others wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cap {
    /// Probes a second.
    pub rate: Rate,
    /// Probes at once; at least 1.
    pub burst: u32,
    /// A probe that would wait longer than this is skipped.
    pub longest_wait: Duration,
}

impl Cap {
    fn pour(&self) -> Pour {
        Pour {
            interval: Duration::from_secs_f64(1.0 / self.rate.per_second()),
            burst: self.burst,
        }
    }
}

/// A cap on each TTL near the vantage point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearCap {
    /// The cap of each TTL.
    pub cap: Cap,
    /// The highest TTL that has a cap.
    pub max_ttl: Ttl,
}

/// The caps of a run, with their buckets.
#[derive(Debug)]
pub(super) struct Caps {
    prefix: Option<Cap>,
    prefixes: Recent<u64, Bucket>,
    near: Option<NearCap>,
    /// By TTL, from 1.
    ttls: Vec<Bucket>,
}

impl Caps {
    pub fn new(prefix: Option<Cap>, near: Option<NearCap>) -> Self {
        let ttls = near.map_or(0, |near| usize::from(near.max_ttl.0));
        Caps {
            prefix,
            prefixes: Recent::new(),
            near,
            ttls: vec![Bucket::default(); ttls],
        }
    }

    /// When the cap of its prefix lets the probe pass, or why the probe is skipped. Takes the token of that moment.
    pub fn prefix(&mut self, probe: &Probe, now: Time) -> Result<Time, UnsentReason> {
        let Some(cap) = self.prefix else {
            return Ok(now);
        };
        self.prefixes.turn(now, |bucket| bucket.is_full(now));
        let bucket = self.prefixes.get(prefix_of(probe.destination));
        take(&cap, bucket, now).ok_or(UnsentReason::PrefixLimit)
    }

    /// As [`prefix`](Caps::prefix), for the cap of its TTL.
    pub fn near(&mut self, probe: &Probe, now: Time) -> Result<Time, UnsentReason> {
        let place = usize::from(probe.ttl.0).checked_sub(1);
        let bucket = place.and_then(|place| self.ttls.get_mut(place));
        let (Some(near), Some(bucket)) = (self.near, bucket) else {
            return Ok(now);
        };
        take(&near.cap, bucket, now).ok_or(UnsentReason::NearHopLimit)
    }
}

/// Takes the next token, and returns its moment. Returns `None` and takes nothing if the probe would wait for too long.
fn take(cap: &Cap, bucket: &mut Bucket, now: Time) -> Option<Time> {
    let earliest = bucket.earliest(now, cap.pour());
    if earliest.since(now) > cap.longest_wait {
        return None;
    }
    bucket.take(earliest, cap.pour());
    Some(earliest)
}

/// A number for the prefix of an address. The families never share one: a /48 has its top bit set.
fn prefix_of(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits() >> (u32::BITS - IPV4_PREFIX)),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> (u128::BITS - IPV6_PREFIX);
            1 << 63 | prefix as u64
        }
    }
}
