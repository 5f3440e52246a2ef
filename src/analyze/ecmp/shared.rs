//! Diamonds over all targets: their shapes, and which of them many targets share.
//!
//! Two rows are the same diamond if they have the same divergence and the same convergence address. A diamond with a null end (silent, the
//! source, or paths that do not meet) is not known to be the same as any other, so it is counted but not shared.
//!
//! Memory: about 250 bytes for each distinct diamond, and two to four bytes for each target behind it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use roaring::RoaringBitmap;
use serde::Serialize;

use super::counts::{Bin, Histogram};
use crate::model::{BalancerType, DiamondRow};

/// A diamond that is the same for all its targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedDiamond {
    /// The node at which the paths part.
    pub divergence: IpAddr,
    /// The node at which they meet.
    pub convergence: IpAddr,
    /// The number of distinct target addresses behind it.
    pub targets: u64,
    /// The number of rows, over all runs.
    pub rows: u64,
    /// The least `max_width` of its rows.
    pub least_width: u64,
    /// The greatest `max_width` of its rows. Another width may mean that a search missed nodes, or that routes changed.
    pub most_width: u64,
    /// The greatest `max_length` of its rows.
    pub most_length: u64,
    /// The greatest `width_asymmetry` of its rows. `None` if no row has one.
    pub most_asymmetry: Option<u64>,
    /// Whether one of its rows is meshed. `None` if no row says it.
    pub meshed: Option<bool>,
    /// The types of balancer in its rows.
    pub balancers: Vec<BalancerType>,
}

/// How many diamonds there are of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiamondFigures {
    /// All rows.
    pub total: u64,
    /// Rows with a divergence and a convergence address.
    pub with_both_ends: u64,
    /// Distinct pairs of these addresses.
    pub distinct: u64,
    /// Rows by `max_width`.
    pub max_width: Vec<Bin>,
    /// Rows by `max_length`.
    pub max_length: Vec<Bin>,
    /// Rows by `width_asymmetry`, if it is known.
    pub width_asymmetry: Vec<Bin>,
    /// Rows whose asymmetry and meshing are not known: inside of per-packet balancers.
    pub unknown_shape: u64,
    /// Rows that are meshed.
    pub meshed: u64,
    /// The types of balancers.
    pub balancers: Vec<BalancerFigures>,
}

/// What stands behind balancers of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BalancerFigures {
    /// The type. `None`: not known.
    pub balancer: Option<BalancerType>,
    /// The rows of diamonds.
    pub diamonds: u64,
    /// The distinct target addresses behind one of them.
    pub targets: u64,
}

/// Counts diamonds.
#[derive(Default)]
pub(super) struct Tally {
    total: u64,
    with_both_ends: u64,
    widths: Histogram,
    lengths: Histogram,
    asymmetries: Histogram,
    unknown_shape: u64,
    meshed: u64,
    /// In the order of `BalancerType::ALL`, then those that are not known.
    balancers: [Behind; BalancerType::ALL.len() + 1],
    shared: HashMap<(IpAddr, IpAddr), Shared>,
}

#[derive(Default)]
struct Behind {
    rows: u64,
    targets: RoaringBitmap,
}

struct Shared {
    behind: Behind,
    least_width: u32,
    most_width: u32,
    most_length: u32,
    most_asymmetry: Option<u32>,
    meshed: Option<bool>,
    balancers: BTreeMap<&'static str, BalancerType>,
}

impl Behind {
    fn add(&mut self, target: u32) {
        self.rows += 1;
        self.targets.insert(target);
    }

    fn merge(&mut self, other: Behind) {
        self.rows += other.rows;
        self.targets |= other.targets;
    }
}

impl Shared {
    fn of(row: &DiamondRow) -> Self {
        let balancer = row.balancer.map(|balancer| (balancer.as_str(), balancer));
        Shared {
            behind: Behind::default(),
            least_width: row.max_width,
            most_width: row.max_width,
            most_length: row.max_length,
            most_asymmetry: row.width_asymmetry,
            meshed: row.meshed,
            balancers: balancer.into_iter().collect(),
        }
    }

    fn merge(&mut self, other: Shared) {
        self.behind.merge(other.behind);
        self.least_width = self.least_width.min(other.least_width);
        self.most_width = self.most_width.max(other.most_width);
        self.most_length = self.most_length.max(other.most_length);
        // Absent is less than present, and false is less than true.
        self.most_asymmetry = self.most_asymmetry.max(other.most_asymmetry);
        self.meshed = self.meshed.max(other.meshed);
        self.balancers.extend(other.balancers);
    }
}

impl Tally {
    /// Counts a diamond of the target with this number.
    pub(super) fn add(&mut self, target: u32, row: &DiamondRow) {
        self.total += 1;
        self.widths.add(row.max_width.into());
        self.lengths.add(row.max_length.into());
        match row.width_asymmetry {
            Some(asymmetry) => self.asymmetries.add(asymmetry.into()),
            None => self.unknown_shape += 1,
        }
        self.meshed += u64::from(row.meshed == Some(true));
        self.balancers[place(row.balancer)].add(target);
        if let (Some(divergence), Some(convergence)) = (row.divergence, row.convergence) {
            self.with_both_ends += 1;
            let mut shared = Shared::of(row);
            shared.behind.add(target);
            self.share((divergence, convergence), shared);
        }
    }

    pub(super) fn merge(mut self, other: Tally) -> Tally {
        self.total += other.total;
        self.with_both_ends += other.with_both_ends;
        self.widths.merge(other.widths);
        self.lengths.merge(other.lengths);
        self.asymmetries.merge(other.asymmetries);
        self.unknown_shape += other.unknown_shape;
        self.meshed += other.meshed;
        for (behind, others) in self.balancers.iter_mut().zip(other.balancers) {
            behind.merge(others);
        }
        for (ends, shared) in other.shared {
            self.share(ends, shared);
        }
        self
    }

    fn share(&mut self, ends: (IpAddr, IpAddr), shared: Shared) {
        match self.shared.get_mut(&ends) {
            Some(known) => known.merge(shared),
            None => {
                self.shared.insert(ends, shared);
            }
        }
    }

    /// The number of targets behind at least one diamond.
    pub(super) fn targets_behind(&self) -> u64 {
        let all = self.balancers.iter().map(|behind| &behind.targets);
        let all = all.fold(RoaringBitmap::new(), |all, targets| all | targets);
        all.len()
    }

    /// The figures, and the shared diamonds: those with the most targets first, then by addresses.
    pub(super) fn finish(self) -> (DiamondFigures, Vec<SharedDiamond>) {
        let types = BalancerType::ALL.into_iter().map(Some).chain([None]);
        let balancers = types
            .zip(&self.balancers)
            .map(|(balancer, behind)| BalancerFigures {
                balancer,
                diamonds: behind.rows,
                targets: behind.targets.len(),
            });
        let figures = DiamondFigures {
            total: self.total,
            with_both_ends: self.with_both_ends,
            distinct: self.shared.len() as u64,
            max_width: self.widths.doubling(),
            max_length: self.lengths.values(),
            width_asymmetry: self.asymmetries.values(),
            unknown_shape: self.unknown_shape,
            meshed: self.meshed,
            balancers: balancers.collect(),
        };
        let shared = self
            .shared
            .into_iter()
            .map(|((near, far), shared)| SharedDiamond {
                divergence: near,
                convergence: far,
                targets: shared.behind.targets.len(),
                rows: shared.behind.rows,
                least_width: shared.least_width.into(),
                most_width: shared.most_width.into(),
                most_length: shared.most_length.into(),
                most_asymmetry: shared.most_asymmetry.map(u64::from),
                meshed: shared.meshed,
                balancers: shared.balancers.into_values().collect(),
            });
        let mut shared: Vec<SharedDiamond> = shared.collect();
        shared.sort_unstable_by_key(|diamond| {
            let targets = std::cmp::Reverse(diamond.targets);
            (targets, diamond.divergence, diamond.convergence)
        });
        (figures, shared)
    }
}

/// The place of a type among those that are counted.
fn place(balancer: Option<BalancerType>) -> usize {
    let known = BalancerType::ALL
        .iter()
        .position(|known| Some(*known) == balancer);
    known.unwrap_or(BalancerType::ALL.len())
}
