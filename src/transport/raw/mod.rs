//! Raw sockets: probes leave with their own IP header, replies arrive as whole packets.
//!
//! [`RawSender`] takes packets of any protocol over IPv4 and IPv6. [`RawReceiver`] passes the packets that answer them. Both need
//! CAP_NET_RAW in the network namespace.

mod arena;
mod filter;
mod queues;
mod receiver;
mod sender;

use std::sync::Arc;

use super::{
    AddressFamilies, Capabilities, PortBlock, ReceiveBuffer, Transport, TransportError,
    TransportOptions,
};
use crate::model::{Protocol, Rate};

pub use filter::Answers;
pub use receiver::{BufferKind, RawBuffer, RawReceiver};
pub use sender::RawSender;

pub(super) const NAME: &str = "raw";

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    protocols: &[Protocol::Udp, Protocol::Icmp, Protocol::Tcp],
    families: AddressFamilies {
        ipv4: true,
        ipv6: true,
    },
    own_ip_header: true,
    quotes_with_headers: true,
    extensions: true,
    whole_packets: true,
    counts_drops: true,
};

/// Bounds of the receive buffer, bytes.
const LEAST_BUFFER: usize = 8 << 20;
const MOST_BUFFER: usize = 256 << 20;
/// Receive buffer for one reply, bytes: a slot of a packet ring. A reply takes less than half of that in a socket's buffer.
const BYTES_PER_REPLY: f64 = 2_048.0;

/// Opens raw sockets, and sockets that hold the source ports.
pub(super) fn open(options: &TransportOptions) -> Result<Transport, TransportError> {
    let ports = PortBlock::bind(options.protocol, options.source_port, options.flows)?;
    let answers = Answers {
        ipv4: options.families.ipv4,
        ipv6: options.families.ipv6,
        protocol: Some(options.protocol),
        ports: ports.ports(),
    };
    let receiver = RawReceiver::open_for(&answers, buffer_for(options.rate))?;
    let obtained = receiver.buffer();
    let sender = RawSender::open_from(&options.origin)?;
    let loopback_sender = RawSender::open()?;
    Ok(Transport {
        name: NAME,
        capabilities: Capabilities {
            families: AddressFamilies {
                ipv4: true,
                ipv6: sender.has_ipv6(),
            },
            ..CAPABILITIES
        },
        sender: Box::new(sender),
        receiver: Box::new(receiver),
        loopback_sender: Some(Box::new(loopback_sender)),
        ports: Arc::new(ports),
        buffer: ReceiveBuffer {
            kind: obtained.kind.as_str(),
            bytes: obtained.bytes,
            replies: obtained.replies(),
            is_larger_for_root: true,
        },
        fell_back: None,
    })
}

/// A second of replies, within bounds.
fn buffer_for(rate: Rate) -> usize {
    let second = (rate.per_second() * BYTES_PER_REPLY) as usize;
    second.clamp(LEAST_BUFFER, MOST_BUFFER)
}
