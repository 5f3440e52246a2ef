//! One path on its way to being known: what was probed at each TTL, and what to probe next.
//!
//! Pure decisions: outcomes in, wishes out.

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
    /// Whether the target is expected to be the one to answer.
    pub reaches_target: bool,
}

/// What a path wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These probes, now or as soon as the target may be asked.
    Probe(Vec<Want>),
    /// Nothing until the next outcome.
    Wait,
    /// Nothing any more.
    Ended(StopReason),
}

/// What is known of one TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Waiting for the outcome of this attempt.
    InFlight { attempt: u8 },
    /// To be tried again, with this attempt.
    TryAgain { attempt: u8 },
    /// Answered.
    Answered(Answer),
    /// Every attempt went unanswered.
    Silent,
    /// The probe was never sent. Nothing is known of this TTL.
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    responder: IpAddr,
    said: Said,
    /// The size that came through, where it was the strategy's choice, bytes.
    size: Option<u16>,
}

/// Where a path stands in its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The distance probe is out.
    AwaitDistance,
    /// Hop by hop.
    Hops,
    /// The kernel refuses our probes: wait for what is out, then stop.
    Refused,
}

/// How far the distance probe's answer says that it is worth probing.
#[derive(Clone, Copy, Debug)]
struct Hint {
    ttl: u8,
    source: HintSource,
}

/// What a hint was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HintSource {
    /// The TTL that the target's error quotes.
    Target,
    /// A router's unreachable, not the target's: a router that looks at the TTL first shows it one TTL later.
    Router,
    /// The TTL of the answer itself, which came back another way and started from who knows what: a guess.
    Guess,
}

/// TTLs before a guessed distance that are still probed one by one where that is called for.
const GUESS_MARGIN: u8 = 2;

/// The state of one (target, flow).
#[derive(Debug)]
pub struct Path {
    phase: Phase,
    hint: Option<Hint>,
    /// Whether two probes must not reach the target at a time: its answers would not tell them apart, or disturb each other.
    one_by_one: bool,
    /// Whether no two probes must be under way at a time, wherever they are going: routers' answers would not tell them apart.
    apart: bool,
    /// By TTL − first TTL.
    slots: Vec<Slot>,
    /// The first complaint at each TTL, whatever else was answered there.
    complaints: BTreeMap<u8, Complaint>,
    /// What the distance probe was answered with, and by whom.
    distance: Option<(Said, IpAddr)>,
    /// Whether the target answered one of several probes.
    target_answered: bool,
    /// TTLs with an attempt that the target may have answered although nothing told that it was this one.
    unclear: BTreeSet<u8>,
    first_ttl: u8,
    gap_limit: u8,
    /// Probes out whose outcome has not been told.
    outstanding: u16,
    /// The TTL that was asked once more whether it is the target's after all.
    confirmed: Option<u8>,
    /// How often the distance was asked for, and whether it is to be asked for again.
    distance_asked: u8,
    ask_distance: bool,
    sizes: SizeFinder,
    repeats: Repeats,
}

impl Path {
    /// A path still to be probed.
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
            distance_asked: 1,
            ask_distance: false,
            sizes: SizeFinder::new(limits.mtu_from),
            repeats: Repeats::new(limits.probes_per_hop),
        }
    }

    /// The size of the path's next probe, where it is not the smallest possible.
    pub fn size(&self) -> Option<u16> {
        self.sizes.current()
    }

    /// What to do now.
    pub fn next(&mut self, limits: &TraceLimits) -> Verdict {
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
            // A retry that is given up may end the path or push the horizon out: `wanted` has dealt with both.
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

    /// One more probe at the silent TTL before the target's, where the target had not told that it is just behind. The silence
    /// may be the target's own: its probes were lost, or several reached it at once and its answers are few. A guess tells
    /// nothing: the way back is often a hop longer or shorter. A complaint of a router that stands before is as good as silence.
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
        self.slots[usize::from(before - self.first_ttl)] = Slot::InFlight { attempt };
        Some(Want {
            ttl: Ttl(before),
            attempt,
            purpose: Purpose::Retry,
            reaches_target: true,
        })
    }

    /// How many TTLs before the maximum and behind the last hop that answered stayed silent.
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
            // Before its first probe a TTL has no slot, and gets it only when that may be sent.
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

    /// The attempt that the first probe of a hop carries: at the maximum TTL the distance was asked for before.
    fn first_attempt(&self, ttl: u8, limits: &TraceLimits) -> u8 {
        match ttl == limits.max_ttl.0 {
            true => self.distance_asked + 1,
            false => 1,
        }
    }

    /// The last attempt that a hop without an answer is worth. What was only too large, or may have been answered, does not count.
    fn last_attempt(&self, ttl: u8, limits: &TraceLimits) -> u8 {
        let before = self.first_attempt(ttl, limits) - 1;
        before
            .saturating_add(limits.attempts)
            .saturating_add(self.sizes.resends(ttl))
            .saturating_add(self.unclear.contains(&ttl).into())
    }

    /// Asks hops again that have answered, as often as is wanted.
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

    /// The highest TTL that may be probed together with others.
    fn together(&self) -> u8 {
        match (self.one_by_one, self.hint) {
            (false, _) => u8::MAX,
            (true, Some(hint)) if !self.apart => hint.ttl.saturating_sub(GUESS_MARGIN),
            (true, _) => 0,
        }
    }

    /// Whether a probe that may reach the target has to wait for those that are out.
    fn must_wait(&self, wanted: &[Want]) -> bool {
        self.one_by_one && (self.outstanding > 0 || !wanted.is_empty())
    }

    /// The highest TTL worth probing as things stand.
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
                // A path that goes round is given as many TTLs to get away as a silent one to answer.
                let last = self.goes_round_from().map_or(last, |back| last.min(back));
                last.saturating_add(self.gap_limit)
                    .saturating_add(self.skipped_behind(last))
                    .min(limits.max_ttl.0)
            }
        }
    }
}
