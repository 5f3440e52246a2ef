//! Remedies for errors of the kernel that have one known cause, whatever was being done.

use std::io;

use super::sys;

/// A colon and the remedy; nothing if the errno does not tell the cause.
pub(super) fn remedy(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => {
            match sys::open_file_limit() {
                // A survey without a file per flow needs far fewer than 1,024.
                Ok((limit, _)) => format!(
                    ": this process may have {limit} open files; raise the limit, for example with `ulimit -n {}`",
                    limit.saturating_mul(2).max(1_024)
                ),
                Err(_) => ": raise the limit on open files (ulimit -n)".to_owned(),
            }
        }
        Some(libc::ENFILE) => {
            ": all files that this machine can have open are in use; raise the limit with `sudo sysctl fs.file-max`".to_owned()
        }
        Some(libc::ENOMEM) => ": the kernel has no memory for it; end other programs, or lower --rate".to_owned(),
        Some(libc::ENOBUFS) => {
            ": the kernel has no memory for it within its limits for sockets (see net.core.optmem_max); lower --rate".to_owned()
        }
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => {
            ": this kernel or sandbox does not offer such sockets; --lab --virtual-time needs none".to_owned()
        }
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP) => {
            ": this kernel or sandbox does not know the option; Linux 5.4 or later does".to_owned()
        }
        Some(libc::EPERM | libc::EACCES) if sys::has_seccomp_filter() => {
            ": a seccomp filter restricts this process and may forbid it".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_named_only_if_the_errno_tells_the_cause() {
        let told = |errno| remedy(&io::Error::from_raw_os_error(errno));
        assert!(told(libc::EMFILE).contains("`ulimit -n"));
        assert!(told(libc::ENFILE).contains("fs.file-max"));
        assert!(told(libc::EAFNOSUPPORT).contains("--virtual-time"));
        for errno in [libc::EINVAL, libc::EIO, libc::EADDRINUSE] {
            assert_eq!(told(errno), "");
        }
    }
}
