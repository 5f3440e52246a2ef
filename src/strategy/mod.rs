//! Strategies decide what to probe next. The core asks a strategy for work when the limiter has room, and reports the outcome
//! of each probe to it.
//!
//! A strategy sees only the model: no clock, no socket, no thread. Its decisions follow from its configuration, the targets,
//! the seed and the outcomes. The limiter decides how fast probes are sent and which of them wait.
//!
//! A strategy is one type behind [`Strategy`]. It owns an [`Order`], which holds the position of the run. A resumed run gets that
//! position from the items that are [`Finished`].

mod actions;
mod finished;
mod multipath;
mod order;
mod permutation;
mod second_pass;
mod sweep;
mod trace;

pub use actions::{Actions, Reach, Request};
pub use finished::Finished;
pub use multipath::{
    Confidence, Multipath, MultipathLimits, StoppingPoints, failure, shows_at_most,
};
pub use order::{Cursor, Order, Shard};
pub use permutation::Permutation;
pub use second_pass::{Hole, PassProgress};
pub use sweep::{Answers, Sweep, SweepItems};
pub use trace::{Arrivals, Trace, TraceLimits};

use std::sync::Arc;

use crate::model::{Blocked, Outcome, Time};

/// Whether there is further work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Work was started, and its first probes were requested. Ask again.
    Started,
    /// No work now. Ask again at this time or after the next outcome, whichever comes first.
    /// `None`: ask again after the next outcome.
    Wait(Option<Time>),
    /// No work now and no work later.
    Done,
}

/// Decides what to probe.
pub trait Strategy: Send {
    /// Starts one more piece of work at `now`: a target, or one item of a sweep.
    fn poll(&mut self, now: Time, actions: &mut Actions) -> Poll;

    /// Takes the outcome of a probe. A probe may have several: silent and then a late answer, or two answers.
    fn observe(&mut self, outcome: &Outcome, now: Time, actions: &mut Actions);

    /// Takes the number of targets whose probes wait because this host has no room for them. Other targets may be started
    /// meanwhile.
    fn held(&mut self, _targets: usize) {}

    /// Takes a list of addresses that are not to be probed, in the place of the one before.
    ///
    /// Open work on a blocked address ends when its pending probes have ended. Work that is not started yet follows the list at the
    /// time of its start. The core sends no probe to a blocked address, whatever a strategy asks for.
    fn set_blocked(&mut self, _blocked: &Arc<dyn Blocked>, _now: Time, _actions: &mut Actions) {}

    /// Ends all open work as interrupted. No further outcome follows, and no further probe is sent.
    fn interrupt(&mut self, now: Time, actions: &mut Actions);

    /// The position of the run. Another process can continue from it.
    fn cursor(&self) -> Cursor;

    /// How many (target, flow) pairs are finished, for the progress display.
    fn completed(&self) -> u64;

    /// How far the second pass has come. `None` if there is no second pass.
    fn second_pass(&self) -> Option<PassProgress> {
        None
    }
}
