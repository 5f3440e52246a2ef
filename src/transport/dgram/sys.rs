//! The system calls of ordinary sockets, each behind a safe function.

#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::slice;
use std::time::Duration;

use libc::{c_int, iovec, mmsghdr, sockaddr_in6, socklen_t};

use super::control::{ControlData, Message, note, read_address};
use crate::transport::sys::check;

/// `IP_RECVERR_RFC4884` (include/uapi/linux/in.h), which libc does not name.
pub(super) const IP_RECVERR_RFC4884: c_int = 26;
/// `IPV6_RECVERR_RFC4884` (include/uapi/linux/in6.h), which libc does not name.
pub(super) const IPV6_RECVERR_RFC4884: c_int = 31;

/// Waits for many sockets.
pub(super) struct Poll(Vec<libc::pollfd>);

impl Poll {
    /// Prepares to wait for `sockets`. Only their numbers are kept, so they must stay open while the value is used.
    pub fn new<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>) -> Self {
        Poll(
            sockets
                .map(|socket| libc::pollfd {
                    fd: socket.as_raw_fd(),
                    events: libc::POLLIN,
                    revents: 0,
                })
                .collect(),
        )
    }

    /// Waits until something can be read from a socket or its error queue, at most for `timeout`. A signal ends the wait early.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let span = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        for entry in &mut self.0 {
            entry.revents = 0;
        }
        // SAFETY: the vector has as many entries as are announced; `span` lives to the end of this function; a null signal
        // mask leaves the mask as it is.
        match check(unsafe {
            libc::ppoll(
                self.0.as_mut_ptr(),
                self.0.len() as libc::nfds_t,
                &span,
                ptr::null::<libc::sigset_t>(),
            )
        }) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns for each socket, in order, whether the last wait found something.
    pub fn ready(&self) -> impl Iterator<Item = bool> {
        self.0.iter().map(|entry| entry.revents != 0)
    }
}

/// The two queues of a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Errors,
    Datagrams,
}

/// Control bytes of a received message: a timestamp takes 32, TTL and type of service 24 each, an error with its address 64. The
/// type is `u64` for the alignment of cmsghdr.
type Control = [u64; 32];
/// Room for a socket address of either family.
type Name = [u8; size_of::<sockaddr_in6>()];

/// The arrays and buffers for recvmmsg. They are reused, and the pointers among them are set once.
pub(super) struct ReceiveArena {
    /// After `new` these are reached through pointers only, never through references.
    buffers: Vec<u8>,
    _names: Vec<Name>,
    _controls: Vec<Control>,
    _pieces: Vec<iovec>,
    messages: Vec<mmsghdr>,
}

// SAFETY: the pointers inside lead to memory that the arena itself owns and that does not move with it.
unsafe impl Send for ReceiveArena {}

impl ReceiveArena {
    /// The most messages of one call.
    const SLOTS: usize = 64;
    /// Bytes kept of a message. A longer one is truncated.
    const BYTES: usize = 2048;

    pub fn new() -> Self {
        let mut buffers = vec![0_u8; Self::SLOTS * Self::BYTES];
        let mut names: Vec<Name> = vec![[0; size_of::<sockaddr_in6>()]; Self::SLOTS];
        let mut controls: Vec<Control> = vec![[0; 32]; Self::SLOTS];
        let mut pieces: Vec<iovec> = (0..Self::SLOTS)
            .map(|_| iovec {
                iov_base: ptr::null_mut(),
                iov_len: Self::BYTES,
            })
            .collect();
        let (buffer, name) = (buffers.as_mut_ptr(), names.as_mut_ptr());
        let (control, piece) = (controls.as_mut_ptr(), pieces.as_mut_ptr());
        let messages = (0..Self::SLOTS)
            .map(|slot| {
                // SAFETY: each vector has SLOTS entries (`buffers` SLOTS times BYTES bytes), so every pointer stays inside its
                // vector, and `piece` may be written. All zero is a valid mmsghdr.
                unsafe {
                    (*piece.add(slot)).iov_base = buffer.add(slot * Self::BYTES).cast();
                    let mut message: mmsghdr = zeroed();
                    message.msg_hdr.msg_name = name.add(slot).cast();
                    message.msg_hdr.msg_iov = piece.add(slot);
                    message.msg_hdr.msg_iovlen = 1;
                    message.msg_hdr.msg_control = control.add(slot).cast();
                    message
                }
            })
            .collect();
        ReceiveArena {
            buffers,
            _names: names,
            _controls: controls,
            _pieces: pieces,
            messages,
        }
    }

    /// Receives messages from `queue` of `socket`, up to [`SLOTS`](Self::SLOTS), without waiting. Returns how many.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, queue: Queue) -> io::Result<usize> {
        for message in &mut self.messages {
            message.msg_hdr.msg_namelen = size_of::<Name>() as socklen_t;
            message.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        let flags = match queue {
            Queue::Errors => libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE,
            Queue::Datagrams => libc::MSG_DONTWAIT,
        };
        // SAFETY: each message points at a name, a piece and a control block of its own, each piece at BYTES bytes of `buffers`;
        // their vectors live as long as `self` and were not touched since `new`. A null timeout: MSG_DONTWAIT does not wait.
        check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                Self::SLOTS as libc::c_uint,
                flags,
                ptr::null_mut(),
            )
        })
        .map(|count| count as usize)
    }

    /// The message in `slot` of the last call. `slot` must be below the number that the call returned.
    pub fn message(&self, slot: usize) -> Message<'_> {
        let received = &self.messages[slot];
        let length = (received.msg_len as usize).min(Self::BYTES);
        let name_length = (received.msg_hdr.msg_namelen as usize).min(size_of::<Name>());
        // SAFETY: there are as many buffers of BYTES bytes as messages, and indexing has checked that `slot` is one of them; the
        // name pointer leads to a Name of ours. The kernel writes to both only in `receive`, which takes `&mut self`.
        let (bytes, name) = unsafe {
            (
                slice::from_raw_parts(self.buffers.as_ptr().add(slot * Self::BYTES), length),
                slice::from_raw_parts(received.msg_hdr.msg_name.cast::<u8>(), name_length),
            )
        };
        let mut facts = ControlData {
            from: read_address(name),
            ..ControlData::default()
        };
        self.read_controls(slot, &mut facts);
        Message { bytes, facts }
    }

    fn read_controls(&self, slot: usize, facts: &mut ControlData) {
        let header = &self.messages[slot].msg_hdr;
        // SAFETY: `header` is as the last recvmmsg left it: its control pointer leads to a control block that we own, and its
        // length says how much of it the kernel filled. The CMSG functions stay within that length.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
        // SAFETY: null, or inside that block and aligned, as the kernel lays it.
        while let Some(control) = unsafe { next.as_ref() } {
            // SAFETY: a control message's data lies behind its header and is as long as its length says, less the header's;
            // the kernel keeps it within the block, to which nobody writes while `self` is borrowed.
            let data = unsafe {
                let head = libc::CMSG_LEN(0) as usize;
                let length = control.cmsg_len.saturating_sub(head);
                slice::from_raw_parts(libc::CMSG_DATA(next).cast_const(), length)
            };
            note(control.cmsg_level, control.cmsg_type, data, facts);
            // SAFETY: as of CMSG_FIRSTHDR; `next` is a header of this block.
            next = unsafe { libc::CMSG_NXTHDR(header, next) };
        }
    }
}
