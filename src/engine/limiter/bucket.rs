//! Token buckets without a clock, and a map that forgets those that are full again.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::model::Time;

/// How long a bucket that nobody uses is kept, at least. It is forgotten within twice this time.
const KEPT: Duration = Duration::from_secs(5);

/// What a bucket lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pour {
    /// One token comes back in this time.
    pub interval: Duration,
    /// How many tokens a full bucket holds; at least 1.
    pub burst: u32,
}

/// A bucket, as the moment from which on it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full_at: Time,
}

impl Bucket {
    /// The earliest moment, not before `now`, at which there is a token.
    pub fn earliest(&self, now: Time, pour: Pour) -> Time {
        let debt_allowed = pour.interval * (pour.burst.max(1) - 1);
        now.max(self.full_at.before(debt_allowed))
    }

    /// Takes the token of the moment `at`.
    pub fn take(&mut self, at: Time, pour: Pour) {
        self.full_at = self.full_at.max(at) + pour.interval;
    }

    /// Whether it is as good as a new one.
    pub fn is_full(&self, now: Time) -> bool {
        self.full_at <= now
    }
}

/// Values by key, for keys that were used lately. A value that [may be forgotten](Recent::turn) is, 5 to 10 s after its last use.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    turn_at: Time,
}

impl<K: Hash + Eq + Copy, V: Default> Recent<K, V> {
    pub fn new() -> Self {
        Recent {
            young: HashMap::new(),
            old: HashMap::new(),
            turn_at: Time::default(),
        }
    }

    /// Returns the value of `key`. Adds a new one if the key is unknown.
    pub fn get(&mut self, key: K) -> &mut V {
        self.young
            .entry(key)
            .or_insert_with(|| self.old.remove(&key).unwrap_or_default())
    }

    /// The value of `key`, if there is one.
    pub fn known(&mut self, key: K) -> Option<&mut V> {
        match self.young.contains_key(&key) {
            true => self.young.get_mut(&key),
            false => self.old.get_mut(&key),
        }
    }

    /// Forgets what was not used lately. `may_forget`: whether a value is worth no more than a new one.
    pub fn turn(&mut self, now: Time, may_forget: impl Fn(&V) -> bool) {
        if now < self.turn_at {
            return;
        }
        self.turn_at = now + KEPT;
        let old = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        let kept = old.into_iter().filter(|(_, value)| !may_forget(value));
        self.young.extend(kept);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_nanos(1 << 60);
    const POUR: Pour = Pour {
        interval: Duration::from_millis(1_050),
        burst: 5,
    };

    fn reserve(bucket: &mut Bucket, now: Time) -> Time {
        let at = bucket.earliest(now, POUR);
        bucket.take(at, POUR);
        at
    }

    #[test]
    fn five_at_once_then_one_an_interval() {
        let mut bucket = Bucket::default();
        let times: Vec<Duration> = (0..8)
            .map(|_| reserve(&mut bucket, START).since(START))
            .collect();
        let expected: Vec<Duration> = [0, 0, 0, 0, 0, 1_050, 2_100, 3_150]
            .map(Duration::from_millis)
            .into();
        assert_eq!(times, expected);
    }

    #[test]
    fn the_allowance_comes_back_with_time_but_never_grows_beyond_the_burst() {
        let mut bucket = Bucket::default();
        for _ in 0..5 {
            reserve(&mut bucket, START);
        }
        let later = START + Duration::from_secs(3_600);
        assert!(bucket.is_full(later));
        let times: Vec<Time> = (0..6).map(|_| reserve(&mut bucket, later)).collect();
        assert!(times[..5].iter().all(|time| *time == later));
        assert_eq!(times[5], later + POUR.interval);
    }

    #[test]
    fn what_was_not_used_for_ten_seconds_is_forgotten_unless_it_is_owed_something() {
        let mut recent: Recent<u32, Bucket> = Recent::new();
        let at = |second: u64| START + Duration::from_secs(second);
        for key in 0..100 {
            recent.turn(at(0), |bucket| bucket.is_full(at(0)));
            recent.get(key).take(at(0), POUR);
        }
        // This one has a debt of 21 s.
        (0..20).for_each(|_| recent.get(7).take(at(0), POUR));
        for second in 1..=10 {
            recent.turn(at(second), |bucket| bucket.is_full(at(second)));
            recent.get(8);
        }
        assert_eq!(recent.len(), 2);
        assert!(!recent.known(7).expect("kept").is_full(at(10)));
        for second in 11..=40 {
            recent.turn(at(second), |bucket| bucket.is_full(at(second)));
        }
        assert_eq!(recent.len(), 0);
    }
}
