//! The default configuration.

use std::time::Duration;

use super::{IfExists, Network, StrategyChoice, SurveyConfig, TransportChoice};
use crate::model::{Algorithm, Protocol, Rate, TcpFlags, Ttl, Vary};
use crate::targets::TargetSpec;

impl Default for SurveyConfig {
    /// The command line's defaults. The seed is 0 here; the command line draws it.
    fn default() -> Self {
        SurveyConfig {
            targets: TargetSpec::default(),
            strategy: StrategyChoice::Trace,
            transport: TransportChoice::Auto,
            protocol: Protocol::Udp,
            tcp_flags: TcpFlags::Syn,
            tos: 0,
            packet_size: None,
            mtu: false,
            probes_per_hop: 1,
            sources: Vec::new(),
            interface: None,
            first_ttl: Ttl(1),
            max_ttl: Ttl(32),
            attempts: 2,
            gap_limit: 5,
            window: 1_000,
            flows: 1,
            vary: Vary::SourcePort,
            multipath: Algorithm::Full,
            max_flows: 1_024,
            max_width: 128,
            confidence: None,
            graph_confidence: 0.95,
            source_port: 24_000,
            destination_port: 33_434,
            port_per_ttl: false,
            rate: Rate::THOUSAND,
            timeout: Duration::from_secs(3),
            late_window: Duration::from_secs(10),
            cooldown: Duration::from_secs(3),
            seed: 0,
            network: Network::Real,
            min_reply_rate: None,
            vantage: "local".to_owned(),
            survey_id: None,
            date: None,
            if_exists: IfExists::Append,
            seal_interval: Duration::from_secs(60),
            seal_rows: 1_000_000,
            max_duration: None,
            second_pass: false,
            pcap: None,
        }
    }
}
