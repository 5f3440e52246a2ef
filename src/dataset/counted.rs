//! The figures of a run that its rows determine.

use std::net::IpAddr;

use super::Totals;
use super::addresses::AddressSet;
use super::recent::Recent;
use crate::model::{HopRecord, Statistics, TraceRecord};

/// Counts of the rows in the files of a run. The manifest takes them from here, so they always agree with the parts that it lists.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Probes, replies and anomalies.
    pub statistics: Statistics,
    /// Traces.
    pub traces_ended: u64,
    /// Traces whose target replied.
    pub traces_reached: u64,
    responders: AddressSet,
}

impl Counted {
    /// Adds the counts of further rows.
    pub(super) fn add(&mut self, rows: &RowCounts) {
        self.statistics.merge(&rows.statistics);
        self.traces_ended += rows.traces_ended;
        self.traces_reached += rows.traces_reached;
        self.responders.extend(rows.responders.iter().copied());
    }

    /// The counts of a run that goes on.
    pub(super) fn resumed(totals: Totals, responders: AddressSet) -> Self {
        Counted {
            statistics: totals.statistics,
            traces_ended: totals.traces_ended,
            traces_reached: totals.traces_reached,
            responders,
        }
    }

    /// Adds counts of other rows.
    pub(super) fn merge(&mut self, other: &Counted) {
        self.statistics.merge(&other.statistics);
        self.traces_ended += other.traces_ended;
        self.traces_reached += other.traces_reached;
        self.responders.merge(&other.responders);
    }

    /// The totals of these rows and of `other` together. Copies no addresses: there may be millions.
    pub(super) fn totals_with(&self, other: &Counted) -> Totals {
        let mut statistics = self.statistics.clone();
        statistics.merge(&other.statistics);
        Totals {
            statistics,
            traces_ended: self.traces_ended + other.traces_ended,
            traces_reached: self.traces_reached + other.traces_reached,
            distinct_responders: self.responders.union_len(&other.responders),
        }
    }

    /// The number of addresses that replied.
    pub fn distinct_responders(&self) -> u64 {
        self.responders.len()
    }
}

/// Counts of the rows in a buffer. They are taken when a row is added, while the row is still in a core's cache.
#[derive(Debug)]
pub struct RowCounts {
    statistics: Statistics,
    traces_ended: u64,
    traces_reached: u64,
    /// Every address that replied, some of them more than once.
    responders: Vec<IpAddr>,
    /// Addresses that are in `responders`.
    recent: Recent<()>,
}

/// Addresses that are listed once only. These are the routers that the traces of a part share.
const RECENT_RESPONDERS: usize = 4096;

impl Default for RowCounts {
    fn default() -> Self {
        RowCounts {
            statistics: Statistics::default(),
            traces_ended: 0,
            traces_reached: 0,
            responders: Vec::new(),
            recent: Recent::new(RECENT_RESPONDERS),
        }
    }
}

impl RowCounts {
    /// Counts a row of `hops`.
    #[inline]
    pub(super) fn hop(&mut self, row: &HopRecord) {
        self.statistics.count(row);
        if let Some(reply) = &row.reply {
            let responder = reply.responder;
            self.recent
                .value(responder, || self.responders.push(responder));
        }
    }

    /// Counts a row of `traces`.
    pub(super) fn trace(&mut self, row: &TraceRecord) {
        self.statistics.count_trace(row);
        self.traces_ended += 1;
        self.traces_reached += u64::from(row.reached);
    }

    /// The memory of the list of addresses in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.responders.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::rows;

    #[test]
    fn totals_of_two_counts_are_those_of_their_sum() {
        let counted = |targets: std::ops::Range<u32>| {
            let mut counts = RowCounts::default();
            for target in targets {
                let (hops, trace) = rows::trace(target);
                hops.iter().for_each(|row| counts.hop(row));
                counts.trace(&trace);
            }
            let mut counted = Counted::default();
            counted.add(&counts);
            counted
        };
        // They share targets, and so responders.
        let (one, other) = (counted(0..20), counted(15..40));
        let mut sum = one.clone();
        sum.merge(&other);
        assert!(
            sum.distinct_responders() < one.distinct_responders() + other.distinct_responders()
        );
        assert_eq!(one.totals_with(&other), Totals::from(&sum));
    }
}
