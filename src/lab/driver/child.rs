//! Running a program inside the lab.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;

use super::{Namespace, sys};

/// Why a program did not run in the lab.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started.
    #[error(
        "cannot run `{command}` in the lab ({source}): check its name and that it is installed"
    )]
    Start {
        /// The program.
        command: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The program started, but waiting for it failed.
    #[error("lost track of the program in the lab: {0}")]
    Wait(#[source] io::Error),
}

impl ExecError {
    /// The exit code that shells use: 127 if there is no such program, 126 if it cannot be run.
    pub fn exit_code(&self) -> i32 {
        match self {
            ExecError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            ExecError::Start { .. } => 126,
            ExecError::Wait(_) => 1,
        }
    }
}

/// Runs `command` in the namespace with our standard streams. Returns its exit code, or 128 + the signal that ended it.
///
/// Until it ends, SIGINT, SIGQUIT, SIGHUP and SIGTERM do not end our process. The program gets them:
/// - signals of the terminal reach it directly, because the terminal signals the whole process group;
/// - signals that were sent to us alone are passed on.
///
/// We keep catching these signals afterwards, so the caller should then exit.
pub fn exec_in_lab(
    _namespace: &Namespace,
    command: &OsStr,
    arguments: &[OsString],
) -> Result<i32, ExecError> {
    let start = |source| ExecError::Start {
        command: command.to_string_lossy().into_owned(),
        source,
    };
    // Before the program starts, so that its end is not missed.
    let caught = [SIGCHLD, SIGINT, SIGQUIT, SIGHUP, SIGTERM];
    let mut signals = SignalsInfo::<WithRawSiginfo>::new(caught).map_err(start)?;
    let mut child = Command::new(command)
        .args(arguments)
        .spawn()
        .map_err(start)?;
    loop {
        if let Some(status) = child.try_wait().map_err(ExecError::Wait)? {
            return Ok(exit_code(status));
        }
        for signal in signals.wait() {
            pass_on(&child, &signal);
        }
    }
}

/// Passes on a signal that was sent to us alone. The child is not yet reaped: only the loop above does that.
fn pass_on(child: &Child, signal: &libc::siginfo_t) {
    // Codes above zero are signals of the kernel. Here they come from the terminal, and the child got them as well.
    if signal.si_signo != SIGCHLD && signal.si_code <= 0 {
        // The program may have ended meanwhile. Then the signal has no receiver.
        let _ = sys::signal_child(child.id(), signal.si_signo);
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1)
}
