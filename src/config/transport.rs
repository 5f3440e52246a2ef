//! Whether a transport can do what a survey asks for.

use super::{ConfigError, Method, Network, SurveyConfig};
use crate::model::Protocol;
use crate::transport::{Capabilities, TransportChoice};

impl SurveyConfig {
    /// The transport to open. [`TransportChoice::Auto`] stands only if ordinary sockets, too, can do everything that is asked for.
    pub fn transport_choice(&self) -> TransportChoice {
        let second = TransportChoice::Dgram.capabilities();
        match self.transport {
            TransportChoice::Auto if self.beyond(&second).is_some() => TransportChoice::Raw,
            choice => choice,
        }
    }

    /// Checks that the transport asked for can do everything else that is asked for.
    pub(super) fn validate_transport(&self) -> Result<(), ConfigError> {
        if let Some((option, lack)) = self.beyond(&self.transport.capabilities()) {
            return Err(ConfigError::BeyondTransport {
                transport: self.transport.as_str(),
                option,
                lack,
            });
        }
        let virtual_time = matches!(self.network, Network::VirtualLab { .. });
        if virtual_time && self.transport == TransportChoice::Dgram {
            return Err(ConfigError::DgramInVirtualTime);
        }
        Ok(())
    }

    /// Returns the first option that a transport with these capabilities cannot serve, and what such a transport lacks. `None` if
    /// it can serve all.
    fn beyond(&self, capabilities: &Capabilities) -> Option<(&'static str, &'static str)> {
        let sends = capabilities.protocols.contains(&self.protocol);
        match self.protocol {
            Protocol::Tcp if !sends => Some(("--protocol tcp", "cannot send TCP segments")),
            Protocol::Udp if !sends => Some(("--protocol udp", "cannot send UDP datagrams")),
            Protocol::Icmp if !sends => Some(("--protocol icmp", "cannot send echo requests")),
            Protocol::Udp if self.method == Method::Sweep && !capabilities.quotes_with_headers => {
                Some((
                    "--strategy sweep of UDP",
                    "cannot always tell which of several UDP probes is answered",
                ))
            }
            _ if self.mtu && !capabilities.quotes_with_headers => {
                Some(("--mtu", "cannot tell which size was refused"))
            }
            _ if self.pcap.is_some() && !capabilities.whole_packets => {
                Some(("--pcap", "shows no whole packets"))
            }
            _ => None,
        }
    }
}
