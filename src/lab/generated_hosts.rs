//! What the targets of a generated network answer.

use std::net::IpAddr;

use super::generated::{Generated, Salt};
use super::hash::within;
use super::topology::{Host, Quoting, RateLimit};

impl Generated {
    /// The target with this address.
    pub(super) fn generated_host(&self, destination: IpAddr) -> Host {
        let hash = |salt| self.router_hash(salt, destination);
        let silent = within(hash(Salt::SilentTarget), self.options.silent_targets);
        Host {
            code: (!silent).then_some(3),
            limit: self.options.limited_targets.then_some(RateLimit::LINUX),
            initial_ttl: match hash(Salt::TargetTtl) & 3 {
                0 => 128,
                _ => 64,
            },
            quoting: Quoting::default(),
        }
    }
}
