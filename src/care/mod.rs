//! Looks after datasets: what is there, whether it is whole, and the removal of old nights.
//!
//! | file | holds |
//! |---|---|
//! | `list` | the runs of a directory, also if some manifests are damaged |
//! | `verify` | the comparison of files with manifests, and leftovers of killed runs |
//! | `prune` | the removal of old nights |
//! | `night` | the night of a run |
//!
//! Guarantees:
//! - Listing and verifying change nothing.
//! - Pruning never removes a file that it does not know. See [`prune`](mod@prune).
//! - No function reads a clock: the current day is an argument.

mod list;
mod night;
pub mod prune;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod verify;

pub use list::{Entry, Listed, list};
pub use night::{Age, night_of};
pub use verify::{Finding, Kind, verify};
