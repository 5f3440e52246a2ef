//! The kind of sockets of a survey, and the limits of ordinary sockets.

use serde::Serialize;

use super::{Method, SurveyConfig};
use crate::model::Protocol;

/// The sockets that send probes and receive replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Raw sockets. If they are refused and ordinary sockets can do all that is asked for: ordinary sockets.
    Auto,
    /// Raw sockets: whole packets, with CAP_NET_RAW.
    Raw,
    /// Ordinary sockets (UDP or ping) and their error queues, without privileges.
    Dgram,
}

impl SurveyConfig {
    /// Returns the option that ordinary sockets cannot serve, and the reason. `None` if they can do all that is asked for.
    pub fn against_dgram(&self) -> Option<(&'static str, &'static str)> {
        match self.protocol {
            Protocol::Tcp => Some(("--protocol tcp", "send UDP and ICMP probes only")),
            Protocol::Udp if self.method == Method::Sweep => Some((
                "--strategy sweep of UDP",
                "cannot always tell which of several UDP probes is answered",
            )),
            _ if self.mtu => Some(("--mtu", "do not tell which size was refused")),
            _ if self.pcap.is_some() => Some(("--pcap", "show no whole packets")),
            _ => None,
        }
    }
}
