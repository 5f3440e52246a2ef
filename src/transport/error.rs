//! What can go wrong when a transport is opened, and when the kernel is offered a packet.

use std::io;

use super::rights::RawRemedy;
use super::{refusal, sys};
use crate::model::{Protocol, UnsentReason};

/// Why a transport could not be opened. Each message is one sentence. It names a remedy if the cause is known.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The kernel refuses raw sockets (EPERM, EACCES).
    #[error(
        "opening {socket} was refused ({source}): {remedy}; the built-in network (--lab) needs no such right"
    )]
    Privilege {
        /// Which socket.
        socket: &'static str,
        /// What to do.
        remedy: RawRemedy,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel refuses ping sockets to this group (EACCES).
    #[error(
        "opening an ICMP socket without privilege was refused ({source}): let this group have them with `sudo sysctl \
         net.ipv4.ping_group_range=\"{group} {group}\"`, or probe with --protocol udp, or use raw sockets ({remedy})"
    )]
    PingGroup {
        /// The group of this process.
        group: u32,
        /// What to do about raw sockets.
        remedy: RawRemedy,
        /// The kernel's error.
        source: io::Error,
    },
    /// The transport cannot send probes of this protocol.
    #[error(
        "--transport {transport} cannot send {} probes: choose another --protocol, or another --transport",
        .protocol.as_str()
    )]
    Protocol {
        /// The transport's name.
        transport: &'static str,
        /// The protocol asked for.
        protocol: Protocol,
    },
    /// A socket could not be opened, for another reason.
    #[error("opening {socket} failed ({source}){}", refusal::remedy(source))]
    Opening {
        /// Which socket.
        socket: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// Another step failed.
    #[error("{operation} failed ({source}){}", refusal::remedy(source))]
    Setup {
        /// The step.
        operation: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// This process may not open enough files for a survey.
    #[error(
        "a survey needs more open files than this process may have ({source}){}",
        refusal::remedy(source)
    )]
    NoSpareFiles {
        /// The kernel's error.
        source: io::Error,
    },
    /// An interface that does not exist or may not be used.
    #[error(
        "--interface {name}: the kernel refuses it ({source}); `ip link` lists the interfaces there are"
    )]
    NoInterface {
        /// As given.
        name: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// An interface that is down.
    #[error("--interface {name}: it is down; bring it up with `ip link set {name} up`")]
    InterfaceDown {
        /// As given.
        name: String,
    },
    /// A source address that is not an address of this host.
    #[error(
        "--source {address}: not an address of this machine ({source}); `ip address` lists those that are"
    )]
    ForeignSource {
        /// As given.
        address: std::net::IpAddr,
        /// The kernel's error.
        source: io::Error,
    },
    /// No block of source ports is free.
    #[error(
        "cannot bind {flows} source ports (ICMP: identifiers) from {base} on, nor in another block outside the ephemeral range ({source}): \
         free them, or ask for another base with --source-port, or for fewer flows"
    )]
    PortsTaken {
        /// The first port that was asked for.
        base: u16,
        /// How many.
        flows: u16,
        /// The kernel's error for the last block tried.
        source: io::Error,
    },
    /// There are not so many ports above the base.
    #[error(
        "{flows} source ports from {base} on do not fit below 65536: give a lower --source-port or fewer flows"
    )]
    PortsOutOfRange {
        /// The first port that was asked for.
        base: u16,
        /// How many.
        flows: u16,
    },
    /// One socket per port is more than this process may open.
    #[error(
        "binding {flows} source ports needs as many open files ({source}){}; or ask for fewer flows",
        refusal::remedy(source)
    )]
    TooManyFiles {
        /// How many ports.
        flows: u16,
        /// The kernel's error.
        source: io::Error,
    },
}

impl TransportError {
    /// The error for a socket that could not be created.
    pub(super) fn opening(socket: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => TransportError::Privilege {
                socket,
                remedy: RawRemedy::now(),
                source,
            },
            _ => TransportError::Opening { socket, source },
        }
    }

    /// The error for a ping socket that was refused.
    pub(super) fn ping(source: io::Error) -> Self {
        TransportError::PingGroup {
            group: sys::effective_group(),
            remedy: RawRemedy::now(),
            source,
        }
    }

    /// Turns the failure of a set-up step into an error.
    pub(in crate::transport) fn setup(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| TransportError::Setup { operation, source }
    }
}

/// Why a packet was not sent, from the errno that the kernel gave.
pub(super) fn unsent_reason(errno: i32) -> UnsentReason {
    match errno {
        libc::ENETUNREACH => UnsentReason::NoRoute,
        libc::EHOSTUNREACH => UnsentReason::HostUnreachable,
        libc::EACCES => UnsentReason::Prohibited,
        libc::EINVAL => UnsentReason::Invalid,
        libc::EMSGSIZE => UnsentReason::TooLarge,
        libc::EPERM => UnsentReason::Firewall,
        // The route's interface has no address.
        libc::EADDRNOTAVAIL => UnsentReason::NoSourceAddress,
        libc::ENODEV | libc::ENXIO => UnsentReason::NoInterface,
        libc::ENETDOWN => UnsentReason::InterfaceDown,
        libc::ENOMEM => UnsentReason::NoMemory,
        other => UnsentReason::Errno(other),
    }
}
