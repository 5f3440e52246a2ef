//! `pathsurvey survey`: its options, and the exit code of each result.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use pathsurvey::config::{MOST_ATTEMPTS, MOST_TTL, MOST_WINDOW, Network, SurveyConfig};
use pathsurvey::dataset::{Format, Output};
use pathsurvey::model::{Rate, TcpFlags, Ttl};
use pathsurvey::survey::{self, SurveyEnd, SurveyError};
use pathsurvey::targets::{DnsResolver, Families, TargetSpec, parse_server};

use super::log::{LogOptions, write_stderr};
use super::names::{FlagsName, NameFamily, ProtocolName, StrategyName, TransportName, unsupported};
use super::signals::{reread_on_signal, stop_on_signals};
use super::terminal::{Terminal, names_bar};
use super::values::{packet_size, rate, seconds, share, timeout, whole, whole_or_hex};
use super::{BELOW_MIN_REPLY_RATE, FAILED, INCOMPLETE, OK, fail, refuse};

/// The default rate on real networks. It is low, to be polite.
const POLITE_RATE: f64 = 1_000.0;
/// The default rate in the lab, where probes disturb nobody.
const LAB_RATE: f64 = 20_000.0;
/// Bounds of the default window. Within them, the window is the rate divided by the number of flows.
const WINDOW: (f64, f64) = (64.0, 65_536.0);

/// The destination port of UDP probes.
const UDP_PORT: u16 = 33_434;
/// The destination port of TCP probes.
const TCP_PORT: u16 = 80;

/// Options of `survey`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SurveyArgs {
    /// Targets: addresses, prefixes or host names.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Read targets from FILE: one per line, or CSV with a column `target`. FILE may be compressed (gzip, zstd); `-` is standard input.
    #[arg(short, long, value_name = "FILE", help_heading = "Targets")]
    input_file: Vec<PathBuf>,

    /// Do not probe the addresses and prefixes in FILE.
    #[arg(short, long, value_name = "FILE", help_heading = "Targets")]
    blocklist_file: Vec<PathBuf>,

    /// Hosts to probe in each /24 of an IPv4 prefix that is shorter than /24. In IPv6 prefixes, one host in each /48 is probed.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=254_u8), help_heading = "Targets")]
    per_prefix: u8,

    /// The seed that selects the hosts of prefixes. Runs with the same seed probe the same hosts.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole_or_hex(0..=u64::MAX), help_heading = "Targets")]
    target_seed: u64,

    /// Probe special-use addresses (private, documentation, …) as well. Always on in the lab.
    #[arg(long, help_heading = "Targets")]
    allow_special: bool,

    /// Accept more than 16,777,216 targets.
    #[arg(long, help_heading = "Targets")]
    yes_large: bool,

    /// Probe IPv4 targets only. IPv6 targets are counted and left out.
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = "Targets")]
    ipv4: bool,

    /// Probe IPv6 targets only. IPv4 targets are counted and left out.
    #[arg(short = '6', long, help_heading = "Targets")]
    ipv6: bool,

    /// The addresses of a host name to probe [default: 4; with --ipv6: 6].
    #[arg(long, value_enum, value_name = "FAMILY", help_heading = "Targets")]
    resolve_targets: Option<NameFamily>,

    /// Resolve host names with this DNS server instead of /etc/hosts and /etc/resolv.conf. If several are given, they are asked in order.
    /// A link-local address has its interface behind `%`: fe80::1%eth0.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = parse_server, help_heading = "Targets")]
    resolver: Vec<SocketAddr>,

    /// Fail before the first probe if an input line is bad or a name cannot be resolved.
    #[arg(long, help_heading = "Targets")]
    strict: bool,

    /// Where to write the dataset: a directory (Parquet), a file (*.csv, *.jsonl, *.parquet, *.arrow), or `-`.
    ///
    /// If the path is a link, the file behind it is replaced, and the manifest is written beside that file. A FIFO or a character device is
    /// written in place, like standard output, and has no manifest.
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    output_file: String,

    /// The format of a single file or of standard output: csv, jsonl, parquet or arrow.
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    format: Option<Format>,

    /// The vantage point's name in the dataset.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "local",
        env = "PATHSURVEY_VANTAGE",
        help_heading = "Output"
    )]
    vantage: String,

    /// The name of a survey that several runs share [default: the run's id].
    #[arg(long, value_name = "ID", help_heading = "Output")]
    survey_id: Option<String>,

    /// Seal a part of the dataset directory at this interval. A killed run loses open traces, and the rows since the last part.
    ///
    /// A single file gets its name when the run ends. A killed run leaves its rows in .NAME.partial. A partial Parquet file cannot be read.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true, help_heading = "Output")]
    seal_interval: Duration,

    /// Write every received packet, with its timestamp, to FILE (pcap).
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "virtual_time",
        help_heading = "Output"
    )]
    pcap: Option<PathBuf>,

    /// The probing strategy.
    #[arg(long, value_enum, default_value = "trace", help_heading = "Probing")]
    strategy: StrategyName,

    /// The kind of probes: UDP datagrams, TCP segments or ICMP echo requests.
    #[arg(long, value_enum, default_value = "udp", help_heading = "Probing")]
    protocol: ProtocolName,

    /// The kind of sockets: raw sockets, or ordinary sockets, which need no privileges and record less.
    #[arg(long, value_enum, default_value = "auto", help_heading = "Probing")]
    transport: TransportName,

    /// Probes per second in total (10k and 1.5M are accepted) [default: 1000; in the lab 20k].
    #[arg(short, long, value_parser = rate, allow_negative_numbers = true, help_heading = "Probing")]
    rate: Option<Rate>,

    /// The first TTL.
    #[arg(
        short,
        long,
        value_name = "TTL",
        default_value_t = 1,
        value_parser = whole(1..=MOST_TTL),
        help_heading = "Probing"
    )]
    first_ttl: u8,

    /// The highest TTL.
    #[arg(
        short,
        long,
        value_name = "TTL",
        default_value_t = 32,
        value_parser = whole(1..=MOST_TTL),
        help_heading = "Probing"
    )]
    max_ttl: u8,

    /// Maximum number of attempts at a hop that does not reply (trace).
    #[arg(
        short = 'q',
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = whole(1..=MOST_ATTEMPTS),
        help_heading = "Probing"
    )]
    attempts: u8,

    /// How long to wait for a reply.
    #[arg(short = 'w', long, value_name = "SECONDS", default_value = "3", value_parser = timeout, allow_negative_numbers = true, help_heading = "Probing")]
    timeout: Duration,

    /// How long to match late and duplicate replies after the timeout.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true, help_heading = "Probing")]
    late_window: Duration,

    /// End a trace after this number of silent hops in a row.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole(1..=MOST_TTL), help_heading = "Probing")]
    gap_limit: u8,

    /// Maximum number of targets that are traced at a time (trace) [default: rate / flows, 64 to 65536].
    #[arg(long, value_name = "N", value_parser = whole(1..=MOST_WINDOW), help_heading = "Probing")]
    window: Option<u32>,

    /// How long to receive replies after the last probe [default: the timeout].
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, help_heading = "Probing")]
    cooldown: Option<Duration>,

    /// Number of flows per target. They differ only in the source port (ICMP identifier), which increases by one per flow.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=u16::MAX), help_heading = "Probing")]
    flows: u16,

    /// The kind of TCP segment (only with TCP) [default: syn].
    #[arg(long, value_name = "FLAGS", help_heading = "Probing")]
    tcp_flags: Option<FlagsName>,

    /// The type of service (traffic class) of every probe: 0 to 255, or 0x00 to 0xff. DSCP is its upper six bits.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole_or_hex(0..=u8::MAX), help_heading = "Probing")]
    tos: u8,

    /// The size of every UDP or ICMP probe, with its IP header (not with TCP) [default: the smallest possible].
    #[arg(long, value_name = "BYTES", value_parser = packet_size, help_heading = "Probing")]
    packet_size: Option<u16>,

    /// Search the path MTU: forbid fragmentation, start with 1500 bytes or --packet-size, and send smaller probes until they pass (trace;
    /// not with TCP).
    #[arg(long, help_heading = "Probing")]
    mtu: bool,

    /// Probe each hop until it has answered N times (trace).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=MOST_ATTEMPTS), help_heading = "Probing")]
    probes_per_hop: u8,

    /// Send from this address of this machine. Give at most one per address family.
    #[arg(short, long, value_name = "ADDRESS", help_heading = "Probing")]
    source: Vec<IpAddr>,

    /// Send through this interface, regardless of the routes.
    #[arg(long, value_name = "NAME", help_heading = "Probing")]
    interface: Option<String>,

    /// The source port (ICMP identifier) of the first flow. If a port of a flow is in use, the run takes other ports.
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 24_000,
        value_parser = whole(1..=u16::MAX),
        help_heading = "Probing"
    )]
    source_port: u16,

    /// The destination port of UDP and TCP probes [default: UDP 33434, TCP 80].
    #[arg(long, value_name = "PORT", value_parser = whole(1..=u16::MAX), help_heading = "Probing")]
    dest_port: Option<u16>,

    /// Increase the destination port with the TTL, as the classic traceroute does. Load balancers then see many flows. Not with ICMP.
    #[arg(long, help_heading = "Probing")]
    port_per_ttl: bool,

    /// The seed of the probing order [default: random].
    #[arg(short = 'e', long, value_name = "N", value_parser = whole_or_hex(0..=u64::MAX), allow_negative_numbers = true, help_heading = "Probing")]
    seed: Option<u64>,

    /// Exit with code 3 if less than this share (0.9 or 90%) of the probes is answered.
    #[arg(long, value_name = "SHARE", value_parser = share, allow_negative_numbers = true, help_heading = "Probing")]
    min_reply_rate: Option<f64>,

    /// Survey the built-in simulated internet instead of the real one. No privileges are needed, and no packet leaves this machine.
    #[arg(long, value_name = "NETWORK.toml", num_args = 0..=1, default_missing_value = "", help_heading = "Lab")]
    lab: Option<String>,

    /// With --lab: simulate time as well, without sockets. The same seed gives the same dataset.
    #[arg(long, requires = "lab", help_heading = "Lab")]
    virtual_time: bool,
}

const EXAMPLES: &str = "\
Examples:
  pathsurvey survey --lab -i sample-targets/lab.csv -o nightly
  sudo pathsurvey survey -i targets.txt -r 500 -o nightly
  sudo pathsurvey survey -i targets.txt -6 --protocol tcp --dest-port 443 -o nightly
  pathsurvey survey --lab 198.18.0.0/22 -o - --format csv | head

Numbers may be written as 10_000, 10k or 1.5M, times in seconds or as 500ms,
2s or 5min, and shares as 0.9 or 90%.

Exit codes: 0 success, 1 failure, 2 invalid options, 3 below --min-reply-rate,
4 incomplete (more than 1% of the probes could not be sent, or more than 1% of the
traces ended for that reason; targets without a route at the start do not count),
129, 130 and 143 interrupted by SIGHUP, SIGINT (Ctrl-C) and SIGTERM.

The first Ctrl-C or SIGTERM stops sending and waits for pending replies. A second one,
at least half a second later, seals what was received and ends. A third one ends at once.";

impl SurveyArgs {
    /// Runs the survey. Returns the exit code.
    pub(super) fn run(self, log: &LogOptions) -> u8 {
        let output = match Output::parse(&self.output_file, self.format) {
            Ok(output) => output,
            Err(error) => return refuse(&error),
        };
        let ports_named = self.dest_port.is_some() || self.port_per_ttl;
        if let Some(why) = unsupported(self.protocol, self.tcp_flags, ports_named) {
            return refuse(&why);
        }
        let config = match self.into_config().map(SurveyConfig::validate) {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => return refuse(&error),
            Err(error) => return fail(&error),
        };
        if config.targets.arguments.is_empty() && config.targets.files.is_empty() {
            return refuse(
                &"no targets: give addresses, prefixes or names, or a list with --input-file FILE",
            );
        }
        let stop = match stop_on_signals() {
            Ok(stop) => stop,
            Err(error) => return fail(&error),
        };
        // The flag has no effect yet: the survey does not read its blocklists again.
        if let Err(error) = reread_on_signal() {
            return fail(&error);
        }
        let mut terminal = Terminal::new(log);
        let names = DnsResolver::new(&config.targets.resolvers).watched(names_bar(log));
        let end = survey::run(&config, &output, &names, &stop, &mut terminal);
        report(end, log)
    }

    fn into_config(mut self) -> anyhow::Result<SurveyConfig> {
        let network = self.network();
        let in_lab = network.is_lab();
        let (families, name_families) = self.families();
        let default_rate = if in_lab { LAB_RATE } else { POLITE_RATE };
        let rate = self.rate.or(Rate::new(default_rate)).context("no rate")?;
        let window =
            (rate.per_second() / f64::from(self.flows.max(1))).clamp(WINDOW.0, WINDOW.1) as u32;
        let seed = match self.seed {
            Some(seed) => seed,
            None => survey::draw_seed().context("the operating system gives no random numbers")?,
        };
        Ok(SurveyConfig {
            targets: TargetSpec {
                arguments: self.targets,
                files: self.input_file,
                blocklists: self.blocklist_file,
                per_prefix: self.per_prefix,
                target_seed: self.target_seed,
                allow_special: self.allow_special || in_lab,
                allow_large: self.yes_large,
                strict: self.strict,
                families,
                resolve_targets: self.resolve_targets.map_or(name_families, Families::from),
                resolvers: self.resolver,
            },
            strategy: self.strategy.into(),
            transport: self.transport.into(),
            protocol: self.protocol.into(),
            tcp_flags: self.tcp_flags.map(TcpFlags::from).unwrap_or_default(),
            tos: self.tos,
            packet_size: self.packet_size,
            mtu: self.mtu,
            probes_per_hop: self.probes_per_hop,
            sources: self.source,
            interface: self.interface,
            first_ttl: Ttl(self.first_ttl),
            max_ttl: Ttl(self.max_ttl),
            attempts: self.attempts,
            gap_limit: self.gap_limit,
            window: self.window.unwrap_or(window),
            flows: self.flows,
            source_port: self.source_port,
            destination_port: self.dest_port.unwrap_or(match self.protocol {
                ProtocolName::Tcp => TCP_PORT,
                ProtocolName::Udp | ProtocolName::Icmp => UDP_PORT,
            }),
            port_per_ttl: self.port_per_ttl,
            rate,
            timeout: self.timeout,
            late_window: self.late_window,
            cooldown: self.cooldown.unwrap_or(self.timeout),
            seed,
            network,
            min_reply_rate: self.min_reply_rate,
            vantage: self.vantage,
            survey_id: self.survey_id,
            seal_interval: self.seal_interval,
            pcap: self.pcap,
        })
    }

    /// Returns the families to probe, and the default families of host names.
    fn families(&self) -> (Families, Families) {
        match (self.ipv4, self.ipv6) {
            (true, _) => (Families::Ipv4, Families::Ipv4),
            (_, true) => (Families::Ipv6, Families::Ipv6),
            _ => (Families::Both, Families::Ipv4),
        }
    }

    /// Returns the network to survey. Only a name that ends in `.toml` is a network file: `--lab TARGET` means `--lab` and a target.
    fn network(&mut self) -> Network {
        let Some(value) = self.lab.take() else {
            return Network::Real;
        };
        let file = if value.ends_with(".toml") {
            Some(PathBuf::from(value))
        } else {
            if !value.is_empty() {
                self.targets.insert(0, value);
            }
            None
        };
        match self.virtual_time {
            true => Network::VirtualLab { file },
            false => Network::Lab { file },
        }
    }
}

fn report(end: Result<SurveyEnd, SurveyError>, log: &LogOptions) -> u8 {
    let end = match end {
        Ok(end) => end,
        // The reader of standard output closed the pipe.
        Err(error) if error.is_broken_pipe() => return OK,
        Err(SurveyError::Clash(clash)) => return refuse(&clash),
        Err(error) => return fail(&error.into()),
    };
    if log.shows_summary() {
        if log.is_json() {
            write_json_summary(&end);
        } else {
            let state = match (end.signal, end.incomplete) {
                (Some(_), _) => "survey interrupted",
                (None, true) => "survey incomplete",
                (None, false) => "survey complete",
            };
            write_stderr(&format!("{state}\n{}", end.summary));
        }
    }
    if let Some(signal) = end.signal {
        return u8::try_from(128 + signal).unwrap_or(FAILED);
    }
    if let Some(missed) = &end.missed_reply_rate {
        tracing::warn!("{missed}");
    }
    match (end.incomplete, end.missed_reply_rate) {
        (true, _) => INCOMPLETE,
        (false, Some(_)) => BELOW_MIN_REPLY_RATE,
        (false, None) => OK,
    }
}

/// Writes the summary as one JSON line, at any log level.
fn write_json_summary(end: &SurveyEnd) {
    let summary = serde_json::json!({
        "summary": end.summary.to_json(),
        "manifest": end.dataset.manifest,
    });
    write_stderr(&format!("{summary}\n"));
}
