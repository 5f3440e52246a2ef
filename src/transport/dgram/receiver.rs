//! Reading error queues and datagrams of ordinary sockets.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::control::{Facts, Message};
use super::{may_be_left_behind, sys};
use crate::model::{Datagram, DiscardReason, EchoMessage, SentBySocket, SocketError};
use crate::transport::ports::DgramProtocol;
use crate::transport::{Arrival, PacketReceiver, PortBlock, Received};

/// Batches read from a queue before the next one's turn.
const BATCHES: usize = 8;

/// Hears ICMP errors about what the sockets of a port block have sent, and datagrams or echo replies that come to them, in the order of
/// their stamps over all sockets and queues: an error that is read last may have come first.
///
/// How many of either found a full buffer is not told: the kernel counts no lost errors.
pub struct DgramReceiver {
    protocol: DgramProtocol,
    ports: Arc<PortBlock>,
    poll: sys::Poll,
    arena: Box<sys::ReceiveArena>,
    waiting: Waiting,
}

/// Messages that were read and not yet passed.
#[derive(Default)]
struct Waiting {
    messages: Vec<Kept>,
    bytes: Vec<u8>,
}

/// A message without its bytes.
struct Kept {
    /// The socket's port or identifier.
    number: u16,
    queue: sys::Queue,
    bytes: Range<usize>,
    facts: Facts,
}

impl Kept {
    /// One without a stamp goes first.
    fn stamp(&self) -> u64 {
        self.facts.stamp.unwrap_or_default()
    }
}

impl Waiting {
    fn push(&mut self, number: u16, queue: sys::Queue, message: &Message<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(message.bytes);
        self.messages.push(Kept {
            number,
            queue,
            bytes: start..self.bytes.len(),
            facts: message.facts,
        });
    }

    /// The youngest stamp of those from `first` on.
    fn youngest(&self, first: usize) -> Option<u64> {
        self.messages[first..].iter().map(Kept::stamp).max()
    }

    /// Passes those that are no younger than `until`, by their stamps, and keeps the rest. Returns how many.
    fn pass(&mut self, until: u64, pass: &mut dyn FnMut(&Kept, Message<'_>)) -> usize {
        self.messages.sort_by_key(Kept::stamp);
        let count = self
            .messages
            .partition_point(|message| message.stamp() <= until);
        for kept in self.messages.drain(..count) {
            let message = Message {
                bytes: &self.bytes[kept.bytes.clone()],
                facts: kept.facts,
            };
            pass(&kept, message);
        }
        let mut bytes = Vec::new();
        for kept in &mut self.messages {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[kept.bytes.clone()]);
            kept.bytes = start..bytes.len();
        }
        match bytes.is_empty() {
            // Keeps its memory.
            true => self.bytes.clear(),
            false => self.bytes = bytes,
        }
        count
    }
}

impl DgramReceiver {
    pub(super) fn new(protocol: DgramProtocol, ports: Arc<PortBlock>) -> Self {
        let poll = sys::Poll::new(ports.sockets().map(|(_, socket)| socket.as_fd()));
        DgramReceiver {
            protocol,
            ports,
            poll,
            arena: Box::new(sys::ReceiveArena::new()),
            waiting: Waiting::default(),
        }
    }

    /// Reads what waits at the sockets that are ready. Returns the youngest stamp of what has come through queues that may hold
    /// more: the oldest of these, if there are such queues.
    fn read(&mut self) -> io::Result<Option<u64>> {
        let mut complete_until = None;
        for ((port, socket), ready) in self.ports.sockets().zip(self.poll.ready()) {
            if !ready {
                continue;
            }
            for queue in [sys::Queue::Errors, sys::Queue::Datagrams] {
                let first = self.waiting.messages.len();
                if !drain(&mut self.arena, socket, port, queue, &mut self.waiting)? {
                    let youngest = self.waiting.youngest(first).unwrap_or_default();
                    complete_until =
                        Some(complete_until.map_or(youngest, |other: u64| other.min(youngest)));
                }
            }
        }
        Ok(complete_until)
    }

    /// Reads what is there, after a wait of up to `timeout` for something, and passes it by stamps. Looks a second time at all sockets,
    /// so that nothing older is missing of what is passed.
    fn take(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        let waits = match self.waiting.messages.is_empty() {
            true => timeout,
            false => Duration::ZERO,
        };
        self.poll.wait(waits)?;
        let mut full = self.read()?;
        let Some(youngest) = self.waiting.youngest(0) else {
            return Ok(Received {
                count: 0,
                drained_until: full,
            });
        };
        if full.is_none() {
            self.poll.wait(Duration::ZERO)?;
            full = self.read()?;
        }
        let mut until = full.map_or(youngest, |full| full.min(youngest));
        let oldest = self.waiting.messages.iter().map(Kept::stamp).min();
        if oldest.is_some_and(|oldest| oldest > until) {
            until = youngest;
        }
        let mut unheard = 0;
        let protocol = self.protocol;
        let passed = self.waiting.pass(until, &mut |kept, message| match arrival(
            protocol, kept, &message,
        ) {
            Some(arrival) => visit(arrival, message.facts.stamp),
            None => unheard += 1,
        });
        let more = full.is_some() || !self.waiting.messages.is_empty();
        Ok(Received {
            count: passed - unheard,
            drained_until: more.then_some(until),
        })
    }
}

/// Reads a queue until it is empty, or others are due; whether it was seen empty.
fn drain(
    arena: &mut sys::ReceiveArena,
    socket: &Socket,
    number: u16,
    queue: sys::Queue,
    waiting: &mut Waiting,
) -> io::Result<bool> {
    for _ in 0..BATCHES {
        let count = match arena.receive(socket.as_fd(), queue) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
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
            waiting.push(number, queue, &arena.message(slot));
        }
    }
    Ok(false)
}

fn arrival<'a>(protocol: DgramProtocol, kept: &Kept, message: &Message<'a>) -> Option<Arrival<'a>> {
    let bound = Bound {
        protocol,
        number: kept.number,
    };
    match kept.queue {
        sys::Queue::Errors => bound.error(message),
        sys::Queue::Datagrams => Some(bound.answer(message)),
    }
}

/// What is known of all that a socket sends.
struct Bound {
    protocol: DgramProtocol,
    /// Its port or identifier.
    number: u16,
}

impl Bound {
    /// What came to the socket.
    fn answer<'a>(&self, message: &Message<'a>) -> Arrival<'a> {
        let Some(from) = message.facts.from else {
            return Arrival::Unreadable(DiscardReason::Malformed, message.bytes);
        };
        match self.protocol {
            DgramProtocol::Udp => Arrival::Datagram(Datagram {
                source: unmapped(from.ip()),
                src_port: from.port(),
                dst_port: self.number,
                payload: message.bytes,
                ttl: message.facts.ttl,
                tos: message.facts.tos,
            }),
            DgramProtocol::Icmp => Arrival::Echo(EchoMessage {
                source: unmapped(from.ip()),
                message: message.bytes,
                ttl: message.facts.ttl,
                tos: message.facts.tos,
            }),
        }
    }

    /// An ICMP error about what the socket has sent; `None` for local failures, of which the sender has been told.
    fn error<'a>(&self, message: &Message<'a>) -> Option<Arrival<'a>> {
        let error = message.facts.error.as_ref();
        if error.is_some_and(|error| {
            !matches!(
                error.origin,
                libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6
            )
        }) {
            return None;
        }
        let told = error.and_then(|error| Some((error, error.offender?, message.facts.from?)));
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
            ttl: message.facts.ttl,
            tos: message.facts.tos,
        }))
    }
}

/// The address itself, whatever family of socket it came through.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl PacketReceiver for DgramReceiver {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        let deadline = Instant::now() + timeout;
        let mut left = timeout;
        loop {
            let all = self.take(left, visit)?;
            left = deadline.saturating_duration_since(Instant::now());
            // A wait that brought nothing goes on, after a signal or an error left behind.
            if all.count > 0 || all.drained_until.is_some() || left.is_zero() {
                return Ok(all);
            }
        }
    }

    fn dropped(&self) -> Option<u64> {
        None
    }
}
