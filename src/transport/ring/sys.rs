//! The packet ring's system calls and its shared memory.

#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{sockaddr_ll, socklen_t, tpacket_req, tpacket2_hdr};

use crate::transport::sys::{check, option_words, set_option};

/// `PACKET_IGNORE_OUTGOING` (include/uapi/linux/if_packet.h, Linux 4.20).
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// Memory shared with the kernel, cut into slots of equal size.
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    slot: usize,
}

// SAFETY: the mapping belongs to this value alone on our side, and the kernel's side does not care which thread reads.
unsafe impl Send for Mapping {}

/// A packet in its slot.
pub(super) struct Frame<'a> {
    pub packet: &'a [u8],
    pub stamp: Option<u64>,
}

impl Mapping {
    /// Makes a receive ring of `blocks` blocks of `block` bytes with slots of `slot` bytes, a divisor of `block`, and maps it.
    pub(super) fn new(
        socket: BorrowedFd<'_>,
        blocks: usize,
        block: usize,
        slot: usize,
    ) -> io::Result<Self> {
        let too_large = |_| io::Error::from_raw_os_error(libc::EINVAL);
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set_option(socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let request = tpacket_req {
            tp_block_size: u32::try_from(block).map_err(too_large)?,
            tp_block_nr: u32::try_from(blocks).map_err(too_large)?,
            tp_frame_size: u32::try_from(slot).map_err(too_large)?,
            tp_frame_nr: u32::try_from(blocks * (block / slot)).map_err(too_large)?,
        };
        set_option(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let length = blocks * block;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(Mapping {
            start,
            length,
            slot,
        })
    }

    /// The status word of the slot at `offset`, which says whose it is.
    fn status(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(self.slot) && offset + self.slot <= self.length);
        // SAFETY: the slot lies within the mapping, which lives as long as `self`, and begins with a tpacket2_hdr, whose first
        // word is the status: aligned, because slots are, and shared with the kernel only through atomic accesses.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// The packet in the slot at `offset`; `None` while the slot is the kernel's.
    pub(super) fn frame(&self, offset: usize) -> Option<Frame<'_>> {
        if self.status(offset).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: `status` has checked that the slot lies within the mapping; it begins with a tpacket2_hdr (any bits are valid)
        // which the kernel does not touch while the slot is ours, as the acquiring load above has seen.
        let header = unsafe { &*self.start.as_ptr().add(offset).cast::<tpacket2_hdr>() };
        let begin = usize::from(header.tp_net).min(self.slot);
        let length = (header.tp_snaplen as usize).min(self.slot - begin);
        // SAFETY: begin + length <= slot, so this lies within the slot, which is ours until `give_back` (which takes `&mut self`).
        let packet =
            unsafe { slice::from_raw_parts(self.start.as_ptr().add(offset + begin), length) };
        Some(Frame {
            packet,
            stamp: Some(u64::from(header.tp_sec) * 1_000_000_000 + u64::from(header.tp_nsec)),
        })
    }

    /// Lets the kernel have the slot at `offset` again.
    pub(super) fn give_back(&mut self, offset: usize) {
        self.status(offset)
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap gave; nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Spares the ring our own outgoing packets.
pub(super) fn ignore_outgoing(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)
}

/// Packets dropped since the last call: the kernel forgets them as it tells.
pub(super) fn take_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let [_packets, drops] = option_words::<2>(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
    Ok(drops)
}

/// Starts the flow of packets of `protocol` from `interface` (0: all of them).
pub(super) fn bind(socket: BorrowedFd<'_>, interface: u32, protocol: u16) -> io::Result<()> {
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut address: sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex =
        i32::try_from(interface).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: pointer and length describe `address`; the kernel only reads it.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            ptr::from_ref(&address).cast(),
            size_of::<sockaddr_ll>() as socklen_t,
        )
    })
    .map(drop)
}
