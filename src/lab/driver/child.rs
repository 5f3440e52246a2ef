//! Running a program inside the lab.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;

use super::{Namespace, sys};

/// Why a program could not be run in the lab.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started.
    #[error(
        "cannot run `{command}` in the lab ({source}): check its name and that it is installed"
    )]
    Start {
        /// The program.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It was started, but not waited for.
    #[error("lost track of the program in the lab: {0}")]
    Wait(#[source] io::Error),
}

impl ExecError {
    /// The exit code that shells use for it: 127 where there is no such program, 126 where it cannot be run.
    pub fn exit_code(&self) -> i32 {
        match self {
            ExecError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            ExecError::Start { .. } => 126,
            ExecError::Wait(_) => 1,
        }
    }
}

/// Runs `command` in the namespace, with our standard streams, and returns its exit code, or 128 + the signal that ended it.
///
/// Meanwhile SIGINT, SIGQUIT, SIGHUP and SIGTERM do not end us but reach the program: those from the terminal by themselves,
/// for the terminal signals the whole group; those sent to us alone are passed on. They stay caught afterwards, so the caller
/// should then end.
pub fn exec_in_lab(
    _namespace: &Namespace,
    command: &OsStr,
    arguments: &[OsString],
) -> Result<i32, ExecError> {
    let start = |source| ExecError::Start {
        command: command.to_string_lossy().into_owned(),
        source,
    };
    // Before the program starts, so that not even its end is missed.
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

/// Gives the child a signal that was meant for us alone. It is not yet reaped: only the loop above does that.
fn pass_on(child: &Child, signal: &libc::siginfo_t) {
    // Codes above zero are the kernel's own signals: here the terminal's, which the child had, too.
    if signal.si_signo != SIGCHLD && signal.si_code <= 0 {
        // It may have ended meanwhile; then there is nobody to tell.
        let _ = sys::signal_child(child.id(), signal.si_signo);
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1)
}
