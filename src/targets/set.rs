//! The targets of a run, by number.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::model::{TargetId, TargetInfo, Targets};

use super::labels::Labels;
use super::prefixes::Family;
use super::segments::Segments;

/// Distinct addresses with numbers. A prefix is stored as a prefix, not as its addresses.
///
/// IPv4 comes before IPv6, and addresses ascend within a family. Only the drawn hosts of a /24 are in the order of the draw. So the numbers
/// depend only on the input.
#[derive(Debug)]
pub struct TargetSet {
    v4: Segments<u32>,
    v6: Segments<u128>,
    /// The number of IPv4 targets. The IPv6 targets follow them.
    v4_len: u32,
    len: u32,
    labels: Labels,
}

impl TargetSet {
    /// Joins the parts. Returns `None` if there are more targets than 32 bits can number.
    pub(super) fn new(v4: Segments<u32>, v6: Segments<u128>, labels: Labels) -> Option<Self> {
        let v4_len = u32::try_from(v4.len()).ok()?;
        let len = u32::try_from(v4.len() + v6.len()).ok()?;
        Some(TargetSet {
            v4,
            v6,
            v4_len,
            len,
            labels,
        })
    }

    /// All targets in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TargetId, IpAddr)> {
        (0..self.len).map(|id| (TargetId(id), self.address(TargetId(id))))
    }

    /// The number of IPv4 targets. They have the lowest numbers.
    pub fn ipv4_len(&self) -> u32 {
        self.v4_len
    }

    /// Bytes of memory that the targets, their texts and labels use.
    pub fn heap_bytes(&self) -> usize {
        self.v4.heap_bytes() + self.v6.heap_bytes() + self.labels.heap_bytes()
    }

    /// The IPv4 and the IPv6 targets, and their texts and labels.
    pub(super) fn parts(&self) -> (&Segments<u32>, &Segments<u128>, &Labels) {
        (&self.v4, &self.v6, &self.labels)
    }

    fn entry(&self, id: TargetId) -> u32 {
        match id.0.checked_sub(self.v4_len) {
            None => self.v4.entry(id.0),
            Some(id) => self.v6.entry(id),
        }
    }
}

impl Targets for TargetSet {
    fn len(&self) -> u32 {
        self.len
    }

    fn address(&self, id: TargetId) -> IpAddr {
        match id.0.checked_sub(self.v4_len) {
            None => self.v4.address(id.0).ip(),
            Some(id) => self.v6.address(id).ip(),
        }
    }

    fn info(&self, id: TargetId) -> TargetInfo<'_> {
        let entry = self.entry(id);
        let input = match self.labels.text(entry) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.address(id).to_string()),
        };
        TargetInfo {
            input,
            labels: self.labels.labels(entry),
        }
    }

    fn label_names(&self) -> &[String] {
        self.labels.names()
    }
}
