//! The options of a generated network.

use serde::Deserialize;

/// The options of a generated network. Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratedOptions {
    /// Share of routers that never answer (0.03). The gateway always answers.
    pub silent_routers: f64,
    /// Share of targets that never answer (0.05).
    pub silent_targets: f64,
    /// Share of routers behind the near part with a rate limit: 500 answers per second, 50 at once (0.02).
    pub limited_routers: f64,
    /// Whether targets limit ICMP errors as Linux does: 6 at once, then one per second (true).
    pub limited_targets: bool,
    /// Share of routers that quote only 8 bytes behind the IP header (0.2).
    pub short_quotes: f64,
    /// Share of targets with open TCP ports: 80 and 443, or one of them (0.4).
    pub open_targets: f64,
    /// Share of targets that drop TCP to their other ports (0.35).
    pub filtered_targets: f64,
    /// Share of targets that answer "prohibited" for their other TCP ports (0.05). The remaining targets reset.
    pub prohibited_targets: f64,
    /// Share of targets that do not answer ICMP echo (0.1).
    pub silent_echo: f64,
    /// Share of targets with a service on UDP port 53 (0.1).
    pub udp_services: f64,
    /// Multiplies all delays (1.0: 1 to 150 ms there and back).
    pub delay_scale: f64,
    /// Jitter as a share of each line's delay (0.05).
    pub jitter: f64,
    /// Loss: the share of probes that are lost, and the share of replies (0.001).
    pub loss: f64,
    /// Whether all routers share one hash seed, so that consecutive balancers make the same choice (false).
    pub polarised: bool,
}

impl Default for GeneratedOptions {
    fn default() -> Self {
        GeneratedOptions {
            silent_routers: 0.03,
            silent_targets: 0.05,
            limited_routers: 0.02,
            limited_targets: true,
            short_quotes: 0.2,
            open_targets: 0.4,
            filtered_targets: 0.35,
            prohibited_targets: 0.05,
            silent_echo: 0.1,
            udp_services: 0.1,
            delay_scale: 1.0,
            jitter: 0.05,
            loss: 0.001,
            polarised: false,
        }
    }
}

impl GeneratedOptions {
    /// Options without silence, loss, rate limits and jitter. TCP ports are open or closed. A survey sees exactly the truth.
    pub fn clean() -> Self {
        GeneratedOptions {
            silent_routers: 0.0,
            silent_targets: 0.0,
            limited_routers: 0.0,
            limited_targets: false,
            short_quotes: 0.0,
            filtered_targets: 0.0,
            prohibited_targets: 0.0,
            silent_echo: 0.0,
            jitter: 0.0,
            loss: 0.0,
            ..GeneratedOptions::default()
        }
    }
}

impl GeneratedOptions {
    /// Checks that all values are within their ranges.
    pub(in crate::lab) fn check(&self) -> Result<(), String> {
        let shares = [
            ("silent_routers", self.silent_routers),
            ("silent_targets", self.silent_targets),
            ("limited_routers", self.limited_routers),
            ("short_quotes", self.short_quotes),
            ("open_targets", self.open_targets),
            ("filtered_targets", self.filtered_targets),
            ("prohibited_targets", self.prohibited_targets),
            (
                "filtered_targets + prohibited_targets",
                self.filtered_targets + self.prohibited_targets,
            ),
            ("silent_echo", self.silent_echo),
            ("udp_services", self.udp_services),
            ("jitter", self.jitter),
            ("loss", self.loss),
        ];
        for (name, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name} = {value} is no share"));
            }
        }
        if !(0.0..=1000.0).contains(&self.delay_scale) {
            return Err(format!(
                "delay_scale = {} is out of range",
                self.delay_scale
            ));
        }
        Ok(())
    }
}
