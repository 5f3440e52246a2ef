//! What the targets of a generated network answer. It follows from a hash of the address.
//!
//! | share of the targets (option) | default | what they do |
//! |---|---|---|
//! | `silent_targets` | 0.05 | answer nothing; all other shares are shares of the rest, drawn independently |
//! | `open_targets` | 0.4 | have open TCP ports: 80 and 443 (five in eight), 443 alone (two), 80 alone (one) |
//! | `filtered_targets` | 0.35 | drop TCP to all ports that are not open |
//! | `prohibited_targets` | 0.05 | answer "prohibited" for all ports that are not open; the rest send a reset |
//! | `silent_echo` | 0.1 | do not answer ICMP echo |
//! | `udp_services` | 0.1 | have a service on UDP port 53; all other UDP ports are unreachable |

use std::net::IpAddr;

use super::{Generated, Salt};
use crate::lab::hash::within;
use crate::lab::packet::wrapping::Wrapping;
use crate::lab::topology::{Host, Quoting, RateLimit, TcpPort};

impl Generated {
    /// The target with this address.
    pub(in crate::lab) fn generated_host(&self, destination: IpAddr) -> Host<'static> {
        let hash = |salt| self.router_hash(salt, destination);
        let options = &self.options;
        let tcp = hash(Salt::TargetTcp);
        let tcp_open: &[u16] = match tcp & 7 {
            _ if !within(tcp, options.open_targets) => &[],
            0..5 => &[80, 443],
            5..7 => &[443],
            _ => &[80],
        };
        let firewall = hash(Salt::TargetFirewall);
        let barred = options.filtered_targets + options.prohibited_targets;
        Host {
            answers_from: None,
            silent: within(hash(Salt::SilentTarget), options.silent_targets),
            code: 3,
            udp_services: match within(hash(Salt::TargetService), options.udp_services) {
                true => &[53],
                false => &[],
            },
            echo: !within(hash(Salt::TargetEcho), options.silent_echo),
            tcp_open,
            tcp: if within(firewall, options.filtered_targets) {
                TcpPort::Filtered
            } else if within(firewall, barred) {
                TcpPort::Prohibited
            } else {
                TcpPort::Closed
            },
            limit: options.limited_targets.then_some(RateLimit::LINUX),
            initial_ttl: match hash(Salt::TargetTtl) & 3 {
                0 => 128,
                _ => 64,
            },
            quoting: Quoting::default(),
            wrapping: Wrapping::default(),
        }
    }
}
