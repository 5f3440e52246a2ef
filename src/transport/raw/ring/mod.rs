//! A packet ring (AF_PACKET, TPACKET_V2): the kernel writes packets straight into memory that we share with it.
//!
//! It serves where a socket's receive buffer may not be enlarged (in a user namespace SO_RCVBUFFORCE is refused, a ring of
//! 256 MiB is not). Version 2 rather than 3: version 3 hands packets over by blocks, after a timer of milliseconds when
//! traffic is light; here each packet is there at once, at the price of a fixed 2 KiB a packet.

mod sys;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// Bytes of a slot: one packet with its header of 80 bytes; what is longer is cut off.
pub(crate) const SLOT: usize = 2048;
/// Bytes of a block, the kernel's unit of allocation.
const BLOCK: usize = 256 << 10;

/// Which packets a ring takes.
pub(crate) struct RingConfig<'a> {
    /// Only those of this interface; all interfaces if `None`.
    pub interface: Option<u32>,
    /// Only those that pass this classic BPF program; its offset 0 is the IP header.
    pub filter: Option<&'a [SockFilter]>,
    /// Ethernet protocol (ETH_P_IP, ETH_P_ALL).
    pub protocol: u16,
    /// Memory asked for, in bytes; rounded to whole blocks, at least one.
    pub bytes: usize,
}

/// Packets that come in, each from its IP header on.
pub(crate) struct PacketRing {
    socket: Socket,
    memory: sys::Mapping,
    slots: usize,
    next: usize,
    /// The kernel forgets its counts when they are read.
    dropped: AtomicU64,
}

impl PacketRing {
    /// Opens a ring. No packet enters it before filter and memory stand.
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

    /// Passes the packets that are there, at most `limit`, with their receive stamps (nanoseconds, CLOCK_REALTIME), and
    /// returns how many.
    pub(crate) fn visit(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(&[u8], Option<u64>),
    ) -> usize {
        let mut count = 0;
        while count < limit {
            let offset = self.next * SLOT;
            let Some(frame) = self.memory.frame(offset) else {
                break;
            };
            visit(frame.packet, frame.stamp);
            self.memory.give_back(offset);
            self.next = (self.next + 1) % self.slots;
            count += 1;
        }
        count
    }

    /// Packets that the kernel dropped so far because the ring was full; `None` where it does not tell.
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
