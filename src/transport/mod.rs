//! Bytes in and out: the sockets and clocks of a run.
//!
//! A transport knows nothing of probes. It takes IP packets and gives back what the kernel received: whole packets, or the parts
//! of them that ordinary sockets show. [`open()`] opens one, and says in its [`Capabilities`] what it can do.
//!
//! | variant | sends | receives | needs |
//! |---|---|---|---|
//! | [`raw`] | packets with their own IP header | whole packets | CAP_NET_RAW |
//! | `dgram` | UDP datagrams and echo requests | the error queues of ordinary sockets | no privilege |
//!
//! A variant is one folder with one `open`, and one arm of the `match` in [`open()`]. What several variants need stands beside the
//! folders, never in one of them.
//!
//! If one packet cannot be sent, the sender says so for that packet ([`Stopped`]). An [`io::Error`](std::io::Error) means that a
//! socket is broken and that the run must end.

#![expect(
    clippy::disallowed_methods,
    reason = "transports open sockets and wait on them"
)]

mod batch;
mod dgram;
mod error;
mod header;
mod in_process;
pub(crate) mod loopback;
mod neighbours;
mod open;
mod origin;
mod outgoing;
mod own_addresses;
mod passing;
mod ports;
pub mod raw;
mod receive;
mod recorded;
mod refusal;
mod rights;
pub(crate) mod ring;
mod rtnetlink;
mod send;
mod source;
pub(crate) mod sys;

pub use batch::PacketBatch;
pub use error::TransportError;
pub use in_process::InProcessNetwork;
pub use open::{
    AddressFamilies, Capabilities, ReceiveBuffer, Transport, TransportChoice, TransportOptions,
    open,
};
pub use origin::Origin;
pub use own_addresses::OwnAddresses;
pub use ports::PortBlock;
pub use receive::{Arrival, PacketReceiver, Received};
pub(crate) use recorded::{ReceivedBatch, RecordedReceiver};
pub use rights::RawRemedy;
pub(crate) use rtnetlink::changes::has_several_next_hops;
pub use send::{PacketSender, SendProgress, Stopped};

/// Whether the error says that this machine has no IPv6.
fn is_without_ipv6(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}
