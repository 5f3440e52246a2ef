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

mod boxes;
mod build;
mod lines;
mod routers;
mod values;

use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use self::build::build;
use self::values::QuoteBytesFile;
use crate::lab::GeneratedOptions;
use crate::lab::network::LabNetwork;
use crate::lab::packet::message::ONLY_V6;
use crate::lab::packet::wrapping::ExtensionHeader;
use crate::lab::topology::rewriting::{Garbled, IpId, Restore};
use crate::lab::topology::{Balance, ExtensionForm, Grievance, QuotedLength, TcpPort};
use crate::model::InterfaceRole;

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
        /// The system's error.
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
        /// How to correct it.
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
pub(in crate::lab) struct NetworkFile {
    pub(in crate::lab) name: Option<String>,
    #[serde(default)]
    pub(in crate::lab) description: String,
    #[serde(default = "one")]
    pub(in crate::lab) seed: u64,
    pub(in crate::lab) vantage: Option<Spanned<String>>,
    pub(in crate::lab) vantage6: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::lab) polarised: bool,
    #[serde(default)]
    pub(in crate::lab) unrouted: UnroutedFile,
    pub(in crate::lab) line: Option<Spanned<LineFile>>,
    #[serde(default)]
    pub(in crate::lab) router: Vec<RouterFile>,
    #[serde(default)]
    pub(in crate::lab) link: Vec<LinkFile>,
    #[serde(default)]
    pub(in crate::lab) target: Vec<TargetFile>,
    pub(in crate::lab) generated: Option<Spanned<GeneratedOptions>>,
}

fn one() -> u64 {
    1
}

/// What routers do with a packet that matches no route.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum UnroutedFile {
    #[default]
    NetworkUnreachable,
    HostUnreachable,
    Silence,
}

/// The properties of a line. A property that is absent comes from the default line.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct LineFile {
    pub(in crate::lab) delay_ms: Option<f64>,
    pub(in crate::lab) jitter_ms: Option<f64>,
    pub(in crate::lab) loss: Option<f64>,
    pub(in crate::lab) reply_loss: Option<f64>,
    pub(in crate::lab) duplicate: Option<f64>,
    pub(in crate::lab) reorder: Option<f64>,
    pub(in crate::lab) reorder_ms: Option<f64>,
    pub(in crate::lab) mtu: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct RouterFile {
    pub(in crate::lab) name: Spanned<String>,
    pub(in crate::lab) address: Option<Spanned<String>>,
    pub(in crate::lab) address6: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::lab) next: Vec<Spanned<String>>,
    #[serde(default)]
    pub(in crate::lab) balance: Balance,
    #[serde(default)]
    pub(in crate::lab) routes: Vec<RouteFile>,
    pub(in crate::lab) line: Option<Spanned<LineFile>>,
    #[serde(default)]
    pub(in crate::lab) silent: bool,
    pub(in crate::lab) answer_loss: Option<Spanned<f64>>,
    pub(in crate::lab) answer_delay_ms: Option<Spanned<f64>>,
    pub(in crate::lab) rate_limit: Option<Spanned<RateLimitFile>>,
    pub(in crate::lab) initial_ttl: Option<u8>,
    pub(in crate::lab) quote_bytes: Option<Spanned<QuoteBytesFile>>,
    #[serde(default)]
    pub(in crate::lab) quote_length: QuotedLength,
    #[serde(default)]
    pub(in crate::lab) extensions: ExtensionForm,
    #[serde(default)]
    pub(in crate::lab) quote_headers: Vec<Spanned<ExtensionHeader>>,
    #[serde(default)]
    pub(in crate::lab) answer_headers: Vec<Spanned<ExtensionHeader>>,
    pub(in crate::lab) answer_fragments: Option<Spanned<u16>>,
    #[serde(default)]
    pub(in crate::lab) interfaces: Vec<Spanned<InterfaceFile>>,
    #[serde(default)]
    pub(in crate::lab) zero_ttl_forwarding: bool,
    pub(in crate::lab) complaint: Option<ComplaintFile>,
    pub(in crate::lab) mpls: Option<Spanned<MplsFile>>,
    pub(in crate::lab) nat: Option<Spanned<NatFile>>,
    pub(in crate::lab) rewrite: Option<Spanned<RewriteFile>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct RouteFile {
    pub(in crate::lab) to: Spanned<String>,
    #[serde(default)]
    pub(in crate::lab) next: Vec<Spanned<String>>,
    #[serde(default)]
    pub(in crate::lab) balance: Balance,
    pub(in crate::lab) unreachable: Option<UnreachableFile>,
    #[serde(default)]
    pub(in crate::lab) mtu: u16,
    #[serde(default)]
    pub(in crate::lab) before_ttl_check: bool,
    #[serde(default)]
    pub(in crate::lab) discard: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct ComplaintFile {
    pub(in crate::lab) code: UnreachableFile,
    #[serde(default)]
    pub(in crate::lab) mtu: u16,
    #[serde(default)]
    pub(in crate::lab) about: Grievance,
}

/// The codes of Destination Unreachable by name. The last four exist in ICMPv6 only.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(in crate::lab) enum UnreachableFile {
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
pub(in crate::lab) struct RateLimitFile {
    pub(in crate::lab) per_second: f64,
    pub(in crate::lab) burst: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct MplsFile {
    pub(in crate::lab) labels: Vec<u32>,
    #[serde(default = "yes")]
    pub(in crate::lab) shown: bool,
    #[serde(default = "yes")]
    pub(in crate::lab) propagate_ttl: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct InterfaceFile {
    pub(in crate::lab) role: InterfaceRole,
    pub(in crate::lab) ifindex: Option<u32>,
    pub(in crate::lab) address: Option<IpAddr>,
    pub(in crate::lab) name: Option<String>,
    pub(in crate::lab) mtu: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct NatFile {
    pub(in crate::lab) public: Option<Spanned<String>>,
    pub(in crate::lab) public6: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::lab) ports: bool,
    pub(in crate::lab) restore: Restore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct RewriteFile {
    pub(in crate::lab) from: Option<Spanned<String>>,
    pub(in crate::lab) to: Option<Spanned<String>>,
    pub(in crate::lab) destination_port: Option<u16>,
    pub(in crate::lab) ip_id: Option<IpId>,
    pub(in crate::lab) tos: Option<u8>,
    pub(in crate::lab) checksum: Option<Garbled>,
    #[serde(default)]
    pub(in crate::lab) restore: Restore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct LinkFile {
    pub(in crate::lab) from: Spanned<String>,
    pub(in crate::lab) to: Spanned<String>,
    pub(in crate::lab) line: Spanned<LineFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lab) struct TargetFile {
    pub(in crate::lab) prefix: Spanned<String>,
    pub(in crate::lab) at: Spanned<String>,
    pub(in crate::lab) answers_from: Option<Spanned<String>>,
    pub(in crate::lab) line: Option<Spanned<LineFile>>,
    #[serde(default)]
    pub(in crate::lab) silent: bool,
    #[serde(default = "port")]
    pub(in crate::lab) answer: UnreachableFile,
    #[serde(default = "yes")]
    pub(in crate::lab) echo: bool,
    #[serde(default)]
    pub(in crate::lab) udp_services: Vec<u16>,
    #[serde(default)]
    pub(in crate::lab) tcp_open: Vec<u16>,
    #[serde(default)]
    pub(in crate::lab) tcp: TcpPort,
    pub(in crate::lab) rate_limit: Option<Spanned<RateLimitFile>>,
    #[serde(default)]
    pub(in crate::lab) unlimited: bool,
    pub(in crate::lab) initial_ttl: Option<u8>,
    pub(in crate::lab) quote_bytes: Option<Spanned<QuoteBytesFile>>,
    #[serde(default)]
    pub(in crate::lab) quote_length: QuotedLength,
    #[serde(default)]
    pub(in crate::lab) answer_headers: Vec<Spanned<ExtensionHeader>>,
    pub(in crate::lab) answer_fragments: Option<Spanned<u16>>,
}

fn port() -> UnreachableFile {
    UnreachableFile::Port
}
