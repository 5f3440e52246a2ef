//! The run's targets: read from arguments and files, expanded, deduplicated, and freed of what must not be probed.
//!
//! [`load`] reads addresses, prefixes and host names, plain or as CSV with labels, compressed or not, and gives a
//! [`TargetSet`]: distinct addresses with random access, in which prefixes stay prefixes. What was left out and why is
//! counted in a [`LoadReport`]. Nothing is probed here; names are resolved by whom the caller passes, such as [`DnsResolver`].

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
mod resolver;
mod segments;
mod set;
mod special;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use errors::{BadLine, Place, TargetError};
pub use line::Fault;
pub use loader::{LoadReport, Loader};
pub use resolver::{Answer, DnsResolver, NoNames, Resolve, ResolveNames, Unresolved, parse_server};
pub use set::TargetSet;
pub use special::SpecialUse;

/// More targets than this must be allowed explicitly: 2^24, one a /24 of all of IPv4.
pub const LARGE: u32 = 1 << 24;

/// Which address families a run probes.
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

    /// What both have, if anything.
    pub fn and(self, other: Families) -> Option<Families> {
        match (self, other) {
            (Families::Both, families) | (families, Families::Both) => Some(families),
            (one, other) => (one == other).then_some(one),
        }
    }
}

/// What to load, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetSpec {
    /// Addresses, prefixes or host names given one by one.
    pub arguments: Vec<String>,
    /// Lists of targets; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Lists of addresses and prefixes that must not be probed.
    pub blocklists: Vec<PathBuf>,
    /// Hosts probed of each /24 of an IPv4 prefix shorter than that; 1 to 254.
    pub per_prefix: u8,
    /// Decides which hosts those are; apart from the run's seed, so that every night probes the same.
    pub target_seed: u64,
    /// Probe special-use addresses (private, documentation, …) too.
    pub allow_special: bool,
    /// Accept more than [`LARGE`] targets.
    pub allow_large: bool,
    /// The first bad line is an error.
    pub strict: bool,
    /// Targets of another family are left out and counted.
    pub families: Families,
    /// What a host name stands for: the lowest of its IPv4 or of its IPv6 addresses, or all addresses of both families.
    pub resolve_targets: Families,
    /// DNS servers that are asked, in this order, instead of those the system is configured to ask.
    pub resolvers: Vec<SocketAddr>,
}

impl Default for TargetSpec {
    /// No targets, one host a /24, IPv4, nothing allowed that must be allowed.
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

/// Loads the targets of `spec`: blocklists first, then the arguments, then the files in their order. `on_bad` is told of
/// each bad line, in the order of the lines: when it is met or, behind a host name, when that has been resolved. Names are
/// resolved by `resolve`, together: at the end of the lists, or whenever very many are waiting.
///
/// # Errors
/// See [`TargetError`]. A set without targets is none.
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
