//! Raw sockets: probes leave with an IP header of our own making, replies come in whole.
//!
//! [`RawSender`] takes packets of any protocol over IPv4 and IPv6, [`RawReceiver`] gives what answers them,
//! [`PortBlock`] holds the source ports, [`Origin`] says where to send from. All need CAP_NET_RAW in the network namespace, but for the ports.
//! What the kernel refuses at opening is a [`TransportError`]; what it refuses for one packet is that packet's
//! [`Stopped`](super::Stopped).

mod arena;
mod error;
mod filter;
pub(in crate::transport) mod fitness;
pub(in crate::transport) mod header;
pub(in crate::transport) mod lookup;
mod origin;
mod ports;
mod queues;
mod receiver;
pub(crate) mod ring;
mod sender;
pub(in crate::transport) mod source;
pub(crate) mod sys;

pub use error::TransportError;
pub use filter::Answers;
pub use origin::Origin;
pub use ports::{DgramProtocol, PortBlock};
pub use receiver::{BufferKind, RawReceiver, ReceiveBuffer};
pub use sender::RawSender;

use crate::model::UnsentReason;

/// Why a packet was not sent, from the errno that the kernel gave.
pub(in crate::transport) fn unsent_reason(errno: i32) -> UnsentReason {
    match errno {
        libc::ENETUNREACH => UnsentReason::NoRoute,
        libc::EHOSTUNREACH => UnsentReason::HostUnreachable,
        libc::EACCES => UnsentReason::Prohibited,
        libc::EINVAL => UnsentReason::Invalid,
        libc::EMSGSIZE => UnsentReason::TooLarge,
        libc::EPERM => UnsentReason::Firewall,
        // Of a route whose interface has no address.
        libc::EADDRNOTAVAIL => UnsentReason::NoSourceAddress,
        other => UnsentReason::Errno(other),
    }
}
