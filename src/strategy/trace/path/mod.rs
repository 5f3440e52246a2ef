//! The state of one path: what was probed at each TTL, and what to probe next.
//!
//! Pure decisions: outcomes go in, wanted probes come out.

mod ends;
mod known;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use self::ends::Complaint;
use super::repeats::Repeats;
use super::size::{Asked, SizeFinder};
use super::{Arrivals, TraceLimits};

use crate::model::{Purpose, Said, StopReason, Ttl};

/// A probe that a path wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    pub ttl: Ttl,
    pub attempt: u8,
    pub purpose: Purpose,
    /// Whether the probe is expected to reach the target.
    pub reaches_target: bool,
}

/// What a path wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send these probes, now or as soon as the limiter allows.
    Probe(Vec<Want>),
    /// Send nothing until the next outcome.
    Wait,
    /// The path has ended.
    Ended(StopReason),
}

/// What is known of one TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// The outcome of this attempt is pending.
    InFlight { attempt: u8 },
    /// To be retried, with this attempt.
    TryAgain { attempt: u8 },
    /// Answered.
    Answered(Answer),
    /// No attempt was answered.
    Silent,
    /// The probe was never sent. Nothing is known of this TTL.
    Skipped,
}

/// The memory of one TTL, bytes.
#[cfg(test)]
pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    responder: IpAddr,
    said: Said,
    /// The size of the probe, in bytes, if the strategy chose it and the probe was not too large.
    size: Option<u16>,
}

/// The phase of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The distance probe is pending.
    AwaitDistance,
    /// The hops are probed.
    Hops,
    /// The kernel refuses the probes. The path waits for the pending ones, then ends.
    Refused,
}

/// The distance that the answer to the distance probe suggests. It says how far to probe.
#[derive(Clone, Copy, Debug)]
struct Hint {
    ttl: u8,
    source: HintSource,
}

/// The source of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HintSource {
    /// The TTL that the target's error message quotes.
    Target,
    /// The TTL that a router's unreachable quotes. A router that checks the TTL first is seen one TTL later.
    Router,
    /// The TTL of the answer itself. It is a guess, because the initial TTL and the length of the way back are unknown.
    Guess,
}

/// How many TTLs before a guessed distance are already probed one by one, if the target needs that.
const GUESS_MARGIN: u8 = 2;

/// The state of one (target, flow).
#[derive(Debug)]
pub struct Path {
    phase: Phase,
    hint: Option<Hint>,
    /// Whether at most one pending probe may reach the target. Its answers would not identify the probe, or would disturb each
    /// other.
    one_by_one: bool,
    /// Whether at most one probe may be pending at all. Routers' answers would not identify the probe either.
    apart: bool,
    /// Indexed by TTL − first TTL.
    slots: Vec<Slot>,
    /// The first complaint at each TTL, even if the TTL has another answer as well.
    complaints: BTreeMap<u8, Complaint>,
    /// The answer to the distance probe, and its responder.
    distance: Option<(Said, IpAddr)>,
    /// Whether the target answered one of several probes.
    target_answered: bool,
    /// TTLs with an attempt that counts for nothing: the target may have answered it, in an answer that does not identify its
    /// probe.
    unclear: BTreeSet<u8>,
    first_ttl: u8,
    gap_limit: u8,
    /// How many hop probes are pending.
    outstanding: u16,
    /// The TTL that was probed once more because the target may be there.
    confirmed: Option<u8>,
    /// What was known of that TTL before.
    unconfirmed: Option<Slot>,
    /// How often the distance was asked for.
    distance_asked: u8,
    ask_distance: bool,
    /// Whether the target is not to be probed any more.
    excluded: bool,
    sizes: SizeFinder,
    repeats: Repeats,
}

impl Path {
    /// A path with nothing probed except its distance.
    pub fn new(limits: &TraceLimits) -> Self {
        Path {
            phase: Phase::AwaitDistance,
            hint: None,
            one_by_one: limits.arrivals == Arrivals::OneByOne,
            apart: limits.arrivals == Arrivals::OneByOne,
            slots: Vec::new(),
            complaints: BTreeMap::new(),
            distance: None,
            target_answered: false,
            unclear: BTreeSet::new(),
            first_ttl: limits.first_ttl.0,
            gap_limit: limits.gap_limit.max(1),
            outstanding: 0,
            confirmed: None,
            unconfirmed: None,
            distance_asked: 1,
            ask_distance: false,
            excluded: false,
            sizes: SizeFinder::new(limits.mtu_from),
            repeats: Repeats::new(limits.probes_per_hop),
        }
    }

    /// The size of the next probe in bytes; `None` if sizes are not searched for.
    pub fn size(&self) -> Option<u16> {
        self.sizes.current()
    }

    /// Sends no further probe. The path ends when the pending probes have ended.
    pub fn exclude(&mut self) {
        self.excluded = true;
    }

    /// Decides what to do now.
    pub fn next(&mut self, limits: &TraceLimits) -> Verdict {
        if self.excluded {
            let awaits_distance = self.phase == Phase::AwaitDistance && !self.ask_distance;
            return match awaits_distance || self.outstanding > 0 {
                true => Verdict::Wait,
                false => Verdict::Ended(StopReason::Excluded),
            };
        }
        match self.phase {
            Phase::AwaitDistance if std::mem::take(&mut self.ask_distance) => {
                self.distance_asked += 1;
                return Verdict::Probe(vec![Want {
                    ttl: limits.max_ttl,
                    attempt: self.distance_asked,
                    purpose: Purpose::Distance,
                    reaches_target: true,
                }]);
            }
            Phase::AwaitDistance => return Verdict::Wait,
            Phase::Refused if self.outstanding == 0 => return Verdict::Ended(StopReason::Error),
            Phase::Refused => return Verdict::Wait,
            Phase::Hops => {}
        }
        let horizon = self.horizon(limits);
        let mut wanted = self.wanted(horizon, limits);
        self.add_repeats(&mut wanted, limits);
        if !wanted.is_empty() {
            // Marking a TTL silent may end the path or extend the horizon. `wanted` has already taken account of both.
            self.outstanding += wanted.len() as u16;
            return Verdict::Probe(wanted);
        }
        if self.outstanding > 0 {
            return Verdict::Wait;
        }
        if let Some(want) = self.confirmation(limits) {
            self.outstanding += 1;
            return Verdict::Probe(vec![want]);
        }
        let reason = match self.stop() {
            Some((_, reason)) => reason,
            None if self.silent_at_the_end(limits) >= limits.gap_limit => StopReason::GapLimit,
            None => StopReason::MaxTtl,
        };
        Verdict::Ended(reason)
    }

    /// One more probe at the silent TTL before the target's. The silence may be the target's own: its probes were lost, or
    /// several reached it at once and its answers are rate limited.
    ///
    /// - No probe is sent if an error message quoted this distance.
    /// - A guessed distance does not prevent the probe, because the way back is often a hop longer or shorter.
    /// - A complaint of a router that answered at a lower TTL counts as silence.
    fn confirmation(&mut self, limits: &TraceLimits) -> Option<Want> {
        let (ttl, reason) = self.stop()?;
        let before = ttl.checked_sub(1)?;
        let told = |hint: Hint| hint.ttl == ttl && hint.source != HintSource::Guess;
        let expected = self.hint.is_some_and(told);
        let asked = self.confirmed.is_some_and(|asked| asked <= before);
        let silent = matches!(self.slot(before), Some(Slot::Silent | Slot::Skipped))
            || self.is_complaint_from_before(before);
        if reason != StopReason::Completed || expected || asked || !silent {
            return None;
        }
        self.confirmed = Some(before);
        let attempt = self.last_attempt(before, limits).saturating_add(1);
        let slot = &mut self.slots[usize::from(before - self.first_ttl)];
        self.unconfirmed = Some(std::mem::replace(slot, Slot::InFlight { attempt }));
        Some(Want {
            ttl: Ttl(before),
            attempt,
            purpose: Purpose::Retry,
            reaches_target: true,
        })
    }

    /// How many TTLs beyond the last hop that answered are silent, up to the maximum TTL. Skipped TTLs do not count.
    fn silent_at_the_end(&self, limits: &TraceLimits) -> u8 {
        let last = self.last_hop().unwrap_or(self.first_ttl - 1);
        let behind = limits.max_ttl.0.saturating_sub(last);
        behind.saturating_sub(self.skipped_behind(last))
    }

    /// The probes to send so that every TTL up to `horizon` is settled.
    fn wanted(&mut self, mut horizon: u8, limits: &TraceLimits) -> Vec<Want> {
        let mut wanted = Vec::new();
        let mut ttl = self.first_ttl;
        while ttl <= horizon {
            let place = usize::from(ttl - self.first_ttl);
            let (base, last) = (
                self.first_attempt(ttl, limits),
                self.last_attempt(ttl, limits),
            );
            // A TTL has no slot before its first probe. It gets one only when that probe may be sent.
            let retried = matches!(self.slots.get(place), Some(Slot::TryAgain { attempt }) if *attempt <= last);
            let unprobed = self.slots.len() == place;
            if (retried || unprobed && ttl > self.together()) && self.must_wait(&wanted) {
                break;
            }
            let attempt = match self.slots.get(place) {
                None => {
                    self.slots.push(Slot::InFlight { attempt: base });
                    Some(base)
                }
                Some(Slot::TryAgain { attempt }) if *attempt <= last => Some(*attempt),
                Some(Slot::TryAgain { .. }) => {
                    self.slots[place] = Slot::Silent;
                    horizon = self.horizon(limits);
                    None
                }
                Some(_) => None,
            };
            if let Some(attempt) = attempt {
                self.slots[place] = Slot::InFlight { attempt };
                wanted.push(Want {
                    ttl: Ttl(ttl),
                    attempt,
                    purpose: if attempt == base {
                        Purpose::Trace
                    } else {
                        Purpose::Retry
                    },
                    reaches_target: self.is_expected_at(ttl),
                });
            }
            ttl += 1;
        }
        wanted
    }

    /// The number of the first attempt at a hop. At the maximum TTL the distance probes have taken the first numbers.
    fn first_attempt(&self, ttl: u8, limits: &TraceLimits) -> u8 {
        match ttl == limits.max_ttl.0 {
            true => self.distance_asked + 1,
            false => 1,
        }
    }

    /// The last attempt at a hop without an answer. Attempts that were too large, or that the target may have answered, add one
    /// each.
    fn last_attempt(&self, ttl: u8, limits: &TraceLimits) -> u8 {
        let before = self.first_attempt(ttl, limits) - 1;
        before
            .saturating_add(limits.attempts)
            .saturating_add(self.sizes.resends(ttl))
            .saturating_add(self.unclear.contains(&ttl).into())
    }

    /// Adds probes to hops that have answered, until each has as many answers as wanted.
    fn add_repeats(&mut self, wanted: &mut Vec<Want>, limits: &TraceLimits) {
        let end = self.stop().map_or(limits.max_ttl.0, |(ttl, _)| ttl);
        while !self.must_wait(wanted)
            && let Some((ttl, attempt)) = self.repeats.take(end)
        {
            wanted.push(Want {
                ttl: Ttl(ttl),
                attempt,
                purpose: Purpose::Repeat,
                reaches_target: ttl == end,
            });
        }
    }

    /// The highest TTL that may be probed together with other TTLs.
    fn together(&self) -> u8 {
        match (self.one_by_one, self.hint) {
            (false, _) => u8::MAX,
            (true, Some(hint)) if !self.apart => hint.ttl.saturating_sub(GUESS_MARGIN),
            (true, _) => 0,
        }
    }

    /// Whether the next probe has to wait because others are pending or already wanted.
    fn must_wait(&self, wanted: &[Want]) -> bool {
        self.one_by_one && (self.outstanding > 0 || !wanted.is_empty())
    }

    /// The highest TTL worth probing now.
    fn horizon(&self, limits: &TraceLimits) -> u8 {
        if let Some((ttl, _)) = self.stop() {
            return ttl;
        }
        let pending = self.hint.and_then(|hint| {
            let next = hint.ttl.saturating_add(1).min(limits.max_ttl.0);
            let by_router = hint.source == HintSource::Router;
            let expected = [Some(hint.ttl), by_router.then_some(next)];
            expected
                .into_iter()
                .flatten()
                .find(|ttl| !self.is_settled(*ttl))
        });
        match pending {
            Some(ttl) => ttl,
            None => {
                let last = self.last_hop().unwrap_or(self.first_ttl - 1);
                // A loop gets as many further TTLs to show a new address as a silent path gets to show an answer.
                let last = self.goes_round_from().map_or(last, |back| last.min(back));
                last.saturating_add(self.gap_limit)
                    .saturating_add(self.skipped_behind(last))
                    .min(limits.max_ttl.0)
            }
        }
    }
}
