//! The report about the inputs, and its warnings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::errors::Place;
use super::special::SpecialUse;

/// The number of messages about bad lines that a report holds. All bad lines are counted.
pub(super) const MOST_MESSAGES: usize = 100;

/// Counts of the inputs and their addresses.
///
/// - Every input is accepted, bad, or of another family.
/// - Every address of an accepted input is a target, a duplicate, special or blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadReport {
    /// Lines of input files, including blank lines, comments and headers.
    pub lines: u64,
    /// Arguments, and lines (in CSV: rows) of files. Blank lines, comments and headers are not inputs.
    pub inputs: u64,
    /// Inputs of a family that the run probes.
    pub accepted: u64,
    /// Inputs that are not targets. They are left out.
    pub bad_lines: u64,
    /// Inputs of a family that the run does not probe. They are left out; a prefix counts as one.
    pub other_family: u64,
    /// Accepted inputs that are host names.
    pub names: u64,
    /// Bad lines that are host names without an address.
    pub unresolved: u64,
    /// Accepted host names for which one family could not be resolved. Targets may be missing.
    pub half_resolved: u64,
    /// Addresses of the accepted inputs.
    pub expanded: u64,
    /// Addresses that an earlier input contains as well.
    pub duplicates: u64,
    /// Distinct addresses left out as special-use.
    pub special: u64,
    /// The same, by special use. Uses without an address are absent.
    pub special_uses: BTreeMap<SpecialUse, u64>,
    /// Distinct addresses left out because a blocklist contains them.
    pub blocked: u64,
    /// The remaining addresses, which are probed.
    pub targets: u64,
    /// Prefixes and addresses in the blocklists.
    pub blocklist_entries: u64,
    /// Prefixes with bits set behind their length, such as `192.0.2.5/24`, in lists, arguments and blocklists. All of the prefix counts.
    pub host_bits: u64,
    /// The first of them, with its place.
    pub first_host_bits: Option<String>,
    /// Rows whose labels are not used for one of their addresses or more, because an earlier row names it and has other labels.
    pub unused_labels: u64,
    /// The first of them, as `file:line`.
    pub first_unused_labels: Vec<String>,
    /// Messages about the first bad lines, as `file:line: text, reason`.
    pub messages: Vec<String>,
}

impl LoadReport {
    /// What the user should know of lists that were accepted.
    pub fn warnings(&self) -> Vec<String> {
        let host_bits = self.first_host_bits.as_ref().map(|first| {
            let prefixes = counted(self.host_bits, "prefix has", "prefixes have");
            format!("{prefixes} bits set behind the length: the whole prefix is meant; for one address, leave the length out ({first})")
        });
        let labels = (self.unused_labels > 0).then(|| {
            let rows = counted(self.unused_labels, "row gives", "rows give");
            let named = self.first_unused_labels.join(", ");
            let more = self.unused_labels > self.first_unused_labels.len() as u64;
            let more = if more { ", …" } else { "" };
            format!("{rows} other labels to an address of an earlier row, and the labels of the first row of an address are used: {named}{more}")
        });
        [host_bits, labels].into_iter().flatten().collect()
    }

    /// Counts a prefix if it has bits set behind its length.
    pub(super) fn note_host_bits(
        &mut self,
        address: IpAddr,
        length: u8,
        place: impl FnOnce() -> Place,
    ) {
        let Ok(prefix) = IpNet::new(address, length) else {
            return;
        };
        if prefix.addr() == prefix.network() {
            return;
        }
        self.host_bits += 1;
        let network = prefix.trunc();
        self.first_host_bits.get_or_insert_with(|| match place() {
            Place::Argument => format!("{prefix} stands for {network}"),
            Place::Line { file, line } => format!("{file}:{line}: {prefix} stands for {network}"),
        });
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
