//! Multipath tracing over fabrics of real Linux routers that balance over equal-cost next hops (ECMP).
//!
//! `fabric.sh` builds a fabric and states its truth: the nodes and links that a survey must find to every target. Two rules hold in
//! every case:
//!
//! - No node and no link is found that is not in the truth.
//! - The number of incomplete graphs stays below [`most_misses`]. If the bound of the survey holds, a case fails wrongly with a
//!   probability below one in a million. The hashes of a kernel follow from its seeds, addresses and ports, which are the same in every
//!   run. So a case that passed once fails again only on another kernel.
//!
//! | file | cases |
//! |---|---|
//! | `branches` | which balancers show to which probes: hash policies, protocols, families |
//! | `peculiar` | unequal weights, resilient groups, silent next hops, firewalls, packets that are balanced one by one, several uplinks |
//!
//! Left out: routes that change while a target is traced. Multipath tracing assumes that they do not.

pub mod branches;
pub mod fabric;
pub mod graphs;
pub mod peculiar;

/// The probability that a case fails although the bound holds.
const WRONG_FAILURE: f64 = 1e-6;

/// Returns how many of `targets` graphs may be incomplete if each is so with the probability `bound`. More are incomplete with a
/// probability below [`WRONG_FAILURE`].
pub fn most_misses(targets: u32, bound: f64) -> u32 {
    let mut exactly = (1.0 - bound).powi(targets as i32);
    let mut more = 1.0 - exactly;
    let mut misses = 0;
    while more >= WRONG_FAILURE && misses < targets {
        exactly *= f64::from(targets - misses) / f64::from(misses + 1) * bound / (1.0 - bound);
        more -= exactly;
        misses += 1;
    }
    misses
}
