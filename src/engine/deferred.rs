//! Holds probes for which the kernel had no room, while other probes are sent.
//!
//! The kernel has no room if too many next hops do not answer. By default it removes such a next hop after three seconds, and
//! then has room again. A probe is therefore offered again until [`PATIENCE`] has passed. After that it is a send error, with
//! the reason of the last refusal.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::model::{FlowId, Probe, TargetId, Time, UnsentReason};

/// How long a probe waits for room.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long no waiting probe is offered after a refusal. Every refusal makes the kernel search its whole table.
const PAUSE: Duration = Duration::from_millis(50);
/// Most probes of one queue that are offered at a time.
const AT_A_TIME: usize = 8;

/// A probe that waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub probe: Probe,
    /// When it was first offered to the kernel.
    pub since: Time,
    /// The reason of the refusal.
    pub reason: UnsentReason,
}

/// The waiting probes, oldest first. There is a queue for each address family and flow, because each family has its own
/// neighbour table and each flow its own socket.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    queues: BTreeMap<(bool, FlowId), VecDeque<Waiting>>,
    /// Number of waiting probes of each target.
    targets: HashMap<TargetId, usize>,
    /// The earliest time at which probes are offered again.
    due: Time,
}

/// The probes that are due.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Probes to offer to the kernel again.
    pub retried: Vec<Waiting>,
    /// Probes that have waited for too long, to be ended as send errors.
    pub expired: Vec<Waiting>,
}

impl Deferred {
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Adds a probe that was refused at `now`, for the first time or again. The queue stays in the order of age.
    pub fn add(&mut self, waiting: Waiting, now: Time) {
        let key = (waiting.probe.destination.is_ipv6(), waiting.probe.flow);
        let queue = self.queues.entry(key).or_default();
        // A new probe is the youngest. A probe that was refused again is among the oldest.
        let place = match queue.back() {
            Some(last) if last.since > waiting.since => {
                queue.partition_point(|other| other.since <= waiting.since)
            }
            _ => queue.len(),
        };
        queue.insert(place, waiting);
        *self.targets.entry(waiting.probe.target).or_default() += 1;
        self.due = now + PAUSE;
    }

    /// Removes and returns the probes that are due at `now`.
    pub fn take(&mut self, now: Time) -> Due {
        let mut due = Due::default();
        if self.due > now {
            return due;
        }
        for queue in self.queues.values_mut() {
            let old = queue.partition_point(|waiting| waiting.since + PATIENCE <= now);
            due.expired.extend(queue.drain(..old));
            let few = queue.len().min(AT_A_TIME);
            due.retried.extend(queue.drain(..few));
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        for waiting in due.expired.iter().chain(&due.retried) {
            self.forget(waiting.probe.target);
        }
        due
    }

    /// Removes and returns the probes that wait for an address which `is_blocked`.
    pub fn take_blocked(&mut self, is_blocked: impl Fn(IpAddr) -> bool) -> Vec<Probe> {
        let mut taken = Vec::new();
        for queue in self.queues.values_mut() {
            queue.retain(|waiting| {
                let blocked = is_blocked(waiting.probe.destination);
                if blocked {
                    taken.push(waiting.probe);
                }
                !blocked
            });
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        for probe in &taken {
            self.forget(probe.target);
        }
        taken
    }

    /// Notes that a target has one waiting probe less.
    fn forget(&mut self, target: TargetId) {
        if let Some(count) = self.targets.get_mut(&target) {
            *count -= 1;
            if *count == 0 {
                self.targets.remove(&target);
            }
        }
    }

    /// Returns when probes are offered again. Returns `None` if no probe waits.
    pub fn next_due(&self) -> Option<Time> {
        (!self.is_empty()).then_some(self.due)
    }

    /// The number of targets with waiting probes.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// Removes and returns all waiting probes. Used when nothing more is sent.
    pub fn take_all(&mut self) -> impl Iterator<Item = Waiting> {
        std::mem::take(&mut self.queues).into_values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::{Purpose, Ttl};

    fn waiting(number: u32, since: Time) -> Waiting {
        Waiting {
            probe: Probe {
                target: TargetId(number),
                destination: Ipv4Addr::from(0x0A00_0000 + number).into(),
                flow: FlowId(0),
                ttl: Ttl(1),
                attempt: 1,
                purpose: Purpose::Sweep,
                size: None,
                round: 0,
            },
            since,
            reason: UnsentReason::NeighbourTableFull,
        }
    }

    fn numbers(probes: &[Waiting]) -> Vec<u32> {
        probes
            .iter()
            .map(|waiting| waiting.probe.target.0)
            .collect()
    }

    #[test]
    fn the_oldest_probes_are_offered_again_until_they_have_waited_too_long() {
        let at = |ms: u64| Time::default() + Duration::from_millis(1_000 + ms);
        let mut deferred = Deferred::default();
        for number in 0..20 {
            deferred.add(waiting(number, at(number.into())), at(19));
        }
        assert_eq!(deferred.take(at(20)), Due::default());
        let due = deferred.take(at(69));
        assert_eq!(numbers(&due.retried), (0..8).collect::<Vec<u32>>());
        // Two probes are refused again, and a new one is added.
        deferred.add(waiting(99, at(70)), at(70));
        for again in &due.retried[6..] {
            deferred.add(*again, at(71));
        }
        assert_eq!(deferred.targets(), 15);
        let due = deferred.take(at(10_007));
        assert_eq!(numbers(&due.expired), [6, 7]);
        assert_eq!(numbers(&due.retried), (8..16).collect::<Vec<u32>>());
        // No probe was refused since then, so the next ones are due at once.
        let due = deferred.take(at(10_007));
        assert_eq!(numbers(&due.retried), [16, 17, 18, 19, 99]);
        assert!(deferred.is_empty());
        assert_eq!(deferred.targets(), 0);
    }

    #[test]
    fn take_all_returns_every_waiting_probe() {
        let mut deferred = Deferred::default();
        (0..20).for_each(|number| deferred.add(waiting(number, Time::default()), Time::default()));
        assert_eq!(deferred.take_all().count(), 20);
        assert!(deferred.is_empty());
    }
}
