//! The queues of received packets, sockets and packet rings, merged in the order of the kernel's timestamps.
//!
//! Two sockets are never read at the same moment. Between the reads a packet may come to the first socket, and a later packet to
//! the second. So all queues are read twice. Packets are passed up to the earlier of two timestamps; later packets wait for the
//! next call:
//!
//! - the latest timestamp of the first read;
//! - the last timestamp of a queue that may hold more than was read.
//!
//! With a single queue, everything that was read is passed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::Socket;

use super::arena::ReceiveArena;
use crate::transport::passing::Passing;
use crate::transport::ring::PacketRing;
use crate::transport::{Received, sys};

/// The most packets taken from a queue at a time.
const MOST: usize = ReceiveArena::SLOTS;

/// A socket or a packet ring that receives packets.
pub(super) struct Queue {
    kind: QueueKind,
    /// The number of packets that are there and not passed yet.
    count: usize,
    passing: Passing,
}

enum QueueKind {
    /// A raw socket, the packets read from it, and the slot of the first one that is not passed yet.
    Socket(Socket, Box<ReceiveArena>, usize),
    Ring(PacketRing),
}

/// All queues of a receiver.
#[derive(Default)]
pub(super) struct Queues {
    queues: Vec<Queue>,
    /// Reused from call to call.
    order: Vec<Place>,
}

/// The place of a packet that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    stamp: u64,
    queue: usize,
    at: usize,
}

impl Queues {
    /// A single queue.
    pub fn of(queue: Queue) -> Self {
        Queues {
            queues: vec![queue],
            order: Vec::new(),
        }
    }

    /// Adds a queue.
    pub fn add(&mut self, queue: Queue) {
        self.queues.push(queue);
    }

    /// The descriptors to wait for.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.queues.iter().map(AsFd::as_fd).collect()
    }

    /// Packets that the kernel dropped because a buffer was full; `None` if it does not count them.
    pub fn dropped(&self) -> Option<u64> {
        self.queues.iter().map(Queue::dropped).sum()
    }

    /// Passes the packets that are there, without waiting.
    pub fn take(&mut self, visit: &mut dyn FnMut(&[u8], Option<u64>)) -> io::Result<Received> {
        self.read()?;
        let mut until = u64::MAX;
        if self.queues.len() > 1
            && let Some(latest) = self.queues.iter().filter_map(Queue::latest).max()
        {
            self.read()?;
            until = latest;
        }
        let full = self.queues.iter().filter(|queue| queue.is_full());
        let full = full.filter_map(Queue::latest).min();
        let until = full.map_or(until, |full| until.min(full));
        self.order.clear();
        let mut waiting = false;
        for (number, queue) in self.queues.iter().enumerate() {
            let count = queue.until(until);
            waiting |= count < queue.count;
            self.order.extend((0..count).map(|at| Place {
                stamp: queue.stamp(at),
                queue: number,
                at,
            }));
        }
        if !self.order.is_sorted_by_key(|place| place.stamp) {
            self.order.sort_by_key(|place| place.stamp);
        }
        for place in &self.order {
            if let Some((packet, stamp)) = self.queues[place.queue].packet(place.at) {
                visit(packet, stamp);
            }
        }
        for queue in &mut self.queues {
            queue.pass(queue.until(until));
        }
        Ok(Received {
            count: self.order.len(),
            drained_until: (waiting || full.is_some()).then_some(until),
        })
    }

    fn read(&mut self) -> io::Result<()> {
        self.queues.iter_mut().try_for_each(Queue::read)
    }
}

impl Queue {
    /// The queue of a raw socket.
    pub fn socket(socket: Socket) -> Self {
        Queue {
            kind: QueueKind::Socket(socket, Box::new(ReceiveArena::new()), 0),
            count: 0,
            passing: Passing::default(),
        }
    }

    /// The queue of a packet ring.
    pub fn ring(ring: PacketRing) -> Self {
        Queue {
            kind: QueueKind::Ring(ring),
            count: 0,
            passing: Passing::default(),
        }
    }

    /// Reads the packets that have come, as far as there is room.
    fn read(&mut self) -> io::Result<()> {
        match &mut self.kind {
            QueueKind::Socket(socket, arena, first) => {
                if self.count == 0 {
                    *first = 0;
                }
                let filled = *first + self.count;
                if filled < MOST {
                    self.count += receive(socket, arena, filled, &mut self.passing)?;
                }
            }
            QueueKind::Ring(ring) => self.count = ring.ready(MOST),
        }
        Ok(())
    }

    /// Packet `at` of the packets that are there.
    fn packet(&self, at: usize) -> Option<(&[u8], Option<u64>)> {
        match &self.kind {
            QueueKind::Socket(_, arena, first) => {
                Some((arena.packet(first + at), arena.stamp(first + at)))
            }
            QueueKind::Ring(ring) => ring.packet(at),
        }
    }

    /// The timestamp of packet `at`; 0 if it has none, so that it goes first.
    fn stamp(&self, at: usize) -> u64 {
        let stamp = match &self.kind {
            QueueKind::Socket(_, arena, first) => arena.stamp(first + at),
            QueueKind::Ring(ring) => ring.packet(at).and_then(|(_, stamp)| stamp),
        };
        stamp.unwrap_or_default()
    }

    /// Whether there may be more packets than there was room for.
    fn is_full(&self) -> bool {
        match &self.kind {
            QueueKind::Socket(_, _, first) => self.count > 0 && first + self.count == MOST,
            QueueKind::Ring(_) => self.count == MOST,
        }
    }

    fn latest(&self) -> Option<u64> {
        (0..self.count).map(|at| self.stamp(at)).max()
    }

    /// The number of packets before the first one that is later than `until`.
    fn until(&self, until: u64) -> usize {
        if until == u64::MAX {
            return self.count;
        }
        (0..self.count)
            .find(|at| self.stamp(*at) > until)
            .unwrap_or(self.count)
    }

    /// Removes the first `count` packets.
    fn pass(&mut self, count: usize) {
        match &mut self.kind {
            QueueKind::Socket(_, _, first) => *first += count,
            QueueKind::Ring(ring) => ring.give_back(count),
        }
        self.count -= count;
    }

    fn dropped(&self) -> Option<u64> {
        match &self.kind {
            QueueKind::Socket(socket, ..) => {
                // The ninth word (SK_MEMINFO_DROPS) counts the packets that found the buffer full.
                let words =
                    sys::option_words::<9>(socket.as_fd(), libc::SOL_SOCKET, sys::SO_MEMINFO);
                words.ok().map(|words| words[8].into())
            }
            QueueKind::Ring(ring) => ring.dropped(),
        }
    }
}

/// Receives the packets that wait at `socket` into the slots from `from` on. Returns how many, 0 if there are none.
fn receive(
    socket: &Socket,
    arena: &mut ReceiveArena,
    from: usize,
    passing: &mut Passing,
) -> io::Result<usize> {
    loop {
        match arena.receive(socket.as_fd(), from) {
            Ok(count) => {
                passing.succeeded();
                return Ok(count);
            }
            Err(error) => {
                if passing.failed(error)? {
                    return Ok(0);
                }
            }
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            QueueKind::Socket(socket, ..) => socket.as_fd(),
            QueueKind::Ring(ring) => ring.as_fd(),
        }
    }
}
