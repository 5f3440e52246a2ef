//! Probes hops that have answered again, if more than one answer per hop is wanted.

use std::collections::{BTreeMap, VecDeque};

/// The hops to probe again.
#[derive(Debug)]
pub struct Repeats {
    answers_wanted: u8,
    /// Answers by TTL.
    answers: BTreeMap<u8, u8>,
    /// TTL and attempt, in the order of the outcomes.
    waiting: VecDeque<(u8, u8)>,
}

impl Repeats {
    /// Wants `answers_wanted` answers per hop.
    pub fn new(answers_wanted: u8) -> Self {
        Repeats {
            answers_wanted,
            answers: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Records that `attempt` at `ttl` was answered. Asks again if more answers are wanted.
    /// `last_attempt` is the last attempt before a hop's first answer. Each further answer wanted allows one attempt more.
    pub fn answered(&mut self, ttl: u8, attempt: u8, last_attempt: u8) {
        if self.answers_wanted <= 1 {
            return;
        }
        let answers = self.answers.entry(ttl).or_default();
        *answers = answers.saturating_add(1);
        if *answers < self.answers_wanted {
            self.ask_again(ttl, attempt, last_attempt);
        }
    }

    /// Records that `attempt` at `ttl` was not answered. Asks again if the hop has answered before.
    pub fn silent(&mut self, ttl: u8, attempt: u8, last_attempt: u8) {
        if self.answers.contains_key(&ttl) {
            self.ask_again(ttl, attempt, last_attempt);
        }
    }

    fn ask_again(&mut self, ttl: u8, attempt: u8, last_attempt: u8) {
        if attempt < last_attempt.saturating_add(self.answers_wanted - 1) {
            self.waiting.push_back((ttl, attempt + 1));
        }
    }

    /// Removes and returns the next hop to probe, and the attempt. Drops hops beyond `last`.
    pub fn take(&mut self, last: u8) -> Option<(u8, u8)> {
        self.waiting.retain(|(ttl, _)| *ttl <= last);
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_asked_until_it_has_answered_often_enough() {
        let mut repeats = Repeats::new(3);
        repeats.answered(4, 1, 2);
        assert_eq!(repeats.take(32), Some((4, 2)));
        repeats.answered(4, 2, 2);
        assert_eq!(repeats.take(32), Some((4, 3)));
        repeats.answered(4, 3, 2);
        assert_eq!(repeats.take(32), None);
    }

    #[test]
    fn silences_are_tried_again_and_given_up() {
        let mut repeats = Repeats::new(2);
        repeats.silent(4, 1, 2);
        assert_eq!(repeats.take(32), None, "it has never answered");
        repeats.answered(4, 1, 2);
        assert_eq!(repeats.take(32), Some((4, 2)));
        repeats.silent(4, 2, 2);
        assert_eq!(repeats.take(32), Some((4, 3)));
        repeats.silent(4, 3, 2);
        assert_eq!(repeats.take(32), None);
    }

    #[test]
    fn one_answer_is_enough_by_default_and_nothing_behind_the_end_is_asked() {
        let mut one = Repeats::new(1);
        one.answered(4, 1, 2);
        assert_eq!(one.take(32), None);
        let mut repeats = Repeats::new(2);
        repeats.answered(9, 1, 2);
        repeats.answered(3, 1, 2);
        assert_eq!(repeats.take(5), Some((3, 2)));
        assert_eq!(repeats.take(32), None);
    }
}
