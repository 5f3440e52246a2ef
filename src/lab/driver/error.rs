//! Why a namespace could not be created, with a remedy for each reason.

use std::io;

use crate::transport::sys::has_seccomp_filter;

/// Why the lab's namespace or device could not be set up. Each message is one sentence with the step, the kernel's error and a remedy.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Only a process with one thread can enter a user namespace.
    #[error(
        "cannot enter a user namespace for the lab from a process of {threads} threads: enter it before any thread starts"
    )]
    Threads {
        /// The number of threads.
        threads: usize,
    },
    /// unshare(2) was refused.
    #[error("cannot create a {namespaces} namespace for the lab (unshare: {source}): {}", unshare_remedy(.source))]
    Unshare {
        /// The namespaces: "network", or "user and network".
        namespaces: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// The new user namespace got no user and group.
    #[error("cannot map our user into the lab's user namespace (writing {file}: {source}): {}", map_remedy(.source, *.lacks_setfcap))]
    Map {
        /// The file that was written.
        file: &'static str,
        /// Whether root runs the program without CAP_SETFCAP.
        lacks_setfcap: bool,
        /// The kernel's error.
        source: io::Error,
    },
    /// A step of the network setup failed.
    #[error("cannot set up the lab's network ({operation}: {source}): {remedy}")]
    Network {
        /// The step.
        operation: &'static str,
        /// A possible remedy.
        remedy: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// Neither kind of device could be created.
    #[error("the lab has no network device: {tun}; and the fall-back: {veth}")]
    NoDevice {
        /// The reason for the TUN device.
        tun: Box<NamespaceError>,
        /// The reason for the veth pair.
        veth: Box<NamespaceError>,
    },
    /// /dev/net/tun could not be opened.
    #[error("cannot open /dev/net/tun ({source}): {}", tun_remedy(.source))]
    Tun {
        /// The kernel's error.
        source: io::Error,
    },
}

impl NamespaceError {
    /// Turns the failure of a step into an error.
    pub(super) fn network(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| NamespaceError::Network {
            operation,
            remedy: "run as root, or check that the container or kernel does not restrict CAP_NET_ADMIN in namespaces",
            source,
        }
    }

    /// Whether the kernel, or a limit in it, refused namespaces or a device. Another user or machine may have more luck then. False if
    /// we made a mistake.
    pub fn is_refusal(&self) -> bool {
        let source = match self {
            NamespaceError::Threads { .. } => return false,
            NamespaceError::NoDevice { tun, veth } => return tun.is_refusal() && veth.is_refusal(),
            NamespaceError::Tun { .. } => return true,
            NamespaceError::Unshare { source, .. }
            | NamespaceError::Map { source, .. }
            | NamespaceError::Network { source, .. } => source,
        };
        matches!(
            source.raw_os_error(),
            Some(libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS | libc::ENOSYS)
        )
    }
}

fn unshare_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EINVAL) => {
            "other threads are alive, or the kernel has no user namespaces; run as root, or enter it before any thread starts"
        }
        Some(libc::ENOSPC | libc::EUSERS) => {
            "the limit is used up or zero; raise it with `sudo sysctl user.max_user_namespaces=10000 user.max_net_namespaces=10000`, or run as root"
        }
        Some(libc::EPERM) if has_seccomp_filter() => {
            "a seccomp filter restricts this process and may forbid it; run as root, or the container with --privileged or --cap-add SYS_ADMIN"
        }
        Some(libc::EPERM) if reads("/proc/sys/kernel/unprivileged_userns_clone", "0") => {
            "`kernel.unprivileged_userns_clone=0` forbids it; run as root, or set it to 1"
        }
        _ => "run as root, or outside this container",
    }
}

fn map_remedy(error: &io::Error, lacks_setfcap: bool) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "there is no /proc here; mount it",
        // user_namespaces(7), since Linux 5.12.
        Some(libc::EPERM) if lacks_setfcap => {
            "root was started without the capability CAP_SETFCAP and may not map itself; start the program with all capabilities, or as an ordinary user"
        }
        Some(libc::EPERM | libc::EACCES)
            if reads(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
            ) =>
        {
            "AppArmor restricts user namespaces here (Ubuntu 23.10 and later); run as root, or `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
        }
        _ => "run as root",
    }
}

/// Whether the file of a kernel setting holds `value`.
fn reads(file: &str, value: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.trim() == value)
}

fn tun_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "load it with `sudo modprobe tun`, or give the container --device /dev/net/tun"
        }
        Some(libc::EACCES | libc::EPERM) => "run as root, or `sudo chmod 0666 /dev/net/tun`",
        _ => "run as root",
    }
}
