//! When each probe may leave. Every probe of every strategy passes here, first probes and retries alike.
//!
//! | limit | what it bounds | a probe beyond it |
//! |---|---|---|
//! | [`pacer`] | the total rate | waits |
//! | `spacing` | probes that may reach one target | waits in the queue of its target |
//! | [`caps`](Cap) by prefix | probes to one /24 or /48 | waits, or is skipped if that would take too long |
//! | [`caps`](NearCap) by TTL | probes with one low TTL | the same |
//!
//! A probe passes the limits in this order: spacing, prefix, TTL, total rate. No clock is read: times are arguments.

mod bucket;
mod caps;
pub mod pacer;
mod spacing;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::IpAddr;

pub use caps::{Cap, NearCap};

use self::caps::Caps;
use self::pacer::Pacer;
use self::spacing::Spacing;
use crate::model::{Outcome, Probe, Purpose, Rate, Time, UnsentReason};
use crate::strategy::Request;

/// When this many probes wait, a strategy is asked for no further work. This bounds the memory.
const MOST_WAITING: usize = 1 << 18;

/// The limits of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Probes a second in all.
    pub rate: Rate,
    /// Whether targets answer by ICMP errors. Hosts send few of these, so probes that may reach a target are spaced.
    pub spaced: bool,
    /// The cap of each destination prefix.
    pub prefix: Option<Cap>,
    /// The caps of low TTLs.
    pub near: Option<NearCap>,
}

impl Limits {
    /// A total rate and nothing else.
    pub const fn rate(rate: Rate) -> Self {
        Limits {
            rate,
            spaced: false,
            prefix: None,
            near: None,
        }
    }
}

/// That this host had no room for a probe, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When the probe was first offered.
    pub since: Time,
    /// The reason.
    pub reason: UnsentReason,
}

/// A probe that is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The probe.
    pub probe: Probe,
    /// The refusal, if this host had no room for the probe before.
    pub refused: Option<Refusal>,
}

/// The caps that a probe has passed or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits for the cap of its prefix. The cap of its TTL comes next.
    Prefix,
    /// It waits for the cap of its TTL.
    Near,
}

/// A probe that waits for a cap, ordered by time and then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delayed {
    due: Time,
    number: u64,
    probe: Probe,
    stage: Stage,
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Holds probes back until they may leave.
#[derive(Debug)]
pub struct Limiter {
    pacer: Pacer,
    spacing: Option<Spacing>,
    caps: Caps,
    /// Retries, and probes that have waited: they go first.
    urgent: VecDeque<Due>,
    /// How many of these this host had no room for.
    refused: usize,
    ready: VecDeque<Probe>,
    delayed: BinaryHeap<Reverse<Delayed>>,
    delayed_count: u64,
    skipped: VecDeque<(Probe, UnsentReason)>,
    freed: Vec<Probe>,
}

impl Limiter {
    /// Starts a schedule at `start`.
    pub fn new(limits: &Limits, start: Time) -> Self {
        Limiter {
            pacer: Pacer::new(limits.rate, start),
            spacing: limits.spaced.then(Spacing::new),
            caps: Caps::new(limits.prefix, limits.near),
            urgent: VecDeque::new(),
            refused: 0,
            ready: VecDeque::new(),
            delayed: BinaryHeap::new(),
            delayed_count: 0,
            skipped: VecDeque::new(),
            freed: Vec::new(),
        }
    }

    /// Takes a probe that a strategy asks for.
    pub fn add(&mut self, request: Request, now: Time) {
        let admitted = match &mut self.spacing {
            Some(spacing) => spacing.admit(request, now),
            None => Some(request.probe),
        };
        if let Some(probe) = admitted {
            self.pass_prefix(probe, probe.purpose == Purpose::Retry, now);
        }
    }

    /// Takes a probe back that this host had no room for.
    pub fn add_again(&mut self, probe: Probe, refusal: Refusal) {
        self.refused += 1;
        self.urgent.push_back(Due {
            probe,
            refused: Some(refusal),
        });
    }

    /// Whether a probe that this host had no room for is to be offered again.
    pub fn has_refused(&self) -> bool {
        self.refused > 0
    }

    fn pass_prefix(&mut self, probe: Probe, is_urgent: bool, now: Time) {
        match self.caps.prefix(&probe, now) {
            Ok(due) if due > now => self.delay(probe, due, Stage::Prefix),
            Ok(_) => self.pass_near(probe, is_urgent, now),
            Err(reason) => self.skipped.push_back((probe, reason)),
        }
    }

    fn pass_near(&mut self, probe: Probe, is_urgent: bool, now: Time) {
        match self.caps.near(&probe, now) {
            Ok(due) if due > now => self.delay(probe, due, Stage::Near),
            Ok(_) if is_urgent => self.urgent.push_back(due(probe)),
            Ok(_) => self.ready.push_back(probe),
            Err(reason) => self.skipped.push_back((probe, reason)),
        }
    }

    fn delay(&mut self, probe: Probe, due: Time, stage: Stage) {
        self.delayed.push(Reverse(Delayed {
            due,
            number: self.delayed_count,
            probe,
            stage,
        }));
        self.delayed_count += 1;
    }

    /// How many probes the total rate allows at `now`.
    pub fn allowed(&self, now: Time) -> u64 {
        self.pacer.allowed(now)
    }

    /// The next probe that may leave at `now`, as far as the other limits go.
    pub fn next(&mut self, now: Time) -> Option<Due> {
        self.release(now);
        let Some(urgent) = self.urgent.pop_front() else {
            return self.ready.pop_front().map(due);
        };
        self.refused -= usize::from(urgent.refused.is_some());
        Some(urgent)
    }

    /// Moves probes that have waited long enough to the queues.
    fn release(&mut self, now: Time) {
        while let Some(Reverse(delayed)) = self.delayed.peek() {
            if delayed.due > now {
                break;
            }
            let Delayed { probe, stage, .. } = *delayed;
            self.delayed.pop();
            match stage {
                Stage::Prefix => self.pass_near(probe, true, now),
                Stage::Near => self.urgent.push_back(due(probe)),
            }
        }
        while let Some(probe) = self
            .spacing
            .as_mut()
            .and_then(|spacing| spacing.release(now))
        {
            self.pass_prefix(probe, true, now);
        }
    }

    /// The next probe that is skipped, and why.
    pub fn take_skipped(&mut self) -> Option<(Probe, UnsentReason)> {
        self.skipped.pop_front()
    }

    /// Removes and returns the probes that wait for an address which `is_blocked`.
    pub fn take_blocked(&mut self, is_blocked: impl Fn(IpAddr) -> bool) -> Vec<Probe> {
        let mut taken = Vec::new();
        let mut stays = |probe: &Probe| {
            let blocked = is_blocked(probe.destination);
            if blocked {
                taken.push(*probe);
            }
            !blocked
        };
        self.urgent.retain(|due| stays(&due.probe));
        self.ready.retain(&mut stays);
        self.delayed
            .retain(|Reverse(delayed)| stays(&delayed.probe));
        self.skipped.retain(|(probe, _)| stays(probe));
        let refused = self.urgent.iter().filter(|due| due.refused.is_some());
        self.refused = refused.count();
        if let Some(spacing) = &mut self.spacing {
            spacing.take_blocked(&is_blocked, &mut taken);
        }
        taken
    }

    /// Learns from an outcome.
    pub fn observe(&mut self, outcome: &Outcome, now: Time) {
        let Some(spacing) = &mut self.spacing else {
            return;
        };
        spacing.observe(outcome, now, &mut self.freed);
        for probe in std::mem::take(&mut self.freed) {
            self.pass_prefix(probe, true, now);
        }
    }

    /// Notes that `count` probes were taken at `now`.
    pub fn took(&mut self, count: u64, now: Time) {
        self.pacer.sent(count, now);
    }

    /// Notes that nothing could be sent until `now`: what the rate allowed until then is not owed.
    pub fn idle(&mut self, now: Time) {
        self.pacer.idle(now);
    }

    /// When the total rate allows the next probe.
    pub fn next_allowed(&self) -> Time {
        self.pacer.next_time()
    }

    /// When the next of the probes that wait may leave; `None` if no probe waits for a time.
    pub fn next_due(&self) -> Option<Time> {
        let delayed = self.delayed.peek().map(|Reverse(delayed)| delayed.due);
        let spaced = self.spacing.as_ref().and_then(Spacing::next_due);
        [delayed, spaced].into_iter().flatten().min()
    }

    /// Whether so many probes wait that no further work is to be started.
    pub fn is_full(&self) -> bool {
        let spaced = self.spacing.as_ref().map_or(0, Spacing::len);
        self.delayed.len() + spaced >= MOST_WAITING
    }

    /// Forgets everything that waits: nothing more is sent. Returns the probes that were given out before and that this host had
    /// no room for.
    pub fn clear(&mut self) -> Vec<Probe> {
        self.ready.clear();
        self.delayed.clear();
        self.skipped.clear();
        self.refused = 0;
        if let Some(spacing) = &mut self.spacing {
            *spacing = Spacing::new();
        }
        let refused = self.urgent.drain(..).filter(|due| due.refused.is_some());
        refused.map(|due| due.probe).collect()
    }
}

/// A probe that was not refused before.
fn due(probe: Probe) -> Due {
    Due {
        probe,
        refused: None,
    }
}
