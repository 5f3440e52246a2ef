//! Updates a path with the outcomes of its probes.

use super::ends::Complaint;
use super::{Answer, Asked, Hint, HintSource, Path, Phase, Slot, TraceLimits};
use crate::model::{Outcome, ProbeResult, Purpose, Said, StopReason};

/// The initial TTLs that hosts use.
const INITIAL_TTLS: [u8; 3] = [64, 128, 255];

impl Path {
    /// Takes the outcome of the distance probe. A late answer still gives a hint.
    fn observe_distance(&mut self, outcome: &Outcome, limits: &TraceLimits) {
        let (result, late) = (&outcome.result, outcome.late);
        if !late && self.was_too_large(outcome) {
            self.ask_distance = true;
            return;
        }
        if let ProbeResult::Answered {
            responder,
            kind,
            quoted_ttl,
            reply_ttl,
            from_target,
            ..
        } = *result
        {
            let said = Said::of(kind, from_target);
            let known = self.distance.map(|(known, _)| known);
            // If the distance probe has several answers, the target's takes precedence.
            if known < Some(said) {
                self.distance = Some((said, responder));
                let (distance, source) = match quoted_ttl {
                    Some(quoted) if kind.is_complaint() => (
                        (limits.max_ttl.0 + 1).checked_sub(quoted),
                        match from_target {
                            true => HintSource::Target,
                            false => HintSource::Router,
                        },
                    ),
                    _ if said == Said::Arrived => {
                        self.one_by_one |= kind.tells_no_probe_apart();
                        (reply_ttl.map(guessed_distance), HintSource::Guess)
                    }
                    _ => (None, HintSource::Guess),
                };
                self.hint = distance
                    .filter(|ttl| (limits.first_ttl.0..=limits.max_ttl.0).contains(ttl))
                    .map(|ttl| Hint { ttl, source });
            }
        }
        // The kernel may report that it cannot send later than the timeout.
        let refused = match result {
            ProbeResult::NotSent => !late || !self.has_answers(),
            ProbeResult::TooLarge => !late,
            _ => false,
        };
        if refused {
            self.phase = Phase::Refused;
        } else if !late {
            self.phase = Phase::Hops;
        }
    }

    /// Takes the outcome of a probe of this path.
    pub fn observe(&mut self, outcome: &Outcome, limits: &TraceLimits) {
        match outcome.purpose {
            _ if outcome.result == ProbeResult::OneOfSeveral => {
                self.observe_one_of_several(outcome)
            }
            Purpose::Distance => self.observe_distance(outcome, limits),
            _ => self.observe_hop(outcome, limits),
        }
    }

    /// Whether the probe was too large for the path and a smaller one is to be sent in its place.
    fn was_too_large(&mut self, outcome: &Outcome) -> bool {
        let limit = match outcome.result {
            ProbeResult::Answered {
                kind, next_hop_mtu, ..
            } if kind.is_too_large() => next_hop_mtu,
            ProbeResult::TooLarge => None,
            _ => return false,
        };
        let asked = match outcome.purpose {
            Purpose::Distance => Asked::Distance,
            _ => Asked::Hop(outcome.ttl.0),
        };
        self.sizes.too_large(asked, outcome.size, limit)
    }

    /// Takes an answer of the target that does not identify its probe among the pending ones. From now on probes go one by one.
    /// Until the target is found, the silence of those pending probes proves nothing. Each of their TTLs gets one attempt more.
    fn observe_one_of_several(&mut self, outcome: &Outcome) {
        self.one_by_one = true;
        self.target_answered = true;
        let found = matches!(self.stop(), Some((_, StopReason::Completed)));
        if outcome.late || found {
            return;
        }
        let under_way = (self.first_ttl..).zip(&self.slots);
        let under_way = under_way.filter(|(_, slot)| matches!(slot, Slot::InFlight { .. }));
        self.unclear.extend(under_way.map(|(ttl, _)| ttl));
    }

    fn observe_hop(&mut self, outcome: &Outcome, limits: &TraceLimits) {
        if !outcome.late {
            self.outstanding = self.outstanding.saturating_sub(1);
        }
        let ttl = outcome.ttl.0;
        let Some(place) = ttl.checked_sub(self.first_ttl).map(usize::from) else {
            return;
        };
        let too_large = self.was_too_large(outcome);
        let last_attempt = self.last_attempt(ttl, limits);
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        let in_flight = Slot::InFlight {
            attempt: outcome.attempt,
        };
        let try_again = Slot::TryAgain {
            attempt: outcome.attempt.saturating_add(1),
        };
        match outcome.result {
            // Another attempt has already taken its place.
            _ if too_large && outcome.late => {}
            _ if too_large && *slot == in_flight => *slot = try_again,
            _ if too_large => self.repeats.silent(ttl, outcome.attempt, last_attempt),
            ProbeResult::Answered {
                responder,
                kind,
                from_target,
                ..
            } => {
                let answer = Answer {
                    responder,
                    said: Said::of(kind, from_target),
                    // A probe that was too large did not pass through.
                    size: outcome.size.filter(|_| !kind.is_too_large()),
                };
                if !matches!(slot, Slot::Answered(known) if known.said >= answer.said) {
                    *slot = Slot::Answered(answer);
                }
                if answer.said.is_complaint() {
                    let (by, size) = (responder, answer.size);
                    let complaint = Complaint { by, size };
                    self.complaints.entry(ttl).or_insert(complaint);
                }
                if !outcome.late {
                    self.repeats.answered(ttl, outcome.attempt, last_attempt);
                }
            }
            ProbeResult::OneOfSeveral => {}
            ProbeResult::Silent if *slot == in_flight => *slot = try_again,
            // What was known before one more probe was asked for is still known.
            ProbeResult::Skipped if *slot == in_flight && self.confirmed == Some(ttl) => {
                *slot = self.unconfirmed.take().unwrap_or(Slot::Skipped);
            }
            ProbeResult::Skipped if *slot == in_flight => *slot = Slot::Skipped,
            // The hop has already answered and keeps its answer.
            ProbeResult::Skipped => {}
            ProbeResult::Silent => self.repeats.silent(ttl, outcome.attempt, last_attempt),
            // See the distance probe: the kernel may report this late.
            ProbeResult::NotSent if outcome.late && self.has_answers() => {}
            ProbeResult::NotSent | ProbeResult::TooLarge => self.phase = Phase::Refused,
        }
    }

    /// Whether a hop has answered, so that probes can evidently be sent.
    fn has_answers(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| matches!(slot, Slot::Answered(_)))
    }
}

/// The distance of the responder, if the initial TTL is a usual one and the way back is as long as the way there.
fn guessed_distance(reply_ttl: u8) -> u8 {
    let initial = INITIAL_TTLS
        .into_iter()
        .find(|initial| *initial >= reply_ttl);
    (initial.unwrap_or(u8::MAX) - reply_ttl).saturating_add(1)
}
