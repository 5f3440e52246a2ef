//! What to probe next. A strategy is asked when the pacer has room, and told what became of its probes.
//!
//! It sees only the model: no clock, no socket, no thread. Everything it does follows from its configuration, the targets,
//! the seed, and the outcomes it is told.

mod permutation;
mod spacing;
mod sweep;
mod trace;

pub use permutation::Permutation;
pub use sweep::Sweep;
pub use trace::{Arrivals, Trace, TraceLimits};

use crate::model::{Outcome, Probe, Time, TraceEnd};

/// The answer to "what next?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Send this.
    Probe(Probe),
    /// Nothing now. Ask again at this time, or after the next outcome, whichever comes first;
    /// `None`: only an outcome can help.
    Wait(Option<Time>),
    /// Nothing now and never again.
    Done,
}

/// Decides what to probe.
pub trait Strategy: Send {
    /// What to send at `now`. A probe that is given out counts as sent until an outcome says otherwise.
    fn poll(&mut self, now: Time) -> Poll;

    /// Tells what became of a probe. A probe may be told of more than once (silent, then late; answered, then answered again).
    fn observe(&mut self, outcome: &Outcome, now: Time);

    /// Tells for how many targets probes wait that this host has no room for. Others need not wait for these.
    fn held(&mut self, _targets: usize) {}

    /// The next trace that has ended since the last call, if the strategy traces.
    fn take_ended(&mut self) -> Option<TraceEnd>;

    /// Ends every trace still open as interrupted: nothing more will be sent or told.
    fn interrupt(&mut self, now: Time);

    /// How many (target, flow) pairs are behind us: done with, as progress shows it.
    fn completed(&self) -> u64;
}
