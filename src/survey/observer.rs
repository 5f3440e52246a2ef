//! The events of a running survey.

use std::time::Duration;

use crate::engine::report::Progress;
use crate::engine::stop::EndedEarly;
use crate::targets::BadLine;

/// An observer of a survey: a terminal, a log, a test.
pub trait Observer {
    /// A line of the input does not give a target.
    fn bad_line(&mut self, _line: &BadLine) {}

    /// A warning to the user.
    fn warn(&mut self, _warning: &str) {}

    /// Probing starts.
    fn started(&mut self, _plan: &Plan) {}

    /// A run goes on. `_run` names it and its night.
    fn resuming(&mut self, _run: &str) {}

    /// The current progress, about ten times a second until the end.
    fn progress(&mut self, _progress: Progress) {}

    /// The survey ends early for this cause. No further probe is sent, and pending answers are waited for, at most for `_wait`.
    /// Called once.
    fn stopping(&mut self, _cause: EndedEarly, _wait: Duration) {}

    /// A further signal asked the survey to end at once. Pending answers are no longer waited for. Called once.
    fn sealing(&mut self) {}

    /// Probing and writing have ended.
    fn finished(&mut self) {}
}

/// The size of a survey.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The number of targets.
    pub targets: u32,
    /// The number of (target, flow) pairs.
    pub pairs: u64,
}

/// Tells the user the notices that are not among `told`. Returns them. The dataset's manifest has its own.
pub(super) fn tell(
    observer: &mut dyn Observer,
    told: &[String],
    notices: impl IntoIterator<Item = String>,
) -> Vec<String> {
    let new = notices.into_iter().filter(|notice| !told.contains(notice));
    new.inspect(|notice| observer.warn(notice)).collect()
}
