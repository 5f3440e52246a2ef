//! Deliveries that are not due yet.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::lab::Delivery;
use crate::model::Time;

/// Deliveries in the order of their times. Deliveries with the same time keep the order in which they were added.
#[derive(Default)]
pub(super) struct Schedule {
    waiting: BinaryHeap<Entry>,
    arrivals: u64,
}

struct Entry {
    at: Time,
    arrival: u64,
    packet: Vec<u8>,
}

impl Schedule {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        self.waiting.push(Entry {
            at: delivery.at,
            arrival: self.arrivals,
            packet: delivery.packet,
        });
        self.arrivals += 1;
    }

    /// The time at which the next delivery is due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.waiting.peek().map(|entry| entry.at)
    }

    /// Removes and returns the next delivery if it is due at `now`.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Delivery> {
        if self.next_due()? > now {
            return None;
        }
        self.waiting.pop().map(|entry| Delivery {
            at: entry.at,
            packet: entry.packet,
        })
    }
}

impl Ord for Entry {
    /// The heap returns its greatest element first. That must be the earliest delivery.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.arrival).cmp(&(self.at, self.arrival))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_come_in_the_order_of_time_then_of_arrival() {
        let mut schedule = Schedule::default();
        for (nanos, name) in [(30, 0), (10, 1), (20, 2), (10, 3), (20, 4)] {
            schedule.push(Delivery {
                at: Time::from_nanos(nanos),
                packet: vec![name],
            });
        }
        let mut due = |nanos| {
            std::iter::from_fn(|| schedule.pop_due(Time::from_nanos(nanos)))
                .map(|delivery| delivery.packet[0])
                .collect::<Vec<_>>()
        };
        assert!(due(9).is_empty());
        assert_eq!(due(20), [1, 3, 2, 4]);
        assert_eq!(due(30), [0]);
        assert_eq!(schedule.len(), 0);
    }
}
