//! The order in which the items of a strategy are probed, and the position of a run in that order.
//!
//! An order is a keyed permutation and a place in it. Items that were started but not finished are open. The place and the open
//! items together are the [`Cursor`]. An order that is resumed from a cursor starts the open items again, then goes on.
//!
//! A [`Shard`] takes every n-th place. Several vantage points can so share one order without communication.

use std::collections::VecDeque;

use super::Permutation;

/// A part of an order: the places `index`, `index + of`, `index + 2 * of`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The number of the shard, from 0.
    pub index: u64,
    /// How many shards there are; at least 1.
    pub of: u64,
}

impl Shard {
    /// The only shard.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };
}

/// The position of a run in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// How many items there are, over all shards.
    pub items: u64,
    /// The seed of the permutation.
    pub seed: u64,
    /// The shard.
    pub shard: Shard,
    /// The next place that was not started.
    pub place: u64,
    /// The places that were started and not finished, ascending.
    pub open: Vec<u64>,
}

/// A keyed order over items, and the position in it.
#[derive(Debug)]
pub struct Order {
    permutation: Permutation,
    seed: u64,
    shard: Shard,
    /// The next place to start.
    place: u64,
    /// Places that an earlier session left open. They are started first.
    again: VecDeque<u64>,
    /// The place of the first element of `started`.
    oldest: u64,
    /// Whether each place of the shard from `oldest` on is open.
    started: VecDeque<bool>,
    finished: u64,
    stopped: bool,
}

impl Order {
    /// The order of `items` that `seed` gives, or one shard of it.
    pub fn new(items: u64, seed: u64, shard: Shard) -> Self {
        let shard = Shard {
            of: shard.of.max(1),
            ..shard
        };
        Order {
            permutation: Permutation::new(items, seed),
            seed,
            shard,
            place: shard.index,
            again: VecDeque::new(),
            oldest: shard.index,
            started: VecDeque::new(),
            finished: 0,
            stopped: false,
        }
    }

    /// The order at the position `cursor`.
    pub fn resume(cursor: &Cursor) -> Self {
        let mut order = Order::new(cursor.items, cursor.seed, cursor.shard);
        let oldest = cursor.open.first().map_or(cursor.place, |open| *open);
        order.place = cursor.place;
        order.oldest = oldest;
        order.again = cursor.open.iter().copied().collect();
        let places = (cursor.place.saturating_sub(oldest)) / order.shard.of;
        order.started = (0..places)
            .map(|at| {
                cursor
                    .open
                    .binary_search(&(oldest + at * order.shard.of))
                    .is_ok()
            })
            .collect();
        let started = cursor.place.saturating_sub(order.shard.index) / order.shard.of;
        order.finished = started.saturating_sub(cursor.open.len() as u64);
        order
    }

    /// Starts and returns the next item. `None` if every item has been started, or if the order was stopped.
    pub fn start(&mut self) -> Option<u64> {
        if self.stopped {
            return None;
        }
        if let Some(place) = self.again.pop_front() {
            return self.permutation.get(place);
        }
        let item = self.permutation.get(self.place)?;
        self.place += self.shard.of;
        self.started.push_back(true);
        Some(item)
    }

    /// Marks a started item as finished.
    pub fn finish(&mut self, item: u64) {
        let Some(place) = self.permutation.place_of(item) else {
            return;
        };
        // An item of another shard.
        if place % self.shard.of != self.shard.index {
            return;
        }
        let at = place
            .checked_sub(self.oldest)
            .map(|behind| behind / self.shard.of);
        let open = at.and_then(|at| self.started.get_mut(usize::try_from(at).ok()?));
        let Some(open) = open.filter(|open| **open) else {
            return;
        };
        *open = false;
        self.finished += 1;
        while self.started.front() == Some(&false) {
            self.started.pop_front();
            self.oldest += self.shard.of;
        }
    }

    /// Starts no further item. The cursor does not change.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// The current position.
    pub fn cursor(&self) -> Cursor {
        let places = (0u64..).map(|at| self.oldest + at * self.shard.of);
        let open = places.zip(&self.started).filter(|(_, open)| **open);
        Cursor {
            items: self.permutation.len(),
            seed: self.seed,
            shard: self.shard,
            place: self.place,
            open: open.map(|(place, _)| place).collect(),
        }
    }

    /// How many items have been started, and how many of these are finished.
    pub fn progress(&self) -> (u64, u64) {
        let started = self.place.saturating_sub(self.shard.index) / self.shard.of;
        (started - self.again.len() as u64, self.finished)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(order: &mut Order) -> Vec<u64> {
        std::iter::from_fn(|| order.start()).collect()
    }

    #[test]
    fn shards_share_the_items_out() {
        for (items, of) in [(1_001, 1), (1_001, 3), (10, 7), (3, 5), (0, 2)] {
            let mut seen = BTreeSet::new();
            for index in 0..of {
                for item in all(&mut Order::new(items, 5, Shard { index, of })) {
                    assert!(
                        seen.insert(item),
                        "{item} twice, {items} items, {of} shards"
                    );
                }
            }
            assert_eq!(seen.len() as u64, items);
        }
    }

    #[test]
    fn a_resumed_order_starts_what_was_open_and_then_the_rest() {
        for of in [1, 3] {
            let shard = Shard { index: of - 1, of };
            let whole = all(&mut Order::new(500, 9, shard));
            let mut order = Order::new(500, 9, shard);
            let begun: Vec<u64> = (0..100).filter_map(|_| order.start()).collect();
            let open: BTreeSet<u64> = [3, 4, 50, 99].map(|at| begun[at]).into();
            for item in begun.iter().filter(|item| !open.contains(item)) {
                order.finish(*item);
                order.finish(*item);
            }
            assert_eq!(order.progress(), (100, 96));
            order.stop();
            assert_eq!(order.start(), None);
            let cursor = order.cursor();
            assert_eq!(cursor.open.len(), 4);
            let mut resumed = Order::resume(&cursor);
            assert_eq!(resumed.cursor(), cursor);
            assert_eq!(resumed.progress(), (96, 96));
            let rest = all(&mut resumed);
            assert_eq!(rest[..4].iter().copied().collect::<BTreeSet<_>>(), open);
            assert_eq!(rest[4..], whole[100..]);
            rest.iter().for_each(|item| resumed.finish(*item));
            assert_eq!(resumed.cursor().open, [0; 0]);
            assert_eq!(resumed.progress().1, whole.len() as u64);
        }
    }

    #[test]
    fn what_is_finished_costs_no_memory() {
        let mut order = Order::new(1_000_003, 2, Shard::WHOLE);
        while let Some(item) = order.start() {
            order.finish(item);
            assert!(order.started.len() <= 1);
        }
        assert_eq!(order.progress(), (1_000_003, 1_000_003));
    }
}
