//! The tables of datasets. A further table is one file here, and one entry in [`of`].
//!
//! | table | a row | written by |
//! |---|---|---|
//! | `hops` | a probe, or a further reply | every run |
//! | `traces` | a (target, flow); with multipath tracing, a target | every run; a sweep's is empty until it is compacted |
//! | `graphs` | a target | multipath tracing |
//! | `nodes` | an address at a TTL of a graph | multipath tracing |
//! | `links` | two nodes at consecutive TTLs of a graph | multipath tracing |
//! | `diamonds` | a diamond of a graph | multipath tracing |

mod diamonds;
mod graphs;
mod hops;
mod links;
mod nodes;
mod shared;
mod traces;

use std::sync::LazyLock;

pub use diamonds::Diamonds;
pub use graphs::Graphs;
pub use hops::Hops;
pub use links::Links;
pub use nodes::Nodes;
pub use traces::Traces;

use super::table::AnyTable;

/// The tables of every run, in the order in which their parts are sealed.
pub fn all() -> &'static [AnyTable] {
    of(false)
}

/// The tables of a run, in the order in which their parts are sealed: those of every run, and with `multipath` those that multipath tracing
/// adds.
pub fn of(multipath: bool) -> &'static [AnyTable] {
    static ALL: LazyLock<[AnyTable; 6]> = LazyLock::new(|| {
        [
            AnyTable::of::<Hops>(),
            AnyTable::of::<Traces>(),
            AnyTable::of::<Graphs>(),
            AnyTable::of::<Nodes>(),
            AnyTable::of::<Links>(),
            AnyTable::of::<Diamonds>(),
        ]
    });
    match multipath {
        true => ALL.as_slice(),
        false => &ALL[..2],
    }
}

/// Returns the table with this name, whichever runs write it.
pub fn named(name: &str) -> Option<&'static AnyTable> {
    of(true).iter().find(|table| table.schema().name == name)
}

/// The table `hops`, the only one of a single stream.
pub(super) fn hops() -> &'static AnyTable {
    &all()[0]
}

/// The table `traces`.
pub(super) fn traces() -> &'static AnyTable {
    &all()[1]
}

#[cfg(test)]
mod tests;
