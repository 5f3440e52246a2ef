//! What ends a path.
//!
//! | answer | ends the path |
//! |---|---|
//! | arrival | at the lowest TTL that has one |
//! | complaint from the way | at its TTL, unless the target or a higher TTL has answered |
//! | TTL ran out | never; but a loop does, when the gap limit's TTLs behind it brought no new address |
//! | none, the probe was skipped | never: the TTL counts neither as silent nor as without a new address |
//!
//! A complaint asks for no probe behind its TTL. Probes that are already under way there are waited for, and may show that the path
//! goes on. The same router's complaints at higher TTLs show nothing of the kind. A router that was proved wrong once is not
//! believed again: what it says at a higher TTL is neither an end nor an answer of that hop.

use std::net::IpAddr;

use super::{Path, Slot};
use crate::model::{Said, StopReason};

/// A complaint from the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub by: IpAddr,
    /// The size that came through to there, bytes: none if the complaint is about the size.
    pub size: Option<u16>,
}

impl Path {
    /// Where the path ends, and why: the target before anything else, else a complaint, else a loop.
    pub(super) fn stop(&self) -> Option<(u8, StopReason)> {
        let arrived = self
            .answers()
            .find(|(_, answer)| answer.said == Said::Arrived);
        if let Some((ttl, _)) = arrived {
            return Some((ttl, StopReason::Completed));
        }
        if let Some(ttl) = self.complaint_at_the_end() {
            return Some((ttl, StopReason::Unreachable));
        }
        Some((self.loop_at_the_end()?, StopReason::Loop))
    }

    /// Whether the target answered the distance probe, or one of several probes.
    fn has_target_answered(&self) -> bool {
        self.target_answered || matches!(self.distance, Some((Said::Arrived, _)))
    }

    /// The TTL of the complaint behind which nobody answered but routers that complain there or before: the last TTL at which a
    /// router complains for the first time.
    fn complaint_at_the_end(&self) -> Option<u8> {
        let mut complained: Vec<IpAddr> = Vec::new();
        let mut last_first = None;
        for (ttl, complaint) in &self.complaints {
            if !complained.contains(&complaint.by) {
                complained.push(complaint.by);
                last_first = Some(*ttl);
            }
        }
        let ttl = last_first.filter(|_| !self.has_target_answered())?;
        let behind = self
            .answers()
            .any(|(other, answer)| other > ttl && !answer.said.is_complaint());
        // The distance probe went to the highest TTL.
        let distance_behind = self.distance.is_some_and(|(said, by)| match said {
            Said::TooLarge | Said::Complaint => !complained.contains(&by),
            Said::Expired | Said::Arrived => true,
        });
        (!behind && !distance_behind).then_some(ttl)
    }

    /// The TTL at which an address came back for good: the gap limit's TTLs behind it were probed and brought no new address. Not
    /// looked for while the target is expected at a known distance.
    fn loop_at_the_end(&self) -> Option<u8> {
        if self.hint.is_some_and(|hint| !self.is_settled(hint.ttl)) {
            return None;
        }
        let back = self.goes_round_from()?;
        let mut left = self.gap_limit;
        let mut ttl = back;
        while left > 0 {
            ttl = ttl.checked_add(1)?;
            match self.slot(ttl)? {
                Slot::Answered(_) | Slot::Silent => left -= 1,
                Slot::Skipped => {}
                Slot::InFlight { .. } | Slot::TryAgain { .. } => return None,
            }
        }
        Some(back)
    }

    /// The lowest TTL at which an address comes back that answered two or more TTLs before, if no new address has answered since.
    /// If the target, or somebody new, answered the distance probe, the path gets away.
    pub(super) fn goes_round_from(&self) -> Option<u8> {
        let ttl = self.came_back()?;
        let gets_away = self.distance.is_some_and(|(said, by)| {
            let known = self.answers().any(|(_, answer)| answer.responder == by);
            said != Said::TooLarge && !known
        });
        (!gets_away && !self.has_target_answered()).then_some(ttl)
    }

    fn came_back(&self) -> Option<u8> {
        let mut back = None;
        for (ttl, answer) in self.answers() {
            if answer.said == Said::TooLarge {
                continue;
            }
            let earlier = self
                .answers()
                .take_while(|(earlier, _)| *earlier < ttl)
                .find(|(_, earlier)| {
                    earlier.said != Said::TooLarge && earlier.responder == answer.responder
                });
            match earlier {
                None => back = None,
                Some((first, _)) if first + 2 <= ttl && !answer.said.is_complaint() => {
                    back = back.or(Some(ttl));
                }
                Some(_) => {}
            }
        }
        back
    }

    /// The highest TTL at which somebody answered as its hop: everybody but a router that calls the probe too large, or that
    /// complains and stands before.
    pub(super) fn last_hop(&self) -> Option<u8> {
        self.answers()
            .filter(|(ttl, answer)| match answer.said {
                Said::TooLarge => false,
                Said::Complaint => !self.is_complaint_from_before(*ttl),
                Said::Expired | Said::Arrived => true,
            })
            .last()
            .map(|(ttl, _)| ttl)
    }

    /// Whether the answer at `ttl` tells nothing of that hop: a complaint of a router that stands before it.
    pub(super) fn is_complaint_from_before(&self, ttl: u8) -> bool {
        let Some(Slot::Answered(answer)) = self.slot(ttl) else {
            return false;
        };
        let stands_before = self
            .answers()
            .any(|(other, earlier)| other < ttl && earlier.responder == answer.responder);
        answer.said.is_complaint() && stands_before
    }
}
