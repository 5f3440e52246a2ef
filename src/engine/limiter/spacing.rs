//! How often one target may be made to answer.
//!
//! Linux answers a peer 6 times and then once a second (`icmp_ratelimit` 1,000 ms with a burst of 6). Probes that may reach
//! their target stay inside that, with one answer to spare, so that a target's own limit is not read as loss.
//!
//! A probe that would ask too much waits in the queue of its target, for as long as it takes. A strategy that knows how far
//! the target is marks each probe. For one that does not, answers tell:
//!
//! - A probe cannot reach the target with a TTL at which a router answered its flow, or below the distance that the target's error
//!   to its flow shows.
//! - What answers to other flows show holds for it less two TTLs, because flows differ in length.
//!
//! State is kept for targets that were probed in the last 10 s, and for their flows that were answered.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::bucket::{Bucket, Pour, Recent};
use crate::model::{FlowId, Outcome, Probe, ProbeResult, Said, TargetId, Time};
use crate::strategy::{Reach, Request};

/// What a target answers.
const ANSWERS: Pour = Pour {
    interval: Duration::from_millis(1_050),
    burst: 5,
};

/// By how much the lengths of a target's flows are taken to differ.
const UNEQUAL: u8 = 2;

/// What is known of the length of a flow, or of all flows of a target.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The highest TTL at which a router answered; 0 before the first.
    router: u8,
    /// The distance that the target's error shows; 0 as long as none does.
    distance: u8,
}

impl Known {
    fn may_reach(self, request: &Request) -> bool {
        let ttl = request.probe.ttl.0;
        match request.reach {
            Reach::Router => false,
            Reach::Target => true,
            Reach::Unknown => ttl > self.router && ttl >= self.distance,
        }
    }

    fn learn(&mut self, learned: Known) {
        self.router = self.router.max(learned.router);
        self.distance = match (self.distance, learned.distance) {
            (0, distance) | (distance, 0) => distance,
            (one, other) => one.min(other),
        };
    }

    /// What this says of another flow.
    fn of_others(self) -> Known {
        Known {
            router: self.router.saturating_sub(UNEQUAL),
            distance: self.distance.saturating_sub(UNEQUAL),
        }
    }
}

/// A target that was probed lately.
#[derive(Clone, Copy, Debug, Default)]
struct Target {
    bucket: Bucket,
    /// What its flows showed, all together.
    known: Known,
}

/// Spaces the probes that may reach their target.
#[derive(Debug)]
pub(super) struct Spacing {
    targets: Recent<TargetId, Target>,
    flows: Recent<(TargetId, FlowId), Known>,
    /// Probes that wait, by target, in the order asked; with their numbers.
    waiting: HashMap<TargetId, VecDeque<(u64, Request)>>,
    /// When the first probe of each queue is due, with its number.
    due: BinaryHeap<Reverse<(Time, u64, TargetId)>>,
    count: u64,
    len: usize,
    /// Whether a probe came whose reach was not known: only then do answers matter.
    learns: bool,
}

impl Spacing {
    pub fn new() -> Self {
        Spacing {
            targets: Recent::new(),
            flows: Recent::new(),
            waiting: HashMap::new(),
            due: BinaryHeap::new(),
            count: 0,
            len: 0,
            learns: false,
        }
    }

    /// How many probes wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Gives the probe back if it may be sent at `now`. Else it waits.
    pub fn admit(&mut self, request: Request, now: Time) -> Option<Probe> {
        if request.reach == Reach::Router {
            return Some(request.probe);
        }
        let id = request.probe.target;
        self.targets.turn(now, |target| target.bucket.is_full(now));
        self.flows.turn(now, |_| true);
        let target = self.targets.get(id);
        if request.reach == Reach::Unknown {
            self.learns = true;
            let known = self.flows.known((id, request.probe.flow));
            let own = known.is_none_or(|known| known.may_reach(&request));
            if !own || !target.known.of_others().may_reach(&request) {
                return Some(request.probe);
            }
        }
        let due = target.bucket.earliest(now, ANSWERS);
        let queue = match self.len {
            0 => None,
            _ => self.waiting.get_mut(&id),
        };
        if due <= now && queue.is_none() {
            target.bucket.take(now, ANSWERS);
            return Some(request.probe);
        }
        match queue {
            Some(queue) => queue.push_back((self.count, request)),
            None => {
                self.due.push(Reverse((due, self.count, id)));
                self.waiting.insert(id, [(self.count, request)].into());
            }
        }
        self.count += 1;
        self.len += 1;
        None
    }

    /// The next probe that is due at `now`.
    pub fn release(&mut self, now: Time) -> Option<Probe> {
        loop {
            let Reverse((due, number, id)) = self.due.peek().copied()?;
            if due > now {
                return None;
            }
            self.due.pop();
            let Some(queue) = self.waiting.get_mut(&id) else {
                continue;
            };
            // The queue may have lost its head meanwhile, and has then been announced anew.
            if queue.front().is_none_or(|(first, _)| *first != number) {
                continue;
            }
            let (_, request) = queue.pop_front()?;
            self.len -= 1;
            // Not at the time it was due: after a pause the whole queue would leave at once.
            self.targets.get(id).bucket.take(now, ANSWERS);
            self.announce(id, now);
            return Some(request.probe);
        }
    }

    /// Announces when the head of a queue is due, or forgets the queue.
    fn announce(&mut self, id: TargetId, now: Time) {
        match self.waiting.get(&id).and_then(VecDeque::front) {
            Some((number, _)) => {
                let due = self.targets.get(id).bucket.earliest(now, ANSWERS);
                self.due.push(Reverse((due, *number, id)));
            }
            None => {
                self.waiting.remove(&id);
            }
        }
    }

    /// When the next probe is due.
    pub fn next_due(&self) -> Option<Time> {
        let Reverse((due, ..)) = self.due.peek()?;
        Some(*due)
    }

    /// Moves the probes to `taken` that wait for an address which `is_blocked`. All probes of a queue have the same address.
    pub fn take_blocked(&mut self, is_blocked: impl Fn(IpAddr) -> bool, taken: &mut Vec<Probe>) {
        let mut blocked: Vec<TargetId> = { self.waiting.iter() }
            .filter(|(_, queue)| {
                let first = queue.front();
                first.is_some_and(|(_, request)| is_blocked(request.probe.destination))
            })
            .map(|(id, _)| *id)
            .collect();
        blocked.sort_unstable();
        for id in blocked {
            let queue = self.waiting.remove(&id).unwrap_or_default();
            self.len -= queue.len();
            taken.extend(queue.into_iter().map(|(_, request)| request.probe));
        }
        let waiting = &self.waiting;
        self.due
            .retain(|Reverse((_, _, id))| waiting.contains_key(id));
    }

    /// Learns from an outcome how far the target is. Moves the probes that need not wait any longer to `freed`.
    pub fn observe(&mut self, outcome: &Outcome, now: Time, freed: &mut Vec<Probe>) {
        if !self.learns {
            return;
        }
        let ProbeResult::Answered {
            kind,
            quoted_ttl,
            from_target,
            ..
        } = outcome.result
        else {
            return;
        };
        let Some(target) = self.targets.known(outcome.target) else {
            return;
        };
        let ttl = outcome.ttl.0;
        let learned = match (Said::of(kind, from_target), quoted_ttl) {
            (Said::Expired, _) if !from_target => Known {
                router: ttl,
                distance: 0,
            },
            (Said::Arrived, Some(quoted)) if from_target && (1..=ttl).contains(&quoted) => Known {
                router: 0,
                distance: ttl - quoted + 1,
            },
            _ => return,
        };
        target.known.learn(learned);
        let others = target.known.of_others();
        let known = self.flows.get((outcome.target, outcome.flow));
        known.learn(learned);
        let known = *known;
        let Some(queue) = self.waiting.get_mut(&outcome.target) else {
            return;
        };
        let head = queue.front().map(|(number, _)| *number);
        let before = queue.len();
        queue.retain(|(_, request)| {
            let own = request.probe.flow != outcome.flow || known.may_reach(request);
            let waits = own && others.may_reach(request);
            if !waits {
                freed.push(request.probe);
            }
            waits
        });
        self.len -= before - queue.len();
        if queue.front().map(|(number, _)| *number) != head {
            self.announce(outcome.target, now);
        }
    }
}
