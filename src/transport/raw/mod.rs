//! Raw sockets: probes leave with an IP header of our own making, replies come in whole.
//!
//! [`RawSender`] takes packets of any protocol over IPv4 and IPv6, [`RawReceiver`] gives what answers them,
//! [`PortBlock`] holds the source ports, [`Origin`] says where to send from. All need CAP_NET_RAW in the network namespace, but for the ports.
//! What the kernel refuses at opening is a [`TransportError`]; what it refuses for one packet is that packet's
//! [`Stopped`](super::Stopped).

mod arena;
mod filter;
mod queues;
mod receiver;
mod sender;

pub use filter::Answers;
pub use receiver::{BufferKind, RawReceiver, ReceiveBuffer};
pub use sender::RawSender;
