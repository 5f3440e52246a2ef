//! The part of the configuration that only multipath tracing has.

use super::{CONFIDENCE, ConfigError, StrategyChoice, SurveyConfig};

impl SurveyConfig {
    /// How many flows a target may use.
    pub fn flow_pool(&self) -> u16 {
        match self.strategy {
            StrategyChoice::Multipath => self.max_flows,
            StrategyChoice::Trace | StrategyChoice::Sweep => self.flows,
        }
    }

    /// How many traces a target has.
    pub fn traces_per_target(&self) -> u16 {
        match self.strategy {
            StrategyChoice::Multipath => 1,
            StrategyChoice::Trace | StrategyChoice::Sweep => self.flows,
        }
    }

    /// Checks that multipath tracing can do what is asked for.
    pub(super) fn validate_multipath(&self) -> Result<(), ConfigError> {
        for confidence in self.confidence.into_iter().chain([self.graph_confidence]) {
            if !CONFIDENCE.contains(&confidence) {
                return Err(ConfigError::Confidence(confidence));
            }
        }
        if self.strategy != StrategyChoice::Multipath {
            return Ok(());
        }
        let unsupported = [
            (self.mtu, "--mtu"),
            (self.second_pass, "--second-pass"),
            (self.probes_per_hop > 1, "--probes-per-hop"),
            (self.port_per_ttl, "--port-per-ttl"),
            (self.flows > 1, "--flows"),
        ];
        match unsupported.into_iter().find(|(given, _)| *given) {
            Some((_, option)) => Err(ConfigError::NotWithMultipath(option)),
            None => Ok(()),
        }
    }
}
