//! What is known of a path: where it ends, how long it is, who answered.

use super::{Answer, GUESS_MARGIN, HintSource, Path, Slot};
use crate::model::{StopReason, Ttl};

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

    /// Where the path ends as far as it is known: at its stop, else at the last hop that answered.
    pub fn last_ttl(&self) -> Option<Ttl> {
        self.stop()
            .map(|(ttl, _)| ttl)
            .or_else(|| self.last_hop())
            .map(Ttl)
    }

    /// The size of the probe that was answered where the path ends, where sizes are looked for, bytes. Behind the last answer of
    /// a path that ends in silence there may be a narrower line, whose router says nothing.
    pub fn mtu(&self) -> Option<u16> {
        match self.stop()? {
            (ttl, StopReason::Completed) => match self.slot(ttl)? {
                Slot::Answered(answer) => answer.size,
                _ => None,
            },
            (ttl, StopReason::Unreachable) => self.complaints.get(&ttl)?.size,
            _ => None,
        }
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

    pub(super) fn slot(&self, ttl: u8) -> Option<Slot> {
        let place = ttl.checked_sub(self.first_ttl)?;
        self.slots.get(usize::from(place)).copied()
    }

    pub(super) fn is_settled(&self, ttl: u8) -> bool {
        let slot = self.slot(ttl);
        matches!(slot, Some(Slot::Answered(_) | Slot::Silent | Slot::Skipped))
    }

    /// How many TTLs behind `ttl` were skipped. They are no part of a gap: somebody might have answered there.
    pub(super) fn skipped_behind(&self, ttl: u8) -> u8 {
        let slots = (self.first_ttl..).zip(&self.slots);
        let skipped = slots.filter(|(other, slot)| *other > ttl && **slot == Slot::Skipped);
        skipped.count() as u8
    }
}
