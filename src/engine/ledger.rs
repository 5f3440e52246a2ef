//! Holds every live probe, and finds probes by their open facts or by their serial.
//!
//! Probes are numbered in the order of sending, and all live equally long. The live probes are therefore a sliding window of
//! numbers, stored as a ring. Two indices hold the newest entry of each bucket. Each entry links to the next older entry of its
//! bucket. A chain ends at the first entry outside the window, so nothing is ever removed from an index.
//!
//! At 100,000 probes a second many live probes have the same serial. A look-up returns all of them, and the matcher decides.
//!
//! The open facts are destination, flow and TTL. If quotes do not always show the TTL, they are destination and flow only.
//!
//! Memory: about [`Ledger::BYTES_PER_PROBE`] bytes × rate × (timeout + late window).

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU32;

use siphasher::sip::SipHasher13;

use crate::model::{Evidence, FlowId, Probe, ProbeId, Reply, Said, Time, Ttl};
use crate::wire::token::Marks;

use super::format::Marked;

/// The state of a probe. It is pending while it is `Unstamped` or `Waiting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The send call has not returned. The send time is provisional.
    Unstamped,
    /// Sent and not answered.
    Waiting,
    /// Answered.
    Answered,
    /// The timeout passed without an answer.
    TimedOut,
    /// Not sent.
    Refused,
}

/// A 32-bit hash of the responder and the kind of an answer. It recognises copies of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerMark(NonZeroU32);

impl AnswerMark {
    /// The mark of `reply`.
    pub fn of(reply: &Reply) -> Self {
        let mut hasher = SipHasher13::new();
        (reply.responder, reply.kind).hash(&mut hasher);
        AnswerMark(NonZeroU32::MIN.saturating_add(hasher.finish() as u32))
    }
}

/// A reply that waits for the send time of its probe or, if it is weak, for a stronger reply.
#[derive(Debug)]
pub struct Held {
    /// The reply.
    pub reply: Box<Reply>,
    /// How strong the evidence of the match is.
    pub evidence: Evidence,
}

impl Held {
    /// Whether the evidence is strong, so that the reply need not wait for a stronger one.
    pub fn is_final(&self) -> bool {
        self.evidence > Evidence::Weak
    }
}

/// A live probe.
#[derive(Debug)]
pub struct Entry {
    /// The probe that the strategy asked for.
    pub probe: Probe,
    /// The source address. `None` if the probe was never handed to the kernel.
    pub source: Option<IpAddr>,
    /// Serial sent. With IPv4 it is the IP ID.
    pub serial: u16,
    /// Check and tag sent.
    pub marks: Marks,
    /// IPv6 flow label sent.
    pub flow_label: u32,
    /// When the kernel accepted the probe. Provisional while the probe is `Unstamped`.
    pub sent_at: Time,
    /// The state.
    pub state: State,
    /// A reply that waits.
    pub held: Option<Held>,
    /// What the answer says about the path.
    pub said: Option<Said>,
    /// The mark of the answer. It is set only if copies could be matched to other probes.
    pub answer: Option<AnswerMark>,
    /// Evidence of the answer in the probe's own row.
    pub evidence: Option<Evidence>,
    /// Replies recorded beyond the first.
    pub extra_replies: u16,
    older_by_facts: Link,
    older_by_serial: Link,
}

impl Entry {
    /// What a reply to this probe says about the path.
    pub fn says(&self, reply: &Reply) -> Said {
        Said::of(reply.kind, reply.responder == self.probe.destination)
    }

    /// The fields of the probe's packet. `None` if the probe was never handed to the kernel.
    pub fn marked(&self) -> Option<Marked> {
        Some(Marked {
            source: self.source?,
            destination: self.probe.destination,
            flow: self.probe.flow,
            ttl: self.probe.ttl,
            size: self.probe.size,
            serial: self.serial,
            marks: self.marks,
            flow_label: self.flow_label,
        })
    }
}

/// The low 32 bits of the number of an older entry of the same bucket, plus one.
///
/// If the entry has left the window, the link may point to an unrelated entry 2^32 probes later. Look-ups therefore check every
/// entry, and stop at an entry that is not older than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link(u32);

/// The live probes of a run.
#[derive(Debug)]
pub struct Ledger {
    entries: VecDeque<Entry>,
    /// The number of the oldest live entry.
    oldest: u64,
    by_facts: Vec<Link>,
    by_serial: Vec<Link>,
    /// Whether the TTL is one of the facts.
    by_ttl: bool,
}

impl Ledger {
    /// Memory of a live probe with its share of the indices, bytes.
    pub const BYTES_PER_PROBE: usize = size_of::<Entry>() + 2 * size_of::<Link>();

    /// Creates a ledger with room for `expected` live probes. It grows if there are more. `by_ttl` says that the TTL is one of the
    /// open facts. The first probe gets the number `first`.
    pub fn new(expected: usize, by_ttl: bool, first: ProbeId) -> Self {
        let buckets = expected.next_power_of_two().clamp(1 << 10, 1 << 24);
        Ledger {
            entries: VecDeque::with_capacity(expected.min(1 << 22)),
            oldest: first.0,
            by_facts: vec![Link::NONE; buckets],
            by_serial: vec![Link::NONE; 1 << 16],
            by_ttl,
        }
    }

    /// The number that the next probe gets.
    pub fn next_id(&self) -> ProbeId {
        ProbeId(self.oldest + self.entries.len() as u64)
    }

    /// Reads the index buckets that adding `probes` will need, so that they are in the cache. The reads overlap, so many take
    /// hardly longer than one.
    #[inline]
    pub fn fetch<'a>(&self, probes: impl Iterator<Item = &'a Probe>) {
        let heads = probes.map(|probe| {
            let bucket = self.bucket(probe.destination, probe.flow, probe.ttl);
            self.by_facts[bucket].0
        });
        std::hint::black_box(heads.fold(0, u32::wrapping_add));
    }

    /// Adds a probe that is about to be sent.
    pub fn add(&mut self, probe: Probe, sent: &Marked, now: Time) -> ProbeId {
        self.push(probe, Some(sent.source), sent, now)
    }

    /// Adds a probe that is never handed to the kernel. Look-ups by open facts or serial leave it out.
    pub fn add_unsent(&mut self, probe: Probe, now: Time) -> ProbeId {
        let unused = Marked {
            source: probe.destination,
            destination: probe.destination,
            flow: probe.flow,
            ttl: probe.ttl,
            size: None,
            serial: 0,
            marks: Marks { check: 0, tag: 0 },
            flow_label: 0,
        };
        self.push(probe, None, &unused, now)
    }

    fn push(&mut self, probe: Probe, source: Option<IpAddr>, sent: &Marked, now: Time) -> ProbeId {
        if self.entries.len() >= 2 * self.by_facts.len() {
            self.widen();
        }
        let id = self.next_id();
        let link = Link::to(id);
        let bucket = self.bucket(probe.destination, probe.flow, probe.ttl);
        let older_by_facts = std::mem::replace(&mut self.by_facts[bucket], link);
        let older_by_serial =
            std::mem::replace(&mut self.by_serial[usize::from(sent.serial)], link);
        self.entries.push_back(Entry {
            probe,
            source,
            serial: sent.serial,
            marks: sent.marks,
            flow_label: sent.flow_label,
            sent_at: now,
            state: match source {
                Some(_) => State::Unstamped,
                None => State::Refused,
            },
            held: None,
            said: None,
            answer: None,
            evidence: None,
            extra_replies: 0,
            older_by_facts,
            older_by_serial,
        });
        id
    }

    /// The entry of a live probe.
    pub fn get(&self, id: ProbeId) -> Option<&Entry> {
        self.entries
            .get(usize::try_from(id.0.checked_sub(self.oldest)?).ok()?)
    }

    /// The entry of a live probe, to change it.
    pub fn get_mut(&mut self, id: ProbeId) -> Option<&mut Entry> {
        self.entries
            .get_mut(usize::try_from(id.0.checked_sub(self.oldest)?).ok()?)
    }

    /// Returns the live probes with these open facts, newest first. Probes that were never handed to the kernel are left out.
    ///
    /// If the TTL is one of the open facts, `ttl` must be given. Otherwise it only narrows the result.
    pub fn with_facts(
        &self,
        destination: IpAddr,
        flow: FlowId,
        ttl: Option<Ttl>,
    ) -> impl Iterator<Item = (ProbeId, &Entry)> {
        debug_assert!(ttl.is_some() || !self.by_ttl, "a fact is missing");
        let head = self.by_facts[self.bucket(destination, flow, ttl.unwrap_or(Ttl(0)))];
        self.chain(head, |entry| entry.older_by_facts)
            .filter(move |(_, entry)| {
                let probe = &entry.probe;
                let same = probe.destination == destination && probe.flow == flow;
                let same = same && ttl.is_none_or(|ttl| probe.ttl == ttl);
                same && entry.source.is_some()
            })
    }

    /// Returns the live probes with this serial, newest first. Probes that were never handed to the kernel are left out.
    pub fn with_serial(&self, serial: u16) -> impl Iterator<Item = (ProbeId, &Entry)> {
        let head = self.by_serial[usize::from(serial)];
        self.chain(head, |entry| entry.older_by_serial)
            .filter(move |(_, entry)| entry.serial == serial && entry.source.is_some())
    }

    /// The oldest live probe.
    pub fn front(&self) -> Option<(ProbeId, &Entry)> {
        Some((ProbeId(self.oldest), self.entries.front()?))
    }

    /// Removes the oldest live probe and returns it.
    pub fn retire(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.oldest += 1;
        Some(entry)
    }

    /// The number of live probes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no probe is live.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn chain(
        &self,
        head: Link,
        older: impl Fn(&Entry) -> Link,
    ) -> impl Iterator<Item = (ProbeId, &Entry)> {
        let mut link = head;
        let mut newer = self.next_id();
        std::iter::from_fn(move || {
            let id = self.resolve(link).filter(|id| *id < newer)?;
            let entry = self.get(id)?;
            (link, newer) = (older(entry), id);
            Some((id, entry))
        })
    }

    /// Returns the number of the live probe that a link points to.
    fn resolve(&self, link: Link) -> Option<ProbeId> {
        // A link is a number plus one, as the next number is the newest plus one. Their distance gives the high bits.
        let next = self.next_id().0;
        let behind = (next as u32).wrapping_sub(link.0);
        let id = next.checked_sub(u64::from(behind) + 1)?;
        (id >= self.oldest).then_some(ProbeId(id))
    }

    #[inline]
    fn bucket(&self, destination: IpAddr, flow: FlowId, ttl: Ttl) -> usize {
        let address = match destination {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                (bits >> 64) as u64 ^ (bits as u64).rotate_left(29)
            }
        };
        let ttl = if self.by_ttl { ttl.0 } else { 0 };
        let facts = address << 24 ^ u64::from(flow.0) << 8 ^ u64::from(ttl);
        let mixed = facts.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 40) as usize & (self.by_facts.len() - 1)
    }

    /// Doubles the index by open facts, because more probes are live than expected.
    fn widen(&mut self) {
        if self.by_facts.len() >= 1 << 24 {
            return;
        }
        self.by_facts = vec![Link::NONE; self.by_facts.len() * 2];
        for at in 0..self.entries.len() {
            let probe = self.entries[at].probe;
            let bucket = self.bucket(probe.destination, probe.flow, probe.ttl);
            let link = Link::to(ProbeId(self.oldest + at as u64));
            self.entries[at].older_by_facts = std::mem::replace(&mut self.by_facts[bucket], link);
        }
    }
}

impl Link {
    /// The link of an empty bucket. It points before the first probe, or to an unrelated entry: see [`Link`].
    const NONE: Link = Link(0);

    fn to(id: ProbeId) -> Link {
        Link((id.0 as u32).wrapping_add(1))
    }
}

#[cfg(test)]
mod tests;
