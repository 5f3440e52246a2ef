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
    /// Ordinary sockets, UDP or ping, and their error queues: no privilege.
    Dgram,
}

impl SurveyConfig {
    /// The option that ordinary sockets cannot serve, and what they lack; `None` where they can do all that is asked for.
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
