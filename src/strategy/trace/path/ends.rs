//! Decides where a path ends.
//!
//! | answer | ends the path |
//! |---|---|
//! | arrival | at the lowest TTL that has one |
//! | complaint of a router | at its TTL, unless the target or a hop at a higher TTL has answered |
//! | TTL exceeded | never by itself; a loop ends it if `gap limit` TTLs beyond it brought no new address |
//! | none, the probe was skipped | never: the TTL counts neither as silent nor as one without a new address |
//!
//! An arrival shows that the probe reached the target. A complaint says that a router dropped the probe for another reason than
//! its TTL.
//!
//! - After a complaint no TTL beyond it is probed.
//! - Probes that are already pending beyond it are waited for. Their answers may show that the path continues.
//! - Complaints of the same router at higher TTLs do not show that.
//! - If a path continued beyond a router's complaint, that router's complaints at higher TTLs are ignored. They are neither an
//!   end nor an answer of that hop.

use std::net::IpAddr;

use super::{Path, Slot};
use crate::model::{Said, StopReason};

/// A complaint of a router on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub by: IpAddr,
    /// The size of the probe that reached the router, in bytes. `None` if the complaint is about the size.
    pub size: Option<u16>,
}

impl Path {
    /// Returns the TTL at which the path ends, and the reason. The target comes first, then a complaint, then a loop.
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

    /// Whether the target answered the distance probe, or one of several probes in an answer that does not identify it.
    fn has_target_answered(&self) -> bool {
        self.target_answered || matches!(self.distance, Some((Said::Arrived, _)))
    }

    /// The TTL of the complaint that ends the path: the last TTL at which a router complains for the first time. `None` if the
    /// target has answered, or if an answer beyond that TTL is not such a complaint.
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
        // The distance probe had the maximum TTL, so its answer counts as one from beyond.
        let distance_behind = self.distance.is_some_and(|(said, by)| match said {
            Said::TooLarge | Said::Complaint => !complained.contains(&by),
            Said::Expired | Said::Arrived => true,
        });
        (!behind && !distance_behind).then_some(ttl)
    }

    /// The TTL of the loop that ends the path. An address repeats there, and `gap limit` TTLs beyond it brought no new address.
    /// `None` as long as the target is expected at a known distance that is not settled yet.
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

    /// The TTL at which a loop seems to start: the lowest TTL with an address that answered two or more TTLs before. `None` in
    /// each of these cases:
    /// - a new address has answered at a higher TTL,
    /// - the target has answered,
    /// - an address that is not among the hops answered the distance probe.
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

    /// The highest TTL with an answer from the hop itself. Two kinds of answers do not count: "too large", and the complaint of
    /// a router that also answered at a lower TTL.
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

    /// Whether the answer at `ttl` is a complaint of a router that also answered at a lower TTL. Such an answer does not show
    /// that hop.
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
