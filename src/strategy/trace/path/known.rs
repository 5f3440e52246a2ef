//! Facts about a path: where it ends, how long it is, which hops answered.

use super::{Answer, GUESS_MARGIN, HintSource, Path, Slot};
use crate::model::{Said, StopReason, Ttl};

impl Path {
    /// Whether a probe with `ttl` is expected to reach the target. A guess may be too long, so the margin before it counts as
    /// well.
    pub(super) fn is_expected_at(&self, ttl: u8) -> bool {
        self.hint.is_some_and(|hint| match hint.source {
            HintSource::Guess => ttl >= hint.ttl.saturating_sub(GUESS_MARGIN),
            HintSource::Target | HintSource::Router => ttl >= hint.ttl,
        })
    }

    /// The path's length: the lowest TTL that the target answered. `None` if the TTL before it was not probed.
    pub fn length(&self) -> Option<Ttl> {
        let (ttl, reason) = self.stop()?;
        let settled = reason == StopReason::Completed && (ttl == 1 || ttl > self.first_ttl);
        let before_settled = self
            .slot(ttl.checked_sub(1)?)
            .is_none_or(|slot| matches!(slot, Slot::Answered(_) | Slot::Silent));
        (settled && before_settled).then_some(Ttl(ttl))
    }

    /// The last known TTL of the path: the TTL at which it ended, else the last hop that answered.
    pub fn last_ttl(&self) -> Option<Ttl> {
        self.stop()
            .map(|(ttl, _)| ttl)
            .or_else(|| self.last_hop())
            .map(Ttl)
    }

    /// The silent TTLs of the path: those from its first TTL on, before the last TTL whose hop answered.
    pub fn holes(&self) -> impl Iterator<Item = Ttl> {
        let end = self.last_ttl().map_or(0, |ttl| ttl.0);
        let is_silent = |ttl: u8| match self.slot(ttl) {
            Some(Slot::Answered(answer)) => {
                answer.said == Said::TooLarge || self.is_complaint_from_before(ttl)
            }
            Some(_) => true,
            None => false,
        };
        let is_probed = |ttl: &u8| !matches!(self.slot(*ttl), None | Some(Slot::Skipped));
        let first = (self.first_ttl..end).find(is_probed).unwrap_or(end);
        let ends_by_size =
            self.stop() == Some((end, StopReason::Unreachable)) && self.slot(end).is_some();
        let last = match ends_by_size {
            true => end,
            false => { first..=end }
                .rev()
                .find(|ttl| !is_silent(*ttl))
                .unwrap_or(first),
        };
        (first..last).filter(move |ttl| is_silent(*ttl)).map(Ttl)
    }

    /// The path MTU in bytes: the size of the probe that was answered at the end of the path.
    /// `None` if sizes are not searched for, or if the path ends in silence. A router beyond the last answer may drop packets
    /// of that size without a message.
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

    /// How many TTLs beyond `ttl` were skipped. They do not count towards a gap, because no probe was sent there.
    pub(super) fn skipped_behind(&self, ttl: u8) -> u8 {
        let slots = (self.first_ttl..).zip(&self.slots);
        let skipped = slots.filter(|(other, slot)| *other > ttl && **slot == Slot::Skipped);
        skipped.count() as u8
    }
}
