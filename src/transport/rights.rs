//! The right to open raw sockets (CAP_NET_RAW): whether this thread has it, and if not, why.

use std::fmt;

use caps::{CapSet, Capability};

use super::sys;

/// What this thread has of CAP_NET_RAW (capabilities(7)). Unknown facts count as granted, so that no wrong remedy is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    effective: bool,
    permitted: bool,
    /// Whether programs that this thread starts can ever have it.
    bounding: bool,
    /// Whether those programs gain nothing from the file system: neither capabilities nor another user.
    no_new_privileges: bool,
    is_root: bool,
}

impl Rights {
    /// Reads the rights of the calling thread, without /proc.
    pub fn read() -> Self {
        let has = |set| caps::has_cap(None, set, Capability::CAP_NET_RAW);
        Rights {
            effective: has(CapSet::Effective).unwrap_or(false),
            permitted: has(CapSet::Permitted).unwrap_or(false),
            bounding: has(CapSet::Bounding).unwrap_or(true),
            no_new_privileges: sys::has_no_new_privileges(),
            is_root: sys::effective_user() == 0,
        }
    }

    /// What to do about a raw socket that was refused to `program`.
    fn remedy(self, program: &str) -> String {
        let Rights {
            effective,
            permitted,
            bounding,
            no_new_privileges,
            is_root,
        } = self;
        if effective {
            "this process has the capability CAP_NET_RAW, so another rule forbids raw sockets (a seccomp profile, a security \
             module, or a user namespace that does not own the network)"
                .to_owned()
        } else if permitted {
            "this process may use the capability CAP_NET_RAW, but its request for it (capset) was refused".to_owned()
        } else if !bounding {
            "the capability CAP_NET_RAW is withheld from all programs here: grant it to the container or service \
             (docker run --cap-add NET_RAW; systemd: CapabilityBoundingSet and AmbientCapabilities)"
                .to_owned()
        } else if is_root {
            "root was started without the capability CAP_NET_RAW: start it with that capability"
                .to_owned()
        } else if no_new_privileges {
            "this process and its children may gain no privileges (no_new_privs), so setcap has no effect here: start it with \
             the ambient capability CAP_NET_RAW, or without no_new_privs"
                .to_owned()
        } else {
            format!(
                "run as root, or grant the right once with `sudo setcap cap_net_raw+p {program}`"
            )
        }
    }
}

/// What to do about raw sockets that were refused, as part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRemedy(String);

impl RawRemedy {
    /// The remedy for the calling thread.
    pub(super) fn now() -> Self {
        RawRemedy(Rights::read().remedy(&this_program()))
    }
}

impl fmt::Display for RawRemedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn this_program() -> String {
    std::env::current_exe().map_or_else(
        |_| "PATH_OF_PATHSURVEY".to_owned(),
        |path| path.display().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ordinary user.
    const NONE: Rights = Rights {
        effective: false,
        permitted: false,
        bounding: true,
        no_new_privileges: false,
        is_root: false,
    };

    #[test]
    fn each_cause_has_its_own_remedy() {
        let told = |rights: Rights| rights.remedy("/bin/it");
        let setcap = "`sudo setcap cap_net_raw+p /bin/it`";
        assert!(told(NONE).contains(setcap));
        let others = [
            (
                Rights {
                    effective: true,
                    permitted: true,
                    ..NONE
                },
                "another rule",
            ),
            (
                Rights {
                    permitted: true,
                    ..NONE
                },
                "(capset) was refused",
            ),
            (
                Rights {
                    bounding: false,
                    is_root: true,
                    no_new_privileges: true,
                    ..NONE
                },
                "--cap-add NET_RAW",
            ),
            (
                Rights {
                    is_root: true,
                    no_new_privileges: true,
                    ..NONE
                },
                "root was started without",
            ),
            (
                Rights {
                    no_new_privileges: true,
                    ..NONE
                },
                "ambient",
            ),
        ];
        for (rights, part) in others {
            let told = told(rights);
            assert!(told.contains(part) && !told.contains("sudo"), "{told}");
        }
    }
}
