//! Reading error queues and datagrams of ordinary sockets.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::control::Message;
use super::{may_be_left_behind, sys};
use crate::model::{Datagram, DiscardReason, EchoMessage, SentBySocket, SocketError};
use crate::transport::raw::{DgramProtocol, PortBlock};
use crate::transport::{Arrival, Listener, Received};

/// Batches read from a queue before the next one's turn.
const BATCHES: usize = 8;

/// Hears ICMP errors about what the sockets of a port block have sent, and datagrams or echo replies that come to them.
///
/// How many of either found a full buffer is not told: the kernel counts no lost errors.
pub struct DgramListener {
    protocol: DgramProtocol,
    ports: Arc<PortBlock>,
    poll: sys::Poll,
    arena: Box<sys::ReceiveArena>,
}

/// What was read from one queue.
struct Taken {
    count: usize,
    last: Option<u64>,
    /// Whether the queue was seen empty.
    empty: bool,
}

impl DgramListener {
    pub(super) fn new(protocol: DgramProtocol, ports: Arc<PortBlock>) -> Self {
        let poll = sys::Poll::new(ports.sockets().map(|(_, socket)| socket.as_fd()));
        DgramListener {
            protocol,
            ports,
            poll,
            arena: Box::new(sys::ReceiveArena::new()),
        }
    }

    /// Reads what waits at the sockets that are ready.
    fn take(&mut self, visit: &mut dyn FnMut(Arrival<'_>, Option<u64>)) -> io::Result<Received> {
        let mut all = Received::default();
        for ((port, socket), ready) in self.ports.sockets().zip(self.poll.ready()) {
            if !ready {
                continue;
            }
            let socket = Bound {
                socket,
                protocol: self.protocol,
                number: port,
            };
            for queue in [sys::Queue::Errors, sys::Queue::Datagrams] {
                let taken = drain(&mut self.arena, &socket, queue, visit)?;
                all = all.and(Received {
                    count: taken.count,
                    drained_until: (!taken.empty).then_some(taken.last.unwrap_or_default()),
                });
            }
        }
        Ok(all)
    }
}

/// A socket, and what is known of all that it sends.
struct Bound<'a> {
    socket: &'a Socket,
    protocol: DgramProtocol,
    /// Its port or identifier.
    number: u16,
}

/// Reads a queue of `bound` until it is empty, or others are due.
fn drain(
    arena: &mut sys::ReceiveArena,
    bound: &Bound<'_>,
    queue: sys::Queue,
    visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
) -> io::Result<Taken> {
    let mut taken = Taken {
        count: 0,
        last: None,
        empty: false,
    };
    for _ in 0..BATCHES {
        let count = match arena.receive(bound.socket.as_fd(), queue) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                taken.empty = true;
                break;
            }
            // A signal, or what an error has left behind: gone with this failure.
            Err(error)
                if error.kind() == io::ErrorKind::Interrupted
                    || error.raw_os_error().is_some_and(may_be_left_behind) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        for slot in 0..count {
            let message = arena.message(slot);
            taken.last = message.stamp.or(taken.last);
            let arrival = match queue {
                sys::Queue::Errors => bound.error(&message),
                sys::Queue::Datagrams => Some(bound.answer(&message)),
            };
            if let Some(arrival) = arrival {
                taken.count += 1;
                visit(arrival, message.stamp);
            }
        }
    }
    Ok(taken)
}

impl Bound<'_> {
    /// What came to the socket.
    fn answer<'a>(&self, message: &Message<'a>) -> Arrival<'a> {
        let Some(from) = message.from else {
            return Arrival::Unreadable(DiscardReason::Malformed, message.bytes);
        };
        match self.protocol {
            DgramProtocol::Udp => Arrival::Datagram(Datagram {
                source: unmapped(from.ip()),
                src_port: from.port(),
                dst_port: self.number,
                payload: message.bytes,
                ttl: message.ttl,
                tos: message.tos,
            }),
            DgramProtocol::Icmp => Arrival::Echo(EchoMessage {
                source: unmapped(from.ip()),
                message: message.bytes,
                ttl: message.ttl,
                tos: message.tos,
            }),
        }
    }

    /// An ICMP error about what the socket has sent; `None` for local failures, of which the sender has been told.
    fn error<'a>(&self, message: &Message<'a>) -> Option<Arrival<'a>> {
        let error = message.error.as_ref();
        if error.is_some_and(|error| {
            !matches!(
                error.origin,
                libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6
            )
        }) {
            return None;
        }
        let told = error.and_then(|error| Some((error, error.offender?, message.from?)));
        let Some((error, offender, from)) = told else {
            // Without the sender, or the destination that it quotes, it names nobody.
            return Some(Arrival::Unreadable(DiscardReason::Malformed, message.bytes));
        };
        Some(Arrival::Error(SocketError {
            offender: unmapped(offender),
            icmp_type: error.icmp_type,
            icmp_code: error.icmp_code,
            destination: unmapped(from.ip()),
            about: match self.protocol {
                DgramProtocol::Udp => SentBySocket::Datagram {
                    src_port: self.number,
                    dst_port: from.port(),
                },
                DgramProtocol::Icmp => SentBySocket::Echo,
            },
            returned: message.bytes,
            extensions_at: error.extensions_at,
            info: error.info,
            ttl: message.ttl,
            tos: message.tos,
        }))
    }
}

/// The address itself, whatever family of socket it came through.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl Listener for DgramListener {
    fn listen(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        let deadline = Instant::now() + timeout;
        let mut left = timeout;
        loop {
            self.poll.wait(left)?;
            let all = self.take(visit)?;
            left = deadline.saturating_duration_since(Instant::now());
            // A wait that brought nothing goes on, after a signal or an error left behind.
            if all.count > 0 || all.drained_until.is_some() || left.is_zero() {
                return Ok(all);
            }
        }
    }

    fn unheard(&self) -> Option<u64> {
        None
    }
}
