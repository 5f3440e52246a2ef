//! The figures of a run that its written rows determine.

use std::any::Any;
use std::collections::HashSet;
use std::net::IpAddr;

use crate::dataset::table::{Buffer, Rows};
use crate::dataset::tables::{Hops, Traces};
use crate::model::Statistics;

/// Counts of the rows in the files of a run. The manifest takes them from here, so they always agree with the parts that it lists.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Probes, replies and anomalies.
    pub statistics: Statistics,
    /// Traces.
    pub traces_ended: u64,
    /// Traces whose target replied.
    pub traces_reached: u64,
    responders: HashSet<IpAddr>,
}

impl Counted {
    /// Counts the rows of a buffer.
    pub(in crate::dataset) fn add(&mut self, rows: &dyn Rows) {
        let rows: &dyn Any = rows;
        if let Some(hops) = rows.downcast_ref::<Buffer<Hops>>() {
            for row in hops.rows() {
                self.statistics.count(row);
                let responder = row.reply.as_ref().map(|reply| reply.responder);
                self.responders.extend(responder);
            }
        } else if let Some(traces) = rows.downcast_ref::<Buffer<Traces>>() {
            for row in traces.rows() {
                self.statistics.count_trace(row);
                self.traces_ended += 1;
                self.traces_reached += u64::from(row.reached);
            }
        }
    }

    /// The number of addresses that replied.
    pub fn distinct_responders(&self) -> usize {
        self.responders.len()
    }
}
