//! Builds the parts of the engine from a configuration.

use std::sync::Arc;

use crate::config::{StrategyChoice, SurveyConfig};
use crate::engine::assembler::Assembler;
use crate::engine::core::Core;
use crate::engine::format::ProbeFormat;
use crate::engine::limiter::Limits;
use crate::engine::tracker::{Timeouts, Tracker};
use crate::model::{ProbeId, Targets, Time};
use crate::strategy::{
    Answers, Arrivals, Confidence, Finished, Hole, Multipath, MultipathLimits, Strategy, Sweep,
    SweepItems, Trace, TraceLimits,
};
use crate::wire::protocol;
use crate::wire::token::{RunKey, TokenMaker};

/// The format of probes, for replies that are whole packets. `source_port` is the port of flow 0.
pub fn format(config: &SurveyConfig, source_port: u16) -> ProbeFormat {
    ProbeFormat {
        protocol: protocol::of(config.protocol, config.tcp_flags),
        source_port,
        flows: config.flow_pool(),
        vary: config.vary,
        one_trace: config.strategy == StrategyChoice::Multipath,
        destination_port: config.destination_port,
        port_per_ttl: config.port_per_ttl,
        tos: config.tos,
        packet_size: config.first_size(),
        dont_fragment: config.mtu,
        quotes_with_headers: true,
    }
}

/// What the dataset of a run has from earlier sessions.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// The items whose rows are sealed: the targets of `trace`, the [`sweep_items`] of `sweep`.
    pub finished: Finished,
    /// The holes of sealed traces that no second pass has probed.
    pub holes: Vec<Hole>,
    /// The answers to the finished items of a sweep, for its second pass. `None`: no finished item is taken for a hole.
    pub answers: Option<Answers>,
}

/// The items of a sweep of `targets` targets, and their numbers.
pub fn sweep_items(config: &SurveyConfig, targets: u32) -> SweepItems {
    SweepItems::new(targets, config.flows, config.first_ttl, config.max_ttl)
}

/// How many items the strategy has for `targets` targets. [`Earlier::finished`] must have as many.
pub fn items(config: &SurveyConfig, targets: u32) -> u64 {
    match config.strategy {
        StrategyChoice::Trace | StrategyChoice::Multipath => targets.into(),
        StrategyChoice::Sweep => sweep_items(config, targets).len(),
    }
}

/// The strategy of a new run, for ICMP errors with quoted headers.
pub fn strategy(config: &SurveyConfig, targets: Arc<dyn Targets>) -> Box<dyn Strategy> {
    strategy_for(config, targets, true, None)
}

/// The strategy. If ICMP errors come without quoted headers, they do not always identify a UDP probe among those of its flow.
/// With `earlier` it does what earlier sessions left to do.
pub fn strategy_for(
    config: &SurveyConfig,
    targets: Arc<dyn Targets>,
    quotes_with_headers: bool,
    earlier: Option<&Earlier>,
) -> Box<dyn Strategy> {
    let second_pass = config.second_pass;
    let format = ProbeFormat {
        quotes_with_headers,
        ..format(config, config.source_port)
    };
    match config.strategy {
        StrategyChoice::Trace => {
            let limits = TraceLimits {
                first_ttl: config.first_ttl,
                max_ttl: config.max_ttl,
                attempts: config.attempts,
                gap_limit: config.gap_limit,
                flows: config.flows,
                window: config.window,
                arrivals: match format.is_one_by_one() {
                    true => Arrivals::OneByOne,
                    false => Arrivals::Distinct,
                },
                probes_per_hop: config.probes_per_hop,
                mtu_from: config.first_size().filter(|_| config.mtu),
                second_pass,
            };
            Box::new(match earlier {
                None => Trace::new(targets, limits, config.seed),
                Some(Earlier {
                    finished, holes, ..
                }) => Trace::resume(targets, limits, config.seed, finished, holes),
            })
        }
        StrategyChoice::Multipath => {
            let limits = multipath_limits(config);
            Box::new(match earlier {
                None => Multipath::new(targets, limits, config.seed),
                Some(Earlier { finished, .. }) => {
                    Multipath::resume(targets, limits, config.seed, finished)
                }
            })
        }
        StrategyChoice::Sweep => {
            let items = sweep_items(config, targets.len());
            let finished = earlier.map(|earlier| &earlier.finished);
            let sweep = Sweep::of_items(targets, items, config.seed, finished);
            if !second_pass {
                return Box::new(sweep);
            }
            let answers = match earlier {
                None => Answers::new(items.len()),
                Some(earlier) => {
                    let given = earlier.answers.clone();
                    given.unwrap_or_else(|| Answers::to(&earlier.finished))
                }
            };
            Box::new(sweep.with_second_pass(answers, config.seed))
        }
    }
}

fn multipath_limits(config: &SurveyConfig) -> MultipathLimits {
    MultipathLimits {
        first_ttl: config.first_ttl,
        max_ttl: config.max_ttl,
        attempts: config.attempts,
        gap_limit: config.gap_limit,
        window: config.window,
        max_flows: config.max_flows,
        max_width: config.max_width,
        algorithm: config.multipath,
        confidence: match config.confidence {
            Some(confidence) => Confidence::Branching(confidence),
            None => Confidence::Graph(config.graph_confidence),
        },
    }
}

/// The tracker, which follows each probe until its outcome is final. `first` is the number of the first probe.
pub fn tracker(config: &SurveyConfig, format: ProbeFormat, key: RunKey, first: ProbeId) -> Tracker {
    let timeouts = Timeouts {
        timeout: config.timeout,
        late_window: config.late_window,
    };
    let expected = usize::try_from(config.live_probes()).unwrap_or(usize::MAX);
    Tracker::new(format, timeouts, TokenMaker::new(key), expected, first)
}

/// The limits on sending.
pub fn limits(config: &SurveyConfig) -> Limits {
    Limits {
        spaced: format(config, config.source_port)
            .protocol
            .draws_errors_from_targets(),
        ..Limits::rate(config.rate)
    }
}

/// The engine. Its schedule starts at `start`.
pub fn core(
    config: &SurveyConfig,
    strategy: Box<dyn Strategy>,
    tracker: Tracker,
    start: Time,
) -> Core {
    Core::new(strategy, &limits(config), tracker, start, config.cooldown)
}

/// The assembler, which builds traces from rows.
pub fn assembler(config: &SurveyConfig) -> Assembler {
    let traces = config.traces_per_target();
    match config.strategy {
        StrategyChoice::Trace => Assembler::new(true, traces),
        StrategyChoice::Sweep => Assembler::new(false, traces),
        StrategyChoice::Multipath => Assembler::new(true, traces).without_paths(),
    }
}
