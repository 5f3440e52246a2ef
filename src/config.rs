//! The configuration of a survey: one validated, immutable value that the manifest holds whole.

mod defaults;
mod error;
mod multipath;
mod stored;
mod transport;
mod vary;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::model::{Algorithm, Protocol, Rate, TcpFlags, Ttl, Vary, named};
use crate::targets::{Families, TargetSpec};

pub use crate::model::IfExists;
pub use crate::transport::TransportChoice;
pub use error::ConfigError;
pub use stored::StoredConfigError;

/// Everything that decides what a survey does. Its JSON form is the manifest's `config`, which [`SurveyConfig::from_json`] reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SurveyConfig {
    /// The targets.
    pub targets: TargetSpec,
    /// The strategy.
    #[serde(rename = "method")]
    pub strategy: StrategyChoice,
    /// The kind of sockets asked for. The manifest's `run` holds the kind used.
    pub transport: TransportChoice,
    /// The probes' protocol.
    pub protocol: Protocol,
    /// The kind of TCP segment.
    pub tcp_flags: TcpFlags,
    /// Type of service (IPv6: traffic class) of every probe.
    pub tos: u8,
    /// Size of every probe with its IP header, in bytes. `None`: the smallest possible.
    pub packet_size: Option<u16>,
    /// Whether to search the path MTU. Probes then start large, may not be fragmented, and shrink.
    pub mtu: bool,
    /// Answers wanted per hop (`trace`).
    pub probes_per_hop: u8,
    /// Source addresses, at most one per family. Without one, the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// The interface that probes leave by. `None`: as the routes say.
    pub interface: Option<String>,
    /// The first TTL probed hop by hop.
    pub first_ttl: Ttl,
    /// The highest TTL.
    pub max_ttl: Ttl,
    /// Most attempts per hop (`trace`).
    pub attempts: u8,
    /// Silent TTLs in a row that end a trace.
    pub gap_limit: u8,
    /// Most targets under way at a time (`trace`).
    pub window: u32,
    /// Flows per target.
    pub flows: u16,
    /// The field in which the flows of a target differ.
    pub vary: Vary,
    /// How graphs are searched (`multipath`).
    pub multipath: Algorithm,
    /// The most flows that a target may use (`multipath`).
    pub max_flows: u16,
    /// Nodes at one TTL that are followed (`multipath`).
    pub max_width: u16,
    /// The probability of finding all next hops of a node (`multipath`). `None`: that of the whole graph is given.
    pub confidence: Option<f64>,
    /// The probability of finding the whole graph of a target (`multipath`).
    pub graph_confidence: f64,
    /// Source port (ICMP: identifier) of flow 0, as asked for. The manifest's `run` holds the block used.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Whether the destination port grows with the TTL.
    pub port_per_ttl: bool,
    /// Probes per second.
    pub rate: Rate,
    /// Replies after this time are late, in seconds.
    #[serde(with = "stored::seconds", rename = "timeout_s")]
    pub timeout: Duration,
    /// How much longer late and duplicate replies are recognised, in seconds.
    #[serde(with = "stored::seconds", rename = "late_window_s")]
    pub late_window: Duration,
    /// How long to listen after the last probe, seconds.
    #[serde(with = "stored::seconds", rename = "cooldown_s")]
    pub cooldown: Duration,
    /// Decides the order of probing. In virtual time it decides everything else as well. Random by default.
    pub seed: u64,
    /// The network.
    pub network: Network,
    /// If a finished run has a smaller share of answered probes, it exits with code 3.
    pub min_reply_rate: Option<f64>,
    /// The vantage point's name.
    pub vantage: String,
    /// The name that several runs of one survey share. `None`: the run's id.
    pub survey_id: Option<String>,
    /// The night that the run belongs to. `None`: the UTC day of its start.
    #[serde(with = "stored::day")]
    pub date: Option<NaiveDate>,
    /// What to do if the dataset directory already holds a run of this night and vantage point.
    pub if_exists: IfExists,
    /// The age at which a part of the dataset is sealed, in seconds.
    #[serde(with = "stored::seconds", rename = "seal_interval_s")]
    pub seal_interval: Duration,
    /// The number of rows of a table at which a part of the dataset is sealed.
    pub seal_rows: u32,
    /// The run stops sending this time after its first probe, in seconds. `None`: when all is probed.
    #[serde(with = "stored::optional_seconds", rename = "max_duration_s")]
    pub max_duration: Option<Duration>,
    /// Whether to probe the hops that stayed silent once more at the end.
    pub second_pass: bool,
    /// The file for all received packets, in runs over real sockets.
    pub pcap: Option<std::path::PathBuf>,
}

named! {
    /// The strategies.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum StrategyChoice: "a strategy" {
        /// Complete paths with few probes.
        Trace = "trace",
        /// Every (target, TTL, flow) once.
        Sweep = "sweep",
        /// All paths to each target that flows can take.
        Multipath = "multipath",
    }
}

/// The network of a survey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Network {
    /// The real network.
    Real,
    /// The simulated internet over real sockets, in a network namespace.
    Lab {
        /// Its file. `None`: the generated network.
        file: Option<std::path::PathBuf>,
    },
    /// The simulated internet within the process, in virtual time.
    VirtualLab {
        /// Its file. `None`: the generated network.
        file: Option<std::path::PathBuf>,
    },
}

impl Network {
    /// Whether no packet can leave this machine.
    pub fn is_lab(&self) -> bool {
        *self != Network::Real
    }
}

/// The MTU of Ethernet in bytes. The search for the path MTU starts with it.
const ETHERNET_MTU: u16 = 1_500;
/// The smallest probe with marks in bytes: IPv4 or IPv6 header, transport header, marks.
const LEAST_SIZES: [u16; 2] = [40, 60];
/// The largest echo probe in bytes. Receive buffers hold 2 KiB of a packet, and slots of a packet ring slightly less.
const MOST_ECHO_SIZE: u16 = 1_900;
/// The valid sizes, as text.
pub const PACKET_SIZES: &str = "give 60 to 65535 bytes, or with -4 40 to 65535, with ICMP at most 1900; the IP header is among them";
/// The highest TTL probed.
pub const MOST_TTL: u8 = 254;
/// Most attempts per hop, and most answers wanted per hop.
pub const MOST_ATTEMPTS: u8 = 100;
/// Most nodes at one TTL that multipath tracing follows.
pub const MOST_WIDTH: u16 = 1_024;
/// Valid confidences. Above the highest, rounding would decide.
pub const CONFIDENCE: RangeInclusive<f64> = 0.5..=0.999_999;
/// Most targets under way at a time. Each needs some kilobytes.
pub const MOST_WINDOW: u32 = 1 << 20;
/// Valid timeouts, in seconds.
pub const TIMEOUT_S: RangeInclusive<f64> = 0.01..=3_600.0;
/// Valid numbers of rows of a part. A part of the largest number is one row group; below the smallest, files cost more than their rows.
pub const SEAL_ROWS: RangeInclusive<u32> = 100..=1_000_000;
/// Valid values of the longest duration of a run, in seconds. The longest is 30 days.
pub const MAX_DURATION_S: RangeInclusive<f64> = 0.001..=2_592_000.0;
/// The most bytes of a vantage point's name in the name of a folder: file systems allow 255, and the name starts with `vp=id-`.
const MOST_VANTAGE_BYTES: usize = 255 - "vp=id-".len();
/// Most live probes at a time: probes that are not forgotten yet, answered or not. They need about 15 GiB.
const MOST_LIVE: u64 = 1 << 27;

impl SurveyConfig {
    /// Checks that the options are valid and fit together.
    pub fn validate(self) -> Result<Self, ConfigError> {
        self.validate_ttls()?;
        self.validate_counts()?;
        self.validate_sizes()?;
        self.validate_sources()?;
        self.validate_ports()?;
        if !TIMEOUT_S.contains(&self.timeout.as_secs_f64()) {
            return Err(ConfigError::Timeout);
        }
        let live = self.live_probes();
        if live > MOST_LIVE {
            return Err(ConfigError::Live {
                live,
                most: MOST_LIVE,
            });
        }
        if let Some(share) = self.min_reply_rate
            && !(0.0..=1.0).contains(&share)
        {
            return Err(ConfigError::MinReplyRate(share));
        }
        self.validate_sockets()?;
        self.validate_multipath()?;
        self.validate_vary()?;
        self.validate_parts()?;
        let targets = &self.targets;
        if targets.resolve_targets.and(targets.families).is_none() {
            return Err(ConfigError::ResolveFamily);
        }
        if self.vantage.is_empty() || self.survey_id.as_deref() == Some("") {
            return Err(ConfigError::EmptyName);
        }
        let folder = folder_bytes(&self.vantage);
        if folder > MOST_VANTAGE_BYTES {
            return Err(ConfigError::LongVantage(folder));
        }
        Ok(self)
    }

    fn validate_ttls(&self) -> Result<(), ConfigError> {
        let (first, max) = (self.first_ttl.0, self.max_ttl.0);
        if first == 0 {
            return Err(ConfigError::FirstTtlZero);
        }
        if first > max {
            return Err(ConfigError::TtlRange { first, max });
        }
        if max > MOST_TTL {
            return Err(ConfigError::MaxTtl(max));
        }
        Ok(())
    }

    fn validate_counts(&self) -> Result<(), ConfigError> {
        let attempts = u32::from(MOST_ATTEMPTS);
        let counts = [
            ("--attempts", u32::from(self.attempts), attempts),
            (
                "--gap-limit",
                u32::from(self.gap_limit),
                u32::from(MOST_TTL),
            ),
            ("--window", self.window, MOST_WINDOW),
            ("--flows", u32::from(self.flows), u32::from(u16::MAX)),
            (
                "--max-flows",
                u32::from(self.max_flows),
                u32::from(u16::MAX),
            ),
            (
                "--max-width",
                u32::from(self.max_width),
                u32::from(MOST_WIDTH),
            ),
            ("--probes-per-hop", u32::from(self.probes_per_hop), attempts),
        ];
        for (option, count, most) in counts {
            if !(1..=most).contains(&count) {
                return Err(ConfigError::Count {
                    option,
                    count,
                    most,
                });
            }
        }
        Ok(())
    }

    /// Checks the length of a run and of its parts.
    fn validate_parts(&self) -> Result<(), ConfigError> {
        if !SEAL_ROWS.contains(&self.seal_rows) {
            return Err(ConfigError::SealRows(self.seal_rows));
        }
        match self.max_duration {
            Some(span) if !MAX_DURATION_S.contains(&span.as_secs_f64()) => {
                Err(ConfigError::MaxDuration)
            }
            _ => Ok(()),
        }
    }

    fn validate_ports(&self) -> Result<(), ConfigError> {
        let to = match self.port_per_ttl {
            true => u16::from(self.max_ttl.0),
            false => self.destination_ports(),
        };
        let ports = [
            ("--source-port", self.source_port, self.source_ports()),
            ("--dest-port", self.destination_port, to),
        ];
        for (option, port, count) in ports {
            if port == 0 || port.checked_add(count - 1).is_none() {
                return Err(ConfigError::Ports {
                    option,
                    port,
                    count,
                });
            }
        }
        Ok(())
    }

    /// Checks that the kind of sockets, or virtual time without sockets, can do what is asked for.
    fn validate_sockets(&self) -> Result<(), ConfigError> {
        let virtual_time = matches!(self.network, Network::VirtualLab { .. });
        self.validate_transport()?;
        if virtual_time && !self.targets.resolvers.is_empty() {
            return Err(ConfigError::ResolverInVirtualTime);
        }
        Ok(())
    }

    /// The size of the first probes in bytes. `None`: the smallest possible.
    pub fn first_size(&self) -> Option<u16> {
        match self.mtu {
            true => Some(self.packet_size.unwrap_or(ETHERNET_MTU)),
            false => self.packet_size,
        }
    }

    fn validate_sizes(&self) -> Result<(), ConfigError> {
        if (self.mtu || self.packet_size.is_some()) && self.protocol == Protocol::Tcp {
            return Err(ConfigError::SizeOfTcp);
        }
        if self.mtu && self.strategy == StrategyChoice::Sweep {
            return Err(ConfigError::MtuOfSweep);
        }
        if self.probes_per_hop > 1 && self.strategy == StrategyChoice::Sweep {
            return Err(ConfigError::RepeatsOfSweep);
        }
        let least = LEAST_SIZES[usize::from(self.targets.families != Families::Ipv4)];
        match self.packet_size {
            Some(size) if size < least => Err(ConfigError::PacketSize(size)),
            Some(size) if size > MOST_ECHO_SIZE && self.protocol == Protocol::Icmp => {
                Err(ConfigError::SizeOfEcho {
                    size,
                    most: MOST_ECHO_SIZE,
                })
            }
            _ => Ok(()),
        }
    }

    fn validate_sources(&self) -> Result<(), ConfigError> {
        for ipv6 in [false, true] {
            let mut family = self
                .sources
                .iter()
                .filter(|address| address.is_ipv6() == ipv6);
            if let (Some(first), Some(second)) = (family.next(), family.next()) {
                return Err(ConfigError::Sources {
                    first: *first,
                    second: *second,
                });
            }
        }
        let named = !self.sources.is_empty() || self.interface.is_some();
        if named && matches!(self.network, Network::VirtualLab { .. }) {
            return Err(ConfigError::OriginOfVirtualTime);
        }
        Ok(())
    }

    /// The number of live probes at the full rate.
    pub fn live_probes(&self) -> u64 {
        let lifetime = self.timeout + self.late_window;
        (self.rate.per_second() * lifetime.as_secs_f64()).ceil() as u64
    }
}

/// The bytes that a vantage point's name takes in the name of a folder. The dataset encodes bytes other than these as `%` and two digits.
fn folder_bytes(vantage: &str) -> usize {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let bytes = vantage.bytes().map(|byte| if plain(byte) { 1 } else { 3 });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_have_names_that_read_back() {
        for strategy in StrategyChoice::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        for choice in IfExists::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
    }
}
