//! Probes that this machine could not send: whether so many that the run is incomplete.
//!
//! | send error | counts |
//! |---|---|
//! | no route, a refusing route, or no source address, and the target had none at the start either | no |
//! | the same, for a target that had a route at the start | yes |
//! | `host_unreachable`, `neighbour_table_full`, `neighbour_queue_full`: the target or the next hop does not answer | no |
//! | `too_large`: the user chose the size | no |
//! | everything else: the interface went or is down, a firewall rule, a full queue, memory, other errors | yes |
//!
//! The route of every target is looked up at the start, or of 65,536 targets that are evenly spread. A target in between is taken to be
//! like the one before it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{HopRecord, Status, TargetId, Targets, UnsentReason};

use super::summary::grouped;

/// The most targets whose route is looked up.
const MOST_LOOK_UPS: u32 = 65_536;
/// The run is incomplete if more than one probe in so many counts.
const SHARE: u64 = 100;

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
}

impl Outage {
    /// Counts in a run with so many flows per target.
    pub fn new(routeless: Routeless, flows: u16) -> Self {
        Outage {
            routeless,
            flows: u64::from(flows.max(1)),
            probes: 0,
            failed: BTreeMap::new(),
        }
    }

    /// Counts a finished row.
    pub fn count(&mut self, row: &HopRecord) {
        if row.reply_index > 0 || row.status == Status::Inferred {
            return;
        }
        self.probes += 1;
        if let (Status::SendError, Some(reason)) = (row.status, row.reason)
            && self.counts(reason, row.trace_id.0 / self.flows)
        {
            *self.failed.entry(reason).or_default() += 1;
        }
    }

    fn counts(&self, reason: UnsentReason, target: u64) -> bool {
        match reason {
            UnsentReason::NoRoute
            | UnsentReason::Prohibited
            | UnsentReason::Invalid
            | UnsentReason::NoSourceAddress => !self.routeless.contains(target),
            UnsentReason::HostUnreachable
            | UnsentReason::NeighbourTableFull
            | UnsentReason::NeighbourQueueFull
            | UnsentReason::TooLarge => false,
            _ => true,
        }
    }

    /// Why the run is incomplete; `None` if it is not.
    pub fn verdict(&self) -> Option<String> {
        let failed: u64 = self.failed.values().sum();
        let reasons: Vec<String> = self
            .failed
            .iter()
            .map(|(reason, count)| format!("{} {}", grouped(*count), reason.text()))
            .collect();
        (failed * SHARE > self.probes).then(|| {
            format!(
                "{} of {} probes ({:.1}%) could not be sent ({}): an interface, a route or a rule of this machine was in the way",
                grouped(failed),
                grouped(self.probes),
                failed as f64 * 100.0 / self.probes as f64,
                reasons.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            len: 1_000_000,
        };
        let mut asked = 0;
        let routeless = Routeless::look_up(&targets, |_| {
            asked += 1;
            Some(UnsentReason::NoRoute)
        });
        assert!(asked <= MOST_LOOK_UPS, "{asked}");
        assert!(routeless.contains(0) && routeless.contains(999_999));
    }

    fn outage(probes: u64, failed: &[(UnsentReason, u64)], routeless: Routeless) -> Outage {
        let mut outage = Outage::new(routeless, 1);
        for (reason, count) in failed {
            if outage.counts(*reason, 7) {
                *outage.failed.entry(*reason).or_default() += count;
            }
        }
        outage.probes = probes;
        outage
    }

    #[test]
    fn more_than_one_probe_in_a_hundred_makes_a_run_incomplete() {
        let verdict = |failed| {
            outage(
                1_000,
                &[(UnsentReason::NoInterface, failed)],
                lacking(&[], 9),
            )
            .verdict()
        };
        assert_eq!(verdict(0), None);
        assert_eq!(verdict(10), None);
        let told = verdict(11).expect("a verdict");
        assert!(
            told.starts_with("11 of 1,000 probes (1.1%) could not be sent (11 no_interface)"),
            "{told}"
        );
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
            assert_eq!(outage(10, &[(reason, 9)], lacking(&[7], 9)).verdict(), None);
            assert!(
                outage(10, &[(reason, 9)], lacking(&[8], 9))
                    .verdict()
                    .is_some()
            );
        }
        for reason in [UnsentReason::HostUnreachable, UnsentReason::TooLarge] {
            assert_eq!(outage(10, &[(reason, 9)], lacking(&[], 9)).verdict(), None);
        }
    }
}
