//! What it means when the kernel does not take a packet.

use std::io;

use crate::model::UnsentReason;
use crate::transport::error::unsent_reason;

/// What a failed send call means.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transport) enum SendFailure {
    /// A signal came first: try again.
    Interrupted,
    /// A queue is full.
    Full,
    /// The kernel refuses this packet.
    Packet(UnsentReason),
    /// The socket is broken.
    Broken,
}

impl SendFailure {
    /// Reads the errno of a failed call.
    pub(in crate::transport) fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINTR) => SendFailure::Interrupted,
            Some(libc::EAGAIN | libc::ENOBUFS) => SendFailure::Full,
            Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) | None => SendFailure::Broken,
            Some(errno) => SendFailure::Packet(unsent_reason(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_a_refused_packet_and_a_broken_socket_are_distinguished() {
        let of = |errno| SendFailure::of(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::EAGAIN), SendFailure::Full);
        assert_eq!(of(libc::ENOBUFS), SendFailure::Full);
        assert_eq!(of(libc::EINTR), SendFailure::Interrupted);
        assert_eq!(of(libc::EBADF), SendFailure::Broken);
        let packet = |errno, reason| assert_eq!(of(errno), SendFailure::Packet(reason));
        packet(libc::EPERM, UnsentReason::Firewall);
        packet(libc::EMSGSIZE, UnsentReason::TooLarge);
        packet(libc::ENETDOWN, UnsentReason::InterfaceDown);
        packet(libc::ENODEV, UnsentReason::NoInterface);
        packet(libc::EIO, UnsentReason::Errno(libc::EIO));
    }
}
