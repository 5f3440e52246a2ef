//! Which items of a sweep were answered, and where the holes are. It is kept only for a second pass.
//!
//! Memory: 2 bits an item.

use super::SweepItems;
use crate::model::{FlowId, TargetId, Ttl};
use crate::strategy::{Finished, Hole};

/// The answers to the items of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    answered: Finished,
    /// Items that the target itself answered.
    arrived: Finished,
}

impl Answers {
    /// No answers to `items` items yet.
    pub fn new(items: u64) -> Self {
        Answers {
            answered: Finished::new(items),
            arrived: Finished::new(items),
        }
    }

    /// Answers to the items of `finished`, from routers. So these items are no holes.
    pub fn to(finished: &Finished) -> Self {
        Answers {
            answered: finished.clone(),
            arrived: Finished::new(finished.items()),
        }
    }

    /// Notes an answer to an item. `arrived`: the answer shows that the probe reached the end of the path.
    pub fn note(&mut self, item: u64, arrived: bool) {
        self.answered.insert(item);
        if arrived {
            self.arrived.insert(item);
        }
    }

    /// The holes of a flow: the TTLs without an answer below the lowest TTL that reached the target. If no probe did, those below
    /// the highest TTL with an answer.
    pub(super) fn holes(
        &self,
        items: SweepItems,
        (target, flow): (TargetId, FlowId),
    ) -> impl Iterator<Item = Hole> {
        let is = move |set: &Finished, ttl: u8| {
            let item = items.item(target, flow, Ttl(ttl));
            item.is_some_and(|item| set.contains(item))
        };
        let ttls = items.first_ttl().0..=items.max_ttl().0;
        let reached = ttls.clone().find(|ttl| is(&self.arrived, *ttl));
        let highest = || ttls.clone().rev().find(|ttl| is(&self.answered, *ttl));
        let end = reached.or_else(highest).unwrap_or(0);
        let silent = (items.first_ttl().0..end).filter(move |ttl| !is(&self.answered, *ttl));
        silent.map(move |ttl| Hole {
            target,
            flow,
            ttl: Ttl(ttl),
        })
    }
}
