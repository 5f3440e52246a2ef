//! The options of `survey`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use clap::Args;

use pathsurvey::config::{MOST_ATTEMPTS, MOST_TTL, MOST_WIDTH, MOST_WINDOW, SEAL_ROWS};
use pathsurvey::dataset::Format;
use pathsurvey::model::Rate;
use pathsurvey::targets::parse_server;

use super::super::names::{
    AlgorithmName, FlagsName, IfExistsName, NameFamily, ProtocolName, StrategyName, TransportName,
    VaryName,
};
use super::super::values::{
    confidence, day, max_duration, packet_size, rate, seconds, share, timeout, whole, whole_or_hex,
};

/// Options of `survey`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SurveyArgs {
    /// Targets: addresses, prefixes or host names.
    #[arg(value_name = "TARGET")]
    pub(in crate::cli) targets: Vec<String>,

    /// Read options from FILE: TOML with the long names of options, or the manifest of a run, which is repeated. Options on the command
    /// line, and environment variables, win over the file.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,

    /// Go on with the run in the directory -o, which was killed or interrupted, or failed.
    ///
    /// Only the options --date, --vantage and --max-duration go with it. The configuration and the targets are stored in the directory.
    #[arg(long)]
    pub(in crate::cli) resume: bool,

    /// Read targets from FILE: one per line, or CSV with a column `target`. FILE may be compressed (gzip, zstd); `-` is standard input.
    #[arg(short, long, value_name = "FILE", help_heading = "Targets")]
    pub(in crate::cli) input_file: Vec<PathBuf>,

    /// Do not probe the addresses and prefixes in FILE.
    #[arg(short, long, value_name = "FILE", help_heading = "Targets")]
    pub(in crate::cli) blocklist_file: Vec<PathBuf>,

    /// Hosts to probe in each /24 of an IPv4 prefix that is shorter than /24. In IPv6 prefixes, one host in each /48 is probed.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=254_u8), help_heading = "Targets")]
    pub(in crate::cli) per_prefix: u8,

    /// The seed that selects the hosts of prefixes. Runs with the same seed probe the same hosts.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole_or_hex(0..=u64::MAX), help_heading = "Targets")]
    pub(in crate::cli) target_seed: u64,

    /// Probe special-use addresses (private, documentation, …) as well. Always on in the lab.
    #[arg(long, help_heading = "Targets")]
    pub(in crate::cli) allow_special: bool,

    /// Accept more than 16,777,216 targets.
    #[arg(long, help_heading = "Targets")]
    pub(in crate::cli) yes_large: bool,

    /// Probe IPv4 targets only. IPv6 targets are counted and left out.
    #[arg(short = '4', long, help_heading = "Targets")]
    pub(in crate::cli) ipv4: bool,

    /// Probe IPv6 targets only. IPv4 targets are counted and left out.
    #[arg(short = '6', long, help_heading = "Targets")]
    pub(in crate::cli) ipv6: bool,

    /// The addresses of a host name to probe [default: 4; with --ipv6: 6].
    #[arg(long, value_enum, value_name = "FAMILY", help_heading = "Targets")]
    pub(in crate::cli) resolve_targets: Option<NameFamily>,

    /// Resolve host names with this DNS server instead of /etc/hosts and /etc/resolv.conf. If several are given, they are asked in order.
    /// A link-local address has its interface behind `%`: fe80::1%eth0.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = parse_server, help_heading = "Targets")]
    pub(in crate::cli) resolver: Vec<SocketAddr>,

    /// Fail before the first probe if an input line is bad or a name cannot be resolved.
    #[arg(long, help_heading = "Targets")]
    pub(in crate::cli) strict: bool,

    /// Where to write the dataset: a directory (Parquet), a file (*.csv, *.jsonl, *.parquet, *.arrow), or `-`.
    ///
    /// If the path is a link, the file behind it is replaced, and the manifest is written beside that file. A FIFO or a character device is
    /// written in place, like standard output, and has no manifest.
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(in crate::cli) output_file: Option<String>,

    /// The format of a single file or of standard output: csv, jsonl, parquet or arrow.
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub(in crate::cli) format: Option<Format>,

    /// The vantage point's name in the dataset.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "local",
        env = "PATHSURVEY_VANTAGE",
        help_heading = "Output"
    )]
    pub(in crate::cli) vantage: String,

    /// The name of a survey that several runs share [default: the run's id].
    #[arg(long, value_name = "ID", help_heading = "Output")]
    pub(in crate::cli) survey_id: Option<String>,

    /// The night that this run belongs to (YYYY-MM-DD) [default: the UTC day of its start].
    #[arg(long, value_name = "DAY", value_parser = day, help_heading = "Output")]
    pub(in crate::cli) date: Option<NaiveDate>,

    /// What to do if the dataset directory already holds a run of the same night and vantage point [default: append].
    #[arg(long, value_enum, value_name = "CHOICE", help_heading = "Output")]
    pub(in crate::cli) if_exists: Option<IfExistsName>,

    /// Seal a part of the dataset directory at this interval. A killed run loses open traces, and the rows since the last part.
    ///
    /// A single file gets its name when the run ends. A killed run leaves its rows in .NAME.partial. A partial Parquet file cannot be read.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, allow_negative_numbers = true, help_heading = "Output")]
    pub(in crate::cli) seal_interval: Duration,

    /// Seal a part of the dataset directory earlier if a table has this number of rows.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = whole(SEAL_ROWS), help_heading = "Output")]
    pub(in crate::cli) seal_rows: u32,

    /// Write every received packet, with its timestamp, to FILE (pcap).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(in crate::cli) pcap: Option<PathBuf>,

    /// The probing strategy.
    #[arg(long, value_enum, default_value = "trace", help_heading = "Probing")]
    pub(in crate::cli) strategy: StrategyName,

    /// The kind of probes: UDP datagrams, TCP segments or ICMP echo requests.
    #[arg(long, value_enum, default_value = "udp", help_heading = "Probing")]
    pub(in crate::cli) protocol: ProtocolName,

    /// The kind of sockets: raw sockets, or ordinary sockets, which need no privileges and record less.
    #[arg(long, value_enum, default_value = "auto", help_heading = "Probing")]
    pub(in crate::cli) transport: TransportName,

    /// Probes per second in total (10k and 1.5M are accepted) [default: 1000; in the lab 20k].
    #[arg(short, long, value_parser = rate, allow_negative_numbers = true, help_heading = "Probing")]
    pub(in crate::cli) rate: Option<Rate>,

    /// The first TTL.
    #[arg(
        short,
        long,
        value_name = "TTL",
        default_value_t = 1,
        value_parser = whole(1..=MOST_TTL),
        help_heading = "Probing"
    )]
    pub(in crate::cli) first_ttl: u8,

    /// The highest TTL.
    #[arg(
        short,
        long,
        value_name = "TTL",
        default_value_t = 32,
        value_parser = whole(1..=MOST_TTL),
        help_heading = "Probing"
    )]
    pub(in crate::cli) max_ttl: u8,

    /// Maximum number of attempts at a hop that does not reply (trace).
    #[arg(
        short = 'q',
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = whole(1..=MOST_ATTEMPTS),
        help_heading = "Probing"
    )]
    pub(in crate::cli) attempts: u8,

    /// How long to wait for a reply.
    #[arg(short = 'w', long, value_name = "SECONDS", default_value = "3", value_parser = timeout, allow_negative_numbers = true, help_heading = "Probing")]
    pub(in crate::cli) timeout: Duration,

    /// How long to match late and duplicate replies after the timeout.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true, help_heading = "Probing")]
    pub(in crate::cli) late_window: Duration,

    /// End a trace after this number of silent hops in a row.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole(1..=MOST_TTL), help_heading = "Probing")]
    pub(in crate::cli) gap_limit: u8,

    /// Maximum number of targets that are traced at a time [default: rate / flows, with multipath rate / 2; 64 to 65536].
    #[arg(long, value_name = "N", value_parser = whole(1..=MOST_WINDOW), help_heading = "Probing")]
    pub(in crate::cli) window: Option<u32>,

    /// How long to receive replies after the last probe [default: the timeout].
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, help_heading = "Probing")]
    pub(in crate::cli) cooldown: Option<Duration>,

    /// Stop sending this time after the first probe, such as 6h. Pending replies are waited for, and the exit code is 5. A resumed run
    /// has the stored limit again, from its own first probe.
    #[arg(long, value_name = "TIME", value_parser = max_duration, allow_negative_numbers = true, help_heading = "Probing")]
    pub(in crate::cli) max_duration: Option<Duration>,

    /// Probe the hops that stayed silent once more at the end, at the same rate.
    #[arg(long, help_heading = "Probing")]
    pub(in crate::cli) second_pass: bool,

    /// Number of flows per target. They differ only in one field (--vary), which increases by one per flow.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=u16::MAX), help_heading = "Probing")]
    pub(in crate::cli) flows: u16,

    /// The field in which the flows of a target differ (--flows, and --strategy multipath).
    #[arg(
        long,
        value_name = "FIELD",
        value_enum,
        default_value = "source-port",
        help_heading = "Probing"
    )]
    pub(in crate::cli) vary: VaryName,

    /// How the graph of a target is searched (multipath).
    #[arg(
        long,
        value_name = "ALGORITHM",
        value_enum,
        default_value = "full",
        help_heading = "Multipath"
    )]
    pub(in crate::cli) multipath: AlgorithmName,

    /// The probability of finding the whole graph of a target, in percent or as a share (multipath).
    #[arg(long, value_name = "PERCENT", default_value = "95", value_parser = confidence, allow_negative_numbers = true, help_heading = "Multipath")]
    pub(in crate::cli) graph_confidence: f64,

    /// Bound each node in place of the whole graph: the probability of finding all of its next hops (multipath).
    #[arg(long, value_name = "PERCENT", value_parser = confidence, allow_negative_numbers = true, help_heading = "Multipath")]
    pub(in crate::cli) confidence: Option<f64>,

    /// The most flows that a target may use (multipath). Each takes a source port, and a socket per address family, unless --vary names
    /// another field.
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = whole(1..=u16::MAX), help_heading = "Multipath")]
    pub(in crate::cli) max_flows: u16,

    /// Do not follow a target further if a TTL has more nodes (multipath).
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = whole(1..=MOST_WIDTH), help_heading = "Multipath")]
    pub(in crate::cli) max_width: u16,

    /// The kind of TCP segment (only with TCP) [default: syn].
    #[arg(long, value_name = "FLAGS", help_heading = "Probing")]
    pub(in crate::cli) tcp_flags: Option<FlagsName>,

    /// The type of service (traffic class) of every probe: 0 to 255, or 0x00 to 0xff. DSCP is its upper six bits.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole_or_hex(0..=u8::MAX), help_heading = "Probing")]
    pub(in crate::cli) tos: u8,

    /// The size of every UDP or ICMP probe, with its IP header (not with TCP) [default: the smallest possible].
    #[arg(long, value_name = "BYTES", value_parser = packet_size, help_heading = "Probing")]
    pub(in crate::cli) packet_size: Option<u16>,

    /// Search the path MTU: forbid fragmentation, start with 1500 bytes or --packet-size, and send smaller probes until they pass (trace;
    /// not with TCP).
    #[arg(long, help_heading = "Probing")]
    pub(in crate::cli) mtu: bool,

    /// Probe each hop until it has answered N times (trace).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=MOST_ATTEMPTS), help_heading = "Probing")]
    pub(in crate::cli) probes_per_hop: u8,

    /// Send from this address of this machine. Give at most one per address family.
    #[arg(short, long, value_name = "ADDRESS", help_heading = "Probing")]
    pub(in crate::cli) source: Vec<IpAddr>,

    /// Send through this interface, regardless of the routes.
    #[arg(long, value_name = "NAME", help_heading = "Probing")]
    pub(in crate::cli) interface: Option<String>,

    /// The source port (ICMP identifier) of the first flow. If a port of a flow is in use, the run takes other ports.
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 24_000,
        value_parser = whole(1..=u16::MAX),
        help_heading = "Probing"
    )]
    pub(in crate::cli) source_port: u16,

    /// The destination port of UDP and TCP probes [default: UDP 33434, TCP 80].
    #[arg(long, value_name = "PORT", value_parser = whole(1..=u16::MAX), help_heading = "Probing")]
    pub(in crate::cli) dest_port: Option<u16>,

    /// Increase the destination port with the TTL, as the classic traceroute does. Load balancers then see many flows. Not with ICMP.
    #[arg(long, help_heading = "Probing")]
    pub(in crate::cli) port_per_ttl: bool,

    /// The seed of the probing order [default: random].
    #[arg(short = 'e', long, value_name = "N", value_parser = whole_or_hex(0..=u64::MAX), allow_negative_numbers = true, help_heading = "Probing")]
    pub(in crate::cli) seed: Option<u64>,

    /// Exit with code 3 if less than this share (0.9 or 90%) of the probes is answered.
    #[arg(long, value_name = "SHARE", value_parser = share, allow_negative_numbers = true, help_heading = "Probing")]
    pub(in crate::cli) min_reply_rate: Option<f64>,

    /// Survey the built-in simulated internet instead of the real one. No privileges are needed, and no packet leaves this machine.
    #[arg(long, value_name = "NETWORK.toml", num_args = 0..=1, default_missing_value = "true", help_heading = "Lab")]
    pub(in crate::cli) lab: Option<String>,

    /// With --lab: simulate time as well, without sockets. The same seed gives the same dataset.
    #[arg(long, help_heading = "Lab")]
    pub(in crate::cli) virtual_time: bool,
}
