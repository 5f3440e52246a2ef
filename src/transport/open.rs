//! Opening a transport: what is asked for, the choice among the variants, and what was obtained.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Origin, PacketReceiver, PacketSender, PortBlock, TransportError, dgram, raw, sys};
use crate::model::{Protocol, Rate};

/// Files that this process may have open besides the ports.
const OTHER_FILES: u64 = 256;
/// Pipes of two files each, as many as a run opens besides its transport: parts, directories, manifests, netlink.
const SPARE_PIPES: usize = 8;

/// Which transport is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportChoice {
    /// Raw sockets; ordinary sockets if the kernel refuses raw ones for want of privilege.
    Auto,
    /// Raw sockets: whole packets, with CAP_NET_RAW.
    Raw,
    /// Ordinary sockets, UDP or ping, and their error queues: no privilege.
    Dgram,
}

/// What to open.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// Which transport.
    pub choice: TransportChoice,
    /// The protocol of the probes.
    pub protocol: Protocol,
    /// The address families of the probes.
    pub families: AddressFamilies,
    /// The source port (ICMP: identifier) of flow 0, if it is free.
    pub source_port: u16,
    /// Number of flows: consecutive source ports.
    pub flows: u16,
    /// Where to send from.
    pub origin: Origin,
    /// Probes a second. The receive buffer is sized for a second of replies.
    pub rate: Rate,
}

/// Address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFamilies {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

/// What a transport can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The protocols of probes that it can send.
    pub protocols: &'static [Protocol],
    /// The address families that it can send and receive.
    pub families: AddressFamilies,
    /// Whether the IP header of a probe leaves as it was encoded. If not, the kernel writes it: IP ID, flow label and DF are the
    /// kernel's.
    pub own_ip_header: bool,
    /// Whether ICMP errors show the headers of the packet that they quote. If not, they show only what follows the headers.
    pub quotes_with_headers: bool,
    /// Whether ICMP errors show their extensions (RFC 4884).
    pub extensions: bool,
    /// Whether every reply arrives as a whole packet, [`Arrival::Packet`](super::Arrival::Packet), so that it can be kept in a
    /// capture file.
    pub whole_packets: bool,
    /// Whether replies that the kernel drops because of a full receive buffer are counted.
    pub counts_drops: bool,
}

/// The receive buffer obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// Its kind, as the manifest names it.
    pub kind: &'static str,
    /// Its size in bytes, as the kernel states it.
    pub bytes: usize,
    /// About how many replies fit.
    pub replies: usize,
    /// Whether the kernel gives root a larger buffer than an ordinary user.
    pub is_larger_for_root: bool,
}

/// An open transport: its two halves, and what is known about it.
pub struct Transport {
    /// Its name, as options and the manifest spell it.
    pub name: &'static str,
    /// What it can do.
    pub capabilities: Capabilities,
    /// The send side.
    pub sender: Box<dyn PacketSender>,
    /// The receive side. Packets that arrive from now on are received.
    pub receiver: Box<dyn PacketReceiver>,
    /// Sends packets to this host itself. It is bound to no interface, because an interface would lead the packets out. `None` if
    /// the transport cannot send packets that it did not build a flow for, such as replies.
    pub loopback_sender: Option<Box<dyn PacketSender>>,
    /// The source ports. Hold them as long as the run lasts.
    pub ports: Arc<PortBlock>,
    /// The receive buffer.
    pub buffer: ReceiveBuffer,
    /// With [`TransportChoice::Auto`], why the preferred transport was refused; `None` if it was not.
    pub fell_back: Option<TransportError>,
}

impl TransportChoice {
    /// The name that options and the manifest use.
    pub const fn as_str(self) -> &'static str {
        match self {
            TransportChoice::Auto => "auto",
            TransportChoice::Raw => raw::NAME,
            TransportChoice::Dgram => dgram::NAME,
        }
    }

    /// What the transport of this choice can do at best; of [`Auto`](TransportChoice::Auto), the preferred one.
    pub const fn capabilities(self) -> Capabilities {
        match self {
            TransportChoice::Auto | TransportChoice::Raw => raw::CAPABILITIES,
            TransportChoice::Dgram => dgram::CAPABILITIES,
        }
    }
}

/// Opens the transport that `options` ask for.
///
/// With [`TransportChoice::Auto`] these are raw sockets. If the kernel refuses them for want of privilege, ordinary sockets take
/// their place, and [`Transport::fell_back`] says why.
///
/// # Errors
/// [`TransportError`], if a socket cannot be opened or the protocol cannot be sent.
pub fn open(options: &TransportOptions) -> Result<Transport, TransportError> {
    // If this fails, opening files may fail, and says so.
    let _ = sys::allow_open_files(2 * u64::from(options.flows) + OTHER_FILES);
    let transport = open_choice(options)?;
    check_spare_files()?;
    Ok(transport)
}

/// Checks that as many files can still be opened as a run needs.
fn check_spare_files() -> Result<(), TransportError> {
    let spare: io::Result<Vec<_>> = (0..SPARE_PIPES).map(|_| io::pipe()).collect();
    spare
        .map(drop)
        .map_err(|source| TransportError::NoSpareFiles { source })
}

fn open_choice(options: &TransportOptions) -> Result<Transport, TransportError> {
    match options.choice {
        TransportChoice::Raw => raw::open(options),
        TransportChoice::Dgram => dgram::open(options),
        TransportChoice::Auto => match raw::open(options) {
            Err(refused @ TransportError::Privilege { .. }) => Ok(Transport {
                fell_back: Some(refused),
                ..dgram::open(options)?
            }),
            opened => opened,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dgram(protocol: Protocol) -> Result<Transport, TransportError> {
        open(&TransportOptions {
            choice: TransportChoice::Dgram,
            protocol,
            families: AddressFamilies {
                ipv4: true,
                ipv6: false,
            },
            source_port: 24_000,
            flows: 2,
            origin: Origin::default(),
            rate: Rate::THOUSAND,
        })
    }

    #[test]
    fn an_open_transport_has_the_name_and_the_capabilities_of_its_choice() {
        let transport = dgram(Protocol::Udp).expect("UDP sockets");
        assert_eq!(transport.name, TransportChoice::Dgram.as_str());
        let expected = TransportChoice::Dgram.capabilities();
        // A machine may be without IPv6.
        let families = transport.capabilities.families;
        assert_eq!(
            transport.capabilities,
            Capabilities {
                families,
                ..expected
            }
        );
        assert!(families.ipv4 && transport.fell_back.is_none());
        let ports = transport.ports.ports();
        assert_eq!(ports.end() - ports.start(), 1);
    }

    #[test]
    fn a_protocol_that_cannot_be_sent_is_refused_by_name() {
        let error = dgram(Protocol::Tcp).err().expect("a refusal").to_string();
        assert!(
            error.contains("--transport dgram") && error.contains("tcp"),
            "{error}"
        );
    }
}
