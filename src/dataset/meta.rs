//! What the caller knows of a run and the rows do not say.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use crate::model::{KernelDrops, Protocol, Rate, Statistics, Time};

/// Where the run is made from. Goes whole into the manifest; `None` where it is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Vantage {
    /// Its id: the column `vantage` and the partition `vp=`.
    pub id: String,
    /// Our IPv4 address.
    pub source_ipv4: Option<IpAddr>,
    /// Our IPv6 address; not a temporary one.
    pub source_ipv6: Option<IpAddr>,
    /// The address that others see us at.
    pub public_address: Option<IpAddr>,
    /// The network we are in.
    pub asn: Option<u32>,
    /// Where we are, in words.
    pub place: Option<String>,
    /// The interface that probes leave by.
    pub interface: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Whether the wall clock was synchronised when the run began.
    pub clock_synchronised: Option<bool>,
    /// The kernel's estimate of its error, µs.
    pub clock_error_us: Option<i64>,
    /// Whether probes carry DF.
    pub dont_fragment: Option<bool>,
    /// Whether connection tracking saw our probes.
    pub conntrack: Option<bool>,
    /// Packets that the firewall's input rules had dropped before the run began.
    pub input_drops_before: Option<u64>,
}

/// What stays the same from the first row of a run to its last.
#[derive(Clone, Debug)]
pub struct RunMeta {
    /// The run: unique, and safe to show. Part of every file name.
    pub run_id: String,
    /// One night's work, shared by its shards.
    pub survey_id: String,
    /// Which shard of the survey this is.
    pub shard: Option<i32>,
    /// Which cycle of a repeated survey this is.
    pub cycle: Option<i32>,
    /// Where it is made from.
    pub vantage: Vantage,
    /// The seed of everything random.
    pub seed: u64,
    /// When it began; its UTC day is the partition `date=`.
    pub started_at: Time,
    /// The strategy's name, such as `trace`.
    pub method: String,
    /// The probes' protocol.
    pub protocol: Protocol,
    /// Source port of flow 0; a flow's is base + flow.
    pub base_src_port: Option<u16>,
    /// Destination port, where it is the same for all probes.
    pub dst_port: Option<u16>,
    /// Attempts a hop, at most.
    pub attempts: u8,
    /// Silent TTLs in a row that end a trace.
    pub gap_limit: Option<u8>,
    /// Size of every probe with its IP header, bytes, of IPv4 and IPv6 targets; `None` where it changes.
    pub probe_sizes: [Option<u16>; 2],
    /// The whole configuration. Its SHA-256 (of the compact JSON text) stands in every Parquet footer.
    pub config: Value,
}

/// What changes while a run goes on: the figures of the manifest.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    /// Counts of probes and packets.
    pub statistics: Statistics,
    /// Packets lost before we could read them.
    pub kernel_drops: KernelDrops,
    /// The rate asked for.
    pub rate_requested: Option<Rate>,
    /// Probes a second over the time of sending.
    pub rate_achieved: Option<f64>,
    /// 99th percentile of the send stamp's uncertainty, µs.
    pub rtt_error_us_p99: Option<f64>,
    /// The constant by which a 1:1 NAT before us changes checksums, once learned.
    pub nat_checksum_delta: Option<u16>,
    /// What the reader of the targets reports.
    pub targets: Value,
    /// Further figures of the run, as a map.
    pub run: Value,
    /// Things a reader of the dataset should know, in sentences.
    pub warnings: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All was done.
    Complete,
    /// Somebody stopped it, such as by `SIGINT`; what was found until then is sealed.
    Interrupted(String),
    /// It could not go on, for this reason.
    Failed(String),
}
