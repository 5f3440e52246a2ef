//! What packets come through, several at a time, and their order: by the kernel's stamps, whichever is read first.
//!
//! Two sockets are never read at the same moment. Between the reads an answer may come to the one that was read first, and a later one to
//! the other. So after the first look at all queues there is a second. Only packets no younger than the youngest of the first look are
//! passed, and no younger than the youngest of a queue that may hold more than was taken. What is younger waits for the next call.
//!
//! A single queue is passed as far as it was taken.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::Socket;

use super::arena::ReceiveArena;
use crate::transport::ring::PacketRing;
use crate::transport::{Received, sys};

/// Packets taken of a queue at a time.
const MOST: usize = ReceiveArena::SLOTS;

/// What packets come through.
pub(super) struct Queue {
    kind: Kind,
    /// Packets that are there and not yet passed.
    count: usize,
}

enum Kind {
    /// A raw socket, and what was read from it: of those slots the ones from the number on are not yet passed.
    Socket(Socket, Box<ReceiveArena>, usize),
    Ring(PacketRing),
}

/// All that a receiver receives through.
#[derive(Default)]
pub(super) struct Queues {
    queues: Vec<Queue>,
    /// Used again and again.
    order: Vec<Place>,
}

/// A packet that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    stamp: u64,
    queue: usize,
    at: usize,
}

impl Queues {
    /// A single one.
    pub fn of(queue: Queue) -> Self {
        Queues {
            queues: vec![queue],
            order: Vec::new(),
        }
    }

    /// One more.
    pub fn add(&mut self, queue: Queue) {
        self.queues.push(queue);
    }

    /// What to wait for.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.queues.iter().map(AsFd::as_fd).collect()
    }

    /// Packets that found a full buffer; `None` where the kernel does not tell.
    pub fn dropped(&self) -> Option<u64> {
        self.queues.iter().map(Queue::dropped).sum()
    }

    /// Passes what is there, without waiting.
    pub fn take(&mut self, visit: &mut dyn FnMut(&[u8], Option<u64>)) -> io::Result<Received> {
        self.look()?;
        let mut until = u64::MAX;
        if self.queues.len() > 1
            && let Some(youngest) = self.queues.iter().filter_map(Queue::youngest).max()
        {
            self.look()?;
            until = youngest;
        }
        let full = self.queues.iter().filter(|queue| queue.is_full());
        let full = full.filter_map(Queue::youngest).min();
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

    fn look(&mut self) -> io::Result<()> {
        self.queues.iter_mut().try_for_each(Queue::look)
    }
}

impl Queue {
    /// Of a raw socket.
    pub fn socket(socket: Socket) -> Self {
        Queue {
            kind: Kind::Socket(socket, Box::new(ReceiveArena::new()), 0),
            count: 0,
        }
    }

    /// Of a packet ring.
    pub fn ring(ring: PacketRing) -> Self {
        Queue {
            kind: Kind::Ring(ring),
            count: 0,
        }
    }

    /// Takes what has come, as long as there is room.
    fn look(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::Socket(socket, arena, first) => {
                if self.count == 0 {
                    *first = 0;
                }
                let filled = *first + self.count;
                if filled < MOST {
                    self.count += arena.receive(socket.as_fd(), filled)?;
                }
            }
            Kind::Ring(ring) => self.count = ring.ready(MOST),
        }
        Ok(())
    }

    /// Packet `at` of those that are there.
    fn packet(&self, at: usize) -> Option<(&[u8], Option<u64>)> {
        match &self.kind {
            Kind::Socket(_, arena, first) => {
                Some((arena.packet(first + at), arena.stamp(first + at)))
            }
            Kind::Ring(ring) => ring.packet(at),
        }
    }

    /// Its stamp; one without a stamp goes first.
    fn stamp(&self, at: usize) -> u64 {
        let stamp = match &self.kind {
            Kind::Socket(_, arena, first) => arena.stamp(first + at),
            Kind::Ring(ring) => ring.packet(at).and_then(|(_, stamp)| stamp),
        };
        stamp.unwrap_or_default()
    }

    /// Whether more may have come than there was room for.
    fn is_full(&self) -> bool {
        match &self.kind {
            Kind::Socket(_, _, first) => self.count > 0 && first + self.count == MOST,
            Kind::Ring(_) => self.count == MOST,
        }
    }

    fn youngest(&self) -> Option<u64> {
        (0..self.count).map(|at| self.stamp(at)).max()
    }

    /// How many packets there are before one that is younger than `until`.
    fn until(&self, until: u64) -> usize {
        if until == u64::MAX {
            return self.count;
        }
        (0..self.count)
            .find(|at| self.stamp(*at) > until)
            .unwrap_or(self.count)
    }

    /// Forgets the first `count` packets.
    fn pass(&mut self, count: usize) {
        match &mut self.kind {
            Kind::Socket(_, _, first) => *first += count,
            Kind::Ring(ring) => ring.give_back(count),
        }
        self.count -= count;
    }

    fn dropped(&self) -> Option<u64> {
        match &self.kind {
            Kind::Socket(socket, ..) => {
                // The ninth word (SK_MEMINFO_DROPS) counts the packets that found the buffer full.
                let words =
                    sys::option_words::<9>(socket.as_fd(), libc::SOL_SOCKET, sys::SO_MEMINFO);
                words.ok().map(|words| words[8].into())
            }
            Kind::Ring(ring) => ring.dropped(),
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Socket(socket, ..) => socket.as_fd(),
            Kind::Ring(ring) => ring.as_fd(),
        }
    }
}
