//! Loads the targets of a run from arguments and files. Removes duplicates and excluded addresses.
//!
//! [`load`] reads addresses, prefixes and host names, as plain lists or as CSV with labels, compressed or not. It returns:
//! - a [`TargetSet`]: distinct addresses with random access. A prefix is stored as a prefix, not as its addresses.
//! - a [`LoadReport`]: the number of inputs and addresses that were left out, by reason.
//!
//! Loading sends no probes. The caller passes the resolver of host names, such as [`DnsResolver`].

mod blocklist;
mod blocklist_watch;
mod conflicts;
mod csv_list;
mod decompress;
mod errors;
mod exclusions;
mod labels;
mod line;
mod loader;
mod merge;
mod names;
mod prefixes;
mod reader;
mod report;
mod resolver;
mod segments;
mod set;
mod special;
mod store;
mod text_lines;
mod utf16;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use blocklist_watch::{BlocklistWatch, RereadError};
pub use errors::{BadLine, Place, TargetError};
pub use exclusions::Exclusions;
pub use line::Fault;
pub use loader::Loader;
pub use report::LoadReport;
pub use resolver::{Answer, DnsResolver, NoNames, Resolve, ResolveNames, Unresolved, parse_server};
pub use set::TargetSet;
pub use special::SpecialUse;
pub use store::StoreError;

/// More targets than this need a confirmation: 2^24, one per /24 of the IPv4 space.
pub const LARGE: u32 = 1 << 24;

/// The address families that a run probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Families {
    /// IPv4 only.
    #[default]
    Ipv4,
    /// IPv6 only.
    Ipv6,
    /// Both.
    Both,
}

impl Families {
    /// Whether `address` is of a family that is probed.
    pub fn has(self, address: IpAddr) -> bool {
        match self {
            Families::Ipv4 => address.is_ipv4(),
            Families::Ipv6 => address.is_ipv6(),
            Families::Both => true,
        }
    }

    /// Returns the families that both contain, or `None` if there is no such family.
    pub fn and(self, other: Families) -> Option<Families> {
        match (self, other) {
            (Families::Both, families) | (families, Families::Both) => Some(families),
            (one, other) => (one == other).then_some(one),
        }
    }
}

/// The inputs, and the rules for loading them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetSpec {
    /// Addresses, prefixes or host names from the command line.
    pub arguments: Vec<String>,
    /// Lists of targets; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Lists of addresses and prefixes that must not be probed.
    pub blocklists: Vec<PathBuf>,
    /// Hosts per /24 in IPv4 prefixes shorter than /24; 1 to 254.
    pub per_prefix: u8,
    /// Determines the hosts that are drawn. It is separate from the run's seed, so that every run probes the same hosts.
    pub target_seed: u64,
    /// Probe special-use addresses (private, documentation, …) as well.
    pub allow_special: bool,
    /// Accept more than [`LARGE`] targets.
    pub allow_large: bool,
    /// The first bad line is an error.
    pub strict: bool,
    /// The families to probe. Targets of another family are left out and counted.
    pub families: Families,
    /// The addresses of a host name to probe: the lowest IPv4 address, the lowest IPv6 address, or all addresses of both families.
    pub resolve_targets: Families,
    /// DNS servers to ask in this order, instead of the system's.
    pub resolvers: Vec<SocketAddr>,
}

impl Default for TargetSpec {
    /// No targets, one host per /24, IPv4 only, no special-use addresses, and at most [`LARGE`] targets.
    fn default() -> Self {
        TargetSpec {
            arguments: Vec::new(),
            files: Vec::new(),
            blocklists: Vec::new(),
            per_prefix: 1,
            target_seed: 0,
            allow_special: false,
            allow_large: false,
            strict: false,
            families: Families::default(),
            resolve_targets: Families::default(),
            resolvers: Vec::new(),
        }
    }
}

/// Loads the targets of `spec`: first the blocklists, then the arguments, then the files in order.
///
/// Calls `on_bad` for each bad line, in the order of the lines. If host names before the line are not resolved yet, the call waits for
/// them. Calls `resolve` with many names at a time: after the last list, or earlier if very many names wait.
///
/// # Errors
/// See [`TargetError`]. An empty set of targets is not an error.
pub fn load(
    spec: &TargetSpec,
    resolve: &Resolve<'_>,
    on_bad: &mut dyn FnMut(&BadLine),
) -> Result<(TargetSet, LoadReport), TargetError> {
    let mut loader = Loader::new(spec, resolve, on_bad)?;
    for path in &spec.blocklists {
        loader.blocklist(path)?;
    }
    loader.arguments(&spec.arguments)?;
    for path in &spec.files {
        loader.file(path)?;
    }
    loader.finish()
}

#[cfg(test)]
mod tests;
