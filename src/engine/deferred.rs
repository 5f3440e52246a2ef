//! Probes that the kernel had no room for, because too many next hops do not answer: they wait here while others are sent.
//!
//! The kernel gives a next hop up after three seconds by default, and then has room again. So a probe is offered again for
//! [`PATIENCE`], and is then a send error with the reason for which it waited.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::model::{FlowId, Probe, TargetId, Time, UnsentReason};

/// How long a probe waits for room.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a refusal no probe is offered for this long: every refusal makes the kernel search its whole table.
const PAUSE: Duration = Duration::from_millis(50);
/// Probes of a queue offered at a time.
const AT_A_TIME: usize = 8;

/// A probe that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub probe: Probe,
    /// Since when.
    pub since: Time,
    /// What there was no room in.
    pub reason: UnsentReason,
}

/// The probes that wait, oldest first, by what they need room in: a family's table, and a flow's socket.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    queues: BTreeMap<(bool, FlowId), VecDeque<Waiting>>,
    /// How many probes of a target wait.
    targets: HashMap<TargetId, usize>,
    /// Not before this is any offered again.
    due: Time,
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// To be offered again.
    pub retried: Vec<Waiting>,
    /// To be given up.
    pub expired: Vec<Waiting>,
}

impl Deferred {
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Adds a probe that was refused at `now`, for the first time (then it comes last) or again.
    pub fn add(&mut self, waiting: Waiting, now: Time) {
        let key = (waiting.probe.destination.is_ipv6(), waiting.probe.flow);
        let queue = self.queues.entry(key).or_default();
        // By age. Those that come back are among the oldest, a new one is the youngest.
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

    /// Takes what is due at `now`.
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
            let target = waiting.probe.target;
            if let Some(count) = self.targets.get_mut(&target) {
                *count -= 1;
                if *count == 0 {
                    self.targets.remove(&target);
                }
            }
        }
        due
    }

    /// When probes are offered again; `None` if none waits.
    pub fn next_due(&self) -> Option<Time> {
        (!self.is_empty()).then_some(self.due)
    }

    /// How many targets have probes that wait.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// Takes all that still wait: nothing more is sent.
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
    fn the_oldest_are_offered_again_until_their_patience_ends() {
        let at = |ms: u64| Time::default() + Duration::from_millis(1_000 + ms);
        let mut deferred = Deferred::default();
        for number in 0..20 {
            deferred.add(waiting(number, at(number.into())), at(19));
        }
        assert_eq!(deferred.take(at(20)), Due::default());
        let due = deferred.take(at(69));
        assert_eq!(numbers(&due.retried), (0..8).collect::<Vec<u32>>());
        // Two were refused again, a new one came meanwhile.
        deferred.add(waiting(99, at(70)), at(70));
        for again in &due.retried[6..] {
            deferred.add(*again, at(71));
        }
        assert_eq!(deferred.targets(), 15);
        let due = deferred.take(at(10_007));
        assert_eq!(numbers(&due.expired), [6, 7]);
        assert_eq!(numbers(&due.retried), (8..16).collect::<Vec<u32>>());
        // Nothing was refused since: the next are due at once.
        let due = deferred.take(at(10_007));
        assert_eq!(numbers(&due.retried), [16, 17, 18, 19, 99]);
        assert!(deferred.is_empty());
        assert_eq!(deferred.targets(), 0);
    }

    #[test]
    fn at_the_end_all_are_handed_back() {
        let mut deferred = Deferred::default();
        (0..20).for_each(|number| deferred.add(waiting(number, Time::default()), Time::default()));
        assert_eq!(deferred.take_all().count(), 20);
        assert!(deferred.is_empty());
    }
}
