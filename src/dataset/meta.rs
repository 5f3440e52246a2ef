//! Facts about a run that its rows do not contain.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{KernelDrops, Protocol, Rate, Statistics, Time};

/// The place from which the run probes. The manifest holds it whole. `None` for unknown facts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vantage {
    /// Its id: the column `vantage` and the partition `vp=`.
    pub id: String,
    /// Our IPv4 address.
    pub source_ipv4: Option<IpAddr>,
    /// Our IPv6 address, if it is not temporary.
    pub source_ipv6: Option<IpAddr>,
    /// Our address as others see it.
    pub public_address: Option<IpAddr>,
    /// Our network.
    pub asn: Option<u32>,
    /// Our location, in words.
    pub place: Option<String>,
    /// The interface that probes leave by.
    pub interface: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Whether the wall clock was synchronised when the run began.
    pub clock_synchronised: Option<bool>,
    /// The kernel's estimate of its error, µs.
    pub clock_error_us: Option<i64>,
    /// Whether probes have DF set.
    pub dont_fragment: Option<bool>,
    /// Whether connection tracking saw our probes.
    pub conntrack: Option<bool>,
    /// Packets that the firewall's input rules had dropped when the run began.
    pub input_drops_before: Option<u64>,
}

/// The facts of a run that do not change.
#[derive(Clone, Debug)]
pub struct RunMeta {
    /// The run's id: unique, and safe to show. Part of every file name.
    pub run_id: String,
    /// The name that several runs of one survey share.
    pub survey_id: String,
    /// The number of this shard of the survey.
    pub shard: Option<i32>,
    /// The number of this cycle of a repeated survey.
    pub cycle: Option<i32>,
    /// The place from which the run probes.
    pub vantage: Vantage,
    /// The seed of all random choices.
    pub seed: u64,
    /// The start. Its UTC day is the partition `date=`.
    pub started_at: Time,
    /// The strategy's name, such as `trace`.
    pub method: String,
    /// The probes' protocol.
    pub protocol: Protocol,
    /// Source port of flow 0; a flow's is base + flow.
    pub base_src_port: Option<u16>,
    /// Destination port. `None` if it differs between probes.
    pub dst_port: Option<u16>,
    /// Most attempts per hop.
    pub attempts: u8,
    /// Silent TTLs in a row that end a trace.
    pub gap_limit: Option<u8>,
    /// Size of every probe with its IP header in bytes, for IPv4 and IPv6 targets. `None` if it differs between probes.
    pub probe_sizes: [Option<u16>; 2],
    /// The whole configuration. Every Parquet footer holds the SHA-256 of its compact JSON text.
    pub config: Value,
}

/// The figures of the manifest that change during a run.
#[derive(Clone, Debug, Default)]
pub struct RunFigures {
    /// Counts of probes and packets.
    pub statistics: Statistics,
    /// Packets that were lost before we read them.
    pub kernel_drops: KernelDrops,
    /// The rate asked for.
    pub rate_requested: Option<Rate>,
    /// Probes per second while sending.
    pub rate_achieved: Option<f64>,
    /// 99th percentile of the send timestamp's error, µs.
    pub rtt_error_us_p99: Option<f64>,
    /// The constant by which a 1:1 NAT in front of this host changes checksums, once learned.
    pub nat_checksum_delta: Option<u16>,
    /// The report about the targets' loading.
    pub targets: Value,
    /// Further figures of the run, as a map.
    pub run: Value,
    /// Sentences that readers of the dataset should know.
    pub warnings: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The run finished.
    Complete,
    /// The run was stopped, for instance by `SIGINT`. Everything received until then is sealed.
    Interrupted(String),
    /// The run failed, for this reason.
    Failed(String),
}
