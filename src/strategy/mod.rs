//! What to probe next. A strategy is asked for work when the limiter has room, and learns the outcome of its probes.
//!
//! It sees only the model: no clock, no socket, no thread. Everything it does follows from its configuration, the targets,
//! the seed, and the outcomes it learns. How fast its probes leave, and which of them have to wait, is the limiter's business.
//!
//! A strategy is one type behind [`Strategy`]. It owns an [`Order`], which says where the run stands.

mod actions;
mod order;
mod permutation;
mod sweep;
mod trace;

pub use actions::{Actions, Reach, Request};
pub use order::{Cursor, Order, Shard};
pub use permutation::Permutation;
pub use sweep::Sweep;
pub use trace::{Arrivals, Trace, TraceLimits};

use crate::model::{Outcome, Time};

/// Whether there is further work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Work was started, and its first probes were asked for. Ask again.
    Started,
    /// Nothing now. Ask again at this time, or after the next outcome, whichever comes first.
    /// `None`: ask again after the next outcome.
    Wait(Option<Time>),
    /// Nothing now and never again.
    Done,
}

/// Decides what to probe.
pub trait Strategy: Send {
    /// Starts one further piece of work at `now`: a target, or an item of a sweep.
    fn poll(&mut self, now: Time, actions: &mut Actions) -> Poll;

    /// Takes the outcome of a probe. A probe may have more than one (silent, then late; answered, then answered again).
    fn observe(&mut self, outcome: &Outcome, now: Time, actions: &mut Actions);

    /// Takes the number of targets whose probes wait because this host has no room for them. Other targets need not wait
    /// for these.
    fn held(&mut self, _targets: usize) {}

    /// Ends everything that is open as interrupted. No further outcome will come, and nothing more will be sent.
    fn interrupt(&mut self, now: Time, actions: &mut Actions);

    /// Where the run stands: enough to go on from there in another process.
    fn cursor(&self) -> Cursor;

    /// How many (target, flow) pairs are finished, as progress shows it.
    fn completed(&self) -> u64;
}
