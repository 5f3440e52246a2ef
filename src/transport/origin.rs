//! Where probes leave from, if the user asked for it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Socket};

use super::{TransportError, sys};

/// Source addresses, interface and type of service. The kernel chooses what is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Our addresses, at most one per family.
    pub sources: Vec<IpAddr>,
    /// The name of an interface.
    pub interface: Option<String>,
    /// Type of service or traffic class: routes and rules may depend on it.
    pub tos: u8,
}

impl Origin {
    /// The address of one family, if one was asked for.
    pub fn source(&self, ipv6: bool) -> Option<IpAddr> {
        self.sources
            .iter()
            .copied()
            .find(|source| source.is_ipv6() == ipv6)
    }

    /// Checks that the interface exists and is up.
    pub(super) fn check_interface(&self, socket: &Socket) -> Result<(), TransportError> {
        let Some(name) = &self.interface else {
            return Ok(());
        };
        match sys::interface_is_up(socket.as_fd(), name) {
            Ok(true) => Ok(()),
            Ok(false) => Err(TransportError::InterfaceDown { name: name.clone() }),
            Err(source) => Err(TransportError::NoInterface {
                name: name.clone(),
                source,
            }),
        }
    }

    /// Gives a socket the interface, the source address and the type of service of the probes. The kernel routes by these, even
    /// if a raw socket is given another header. The interface comes first: it may be of a routing domain (VRF), and only there
    /// the address may be known.
    pub(super) fn fix(&self, socket: &Socket, domain: Domain) -> Result<(), TransportError> {
        self.fix_interface(socket)?;
        let (level, option) = match domain {
            Domain::IPV6 => (libc::SOL_IPV6, libc::IPV6_TCLASS),
            _ => (libc::SOL_IP, libc::IP_TOS),
        };
        sys::set_option(socket.as_fd(), level, option, &i32::from(self.tos)).map_err(
            TransportError::setup("setting the type of service (IP_TOS, IPV6_TCLASS)"),
        )?;
        let Some(source) = self.source(domain == Domain::IPV6) else {
            return Ok(());
        };
        socket
            .bind(&SocketAddr::new(source, 0).into())
            .map_err(|error| TransportError::ForeignSource {
                address: source,
                source: error,
            })
    }

    /// Binds a socket to the interface.
    fn fix_interface(&self, socket: &Socket) -> Result<(), TransportError> {
        let Some(name) = &self.interface else {
            return Ok(());
        };
        socket
            .bind_device(Some(name.as_bytes()))
            .map_err(|source| TransportError::NoInterface {
                name: name.clone(),
                source,
            })
    }
}
