//! Probes that this machine could not send: whether so many that the run is incomplete.
//!
//! A run is incomplete if more than 1% of its probes could not be sent, or if more than 1% of its traces ended for that reason, ten at least. A trace ends at
//! its first probe that cannot be sent, and other traces have many probes. So a share of targets is lost in a much smaller share of probes.
//! Targets without a route at the start count in neither number.
//!
//! | send error | counts |
//! |---|---|
//! | no route, a refusing route, or no source address, and the target had none at the start either | no |
//! | the same, for a target that had a route at the start | yes |
//! | `host_unreachable`, `neighbour_table_full`, `neighbour_queue_full`: the target or the next hop does not answer | no |
//! | `too_large`: the user chose the size | no |
//! | everything else: the interface went or is down, a firewall rule, a full queue, memory, other errors | yes |
//!
//! The route of every target is looked up at the start, or of 1,048,576 targets that are evenly spread. A target in between is taken to be
//! like the one before it.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use crate::model::{
    HopRecord, Status, StopReason, TargetId, Targets, TraceId, TraceRecord, UnsentReason,
};

use super::summary::grouped;

/// The most targets whose route is looked up.
const MOST_LOOK_UPS: u32 = 1 << 20;
/// The run is incomplete if more than one probe or one trace in so many counts.
const SHARE: u64 = 100;
/// Fewer traces than this are no outage, whatever their share: in a small run, a single probe may be kept back by chance.
const FEWEST_TRACES: u64 = 10;

/// Targets without a route, as a list of changes: the first target of each stretch, and whether its targets lack one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Routeless(Vec<(u32, bool)>);

impl Routeless {
    /// Asks `refusal` for each target.
    pub fn look_up(
        targets: &dyn Targets,
        mut refusal: impl FnMut(IpAddr) -> Option<UnsentReason>,
    ) -> Self {
        let step = targets.len().div_ceil(MOST_LOOK_UPS).max(1);
        let mut stretches: Vec<(u32, bool)> = Vec::new();
        for target in (0..targets.len()).step_by(step as usize) {
            let lacks = refusal(targets.address(TargetId(target))).is_some();
            if stretches
                .last()
                .map_or(lacks, |(_, before)| *before != lacks)
            {
                stretches.push((target, lacks));
            }
        }
        Routeless(stretches)
    }

    fn contains(&self, target: u64) -> bool {
        let after = self
            .0
            .partition_point(|(first, _)| u64::from(*first) <= target);
        after.checked_sub(1).is_some_and(|at| self.0[at].1)
    }
}

/// Counts the probes of a run that could not be sent.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    routeless: Routeless,
    flows: u64,
    probes: u64,
    failed: BTreeMap<UnsentReason, u64>,
    traces: u64,
    failed_traces: u64,
    /// Traces with a probe that counts, whose own row is still to come.
    open: HashSet<TraceId>,
}

impl Outage {
    /// Counts in a run with so many flows per target.
    pub fn new(routeless: Routeless, flows: u16) -> Self {
        Outage {
            routeless,
            flows: u64::from(flows.max(1)),
            probes: 0,
            failed: BTreeMap::new(),
            traces: 0,
            failed_traces: 0,
            open: HashSet::new(),
        }
    }

    /// Counts a finished row.
    pub fn count(&mut self, row: &HopRecord) {
        if row.reply_index > 0 || row.status == Status::Inferred {
            return;
        }
        let reason = row.reason.filter(|_| row.status == Status::SendError);
        let Some(reason) = reason else {
            self.probes += 1;
            return;
        };
        if is_of_routes(reason) && self.lacks_route(row.trace_id) {
            return;
        }
        self.probes += 1;
        if counts(reason) {
            *self.failed.entry(reason).or_default() += 1;
            self.open.insert(row.trace_id);
        }
    }

    /// Counts a finished trace. Its rows must have been counted, and no row of it comes later.
    pub fn count_trace(&mut self, trace: &TraceRecord) {
        let ended_by_it = trace.stop_reason == StopReason::Error;
        let failed = self.open.remove(&trace.trace_id) && ended_by_it;
        if failed || !ended_by_it || !self.lacks_route(trace.trace_id) {
            self.traces += 1;
        }
        self.failed_traces += u64::from(failed);
    }

    /// Forgets the traces whose rows were all counted. A strategy without traces never counts one.
    pub fn forget_open(&mut self) {
        self.open.clear();
    }

    /// Whether the target of a trace had no route at the start.
    fn lacks_route(&self, trace: TraceId) -> bool {
        self.routeless.contains(trace.0 / self.flows)
    }

    /// Why the run is incomplete; `None` if it is not.
    pub fn verdict(&self) -> Option<String> {
        let failed: u64 = self.failed.values().sum();
        let reasons: Vec<String> = self
            .failed
            .iter()
            .map(|(reason, count)| format!("{} {}", grouped(*count), reason.text()))
            .collect();
        let reasons = reasons.join(", ");
        let of_traces = || {
            let share = share(self.failed_traces, self.traces, "traces");
            format!("{share} ended because a probe could not be sent ({reasons})")
        };
        let of_probes = || {
            let share = share(failed, self.probes, "probes");
            format!("{share} could not be sent ({reasons})")
        };
        let what = if failed * SHARE > self.probes {
            of_probes()
        } else if self.failed_traces >= FEWEST_TRACES && self.failed_traces * SHARE > self.traces {
            of_traces()
        } else {
            return None;
        };
        Some(format!(
            "{what}: an interface, a route or a rule of this machine was in the way"
        ))
    }
}

/// A part of all things of a kind, with the share in percent.
fn share(part: u64, all: u64, kind: &str) -> String {
    let percent = part as f64 * 100.0 / all as f64;
    let (part, all) = (grouped(part), grouped(all));
    format!("{part} of {all} {kind} ({percent:.1}%)")
}

/// Whether the reason is one that targets without a route have as well.
fn is_of_routes(reason: UnsentReason) -> bool {
    matches!(
        reason,
        UnsentReason::NoRoute
            | UnsentReason::Prohibited
            | UnsentReason::Invalid
            | UnsentReason::NoSourceAddress
    )
}

/// Whether a probe that this reason kept back counts. See the table above.
fn counts(reason: UnsentReason) -> bool {
    !matches!(
        reason,
        UnsentReason::HostUnreachable
            | UnsentReason::NeighbourTableFull
            | UnsentReason::NeighbourQueueFull
            | UnsentReason::TooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::rows;
    use crate::model::Consecutive;

    fn lacking(wanted: &[u32], len: u32) -> Routeless {
        let targets = Consecutive {
            first: [10, 0, 0, 0].into(),
            len,
        };
        Routeless::look_up(&targets, |address| {
            let IpAddr::V4(address) = address else {
                panic!("IPv6")
            };
            let target = u32::from(address) - 0x0a00_0000;
            wanted.contains(&target).then_some(UnsentReason::NoRoute)
        })
    }

    #[test]
    fn a_target_without_a_route_is_told_from_its_neighbours() {
        let wanted = [0, 3, 4, 99];
        let routeless = lacking(&wanted, 100);
        for target in 0..100 {
            let expected = wanted.contains(&target);
            assert_eq!(routeless.contains(target.into()), expected, "{target}");
        }
        assert_eq!(lacking(&[], 100), Routeless::default());
    }

    #[test]
    fn many_targets_take_a_bounded_number_of_look_ups() {
        let targets = Consecutive {
            first: [10, 0, 0, 0].into(),
            len: 3_000_000,
        };
        let mut asked = 0;
        let routeless = Routeless::look_up(&targets, |_| {
            asked += 1;
            Some(UnsentReason::NoRoute)
        });
        assert!(asked <= MOST_LOOK_UPS, "{asked}");
        assert!(routeless.contains(0) && routeless.contains(2_999_999));
    }

    /// Rows and traces of targets from 0 on, one trace each: `whole` with 16 answered probes, then `failed` that ended at their first probe.
    fn run(whole: u32, failed: u32, reason: UnsentReason, routeless: Routeless) -> Outage {
        let mut outage = Outage::new(routeless, 1);
        for target in 0..whole + failed {
            let (mut hops, mut trace) = rows::trace(target);
            if target >= whole {
                hops.truncate(1);
                hops[0].status = Status::SendError;
                hops[0].reason = Some(reason);
                hops[0].reply = None;
                trace.stop_reason = StopReason::Error;
            }
            hops.iter().for_each(|row| outage.count(row));
            outage.count_trace(&trace);
            outage.forget_open();
        }
        outage
    }

    fn told(outage: &Outage) -> String {
        outage.verdict().unwrap_or_default()
    }

    #[test]
    fn more_than_one_probe_in_a_hundred_makes_a_run_incomplete() {
        let none = || lacking(&[], 9);
        let lost = |failed| run(1, failed, UnsentReason::NoInterface, none());
        assert_eq!(lost(0).verdict(), None);
        let told = told(&lost(1));
        assert!(
            told.starts_with("1 of 17 probes (5.9%) could not be sent (1 no_interface)"),
            "{told}"
        );
    }

    #[test]
    fn more_than_one_trace_in_a_hundred_makes_a_run_incomplete() {
        let lost = |whole, failed| run(whole, failed, UnsentReason::NoInterface, lacking(&[], 9));
        // 10 of 1,000 traces.
        assert_eq!(lost(990, 10).verdict(), None);
        // 11 of 1,001 traces, but only 11 of 15,851 probes.
        let told = told(&lost(990, 11));
        assert!(
            told.starts_with("11 of 1,001 traces (1.1%) ended because a probe could not be sent"),
            "{told}"
        );
        // A few traces of a small run.
        assert_eq!(lost(90, 9).verdict(), None);
    }

    #[test]
    fn routes_that_were_never_there_and_silent_next_hops_do_not_count() {
        let routes = [
            UnsentReason::NoRoute,
            UnsentReason::Prohibited,
            UnsentReason::Invalid,
            UnsentReason::NoSourceAddress,
        ];
        for reason in routes {
            assert_eq!(run(1, 1, reason, lacking(&[1], 9)).verdict(), None);
            assert_ne!(run(1, 1, reason, lacking(&[2], 9)).verdict(), None);
        }
        for reason in [UnsentReason::HostUnreachable, UnsentReason::TooLarge] {
            assert_eq!(run(1, 1, reason, lacking(&[], 9)).verdict(), None);
        }
    }

    #[test]
    fn targets_that_never_had_a_route_hide_no_outage() {
        let all: Vec<u32> = (0..1_000).collect();
        let mut outage = run(0, 1_000, UnsentReason::NoRoute, lacking(&all, 2_000));
        assert_eq!(outage.verdict(), None);
        let (hops, _) = rows::trace(1_500);
        let mut row = hops[0].clone();
        (row.status, row.reason) = (Status::SendError, Some(UnsentReason::NoInterface));
        outage.count(&row);
        let told = told(&outage);
        assert!(told.starts_with("1 of 1 probes (100.0%)"), "{told}");
    }
}
