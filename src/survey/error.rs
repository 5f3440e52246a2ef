//! The errors of a survey.

use crate::dataset::DatasetError;
use crate::engine::live::{LiveError, thread_limits};
use crate::lab::LabError;
use crate::lab::driver::NamespaceError;
use crate::targets::{Families, LoadReport, RereadError, SpecialUse, StoreError, TargetError};
use crate::transport::TransportError;

use super::clash::FileClash;
use super::privilege::PrivilegeError;

/// The reason why a survey failed. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The run would write to a file that it reads, or write two outputs to one file. No file was opened.
    #[error(transparent)]
    Clash(#[from] FileClash),
    /// The run cannot go on.
    #[error("cannot resume the run in {output}: {why}")]
    Resume {
        /// The dataset.
        output: String,
        /// Why it cannot, and what to do.
        why: String,
    },
    /// The stored targets of the run cannot be read.
    #[error("cannot read the stored targets {}: {source}: restore the file from a copy, or start a new run", path.display())]
    StoredTargets {
        /// The file.
        path: std::path::PathBuf,
        /// The reason.
        source: StoreError,
    },
    /// A blocklist of a resumed run cannot be read.
    #[error("{0}; a resumed run needs all its blocklists")]
    Blocklist(RereadError),
    /// The targets cannot be read.
    #[error(transparent)]
    Targets(#[from] TargetError),
    /// No target is left to probe.
    #[error("no target is left to probe: {0}")]
    NoTargets(String),
    /// The lab's network file is invalid.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The lab's namespace or device cannot be created.
    #[error("{0}; or run the survey in virtual time with --virtual-time, which needs no namespace")]
    Namespace(#[from] NamespaceError),
    /// The sockets cannot be opened.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Privileges cannot be given up.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// The user that the survey continues as cannot write the dataset.
    #[error(
        "{source} (a survey gives up root's privileges before it writes, and continues as user {user}): choose a directory that \
         this user can reach and write to, change its owner (chown), or run the program as its owner with the capability \
         granted by `sudo setcap cap_net_raw+p`"
    )]
    Closed {
        /// The user that the survey continues as.
        user: u32,
        /// The operation that was refused.
        source: DatasetError,
    },
    /// The dataset cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A socket or thread failed during the run.
    #[error(transparent)]
    Run(#[from] LiveError),
    /// A thread could not be started.
    #[error("cannot start a thread ({0}){limits}", limits = thread_limits(.0))]
    Thread(std::io::Error),
    /// The system gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Entropy(#[from] getrandom::Error),
    /// The lab's network failed during the run.
    #[error("the lab's network broke: {0}")]
    LabBroke(std::io::Error),
}

impl SurveyError {
    /// Whether the only problem is that the reader of standard output closed the pipe. The run then ends normally.
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            SurveyError::Dataset(error) => error.is_broken_pipe(),
            SurveyError::Run(LiveError::Sink(error)) => error
                .downcast_ref::<DatasetError>()
                .is_some_and(DatasetError::is_broken_pipe),
            _ => false,
        }
    }
}

/// Explains in words why no target is left: the number of inputs by reason.
pub(super) fn why_none(report: &LoadReport, families: Families) -> String {
    let uses = || report.special_uses.iter();
    let may_be = |special: &SpecialUse| special.never_because().is_none();
    let special: u64 = uses()
        .filter(|(it, _)| may_be(it))
        .map(|(_, count)| count)
        .sum();
    let names: Vec<&str> = uses()
        .filter(|(it, _)| may_be(it))
        .map(|(it, _)| it.name())
        .collect();
    let never: Vec<String> = uses()
        .filter_map(|(it, count)| Some((it, count, it.never_because()?)))
        .map(|(it, count, why)| format!("{count} {}: {why}", it.name()))
        .collect();
    let in_ranges = format!(
        "in special-use ranges ({}; --allow-special probes them, --lab has its own)",
        names.join(", ")
    );
    let impossible = format!("that cannot be probed ({})", never.join("; "));
    let reasons = [
        (
            report.bad_lines - report.unresolved,
            "on lines that cannot be read",
        ),
        (report.unresolved, "host names that cannot be resolved"),
        (special, &*in_ranges),
        (report.special - special, &*impossible),
        (report.blocked, "blocked by --blocklist-file"),
        (
            report.other_family,
            match families {
                Families::Ipv6 => "of an address family that is not probed (IPv4)",
                Families::Ipv4 | Families::Both => "of an address family that is not probed (IPv6)",
            },
        ),
    ];
    let told: Vec<String> = reasons
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
    if told.is_empty() {
        "the input contains none; give addresses, prefixes or names as arguments or with --input-file"
            .to_owned()
    } else {
        told.join(", ")
    }
}
