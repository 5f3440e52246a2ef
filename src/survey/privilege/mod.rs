//! Giving up privilege: once the sockets are open a survey needs none, and what it reads from then on comes from strangers.
//!
//! [`give_up`] clears the permitted, effective, inheritable, ambient and bounding sets of every thread that there is (the sets
//! are each thread's own; those started later have their parent's, which are empty) and sets no_new_privs. The bounding set
//! can only be cleared with CAP_SETPCAP, which a program that was given CAP_NET_RAW alone does not have: there it stays, and
//! grants nothing, because no_new_privs keeps file capabilities from being gained.
//!
//! Root without capabilities may no longer write into other users' directories, so a run by root goes on as the owner of the
//! place that the dataset goes to; the dataset is then the owner's, too. Whether that place can be written to shows when the
//! dataset is opened, which is after this and before the first probe.
//!
//! What this leaves out: the lists of targets are read before, with the rights of whoever started the program; the threads
//! that resolve names give up theirs before they ask ([`give_up_here`]).

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

pub use names::Unprivileged;

/// Threads that are about to end are waited for this often, a millisecond each.
const ENDING_THREADS: u32 = 1_000;

/// Why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot give up privileges: {step} failed ({reason}); a container's seccomp profile may be in the way: let it allow \
     capset, prctl and setresuid, or start the program as an ordinary user who was given the right with \
     `sudo setcap cap_net_raw+ep`"
)]
pub struct PrivilegeError {
    /// What was tried.
    pub step: &'static str,
    /// What the kernel said.
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

/// A user and group, and the place that is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub user: u32,
    pub group: u32,
    pub place: PathBuf,
}

/// What became of the privileges.
#[derive(Clone, Debug, Default)]
pub(super) struct GivenUp {
    /// Whether they were root's own: an ordinary user is root in a user namespace of ours, too, but never had more rights on files
    /// than he has left.
    pub by_root: bool,
    /// Whom the process goes on as, where that is another user than before.
    pub owner: Option<Owner>,
    /// Threads that keep capabilities: they belong to whoever called us, and only they could give theirs up.
    pub kept_by: Vec<String>,
}

impl GivenUp {
    /// Why root is suddenly refused, where that is the reason.
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

/// Gives up everything in every thread of this process, and goes on as the owner of where `output` goes. Call it when all
/// sockets and devices are open; `by_root` says whether it was root who started the program.
pub(super) fn give_up(output: &Output, by_root: bool) -> Result<GivenUp, PrivilegeError> {
    let owner = if is_root() { next_owner(output) } else { None };
    let bounded = has(Capability::CAP_SETPCAP)?;
    // While every thread still has CAP_SETPCAP: changing the user takes it from all of them.
    everywhere(limit)?;
    if let Some(owner) = &owner {
        sys::become_user(owner.user, owner.group).map_err(PrivilegeError::system(
            "going on as the owner of the dataset's place",
        ))?;
    }
    everywhere(clear)?;
    let kept_by = remaining(bounded).map_err(PrivilegeError::system("reading /proc/self/task"))?;
    Ok(GivenUp {
        by_root,
        owner,
        kept_by,
    })
}

/// Whether this process acts as root: within a user namespace as its root.
pub(super) fn is_root() -> bool {
    sys::effective_user() == 0
}

/// Gives up everything in the calling thread, and in those that it starts from now on.
pub(super) fn give_up_here() -> Result<(), PrivilegeError> {
    limit()?;
    clear()
}

/// Runs `step` in this thread and in those of the pool that sorts and parses.
fn everywhere(step: fn() -> Result<(), PrivilegeError>) -> Result<(), PrivilegeError> {
    step()?;
    rayon::broadcast(|_| step()).into_iter().collect()
}

/// Takes away what could bring privileges back.
fn limit() -> Result<(), PrivilegeError> {
    sys::no_new_privileges().map_err(PrivilegeError::system("setting no_new_privs"))?;
    if has(Capability::CAP_SETPCAP)? {
        caps::clear(None, CapSet::Bounding)
            .map_err(PrivilegeError::capability("clearing the bounding set"))?;
    }
    caps::clear(None, CapSet::Ambient)
        .map_err(PrivilegeError::capability("clearing the ambient set"))
}

/// Takes away the privileges.
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

/// Whom root is to go on as: the owner of where `output` goes, if that is another user and we may become that one.
fn next_owner(output: &Output) -> Option<Owner> {
    let place = place_of(output)?;
    let about = fs::metadata(&place).ok()?;
    let owner = Owner {
        user: about.uid(),
        group: about.gid(),
        place,
    };
    // In a user namespace those who have no number in it show as `nobody` and cannot be become.
    let mapped = |file: &str, id| fs::read_to_string(file).is_ok_and(|map| is_mapped(&map, id));
    let may = |capability| has(capability).unwrap_or(false);
    (owner.user != 0
        && mapped("/proc/self/uid_map", owner.user)
        && mapped("/proc/self/gid_map", owner.group)
        && may(Capability::CAP_SETUID)
        && may(Capability::CAP_SETGID))
    .then_some(owner)
}

/// The directory in which the first file of `output` will be made, or the nearest one above that is there already; where a
/// FIFO or device is written in place, that one itself.
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
        // A regular file in the way is no place.
        .find(|place| place.exists() && !place.is_file())
        .map(Path::to_owned)
}

/// Whether `map` (/proc/self/uid_map or gid_map: user_namespaces(7)) gives `id` a number outside.
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

/// The names of threads that have capabilities left (a bounding set counts only where it could be cleared). Those of the pool
/// that resolved names may be on their way out: they are waited for.
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
        // A thread that has ended meanwhile has no file any more.
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

/// Whether a thread's `status` (proc_pid_status(5)) shows a capability in any set; the bounding set counts where `bounded`.
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
