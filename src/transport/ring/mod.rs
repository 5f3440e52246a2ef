//! A packet ring (AF_PACKET, TPACKET_V2): the kernel writes packets straight into memory that we share with it.
//!
//! It is used if a socket's receive buffer may not be enlarged: a user namespace refuses SO_RCVBUFFORCE, but not a ring of
//! 256 MiB. The version is 2, not 3. Version 3 passes packets in blocks, with light traffic only after milliseconds. With
//! version 2 each packet is there at once, and takes a fixed 2 KiB.

mod sys;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// Bytes of a slot: one packet with its header of 80 bytes. A longer packet is truncated.
pub(crate) const SLOT: usize = 2048;
/// Bytes of a block, the kernel's unit of allocation.
const BLOCK: usize = 256 << 10;

/// Which packets a ring takes.
pub(crate) struct RingConfig<'a> {
    /// Only packets of this interface; of all interfaces if `None`.
    pub interface: Option<u32>,
    /// Only packets that pass this classic BPF program, in which offset 0 is the IP header.
    pub filter: Option<&'a [SockFilter]>,
    /// Ethernet protocol (ETH_P_IP, ETH_P_ALL).
    pub protocol: u16,
    /// Memory asked for, in bytes; rounded to whole blocks, at least one.
    pub bytes: usize,
}

/// A ring of received packets, each from its IP header on.
pub(crate) struct PacketRing {
    socket: Socket,
    memory: sys::Mapping,
    slots: usize,
    next: usize,
    /// Packets dropped so far. The kernel resets its own count when it is read.
    dropped: AtomicU64,
}

impl PacketRing {
    /// Opens a ring. No packet enters it before filter and memory are in place.
    pub(crate) fn open(config: &RingConfig<'_>) -> io::Result<Self> {
        // Protocol 0: the socket takes nothing until it is bound.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        if let Some(filter) = config.filter {
            socket.attach_filter(filter)?;
        }
        sys::ignore_outgoing(socket.as_fd())?;
        let blocks = (config.bytes / BLOCK).max(1);
        let memory = sys::Mapping::new(socket.as_fd(), blocks, BLOCK, SLOT)?;
        sys::bind(
            socket.as_fd(),
            config.interface.unwrap_or(0),
            config.protocol,
        )?;
        Ok(PacketRing {
            socket,
            memory,
            slots: blocks * (BLOCK / SLOT),
            next: 0,
            dropped: AtomicU64::new(0),
        })
    }

    /// The memory obtained, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots * SLOT
    }

    /// Passes the packets that are there, at most `limit`, with their receive timestamps. Returns how many.
    pub(crate) fn visit(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(&[u8], Option<u64>),
    ) -> usize {
        let count = self.ready(limit);
        for at in 0..count {
            if let Some((packet, stamp)) = self.packet(at) {
                visit(packet, stamp);
            }
        }
        self.give_back(count);
        count
    }

    /// Counts the packets that are there, up to `limit`.
    pub(crate) fn ready(&self, limit: usize) -> usize {
        let limit = limit.min(self.slots);
        (0..limit)
            .find(|at| self.frame(*at).is_none())
            .unwrap_or(limit)
    }

    /// Packet `at` of those that are [`ready`](Self::ready), and its receive timestamp (nanoseconds, CLOCK_REALTIME).
    pub(crate) fn packet(&self, at: usize) -> Option<(&[u8], Option<u64>)> {
        let frame = self.frame(at)?;
        Some((frame.packet, frame.stamp))
    }

    fn frame(&self, at: usize) -> Option<sys::Frame<'_>> {
        self.memory.frame((self.next + at) % self.slots * SLOT)
    }

    /// Gives the slots of the first `count` packets back to the kernel.
    pub(crate) fn give_back(&mut self, count: usize) {
        for _ in 0..count {
            self.memory.give_back(self.next * SLOT);
            self.next = (self.next + 1) % self.slots;
        }
    }

    /// Packets that the kernel dropped so far because the ring was full; `None` if the kernel does not answer.
    pub(crate) fn dropped(&self) -> Option<u64> {
        let recent = sys::take_drops(self.socket.as_fd()).ok()?;
        Some(self.dropped.fetch_add(recent.into(), Ordering::Relaxed) + u64::from(recent))
    }
}

impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
