//! Whether a transport can do what a survey asks for.

use super::{ConfigError, Network, StrategyChoice, SurveyConfig};
use crate::model::{Protocol, Vary};
use crate::targets::Families;
use crate::transport::{AddressFamilies, Capabilities, TransportChoice};

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
            Protocol::Tcp if !sends => Some((
                "--protocol tcp",
                "cannot send TCP segments (UDP and ICMP work)",
            )),
            Protocol::Udp if !sends => Some(("--protocol udp", "cannot send UDP datagrams")),
            Protocol::Icmp if !sends => Some(("--protocol icmp", "cannot send echo requests")),
            Protocol::Udp
                if self.strategy == StrategyChoice::Sweep && !capabilities.quotes_with_headers =>
            {
                Some((
                    "--strategy sweep of UDP",
                    "cannot always tell which of several UDP probes is answered",
                ))
            }
            _ if self.strategy == StrategyChoice::Multipath
                && !(capabilities.own_ip_header && capabilities.quotes_with_headers) =>
            {
                Some((
                    "--strategy multipath",
                    "cannot always tell which of several probes is answered",
                ))
            }
            _ if self.vary != Vary::SourcePort
                && !(capabilities.own_ip_header && capabilities.quotes_with_headers) =>
            {
                Some(("--vary", "chooses all fields but the source port by itself"))
            }
            // Without its own header a probe has no DF.
            _ if self.mtu && !(capabilities.own_ip_header && capabilities.quotes_with_headers) => {
                Some(("--mtu", "cannot tell which size was refused"))
            }
            _ if self.pcap.is_some() && !capabilities.whole_packets => {
                Some(("--pcap", "shows no whole packets"))
            }
            _ => self.beyond_families(capabilities.families),
        }
    }

    /// As [`beyond`](Self::beyond), for the address families. If both are asked for, one is enough.
    fn beyond_families(&self, can: AddressFamilies) -> Option<(&'static str, &'static str)> {
        match self.targets.families {
            Families::Ipv4 if !can.ipv4 => Some(("-4", "cannot send IPv4 packets")),
            Families::Ipv6 if !can.ipv6 => Some(("-6", "cannot send IPv6 packets")),
            Families::Ipv4 | Families::Ipv6 | Families::Both => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut SurveyConfig)) -> SurveyConfig {
        let mut config = SurveyConfig::default();
        change(&mut config);
        config
    }

    #[test]
    fn raw_sockets_serve_every_option_and_ordinary_ones_some() {
        let raw = TransportChoice::Raw.capabilities();
        let dgram = TransportChoice::Dgram.capabilities();
        let icmp = |config: &mut SurveyConfig| config.protocol = Protocol::Icmp;
        for (config, refused) in [
            (config(|_| {}), None),
            (config(icmp), None),
            (
                config(|config| config.protocol = Protocol::Tcp),
                Some("--protocol tcp"),
            ),
            (
                config(|config| config.strategy = StrategyChoice::Sweep),
                Some("--strategy sweep of UDP"),
            ),
            (
                config(|config| {
                    icmp(config);
                    config.strategy = StrategyChoice::Sweep;
                }),
                None,
            ),
            (config(|config| config.mtu = true), Some("--mtu")),
            (
                config(|config| config.pcap = Some("replies.pcap".into())),
                Some("--pcap"),
            ),
        ] {
            let option = |capabilities| config.beyond(capabilities).map(|(option, _)| option);
            assert_eq!(option(&raw), None);
            assert_eq!(option(&dgram), refused);
            // Without a fall-back that cannot do what is asked for.
            let choice = match refused {
                None => TransportChoice::Auto,
                Some(_) => TransportChoice::Raw,
            };
            assert_eq!(config.transport_choice(), choice, "{refused:?}");
        }
    }

    #[test]
    fn a_transport_of_one_family_refuses_the_option_for_the_other() {
        let mut capabilities = TransportChoice::Raw.capabilities();
        capabilities.families.ipv6 = false;
        for (families, refused) in [
            (Families::Ipv4, None),
            (Families::Both, None),
            (Families::Ipv6, Some("-6")),
        ] {
            let config = config(|config| config.targets.families = families);
            let option = config.beyond(&capabilities).map(|(option, _)| option);
            assert_eq!(option, refused);
        }
    }
}
