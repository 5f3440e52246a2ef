//! Why a configuration makes no sense.

use std::net::IpAddr;

use super::{CONFIDENCE, MAX_DURATION_S, MOST_TTL, MOST_VANTAGE_BYTES, PACKET_SIZES, SEAL_ROWS};

/// Options that contradict each other, or a value out of range.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// TTLs start at 1.
    #[error("--first-ttl 0: TTLs start at 1")]
    FirstTtlZero,
    /// No TTL to probe.
    #[error("--first-ttl {first} is above --max-ttl {max}: nothing would be probed")]
    TtlRange {
        /// As given.
        first: u8,
        /// As given.
        max: u8,
    },
    /// TTLs so high that distances cannot be computed.
    #[error("--max-ttl {0}: give at most {MOST_TTL}")]
    MaxTtl(u8),
    /// A count out of range.
    #[error("{option} {count}: give between 1 and {most}")]
    Count {
        /// The option.
        option: &'static str,
        /// As given.
        count: u32,
        /// The largest allowed count.
        most: u32,
    },
    /// Ports out of range.
    #[error("{option} {port} and {count} ports from there on do not fit between 1 and 65535")]
    Ports {
        /// The option.
        option: &'static str,
        /// The first port.
        port: u16,
        /// The number of ports from there on.
        count: u16,
    },
    /// TCP probes have no payload.
    #[error(
        "--packet-size and --mtu: TCP probes carry no payload that could be made larger; use --protocol udp or icmp"
    )]
    SizeOfTcp,
    /// Larger than the part of a packet that is read.
    #[error(
        "--packet-size {size} with --protocol icmp: targets send all of it back, and at most {most} bytes of a packet are read; give at most {most}"
    )]
    SizeOfEcho {
        /// As given.
        size: u16,
        /// The number of bytes that are read.
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
    /// Virtual time has no addresses and interfaces of this machine.
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
    /// A timeout out of range.
    #[error("--timeout: give between 0.01 and 3600 seconds")]
    Timeout,
    /// More live probes than can be told apart and held in memory.
    #[error(
        "--rate, --timeout and --late-window keep {live} probes live at a time, more than {most}: lower one of them"
    )]
    Live {
        /// Probes live at a time.
        live: u64,
        /// The largest allowed number.
        most: u64,
    },
    /// Virtual time cannot resolve names.
    #[error(
        "--resolver with --virtual-time: such a run opens no sockets; give addresses, or leave --virtual-time out"
    )]
    ResolverInVirtualTime,
    /// No name could give a target.
    #[error(
        "--resolve-targets asks for addresses of a family that the run does not probe: choose the other"
    )]
    ResolveFamily,
    /// Not a share.
    #[error("--min-reply-rate {0}: give a share between 0 and 1")]
    MinReplyRate(f64),
    /// An option that the transport cannot serve.
    #[error("--transport {transport} with {option}: this transport {lack}; leave one of them out")]
    BeyondTransport {
        /// The transport's name.
        transport: &'static str,
        /// The option.
        option: &'static str,
        /// The capability that the transport lacks.
        lack: &'static str,
    },
    /// Virtual time has no sockets.
    #[error(
        "--transport dgram with --virtual-time: such a run opens no sockets; leave one of them out"
    )]
    DgramInVirtualTime,
    /// Parts that are too small or too large.
    #[error("--seal-rows {0}: give between {least} and {most} rows", least = SEAL_ROWS.start(), most = SEAL_ROWS.end())]
    SealRows(u32),
    /// A confidence out of range.
    #[error("--confidence and --graph-confidence: {0} is not between {least} and {most}; give percent (95%) or a share (0.95)", least = CONFIDENCE.start(), most = CONFIDENCE.end())]
    Confidence(f64),
    /// An option that multipath tracing does not have.
    #[error(
        "{0} with --strategy multipath: it sends many flows to each hop; leave {0} out, or use --strategy trace"
    )]
    NotWithMultipath(&'static str),
    /// The probes do not have the field that is to vary.
    #[error("--vary {vary}: {lack}")]
    Vary {
        /// The field, as the option has it.
        vary: &'static str,
        /// What is missing, and the remedy.
        lack: &'static str,
    },
    /// A time limit out of range.
    #[error("--max-duration: give between {least} and {most} seconds", least = MAX_DURATION_S.start(), most = MAX_DURATION_S.end())]
    MaxDuration,
    /// An empty name.
    #[error("--vantage and --survey-id must not be empty")]
    EmptyName,
    /// The vantage point's name does not fit into the name of a folder.
    #[error(
        "--vantage: the name takes {0} bytes in the name of a folder, more than {MOST_VANTAGE_BYTES}: give a shorter name (every byte that is \
         not a letter, digit, `.`, `_` or `-` takes three)"
    )]
    LongVantage(usize),
}
