//! Gives up privileges. After the sockets are open a survey needs no privileges, and everything it reads then is untrusted.
//!
//! [`give_up`] clears the permitted, effective, inheritable, ambient and bounding sets of every thread, and sets no_new_privs.
//!
//! - Each thread has its own sets. A thread that starts later inherits the empty sets of its parent.
//! - The bounding set can only be cleared with CAP_SETPCAP. A program with CAP_NET_RAW alone keeps its bounding set. That
//!   grants nothing, because with no_new_privs no file capabilities can be gained.
//!
//! Root without capabilities cannot write into the directories of other users. A run by root therefore continues as the owner
//! of the dataset's directory. That user owns the dataset as well. If the directory cannot be written to, opening the dataset
//! fails. That happens after this step and before the first probe.
//!
//! Not covered: the lists of targets are read earlier, with the privileges of the user who started the program. The threads
//! that resolve names give up their privileges before they send a query ([`give_up_here`]).

mod names;
mod sys;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caps::errors::CapsError;
use caps::{CapSet, Capability};

use crate::dataset::{self, Output};

use super::SurveyError;
use crate::transport::sys::{effective_user, has_seccomp_filter};

pub use names::Unprivileged;

/// How often to check for threads that are about to end, once a millisecond.
const ENDING_THREADS: u32 = 1_000;
/// The number that stands for users and groups without a mapping (user_namespaces(7)).
const OVERFLOW_ID: u32 = 65_534;

/// The reason why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot give up privileges: {step} failed ({reason}){}",
    after_failure(has_seccomp_filter())
)]
pub struct PrivilegeError {
    /// The step that failed.
    pub step: &'static str,
    /// The kernel's error.
    pub reason: String,
}

impl PrivilegeError {
    fn capability(step: &'static str) -> impl FnOnce(CapsError) -> Self {
        move |error| PrivilegeError {
            step,
            reason: error.to_string(),
        }
    }

    fn system(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| PrivilegeError {
            step,
            reason: error.to_string(),
        }
    }
}

/// The end of the message. Of the possible causes, only a seccomp filter can be seen.
fn after_failure(has_filter: bool) -> &'static str {
    match has_filter {
        true => {
            "; a seccomp filter restricts this process: let it allow capset, prctl and setresuid, or start the program as an \
             ordinary user who was given the right with `sudo setcap cap_net_raw+p`"
        }
        false => "",
    }
}

/// The owner of a directory or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub user: u32,
    pub group: u32,
    pub place: PathBuf,
}

/// The result of giving up privileges.
#[derive(Clone, Debug, Default)]
pub(super) struct GivenUp {
    /// Whether root started the program. In a user namespace an ordinary user is root as well, but loses no file permissions.
    pub by_root: bool,
    /// The user that the process continues as; `None` if the user did not change.
    pub owner: Option<Owner>,
    /// The names of threads that keep capabilities. They belong to the calling program. Only the threads themselves could give
    /// them up.
    pub kept_by: Vec<String>,
    /// Why the threads could not be looked at, for example because there is no /proc.
    pub unseen: Option<String>,
}

impl GivenUp {
    /// If root has given up its privileges, adds that to a refusal by the file system.
    pub fn explain(&self, error: SurveyError) -> SurveyError {
        match error {
            SurveyError::Dataset(source) if self.by_root && source.is_refusal() => {
                SurveyError::Closed {
                    user: self.owner.as_ref().map_or(0, |owner| owner.user),
                    source,
                }
            }
            error => error,
        }
    }
}

/// Gives up all privileges of every thread of this process, and continues as the owner of the directory of `output`.
///
/// Call it when all sockets and devices are open. `by_root` says whether root started the program.
pub(super) fn give_up(output: &Output, by_root: bool) -> Result<GivenUp, PrivilegeError> {
    let owner = if is_root() { next_owner(output) } else { None };
    let bounded = has(Capability::CAP_SETPCAP)?;
    // Do this first, while every thread has CAP_SETPCAP. A change of the user removes it from all threads.
    everywhere(limit)?;
    if let Some(owner) = &owner {
        sys::become_user(owner.user, owner.group).map_err(PrivilegeError::system(
            "going on as the owner of the dataset's place",
        ))?;
    }
    everywhere(clear)?;
    let kept_by = remaining(bounded);
    Ok(GivenUp {
        by_root,
        owner,
        unseen: kept_by.as_ref().err().map(ToString::to_string),
        kept_by: kept_by.unwrap_or_default(),
    })
}

/// Takes into use what this thread may use to open sockets. A program with file capabilities that are only permitted
/// (`setcap cap_net_raw+p`) starts without any in use. With `+ep` the kernel refuses to start it where the bounding set lacks one.
///
/// If the kernel refuses, opening the sockets says so.
pub(super) fn raise() {
    for capability in [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN] {
        if caps::has_cap(None, CapSet::Permitted, capability).unwrap_or(false) {
            let _ = caps::raise(None, CapSet::Effective, capability);
        }
    }
}

/// Whether this process acts as root, or as the root of its user namespace.
pub(super) fn is_root() -> bool {
    effective_user() == 0
}

/// Gives up all privileges of the calling thread, and of the threads that it starts later.
pub(super) fn give_up_here() -> Result<(), PrivilegeError> {
    limit()?;
    clear()
}

/// Runs `step` in this thread and in the threads of the rayon pool.
fn everywhere(step: fn() -> Result<(), PrivilegeError>) -> Result<(), PrivilegeError> {
    step()?;
    rayon::broadcast(|_| step()).into_iter().collect()
}

/// Removes every way to gain privileges again.
fn limit() -> Result<(), PrivilegeError> {
    sys::no_new_privileges().map_err(PrivilegeError::system("setting no_new_privs"))?;
    if has(Capability::CAP_SETPCAP)? {
        caps::clear(None, CapSet::Bounding)
            .map_err(PrivilegeError::capability("clearing the bounding set"))?;
    }
    caps::clear(None, CapSet::Ambient)
        .map_err(PrivilegeError::capability("clearing the ambient set"))
}

/// Removes the privileges.
fn clear() -> Result<(), PrivilegeError> {
    for (set, step) in [
        (CapSet::Effective, "clearing the effective set"),
        (CapSet::Permitted, "clearing the permitted set"),
        (CapSet::Inheritable, "clearing the inheritable set"),
    ] {
        caps::clear(None, set).map_err(PrivilegeError::capability(step))?;
    }
    Ok(())
}

fn has(capability: Capability) -> Result<bool, PrivilegeError> {
    caps::has_cap(None, CapSet::Effective, capability)
        .map_err(PrivilegeError::capability("reading the effective set"))
}

/// The user that root continues as: the owner of the directory of `output`. `None` if that is root, or if the change is not
/// allowed.
fn next_owner(output: &Output) -> Option<Owner> {
    let place = place_of(output)?;
    let about = fs::metadata(&place).ok()?;
    let owner = Owner {
        user: about.uid(),
        group: about.gid(),
        place,
    };
    // In a user namespace, a user without a mapping shows as `nobody`. The process cannot become that user.
    let mapped = |file: &str, id| match fs::read_to_string(file) {
        Ok(map) => is_mapped(&map, id),
        // Without /proc, the number itself tells.
        Err(error) => error.kind() == io::ErrorKind::NotFound && id != OVERFLOW_ID,
    };
    let may = |capability| has(capability).unwrap_or(false);
    (owner.user != 0
        && mapped("/proc/self/uid_map", owner.user)
        && mapped("/proc/self/gid_map", owner.group)
        && may(Capability::CAP_SETUID)
        && may(Capability::CAP_SETGID))
    .then_some(owner)
}

/// The directory in which the first file of `output` will be created, or its nearest parent that exists. For a FIFO or device that
/// is written in place, the FIFO or device itself.
fn place_of(output: &Output) -> Option<PathBuf> {
    let inside = match output {
        Output::Directory(root) => root.clone(),
        Output::File { path, .. } => dataset::home(path)?,
        Output::Stdout { .. } => return None,
    };
    inside
        .ancestors()
        .map(|place| match place.as_os_str().is_empty() {
            true => Path::new("."),
            false => place,
        })
        // A regular file in the way is not a directory to write into.
        .find(|place| place.exists() && !place.is_file())
        .map(Path::to_owned)
}

/// Whether `map` (/proc/self/uid_map or gid_map, see user_namespaces(7)) maps `id` to a number outside the namespace.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut columns = line.split_whitespace().map(str::parse::<u64>);
        match (columns.next(), columns.next(), columns.next()) {
            (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) => {
                (first..first.saturating_add(count)).contains(&id.into())
            }
            _ => false,
        }
    })
}

/// The names of threads that still have capabilities. The bounding set counts only if it could be cleared (`bounded`). Waits
/// for the threads that resolved names, which may be about to end.
fn remaining(bounded: bool) -> io::Result<Vec<String>> {
    let mut left = privileged_threads(bounded)?;
    for _ in 0..ENDING_THREADS {
        if left.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
        left = privileged_threads(bounded)?;
    }
    Ok(left)
}

fn privileged_threads(bounded: bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("/proc/self/task")? {
        // A thread that has ended in the meantime has no file.
        let Ok(status) = fs::read_to_string(entry?.path().join("status")) else {
            continue;
        };
        if has_capabilities(&status, bounded) {
            let name = status.lines().find_map(|line| line.strip_prefix("Name:"));
            names.push(name.unwrap_or_default().trim().to_owned());
        }
    }
    Ok(names)
}

/// Whether a thread's `status` (proc_pid_status(5)) shows a capability in any set. The bounding set counts only if `bounded`.
fn has_capabilities(status: &str, bounded: bool) -> bool {
    status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, set)| {
            let counts = matches!(name, "CapInh" | "CapPrm" | "CapEff" | "CapAmb")
                || (bounded && name == "CapBnd");
            counts && set.trim().chars().any(|digit| digit != '0')
        })
}

#[cfg(test)]
mod tests;
