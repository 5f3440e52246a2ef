//! Which sockets a survey may use, and what asks too much of ordinary ones.

use serde::Serialize;

use super::{Method, SurveyConfig};
use crate::model::Protocol;

/// Through which sockets probes leave and replies come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Raw ones, or where they are refused ordinary ones, if these can do what is asked for.
    Auto,
    /// Raw ones: whole packets, with CAP_NET_RAW.
    Raw,
    /// Ordinary UDP sockets and their error queues: no privilege.
    Dgram,
}

impl SurveyConfig {
    /// The option that ordinary sockets cannot serve, if there is one. In a sweep several probes of a flow are live, and
    /// only some routers quote what tells them apart.
    pub fn against_dgram(&self) -> Option<&'static str> {
        match self.protocol {
            Protocol::Tcp => Some("--protocol tcp"),
            Protocol::Icmp => Some("--protocol icmp"),
            Protocol::Udp if self.method == Method::Sweep => Some("--strategy sweep"),
            // Nobody lets us set DF for a single datagram, nor tells the size of the one refused.
            Protocol::Udp if self.mtu => Some("--mtu"),
            Protocol::Udp => self.pcap.is_some().then_some("--pcap"),
        }
    }
}
