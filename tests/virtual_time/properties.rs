//! Networks and surveys drawn at random: whatever happens, the rows say what happened.

use std::time::Duration;

use pathsurvey::config::StrategyChoice;
use pathsurvey::lab::{GeneratedOptions, LabNetwork};
use pathsurvey::model::Ttl;
use proptest::prelude::*;

use super::experiment::{config, observe, rate};
use super::truth::Truths;
use super::{oracle, traces, truth};

prop_compose! {
    /// Anything from a quiet network to one that hardly works; delays up to a minute, far beyond timeout and late window.
    fn network()(
        silent_routers in 0.0..0.6,
        silent_targets in 0.0..0.9,
        limited_routers in 0.0..=1.0,
        limited_targets: bool,
        short_quotes in 0.0..=1.0,
        delay_scale in prop_oneof![0.1..2.0, 5.0..400.0],
        jitter in 0.0..=1.0,
        loss in prop_oneof![0.0..0.02, 0.05..0.4],
        polarised: bool,
    ) -> GeneratedOptions {
        GeneratedOptions {
            silent_routers, silent_targets, limited_routers, limited_targets, short_quotes, delay_scale, jitter, loss,
            polarised, ..GeneratedOptions::default()
        }
    }
}

#[derive(Clone, Debug)]
struct Survey {
    sweeps: bool,
    flows: u16,
    ttls: (u8, u8),
    attempts: u8,
    gap_limit: u8,
    window: u32,
    rate: f64,
    timeout_ms: u64,
    late_window_ms: u64,
    cooldown_ms: u64,
    port_per_ttl: bool,
}

prop_compose! {
    fn survey()(
        sweeps: bool,
        flows in 1..5u16,
        first in 1..6u8,
        span in 0..28u8,
        attempts in 1..4u8,
        gap_limit in 1..7u8,
        window in prop_oneof![1..4u32, 50..100u32],
        rate in 50.0..20_000.0,
        timeout_ms in 50..3_000u64,
        late_window_ms in 0..5_000u64,
        cooldown_ms in 0..20_000u64,
        port_per_ttl: bool,
    ) -> Survey {
        Survey {
            sweeps, flows, ttls: (first, (first + span).min(32)), attempts, gap_limit, window, rate, timeout_ms,
            late_window_ms, cooldown_ms, port_per_ttl,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn rows_say_what_happened(
        options in network(), survey in survey(), seed: u64, block in 0..512u32,
    ) {
        let block = format!("198.{}.{}.16/28", 18 + block / 256, block % 256);
        let mut config = config(&[&block, "198.18.0.7"], seed);
        config.strategy = if survey.sweeps { StrategyChoice::Sweep } else { StrategyChoice::Trace };
        config.flows = survey.flows;
        (config.first_ttl, config.max_ttl) = (Ttl(survey.ttls.0), Ttl(survey.ttls.1));
        config.attempts = survey.attempts;
        config.gap_limit = survey.gap_limit;
        config.window = survey.window;
        config.rate = rate(survey.rate);
        config.timeout = Duration::from_millis(survey.timeout_ms);
        config.late_window = Duration::from_millis(survey.late_window_ms);
        config.cooldown = Duration::from_millis(survey.cooldown_ms);
        config.port_per_ttl = survey.port_per_ttl;
        let run = observe(config, LabNetwork::generated_with(seed, options));
        oracle::check(&run);
        if !survey.sweeps {
            traces::check(&run);
        }
        truth::check(&run, &mut Truths::new(&run.network));
    }
}
