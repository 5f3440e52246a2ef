//! Errors of receiving that pass by themselves.

use std::io;

/// So many such errors one after another end the run.
const MOST: u32 = 1_000;

/// Tells errors that pass from those that mean a broken socket.
///
/// | error | meaning |
/// |---|---|
/// | EAGAIN | nothing is there |
/// | EINTR | a signal came first |
/// | ENOMEM, ENOBUFS | the kernel had no memory at that moment |
/// | EBADF, ENOTSOCK, EFAULT, EINVAL | the socket or the call is broken |
/// | others | reported once for something that happened to the socket, such as an ICMP error or an interface that went down |
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passing(u32);

impl Passing {
    /// Notes that a call succeeded.
    pub fn succeeded(&mut self) {
        self.0 = 0;
    }

    /// Takes the error of a call. Returns whether there is nothing to receive; if not, the call may be tried again.
    ///
    /// # Errors
    /// The error itself, if it does not pass.
    pub fn failed(&mut self, error: io::Error) -> io::Result<bool> {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => {
                self.0 = 0;
                Ok(true)
            }
            Some(libc::EINTR) => Ok(false),
            Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EINVAL) | None => Err(error),
            Some(_) if self.0 < MOST => {
                self.0 += 1;
                Ok(false)
            }
            Some(_) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_pass_unless_they_stay_or_the_socket_is_broken() {
        let error = io::Error::from_raw_os_error;
        let mut passing = Passing::default();
        assert!(passing.failed(error(libc::EAGAIN)).unwrap());
        for _ in 0..MOST {
            assert!(!passing.failed(error(libc::ENOMEM)).unwrap());
        }
        assert!(passing.failed(error(libc::ENOMEM)).is_err());
        passing.succeeded();
        assert!(!passing.failed(error(libc::ENETDOWN)).unwrap());
        assert!(passing.failed(error(libc::EBADF)).is_err());
    }
}
