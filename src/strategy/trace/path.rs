//! One path on its way to being known: what was probed at each TTL, and what to probe next.
//!
//! Pure decisions: outcomes in, wishes out.

use std::net::IpAddr;

use super::{Arrivals, TraceLimits};
use crate::model::{Outcome, ProbeResult, Purpose, ReplyKind, StopReason, Ttl};

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    responder: IpAddr,
    end: Option<StopReason>,
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

/// The TTLs that hosts start from.
const INITIAL_TTLS: [u8; 3] = [64, 128, 255];
/// TTLs before a guessed distance that are still probed one by one where that is called for.
const GUESS_MARGIN: u8 = 2;

/// The state of one (target, flow).
#[derive(Debug)]
pub struct Path {
    phase: Phase,
    hint: Option<Hint>,
    /// Whether two probes must not reach the target at a time: its answers would not tell them apart, or disturb each other.
    one_by_one: bool,
    /// By TTL − first TTL.
    slots: Vec<Slot>,
    first_ttl: u8,
    /// Probes out whose outcome has not been told.
    outstanding: u16,
    /// The TTL that was asked once more whether it is the target's after all.
    confirmed: Option<u8>,
}

impl Path {
    /// A path still to be probed.
    pub fn new(limits: &TraceLimits) -> Self {
        Path {
            phase: Phase::AwaitDistance,
            hint: None,
            one_by_one: limits.arrivals == Arrivals::OneByOne,
            slots: Vec::new(),
            first_ttl: limits.first_ttl.0,
            outstanding: 0,
            confirmed: None,
        }
    }

    /// Takes the outcome of the distance probe. A late one is a hint as good as any while hops are still open.
    fn observe_distance(&mut self, result: &ProbeResult, late: bool, limits: &TraceLimits) {
        if let ProbeResult::Answered {
            kind,
            quoted_ttl,
            reply_ttl,
            from_target,
            ..
        } = *result
        {
            let (distance, source) = match quoted_ttl {
                Some(quoted) if kind.is_unreachable() && from_target => (
                    (limits.max_ttl.0 + 1).checked_sub(quoted),
                    HintSource::Target,
                ),
                Some(quoted) if kind.is_unreachable() => (
                    (limits.max_ttl.0 + 1).checked_sub(quoted),
                    HintSource::Router,
                ),
                _ if from_target && kind != ReplyKind::TimeExceeded => {
                    self.one_by_one |= kind.tells_no_probe_apart();
                    (reply_ttl.map(guessed_distance), HintSource::Guess)
                }
                _ => (None, HintSource::Guess),
            };
            self.hint = distance
                .filter(|ttl| (limits.first_ttl.0..=limits.max_ttl.0).contains(ttl))
                .map(|ttl| Hint { ttl, source });
        }
        if !late {
            self.phase = match result {
                ProbeResult::NotSent => Phase::Refused,
                _ => Phase::Hops,
            };
        }
    }

    /// Takes the outcome of one of the path's probes.
    pub fn observe(&mut self, outcome: &Outcome, limits: &TraceLimits) {
        match outcome.purpose {
            Purpose::Distance => self.observe_distance(&outcome.result, outcome.late, limits),
            _ => self.observe_hop(outcome),
        }
    }

    fn observe_hop(&mut self, outcome: &Outcome) {
        if !outcome.late {
            self.outstanding = self.outstanding.saturating_sub(1);
        }
        let Some(slot) = outcome
            .ttl
            .0
            .checked_sub(self.first_ttl)
            .and_then(|at| self.slots.get_mut(usize::from(at)))
        else {
            return;
        };
        match outcome.result {
            ProbeResult::Answered {
                responder,
                kind,
                from_target,
                ..
            } => {
                let answer = Answer {
                    responder,
                    end: end_of(kind, from_target),
                };
                let known = matches!(slot, Slot::Answered(known) if known.end.is_some());
                if !known {
                    *slot = Slot::Answered(answer);
                }
            }
            ProbeResult::Silent => {
                if *slot
                    == (Slot::InFlight {
                        attempt: outcome.attempt,
                    })
                {
                    *slot = Slot::TryAgain {
                        attempt: outcome.attempt.saturating_add(1),
                    };
                }
            }
            ProbeResult::NotSent => self.phase = Phase::Refused,
        }
    }

    /// What to do now.
    pub fn next(&mut self, limits: &TraceLimits) -> Verdict {
        match self.phase {
            Phase::AwaitDistance => return Verdict::Wait,
            Phase::Refused if self.outstanding == 0 => return Verdict::Ended(StopReason::Error),
            Phase::Refused => return Verdict::Wait,
            Phase::Hops => {}
        }
        let horizon = self.horizon(limits);
        let wanted = self.wanted(horizon, limits);
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

    /// The path's length, where it is settled: the lowest TTL the target answered, if the TTL before was probed.
    pub fn length(&self) -> Option<Ttl> {
        let (ttl, reason) = self.stop()?;
        let settled = reason == StopReason::Completed && (ttl == 1 || ttl > self.first_ttl);
        let before_settled = self
            .slot(ttl.checked_sub(1)?)
            .is_none_or(|slot| matches!(slot, Slot::Answered(_) | Slot::Silent));
        (settled && before_settled).then_some(Ttl(ttl))
    }

    /// Where the path ends as far as it is known: at its stop, else at the last TTL that answered.
    pub fn last_ttl(&self) -> Option<Ttl> {
        self.stop()
            .map(|(ttl, _)| ttl)
            .or_else(|| self.last_answered())
            .map(Ttl)
    }

    /// One more probe at the silent TTL before the target's, where the target was not expected there. Without a distance several
    /// probes may have reached the target at once, and its answers are few: the silence may have been the target's own.
    fn confirmation(&mut self, limits: &TraceLimits) -> Option<Want> {
        let (ttl, reason) = self.stop()?;
        let before = ttl.checked_sub(1)?;
        let told = |hint: Hint| hint.ttl == ttl && hint.source != HintSource::Guess;
        let expected = match limits.arrivals {
            // Nothing limits these answers; but of several probes at a time only one may have been answered.
            Arrivals::Free => !(self.one_by_one && before <= self.together()),
            Arrivals::Limited | Arrivals::OneByOne => self.hint.is_some_and(told),
        };
        let asked = self.confirmed.is_some_and(|asked| asked <= before);
        let silent = self.slot(before) == Some(Slot::Silent);
        if reason != StopReason::Completed || expected || asked || !silent {
            return None;
        }
        self.confirmed = Some(before);
        let attempt = first_attempt(before, limits) + limits.attempts;
        self.slots[usize::from(before - self.first_ttl)] = Slot::InFlight { attempt };
        Some(Want {
            ttl: Ttl(before),
            attempt,
            purpose: Purpose::Retry,
            reaches_target: true,
        })
    }

    /// How many TTLs before the maximum and behind the last answer stayed silent.
    fn silent_at_the_end(&self, limits: &TraceLimits) -> u8 {
        let last = self.last_answered().unwrap_or(self.first_ttl - 1);
        limits.max_ttl.0.saturating_sub(last)
    }

    /// The probes to send so that every TTL up to `horizon` is settled.
    fn wanted(&mut self, mut horizon: u8, limits: &TraceLimits) -> Vec<Want> {
        let mut wanted = Vec::new();
        let mut ttl = self.first_ttl;
        while ttl <= horizon {
            let place = usize::from(ttl - self.first_ttl);
            let base = first_attempt(ttl, limits);
            // Before its first probe a TTL has no slot, and gets it only when that may be sent.
            let retried = matches!(self.slots.get(place), Some(Slot::TryAgain { attempt }) if attempt - base < limits.attempts);
            let unprobed = self.slots.len() == place;
            if (retried || unprobed && ttl > self.together()) && self.must_wait(&wanted) {
                break;
            }
            let attempt = match self.slots.get(place) {
                None => {
                    self.slots.push(Slot::InFlight { attempt: base });
                    Some(base)
                }
                Some(Slot::TryAgain { attempt }) if attempt - base < limits.attempts => {
                    Some(*attempt)
                }
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
                    reaches_target: self.hint.is_some_and(|hint| ttl >= hint.ttl),
                });
            }
            ttl += 1;
        }
        wanted
    }

    /// The highest TTL that may be probed together with others.
    fn together(&self) -> u8 {
        match (self.one_by_one, self.hint) {
            (false, _) => u8::MAX,
            (true, Some(hint)) => hint.ttl.saturating_sub(GUESS_MARGIN),
            (true, None) => 0,
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
                let last = self.last_answered().unwrap_or(self.first_ttl - 1);
                last.saturating_add(limits.gap_limit.max(1))
                    .min(limits.max_ttl.0)
            }
        }
    }

    /// Where the path ends, and why: the target before anything else, else the lowest unreachable or loop.
    fn stop(&self) -> Option<(u8, StopReason)> {
        let ends = || {
            self.answers()
                .filter_map(|(ttl, answer)| Some((ttl, answer.end?)))
        };
        ends()
            .find(|(_, reason)| *reason == StopReason::Completed)
            .or_else(|| ends().next())
            .or_else(|| Some((self.loop_at()?, StopReason::Loop)))
    }

    /// The lowest TTL at which an address comes back that already answered two or more TTLs before. Not looked for while the
    /// target itself is expected at a known distance: then the path gets there, whatever a balancer shows between.
    fn loop_at(&self) -> Option<u8> {
        if self.hint.is_some_and(|hint| !self.is_settled(hint.ttl)) {
            return None;
        }
        self.answers().find_map(|(ttl, answer)| {
            let before = ttl.checked_sub(2)?;
            self.answers()
                .take_while(|(earlier, _)| *earlier <= before)
                .any(|(_, earlier)| earlier.responder == answer.responder)
                .then_some(ttl)
        })
    }

    fn answers(&self) -> impl Iterator<Item = (u8, Answer)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(place, slot)| match slot {
                Slot::Answered(answer) => Some((self.first_ttl + place as u8, *answer)),
                _ => None,
            })
    }

    fn last_answered(&self) -> Option<u8> {
        self.answers().last().map(|(ttl, _)| ttl)
    }

    fn slot(&self, ttl: u8) -> Option<Slot> {
        let place = ttl.checked_sub(self.first_ttl)?;
        self.slots.get(usize::from(place)).copied()
    }

    fn is_settled(&self, ttl: u8) -> bool {
        matches!(self.slot(ttl), Some(Slot::Answered(_) | Slot::Silent))
    }
}

/// The attempt that the first probe of a hop carries: at the maximum TTL the distance probe was the first.
fn first_attempt(ttl: u8, limits: &TraceLimits) -> u8 {
    if ttl == limits.max_ttl.0 { 2 } else { 1 }
}

/// How far away an answer with this TTL started, if it came straight back.
fn guessed_distance(reply_ttl: u8) -> u8 {
    let initial = INITIAL_TTLS
        .into_iter()
        .find(|initial| *initial >= reply_ttl);
    (initial.unwrap_or(u8::MAX) - reply_ttl).saturating_add(1)
}

/// Whether an answer ends the path, and as what.
fn end_of(kind: ReplyKind, from_target: bool) -> Option<StopReason> {
    match (from_target, kind) {
        // A target that forwards (a router, probed as such) answers its own address's Time Exceeded in a loop: no arrival.
        (true, ReplyKind::TimeExceeded) => None,
        (true, _) => Some(StopReason::Completed),
        (false, kind) if kind.is_unreachable() => Some(StopReason::Unreachable),
        (false, _) => None,
    }
}
