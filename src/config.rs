//! What a survey is to do: one validated, immutable value, written whole into the manifest.

mod defaults;
mod transport;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::model::{Protocol, Rate, TcpFlags, Ttl};
use crate::targets::{Families, TargetSpec};

pub use transport::Transport;

/// Everything that decides what a survey does. Its JSON form is the manifest's `config`.
#[derive(Clone, Debug, Serialize)]
pub struct SurveyConfig {
    /// Which targets.
    pub targets: TargetSpec,
    /// How they are probed.
    pub method: Method,
    /// Through which sockets; the manifest's `run` says which were got.
    pub transport: Transport,
    /// The probes' protocol.
    pub protocol: Protocol,
    /// Which TCP segment.
    pub tcp_flags: TcpFlags,
    /// Type of service (IPv6: traffic class) of every probe.
    pub tos: u8,
    /// Size of every probe with its IP header, bytes; the smallest possible where none was given.
    pub packet_size: Option<u16>,
    /// Whether the path MTU is looked for: probes start large, may not be fragmented, and shrink.
    pub mtu: bool,
    /// Answers wanted of a hop (`trace`).
    pub probes_per_hop: u8,
    /// Our addresses, at most one a family; the kernel's choice where none was given.
    pub sources: Vec<IpAddr>,
    /// The interface that probes leave by; the routes' choice where none was given.
    pub interface: Option<String>,
    /// The first TTL probed hop by hop.
    pub first_ttl: Ttl,
    /// The highest TTL.
    pub max_ttl: Ttl,
    /// Attempts a hop, at most (`trace`).
    pub attempts: u8,
    /// Silent TTLs in a row that end a trace.
    pub gap_limit: u8,
    /// Targets under way at a time (`trace`).
    pub window: u32,
    /// Flows a target: source ports probed.
    pub flows: u16,
    /// Source port (ICMP: identifier) of flow 0, as asked for; the manifest's `run` says which block was got.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Whether the destination port grows with the TTL.
    pub port_per_ttl: bool,
    /// Probes a second.
    pub rate: Rate,
    /// A reply after this is late, seconds.
    #[serde(serialize_with = "seconds", rename = "timeout_s")]
    pub timeout: Duration,
    /// How much longer a late or duplicate reply is still recognised, seconds.
    #[serde(serialize_with = "seconds", rename = "late_window_s")]
    pub late_window: Duration,
    /// How long to listen after the last probe, seconds.
    #[serde(serialize_with = "seconds", rename = "cooldown_s")]
    pub cooldown: Duration,
    /// Decides the order of probing, and in virtual time everything else too. Drawn anew where none was given.
    pub seed: u64,
    /// Over which network.
    pub network: Network,
    /// A finished run with a smaller share of answered probes ends with exit code 3.
    pub min_reply_rate: Option<f64>,
    /// The vantage point's name.
    pub vantage: String,
    /// One night's work, shared by its parts; the run's own id where none was given.
    pub survey_id: Option<String>,
    /// A part of the dataset is sealed at this age, seconds.
    #[serde(serialize_with = "seconds", rename = "seal_interval_s")]
    pub seal_interval: Duration,
    /// Where every packet received is kept as well, for runs over real sockets.
    pub pcap: Option<std::path::PathBuf>,
}

/// The strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Complete paths with few probes.
    Trace,
    /// Every (target, TTL, flow) once.
    Sweep,
}

impl Method {
    /// The name in the `method` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Trace => "trace",
            Method::Sweep => "sweep",
        }
    }
}

/// Over which network a survey runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Network {
    /// The real one.
    Real,
    /// The simulated internet over real sockets, in a namespace of its own.
    Lab {
        /// Its file; the generated network where there is none.
        file: Option<std::path::PathBuf>,
    },
    /// The simulated internet in-process, in virtual time.
    VirtualLab {
        /// Its file; the generated network where there is none.
        file: Option<std::path::PathBuf>,
    },
}

impl Network {
    /// Whether nothing can leave this machine.
    pub fn is_lab(&self) -> bool {
        *self != Network::Real
    }
}

/// Two options that make no sense together, or one that makes none alone.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// TTLs start at 1.
    #[error("--first-ttl 0: TTLs start at 1")]
    FirstTtlZero,
    /// Nothing to probe.
    #[error("--first-ttl {first} is above --max-ttl {max}: nothing would be probed")]
    TtlRange {
        /// As given.
        first: u8,
        /// As given.
        max: u8,
    },
    /// TTLs that leave no room to reckon a distance with.
    #[error("--max-ttl {0}: give at most {MOST_TTL}")]
    MaxTtl(u8),
    /// A count outside what makes sense.
    #[error("{option} {count}: give between 1 and {most}")]
    Count {
        /// The option.
        option: &'static str,
        /// As given.
        count: u32,
        /// The most that is allowed.
        most: u32,
    },
    /// Ports that do not exist.
    #[error("{option} {port} and {count} ports from there on do not fit between 1 and 65535")]
    Ports {
        /// The option.
        option: &'static str,
        /// The first port.
        port: u16,
        /// How many follow.
        count: u16,
    },
    /// Segments of no connection carry nothing.
    #[error(
        "--packet-size and --mtu: TCP probes carry no payload that could be made larger; use --protocol udp or icmp"
    )]
    SizeOfTcp,
    /// Larger than what is read of a packet.
    #[error(
        "--packet-size {size} with --protocol icmp: targets send all of it back, and of a packet {most} bytes are read; give at most {most}"
    )]
    SizeOfEcho {
        /// As given.
        size: u16,
        /// The most that is read.
        most: u16,
    },
    /// A sweep asks every TTL once.
    #[error(
        "--mtu: a sweep sends every probe once and cannot send a smaller one in its place; use --strategy trace"
    )]
    MtuOfSweep,
    /// A sweep asks every TTL once.
    #[error("--probes-per-hop: a sweep sends every probe once; use --strategy trace")]
    RepeatsOfSweep,
    /// There are no addresses and interfaces of ours in virtual time.
    #[error("--source and --interface: with --virtual-time there are no sockets; leave them out")]
    OriginOfVirtualTime,
    /// Too small for headers and marks.
    #[error("--packet-size {0}: {PACKET_SIZES}")]
    PacketSize(u16),
    /// Two addresses of one family.
    #[error("--source {first} and {second}: give one address for each family")]
    Sources {
        /// As given.
        first: IpAddr,
        /// As given.
        second: IpAddr,
    },
    /// Too short to tell anything.
    #[error("--timeout: give between 0.01 and 3600 seconds")]
    Timeout,
    /// More probes would be live than can be told apart and held in memory.
    #[error(
        "--rate, --timeout and --late-window keep {live} probes live at a time, more than {most}: lower one of them"
    )]
    Live {
        /// Probes live at a time.
        live: u64,
        /// The most that are allowed.
        most: u64,
    },
    /// No name could be resolved.
    #[error(
        "--resolver with --virtual-time: such a run opens no sockets; give addresses, or leave --virtual-time out"
    )]
    ResolverInVirtualTime,
    /// No name would give a target.
    #[error(
        "--resolve-targets asks for addresses of a family that the run does not probe: choose the other"
    )]
    ResolveFamily,
    /// No share.
    #[error("--min-reply-rate {0}: give a share between 0 and 1")]
    MinReplyRate(f64),
    /// What takes raw sockets.
    #[error("--transport dgram with {option}: ordinary sockets {lack}; leave one of them out")]
    NotByDgram {
        /// The option.
        option: &'static str,
        /// What ordinary sockets lack.
        lack: &'static str,
    },
    /// No sockets to choose among.
    #[error(
        "--transport dgram with --virtual-time: such a run opens no sockets; leave one of them out"
    )]
    DgramInVirtualTime,
    /// More items than a run can count.
    #[error("--vantage and --survey-id must not be empty")]
    EmptyName,
}

/// What Ethernet carries, bytes: where the search for the path MTU starts.
const ETHERNET_MTU: u16 = 1_500;
/// The least size of a probe with marks, bytes: IPv4 or IPv6 header, transport header, marks.
const LEAST_SIZES: [u16; 2] = [40, 60];
/// The most that an echo probe can be, bytes: receive buffers hold 2 KiB of a packet, a packet ring some less.
const MOST_ECHO_SIZE: u16 = 1_900;
/// Sizes in words.
pub const PACKET_SIZES: &str = "give 60 to 65535 bytes, or with -4 40 to 65535, with ICMP at most 1900; the IP header is among them";
/// The highest TTL probed.
pub const MOST_TTL: u8 = 254;
/// Attempts a hop, and answers wanted of one.
pub const MOST_ATTEMPTS: u8 = 100;
/// Targets under way at a time: some kilobytes each.
pub const MOST_WINDOW: u32 = 1 << 20;
/// How long an answer may be waited for, seconds.
pub const TIMEOUT_S: RangeInclusive<f64> = 0.01..=3_600.0;
/// Live probes at a time: about 15 GiB.
const MOST_LIVE: u64 = 1 << 27;

impl SurveyConfig {
    /// Checks that the options make sense together.
    pub fn validate(self) -> Result<Self, ConfigError> {
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
        let counts = [
            (
                "--attempts",
                u32::from(self.attempts),
                u32::from(MOST_ATTEMPTS),
            ),
            (
                "--gap-limit",
                u32::from(self.gap_limit),
                u32::from(MOST_TTL),
            ),
            ("--window", self.window, MOST_WINDOW),
            ("--flows", u32::from(self.flows), u32::from(u16::MAX)),
            (
                "--probes-per-hop",
                u32::from(self.probes_per_hop),
                u32::from(MOST_ATTEMPTS),
            ),
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
        self.validate_sizes()?;
        self.validate_sources()?;
        let per_ttl = if self.port_per_ttl { u16::from(max) } else { 1 };
        let ports = [
            ("--source-port", self.source_port, self.flows),
            ("--dest-port", self.destination_port, per_ttl),
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
        let virtual_time = matches!(self.network, Network::VirtualLab { .. });
        if self.transport == Transport::Dgram {
            if let Some((option, lack)) = self.against_dgram() {
                return Err(ConfigError::NotByDgram { option, lack });
            }
            if virtual_time {
                return Err(ConfigError::DgramInVirtualTime);
            }
        }
        if virtual_time && !self.targets.resolvers.is_empty() {
            return Err(ConfigError::ResolverInVirtualTime);
        }
        if self
            .targets
            .resolve_targets
            .and(self.targets.families)
            .is_none()
        {
            return Err(ConfigError::ResolveFamily);
        }
        if self.vantage.is_empty() || self.survey_id.as_deref() == Some("") {
            return Err(ConfigError::EmptyName);
        }
        Ok(self)
    }

    /// The size of the first probes, where it is not the smallest possible, bytes.
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
        if self.mtu && self.method == Method::Sweep {
            return Err(ConfigError::MtuOfSweep);
        }
        if self.probes_per_hop > 1 && self.method == Method::Sweep {
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

    /// How many probes are live at a time at the full rate.
    pub fn live_probes(&self) -> u64 {
        let lifetime = self.timeout + self.late_window;
        (self.rate.per_second() * lifetime.as_secs_f64()).ceil() as u64
    }
}

fn seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}
