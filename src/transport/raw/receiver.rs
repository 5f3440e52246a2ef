//! Receiving the ICMP errors that answer our probes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::ring::{PacketRing, RingConfig};
use super::{TransportError, ring, sys};
use crate::transport::PacketReceiver;

/// What the kernel counts against the receive buffer for one ICMP error: its memory, not its length (measured).
const BYTES_PER_PACKET: usize = 830;

/// ICMP types that answer a UDP probe: destination unreachable, time exceeded, parameter problem.
const TYPES: [u8; 3] = [3, 11, 12];

/// How the receive buffer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferKind {
    /// A socket buffer of the size asked for.
    Socket,
    /// A packet ring, because the socket buffer may not be enlarged that far.
    Ring,
    /// A socket buffer smaller than asked for: neither the buffer nor a ring could be had.
    SmallSocket,
}

/// The receive buffer obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// How it was come by.
    pub kind: BufferKind,
    /// Its size in bytes, as the kernel states it.
    pub bytes: usize,
}

impl ReceiveBuffer {
    /// About how many replies fit, each counted at what the kernel books for it.
    pub fn packets(self) -> usize {
        match self.kind {
            BufferKind::Ring => self.bytes / ring::SLOT,
            BufferKind::Socket | BufferKind::SmallSocket => self.bytes / BYTES_PER_PACKET,
        }
    }
}

/// Receives IPv4 ICMP errors, each from its IP header on, with the kernel's stamp.
///
/// Of every ICMP error that reaches this host one copy comes here, whoever's probe it answers; telling them apart is the
/// matcher's work. Packets over 2 KiB are cut off there.
pub struct RawReceiver {
    source: Source,
    buffer: ReceiveBuffer,
}

enum Source {
    Socket(Socket, Box<sys::ReceiveArena>),
    Ring(PacketRing),
}

impl RawReceiver {
    /// Opens the receiver with a buffer of `buffer_bytes`, or as near as the kernel lets us: a socket buffer if it may be that
    /// large, else a packet ring, else what the socket got.
    pub fn open(buffer_bytes: usize) -> Result<Self, TransportError> {
        let (socket, obtained) = open_socket(buffer_bytes)?;
        if obtained < buffer_bytes
            && let Ok(ring) = Self::open_ring(buffer_bytes)
        {
            return Ok(ring);
        }
        let kind = if obtained < buffer_bytes {
            BufferKind::SmallSocket
        } else {
            BufferKind::Socket
        };
        Ok(RawReceiver {
            source: Source::Socket(socket, Box::new(sys::ReceiveArena::new())),
            buffer: ReceiveBuffer {
                kind,
                bytes: obtained,
            },
        })
    }

    /// Opens the receiver on a packet ring of `buffer_bytes`.
    pub fn open_ring(buffer_bytes: usize) -> Result<Self, TransportError> {
        let ring = PacketRing::open(&RingConfig {
            interface: None,
            filter: Some(&icmp_error_filter()),
            protocol: libc::ETH_P_IP as u16,
            bytes: buffer_bytes,
        })
        .map_err(|error| TransportError::opening("a packet ring for receiving", error))?;
        let buffer = ReceiveBuffer {
            kind: BufferKind::Ring,
            bytes: ring.bytes(),
        };
        Ok(RawReceiver {
            source: Source::Ring(ring),
            buffer,
        })
    }

    /// The receive buffer obtained.
    pub fn buffer(&self) -> ReceiveBuffer {
        self.buffer
    }
}

/// A raw ICMP socket and the size of its receive buffer.
fn open_socket(buffer_bytes: usize) -> Result<(Socket, usize), TransportError> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))
        .map_err(|error| TransportError::opening("a raw ICMP socket for receiving", error))?;
    let setup = TransportError::setup;
    // In this filter a set bit keeps the type away.
    let blocked = TYPES
        .iter()
        .fold(u32::MAX, |mask, kind| mask & !(1 << kind));
    sys::set_option(socket.as_fd(), sys::SOL_RAW, sys::ICMP_FILTER, &blocked)
        .map_err(setup("filtering ICMP types (ICMP_FILTER)"))?;
    // That one lets types over 31 through; it stays because it refuses the others before they cost anything.
    socket
        .attach_filter(&icmp_error_filter())
        .map_err(setup("filtering ICMP types (SO_ATTACH_FILTER)"))?;
    sys::set_option(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPNS,
        &1_i32,
    )
    .map_err(setup("asking for receive stamps (SO_TIMESTAMPNS)"))?;
    // The kernel doubles what it is given.
    let half = i32::try_from(buffer_bytes / 2).unwrap_or(i32::MAX / 2);
    sys::set_option(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        &half,
    )
    .or_else(|_| socket.set_recv_buffer_size(half as usize))
    .map_err(setup("enlarging the receive buffer"))?;
    let obtained = socket
        .recv_buffer_size()
        .map_err(setup("reading the receive buffer's size"))?;
    Ok((socket, obtained))
}

/// Lets through whole IPv4 packets (or first fragments) to this host that are ICMP of one of [`TYPES`].
fn icmp_error_filter() -> Vec<SockFilter> {
    use libc::{
        BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K,
        BPF_LD, BPF_LDX, BPF_MSH, BPF_RET, BPF_W,
    };
    let step = |code: u32, jt, jf, k| SockFilter::new(code as u16, jt, jf, k);
    let packet_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    let types = TYPES.len() as u8;
    // Jumps count the steps in between; "refuse" is the step behind the type checks, "accept" the last one.
    let refuse_from = |step: u8| 10 + types - step - 1;
    let mut program = vec![
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0, packet_type),
        step(
            BPF_JMP | BPF_JEQ | BPF_K,
            0,
            refuse_from(1),
            libc::PACKET_HOST.into(),
        ),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0),
        step(BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf0),
        step(BPF_JMP | BPF_JEQ | BPF_K, 0, refuse_from(4), 0x40),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 9),
        step(
            BPF_JMP | BPF_JEQ | BPF_K,
            0,
            refuse_from(6),
            libc::IPPROTO_ICMP as u32,
        ),
        step(BPF_LD | BPF_H | BPF_ABS, 0, 0, 6),
        step(BPF_JMP | BPF_JSET | BPF_K, refuse_from(8), 0, 0x1fff),
        step(BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0),
    ];
    program.push(step(BPF_LD | BPF_B | BPF_IND, 0, 0, 0));
    for (index, kind) in TYPES.iter().enumerate() {
        let remaining = types - index as u8;
        program.push(step(
            BPF_JMP | BPF_JEQ | BPF_K,
            remaining,
            0,
            (*kind).into(),
        ));
    }
    program.push(step(BPF_RET | BPF_K, 0, 0, 0));
    program.push(step(BPF_RET | BPF_K, 0, 0, u32::MAX));
    program
}

impl PacketReceiver for RawReceiver {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(&[u8], Option<u64>),
    ) -> io::Result<usize> {
        let mut deadline = None;
        loop {
            let count = self.source.take(visit)?;
            if count > 0 {
                return Ok(count);
            }
            // The clock is read only when there is nothing to do, and the wait goes on after a signal.
            let now = Instant::now();
            let deadline = *deadline.get_or_insert(now + timeout);
            if now >= deadline {
                return Ok(0);
            }
            sys::wait_readable([self.source.as_fd()], Some(deadline - now))?;
        }
    }

    fn dropped(&self) -> Option<u64> {
        match &self.source {
            Source::Socket(socket, _) => {
                // The ninth word (SK_MEMINFO_DROPS) counts the packets that found the buffer full.
                let words =
                    sys::option_words::<9>(socket.as_fd(), libc::SOL_SOCKET, sys::SO_MEMINFO);
                words.ok().map(|words| words[8].into())
            }
            Source::Ring(ring) => ring.dropped(),
        }
    }
}

impl Source {
    fn take(&mut self, visit: &mut dyn FnMut(&[u8], Option<u64>)) -> io::Result<usize> {
        match self {
            Source::Socket(socket, arena) => {
                let count = arena.receive(socket.as_fd())?;
                for slot in 0..count {
                    let (packet, stamp) = arena.packet(slot);
                    visit(packet, stamp);
                }
                Ok(count)
            }
            Source::Ring(ring) => Ok(ring.visit(sys::ReceiveArena::SLOTS, visit)),
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Socket(socket, _) => socket.as_fd(),
            Source::Ring(ring) => ring.as_fd(),
        }
    }
}
