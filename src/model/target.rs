//! What the strategies and writers may ask of the run's targets.

use std::borrow::Cow;
use std::net::IpAddr;

use super::TargetId;

/// What the input said of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo<'a> {
    /// What was asked for: an address, a prefix or a host name, as written.
    pub input: Cow<'a, str>,
    /// Values of the input's other columns, in the order of [`Targets::label_names`]; empty cells are `None`,
    /// and the whole is empty where the target came without labels.
    pub labels: Vec<Option<&'a str>>,
}

/// The run's targets: distinct addresses, numbered from 0.
pub trait Targets: Send + Sync {
    /// How many there are.
    fn len(&self) -> u32;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address of target `id`. `id` is below [`len`](Targets::len).
    fn address(&self, id: TargetId) -> IpAddr;

    /// What the input said of target `id`.
    fn info(&self, id: TargetId) -> TargetInfo<'_>;

    /// Names of the label columns, over all inputs.
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
