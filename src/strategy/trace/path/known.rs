//! What is known of a path: where it ends, how long it is, who answered.

use super::{Answer, GUESS_MARGIN, HintSource, Path, Slot};
use crate::model::{ReplyKind, StopReason, Ttl};

impl Path {
    /// Whether a probe with `ttl` is expected to reach the target. A guessed distance may be too long.
    pub(super) fn is_expected_at(&self, ttl: u8) -> bool {
        self.hint.is_some_and(|hint| match hint.source {
            HintSource::Guess => ttl >= hint.ttl.saturating_sub(GUESS_MARGIN),
            HintSource::Target | HintSource::Router => ttl >= hint.ttl,
        })
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

    /// The size of the probe that was answered where the path ends, where sizes are looked for, bytes. Behind the last answer of
    /// a path that ends in silence there may be a narrower line, whose router says nothing.
    pub fn mtu(&self) -> Option<u16> {
        let (last, _) = self
            .stop()
            .filter(|(_, reason)| *reason != StopReason::Loop)?;
        self.answers()
            .find(|(ttl, _)| *ttl == last)
            .and_then(|(_, answer)| answer.size)
    }

    /// Where the path ends, and why: the target before anything else, else the lowest unreachable or loop.
    pub(super) fn stop(&self) -> Option<(u8, StopReason)> {
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

    pub(super) fn answers(&self) -> impl Iterator<Item = (u8, Answer)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(place, slot)| match slot {
                Slot::Answered(answer) => Some((self.first_ttl + place as u8, *answer)),
                _ => None,
            })
    }

    pub(super) fn last_answered(&self) -> Option<u8> {
        self.answers().last().map(|(ttl, _)| ttl)
    }

    pub(super) fn slot(&self, ttl: u8) -> Option<Slot> {
        let place = ttl.checked_sub(self.first_ttl)?;
        self.slots.get(usize::from(place)).copied()
    }

    pub(super) fn is_settled(&self, ttl: u8) -> bool {
        matches!(self.slot(ttl), Some(Slot::Answered(_) | Slot::Silent))
    }
}

/// Whether an answer ends the path, and as what.
pub(super) fn end_of(kind: ReplyKind, from_target: bool) -> Option<StopReason> {
    match (from_target, kind) {
        // A target that forwards (a router, probed as such) answers its own address's Time Exceeded in a loop: no arrival.
        (true, ReplyKind::TimeExceeded) => None,
        (true, _) => Some(StopReason::Completed),
        (false, kind) if kind.is_unreachable() => Some(StopReason::Unreachable),
        (false, _) => None,
    }
}
