//! The tables of every dataset. A further table is one file here, and one entry in [`all`].

mod hops;
mod traces;

use std::sync::LazyLock;

pub use hops::Hops;
pub use traces::Traces;

use super::table::AnyTable;

/// The tables of every dataset, in the order in which their parts are sealed.
pub fn all() -> &'static [AnyTable] {
    static ALL: LazyLock<Vec<AnyTable>> =
        LazyLock::new(|| vec![AnyTable::of::<Hops>(), AnyTable::of::<Traces>()]);
    &ALL
}

/// The tables of a run: those of every dataset, and with `multipath` those that multipath tracing adds.
pub fn of(_multipath: bool) -> &'static [AnyTable] {
    all()
}

/// Returns the table with this name, if it is one of [`all`].
pub fn named(name: &str) -> Option<&'static AnyTable> {
    all().iter().find(|table| table.schema().name == name)
}

/// The table `hops`, the only one of a single stream.
pub(super) fn hops() -> &'static AnyTable {
    static HOPS: LazyLock<AnyTable> = LazyLock::new(AnyTable::of::<Hops>);
    &HOPS
}

#[cfg(test)]
mod tests;
