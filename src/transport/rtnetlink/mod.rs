//! Reads the kernel's tables through rtnetlink(7): routes, interfaces, neighbours and addresses, and changes to them. Needs no
//! privilege.

pub(in crate::transport) mod changes;
pub(in crate::transport) mod message;
pub(in crate::transport) mod regions;
mod sys;

use std::io::{self, Read, Write};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use message::{Answer, Request, answers};

/// How long to wait for an answer. The kernel answers before the call that asks returns, or never.
const PATIENCE: Duration = Duration::from_millis(100);
/// The largest part of a list that the kernel sends at once, bytes.
const PART: usize = 32 << 10;

/// The tables of the network namespace in which the value was opened.
pub(in crate::transport) struct Tables {
    /// `None` if the socket cannot be opened, or if the kernel has stopped answering.
    socket: Option<Socket>,
    buffer: Vec<u8>,
}

impl Tables {
    /// Opens the tables. If that fails, every request fails.
    pub(in crate::transport) fn open() -> Self {
        Tables {
            socket: open().ok(),
            buffer: vec![0; PART],
        }
    }

    /// Whether the tables could be opened.
    pub(in crate::transport) fn are_open(&self) -> bool {
        self.socket.is_some()
    }

    /// Sends a request and passes the answers to `read` until `read` returns a value, which is returned. The answers after that one
    /// are lost, so `read` must return `None` for the answers of a list.
    pub(in crate::transport) fn ask<T>(
        &mut self,
        request: &Request,
        read: impl FnMut(&Answer<'_>) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let Some(socket) = &mut self.socket else {
            return Ok(None);
        };
        let answer = converse(socket, &mut self.buffer, request, read);
        let is_refusal = |error: &io::Error| {
            // These errors mean that no answer came; all other errors are answers.
            !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) && error.raw_os_error() != Some(libc::ENOBUFS)
        };
        if answer.as_ref().is_err_and(|error| !is_refusal(error)) {
            // A late answer would be taken for the answer to the next request.
            self.socket = open().ok();
        }
        answer
    }
}

fn converse<T>(
    socket: &mut Socket,
    buffer: &mut [u8],
    request: &Request,
    mut read: impl FnMut(&Answer<'_>) -> Option<T>,
) -> io::Result<Option<T>> {
    socket.write_all(&request.bytes)?;
    loop {
        let length = match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        for answer in answers(&buffer[..length]) {
            if let Some(errno) = answer.refusal() {
                return Err(io::Error::from_raw_os_error(errno));
            }
            let read = read(&answer);
            if read.is_some() || answer.is_end() {
                return Ok(read);
            }
        }
        if !request.is_list {
            return Ok(None);
        }
    }
}

fn open() -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(libc::NETLINK_ROUTE)),
    )?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}
