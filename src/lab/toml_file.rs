//! Networks described in TOML files.
//!
//! A network is a list of routers, each with its next hops, and a list of targets, each hanging off a router. The vantage
//! point hands its packets to the first router of the file.
//!
//! ```toml
//! name = "diamond"                  # defaults to the file's name
//! description = "Two ways to one target."
//! seed = 1                          # of balancers' hashes and of every accident
//! vantage = "192.0.2.1"
//! line = { delay_ms = 1 }           # default of every line; see below
//!
//! [[router]]
//! name = "split"
//! address = "10.0.0.1"
//! next = ["left", "right"]          # where everything without a route of its own goes
//! balance = "per_flow"              # or per_destination, per_packet
//!
//! [[router]]
//! name = "left"
//! address = "10.0.1.1"
//! next = ["end"]
//! line = { delay_ms = 5 }           # the line that leads to this router
//!
//! [[router]]
//! name = "right"
//! address = "10.0.1.2"
//! next = ["end"]
//!
//! [[router]]
//! name = "end"
//! address = "10.0.2.1"
//! routes = [{ to = "198.18.9.0/24", unreachable = "admin_prohibited" }]
//!
//! [[target]]
//! prefix = "198.18.0.0/24"          # or one address
//! at = "end"
//! ```
//!
//! Every key is listed in `docs/lab.md`. A file may instead hold one table `[generated]` with the fields of
//! [`GeneratedOptions`], each optional.

use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::GeneratedOptions;
use super::message::ONLY_V6;
use super::network::LabNetwork;
use super::rewriting::{Garbled, IpId, Restore};
use super::toml_build::build;
use super::toml_values::QuoteBytesFile;
use super::topology::{Balance, ExtensionForm, Grievance, QuotedLength, TcpPort};
use super::wrapping::ExtensionHeader;

/// Why a network could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The file could not be read.
    #[error(
        "cannot read the network `{file}`: {source}; name a TOML file as docs/lab.md describes it"
    )]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not describe a network.
    #[error("{file}:{line}: {problem}; {remedy}")]
    Invalid {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
}

impl LabNetwork {
    /// Loads a network from a TOML file.
    pub fn from_file(path: &Path) -> Result<Self, LabError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| LabError::Read {
            file: file.clone(),
            source,
        })?;
        Self::from_toml(&text, &file)
    }

    /// Loads a network from TOML; `file` names it in errors.
    pub fn from_toml(text: &str, file: &str) -> Result<Self, LabError> {
        let parsed: NetworkFile = toml::from_str(text).map_err(|error| LabError::Invalid {
            file: file.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            problem: error.message().to_owned(),
            remedy: "docs/lab.md lists the keys and their values".to_owned(),
        })?;
        build(parsed, file).map_err(|problem| LabError::Invalid {
            file: file.to_owned(),
            line: line_of(text, problem.at),
            problem: problem.problem,
            remedy: problem.remedy,
        })
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkFile {
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default = "one")]
    pub(super) seed: u64,
    pub(super) vantage: Option<Spanned<String>>,
    pub(super) vantage6: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) polarised: bool,
    #[serde(default)]
    pub(super) unrouted: UnroutedFile,
    pub(super) line: Option<Spanned<LineFile>>,
    #[serde(default)]
    pub(super) router: Vec<RouterFile>,
    #[serde(default)]
    pub(super) link: Vec<LinkFile>,
    #[serde(default)]
    pub(super) target: Vec<TargetFile>,
    pub(super) generated: Option<Spanned<GeneratedOptions>>,
}

fn one() -> u64 {
    1
}

/// What routers do with what they have no route for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnroutedFile {
    #[default]
    NetworkUnreachable,
    HostUnreachable,
    Silence,
}

/// A line's figures; what is absent comes from the default line.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineFile {
    pub(super) delay_ms: Option<f64>,
    pub(super) jitter_ms: Option<f64>,
    pub(super) loss: Option<f64>,
    pub(super) reply_loss: Option<f64>,
    pub(super) duplicate: Option<f64>,
    pub(super) reorder: Option<f64>,
    pub(super) reorder_ms: Option<f64>,
    pub(super) mtu: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouterFile {
    pub(super) name: Spanned<String>,
    pub(super) address: Option<Spanned<String>>,
    pub(super) address6: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) next: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) balance: Balance,
    #[serde(default)]
    pub(super) routes: Vec<RouteFile>,
    pub(super) line: Option<Spanned<LineFile>>,
    #[serde(default)]
    pub(super) silent: bool,
    pub(super) answer_loss: Option<Spanned<f64>>,
    pub(super) answer_delay_ms: Option<Spanned<f64>>,
    pub(super) rate_limit: Option<Spanned<RateLimitFile>>,
    pub(super) initial_ttl: Option<u8>,
    pub(super) quote_bytes: Option<Spanned<QuoteBytesFile>>,
    #[serde(default)]
    pub(super) quote_length: QuotedLength,
    #[serde(default)]
    pub(super) extensions: ExtensionForm,
    #[serde(default)]
    pub(super) quote_headers: Vec<Spanned<ExtensionHeader>>,
    #[serde(default)]
    pub(super) answer_headers: Vec<Spanned<ExtensionHeader>>,
    pub(super) answer_fragments: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) interfaces: Vec<Spanned<InterfaceFile>>,
    #[serde(default)]
    pub(super) zero_ttl_forwarding: bool,
    pub(super) complaint: Option<ComplaintFile>,
    pub(super) mpls: Option<Spanned<MplsFile>>,
    pub(super) nat: Option<Spanned<NatFile>>,
    pub(super) rewrite: Option<Spanned<RewriteFile>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteFile {
    pub(super) to: Spanned<String>,
    #[serde(default)]
    pub(super) next: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) balance: Balance,
    pub(super) unreachable: Option<UnreachableFile>,
    #[serde(default)]
    pub(super) mtu: u16,
    #[serde(default)]
    pub(super) before_ttl_check: bool,
    #[serde(default)]
    pub(super) discard: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComplaintFile {
    pub(super) code: UnreachableFile,
    #[serde(default)]
    pub(super) mtu: u16,
    #[serde(default)]
    pub(super) about: Grievance,
}

/// The codes of Destination Unreachable by name; the last four are of ICMPv6 alone.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(super) enum UnreachableFile {
    Network = 0,
    Host = 1,
    Protocol = 2,
    Port = 3,
    FragmentationNeeded = 4,
    SourceRoute = 5,
    NetworkUnknown = 6,
    HostUnknown = 7,
    SourceIsolated = 8,
    NetworkProhibited = 9,
    HostProhibited = 10,
    NetworkTos = 11,
    HostTos = 12,
    AdminProhibited = 13,
    HostPrecedence = 14,
    PrecedenceCutoff = 15,
    BeyondScope = ONLY_V6 + 2,
    SourcePolicy = ONLY_V6 + 5,
    SourceRoutingHeader = ONLY_V6 + 7,
    HeadersTooLong = ONLY_V6 + 8,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimitFile {
    pub(super) per_second: f64,
    pub(super) burst: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MplsFile {
    pub(super) labels: Vec<u32>,
    #[serde(default = "yes")]
    pub(super) shown: bool,
    #[serde(default = "yes")]
    pub(super) propagate_ttl: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InterfaceFile {
    pub(super) role: RoleFile,
    pub(super) ifindex: Option<u32>,
    pub(super) address: Option<IpAddr>,
    pub(super) name: Option<String>,
    pub(super) mtu: Option<u32>,
}

/// The part that an interface has in a packet's way (RFC 5837, section 4.1).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RoleFile {
    Incoming,
    SubIp,
    Outgoing,
    NextHop,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NatFile {
    pub(super) public: Option<Spanned<String>>,
    pub(super) public6: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) ports: bool,
    pub(super) restore: Restore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RewriteFile {
    pub(super) from: Option<Spanned<String>>,
    pub(super) to: Option<Spanned<String>>,
    pub(super) destination_port: Option<u16>,
    pub(super) ip_id: Option<IpId>,
    pub(super) tos: Option<u8>,
    pub(super) checksum: Option<Garbled>,
    #[serde(default)]
    pub(super) restore: Restore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkFile {
    pub(super) from: Spanned<String>,
    pub(super) to: Spanned<String>,
    pub(super) line: Spanned<LineFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetFile {
    pub(super) prefix: Spanned<String>,
    pub(super) at: Spanned<String>,
    pub(super) answers_from: Option<Spanned<String>>,
    pub(super) line: Option<Spanned<LineFile>>,
    #[serde(default)]
    pub(super) silent: bool,
    #[serde(default = "port")]
    pub(super) answer: UnreachableFile,
    #[serde(default = "yes")]
    pub(super) echo: bool,
    #[serde(default)]
    pub(super) udp_services: Vec<u16>,
    #[serde(default)]
    pub(super) tcp_open: Vec<u16>,
    #[serde(default)]
    pub(super) tcp: TcpPort,
    pub(super) rate_limit: Option<Spanned<RateLimitFile>>,
    #[serde(default)]
    pub(super) unlimited: bool,
    pub(super) initial_ttl: Option<u8>,
    pub(super) quote_bytes: Option<Spanned<QuoteBytesFile>>,
    #[serde(default)]
    pub(super) quote_length: QuotedLength,
    #[serde(default)]
    pub(super) answer_headers: Vec<Spanned<ExtensionHeader>>,
    pub(super) answer_fragments: Option<Spanned<u16>>,
}

fn port() -> UnreachableFile {
    UnreachableFile::Port
}
