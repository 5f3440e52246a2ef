//! Which process this is, and whether another one still lives.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

use crate::dataset::sys;

/// The inode of the first PID namespace, in every kernel (`PROC_PID_INIT_INO`).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// A process, named so that no other process of any host has the same name. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ProcessName {
    /// The host's name.
    pub host: Option<String>,
    /// `/etc/machine-id`
    pub machine_id: Option<String>,
    /// The id that the kernel draws when it boots.
    pub boot_id: Option<String>,
    /// The inode of the PID namespace. In containers, every run is process 1.
    pub pid_namespace: Option<u64>,
    pub pid: u32,
    /// The start of the process, in ticks since boot (field 22 of proc_pid_stat(5)). Numbers of processes are used again.
    pub start_time: Option<u64>,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It cannot be writing.
    Dead,
    Alive,
    /// It cannot be seen from here.
    Unknown,
}

/// The process with a number, as it is seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nobody,
    /// It started then.
    Since(u64),
    /// It is hidden, for example because `/proc` is mounted with `hidepid`, or is that of another PID namespace.
    Hidden,
}

impl ProcessName {
    /// This process.
    pub(super) fn here() -> Self {
        let line = |path| {
            let text = fs::read_to_string(path).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let pid = std::process::id();
        ProcessName {
            host: line("/proc/sys/kernel/hostname"),
            machine_id: line("/etc/machine-id"),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            pid_namespace: fs::metadata("/proc/self/ns/pid")
                .ok()
                .map(|about| about.ino()),
            pid,
            start_time: fs::read_to_string("/proc/self/stat")
                .ok()
                .and_then(|stat| start_time(&stat)),
        }
    }

    /// Whether this process lives, as far as `here` can tell. `seen` looks for a process by its number.
    ///
    /// | host | boot | PID namespace | process | life |
    /// |---|---|---|---|---|
    /// | same | same | same | not there, or with another start | dead |
    /// | same | same | same | there since the same start | alive |
    /// | same | other | the host's own, both times | | dead |
    /// | otherwise | | | | unknown |
    ///
    /// Containers may have the name and the machine id of their image on every host. So a reboot proves nothing about them.
    pub(super) fn life(&self, here: &Self, seen: impl Fn(u32) -> Seen) -> Life {
        let (Some(host), Some(boot), Some(namespace)) =
            (&self.host, &self.boot_id, self.pid_namespace)
        else {
            return Life::Unknown;
        };
        let same_host = here.host.as_ref() == Some(host) && here.machine_id == self.machine_id;
        let Some(boot_here) = here.boot_id.as_ref().filter(|_| same_host) else {
            return Life::Unknown;
        };
        let same_namespace = here.pid_namespace == Some(namespace);
        if boot_here != boot {
            let is_the_host = namespace == FIRST_PID_NAMESPACE && self.machine_id.is_some();
            return match same_namespace && is_the_host {
                true => Life::Dead,
                false => Life::Unknown,
            };
        }
        if !same_namespace {
            return Life::Unknown;
        }
        match (seen(self.pid), self.start_time) {
            (Seen::Nobody, _) => Life::Dead,
            (Seen::Since(there), Some(start)) if there != start => Life::Dead,
            (Seen::Since(_), Some(_)) => Life::Alive,
            (Seen::Since(_) | Seen::Hidden, _) => Life::Unknown,
        }
    }
}

/// Looks for a process of this PID namespace. A process that has ended and waits for its parent is nobody.
pub(super) fn see(pid: u32) -> Seen {
    if !sys::process_exists(pid) {
        return Seen::Nobody;
    }
    // Without a mount of its own, a process in a new PID namespace sees the `/proc` of another one, in which numbers mean other processes.
    let proc_is_ours = fs::read_link("/proc/self")
        .is_ok_and(|number| number.as_os_str() == std::process::id().to_string().as_str());
    if !proc_is_ours {
        return Seen::Hidden;
    }
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        // It may have ended since.
        return match sys::process_exists(pid) {
            true => Seen::Hidden,
            false => Seen::Nobody,
        };
    };
    match has_ended(&stat) {
        true => Seen::Nobody,
        false => start_time(&stat).map_or(Seen::Hidden, Seen::Since),
    }
}

/// The fields of proc_pid_stat(5) from the third on. The second may contain spaces and parentheses.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_whitespace()
}

/// Field 22.
fn start_time(stat: &str) -> Option<u64> {
    fields(stat).nth(22 - 3)?.parse().ok()
}

/// Whether the process is a zombie without threads: the first thread of a process may end before the others.
fn has_ended(stat: &str) -> bool {
    let state = fields(stat).next();
    let threads = fields(stat).nth(20 - 3).and_then(|text| text.parse().ok());
    matches!(state, Some("Z" | "X")) && threads.is_some_and(|threads: u32| threads <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> ProcessName {
        ProcessName {
            host: Some("a".to_owned()),
            machine_id: Some("m".to_owned()),
            boot_id: Some("b".to_owned()),
            pid_namespace: Some(FIRST_PID_NAMESPACE),
            pid: 7,
            start_time: Some(100),
        }
    }

    fn life(change: impl FnOnce(&mut ProcessName), seen: Seen) -> Life {
        let mut owner = process();
        change(&mut owner);
        owner.life(&process(), |_| seen)
    }

    #[test]
    fn a_process_is_dead_only_if_that_is_proved() {
        let other = || Some("other".to_owned());
        assert_eq!(life(|_| (), Seen::Since(100)), Life::Alive);
        assert_eq!(life(|_| (), Seen::Nobody), Life::Dead);
        assert_eq!(
            life(|_| (), Seen::Since(101)),
            Life::Dead,
            "a number used again"
        );
        assert_eq!(life(|_| (), Seen::Hidden), Life::Unknown);
        assert_eq!(
            life(|it| it.boot_id = other(), Seen::Since(100)),
            Life::Dead
        );
        let unknown: [fn(&mut ProcessName); 8] = [
            |it| it.host = Some("other".to_owned()),
            |it| it.machine_id = Some("other".to_owned()),
            |it| it.pid_namespace = Some(1),
            |it| it.host = None,
            |it| it.boot_id = None,
            |it| it.pid_namespace = None,
            |it| {
                it.boot_id = Some("other".to_owned());
                it.pid_namespace = Some(1);
            },
            |it| {
                it.boot_id = Some("other".to_owned());
                it.host = Some("other".to_owned());
            },
        ];
        for (at, change) in unknown.into_iter().enumerate() {
            assert_eq!(life(change, Seen::Nobody), Life::Unknown, "{at}");
        }
        assert_eq!(
            life(|it| it.start_time = None, Seen::Since(100)),
            Life::Unknown
        );
    }

    #[test]
    fn a_container_on_another_host_with_the_same_image_is_not_dead() {
        let mut here = process();
        here.pid_namespace = Some(4_026_532_000);
        let mut owner = here.clone();
        owner.boot_id = Some("other".to_owned());
        assert_eq!(owner.life(&here, |_| Seen::Nobody), Life::Unknown);
    }

    #[test]
    fn processes_are_seen_with_their_start() {
        let here = ProcessName::here();
        assert!(here.boot_id.is_some() && here.pid_namespace.is_some());
        assert_eq!(see(here.pid), Seen::Since(here.start_time.unwrap()));
        assert_eq!(here.life(&here, see), Life::Alive);
        assert_eq!(see(0), Seen::Nobody);
        assert_eq!(see(u32::MAX), Seen::Nobody);
        // Above the kernel's limit (`PID_MAX_LIMIT`).
        assert_eq!(see((4 << 20) + 1), Seen::Nobody);
    }

    #[test]
    fn the_status_of_a_process_is_read_behind_its_name() {
        let stat = |state: &str, threads: u32| {
            format!("7 (a) Z (b) {state} 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 4711 0 0")
        };
        assert_eq!(start_time(&stat("S", 3)), Some(4711));
        assert!(!has_ended(&stat("S", 1)));
        assert!(has_ended(&stat("Z", 1)));
        assert!(!has_ended(&stat("Z", 2)), "another thread may still write");
        assert_eq!(start_time("7 (a"), None);
    }
}
