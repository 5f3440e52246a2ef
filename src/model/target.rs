//! The interface between the run's targets and strategies and writers.

use std::borrow::Cow;
use std::net::IpAddr;

use super::TargetId;

/// The input's text and labels of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo<'a> {
    /// The input as written: an address, a prefix or a host name.
    pub input: Cow<'a, str>,
    /// Values of the input's other columns, in the order of [`Targets::label_names`]. Empty cells are `None`. The slice is empty if the
    /// target has no labels.
    pub labels: Vec<Option<&'a str>>,
}

/// The run's targets: distinct addresses, numbered from 0.
pub trait Targets: Send + Sync {
    /// The number of targets.
    fn len(&self) -> u32;

    /// Whether there are no targets.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address of target `id`, which is below [`len`](Targets::len).
    fn address(&self, id: TargetId) -> IpAddr;

    /// The input's text and labels of target `id`.
    fn info(&self, id: TargetId) -> TargetInfo<'_>;

    /// Names of the label columns of all inputs.
    fn label_names(&self) -> &[String];
}

/// Targets for tests: `len` consecutive IPv4 addresses.
#[cfg(test)]
pub(crate) struct Consecutive {
    pub first: std::net::Ipv4Addr,
    pub len: u32,
}

#[cfg(test)]
impl Targets for Consecutive {
    fn len(&self) -> u32 {
        self.len
    }

    fn address(&self, id: TargetId) -> IpAddr {
        std::net::Ipv4Addr::from_bits(self.first.to_bits() + id.0).into()
    }

    fn info(&self, id: TargetId) -> TargetInfo<'_> {
        TargetInfo {
            input: Cow::Owned(self.address(id).to_string()),
            labels: Vec::new(),
        }
    }

    fn label_names(&self) -> &[String] {
        &[]
    }
}
