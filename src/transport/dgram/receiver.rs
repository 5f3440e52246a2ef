//! Receiving from the error queues and the receive queues of ordinary sockets.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::control::{ControlData, Message};
use super::sys;
use crate::model::{Datagram, DiscardReason, EchoMessage, SentBySocket, SocketError};
use crate::transport::passing::Passing;
use crate::transport::ports::DgramProtocol;
use crate::transport::{Arrival, PacketReceiver, PortBlock, Received};

/// The most batches read from one queue before the next queue is read.
const BATCHES: usize = 8;

/// Receives ICMP errors about what the sockets of a port block have sent, and datagrams or echo replies to these sockets.
///
/// Arrivals are passed in the order of their timestamps over all sockets and queues, because an error that is read last may have
/// arrived first. Dropped arrivals are not counted: the kernel counts no lost errors.
pub struct DgramReceiver {
    protocol: DgramProtocol,
    ports: Arc<PortBlock>,
    poll: sys::Poll,
    arena: Box<sys::ReceiveArena>,
    waiting: Waiting,
    passing: Passing,
}

/// Messages that were read and not passed yet.
#[derive(Default)]
struct Waiting {
    messages: Vec<Kept>,
    bytes: Vec<u8>,
}

/// A message, with the place of its bytes.
struct Kept {
    /// The socket's port or identifier.
    number: u16,
    queue: sys::Queue,
    bytes: Range<usize>,
    facts: ControlData,
}

impl Kept {
    /// The timestamp; 0 if there is none, so that the message goes first.
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

    /// The latest timestamp of the messages from `first` on.
    fn latest(&self, first: usize) -> Option<u64> {
        self.messages[first..].iter().map(Kept::stamp).max()
    }

    /// Passes the messages up to the timestamp `until`, in order, and keeps the rest. Returns how many were passed.
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
            // Keep the memory.
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
            passing: Passing::default(),
        }
    }

    /// Reads the sockets that are ready. Returns the timestamp up to which everything has been read; `None` if all queues were read
    /// to their end. With several queues that may hold more, it is the earliest of their last timestamps.
    fn read(&mut self) -> io::Result<Option<u64>> {
        let mut complete_until = None;
        for ((port, socket), ready) in self.ports.sockets().zip(self.poll.ready()) {
            if !ready {
                continue;
            }
            for queue in [sys::Queue::Errors, sys::Queue::Datagrams] {
                let first = self.waiting.messages.len();
                let kept = (&mut self.passing, &mut self.waiting);
                if !drain(&mut self.arena, socket, port, queue, kept)? {
                    let latest = self.waiting.latest(first).unwrap_or_default();
                    complete_until =
                        Some(complete_until.map_or(latest, |other: u64| other.min(latest)));
                }
            }
        }
        Ok(complete_until)
    }

    /// Waits up to `timeout`, then reads what is there and passes it in the order of timestamps. Reads all sockets a second time,
    /// so that nothing earlier than what is passed is still unread.
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
        let Some(latest) = self.waiting.latest(0) else {
            return Ok(Received {
                count: 0,
                drained_until: full,
            });
        };
        if full.is_none() {
            self.poll.wait(Duration::ZERO)?;
            full = self.read()?;
        }
        let mut until = full.map_or(latest, |full| full.min(latest));
        let oldest = self.waiting.messages.iter().map(Kept::stamp).min();
        if oldest.is_some_and(|oldest| oldest > until) {
            until = latest;
        }
        let mut skipped = 0;
        let protocol = self.protocol;
        let passed = self.waiting.pass(until, &mut |kept, message| match arrival(
            protocol, kept, &message,
        ) {
            Some(arrival) => visit(arrival, message.facts.stamp),
            None => skipped += 1,
        });
        let more = full.is_some() || !self.waiting.messages.is_empty();
        Ok(Received {
            count: passed - skipped,
            drained_until: more.then_some(until),
        })
    }
}

/// Reads up to [`BATCHES`] batches from a queue. Returns whether the queue was empty at the end.
fn drain(
    arena: &mut sys::ReceiveArena,
    socket: &Socket,
    number: u16,
    queue: sys::Queue,
    (passing, waiting): (&mut Passing, &mut Waiting),
) -> io::Result<bool> {
    for _ in 0..BATCHES {
        let count = match arena.receive(socket.as_fd(), queue) {
            Ok(count) => count,
            Err(error) => match passing.failed(error)? {
                true => return Ok(true),
                false => continue,
            },
        };
        passing.succeeded();
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

/// What all packets of a socket have in common.
struct Bound {
    protocol: DgramProtocol,
    /// Its port or identifier.
    number: u16,
}

impl Bound {
    /// Reads a message of the socket's receive queue.
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

    /// Reads an ICMP error about a packet of the socket. `None` for a local failure, which the sender knows already.
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
            // Without the responder or the quoted destination, the error matches no probe.
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

/// The address itself, if an IPv6 socket shows it as an IPv4-mapped one.
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
            // If nothing came, because of a signal or a leftover errno, wait for the rest of the time.
            if all.count > 0 || all.drained_until.is_some() || left.is_zero() {
                return Ok(all);
            }
        }
    }

    fn dropped(&self) -> Option<u64> {
        None
    }
}
