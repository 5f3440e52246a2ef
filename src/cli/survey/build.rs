//! From the options of `survey` to its configuration: the defaults that follow from other options.

use std::path::PathBuf;

use anyhow::Context;

use pathsurvey::config::{IfExists, Network, StrategyChoice, SurveyConfig};
use pathsurvey::model::{Protocol, Rate, TcpFlags, Ttl};
use pathsurvey::survey;
use pathsurvey::targets::{Families, TargetSpec};

use super::SurveyArgs;

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

/// The end of the name of a network file.
pub(in crate::cli) const NETWORK_FILE: &str = ".toml";

/// The rate without --rate.
pub(in crate::cli) fn default_rate(in_lab: bool) -> Option<Rate> {
    Rate::new(if in_lab { LAB_RATE } else { POLITE_RATE })
}

/// Probes per second that a target under way takes in multipath tracing, at least. Its probes wait for earlier answers, and for the target,
/// which answers one per second.
const MULTIPATH_PACE: u16 = 2;

/// The window without --window.
pub(in crate::cli) fn default_window(rate: Rate, strategy: StrategyChoice, flows: u16) -> u32 {
    let flows = match strategy {
        StrategyChoice::Multipath => MULTIPATH_PACE,
        StrategyChoice::Trace | StrategyChoice::Sweep => flows,
    };
    (rate.per_second() / f64::from(flows.max(1))).clamp(WINDOW.0, WINDOW.1) as u32
}

/// The destination port without --dest-port.
pub(in crate::cli) fn default_port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => TCP_PORT,
        Protocol::Udp | Protocol::Icmp => UDP_PORT,
    }
}

/// The families of a host name's addresses without --resolve-targets.
pub(in crate::cli) fn default_names(families: Families) -> Families {
    match families {
        Families::Ipv6 => Families::Ipv6,
        Families::Ipv4 | Families::Both => Families::Ipv4,
    }
}

impl SurveyArgs {
    /// Returns the configuration, which is not validated yet. Draws the seed if there is no --seed.
    pub(in crate::cli) fn into_config(mut self) -> anyhow::Result<SurveyConfig> {
        let network = self.network();
        let in_lab = network.is_lab();
        let families = self.families();
        let rate = self.rate.or(default_rate(in_lab)).context("no rate")?;
        let protocol = self.protocol.into();
        let strategy = self.strategy.into();
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
                resolve_targets: (self.resolve_targets)
                    .map_or_else(|| default_names(families), Families::from),
                resolvers: self.resolver,
            },
            strategy,
            transport: self.transport.into(),
            protocol,
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
            window: (self.window).unwrap_or_else(|| default_window(rate, strategy, self.flows)),
            flows: self.flows,
            vary: self.vary.into(),
            multipath: self.multipath.into(),
            max_flows: self.max_flows,
            max_width: self.max_width,
            confidence: self.confidence,
            graph_confidence: self.graph_confidence,
            source_port: self.source_port,
            destination_port: (self.dest_port).unwrap_or_else(|| default_port(protocol)),
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
            date: self.date,
            if_exists: self.if_exists.map(IfExists::from).unwrap_or_default(),
            seal_interval: self.seal_interval,
            seal_rows: self.seal_rows,
            max_duration: self.max_duration,
            second_pass: self.second_pass,
            pcap: self.pcap,
        })
    }

    /// Returns the families to probe.
    fn families(&self) -> Families {
        match (self.ipv4, self.ipv6) {
            (true, false) => Families::Ipv4,
            (false, true) => Families::Ipv6,
            _ => Families::Both,
        }
    }

    /// Returns the network to survey. Only a name that ends in `.toml` is a network file: `--lab TARGET` means `--lab` and a target.
    /// `--lab=false` turns off the lab of a configuration file.
    fn network(&mut self) -> Network {
        let file = match self.lab.take().as_deref() {
            None | Some("false") => return Network::Real,
            Some("true") => None,
            Some(file) if file.ends_with(NETWORK_FILE) => Some(PathBuf::from(file)),
            Some(target) => {
                self.targets.insert(0, target.to_owned());
                None
            }
        };
        match self.virtual_time {
            true => Network::VirtualLab { file },
            false => Network::Lab { file },
        }
    }
}
