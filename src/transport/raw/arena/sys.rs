//! The call of recvmmsg, and the memory that its pointers lead to.

#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::slice;

use libc::{iovec, mmsghdr};

use crate::transport::sys::check;

/// Control bytes of one received packet: a SCM_TIMESTAMPNS takes 32. The type is `u64` for the alignment of cmsghdr.
type Control = [u64; 8];

/// The arrays and buffers for recvmmsg. They are reused, and the pointers among them are set once: a call with one packet must
/// not pay for 256.
pub(in crate::transport::raw) struct ReceiveArena {
    /// After `new` these three are reached through pointers only, never through references.
    buffers: Vec<u8>,
    _controls: Vec<Control>,
    _pieces: Vec<iovec>,
    messages: Vec<mmsghdr>,
    /// Messages that the last call filled, whose control length must be set again.
    filled: usize,
}

// SAFETY: the pointers inside lead to memory that the arena itself owns and that does not move with it.
unsafe impl Send for ReceiveArena {}

impl ReceiveArena {
    /// The most packets of one call.
    pub(in crate::transport::raw) const SLOTS: usize = 256;
    /// Bytes kept of a packet: more than an Ethernet frame. A longer packet is truncated.
    pub(in crate::transport::raw) const PACKET: usize = 2048;

    pub(in crate::transport::raw) fn new() -> Self {
        let mut buffers = vec![0_u8; Self::SLOTS * Self::PACKET];
        let mut controls: Vec<Control> = vec![[0; 8]; Self::SLOTS];
        let mut pieces: Vec<iovec> = buffers
            .chunks_exact_mut(Self::PACKET)
            .map(|_| iovec {
                iov_base: ptr::null_mut(),
                iov_len: Self::PACKET,
            })
            .collect();
        let buffer = buffers.as_mut_ptr();
        let control = controls.as_mut_ptr();
        let piece = pieces.as_mut_ptr();
        let messages = (0..Self::SLOTS)
            .map(|slot| {
                // SAFETY: each vector has SLOTS entries (`buffers` SLOTS times PACKET bytes), so every pointer stays inside its
                // vector, and `piece` may be written. All zero is a valid mmsghdr.
                unsafe {
                    (*piece.add(slot)).iov_base = buffer.add(slot * Self::PACKET).cast();
                    let mut message: mmsghdr = zeroed();
                    message.msg_hdr.msg_iov = piece.add(slot);
                    message.msg_hdr.msg_iovlen = 1;
                    message.msg_hdr.msg_control = control.add(slot).cast();
                    message.msg_hdr.msg_controllen = size_of::<Control>() as _;
                    message
                }
            })
            .collect();
        ReceiveArena {
            buffers,
            _controls: controls,
            _pieces: pieces,
            messages,
            filled: 0,
        }
    }

    /// Receives the packets that wait at `socket` into the slots from `from` on, without waiting. Returns how many. The slots before
    /// `from` keep their packets.
    ///
    /// # Errors
    /// Also if there are none (EAGAIN), or if a signal came first (EINTR).
    pub(in crate::transport::raw) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        from: usize,
    ) -> io::Result<usize> {
        for message in &mut self.messages[from..self.filled.max(from)] {
            message.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        self.filled = from;
        let room = &mut self.messages[from..];
        // SAFETY: each message points at a piece and a control block of its own, each piece at PACKET bytes of `buffers`; their
        // vectors live as long as `self` and were not touched since `new`. A null timeout: MSG_DONTWAIT does not wait.
        let count = check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                room.as_mut_ptr(),
                room.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        })? as usize;
        self.filled = from + count;
        Ok(count)
    }

    /// The packet in `slot`. A call must have filled that slot.
    pub(in crate::transport::raw) fn packet(&self, slot: usize) -> &[u8] {
        let length = (self.messages[slot].msg_len as usize).min(Self::PACKET);
        // SAFETY: there are as many buffers of PACKET bytes as messages, and indexing has checked that `slot` is one of them;
        // the kernel writes to them only in `receive`, which takes `&mut self`.
        unsafe { slice::from_raw_parts(self.buffers.as_ptr().add(slot * Self::PACKET), length) }
    }

    /// The receive timestamp of the packet in `slot`, nanoseconds.
    pub(in crate::transport::raw) fn stamp(&self, slot: usize) -> Option<u64> {
        let header = &self.messages[slot].msg_hdr;
        // SAFETY: `header` is as the last recvmmsg left it: its control pointer leads to a control block that we own, and its
        // length says how much of it the kernel filled. The CMSG functions stay within that length.
        // A timespec may be unaligned after its header, hence read_unaligned.
        unsafe {
            let mut next = libc::CMSG_FIRSTHDR(header);
            while let Some(message) = next.as_ref() {
                if message.cmsg_level == libc::SOL_SOCKET
                    && message.cmsg_type == libc::SCM_TIMESTAMPNS
                {
                    let stamp = libc::CMSG_DATA(next)
                        .cast::<libc::timespec>()
                        .read_unaligned();
                    return nanoseconds(stamp.tv_sec, stamp.tv_nsec);
                }
                next = libc::CMSG_NXTHDR(header, next);
            }
        }
        None
    }
}

fn nanoseconds(seconds: libc::time_t, nanos: libc::c_long) -> Option<u64> {
    u64::try_from(seconds)
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(u64::try_from(nanos).ok()?)
}
