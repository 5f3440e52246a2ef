//! The facts and figures of a run that come from the caller, and not from the rows.

use std::net::IpAddr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{FlowId, KernelDrops, Protocol, Rate, Statistics, Time, Vary};

/// The vantage point: the place from which the run probes. The manifest holds all of it. An unknown fact is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vantage {
    /// The id. It is in the column `vantage` and in the partition `vp=id-…`.
    pub id: String,
    /// The IPv4 address of this host.
    pub source_ipv4: Option<IpAddr>,
    /// The IPv6 address of this host, if it is not temporary.
    pub source_ipv6: Option<IpAddr>,
    /// The address of this host as other hosts see it.
    pub public_address: Option<IpAddr>,
    /// The number of the autonomous system.
    pub asn: Option<u32>,
    /// The location, in words.
    pub place: Option<String>,
    /// The interface that sends the probes.
    pub interface: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Whether the wall clock was synchronised when the run began.
    pub clock_synchronised: Option<bool>,
    /// The kernel's estimate of the error of the wall clock, µs.
    pub clock_error_us: Option<i64>,
    /// Whether probes have DF set.
    pub dont_fragment: Option<bool>,
    /// Whether connection tracking saw the probes.
    pub conntrack: Option<bool>,
    /// Packets that the firewall's input rules had dropped when the run began.
    pub input_drops_before: Option<u64>,
}

/// The facts of a run that do not change.
#[derive(Clone, Debug)]
pub struct RunMeta {
    /// The id of the run. It is unique, and part of every part's file name.
    pub run_id: String,
    /// The name that several runs of one survey share.
    pub survey_id: String,
    /// The number of this shard of the survey.
    pub shard: Option<i32>,
    /// The number of this cycle of a repeated survey.
    pub cycle: Option<i32>,
    /// The vantage point.
    pub vantage: Vantage,
    /// The seed of all random choices.
    pub seed: u64,
    /// The start of the run.
    pub started_at: Time,
    /// The night that the run belongs to: the partition `date=`. `None`: the UTC day of the start.
    pub date: Option<NaiveDate>,
    /// The strategy's name, such as `trace`.
    pub method: String,
    /// The probes' protocol.
    pub protocol: Protocol,
    /// The field in which the flows of a target differ.
    pub vary: Vary,
    /// The source port of flow 0. `None` if the probes have no source port.
    pub base_src_port: Option<u16>,
    /// The destination port of flow 0. `None` if it differs between the probes of a flow, or if the probes have none.
    pub dst_port: Option<u16>,
    /// The largest number of attempts per hop.
    pub attempts: u8,
    /// The number of silent TTLs in a row that ends a trace. `None` if the strategy has no gap limit.
    pub gap_limit: Option<u8>,
    /// The size of every probe with its IP header, in bytes, for IPv4 and IPv6 targets. `None` if it differs between probes.
    pub probe_sizes: [Option<u16>; 2],
    /// The whole configuration. Every Parquet footer holds the SHA-256 of its compact JSON text.
    pub config: Value,
}

impl RunMeta {
    /// The source port of a trace's probes. `flow` is `None` if the trace has many flows. `None` if the probes have none, or several.
    pub fn src_port_of(&self, flow: Option<FlowId>) -> Option<u16> {
        let base = self.base_src_port?;
        match self.vary {
            Vary::SourcePort => Some(base.wrapping_add(flow?.0)),
            Vary::DestPort | Vary::IcmpChecksum | Vary::FlowLabel => Some(base),
        }
    }

    /// The destination port of a trace's probes. `flow` is `None` if the trace has many flows. `None` if the probes have none, or several.
    pub fn dst_port_of(&self, flow: Option<FlowId>) -> Option<u16> {
        let base = self.dst_port?;
        match self.vary {
            Vary::DestPort => Some(base.wrapping_add(flow?.0)),
            Vary::SourcePort | Vary::IcmpChecksum | Vary::FlowLabel => Some(base),
        }
    }
}

/// The figures of the manifest that change during a run and do not follow from the rows.
#[derive(Clone, Debug, Default)]
pub struct RunFigures {
    /// Counts of packets. The writer counts probes and replies in the rows, so other counts here are not used.
    pub statistics: Statistics,
    /// Packets that were dropped before the run read them.
    pub kernel_drops: KernelDrops,
    /// The requested rate.
    pub rate_requested: Option<Rate>,
    /// Probes per second while sending.
    pub rate_achieved: Option<f64>,
    /// The 99th percentile of the error of send timestamps, µs.
    pub rtt_error_us_p99: Option<f64>,
    /// The constant by which a 1:1 NAT in front of this host changes checksums. `None` until it is learned.
    pub nat_checksum_delta: Option<u16>,
    /// The report about the targets' loading.
    pub targets: Value,
    /// Further figures of the run, as a map. The writer adds those that it counts in the rows.
    pub run: Value,
    /// Warnings for readers of the dataset.
    pub warnings: Vec<String>,
}

impl RunFigures {
    /// The same figures with further warnings. Those that are there already are not added.
    pub(super) fn with_warnings(&self, further: &[String]) -> Self {
        let mut figures = self.clone();
        for warning in further {
            if !figures.warnings.contains(warning) {
                figures.warnings.push(warning.clone());
            }
        }
        figures
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The run finished.
    Complete,
    /// The run was stopped, for example by `SIGINT`. All rows until then are sealed. The text names the reason.
    Interrupted(String),
    /// The run finished, but many probes could not be sent. The text says how many and why.
    Incomplete(String),
    /// The run failed, for this reason.
    Failed(String),
}
