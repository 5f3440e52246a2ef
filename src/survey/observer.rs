//! What a survey tells of itself while it goes on.

use std::time::Duration;

use crate::engine::report::Progress;
use crate::targets::BadLine;

/// Who watches a survey: a terminal, a log, a test.
pub trait Observer {
    /// A line of the input names no target.
    fn bad_line(&mut self, _line: &BadLine) {}

    /// Something that the user should know.
    fn warn(&mut self, _warning: &str) {}

    /// Probing starts.
    fn started(&mut self, _plan: &Plan) {}

    /// About ten times a second, until the end.
    fn progress(&mut self, _progress: Progress) {}

    /// A signal asked for the end: nothing more is sent, and answers under way are waited for, at most so long. Told once.
    fn stopping(&mut self, _wait: Duration) {}

    /// Probing and writing have ended.
    fn finished(&mut self) {}
}

/// What a survey is about to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Targets.
    pub targets: u32,
    /// (Target, flow) pairs.
    pub pairs: u64,
}
