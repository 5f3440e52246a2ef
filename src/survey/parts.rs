//! The parts of the engine that a configuration asks for.

use std::sync::Arc;

use crate::config::{Method, SurveyConfig};
use crate::engine::assembler::Assembler;
use crate::engine::format::ProbeFormat;
use crate::engine::tracker::{Patience, Tracker};
use crate::model::{Protocol, Targets};
use crate::strategy::{Arrivals, Strategy, Sweep, Trace, TraceLimits};
use crate::wire::token::{RunKey, TokenMaker};

/// How probes look. `source_port` is the one that flow 0 got; replies come as whole packets.
pub fn format(config: &SurveyConfig, source_port: u16) -> ProbeFormat {
    ProbeFormat {
        protocol: config.protocol,
        tcp_flags: config.tcp_flags,
        source_port,
        flows: config.flows,
        destination_port: config.destination_port,
        port_per_ttl: config.port_per_ttl,
        tos: config.tos,
        packet_size: config.first_size(),
        dont_fragment: config.mtu,
        headless: false,
    }
}

/// What decides which probes are sent, if ICMP errors quote whole packets.
pub fn strategy(config: &SurveyConfig, targets: Arc<dyn Targets>) -> Box<dyn Strategy> {
    strategy_for(config, targets, true)
}

/// What decides which probes are sent. If ICMP errors come without quoted headers, they do not always tell UDP probes of a flow
/// apart.
pub fn strategy_for(
    config: &SurveyConfig,
    targets: Arc<dyn Targets>,
    quotes_with_headers: bool,
) -> Box<dyn Strategy> {
    match config.method {
        Method::Trace => {
            let limits = TraceLimits {
                first_ttl: config.first_ttl,
                max_ttl: config.max_ttl,
                attempts: config.attempts,
                gap_limit: config.gap_limit,
                flows: config.flows,
                window: config.window,
                arrivals: match config.protocol {
                    // A short quote shows nothing that tells datagrams apart; of an echo request it shows the header.
                    Protocol::Udp if !quotes_with_headers => Arrivals::OneByOne,
                    Protocol::Udp => Arrivals::Limited,
                    Protocol::Icmp | Protocol::Tcp => Arrivals::Free,
                },
                probes_per_hop: config.probes_per_hop,
                mtu_from: config.first_size().filter(|_| config.mtu),
            };
            Box::new(Trace::new(targets, limits, config.seed))
        }
        Method::Sweep => Box::new(Sweep::new(
            targets,
            config.flows,
            config.first_ttl,
            config.max_ttl,
            config.seed,
        )),
    }
}

/// What follows probes to their end.
pub fn tracker(config: &SurveyConfig, format: ProbeFormat, key: RunKey) -> Tracker {
    let patience = Patience {
        timeout: config.timeout,
        late_window: config.late_window,
    };
    let expected = usize::try_from(config.live_probes()).unwrap_or(usize::MAX);
    Tracker::new(format, patience, TokenMaker::new(key), expected)
}

/// What puts traces together.
pub fn assembler(config: &SurveyConfig) -> Assembler {
    Assembler::new(config.method == Method::Trace, config.flows)
}
